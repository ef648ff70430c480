"""How encoders of words are measured: across speakers by nearest neighbours, in order by alignment, and by a linear probe."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import permutations
from typing import Literal, NamedTuple, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import normalize

from antiphon.common.data.audio_set import AudioSet
from antiphon.common.encoder import Encoder
from antiphon.common.evaluation.embedding import recording_lengths
from antiphon.common.evaluation.knn import knn_accuracy
from antiphon.common.evaluation.probes import linear_probe
from antiphon.common.evaluation.protocols import labels_of

Comparison = Literal["pooled", "concatenated", "dtw"]
SPAN_S = 1.5  # that frames are concatenated over
_BATCH = 32


class Words(NamedTuple):
    """What an encoder makes of recordings: `frames`, a list of (T, D'), `frame_s` seconds apart, and `embeddings` (n, D)."""

    frames: list[Tensor]
    embeddings: Tensor
    frame_s: float


def encode_words(encoder: Encoder, data: AudioSet) -> Words:
    """Every recording of `data` whole, whatever its window.

    An encoder of windows gets whole windows: silence follows a word that fills none, or the last one only in part.
    """
    frames: list[Tensor] = [torch.empty(0)] * len(data)
    embeddings, frame_s = torch.empty(len(data), encoder.embedding_dim), 0.0
    for places, part in _encoded(encoder, data):
        embeddings[places], frame_s = part.embeddings, part.frame_s
        for place, one in zip(places.tolist(), part.frames, strict=True):
            frames[place] = one
    return Words(frames, embeddings, frame_s)


def embed_words(encoder: Encoder, data: AudioSet) -> NDArray[np.float32]:
    """The embeddings of `encode_words` alone, (n, D): frames of a large set would fill the memory."""
    embeddings = np.empty((len(data), encoder.embedding_dim), np.float32)
    for places, part in _encoded(encoder, data):
        embeddings[places] = part.embeddings.numpy()
    return embeddings


def _encoded(encoder: Encoder, data: AudioSet) -> Iterator[tuple[NDArray[np.int64], Words]]:
    """Examples (b,), recordings of like length, and what they are encoded as."""
    device, training = encoder.input_mean.device, encoder.training
    order = np.argsort(recording_lengths(data), kind="stable")  # little padding in a batch
    encoder.eval()
    try:
        for start in range(0, len(order), _BATCH):
            places = order[start : start + _BATCH]
            waves = [_completed(data.recording(row), encoder) for row in data.rows[places].tolist()]
            lengths = torch.tensor([wave.shape[-1] for wave in waves], device=device)
            batch = torch.nn.utils.rnn.pad_sequence([wave.T for wave in waves], batch_first=True).mT.to(device)
            with torch.inference_mode():
                found = encoder.frames(batch, lengths)
                embeddings = encoder.pool(found, lengths, batch.shape[-1]).float().cpu()
            counts = encoder.frame_lengths(lengths, found.shape[1], batch.shape[-1]).tolist()
            frames = [one[:count] for one, count in zip(found.float().cpu(), counts, strict=True)]
            yield places, Words(frames, embeddings, batch.shape[-1] / found.shape[1] / data.sample_rate)
    finally:
        encoder.train(training)


def _completed(wave: Tensor, encoder: Encoder) -> Tensor:
    """A wave (C, T) followed by silence up to a length that the encoder can see."""
    spec = encoder.input_spec
    size = max(wave.shape[-1], spec.min_length)
    if spec.window is not None:
        size = -(-size // spec.window) * spec.window
    return torch.nn.functional.pad(wave, (0, size - wave.shape[-1]))


def concatenated(frames: Sequence[Tensor], size: int) -> Tensor:
    """Sequences (T, D) in the middle of `size` frames, zeros around them (or cut at both ends), as rows (n, size * D)."""
    rows = []
    for one in frames:
        spare = size - len(one)
        kept = one if spare >= 0 else one[-spare // 2 :][:size]
        before = max(0, spare) // 2
        rows.append(torch.nn.functional.pad(kept, (0, 0, before, size - len(kept) - before)).flatten())
    return torch.stack(rows)


def word_distances(encoder: Encoder, data: AudioSet, *, compare: Comparison = "dtw", span_s: float = SPAN_S) -> Tensor:
    """How unlike the recordings of `data` are to each other, (n, n).

    "pooled" is 1 - cosine of their embeddings; "concatenated" of all their frames side by side, in the middle of `span_s` seconds;
    "dtw" the mean cosine distance of frames along the best alignment.

    Raises:
        ValueError: an unknown comparison.
    """
    if compare not in get_args(Comparison):
        raise ValueError(f"unknown comparison {compare!r}: use one of {', '.join(get_args(Comparison))}")
    words = encode_words(encoder, data)
    if compare == "dtw":
        from antiphon.common.evaluation.dtw import dtw_distances

        return dtw_distances(words.frames, words.frames)
    rows = words.embeddings if compare == "pooled" else concatenated(words.frames, round(span_s / words.frame_s))
    rows = normalize(rows, dim=1)
    return 1.0 - rows @ rows.T


def words_of(data: AudioSet) -> NDArray[np.str_]:
    """The word of each recording, (n,), from its row: a test set has them where the recordings that were learnt from have not.

    Raises:
        ValueError: a recording without a label.
    """
    names = [data.manifest.rows[row].value("label") for row in data.rows.tolist()]
    if not all(names):
        raise ValueError(f"{data.name}: {names.count(None)} of {len(names)} recordings have no label: looking words up needs them")
    return np.asarray(names)


def speakers_of(data: AudioSet) -> NDArray[np.str_]:
    """The speaker of each recording, (n,).

    Raises:
        ValueError: a recording without one, or a single speaker.
    """
    names = [data.manifest.rows[row].speaker for row in data.rows.tolist()]
    if not all(names) or len(set(names)) < 2:
        raise ValueError(
            f"{data.name} names {len(set(names) - {None})} speaker(s): comparing across speakers needs a manifest with a column "
            "`speaker` and two of them at least; evaluation=keyword_spotting/probe does without"
        )
    return np.asarray(names)


def cross_speaker_scores(
    distances: Tensor | NDArray[np.floating],
    words: NDArray[np.generic],
    speakers: NDArray[np.generic],
    *,
    shots: Sequence[int] = (1, 2, 3),
    repeats: int = 5,
    seed: int = 0,
) -> dict[str, float]:
    """Nearest neighbours across speakers, from the distances (n, n) between recordings.

    `accuracy_1nn`: the words of one speaker are looked up among those of one other; the mean over all ordered pairs of speakers.
    `accuracy_k_shot`: those of one speaker among k recordings of each word by any of the others, the mean over speakers and over
    `repeats` draws, which depend on `seed` alone. A word that nobody else says is not asked for.

    Raises:
        ValueError: shapes that do not fit, or no word that two speakers say.
    """
    found = np.asarray(distances)
    if found.shape != (len(words), len(words)) or len(speakers) != len(words):
        raise ValueError(f"distances must be ({len(words)}, {len(words)}) for {len(words)} words, got shape {found.shape}")
    names = np.unique(speakers)
    pairs = []
    for one, other in permutations(names, 2):
        references = np.flatnonzero(speakers == other)
        hits = _looked_up(found, words, np.flatnonzero(speakers == one), references)
        if len(hits):
            pairs.append(float(hits.mean()))
    if not pairs:
        raise ValueError("no word is said by two speakers, so nothing can be looked up across them")
    scores = {"accuracy_1nn": float(np.mean(pairs))}
    for count in shots:
        drawn = []
        for number, name in enumerate(names):
            others, asked = np.flatnonzero(speakers != name), np.flatnonzero(speakers == name)
            for repeat in range(repeats):
                generator = np.random.default_rng([seed, number, repeat])
                mixed = generator.permutation(others)
                references = np.concatenate([mixed[words[mixed] == word][:count] for word in np.unique(words[others])])
                hits = _looked_up(found, words, asked, references)
                if len(hits):
                    drawn.append(float(hits.mean()))
        scores[f"accuracy_{count}_shot"] = float(np.mean(drawn))
    return scores


def _looked_up(
    distances: NDArray[np.floating], words: NDArray[np.generic], asked: NDArray[np.int64], references: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Whether the nearest reference of each recording that is `asked` says the same word; those that none can say are left out."""
    asked = asked[np.isin(words[asked], words[references])]
    nearest = references[distances[np.ix_(asked, references)].argmin(axis=1)]
    return words[nearest] == words[asked]


def cross_speaker(
    encoder: Encoder,
    train: AudioSet,
    test: AudioSet,
    *,
    compare: Sequence[Comparison] = ("dtw", "concatenated", "pooled"),
    shots: Sequence[int] = (1, 2, 3),
    repeats: int = 5,
    span_s: float = SPAN_S,
    seed: int = 0,
) -> dict[str, float]:
    """`cross_speaker_scores` among the speakers of `test` for each way to compare: ``{"dtw_accuracy_1nn": ..., ...}``.

    `train` is not looked at: the encoder has learnt from it, with or without labels.
    """
    words, speakers = words_of(test), speakers_of(test)
    scores: dict[str, float] = {}
    for way in compare:
        distances = word_distances(encoder, test, compare=way, span_s=span_s)
        found = cross_speaker_scores(distances, words, speakers, shots=shots, repeats=repeats, seed=seed)
        scores |= {f"{way}_{name}": value for name, value in found.items()}
    return scores


def probe(encoder: Encoder, train: AudioSet, test: AudioSet, *, seed: int = 0) -> dict[str, float]:
    """A logistic regression and a 20-nearest-neighbour vote on the embeddings of whole recordings."""
    train_x, test_x = embed_words(encoder, train), embed_words(encoder, test)
    train_y, test_y = labels_of(train, "training"), labels_of(test, "test")
    found = linear_probe(train_x, train_y, test_x, test_y, groups=train.groups, seed=seed)
    return {**found.scores(), "knn_accuracy": knn_accuracy(train_x, train_y, test_x, test_y)}
