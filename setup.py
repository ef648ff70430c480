"""Maps the folder configs/ to the package antiphon.configs; everything else stands in pyproject.toml."""

from setuptools import find_packages, setup

configs = ["antiphon.configs", *(f"antiphon.configs.{name}" for name in find_packages("configs"))]
setup(packages=find_packages(include=["antiphon", "antiphon.*"]) + configs, package_dir={"antiphon.configs": "configs"})
