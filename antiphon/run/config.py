"""From the name of a recipe and overrides to plain containers, and from a `_target_` to an object."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any

import yaml

WHOLE_NUMBERS = {  # settings, and whether they may be null
    "seed": False,
    "training.batch_size": False,
    "training.steps": True,
    "training.epochs": True,
    "training.log_every": False,
    "training.checkpoint_every": False,
}


def _walk(folder: Traversable, prefix: str = "") -> Iterable[tuple[str, Traversable]]:
    for entry in sorted(folder.iterdir(), key=lambda item: item.name):
        if entry.is_dir():
            yield from _walk(entry, f"{prefix}{entry.name}/")
        elif entry.name.endswith(".yaml"):
            yield f"{prefix}{entry.name.removesuffix('.yaml')}", entry


def list_recipes() -> dict[str, dict[str, Any]]:
    """Every recipe's `about` block by name: title, paper, data, published figure, what was measured here. Needs no Hydra."""
    folder = files("antiphon.configs") / "recipe"
    return {name: yaml.safe_load(entry.read_text()).get("about", {}) for name, entry in _walk(folder)}


def compose(recipe: str, overrides: Sequence[str] = ()) -> dict[str, Any]:
    """The config of `recipe` with Hydra `overrides` ("data.name=OSULeaf", "objective=dcl"), resolved to plain containers.

    Raises ValueError for an unknown recipe, and for an override that does not fit or sets what nothing reads.
    """
    known = list_recipes()
    if recipe not in known:
        raise ValueError(f"unknown recipe {recipe!r}: {_did_you_mean(recipe, known)}`antiphon recipes` lists them")
    try:
        config = _compose(recipe, overrides)
    except ValueError as error:
        raise ValueError(_explained(recipe, error)) from error
    _check(config)
    return config


def compose_within(config: Mapping[str, Any], section: str, name: str) -> dict[str, Any]:
    """The part `name` of the catalogue for a `section` (evaluation, ...) of a run's `config`.

    What it takes from other sections it takes from those of the run; values that must be given and are not are left as "???".

    Raises:
        ValueError: no such part.
    """
    from omegaconf import OmegaConf

    recipe = config["about"]["recipe"]
    try:
        part = _composed(recipe, [f"{section}={name}"])[section]
    except ValueError as error:
        raise ValueError(_explained(recipe, error)) from error
    whole = OmegaConf.create({**config, section: OmegaConf.to_container(part, resolve=False)})
    found: Any = OmegaConf.to_container(whole[section], resolve=True)
    return {str(key): value for key, value in found.items()}


def _compose(recipe: str, overrides: Sequence[str]) -> dict[str, Any]:
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    try:
        plain = OmegaConf.to_container(_composed(recipe, overrides), resolve=True, throw_on_missing=True)
    except OmegaConfBaseException as error:
        raise ValueError(" ".join(str(error).split())) from error
    if not isinstance(plain, dict):
        raise TypeError("the primary config must be a mapping")
    return {str(key): value for key, value in plain.items()}


def _composed(recipe: str, overrides: Sequence[str]) -> Any:
    """The config as Hydra holds it, not resolved."""
    from hydra import compose as hydra_compose
    from hydra import initialize_config_module
    from hydra.core.global_hydra import GlobalHydra
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    previous = GlobalHydra.instance().hydra
    try:
        GlobalHydra.instance().clear()
        with initialize_config_module("antiphon.configs", version_base="1.3"):
            return hydra_compose("pretrain", overrides=[f"recipe={recipe}", *overrides])
    except (HydraException, OmegaConfBaseException, ValueError) as error:  # Hydra raises plain ones, too
        raise ValueError(" ".join(str(error).split())) from error
    finally:
        GlobalHydra.instance().clear()
        if previous is not None:
            GlobalHydra.instance().initialize(previous)


def _explained(recipe: str, error: ValueError) -> str:
    """Hydra's message, or where it is about a wrong name, what might have been meant."""
    text = str(error)
    setting = re.search(r"Could not override '([\w./]+)'", text)
    if setting:
        known = flat(_compose(recipe, []))
        return (
            f"{recipe} has no setting {setting[1]}: {_did_you_mean(setting[1], known, 0.8)}What a part takes but its config does "
            f"not list is added with a plus: +{setting[1]}=..."
        )
    part = re.search(r"Could not find '([\w./]+)'", text)
    if part:
        group, _, name = part[1].partition("/")
        names = [found for found, _ in _walk(files("antiphon.configs") / group)] if group in _groups() else []
        return f"there is no {group} {name!r}: {_did_you_mean(name, names)}there are {', '.join(names) or 'none'}"
    hint = " To leave a part out, write ~name instead of name=null." if "Got NoneType" in text else ""
    return f"the config of {recipe} does not compose: {text}{hint}"


def _did_you_mean(name: str, known: Iterable[str], cutoff: float = 0.5) -> str:
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=cutoff)
    return f"did you mean {close[0]}? " if close else ""


def _groups() -> list[str]:
    return [entry.name for entry in (files("antiphon.configs")).iterdir() if entry.is_dir()]


def _check(config: Mapping[str, Any]) -> None:
    """Refuse what nothing would read, and numbers that are none, before any data are opened.

    Raises:
        ValueError: an unknown section, an unknown setting of training or monitor, or a wrong type there.
    """
    primary = yaml.safe_load((files("antiphon.configs") / "pretrain.yaml").read_text())
    sections = {*primary, *_groups(), "about"} - {"defaults"}
    for name in config:
        if name not in sections:
            raise ValueError(f"nothing reads {name}: {_did_you_mean(name, sections)}sections are {', '.join(sorted(sections))}")
    for section in ("training", "learner", "monitor"):
        for name in config.get(section) or {}:
            if name not in primary[section]:
                raise ValueError(f"nothing reads {section}.{name}: {_did_you_mean(name, primary[section])}".rstrip(" :"))
    settings = flat(config)
    for name, optional in WHOLE_NUMBERS.items():
        value = settings.get(name)
        if not (optional and value is None) and (not isinstance(value, int) or isinstance(value, bool)):
            raise ValueError(f"{name} is {value!r}: give a whole number")


def flat(config: Any, prefix: str = "") -> dict[str, Any]:
    """Nested settings by their dotted names."""
    if not isinstance(config, Mapping):
        return {prefix: config}
    return {
        name: value for key, item in config.items() for name, value in flat(item, f"{prefix}.{key}" if prefix else str(key)).items()
    }


def parameters(node: Mapping[str, Any]) -> list[str]:
    """The names of the arguments that a node's target takes."""
    from inspect import signature

    from hydra.utils import get_method

    return list(signature(get_method(node["_target_"])).parameters)


def instantiate(node: Mapping[str, Any], **arguments: Any) -> Any:
    """Build what `node["_target_"]` names, its nested targets first; `_partial_: true` waits for `arguments`.

    For configs composed on this machine only: a config that came with downloaded weights never gets here.
    """
    from functools import partial

    from hydra.errors import HydraException
    from hydra.utils import instantiate as hydra_instantiate

    try:
        built = hydra_instantiate(dict(node), _convert_="all")
        return built(**arguments) if isinstance(built, partial) else built
    except HydraException as error:
        cause = error.__cause__
        if isinstance(cause, ValueError | OSError | ModuleNotFoundError):
            raise cause from None
        raise ValueError(f"cannot build {node.get('_target_')}: {' '.join(str(error).split())}") from error
