"""From the name of a recipe and overrides to plain containers, and from a `_target_` to an object."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any

import yaml


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

    Raises ValueError for an unknown recipe or an override that does not fit.
    """
    known = list_recipes()
    if recipe not in known:
        close = difflib.get_close_matches(recipe, known, n=1, cutoff=0.5)
        raise ValueError(f"unknown recipe {recipe!r}: {f'did you mean {close[0]}? ' if close else ''}`antiphon recipes` lists them")
    from hydra import compose as hydra_compose
    from hydra import initialize_config_module
    from hydra.core.global_hydra import GlobalHydra
    from hydra.errors import HydraException
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    previous = GlobalHydra.instance().hydra
    try:
        GlobalHydra.instance().clear()
        with initialize_config_module("antiphon.configs", version_base="1.3"):
            config = hydra_compose("pretrain", overrides=[f"recipe={recipe}", *overrides])
            plain = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    except (HydraException, OmegaConfBaseException, ValueError) as error:  # Hydra raises plain ones, too
        hint = " To leave a part out, write ~name instead of name=null." if "Got NoneType" in str(error) else ""
        raise ValueError(f"the config of {recipe} does not compose: {' '.join(str(error).split())}{hint}") from error
    finally:
        GlobalHydra.instance().clear()
        if previous is not None:
            GlobalHydra.instance().initialize(previous)
    if not isinstance(plain, dict):
        raise TypeError("the primary config must be a mapping")
    return {str(key): value for key, value in plain.items()}


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
