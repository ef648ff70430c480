"""Pieces of music with what is known of their makers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from antiphon.common.data.manifest import Row


def _tags(path: Path) -> dict[str, str]:
    """Artist, title, album and so on, as the file itself states them."""
    import soundfile

    with soundfile.SoundFile(path) as file:
        return {name: value.strip() for name, value in file.copy_metadata().items() if value.strip()}


def _columns(tags: dict[str, str], *names: str) -> dict[str, str]:
    return {name: tags[name] for name in names if name in tags}


def read_tagged(folder: Path) -> Iterator[Row]:
    """One row a track of a tagged soundtrack: `label` and `artist` from its tags, `group` the track."""
    for path in sorted(folder.rglob("*.ogg")):
        tags = _tags(path)
        if "artist" in tags:  # wesnoth's silence.ogg has no tags
            yield Row(str(path), labels=(tags["artist"],), group=path.stem, extra=_columns(tags, "artist", "title", "album"))


_HYPERROGUE_ARTISTS = {"hr3": "NeonCorridor", "hr-savino": "Will Savino", "hr-domina": "Lincoln Domina"}


def read_hyperrogue(folder: Path) -> Iterator[Row]:
    """`kind` music: `label` the artist by file name, since some tags are those of another track; `kind` effect: `text` its name."""
    for path in sorted(folder.glob("music/*.ogg")):
        prefix, title = path.stem.rsplit("-", 1)
        artist = _HYPERROGUE_ARTISTS[prefix]
        yield Row(str(path), labels=(artist,), group=path.stem, extra={"kind": "music", "artist": artist, "title": title})
    for path in sorted(folder.glob("sounds/*.ogg")):
        extra = {"kind": "effect", **_columns(_tags(path), "artist")}
        yield Row(str(path), text=path.stem.rstrip("0123456789").replace("-", " "), group=path.stem, extra=extra)


def read_untagged(folder: Path) -> Iterator[Row]:
    """One row a track, `group` the track."""
    for path in sorted(folder.rglob("*.ogg")):
        yield Row(str(path), group=path.stem)


def read_artist_in_name(folder: Path) -> Iterator[Row]:
    """One row a track; files are called artist-title."""
    for path in sorted(folder.glob("*.wav")):
        artist, title = (part.replace("_", " ") for part in path.stem.split("-", 1))
        yield Row(str(path), labels=(artist,), group=path.stem, extra={"artist": artist, "title": title})


def read_fretsonfire(folder: Path) -> Iterator[Row]:
    """Two rows a song: the guitar, and the band without it; `stem` says which, `group` is the song."""
    for path in sorted(folder.glob("*/*/*.ogg")):
        artist, song = path.parts[-3:-1]
        stem = {"guitar": "guitar", "song": "backing"}[path.stem]
        yield Row(str(path), labels=(artist,), group=f"{artist}/{song}", extra={"artist": artist, "title": song, "stem": stem})
