"""MVCNet's views: each trial as it is, and changed once in time, in frequency and in space."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal

from torch import Tensor

from antiphon.common.augment.base import Augmentation
from antiphon.common.augment.gain import PolarityInversion
from antiphon.common.data.batch import View
from antiphon.common.random import KeyedRandom
from antiphon.domains.eeg.augmentations.electrodes import ChannelReflection, Unpaired
from antiphon.domains.eeg.augmentations.spectra import FrequencyShift

ViewKind = Literal["time", "frequency", "space"]
KINDS: tuple[ViewKind, ...] = ("time", "frequency", "space")


def checked_kinds(kinds: Sequence[str]) -> tuple[str, ...]:
    """`kinds` of views, each once at most; raises a ValueError for another."""
    wrong = [kind for kind in kinds if kind not in KINDS]
    if wrong or len(set(kinds)) < len(kinds):
        raise ValueError(f"views are {', '.join(KINDS)}, each once, got {', '.join(kinds)}")
    return tuple(kinds)


class MVCNetViews:
    """The raw trials, then one view for each of `kinds`; nothing here is random.

    "time" negates the signals, "frequency" moves them by `shift_hz` (single side band, at the true `sample_rate`; the released code
    takes 250 Hz for all), "space" exchanges the hemispheres (`names`, `pairs` and `unpaired` as in `reflection_order`).
    """

    def __init__(
        self,
        names: Sequence[str] | None = None,
        sample_rate: float | None = None,
        *,
        kinds: Sequence[str] = KINDS,
        shift_hz: float = 0.1,
        pairs: Sequence[Sequence[str]] | None = None,
        unpaired: Unpaired = "error",
    ) -> None:
        self.kinds = checked_kinds(kinds)
        self._changes: list[Augmentation] = []
        for kind in self.kinds:
            if kind == "time":
                self._changes.append(PolarityInversion(p=1.0))
            elif kind == "frequency":
                if sample_rate is None:
                    raise ValueError(
                        "the frequency view needs the sampling rate: give views.sample_rate, or leave it out of views.kinds"
                    )
                self._changes.append(FrequencyShift((shift_hz, shift_hz), sample_rate=sample_rate))
            else:
                if names is None:
                    raise ValueError(
                        "the space view needs the names of the electrodes: give views.names, or leave it out of views.kinds"
                    )
                self._changes.append(ChannelReflection(names, pairs=pairs, unpaired=unpaired, p=1.0))

    def __call__(self, signals: Tensor, lengths: Tensor, random: KeyedRandom) -> list[View]:
        """Signals (B, C, T) -> views, the raw one first."""
        return [View(signals, lengths), *(View(change(signals, lengths, random), lengths) for change in self._changes)]


def mirror_order(classes: Sequence[str], rule: str | Sequence[str] | None = "auto") -> list[int]:
    """The class of a trial's mirror image, for each class: left and right change places, feet stay.

    Args:
        classes: their names.
        rule: "auto" exchanges "left" and "right" in the names; where there is no class of the other side (right hand against
            feet) a class stays what it is, as published. None: every class stays. Or the name of each class's mirror image.

    Raises:
        ValueError: with "auto", if no name says left or right; a rule that is no permutation of the classes.
    """
    place = {name: number for number, name in enumerate(classes)}
    if rule is None:
        return list(range(len(place)))
    if rule != "auto":
        if isinstance(rule, str) or sorted(rule) != sorted(place):
            raise ValueError(f"mirrored_classes is {rule!r}: use auto, null, or an order of {', '.join(classes)}")
        return [place[name] for name in rule]
    if not any(re.search("left|right", name, re.IGNORECASE) for name in classes):
        raise ValueError(
            f"the classes {', '.join(classes)} do not say which is left and which right: give mirrored_classes=[...], the mirror "
            "image of each in order, or None where a reflection changes no class (objective.mirrored_classes, null in a command)"
        )
    return [place.get(_exchanged(name), place[name]) for name in classes]


def _exchanged(name: str) -> str:
    """left_hand <-> right_hand; upper and lower case stay as they are."""
    sides = {"left": "right", "right": "left", "Left": "Right", "Right": "Left", "LEFT": "RIGHT", "RIGHT": "LEFT"}
    return re.sub("|".join(sides), lambda found: sides[found[0]], name)
