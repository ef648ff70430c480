"""Imports only go down: recipes -> cli -> run -> models -> domains -> common.

Read from the syntax tree, lazy imports and catalogue strings too.
"""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FILES = sorted((ROOT / "antiphon").rglob("*.py"))


def imported(file: Path) -> set[str]:
    """Every module that a file imports anywhere, and every dotted antiphon path that stands in a string."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif (
            isinstance(node, ast.Constant) and isinstance(node.value, str) and re.fullmatch(r"antiphon(\.\w+)+(:\w+)?", node.value)
        ):
            names.add(node.value.split(":")[0])
    return names


def module(file: Path) -> str:
    return ".".join(file.relative_to(ROOT).with_suffix("").parts)


def floor(name: str) -> int:
    """0 common, 1 domains, 2 models, 3 run, 4 the command; the version and the configs (data) lie below them all."""
    if name in ("antiphon.__version__", "antiphon.configs"):
        return -1
    for level, prefix in enumerate(("antiphon.common", "antiphon.domains", "antiphon.models", "antiphon.run")):
        if name == prefix or name.startswith(f"{prefix}."):
            return level
    return 4


# The scikit-learn face of a domain pretrains as a user would: through run. It is the one thing in a domain that stands above it.
FACES = {"antiphon.domains.time_series.estimator"}


@pytest.mark.parametrize("file", FILES, ids=module)
def test_imports_go_down(file: Path) -> None:
    own = module(file)
    if own in ("antiphon.__init__", "antiphon.__main__"):
        return
    upward = {name for name in imported(file) if name.startswith("antiphon.") and floor(name) > floor(own)}
    if own in FACES:
        upward = {name for name in upward if floor(name) != 3}
    assert not upward, f"{own} imports upwards: {sorted(upward)}"


@pytest.mark.parametrize("file", [file for file in FILES if "domains" in file.parts], ids=module)
def test_no_domain_imports_another(file: Path) -> None:
    own = module(file).split(".")[2]
    others = {name for name in imported(file) if name.startswith("antiphon.domains.") and name.split(".")[2] != own}
    assert not others


@pytest.mark.parametrize("file", FILES, ids=module)
def test_only_run_sees_hydra(file: Path) -> None:
    seen = {name.split(".")[0] for name in imported(file)} & {"hydra", "omegaconf"}
    assert not seen or module(file) == "antiphon.run.config"


def modules_after(code: str) -> set[str]:
    printed = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys; print('\\n'.join(sys.modules))"], capture_output=True, text=True, check=True
    )
    return {name.split(".")[0] for name in printed.stdout.split()}


HEAVY = {"torch", "librosa", "mne", "tsai", "transformers", "aeon", "sklearn", "hydra", "pytorch_lightning", "numpy", "matplotlib"}


@pytest.mark.parametrize("code", ["import antiphon", "import antiphon.cli; antiphon.cli._parser().format_help()"])
def test_nothing_heavy_is_loaded_to_say_hello(code: str) -> None:
    assert not modules_after(code) & HEAVY


def test_loading_an_encoder_needs_no_trainer() -> None:
    assert not modules_after("import antiphon; antiphon.load_encoder, antiphon.create_encoder('ts2vec', in_channels=1)") & {
        "hydra",
        "omegaconf",
        "pytorch_lightning",
        "matplotlib",
        "aeon",
        "tsai",
    }


def test_every_folder_of_configs_is_a_package() -> None:
    """Without it the wheel would lack YAML files, or Hydra would not find them in it."""
    folders = {file.parent for file in (ROOT / "configs").rglob("*.yaml")}
    parents = {
        parent for folder in folders for parent in (folder, *folder.parents) if ROOT / "configs" in (parent, *parent.parents)
    }
    assert all((folder / "__init__.py").is_file() for folder in parents)


def test_every_recipe_has_a_script_and_every_script_a_recipe() -> None:
    recipes = {file.relative_to(ROOT / "configs/recipe").with_suffix("") for file in (ROOT / "configs/recipe").rglob("*.yaml")}
    scripts = {file.relative_to(ROOT / "recipes").with_suffix("") for file in (ROOT / "recipes").rglob("*.py")}
    assert recipes == scripts
