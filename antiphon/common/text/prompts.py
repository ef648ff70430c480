"""Prompts of zero-shot classification: classes, templates, and the versioned files that hold them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

SOMETHING_ELSE = "something else"


@dataclass(frozen=True)
class PromptTask:
    """The classes of one question: the name of each and the prompts that stand for it.

    `background`: prompts of what is none of the classes, which a multi-label answer compares each class with.
    """

    name: str
    classes: Mapping[str, tuple[str, ...]]
    background: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if len(self.classes) < 2 and not self.background:
            raise ValueError(
                f"{self.name}: there is nothing to choose between, got {', '.join(self.classes) or 'no label'}: give two"
            )

    @property
    def labels(self) -> tuple[str, ...]:
        """The classes' names, in order."""
        return tuple(self.classes)

    def to_dict(self) -> dict[str, Any]:
        """As JSON holds it: what the scores depend on."""
        return {
            "classes": {label: list(prompts) for label, prompts in self.classes.items()},
            "background": list(self.background),
        }


@dataclass(frozen=True)
class PromptSet:
    """Named, versioned prompts: `tasks` by name, and `templates` for labels that have no task of their own."""

    name: str
    version: str
    templates: tuple[str, ...] = ()
    tasks: Mapping[str, PromptTask] = field(default_factory=dict)

    def task(self, name: str | None) -> PromptTask:
        """The task of that name; None takes the only one.

        Raises:
            ValueError: no such task, or several and no name.
        """
        known = ", ".join(self.tasks) or "none"
        if name is None and len(self.tasks) == 1:
            return next(iter(self.tasks.values()))
        if name is None:
            raise ValueError(f"the prompts {self.name} hold {len(self.tasks)} tasks ({known}): say which, or give labels")
        if name not in self.tasks:
            raise ValueError(f"the prompts {self.name} have no task {name!r}: use one of {known}")
        return self.tasks[name]

    def to_dict(self) -> dict[str, Any]:
        """As JSON and `from_dict` have it; prompts are filled in already."""
        tasks = {name: task.to_dict() for name, task in self.tasks.items()}
        return {"name": self.name, "version": self.version, "templates": list(self.templates), "tasks": tasks}

    @classmethod
    def from_dict(cls, entry: Mapping[str, Any]) -> PromptSet:
        """The inverse of `to_dict`."""
        tasks = {
            name: PromptTask(name, {label: tuple(prompts) for label, prompts in task["classes"].items()}, tuple(task["background"]))
            for name, task in entry["tasks"].items()
        }
        return cls(entry["name"], entry["version"], tuple(entry["templates"]), tasks)


def fill_templates(phrases: Sequence[str], templates: Sequence[str]) -> tuple[str, ...]:
    """Every phrase in every template; without templates the phrases themselves.

    Raises:
        ValueError: a template without "{}".
    """
    wrong = [template for template in templates if template.count("{}") != 1]
    if wrong:
        raise ValueError(f"the template {wrong[0]!r} must hold {{}} once, where the label goes: 'this is a {{}} recording'")
    return tuple(template.replace("{}", phrase) for phrase in phrases for template in templates or ("{}",))


def label_task(
    labels: Sequence[str], *, templates: Sequence[str] = (), background: Sequence[str] = (), multi_label: bool = False
) -> PromptTask:
    """A task from plain labels: each in every template.

    The background of a multi-label task, where none is given, is "something else" in the same templates.

    Raises:
        ValueError: fewer than two labels (one, if `multi_label`), an empty one, or one that is given twice.
    """
    names = [label.strip() for label in labels]
    if len(names) < (1 if multi_label else 2):
        raise ValueError(f"there is nothing to choose between, got {names}: give at least two labels, as in 'normal, pathological'")
    if "" in names or len(set(names)) != len(names):
        raise ValueError(f"labels must be different words, got {', '.join(map(repr, names))}")
    others = tuple(background) or ((SOMETHING_ELSE,) if multi_label else ())
    filled = {name: fill_templates([name], templates) for name in names}
    return PromptTask("labels", filled, fill_templates(others, templates) if others else ())


