"""Views of EEG whose operations are told what the data know of themselves."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from inspect import Parameter, signature
from typing import Any

from antiphon.common.augment.base import Augmentation, AugmentedViews, Compose


def same_chain(
    steps: Sequence[Augmentation | Callable[..., Augmentation]],
    names: Sequence[str] | None = None,
    sample_rate: float | None = None,
    *,
    views: int = 2,
) -> AugmentedViews:
    """`views` views, each through `steps` with its own draws.

    A step may be a class, or a `functools.partial` of one (`_partial_: true` in a config): it then gets the `names` of the
    electrodes and the `sample_rate` in Hz, as far as it takes them and has none of its own.

    Raises:
        ValueError: a step needs one of them that is not known.
    """
    built = [step if isinstance(step, Augmentation) else _told(step, names=names, sample_rate=sample_rate) for step in steps]
    return AugmentedViews([Compose(built)] * views)


def _told(make: Callable[..., Augmentation], **known: Any) -> Augmentation:
    accepted = signature(make).parameters
    given = getattr(make, "keywords", {})
    wanted = {name: value for name, value in known.items() if name in accepted and given.get(name) is None}
    unknown = [name for name, value in wanted.items() if value is None and accepted[name].default is Parameter.empty]
    if unknown:
        called = getattr(getattr(make, "func", make), "__name__", str(make))
        raise ValueError(f"{called} needs {' and '.join(unknown)}, which the data do not tell: give views.{unknown[0]}")
    return make(**{name: value for name, value in wanted.items() if value is not None})
