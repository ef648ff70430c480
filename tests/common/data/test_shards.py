"""Shards are read like loose files: same samples, same batches, wherever a run stops and however many share it."""

import json
import tarfile
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
import torch

from antiphon.common.data.audio_set import AudioSet
from antiphon.common.data.batch import SignalBatch
from antiphon.common.data.loader import KeyedLoader
from antiphon.common.data.manifest import Manifest, Row, read_manifest
from antiphon.common.data.shards import ShardSet, pack, shard_counts
from antiphon.common.signal.io import AudioInfo, read_audio, write_audio
from antiphon.common.signal.tar_member import archive_of

RATE = 8000


@pytest.fixture(scope="module")
def loose(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    """24 recordings of different length, one of them stereo."""
    folder = tmp_path_factory.mktemp("loose")
    rows = []
    for number in range(24):
        noise = np.random.default_rng(number).uniform(-0.5, 0.5, (1 + (number == 5), 2000 + 100 * number))
        path = folder / f"{number}.wav"
        write_audio(path, torch.from_numpy(noise).float(), RATE)
        rows.append(Row(str(path), labels=("odd" if number % 2 else "even",), group=str(number // 4), extra={"take": str(number)}))
    return Manifest(tuple(rows), "loose")


@pytest.fixture(scope="module")
def shards(loose: Manifest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("packed") / "shards"
    assert not pack(loose, folder, shard_size_mb=0.02, format="pcm16")
    return folder


def audio_set(kind: type[AudioSet], shards: Path) -> AudioSet:
    return kind.from_manifest(shards / "manifest.csv", sample_rate=RATE, window=1500, seed=3)


def same(first: SignalBatch, second: SignalBatch) -> bool:
    parts = ("signals", "lengths", "index", "groups")
    return all(torch.equal(getattr(first, part), getattr(second, part)) for part in parts) and torch.equal(
        first.labels["label"], second.labels["label"]
    )


def test_a_batch_of_shards_equals_one_of_loose_files(loose: Manifest, shards: Path) -> None:
    files = AudioSet.from_manifest(loose, sample_rate=RATE, window=1500, seed=3)
    packed = audio_set(AudioSet, shards)
    assert packed.classes == files.classes and len(shard_counts(shards)) > 5
    for epoch in range(2):
        assert same(packed.batch(np.arange(23, -1, -1), epoch=epoch), files.batch(np.arange(23, -1, -1), epoch=epoch))


def test_the_manifest_keeps_every_column_and_the_folder_can_be_moved(loose: Manifest, shards: Path, tmp_path: Path) -> None:
    moved = tmp_path / "elsewhere"
    moved.mkdir()
    for file in shards.iterdir():
        (moved / file.name).write_bytes(file.read_bytes())
    packed = read_manifest(moved / "manifest.csv")
    for column in ("label", "group", "take"):
        assert packed.column(column) == loose.column(column)
    torch.testing.assert_close(read_audio(packed[7].path)[0], read_audio(loose[7].path)[0], rtol=0, atol=0)
    counts = json.loads((moved / "index.json").read_text())
    assert counts["recordings"] == 24 == sum(shard["recordings"] for shard in counts["shards"])
    assert all((moved / shard["name"]).stat().st_size >= shard["bytes"] for shard in counts["shards"])


def test_webdataset_reads_them(loose: Manifest, shards: Path) -> None:
    webdataset = pytest.importorskip("webdataset")
    samples = list(webdataset.WebDataset(sorted(map(str, shards.glob("*.tar"))), shardshuffle=False).decode())
    assert len(samples) == 24
    assert samples[3]["json"] == {"source": "3.wav", "labels": ["odd"], "group": "0", "take": "3"}
    assert samples[3]["wav"][:4] == b"RIFF"


@pytest.mark.parametrize("kind", [AudioSet, ShardSet])
@pytest.mark.parametrize("stop", [1, 4, 6])
def test_a_killed_run_continues_where_it_stopped(shards: Path, kind: type[AudioSet], stop: int) -> None:
    def loader() -> KeyedLoader:
        return KeyedLoader(audio_set(kind, shards), batch_size=5, steps=9, seed=1)

    whole = list(loader())
    first = loader()
    begun = [batch for batch, _ in zip(first, range(stop), strict=False)]
    second = loader()
    second.load_state_dict({"position": stop})
    assert all(same(one, other) for one, other in zip([*begun, *second], whole, strict=True))


@pytest.mark.parametrize("kind", [AudioSet, ShardSet])
def test_two_ranks_and_two_workers_see_what_one_process_sees(shards: Path, kind: type[AudioSet]) -> None:
    whole = list(KeyedLoader(audio_set(kind, shards), batch_size=6, steps=6, seed=2))
    ranks = [list(KeyedLoader(audio_set(kind, shards), batch_size=6, steps=6, seed=2, rank=rank, world_size=2)) for rank in (0, 1)]
    for step, one in enumerate(whole):
        halves = [ranks[rank][step] for rank in (0, 1)]
        assert torch.equal(one.signals, torch.cat([half.signals for half in halves]))
        assert one.index.tolist() == list(chain(*(half.index.tolist() for half in halves)))
    fetched = KeyedLoader(audio_set(kind, shards), batch_size=6, steps=6, seed=2, workers=2)
    assert all(same(one, other) for one, other in zip(whole, fetched, strict=True))


def test_a_shard_set_visits_few_shards_at_a_time_and_everything_once(shards: Path) -> None:
    data = audio_set(ShardSet, shards)
    assert isinstance(data, ShardSet)
    shard_of = [archive_of(row.path) for row in data.manifest.rows]
    order = data.order(0, 0).tolist()
    assert sorted(order) == list(range(24))
    assert order != data.order(0, 1).tolist() and order != data.order(1, 0).tolist() and order == data.order(0, 0).tolist()
    visits = [shard_of[row] for row in order]
    last = {shard: place for place, shard in enumerate(visits)}
    opened: set[str | None] = set()
    for place, shard in enumerate(visits):
        opened.add(shard)
        assert len({name for name in opened if last[name] >= place}) <= data.mixed
    assert any(
        first != second for first, second in zip(visits, sorted(visits, key=visits.index), strict=True)
    )  # mixed, not in rows


def test_flac_resampled_and_mixed_down(loose: Manifest, tmp_path: Path) -> None:
    pack(loose, tmp_path / "flac", format="flac", sample_rate=RATE // 2, mono=True)
    packed = read_manifest(tmp_path / "flac/manifest.csv")
    assert {row.info.sample_rate for row in packed if row.info} == {RATE // 2}
    expected, _ = read_audio(loose[5].path, sample_rate=RATE // 2, mono=True)
    torch.testing.assert_close(read_audio(packed[5].path)[0], expected, rtol=0, atol=2**-15)


@pytest.mark.parametrize("format", ["flac", "copy"])
def test_rows_that_name_parts_of_a_file(loose: Manifest, tmp_path: Path, format: str) -> None:
    parts = Manifest(
        (
            Row(loose[0].path, start_s=0.05, end_s=0.1, labels=("a",)),
            Row(loose[1].path, labels=("b",)),
            Row(loose[0].path, start_s=0.1, labels=("c",)),
        )
    )
    pack(parts, tmp_path / "parts", format=format)  # type: ignore[arg-type]
    packed = read_manifest(tmp_path / "parts/manifest.csv")
    files = AudioSet.from_manifest(parts, sample_rate=RATE, window=300, windows="centre", classes=("a", "b", "c"))
    data = AudioSet.from_manifest(packed, sample_rate=RATE, window=300, windows="centre", classes=("a", "b", "c"))
    by_label = {int(label): row for row, label in enumerate(data.batch([0, 1, 2]).labels["label"])}
    found = data.batch([by_label[0], by_label[1], by_label[2]])
    torch.testing.assert_close(found.signals, files.batch([0, 1, 2]).signals, rtol=0, atol=2**-15)
    with tarfile.open(tmp_path / "parts/000000.tar") as archive:
        recordings = [name for name in archive.getnames() if not name.endswith(".json")]
    assert len(recordings) == (2 if format == "copy" else 3)  # a file is copied once


def test_shards_can_be_packed_again(shards: Path, loose: Manifest, tmp_path: Path) -> None:
    pack(read_manifest(shards / "manifest.csv"), tmp_path / "again", format="copy")
    again = read_manifest(tmp_path / "again/manifest.csv")
    assert len(shard_counts(tmp_path / "again")) == 1
    torch.testing.assert_close(read_audio(again[9].path)[0], read_audio(loose[9].path)[0], rtol=0, atol=0)


def test_what_cannot_be_read_stops_it_or_is_listed_and_nothing_is_left_behind(loose: Manifest, tmp_path: Path) -> None:
    damaged = tmp_path / "in/damaged.wav"
    damaged.parent.mkdir()
    damaged.write_bytes(Path(loose[0].path).read_bytes()[:1000])
    mixed = Manifest((Row(str(damaged)), loose[1]))
    with pytest.raises(ValueError, match=r"1 of 2 recordings cannot be packed \(first: .*damaged\.wav: "):
        pack(mixed, tmp_path / "out/shards")
    assert list((tmp_path / "out").iterdir()) == []
    left_out = pack(mixed, tmp_path / "out/shards", quarantine=True)
    assert len(left_out) == 1 and left_out.total == 2
    assert len(read_manifest(tmp_path / "out/shards/manifest.csv")) == 1


def test_a_copy_that_could_not_be_read_back_is_refused(loose: Manifest, tmp_path: Path) -> None:
    (tmp_path / "film.m4a").write_bytes(bytes(1000))
    film = Manifest((Row(str(tmp_path / "film.m4a"), info=AudioInfo(RATE, 1, 100)), loose[0]))  # as if torchcodec had read it
    assert "pack it as flac" in pack(film, tmp_path / "shards", format="copy", quarantine=True).summary()


def test_more_channels_than_flac_holds(tmp_path: Path) -> None:
    write_audio(tmp_path / "ambisonics.wav", torch.zeros(16, 100), RATE)
    wide = Manifest((Row(str(tmp_path / "ambisonics.wav")),))
    with pytest.raises(ValueError, match=r"16 channels at 8000 Hz cannot be written as flac .* use pcm16"):
        pack(wide, tmp_path / "flac")
    pack(wide, tmp_path / "wav", format="pcm16")
    assert read_audio(read_manifest(tmp_path / "wav/manifest.csv")[0].path)[0].shape == (16, 100)


def test_mistakes_are_refused(loose: Manifest, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="format must be one of flac, pcm16, copy, got 'mp3'"):
        pack(loose, tmp_path / "x", format="mp3")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="format='copy' leaves files as they are"):
        pack(loose, tmp_path / "x", format="copy", sample_rate=8000)
    with pytest.raises(ValueError, match="shard_size_mb must be above 0"):
        pack(loose, tmp_path / "x", shard_size_mb=0)
    with pytest.raises(ValueError, match="is there already"):
        pack(loose, tmp_path)
    with pytest.raises(ValueError, match="none of 1 recordings"):
        pack(Manifest((Row(str(tmp_path / "gone.wav")),)), tmp_path / "x", quarantine=True)
