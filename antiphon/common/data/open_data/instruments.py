"""Recorded notes, drum hits and loops."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

from antiphon.common.data.manifest import Row
from antiphon.common.data.open_data.gus_patch import read_patch, write_note

GENERAL_MIDI_FAMILIES = (
    "piano", "chromatic percussion", "organ", "guitar", "bass", "strings", "ensemble", "brass",
    "reed", "pipe", "synth lead", "synth pad", "synth effects", "ethnic", "percussive", "sound effects",
)  # fmt: skip
"""Eight programs each, in the order of the program numbers."""

_DRUMS = (  # the first pattern that fits the name of a drum says its class
    (r"cow ?bell", "cowbell"),
    (r"hi-? ?hat|\bhat\b|\bo?hh\b", "hi-hat"),
    (r"snare", "snare"),
    (r"stick|\brim|click", "stick"),
    (r"kick|bass ?drum", "kick"),
    (r"\btom", "tom"),
    (r"clap", "clap"),
    (r"ride", "ride"),
    (r"crash|splash|china|cymbal", "cymbal"),
    (r"\bbell\b", "bell"),
    (r"tambourine|maraca", "shaker"),
    (r"bongo|conga|djembe|cajon|sangban|dununba|kenkeni", "hand drum"),
    (r"agogo|clave|woodblock", "block"),
)


def read_freepats(folder: Path) -> Iterator[Row]:
    """One row a note: `label` the instrument, `family` by General MIDI, `root_hz`, `kind` melodic or drum.

    Notes of one pitch in one patch are one `group`. A recording that the package holds twice (four do, one of them as two
    instruments) is listed once.
    """
    seen: set[str] = set()
    for patch in sorted(folder.rglob("*.pat"), key=lambda path: (path.parent.name != "Tone_000", path)):
        number, instrument = int(patch.stem[:3]), patch.stem[4:].replace("--", " ").replace("_", " ")
        melodic = patch.parent.name == "Tone_000"
        for place, note in enumerate(read_patch(patch.read_bytes())):
            digest = hashlib.sha256(note.samples.tobytes()).hexdigest()
            if digest in seen:
                continue
            seen.add(digest)
            path = patch.parent / patch.stem / f"{place:02d}.wav"
            write_note(path, note)
            yield Row(
                str(path),
                labels=(instrument,),
                group=f"{patch.stem} {note.root_hz:g} Hz",
                extra={
                    "kind": "melodic" if melodic else "drum",
                    "family": GENERAL_MIDI_FAMILIES[number // 8] if melodic else "drums",
                    "midi": str(number),
                    "root_hz": f"{note.root_hz:g}",
                },
            )


def read_hydrogen(folder: Path) -> Iterator[Row]:
    """One row a sample that a drum kit uses: `label` the class of drum where its name tells, `instrument` that name.

    `group` is the kit.
    """
    for description in sorted(folder.glob("*/drumkit.xml")):
        kit = description.parent
        for path, instrument in sorted(_kit_samples(description).items()):
            if "emptySample" not in path.name:
                drum = _drum_class(instrument)
                yield Row(
                    str(path), labels=(drum,) if drum else (), group=kit.name, extra={"instrument": instrument, "kit": kit.name}
                )


def _kit_samples(description: Path) -> dict[Path, str]:
    """The sample files of a Hydrogen kit, each with the name of the instrument that uses it first."""
    samples: dict[Path, str] = {}
    for element in ElementTree.parse(description).iter():
        if element.tag.split("}")[-1] != "instrument":
            continue
        parts = {part.tag.split("}")[-1]: (part.text or "").strip() for part in element}
        for part in element.iter():
            path = description.parent / (part.text or "")
            if part.tag.split("}")[-1] == "filename" and part.text and path.is_file():
                samples.setdefault(path, re.sub(r"\s+", " ", parts.get("name", "")))
    return samples


def _drum_class(name: str) -> str | None:
    return next((drum for pattern, drum in _DRUMS if re.search(pattern, name.lower())), None)


def read_sonic_pi(folder: Path) -> Iterator[Row]:
    """One row a sample: `label` the prefix of its name (bd, drum, loop, tabla, ...)."""
    for path in sorted(folder.glob("*.flac")):
        yield Row(str(path), labels=(path.stem.split("_")[0],), text=path.stem.replace("_", " "), group=path.stem)
