"""Blocks of a file are the file, windows cover it, and frames lie where the grid says."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from torch import Tensor

import antiphon
from antiphon.common.encoder import Encoder, InputSpec
from antiphon.common.signal.io import read_audio
from antiphon.domains.keyword_spotting.streams import (
    frame_grid,
    frames_in,
    read_blocks,
    sliding_windows,
    stream_embeddings,
    stream_frames,
)

TINY: dict[str, dict[str, Any]] = {
    "log_mel": {"window": 2048, "sample_rate": 8000, "fft_size": 256, "hop": 32, "mels": 16, "width": 4, "embedding_dim": 8},
    "sample_cnn": {"window": 729, "sample_rate": 8000},
    "tc_resnet": {"sample_rate": 8000, "mels": 10, "fft_size": 128, "frame_size": 100, "hop": 40, "channels": [4, 6, 8]},
    "cab": {"window": 4000, "sample_rate": 8000, "embedding_dim": 16},
    "bc_resnet": {"window": 4000, "sample_rate": 8000},
    "aligned_frames": {"width": 16, "sample_rate": 8000},
    "fast_resnet34": {"sample_rate": 8000},
}


class Loudness(Encoder):
    """One frame for every 100 samples: mean and mean square of them. Any length."""

    def __init__(self) -> None:
        super().__init__(
            embedding_dim=2, input_spec=InputSpec(channels=1, sample_rate=8000, min_length=100), config={}, pooling="mean"
        )

    def encode(
        self,
        signals: Tensor,
        lengths: Tensor | None = None,
        *,
        mask: Tensor | None = None,
        context: Mapping[str, Any] | None = None,
    ) -> Tensor:
        parts = signals.unfold(-1, 100, 100)[:, 0]
        return torch.stack((parts.mean(dim=-1), parts.square().mean(dim=-1)), dim=-1)


@pytest.mark.parametrize(("rate", "wanted"), [(8000, 8000), (44_100, 16_000)])
def test_blocks_are_the_file(tmp_path: Path, rate: int, wanted: int) -> None:
    waves = np.random.default_rng(0).uniform(-0.5, 0.5, (int(2.345 * rate), 2))
    soundfile.write(tmp_path / "long.wav", waves, rate)
    blocks = list(read_blocks(tmp_path / "long.wav", sample_rate=wanted, mono=True, block_s=0.5))
    assert len(blocks) == 5 and all(block.shape[-1] == wanted // 2 for block in blocks[:-1])
    whole, _ = read_audio(tmp_path / "long.wav", sample_rate=wanted, mono=True)
    torch.testing.assert_close(torch.cat(blocks, dim=-1), whole, atol=1e-4, rtol=0)


@pytest.mark.parametrize("sizes", [[1000], [1] * 50 + [950], [333, 333, 334], [90, 910]])
@pytest.mark.parametrize(("size", "hop"), [(100, 100), (100, 30), (999, 7), (1000, 500), (1500, 100), (64, 1)])
def test_windows_are_those_of_the_whole_and_cover_it(sizes: list[int], size: int, hop: int) -> None:
    waves = torch.arange(1.0, 1001.0)[None]
    found = list(sliding_windows(waves.split(sizes, dim=-1), size=size, hop=hop))
    count = max(1, 1 + -(-(1000 - size) // hop))
    padded = torch.nn.functional.pad(waves, (0, size + hop))
    expected = torch.stack([padded[:, start : start + size] for start in range(0, count * hop, hop)])
    torch.testing.assert_close(torch.cat([windows for _, windows in found]), expected)
    starts = [start for start, _ in found]
    lengths = np.cumsum([0] + [len(windows) for _, windows in found])[:-1]
    assert starts == [int(number) * hop for number in lengths]
    assert not list(sliding_windows([], size=5, hop=5))


def test_frames_of_a_stream_are_those_of_the_whole() -> None:
    """Where a frame sees only its own samples, cutting a recording into windows changes nothing, whatever the blocks."""
    encoder, waves = Loudness(), torch.randn(1, 100_000)
    grid = frame_grid(encoder)
    assert grid.period == 100.0 and grid.window == 16_000 and grid.kept == 80
    for blocks in (waves.split(7777, dim=-1), [waves]):
        found = torch.cat(list(stream_frames(encoder, blocks, grid)))
        torch.testing.assert_close(found[:1000], encoder.frames(waves[None])[0])
        assert found[1000:].abs().max() == 0 and frames_in(100_000, grid) == 1000


@pytest.mark.parametrize("name", TINY)
def test_frames_of_every_encoder_keep_time(name: str) -> None:
    """A click moves the frames around it, and these lie where the grid says, early and late in a recording."""
    torch.manual_seed(0)
    encoder = antiphon.create_encoder(name, **TINY[name]).eval()
    grid = frame_grid(encoder)
    quiet = 0.01 * torch.randn(1, 40_000)
    before = torch.cat(list(stream_frames(encoder, [quiet], grid)))
    assert abs(len(before) * grid.period - 40_000) <= max(grid.window, grid.period) + grid.period
    for place in (5000, 33_000):
        loud = quiet.clone()
        loud[:, place : place + 40] += 1.0
        after = torch.cat(list(stream_frames(encoder, [loud], grid)))
        moved = ((after - before).norm(dim=1) / before.norm(dim=1)).numpy()
        frames = np.flatnonzero(moved > 0.3 * moved.max()) * grid.period
        reach = max(grid.window, 171 * 40)  # a causal encoder sees the click later, one of windows anywhere in its window
        assert len(frames) and place - grid.window - grid.period <= frames.min() and frames.max() <= place + reach


def test_embeddings_come_with_their_places() -> None:
    encoder, waves = Loudness(), torch.randn(1, 20_000)
    found = list(stream_embeddings(encoder, waves.split(6000, dim=-1), size=1000, hop=200))
    embeddings = torch.cat([part for _, part in found])
    assert len(embeddings) == 96
    for start, part in found:
        torch.testing.assert_close(part[0], encoder.embed(waves[None, :, start : start + 1000])[0])
