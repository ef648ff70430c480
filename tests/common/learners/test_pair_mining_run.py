"""Bad-pair mining inside a run: with infinite betas it is plain SimCLR bit for bit, and it tells known kinds of pairs apart."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from antiphon.common.data.batch import View
from antiphon.common.heads import ProjectionHead
from antiphon.common.learners.joint_embedding import JointEmbedding
from antiphon.common.learners.training import TrainingSettings, fit
from antiphon.common.objectives.base import PairObjective
from antiphon.common.objectives.info_nce import dcl, nt_xent
from antiphon.common.optim import OptimizerSettings
from antiphon.common.pair_mining import BadPairMining
from antiphon.common.random import KeyedRandom, seeded_scope
from antiphon.domains.time_series.data import TimeSeriesSet
from antiphon.domains.time_series.encoders import TSTCCEncoder

EXAMPLES, SAMPLES, BATCH = 120, 64, 24  # a batch that is no power of two: means are rounded
CLEAN, NOISY, FAULTY = slice(0, 84), slice(84, 102), slice(102, 120)


def series_pairs() -> TimeSeriesSet:
    """Two channels, what each view starts from: tones of four frequencies; dense noise in both; a tone in one view only."""
    random = np.random.default_rng(0)
    times = np.arange(SAMPLES) / SAMPLES
    frequency, phase = 2.0 + 3.0 * (np.arange(EXAMPLES) % 4), random.uniform(0.0, 2 * np.pi, EXAMPLES)
    background = random.normal(scale=0.5, size=(EXAMPLES, SAMPLES))
    tones = np.sin(2 * np.pi * frequency[:, None] * times + phase[:, None]) + background
    first, second = tones.copy(), tones.copy()
    first[NOISY] = second[NOISY] = random.normal(scale=3.0, size=first[NOISY].shape)
    second[FAULTY] = background[FAULTY]
    return TimeSeriesSet.from_arrays(np.stack((first, second), axis=1).astype(np.float32))


def views(signals: Tensor, lengths: Tensor, random: KeyedRandom) -> list[View]:
    """A channel each, with a little noise that differs."""
    return [View(signals[:, number, None] + random.fold("view", number).normal(1, SAMPLES, std=0.2), lengths) for number in (0, 1)]


def trained(folder: Path, mining: BadPairMining | None, *, steps: int, objective: PairObjective | None = None) -> JointEmbedding:
    data = series_pairs()
    with seeded_scope(0, "weights"):
        encoder = TSTCCEncoder(1, stride=2, dropout=0.2, embedding_dim=32)
        head = ProjectionHead(32, 32, 16, norm="none")
    learner = JointEmbedding(
        encoder,
        views,
        objective or PairObjective(nt_xent, temperature=0.2),
        head=head,
        optimizer=OptimizerSettings(name="adam", lr=1e-3),
        pair_mining=mining,
        steps=steps,
    )
    settings = TrainingSettings(BATCH, steps, progress=False, checkpoint_every=steps, trainer={"accelerator": "cpu"})
    fit(learner, data, settings, folder)
    return learner


def weights(learner: JointEmbedding) -> dict[str, Tensor]:
    return {name: value for name, value in learner.state_dict().items() if not name.startswith("pair_mining")}


@pytest.mark.parametrize(
    "objective",
    [
        PairObjective(nt_xent, temperature=0.2),
        PairObjective(nt_xent, temperature=0.2, symmetric=False),
        PairObjective(dcl, temperature=0.2),
    ],
    ids=["nt_xent", "one way", "dcl"],
)
def test_infinite_betas_are_simclr_bit_for_bit(tmp_path: Path, objective: PairObjective) -> None:
    def mining(beta: float) -> BadPairMining:
        return BadPairMining(EXAMPLES, beta_noisy=beta, beta_faulty=beta, warmup_epochs=1, max_epochs=3)

    plain = weights(trained(tmp_path / "plain", None, steps=15, objective=objective))
    never = weights(trained(tmp_path / "never", mining(math.inf), steps=15, objective=objective))
    mined = weights(trained(tmp_path / "mined", mining(1.0), steps=15, objective=objective))
    assert plain.keys() == never.keys()
    assert all(torch.equal(plain[name], never[name]) for name in plain)
    assert not torch.equal(plain["head.2.weight"], mined["head.2.weight"])  # the memory is not idle where betas are finite


@pytest.mark.parametrize("form", ["paper", "released"])
def test_history_tells_noisy_clean_and_faulty_pairs_apart(tmp_path: Path, form: str) -> None:
    mining = BadPairMining(EXAMPLES, form=form, beta_noisy=1.0, beta_faulty=1.0, max_epochs=16)
    trained(tmp_path, mining, steps=16 * EXAMPLES // BATCH)
    history, flags = mining.history_mean, mining.flags()
    assert history[NOISY].mean() < history[CLEAN].mean() < history[FAULTY].mean()
    for rows, flag in ((NOISY, -1), (FAULTY, 1)):  # 15 % of the pairs each
        hits = int((flags[rows] == flag).sum())
        assert hits / int((flags == flag).sum()) > 0.6  # precision
        assert hits / len(flags[rows]) > 0.5  # recall
