"""Does bad-pair mining find the bad pairs, and does the encoder gain? Synthetic series in which the kind of every pair is known.

    python benchmarks/dbpm.py --quick        3 seeds, about 2 minutes on 2 quiet cores
    python benchmarks/dbpm.py --full         5 seeds, longer training on more series, about 12 minutes

The data. A series has 128 samples: white noise of deviation 0.9 and, at a random place, one of eight motifs (48 samples, unit power
before a gain of 0.8 to 1.2) that is its class. Views are a gain of up to 3 dB, a roll of up to a tenth and added noise of deviation
0.3. A share of the training series gives bad pairs, the same ones in every epoch, one half of each kind:
    noisy: the series is dense noise of deviation 3 without a motif. Both views are views of that one realisation: what they have in
        common is a fingerprint that is easier to match than a motif, so the loss is small.
    faulty: in one view, a random one each time, the motif is gone and only the background of the series is left. The loss is large.

Measured. Histories of the three kinds; precision and recall of the two tails, when mining starts and at the end; accuracy of a
linear probe on fresh clean series (15 labelled ones a class, 2000 to test). "SimCLR" is mining with infinite betas: the same
weights, bit for bit, and a memory of the losses. Two arms that know the kinds say what is there to be gained: "bad pairs weighed 0"
mines perfectly from the first step, though bad views stay among the negatives; "bad pairs left out" trains on the good ones only,
for as many steps.

Temperature, learning rate, batch, head, views and betas were fixed beforehand; encoder and runs are as small as time asks. Set on
seeds 100 to 102, which are never reported: the number of motifs and the background's loudness (so that accuracies stay off the
ceiling), what a destroyed view holds (another class's motif or dense noise did as well), the loudness of dense noise, and that one
arm begins to mine after a fifth of the epochs rather than the published 50 of 80. The loudness matters: with a deviation of 1.5 in
place of 3, noisy pairs were hardly easier than clean ones, and a beta of 1 found a sixth of them (one seed, precision 0.5).

Betas 2/3 are the published ones. No distribution has more than 1 / (1 + beta^2) of itself beyond beta deviations on one side
(Cantelli): 3 deviations never reach more than 10 % of the pairs, so 15 % faulty pairs cannot all be found. Betas of 1/1 are
reported beside.
"""

from __future__ import annotations

import argparse
import copy
import math
import multiprocessing
import os
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import pytorch_lightning as pl
import torch
from numpy.typing import NDArray
from torch import Tensor

from antiphon.common.augment.base import Compose
from antiphon.common.augment.gain import Gain
from antiphon.common.augment.noise import GaussianNoise
from antiphon.common.augment.shift import TimeShift
from antiphon.common.data.batch import SignalBatch, View
from antiphon.common.evaluation import linear_probe, mean_interval, paired_difference
from antiphon.common.heads import ProjectionHead
from antiphon.common.learners.joint_embedding import JointEmbedding
from antiphon.common.learners.training import TrainingSettings, fit
from antiphon.common.objectives.base import PairObjective
from antiphon.common.objectives.info_nce import nt_xent
from antiphon.common.optim import OptimizerSettings
from antiphon.common.pair_mining import WARMUP_SHARE, BadPairMining
from antiphon.common.random import KeyedRandom, seeded_scope
from antiphon.domains.time_series.data import TimeSeriesSet
from antiphon.domains.time_series.encoders import TSTCCEncoder

Array = NDArray[np.float32]

LENGTH, MOTIF_LENGTH, CLASSES = 128, 48, 8
BACKGROUND_STD, DENSE_NOISE_STD = 0.9, 3.0
PROBE_TRAIN, PROBE_TEST = 15 * CLASSES, 2000
BATCH_SIZE = 128
KINDS = {"noisy": -1, "clean": 0, "faulty": 1}  # numbered as BadPairMining.flags
SOME_BAD, FEW_BAD = 0.30, 0.06
PUBLISHED, LOWER, NEVER = (2.0, 3.0), (1.0, 1.0), (math.inf, math.inf)
MOMENTS = ("start", "end")  # of mining


