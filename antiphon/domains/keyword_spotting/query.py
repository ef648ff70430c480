"""Query by example: where in a long recording is a word said, of which there are one to five examples?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import normalize, pad

from antiphon.common.encoder import Encoder
from antiphon.common.signal.io import AudioError, audio_info, read_audio
from antiphon.common.signal.silence import sound_bounds
from antiphon.domains.keyword_spotting.peaks import KEPT, Background, Stretch, best_peaks, peaks
from antiphon.domains.keyword_spotting.streams import (
    FrameGrid,
    frame_grid,
    frames_in,
    read_blocks,
    stream_embeddings,
    stream_frames,
)

Comparison = Literal["dtw", "pooled"]
MOST_EXAMPLES = 5
FEWEST_FRAMES = 5  # of an example: with fewer there is no order to compare
SHORTEST_PERIOD_S = 0.005  # of frames: an encoder with more of them has one a sample, and is no encoder of words
HOPS_PER_WINDOW = 10


@dataclass(frozen=True)
class Spotting:
    """What `spot` found: `detections` in order of time, of `peaks` stretches that were looked at.

    `threshold` is what they had to reach, `derived` whether it comes from the recording; `best` is the highest score of all.
    `cut` says that there are more detections than are listed.
    """

    detections: tuple[Stretch, ...]
    threshold: float
    derived: bool
    best: float
    peaks: int
    cut: bool
    duration_s: float
    compare: Comparison
    query_durations_s: tuple[float, ...]


class _Scores(NamedTuple):
    """Stretches from `starts` to `ends` samples (n,), their scores (n,) and the example (n,) that each is most like."""

    starts: NDArray[np.int64]
    ends: NDArray[np.int64]
    scores: NDArray[np.floating]
    queries: NDArray[np.int64]


def spot(
    encoder: Encoder,
    queries: Sequence[str | Path],
    recording: str | Path,
    *,
    compare: Comparison | None = None,
    threshold: float | None = None,
    top: int | None = None,
    window_s: float | None = None,
    hop_s: float | None = None,
    trim_db: float | None = 40.0,
) -> Spotting:
    """Find the word of `queries` in `recording`, which is read in blocks: memory does not grow with its length.

    Scores are cosines, those of the example that is most alike. Of stretches that overlap by more than a quarter the best counts.

    Args:
        encoder: any encoder of sound.
        queries: one to five files, each an example of the word.
        recording: the file to be searched.
        compare: "dtw" aligns the frames of an example with the recording, at half to double speed, and gives the beginning and end
            of the alignment; "pooled" compares one embedding for each position of a window, which is blind to order where the
            encoder is. None: "dtw" where an example has 5 frames or more and no window is given, else "pooled".
        threshold: the least score of a detection; None: one that background alone, by the distribution of the scores in this
            recording, would exceed in every second recording.
        top: at most so many, the best.
        window_s: "pooled": how long the window is; None: the median duration of the examples.
        hop_s: "pooled": from one window to the next; None: a tenth of the window.
        trim_db: examples begin and end where they are so many dB below their loudest moment; None: as they are.

    Raises:
        ValueError: an encoder that is bound to no sampling rate, no example or more than five, a silent one, one with too few
            frames for "dtw", or options that do not fit.
        AudioError: a file that cannot be read.
    """
    _check(encoder, queries, compare, top, {"window_s": window_s, "hop_s": hop_s})
    rate, mono = int(encoder.input_spec.sample_rate or 0), encoder.input_spec.channels == 1
    examples = [_example(path, rate, mono, trim_db) for path in queries]
    background, duration_s, training = Background(), audio_info(recording).duration_s, encoder.training
    blocks = read_blocks(recording, sample_rate=rate, mono=mono)
    encoder.eval()
    try:
        grid = frame_grid(encoder)
        chosen = compare or _fitting(examples, grid, rate, spanned=window_s is not None or hop_s is not None)
        if chosen == "dtw":
            found = _aligned(encoder, examples, queries, blocks, grid)
        else:
            found = _pooled(encoder, examples, blocks, window_s=window_s, hop_s=hop_s)
        kept, count = best_peaks(peaks(_stretches(found, background, rate, duration_s)))
    finally:
        encoder.train(training)
    if not kept:
        raise AudioError(recording, f"too short to hold the word: it lasts {duration_s:g} s")
    least = background.threshold(count) if threshold is None else threshold
    passed = [peak for peak in kept if peak.score >= least]
    best = sorted(passed, key=lambda peak: -peak.score)[:top]
    return Spotting(
        detections=tuple(sorted(best, key=lambda peak: peak.start_s)),
        threshold=least,
        derived=threshold is None,
        best=max(peak.score for peak in kept),
        peaks=count,
        cut=len(passed) == KEPT < count and (top is None or top > KEPT),
        duration_s=duration_s,
        compare=chosen,
        query_durations_s=tuple(one.shape[-1] / rate for one in examples),
    )


def _check(
    encoder: Encoder, queries: Sequence[str | Path], compare: str | None, top: int | None, spans: Mapping[str, float | None]
) -> None:
    if encoder.input_spec.sample_rate is None:
        raise ValueError(f"{type(encoder).__name__} is bound to no sampling rate: words are found by an encoder of sound")
    if not 1 <= len(queries) <= MOST_EXAMPLES:
        raise ValueError(f"give one to {MOST_EXAMPLES} examples of the word, got {len(queries)}")
    if compare is not None and compare not in get_args(Comparison):
        raise ValueError(f"unknown comparison {compare!r}: use dtw or pooled")
    if top is not None and top < 1:
        raise ValueError(f"top is {top}: ask for 1 detection at least, or leave it out")
    for name, span in spans.items():
        if span is not None and not span > 0:
            raise ValueError(f"{name} must be above 0, got {span}")
        if span is not None and compare == "dtw":
            raise ValueError(f"{name} belongs to compare='pooled': frames have a time of their own")


def _example(path: str | Path, rate: int, mono: bool, trim_db: float | None) -> Tensor:
    """The waves (C, T) of an example, without silence around it."""
    waves, _ = read_audio(path, sample_rate=rate, mono=mono)
    if trim_db is None:
        return waves
    bounds = sound_bounds(waves.mean(dim=0, keepdim=True), rate, below_db=trim_db)
    if bounds is None:
        raise AudioError(path, "silent: it cannot be an example of a word")
    return waves[:, bounds[0] : bounds[1]]


def _fitting(examples: Sequence[Tensor], grid: FrameGrid, rate: int, *, spanned: bool) -> Comparison:
    """The comparison where none is named; somebody who names a window wants windows."""
    enough = min(frames_in(one.shape[-1], grid) for one in examples) >= FEWEST_FRAMES
    return "dtw" if enough and grid.period >= SHORTEST_PERIOD_S * rate and not spanned else "pooled"


@torch.no_grad()
def _pooled(
    encoder: Encoder, examples: Sequence[Tensor], blocks: Iterator[Tensor], *, window_s: float | None, hop_s: float | None
) -> Iterator[_Scores]:
    rate, shortest = float(encoder.input_spec.sample_rate or 0), encoder.input_spec.min_length
    window = round(np.median([one.shape[-1] for one in examples]) if window_s is None else window_s * rate)
    hop = max(1, round(window / HOPS_PER_WINDOW if hop_s is None else hop_s * rate))
    if hop > window:
        raise ValueError(f"hop_s {hop_s} is longer than the window of {window / rate:g} s: words in between would be missed")
    if min(window, *(one.shape[-1] for one in examples)) < shortest:
        raise ValueError(f"the encoder needs {shortest} samples, but an example or the window is shorter: use longer ones")
    device = encoder.input_mean.device
    targets = normalize(torch.cat([encoder.embed(one[None].to(device)).cpu() for one in examples]), dim=-1)  # (K, D)
    for first, embeddings in stream_embeddings(encoder, blocks, size=window, hop=hop):
        scores, nearest = (normalize(embeddings, dim=-1) @ targets.T).max(dim=1)
        starts = first + hop * np.arange(len(embeddings))
        yield _Scores(starts, starts + window, scores.numpy(), nearest.numpy())


def _aligned(
    encoder: Encoder, examples: Sequence[Tensor], names: Sequence[str | Path], blocks: Iterator[Tensor], grid: FrameGrid
) -> Iterator[_Scores]:
    from antiphon.domains.keyword_spotting.subsequence import SubsequenceDTW

    rate = float(encoder.input_spec.sample_rate or 0)
    if grid.period < SHORTEST_PERIOD_S * rate:
        raise ValueError(f"{type(encoder).__name__} has a frame every {grid.period / rate:.2g} s: compare='pooled' suits it")
    searches = []
    for name, one in zip(names, examples, strict=True):
        frames = example_frames(encoder, one, grid)
        if len(frames) < 2:
            raise ValueError(
                f"{name} has {len(frames)} frame of {grid.period / rate:.2g} s, too few to align: compare='pooled' suits it"
            )
        searches.append(SubsequenceDTW(frames.numpy()))
    done = 0
    for frames in stream_frames(encoder, blocks, grid):
        scores, starts = (np.stack(part) for part in zip(*(search.update(frames.numpy()) for search in searches), strict=True))
        nearest = scores.argmax(axis=0)
        here = np.arange(scores.shape[1])
        best, begun = scores[nearest, here], starts[nearest, here]
        ended = done + here + 1
        done += len(here)
        possible = np.isfinite(best)
        yield _Scores(
            np.round(begun * grid.period).astype(np.int64)[possible],
            np.round(ended * grid.period).astype(np.int64)[possible],
            best[possible],
            nearest[possible],
        )


@torch.no_grad()
def example_frames(encoder: Encoder, waves: Tensor, grid: FrameGrid) -> Tensor:
    """The frames (m, D) of an example (C, T): by itself, or where an encoder sees windows in these, with silence around it."""
    if encoder.input_spec.window is None:
        rest = max(0, encoder.input_spec.min_length - waves.shape[-1])
        return encoder.frames(pad(waves, (0, rest))[None].to(encoder.input_mean.device))[0].cpu()
    return torch.cat(list(stream_frames(encoder, [waves], grid)))[: frames_in(waves.shape[-1], grid)]


def _stretches(found: Iterator[_Scores], background: Background, rate: int, duration_s: float) -> Iterator[Stretch]:
    """All stretches one by one, which `background` counts on the way."""
    for part in found:
        if not np.isfinite(part.scores).all():
            raise ValueError("a score is not finite: check the weights of the encoder, and whether an example is silent")
        background.add(part.scores)
        for start, end, score, query in zip(*(column.tolist() for column in part), strict=True):
            if start < duration_s * rate:
                yield Stretch(start / rate, min(end / rate, duration_s), score, query)
