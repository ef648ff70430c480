"""Spoken words, letters and sentences.

A `label` is language/word, since a word of one language is another word in the next. Packages do not name their speakers: `speaker`
is the package with the folder of a voice, which may hold more than one person.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

from antiphon.common.data.manifest import Row


def _spoken(
    path: Path, *, speaker: str, language: str, word: str | None = None, kind: str = "word", text: str | None = None
) -> Row:
    labels = (f"{language}/{word}",) if word else ()
    extra = {"kind": kind, "language": language, **({"word": word} if word else {})}
    return Row(str(path), labels=labels, text=text, speaker=speaker, group=speaker, extra=extra)


def read_kajongg(folder: Path) -> Iterator[Row]:
    """Calls of a mahjong game, in German (`language` de) and in the game's default voices (`default`: no language is stated).

    The speakers of both are called alike and sound alike, so they are four people, not eight.
    """
    for path in sorted(folder.rglob("*.ogg")):
        language = "de" if path.parent.parent.name == "de" else "default"
        yield _spoken(path, speaker=f"kajongg-{path.parent.name}", language=language, word=path.stem)


def _words_of(description: Path, folder: Path) -> dict[Path, str]:
    """Sound file -> what is said in it, from KDE's description of a language."""
    words: dict[Path, str] = {}
    for sound in ElementTree.parse(description).iter("sound"):
        words.setdefault(folder / sound.attrib["file"], sound.attrib["name"].strip())
    return words


def read_klettres(folder: Path) -> Iterator[Row]:
    """Letters (`kind` letter) and syllables of 20 languages, one voice each."""
    for description in sorted(folder.glob("*/sounds.xml")):
        language, words = description.parent.name, _words_of(description, folder)
        for path in sorted(description.parent.rglob("*.ogg")):
            kind = "letter" if path.parent.name == "alpha" else "syllable"
            word = words.get(path, path.stem).upper()
            yield _spoken(path, speaker=f"klettres-{language}", language=language, word=word, kind=kind)


def read_ktuberling(folder: Path) -> Iterator[Row]:
    """Names of things in 23 languages, one voice each; `word` is the thing in English, whatever the language.

    A recording that serves for several things is listed once.
    """
    seen: set[str] = set()
    for description in sorted(folder.glob("*.soundtheme")):
        language = description.stem
        for path, word in sorted(_words_of(description, folder).items()):
            if not path.is_file() or (digest := hashlib.sha256(path.read_bytes()).hexdigest()) in seen:
                continue
            seen.add(digest)
            yield _spoken(path, speaker=f"ktuberling-{path.parent.name}", language=language, word=word.replace("_", " "))


_ASTERISK_KINDS = {"letters": "letter", "digits": "number", "phonetic": "phonetic", "dictate": "prompt", "followme": "prompt"}


def read_asterisk(folder: Path) -> Iterator[Row]:
    """One American voice: letters, numbers, the phonetic alphabet and telephone prompts; tones and silence are left out."""
    for path in sorted(folder.rglob("*.wav")):
        if path.parent.name == "silence" or re.search("beep|tone$", path.stem):
            continue
        kind = _ASTERISK_KINDS.get(path.parent.name, "prompt")
        word = path.stem.removesuffix("_p").replace("-", " ")
        yield _spoken(path, speaker="asterisk-Allison", language="en", word=word.upper() if kind == "letter" else word, kind=kind)
