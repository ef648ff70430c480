"""What simulated recordings differ in, and how that is put into words: reports to learn from, and prompts that are in no report."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

ATTRIBUTES: Mapping[str, tuple[str, ...]] = {
    "alpha": ("strong", "weak"),
    "slowing": ("no", "yes"),
    "beta": ("little", "much"),
    "side": ("both", "left", "right"),
}
"""Posterior 10-Hz rhythm; waves below 8 Hz everywhere; waves of 16 to 28 Hz in front; which hemisphere, if one, is too quiet."""

PHRASES: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "alpha": {
        "strong": (
            "a well developed posterior alpha rhythm",
            "prominent 10 Hz activity over the back of the head",
            "abundant alpha",
        ),
        "weak": (
            "a poorly developed posterior rhythm",
            "hardly any alpha activity",
            "scarce 10 Hz activity over the back of the head",
        ),
    },
    "slowing": {
        "no": ("no slow waves", "no theta or delta excess", "a background without slowing"),
        "yes": ("diffuse slowing", "excess theta and delta waves", "generalized slow activity"),
    },
    "beta": {
        "little": ("little beta", "a low amount of fast activity", "few beta waves"),
        "much": ("abundant frontal beta", "excess fast activity", "prominent beta waves"),
    },
    "side": {
        "both": ("a symmetric tracing", "equal amplitudes on both sides", "no asymmetry"),
        "left": ("attenuation over the left hemisphere", "lower amplitudes on the left", "a depressed left side"),
        "right": ("attenuation over the right hemisphere", "lower amplitudes on the right", "a depressed right side"),
    },
}

PROMPTS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "alpha": {
        "strong": ("This recording has strong alpha waves.", "The occipital alpha rhythm is well developed and abundant."),
        "weak": ("This recording has weak alpha waves.", "The occipital alpha rhythm is scarce and poorly developed."),
    },
    "slowing": {
        "no": ("This recording shows a background of no slowing.", "There are no excess delta or theta waves here."),
        "yes": (
            "This recording shows a slowing of the background everywhere.",
            "There are excess generalized delta and theta waves here.",
        ),
    },
    "beta": {
        "little": ("The beta waves in this recording are few.", "Fast beta activity is low here."),
        "much": ("The beta waves in this recording are abundant.", "Fast beta activity is prominent and in excess here."),
    },
    "side": {
        "both": ("The two hemispheres of this recording are symmetric.", "The amplitudes are equal, without any asymmetry."),
        "left": ("The left hemisphere of this recording is attenuated.", "The amplitudes of the left side are lower."),
        "right": ("The right hemisphere of this recording is attenuated.", "The amplitudes of the right side are lower."),
    },
}

_OPENINGS = ("This record shows", "The tracing is remarkable for", "In wakefulness there is", "The recording reveals")
_FILLERS = (
    "The patient was cooperative",
    "Electrode impedances were low",
    "Photic stimulation was not performed",
    "The room was quiet",
)


def report(attributes: Mapping[str, str], random: np.random.Generator) -> str:
    """A short report: each attribute in one of its phrases, between commas and in any order, and a remark that says nothing."""
    order = random.permutation(len(attributes)).tolist()
    names = [list(attributes)[number] for number in order]
    phrases = [str(random.choice(PHRASES[name][attributes[name]])) for name in names]
    return f"{random.choice(_OPENINGS)} {', '.join(phrases)}, {random.choice(_FILLERS)}."
