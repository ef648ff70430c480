"""Every data config composes into one call that takes its arguments."""

from inspect import signature
from pathlib import Path

import pytest
from hydra.utils import get_object

from antiphon.run.config import compose, list_recipes

ROOT = Path(__file__).resolve().parents[2] / "configs" / "data"
CONFIGS = sorted(str(file.relative_to(ROOT).with_suffix("")) for file in ROOT.glob("*/*.yaml"))


def recipe_of(domain: str) -> str:
    return next(name for name in list_recipes() if name.startswith(f"{domain}/"))


@pytest.mark.parametrize("name", CONFIGS)
def test_it_composes_into_one_call(name: str) -> None:
    due = ["data.data=x"] if name == "time_series/files" else []
    data = compose(recipe_of(name.split("/")[0]), [f"data={name}", *due])["data"]
    parameters = signature(get_object(data["_target_"])).parameters
    unknown = set(data) - {"_target_", *parameters}
    takes_all = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())
    assert takes_all or not unknown, f"{data['_target_']} has no arguments {sorted(unknown)}"