def read_lines(path: str | Path) -> list[str]:
    """Labels or templates from a text file: one a line; empty lines and those that begin with # do not count.

    Raises:
        ValueError: nothing in it.
    """
    lines = [line.strip() for line in Path(path).expanduser().read_text(encoding="utf-8").splitlines()]
    kept = [line for line in lines if line and not line.startswith("#")]
    if not kept:
        raise ValueError(f"{path} is empty: write one label, or one template, a line")
    return kept


def read_prompts(source: str | Path) -> PromptSet:
    """A prompt set: a YAML file, or one that comes with Antiphon, by its name.

    The file has `name` and `version`; `templates` (a list, optional); and `tasks`, each with `classes` and optionally `templates`
    of its own and a `background`. A class is its name and a list of phrases, which go into every template, or are prompts as they
    stand where there is no template. A class with nothing behind its name is that name.

    Raises:
        FileNotFoundError: no such file, and no such set.
        ValueError: a file that does not have this form.
    """
    shipped = files("antiphon.configs") / "prompts"
    path, packaged = Path(source).expanduser(), shipped / f"{source}.yaml"
    if path.suffix not in (".yaml", ".yml") and not packaged.is_file():
        known = sorted(entry.name.removesuffix(".yaml") for entry in shipped.iterdir() if entry.name.endswith(".yaml"))
        raise FileNotFoundError(f"no prompts {str(source)!r}: give a .yaml file, or one of {', '.join(known)}")
    text = packaged.read_text(encoding="utf-8") if packaged.is_file() else path.read_text(encoding="utf-8")
    try:
        return _parse(yaml.safe_load(text))
    except (ValueError, yaml.YAMLError) as error:
        raise ValueError(f"{source} is no prompt set: {error}") from error


def _parse(entry: Any) -> PromptSet:
    if not isinstance(entry, dict) or not {"name", "version"} <= set(entry):
        raise ValueError("it needs name, version, and tasks or templates")
    unknown = set(entry) - {"name", "version", "templates", "tasks"}
    if unknown:
        raise ValueError(f"{', '.join(sorted(unknown))} is not known; it takes name, version, templates, tasks")
    templates = tuple(entry.get("templates") or ())
    fill_templates([""], templates)  # templates of labels to come are checked now
    tasks = {str(name): _task(str(name), task, templates) for name, task in (entry.get("tasks") or {}).items()}
    if not tasks and not templates:
        raise ValueError("it has neither tasks nor templates")
    return PromptSet(str(entry["name"]), str(entry["version"]), templates, tasks)


def _task(name: str, entry: Any, templates: tuple[str, ...]) -> PromptTask:
    if not isinstance(entry, dict) or not isinstance(entry.get("classes"), dict):
        raise ValueError(f"the task {name} needs classes: a name and a list of phrases each")
    unknown = set(entry) - {"classes", "templates", "background"}
    if unknown:
        raise ValueError(f"{', '.join(sorted(unknown))} in the task {name} is not known; it takes classes, templates, background")
    own = templates if entry.get("templates") is None else tuple(entry["templates"])
    classes = {str(label): fill_templates(_phrases(label, phrases), own) for label, phrases in entry["classes"].items()}
    background = fill_templates(_phrases("background", entry["background"]), own) if entry.get("background") else ()
    return PromptTask(name, classes, background)


def _phrases(label: Any, phrases: Any) -> list[str]:
    if phrases is None:
        return [str(label)]
    found = [phrases] if isinstance(phrases, str) else phrases
    if not isinstance(found, list) or not found or not all(isinstance(phrase, str) for phrase in found):
        raise ValueError(f"{label!r} must be a phrase or a list of phrases, got {phrases!r}")
    return found