@dataclass(frozen=True)
class Size:
    """How many series are trained on, for how long, and how often all of it is repeated."""

    examples: int
    epochs: int
    seeds: tuple[int, ...]

    @property
    def steps(self) -> int:
        """Updates of every arm, whatever it trains on."""
        return self.epochs * (self.examples // BATCH_SIZE)


QUICK = Size(examples=512, epochs=48, seeds=(0, 1, 2))
FULL = Size(examples=1024, epochs=80, seeds=(0, 1, 2, 3, 4))


@dataclass(frozen=True)
class Arm:
    """One way of training: the share of bad pairs and what is done about them."""

    name: str
    bad_share: float = SOME_BAD
    form: Literal["paper", "released"] = "paper"
    betas: tuple[float, float] = NEVER  # noisy, faulty
    warmup_share: float = WARMUP_SHARE
    oracle: Literal["leave out", "weigh 0"] | None = None
    trained: bool = True


RANDOM, CLEAN, HOST = Arm("random encoder", 0.0, trained=False), Arm("SimCLR, no bad pairs", 0.0), Arm("SimCLR, 30 % bad pairs")
FEW = Arm("SimCLR, 6 % bad pairs", FEW_BAD)
MINING = (
    Arm("DBPM paper 2/3", betas=PUBLISHED),
    Arm("DBPM released 2/3", form="released", betas=PUBLISHED),
    Arm("DBPM paper 1/1", betas=LOWER),
    Arm("DBPM released 1/1", form="released", betas=LOWER),
    Arm("DBPM paper 1/1, early", betas=LOWER, warmup_share=0.2),
)
ORACLES = (Arm("bad pairs weighed 0", oracle="weigh 0"), Arm("bad pairs left out", oracle="leave out"))
ARMS = (RANDOM, CLEAN, HOST, *ORACLES, *MINING, FEW)


@dataclass(frozen=True)
class Outcome:
    """What one arm gave with one seed.

    `history`: (moment, kind) -> mean history. `tails`: (moment, betas, kind) -> precision and recall, precision NaN where nothing
    was flagged. Both are empty for arms without bad pairs, and for those that know them.
    """

    accuracy: float
    history: Mapping[tuple[str, str], float] = field(default_factory=dict)
    tails: Mapping[tuple[str, tuple[float, float], str], tuple[float, float]] = field(default_factory=dict)


Outcomes = dict[tuple[str, int], Outcome]  # by arm and seed


def motifs() -> NDArray[np.float64]:
    """The eight motifs (8, 48): four tones, a rising and a falling chirp, a square wave and a sawtooth; Hann window, unit power."""
    time_ = np.linspace(0.0, 1.0, MOTIF_LENGTH)
    turns = [2.0 * time_, 3.0 * time_, 4.5 * time_, 6.5 * time_, 1.5 * time_ + 2.5 * time_**2, 6.5 * time_ - 2.5 * time_**2]
    shapes = [np.sin(2 * np.pi * turn) for turn in turns]
    shapes += [np.sign(np.sin(2 * np.pi * 2.0 * time_)), 2.0 * (2.5 * time_ % 1.0) - 1.0]
    windowed = np.stack(shapes) * np.hanning(MOTIF_LENGTH)
    return windowed / np.sqrt((windowed**2).mean(axis=1, keepdims=True))


def make_series(count: int, random: np.random.Generator) -> tuple[Array, Array, NDArray[np.int64]]:
    """Series (n, 1, 128), the same without their motifs, and their classes (n,), equally often."""
    labels = random.permutation(np.arange(count) % CLASSES)
    background = random.normal(scale=BACKGROUND_STD, size=(count, LENGTH))
    series, shapes = background.copy(), motifs()
    starts = random.integers(0, LENGTH - MOTIF_LENGTH + 1, count)
    gains = random.uniform(0.8, 1.2, count)
    for row, (label, start, gain) in enumerate(zip(labels, starts, gains, strict=True)):
        series[row, start : start + MOTIF_LENGTH] += gain * shapes[label]
    return series[:, None].astype(np.float32), background[:, None].astype(np.float32), labels


def make_pairs(count: int, bad_share: float, *, seed: int) -> tuple[Array, Array, NDArray[np.int64]]:
    """Training series (n, 1, 128), what a view without the motif starts from, and the kind of each pair (n,)."""
    random = np.random.default_rng(seed)
    series, background, _ = make_series(count, random)
    order, half = random.permutation(count), round(count * bad_share / 2)
    kinds = np.zeros(count, np.int64)
    kinds[order[:half]], kinds[order[half : 2 * half]] = KINDS["noisy"], KINDS["faulty"]
    noise = random.normal(scale=DENSE_NOISE_STD, size=series.shape).astype(np.float32)
    return np.where((kinds == KINDS["noisy"])[:, None, None], noise, series), background, kinds


class KnownPairs(JointEmbedding):
    """A learner whose faulty pairs have lost the motif in one view.

    `destroyed` (n, 1, T), what such a view starts from, and `faulty` (n,) bool go by training index.
    """

    def __init__(self, *arguments: Any, destroyed: Tensor, faulty: Tensor, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.destroyed, self.faulty = destroyed, faulty

    def make_views(self, batch: SignalBatch) -> list[View]:
        """Two views; which of them is the destroyed one is a coin, keyed like every other draw."""
        random = self.randomness(batch)
        whole = self.encoder.standardize(batch.signals)
        destroyed = self.encoder.standardize(self.destroyed[batch.index])
        faulty, first = self.faulty[batch.index][:, None, None], random.fold("side").bernoulli(1, 1)
        sources = (torch.where(faulty & first, destroyed, whole), torch.where(faulty & ~first, destroyed, whole))
        return [self.views(source, batch.lengths, random.fold("view", number))[0] for number, source in enumerate(sources)]


def one_view(signals: Tensor, lengths: Tensor, random: KeyedRandom) -> list[View]:
    """A single view: gain, roll and noise."""
    chain = Compose([Gain((-3.0, 3.0)), TimeShift(0.1), GaussianNoise(0.3)])
    return [View(chain(signals, lengths, random), lengths)]


class KnownWeights(BadPairMining):
    """Mining that knows: weight 1 for good pairs, 0 for bad ones, in every epoch. `good` (n,) goes by training index."""

    def __init__(self, good: Tensor) -> None:
        super().__init__(len(good), max_epochs=1)
        self.good = good

    def weights(self, index: Tensor, losses: Tensor, epoch: int) -> Tensor:
        """Weights (B,)."""
        return self.good[index].to(losses.dtype)


class FirstMemory(pl.Callback):
    """Keeps the memory as it is when mining starts."""

    memory: BadPairMining | None = None

    def on_train_batch_start(self, trainer: pl.Trainer, pl_module: Any, batch: SignalBatch, batch_idx: int) -> None:
        """Copy at the first batch after warm-up."""
        if self.memory is None and batch.epoch >= pl_module.pair_mining.warmup_epochs:
            self.memory = copy.deepcopy(pl_module.pair_mining)


def make_mining(arm: Arm, kinds: NDArray[np.int64], size: Size) -> BadPairMining:
    """The mining of an arm, for pairs of known `kinds` (n,)."""
    if arm.oracle == "weigh 0":
        return KnownWeights(torch.from_numpy(kinds == KINDS["clean"]))
    epochs = -(-size.steps // (len(kinds) // BATCH_SIZE))  # more of them where bad pairs are left out
    return BadPairMining(
        len(kinds),
        form=arm.form,
        beta_noisy=arm.betas[0],
        beta_faulty=arm.betas[1],
        warmup_epochs=round(arm.warmup_share * epochs),
        max_epochs=epochs,
    )


def pretrain(arm: Arm, size: Size, seed: int) -> tuple[TSTCCEncoder, dict[str, BadPairMining], NDArray[np.int64]]:
    """Train one arm: the encoder, its memories at both moments, and the kinds of its pairs."""
    series, destroyed, kinds = make_pairs(size.examples, arm.bad_share, seed=seed)
    if arm.oracle == "leave out":
        good = kinds == KINDS["clean"]
        series, destroyed, kinds = series[good], destroyed[good], kinds[good]
    train = TimeSeriesSet.from_arrays(series)
    with seeded_scope(seed, "initial weights"):
        encoder = TSTCCEncoder(1, stride=2, dropout=0.0, embedding_dim=64)
        head = ProjectionHead(64, 64, 32, norm="none")
    if not arm.trained:
        return encoder, {}, kinds
    mining = make_mining(arm, kinds, size)
    learner = KnownPairs(
        encoder,
        one_view,
        PairObjective(nt_xent, temperature=0.2),
        head=head,
        optimizer=OptimizerSettings(name="adam", lr=1e-3, weight_decay=0.0),
        pair_mining=mining,
        steps=size.steps,
        seed=seed,
        destroyed=torch.from_numpy(destroyed),
        faulty=torch.from_numpy(kinds == KINDS["faulty"]),
    )
    first = FirstMemory()
    settings = TrainingSettings(
        BATCH_SIZE, size.steps, seed=seed, progress=False, checkpoint_every=size.steps, trainer={"accelerator": "cpu"}
    )
    with tempfile.TemporaryDirectory() as folder:
        fit(learner, train, settings, folder, callbacks=[first])
    return encoder, {"start": first.memory or mining, "end": mining}, kinds


def probe_accuracy(encoder: TSTCCEncoder, seed: int) -> float:
    """Accuracy of a linear probe with a fixed C, on clean series that no pretraining saw."""
    random = np.random.default_rng((seed, 1))
    (train, _, train_labels), (test, _, test_labels) = make_series(PROBE_TRAIN, random), make_series(PROBE_TEST, random)
    return linear_probe(encoder.embed(train), train_labels, encoder.embed(test), test_labels, c_grid=(0.1,)).accuracy


def precision_and_recall(
    memory: BadPairMining, kinds: NDArray[np.int64], betas: tuple[float, float], kind: str
) -> tuple[float, float]:
    """How well a memory's tail at `betas` finds one kind of bad pairs; the precision of no flags is NaN."""
    other = copy.deepcopy(memory)
    other.beta_noisy, other.beta_faulty = betas
    flagged, true = other.flags().numpy() == KINDS[kind], kinds == KINDS[kind]
    hits = int((flagged & true).sum())
    return hits / int(flagged.sum()) if flagged.any() else math.nan, hits / int(true.sum())


def run(arm: Arm, size: Size, seed: int) -> Outcome:
    """Train and measure one arm."""
    torch.set_num_threads(1)
    encoder, memories, kinds = pretrain(arm, size, seed)
    accuracy = probe_accuracy(encoder, seed)
    if arm.oracle or not arm.bad_share:
        return Outcome(accuracy)
    betas = (PUBLISHED, LOWER) if arm.betas == NEVER else (arm.betas,)
    return Outcome(
        accuracy,
        history={
            (moment, kind): float(memories[moment].history_mean.numpy()[kinds == number].mean())
            for moment in MOMENTS
            for kind, number in KINDS.items()
        },
        tails={
            (moment, pair, kind): precision_and_recall(memories[moment], kinds, pair, kind)
            for moment in MOMENTS
            for pair in betas
            for kind in ("noisy", "faulty")
        },
    )


def run_all(size: Size, arms: Sequence[Arm] = ARMS) -> Outcomes:
    """Every arm with every seed, in two processes of one thread each."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # read by the processes when they start
    jobs = [(arm, seed) for seed in size.seeds for arm in arms]
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
        waiting = [pool.submit(run, arm, size, seed) for arm, seed in jobs]
        return {(arm.name, seed): one.result() for (arm, seed), one in zip(jobs, waiting, strict=True)}


def history_rows(outcomes: Outcomes, size: Size) -> Iterator[str]:
    """Mean history of each kind, and in how many seeds noisy < clean < faulty."""
    yield f"{'history of':<24}{'moment':<8}" + "".join(f"{kind:>9}" for kind in KINDS) + "   ordered"
    for arm in (HOST, MINING[1], FEW):
        for moment in MOMENTS:
            found = [[outcomes[arm.name, seed].history[moment, kind] for kind in KINDS] for seed in size.seeds]
            ordered = sum(noisy < clean < faulty for noisy, clean, faulty in found)
            means = "".join(f"{value:9.3f}" for value in np.mean(found, axis=0))
            yield f"{arm.name:<24}{moment:<8}{means}   {ordered} of {len(found)} seeds"


def tail_rows(outcomes: Outcomes, size: Size) -> Iterator[str]:
    """Precision and recall of both tails, the share of such pairs (a blind flag's precision) and the largest recall possible."""
    yield f"{'tails of':<24}{'betas':<7}{'moment':<8}{'kind':<8}{'share':>6}{'precision':>11}{'recall':>8}{'at most':>9}"
    for arm in (HOST, FEW, *MINING):
        for (moment, betas, kind), _ in outcomes[arm.name, size.seeds[0]].tails.items():
            pairs = np.array([outcomes[arm.name, seed].tails[moment, betas, kind] for seed in size.seeds])
            share, beta = arm.bad_share / 2, betas[kind == "faulty"]
            known = pairs[:, 0][~np.isnan(pairs[:, 0])]
            precision = f"{known.mean():.2f}" if len(known) else "none"
            limit = min(1.0, 1.0 / (1.0 + beta**2) / share)
            yield (
                f"{arm.name:<24}{f'{betas[0]:g}/{betas[1]:g}':<7}{moment:<8}{kind:<8}{share:6.2f}{precision:>11}"
                f"{pairs[:, 1].mean():8.2f}{limit:9.2f}"
            )


def accuracy_rows(outcomes: Outcomes, size: Size) -> Iterator[str]:
    """Probe accuracy with its 95 % interval over seeds, and the paired difference from the host with bad pairs."""
    host = [outcomes[HOST.name, seed].accuracy for seed in size.seeds]
    yield f"{'linear probe':<24}{'accuracy':>9}  {'95 % interval':<16} minus SimCLR with 30 % bad pairs"
    for arm in ARMS:
        values = [outcomes[arm.name, seed].accuracy for seed in size.seeds]
        mean, change = mean_interval(values), paired_difference(values, host)
        row = f"{arm.name:<24}{mean.mean:9.3f}  [{mean.low:.3f}, {mean.high:.3f}]"
        if arm is not HOST:
            verdict = "" if change.excludes_zero else "  undecided"
            row += f"   {change.mean:+.3f} [{change.low:+.3f}, {change.high:+.3f}]{verdict}"
        yield row


def main(quick: bool) -> Outcomes:
    """Measure and print the three tables; returns what was measured."""
    size, start = QUICK if quick else FULL, time.monotonic()
    outcomes = run_all(size)
    print(
        f"Bad-pair mining: {size.examples} series, {size.epochs} epochs of {BATCH_SIZE}, {len(size.seeds)} seeds; "
        f"{time.monotonic() - start:.0f} s"
    )
    for rows in (history_rows, tail_rows, accuracy_rows):
        print("", *rows(outcomes, size), sep="\n", flush=True)
    return outcomes


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    group = parser.add_mutually_exclusive_group()
    group.add_argument("--quick", action="store_true", help="3 seeds (the default)")
    group.add_argument("--full", action="store_true", help="5 seeds, longer")
    main(quick=not parser.parse_args().full)
