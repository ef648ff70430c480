"""Sound events with names or captions, the speech that stands beside them in the same packages, and animals."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from pathlib import Path

from antiphon.common.data.manifest import Row


def read_qabcs(folder: Path) -> Iterator[Row]:
    """`kind` noise: `label` the folder of its picture (animals, toys, instrument, misc), `text` its name.

    `kind` letter and word: one voice each in English and Ukrainian; the package's other voices may be synthetic and are left out.
    """
    classes = {picture.stem: picture.parent.name for picture in folder.glob("all/pics/*/*.png")}
    for path in sorted(folder.glob("all/noises/*.ogg")):
        labels = (classes[path.stem],) if path.stem in classes else ()
        yield Row(str(path), labels=labels, text=path.stem.replace("_", " "), group=path.stem, extra={"kind": "noise"})
    for language in ("en", "uk"):
        speaker = f"qabcs-{language}"
        for path in sorted(folder.glob(f"{language}/sounds/*/*.ogg")):
            letter = path.parent.name == "alpha"
            word = path.stem.upper() if letter else path.stem.replace("_", " ")
            extra = {"kind": "letter" if letter else "word", "language": language, "word": word}
            yield Row(str(path), labels=(f"{language}/{word}",), speaker=speaker, group=speaker, extra=extra)


_LANGUAGE = "[a-z]{2}(?:_[A-Za-z]{2})?"
_CAPTION = re.compile(rf"(?P<stamp>.+)_desc(?:_(?P<language>{_LANGUAGE}))?$")
_SYMBOL = re.compile(rf"(?P<word>[A-Za-z0-9])(?:_filled|_outlined)?(?:_(?P<language>{_LANGUAGE}))?$")


def read_tuxpaint(folder: Path) -> Iterator[Row]:
    """`kind` caption: a sentence about a `picture`, spoken in one of 14 languages, with its `text`.

    `kind` effect: what the picture's subject sounds like, with the English caption as `text` and the folder as `label`; `kind`
    letter and digit: spoken symbols. A recording that serves for several pictures is listed once, with the first. Untagged captions
    count as English.
    """
    seen: set[str] = set()
    for path in sorted(path for path in folder.rglob("*") if path.suffix in (".ogg", ".wav")):
        if "german" in path.parts:  # letters with an umlaut: in which language is not stated
            continue
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        if digest not in seen:
            seen.add(digest)
            yield _stamp_sound(path, path.relative_to(folder).parts)


def _stamp_sound(path: Path, parts: tuple[str, ...]) -> Row:
    stem = path.name.split(".")[0]  # there is one .ogg.ogg
    caption, symbol = _CAPTION.match(stem), _SYMBOL.match(stem)
    if caption:
        language = caption["language"] or "en"
        text = _caption(path.with_name(f"{caption['stamp']}.txt"), caption["language"])
        speaker = f"tuxpaint-{language}"
        extra = {"kind": "caption", "language": language, "picture": "/".join((*parts[:-1], caption["stamp"]))}
        return Row(str(path), text=text, speaker=speaker, group=speaker, extra=extra)
    if symbol and parts[:2] in (("symbols", "alphabets"), ("symbols", "math")):
        language, word = symbol["language"] or "en", symbol["word"].upper()
        kind, speaker = ("digit" if word.isdigit() else "letter"), f"tuxpaint-{language}"
        extra = {"kind": kind, "language": language, "word": word}
        return Row(str(path), labels=(f"{language}/{word}",), speaker=speaker, group=speaker, extra=extra)
    text = _caption(path.with_name(f"{stem}.txt"), None) or stem.replace("_", " ")
    extra = {"kind": "effect", "picture": "/".join((*parts[:-1], stem))}
    return Row(str(path), labels=("/".join(parts[:-1][:2]),), text=text, group=stem, extra=extra)


def _caption(path: Path, language: str | None) -> str | None:
    """What a stamp's text file says in a language: English stands in the first line, others behind language.utf8=."""
    if not path.is_file():
        return None
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    if language is None:
        return lines[0].strip() or None if lines else None
    return next((line.partition("=")[2].strip() or None for line in lines if line.startswith(f"{language}.utf8=")), None)


def read_pykanto(folder: Path) -> Iterator[Row]:
    """Bird song: `label` the species, `individual` the bird where it is known, which is the `group`."""
    for path in sorted(folder.glob("segmented/great_tit/WAV/*.wav")):
        about = json.loads((path.parent.parent / "JSON" / f"{path.stem}.JSON").read_text())
        yield Row(str(path), labels=("great tit",), group=about["ID"], extra={"individual": about["ID"]})
    for path in sorted(folder.glob("raw/BENGALESE_FINCH/*/*.wav")):
        yield Row(str(path), labels=("Bengalese finch",), group=path.parent.name, extra={"individual": path.parent.name})
    for path in sorted(folder.glob("raw/STORM-PETREL/*.wav")):
        yield Row(str(path), labels=("European storm petrel",), group=path.stem)


def read_sofa(folder: Path) -> Iterator[Row]:
    """Head-related impulse responses, a SOFA file each."""
    for path in sorted(folder.glob("*.sofa")):
        yield Row(str(path))
