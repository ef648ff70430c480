"""Who speaks in which file: the layouts of VoxCeleb and CN-Celeb, folders of speakers, manifests, open sets. Nothing is downloaded.

In every manifest that is made here `group` is the speaker, so that no split tears one apart, and a further column `session` holds
what else belongs together (the video, the recording day) where it is known. Labels (words) are left out.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from antiphon.common.data.codes import required_column
from antiphon.common.data.manifest import Manifest, Row
from antiphon.common.data.quarantine import Quarantine, tell
from antiphon.common.data.recordings import open_recordings
from antiphon.common.signal.io import AUDIO_SUFFIXES

_IDENTITY = re.compile(r"id\d{5}")
_IDENTITY_GLOB = "id" + "[0-9]" * 5
_OFFICIAL = {"dev": "train", "test": "test"}


def voxceleb(root: str | Path) -> Manifest:
    """VoxCeleb1 or 2: `id10001/VIDEO/00001.wav` (or .m4a, .flac), below any folders such as `wav` or `dev/aac`.

    The session is the video. `vox1_meta.csv` or `vox2_meta.csv`, in `root` or in the two folders above it, give gender, nationality
    and the official part; without them a folder `dev` or `test` below `root` says the part. dev is train.
    """
    root = Path(root).expanduser()
    known, rows = _voxceleb_speakers(root), []
    for file in _audio_files(root):
        parts = file.relative_to(root).parts
        place = next((number for number, part in enumerate(parts) if _IDENTITY.fullmatch(part)), None)
        if place is None or place + 2 >= len(parts):
            continue
        about = dict(known.get(parts[place], {}))
        part = next((_OFFICIAL[name] for name in parts[:place] if name in _OFFICIAL), _OFFICIAL.get(about.pop("set", "")))
        rows.append(_row(file, parts[place], split=part, session="/".join(parts[place:-1]), **about))
    return _manifest(rows, "voxceleb", root, "id10001/VIDEO/00001.wav")


def _voxceleb_speakers(root: Path) -> dict[str, dict[str, str]]:
    """Identity -> gender, nationality, set, from the lists that come with the recordings."""
    found: dict[str, dict[str, str]] = {}
    for folder in (root, *root.absolute().parents[:2]):
        for name in ("vox1_meta.csv", "vox2_meta.csv"):
            lines = (folder / name).read_text(encoding="utf-8").splitlines() if (folder / name).is_file() else []
            table = [[cell.strip() for cell in re.split(r"[,\t]", line)] for line in lines if line.strip()]
            for cells in table[1:]:
                about = {title.lower(): cell for title, cell in zip(table[0][1:], cells[1:], strict=False)}
                found[cells[0]] = {title: about[title] for title in ("gender", "nationality", "set") if about.get(title)}
    return found


def cn_celeb(root: str | Path) -> Manifest:
    """CN-Celeb1 or 2: `data/id00000/singing-01-002.flac`, with `dev/dev.lst` where it is there.

    `genre` is the first word of a file's name, the session the first two. The speakers of `dev/dev.lst` are train, the others test;
    without that list there are no parts.
    """
    root = Path(root).expanduser()
    base, lines = root / "data" if (root / "data").is_dir() else root, root / "dev" / "dev.lst"
    learnt = set(lines.read_text().split()) if lines.is_file() else None
    rows = []
    for file in _audio_files(base):
        speaker, words = file.parent.name, file.stem.split("-")
        if _IDENTITY.fullmatch(speaker):
            part = None if learnt is None else "train" if speaker in learnt else "test"
            rows.append(_row(file, speaker, split=part, session=f"{speaker}/{'-'.join(words[:2])}", genre=words[0]))
    return _manifest(rows, "cn_celeb", root, "data/id00000/singing-01-002.flac")


def speakers(root: str | Path) -> Manifest:
    """Any recordings: one of the layouts above where folders are called like it, else a folder, a manifest, or an open set by name.

    A column `speaker` says who speaks; without one the sub-folders of a folder (the single labels of a manifest) are the speakers,
    and where there are none either, the recordings have no speakers: one can learn from them, but not evaluate.

    Raises:
        ValueError: a manifest in which some rows have a speaker and some have not. Of an open set these are left out and listed.
    """
    path = Path(root).expanduser()
    if path.is_dir():
        found = (one for depth in ("", "*/", "*/*/") for one in sorted(path.glob(depth + _IDENTITY_GLOB)))
        identity = next((one for one in found if one.is_dir()), None)
        if identity is not None:
            return voxceleb(path) if any(inside.is_dir() for inside in identity.iterdir()) else cn_celeb(path)
    manifest = open_recordings(root)
    if not any(row.speaker for row in manifest):
        if not all(len(row.labels) == 1 for row in manifest):
            return manifest
        return replace(manifest, rows=tuple(_grouped(replace(row, speaker=row.labels[0])) for row in manifest))
    if not path.exists():
        voices = tuple(row for row in manifest if row.speaker)
        others = tuple((row.path, "no voice: it has no speaker") for row in manifest if not row.speaker)
        tell(manifest.name, Quarantine(others, len(manifest)))
        manifest = replace(manifest, rows=voices)
    required_column(manifest, "speaker")
    return replace(manifest, rows=tuple(map(_grouped, manifest)))


LAYOUTS: Mapping[str, Callable[[Path], Manifest]] = {"voxceleb": voxceleb, "cn_celeb": cn_celeb}


def _grouped(row: Row) -> Row:
    told = row.group is None or row.group == row.speaker or "session" in row.extra
    extra = row.extra if told else {**row.extra, "session": row.group or ""}
    return replace(row, group=row.speaker, labels=(), extra=extra)  # a split would try to give every label to both of its parts


def _row(file: Path, speaker: str, *, split: str | None, **extra: str) -> Row:
    return Row(str(file), speaker=speaker, group=speaker, split=split, extra=extra)


def _audio_files(root: Path) -> Iterator[Path]:
    return iter(sorted(file for file in root.rglob("*") if file.suffix.lower() in AUDIO_SUFFIXES))


def _manifest(rows: list[Row], name: str, root: Path, example: str) -> Manifest:
    if not rows:
        raise ValueError(f"{root} holds no files like {example}, as {name} has them: use data.layout=auto for other folders")
    return Manifest(tuple(rows), name)
