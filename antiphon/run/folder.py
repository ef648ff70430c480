"""What a run leaves on disk, and where."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from antiphon.run.config import flat


def config_hash(config: dict[str, Any]) -> str:
    """Eight hexadecimal digits that name a config, so that figures can be traced to it; where it was written does not count."""
    counted = {key: value for key, value in config.items() if key not in ("run_dir", "overwrite", "report", "logger", "about")}
    return hashlib.sha256(json.dumps(counted, sort_keys=True).encode()).hexdigest()[:8]


def write_text(path: Path, text: str) -> None:
    """Write a file whole or not at all."""
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(text)
    os.replace(partial, path)


@dataclass(frozen=True)
class RunFolder:
    """config.yaml, metrics.csv, monitor.json, checkpoints/, encoder/, results.json, report.html.

    Where there are any: model/, classifier/, left_out.tsv.
    """

    path: Path

    @property
    def encoder(self) -> Path:
        """The saved encoder."""
        return self.path / "encoder"

    @property
    def classifier(self) -> Path:
        """The encoder with the classifier that was trained beside it, where the objective has one (MVCNet)."""
        return self.path / "classifier"

    @property
    def model(self) -> Path:
        """The signal tower with its text tower, where the recipe learns from texts."""
        return self.path / "model"

    @property
    def checkpoint(self) -> Path:
        """The last checkpoint."""
        return self.path / "checkpoints" / "last.ckpt"

    @property
    def report(self) -> Path:
        """The page to read."""
        return self.path / "report.html"

    @property
    def left_out(self) -> Path:
        """The recordings that could not be used, one a line with the reason; there is no such file where all could."""
        return self.path / "left_out.tsv"

    @property
    def seeds(self) -> list[RunFolder]:
        """The folders of the single seeds: this one, or its seed-N sub-folders."""
        parts = sorted(self.path.glob("seed-*/config.yaml"), key=lambda file: int(file.parent.name.removeprefix("seed-")))
        return [RunFolder(file.parent) for file in parts] or [self]

    @property
    def complete(self) -> bool:
        """Whether it was trained and measured to the end."""
        return (self.path / "results.json").is_file()

    def check(self, config: dict[str, Any], *, resume: bool, overwrite: bool) -> None:
        """Whether a run with `config` may begin, or go on, here; nothing is touched.

        Raises ValueError if the folder holds another run or somebody's files, cannot be written, or if `resume` is asked for with
        another config.
        """
        there = self.path.is_dir() and any(self.path.iterdir())
        if overwrite and not resume:
            if there and not (self.path / "config.yaml").is_file():
                raise ValueError(f"{self.path} is not a run folder (no config.yaml): overwrite=true would delete somebody's files")
        elif there and not resume and not self._failed_at_once():
            raise ValueError(f"{self.path} already holds a run: continue it with --resume, or give run_dir=... or overwrite=true")
        elif there and resume and config_hash(self.config()) != config_hash(config):
            raise ValueError(
                f"{self.path} was started with other settings ({_difference(self.config(), config)}): resume it as it was"
            )
        nearest = next(place for place in (self.path, *self.path.absolute().parents) if place.exists())
        if not nearest.is_dir() or not os.access(nearest, os.W_OK):
            raise ValueError(f"{self.path} cannot be made, {nearest} is no folder that may be written: give run_dir=...")

    def start(self, config: dict[str, Any], *, resume: bool, overwrite: bool) -> None:
        """Make the folder and write config.yaml; a folder that holds another run is never touched unless told so (`check`)."""
        self.check(config, resume=resume, overwrite=overwrite)
        if overwrite and not resume and self.path.exists():
            shutil.rmtree(self.path)
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ValueError(f"{self.path} cannot be made ({error.strerror}): give another run_dir=...") from error
        write_text(self.path / "config.yaml", yaml.safe_dump(config, sort_keys=False))

    def _failed_at_once(self) -> bool:
        """Whether a run was begun here that never saved anything: starting again loses nothing."""
        saved = [*self.path.rglob("last.ckpt"), *self.path.rglob("results.json")]
        return (self.path / "config.yaml").is_file() and not saved

    def config(self) -> dict[str, Any]:
        """The config the run was started with."""
        file = self.path / "config.yaml"
        if not file.is_file():
            raise FileNotFoundError(
                f"{self.path} is no run folder: it holds no config.yaml (a run is what `antiphon pretrain` writes)"
            )
        config = yaml.safe_load(file.read_text())
        if not isinstance(config, dict):
            raise ValueError(f"{file} is empty or damaged: it should hold a mapping")
        return config

    def results(self) -> dict[str, Any]:
        """What was measured: `rows`, one per encoder and seed, and facts about the run."""
        file = self.path / "results.json"
        if not file.is_file():
            raise FileNotFoundError(f"{self.path} has no results yet: finish it with `antiphon pretrain --resume {self.path}`")
        loaded: dict[str, Any] = json.loads(file.read_text())
        return loaded

    def write_results(self, results: dict[str, Any]) -> None:
        """Keep what was measured."""
        write_text(self.path / "results.json", json.dumps(results, indent=2) + "\n")


def _difference(old: dict[str, Any], new: dict[str, Any]) -> str:
    before, after = flat(old), flat(new)
    names = [name for name in sorted({*before, *after}) if before.get(name) != after.get(name) and name.split(".")[0] != "run_dir"]
    return "; ".join(f"{name} was {before.get(name)}, now {after.get(name)}" for name in names[:3])
