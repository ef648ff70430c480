"""A fit that is stopped anywhere and resumed ends with the same bits as one that was not."""

import csv
import os
import signal
from pathlib import Path

import numpy as np
import pytest
import torch

import antiphon
from antiphon.common.augment.base import AugmentedViews
from antiphon.common.heads import ProjectionHead
from antiphon.common.learners.joint_embedding import JointEmbedding
from antiphon.common.learners.monitor import Monitor
from antiphon.common.learners.training import CsvLogger, Interrupted, TrainingSettings, fit
from antiphon.common.momentum import AveragedWeights
from antiphon.common.objectives import Hierarchical, PairObjective, nt_xent
from antiphon.common.optim import OptimizerSettings
from antiphon.common.pair_mining import BadPairMining
from antiphon.domains.time_series import TimeSeriesSet
from antiphon.domains.time_series.augmentations import Jitter, OverlappingCrops, Scaling

STEPS = 14


@pytest.fixture(scope="module")
def data() -> TimeSeriesSet:
    random = np.random.default_rng(0)
    return TimeSeriesSet.from_arrays(random.normal(size=(22, 2, 30)).astype(np.float32), random.integers(0, 2, 22))


def ts2vec(stop_at: int | None = None) -> JointEmbedding:
    """Dropout, averaged weights, a schedule: everything that has a state."""
    torch.manual_seed(0)
    encoder = antiphon.create_encoder("ts2vec", in_channels=2, hidden_dim=6, embedding_dim=8, depth=3, dropout=0.3)
    return Stopping(
        encoder,
        OverlappingCrops(),
        Hierarchical(),
        optimizer=OptimizerSettings(lr=0.01, schedule="cosine", warmup=0.2),
        averaging=AveragedWeights(encoder),
        steps=STEPS,
    ).stop(stop_at)


def mined(stop_at: int | None = None) -> JointEmbedding:
    torch.manual_seed(0)
    encoder = antiphon.create_encoder("ts2vec", in_channels=2, hidden_dim=6, embedding_dim=8, depth=3)
    mining = BadPairMining(22, max_epochs=5, warmup_epochs=1, beta_noisy=0.5, beta_faulty=0.5)
    views = AugmentedViews([Scaling(1.0, 0.5), Jitter(0.5)])
    head = ProjectionHead(8, 8, 4)
    return Stopping(encoder, views, PairObjective(nt_xent), head=head, pair_mining=mining, steps=STEPS).stop(stop_at)


class Stopping(JointEmbedding):
    """A learner that gets a Ctrl-C in the middle of a step."""

    def stop(self, at: int | None) -> "Stopping":
        self.stop_at = at
        return self

    def training_step(self, batch, number: int = 0) -> torch.Tensor:
        loss = super().training_step(batch, number)
        if batch.step == self.stop_at:
            os.kill(os.getpid(), signal.SIGINT)
        return loss


def settings(**changes) -> TrainingSettings:
    return TrainingSettings(
        **{"batch_size": 6, "steps": STEPS, "log_every": 4, "checkpoint_every": 5, "progress": False, **changes}
    )


@pytest.mark.parametrize("make", [ts2vec, mined])
@pytest.mark.parametrize("stop_at", [1, 7])
def test_resume_is_bit_identical(make, stop_at: int, data: TimeSeriesSet, tmp_path: Path) -> None:
    whole, monitor = make(), Monitor(data, steps=STEPS, times=4)
    fit(whole, data, settings(), tmp_path / "whole", callbacks=[monitor])
    with pytest.raises(Interrupted, match=f"stopped after step {stop_at + 1}"):
        fit(make(stop_at), data, settings(), tmp_path / "parts", callbacks=[Monitor(data, steps=STEPS, times=4)])
    resumed, other_monitor = make(), Monitor(data, steps=STEPS, times=4)
    fit(resumed, data, settings(), tmp_path / "parts", callbacks=[other_monitor], resume=True)

    assert whole.state_dict().keys() == resumed.state_dict().keys()
    for name, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name
    assert [shot.to_dict() for shot in monitor.history] == [shot.to_dict() for shot in other_monitor.history]

    def rows(folder: Path) -> list[dict[str, str]]:
        with (folder / "metrics.csv").open() as file:
            return [{key: value for key, value in row.items() if key != "steps_per_s"} for row in csv.DictReader(file)]

    assert rows(tmp_path / "whole") == rows(tmp_path / "parts")


def test_a_finished_run_is_not_trained_again(data: TimeSeriesSet, tmp_path: Path) -> None:
    first, second = ts2vec(), ts2vec()
    fit(first, data, settings(), tmp_path)
    fit(second, data, settings(), tmp_path, resume=True)
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))


def test_training_changes_nothing_global(data: TimeSeriesSet, tmp_path: Path) -> None:
    torch.manual_seed(3)
    expected = torch.rand(2)
    learner = ts2vec()
    torch.manual_seed(3)
    handler = signal.getsignal(signal.SIGINT)
    fit(learner, data, settings(steps=3), tmp_path)
    assert torch.equal(torch.rand(2), expected) and signal.getsignal(signal.SIGINT) is handler


def test_the_averaged_encoder_is_the_mean_of_the_iterates(data: TimeSeriesSet, tmp_path: Path) -> None:
    learner, seen = ts2vec(), []
    update = learner.averaging.update
    learner.averaging.update = lambda module: (seen.append([p.detach().clone() for p in module.parameters()]), update(module))
    fit(learner, data, settings(steps=5), tmp_path)
    means = [torch.stack(values).mean(dim=0) for values in zip(*seen, strict=True)]
    assert learner.trained_encoder is not learner.encoder
    for mean, parameter in zip(means, learner.trained_encoder.parameters(), strict=True):
        torch.testing.assert_close(parameter, mean)


def test_no_whole_checkpoint_is_ever_missing(data: TimeSeriesSet, tmp_path: Path) -> None:
    fit(ts2vec(), data, settings(), tmp_path)
    assert sorted(file.name for file in (tmp_path / "checkpoints").iterdir()) == ["last.ckpt"]


def test_what_cannot_work_is_refused(data: TimeSeriesSet, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="would not make a contrastive batch larger"):
        fit(ts2vec(), data, settings(trainer={"accumulate_grad_batches": 2}), tmp_path)
    learner = ts2vec()
    with torch.no_grad():
        next(learner.encoder.parameters()).fill_(float("nan"))
    with pytest.raises(FloatingPointError, match=r"the loss is nan at step 0: lower optimizer\.lr"):
        fit(learner, data, settings(), tmp_path)


def test_csv_logger_keeps_what_came_before(tmp_path: Path) -> None:
    logger = CsvLogger(tmp_path / "metrics.csv")
    logger.log_metrics({"loss": 1.0}, step=1)
    logger.log_metrics({"loss": 0.5}, step=2)
    logger.log_metrics({"probe": 0.25}, step=2)
    logger.save()
    again = CsvLogger(tmp_path / "metrics.csv", keep_before=1)
    again.log_metrics({"loss": 0.75}, step=3)
    again.save()
    assert (tmp_path / "metrics.csv").read_text().split() == ["step,loss,probe", "1,1.0,", "3,0.75,"]
