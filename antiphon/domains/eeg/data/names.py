"""Names of electrodes: one spelling each, whatever file they come from."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache

OLD_NAMES = {"T3": "T7", "T4": "T8", "T5": "P7", "T6": "P8"}  # of the 10-20 system before 1991
_PREFIX = re.compile(r"^(EEG|POL)[\s:_-]+", re.IGNORECASE)
_REFERENCE = re.compile(r"[\s_-]+(REF\d*|LE|AR|AVE?|AVG|CAR|A1\+?A2|M1\+?M2|[AM][12])$", re.IGNORECASE)


def canonical_name(name: str) -> str:
    """The 10-05 name of an electrode in today's spelling: "EEG FP1-REF", "Fp1." and "fp1" are Fp1, T3 is T7, "C3-A2" is C3.

    Case, dots at the end, the prefix EEG and a reference that is no scalp electrode do not count. A name that is none of the 10-05
    system's ("Channel 1", "Fp1-F7", "EMG") stays as it is.
    """
    stripped = name.strip()
    for candidate in (stripped, _PREFIX.sub("", stripped), _REFERENCE.sub("", _PREFIX.sub("", stripped))):
        key = candidate.strip(" .").upper()
        known = _spellings().get(OLD_NAMES.get(key, key))
        if known:
            return known
    return stripped


def is_electrode(name: str) -> bool:
    """Whether `canonical_name` knows it."""
    return canonical_name(name).upper() in _spellings()


def canonical_names(names: Sequence[str]) -> tuple[str, ...]:
    """`canonical_name` of each.

    Raises:
        ValueError: two channels that are one electrode by name.
    """
    found = tuple(canonical_name(name) for name in names)
    twice = sorted({name for name in found if found.count(name) > 1})
    if twice:
        spelled = ", ".join(name for name, one in zip(names, found, strict=True) if one == twice[0])
        raise ValueError(f"the channels {spelled} are all {twice[0]}: drop all but one of them")
    return found


@cache
def _spellings() -> dict[str, str]:
    from antiphon.domains.eeg.data.montage import template_positions

    return {name.upper(): name for name in template_positions() if name.upper() not in OLD_NAMES}
