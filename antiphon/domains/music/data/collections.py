"""The usual public collections of music, as their folders lie once unpacked, read into manifests. Nothing is downloaded."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

from antiphon.common.data.manifest import Manifest, Row

MTAT_TAGS = 50
_MTAT_SPLITS = {"train": "train_gt_mtt.tsv", "valid": "val_gt_mtt.tsv", "test": "test_gt_mtt.tsv"}
_MTAT_FOLDERS = {"train": "0123456789ab", "valid": "c", "test": "def"}
_JAMENDO_SPLITS = {"train": "train", "valid": "validation", "test": "test"}
_FMA_SPLITS = {"training": "train", "validation": "valid", "test": "test"}


def magnatagatune(root: str | Path, *, tags: int = MTAT_TAGS) -> Manifest:
    """MagnaTagATune: `annotations_final.csv` and the folders `0` ... `f` of clips, mp3 or converted to .wav.

    Labels are the `tags` most frequent ones. With `train_gt_mtt.tsv`, `val_gt_mtt.tsv`, `test_gt_mtt.tsv` in `root` (the lists of
    musicnn-training that CLMR uses), these say which clips count and where; without them the sixteen folders are split 12 : 1 : 3.
    The group of a clip is its track, so both are taken as they are published.
    """
    root = Path(root).expanduser()
    with _opened(root / "annotations_final.csv") as lines:
        records = list(csv.DictReader(lines, delimiter="\t"))
    counts = Counter({name: sum(row[name] == "1" for row in records) for name in records[0] if name not in ("clip_id", "mp3_path")})
    chosen = [name for name, _ in counts.most_common(tags)]
    lists = _mtat_lists(root)
    rows = []
    for record in records:
        path = record["mp3_path"]
        folders = [split for split, letters in _MTAT_FOLDERS.items() if path[:1] in letters]
        split = lists.get(record["clip_id"]) if lists else next(iter(folders), None)
        file = _either(root / path)
        if split is None or file is None:
            continue
        labels = tuple(name for name in chosen if record[name] == "1")
        rows.append(Row(str(file), labels=labels, group=file.stem.rsplit("-", 2)[0], split=split))
    return _manifest(rows, "magnatagatune", root)


def _mtat_lists(root: Path) -> dict[str, str]:
    """The split of each clip by its number, where the lists are there."""
    found = {split: root / name for split, name in _MTAT_SPLITS.items()}
    if not all(file.is_file() for file in found.values()):
        return {}
    return {line.split("\t")[0]: split for split, file in found.items() for line in file.read_text().splitlines() if line}


def gtzan(root: str | Path) -> Manifest:
    """GTZAN: folders of ten genres, or one folder `genres` or `genres_original` of them, with files like `blues/blues.00000.wav`.

    Splits are the artist- and fault-filtered lists: `train_filtered.txt`, `valid_filtered.txt`, `test_filtered.txt` in `root` where
    they are, else those that torchaudio carries. Files on no list are left out.
    """
    root = Path(root).expanduser()
    base = next((root / name for name in ("genres", "genres_original") if (root / name).is_dir()), root)
    lists = _gtzan_lists(root)
    rows = []
    for file in sorted([*base.glob("*/*.wav"), *base.glob("*/*.au")]):
        if file.stem in lists:
            rows.append(Row(str(file), labels=(file.parent.name,), group=file.stem, split=lists[file.stem]))
    return _manifest(rows, "gtzan", root)


def _gtzan_lists(root: Path) -> dict[str, str]:
    files = {split: root / f"{split}_filtered.txt" for split in ("train", "valid", "test")}
    if all(file.is_file() for file in files.values()):
        return {Path(line.strip()).stem: split for split, file in files.items() for line in file.read_text().splitlines() if line}
    from torchaudio.datasets import gtzan as carried

    names = {"train": carried.filtered_train, "valid": carried.filtered_valid, "test": carried.filtered_test}
    return {name: split for split, members in names.items() for name in members}


def mtg_jamendo(root: str | Path, *, subset: str = "autotagging_top50tags", fold: int = 0) -> Manifest:
    """MTG-Jamendo: its repository's `data/` beside (or with) the `audio/` folder of tracks, full (.mp3) or low quality (.low.mp3).

    `subset` is one of the lists (autotagging, autotagging_top50tags, autotagging_genre, autotagging_instrument,
    autotagging_moodtheme), `fold` one of its official splits. Labels are like "genre---rock", the group is the artist.
    """
    root = Path(root).expanduser()
    audio = root / "audio" if (root / "audio").is_dir() else root
    rows = []
    for split, name in _JAMENDO_SPLITS.items():
        with _opened(root / "data" / "splits" / f"split-{fold}" / f"{subset}-{name}.tsv") as lines:
            next(lines, None)
            for cells in csv.reader(lines, delimiter="\t"):
                file = _either(audio / cells[3])
                if file is not None:
                    rows.append(Row(str(file), labels=tuple(cells[5:]), group=cells[1], split=split))
    return _manifest(rows, "mtg_jamendo", root)


def fma(root: str | Path, *, subset: str = "small") -> Manifest:
    """FMA: `fma_metadata/tracks.csv` and `fma_<subset>/000/000002.mp3` (small, medium, large or full).

    The label is the track's top genre (tracks without one have none), the group its artist, the split the official one.
    """
    root = Path(root).expanduser()
    sizes = ("small", "medium", "large", "full")
    if subset not in sizes:
        raise ValueError(f"FMA has no subset {subset!r}: use one of {', '.join(sizes)}")
    rows = []
    with _opened(root / "fma_metadata" / "tracks.csv") as lines:
        table = csv.reader(lines)
        columns = list(zip(next(table), next(table), strict=True))  # two header lines and one that names the index
        next(table)
        place = {key: columns.index(key) for key in (("set", "split"), ("track", "genre_top"), ("artist", "id"))}
        for cells in table:
            number = f"{int(cells[0]):06d}"
            file = _either(root / f"fma_{subset}" / number[:3] / f"{number}.mp3")
            if file is not None:
                genre = cells[place["track", "genre_top"]]
                split = _FMA_SPLITS.get(cells[place["set", "split"]])
                rows.append(Row(str(file), labels=(genre,) if genre else (), group=cells[place["artist", "id"]], split=split))
    return _manifest(rows, f"fma_{subset}", root)


COLLECTIONS: dict[str, Callable[[str | Path], Manifest]] = {
    "magnatagatune": magnatagatune,
    "gtzan": gtzan,
    "mtg_jamendo": mtg_jamendo,
    "fma": fma,
}


def _either(file: Path) -> Path | None:
    """The file under its listed name, or converted, or in low quality; None where it is not there."""
    names = (file, file.with_suffix(".wav"), file.with_suffix(".flac"), file.with_suffix(".low.mp3"))
    return next((name for name in names if name.is_file()), None)


class _opened:
    """A text file whose absence is explained."""

    def __init__(self, path: Path) -> None:
        if not path.is_file():
            raise FileNotFoundError(f"{path} is missing: unpack the collection's annotations there, or use data.layout=folder")
        self.file = path.open(newline="", encoding="utf-8")

    def __enter__(self) -> Iterator[str]:
        return iter(self.file)

    def __exit__(self, *error: object) -> None:
        self.file.close()


def _manifest(rows: list[Row], name: str, root: Path) -> Manifest:
    if not rows:
        raise ValueError(
            f"{root} holds none of the recordings that the lists of {name} name: check that the audio is unpacked there"
        )
    return Manifest(tuple(rows), name)
