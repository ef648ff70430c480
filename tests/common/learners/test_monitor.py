import numpy as np
import pytest
import torch

import antiphon
from antiphon.common.augment.base import AugmentedViews
from antiphon.common.learners.joint_embedding import JointEmbedding
from antiphon.common.learners.monitor import Snapshot, leave_one_out_accuracy, take_snapshot
from antiphon.common.objectives import PairObjective, nt_xent
from antiphon.domains.time_series import TimeSeriesSet
from antiphon.domains.time_series.augmentations import Jitter


def test_leave_one_out_accuracy_by_hand() -> None:
    angles = torch.tensor([0.0, 0.1, 0.2, 2.0, 2.1, 1.2])
    embeddings = torch.stack((angles.cos(), angles.sin()), dim=1)
    labels = torch.tensor([0, 0, 0, 1, 1, 0])  # the last one's nearest neighbour is of the other class
    assert leave_one_out_accuracy(embeddings, labels, neighbours=1) == pytest.approx(5 / 6)
    assert np.isnan(leave_one_out_accuracy(embeddings[:1], labels[:1]))


def learner() -> JointEmbedding:
    torch.manual_seed(0)
    encoder = antiphon.create_encoder("ts2vec", in_channels=1, hidden_dim=4, embedding_dim=6, depth=2)
    return JointEmbedding(encoder, AugmentedViews([Jitter(0.1), Jitter(0.1)]), PairObjective(nt_xent))


def test_a_snapshot_measures_and_leaves_no_trace() -> None:
    data = TimeSeriesSet.from_arrays(np.random.default_rng(0).normal(size=(12, 1, 20)).astype(np.float32), np.arange(12) % 2)
    model = learner().train()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    snapshot, embeddings = take_snapshot(model, data.batch(np.arange(12)), 7)
    assert model.training and all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    assert snapshot.step == 7 and snapshot.metrics["rankme"] > 1 and 0 <= snapshot.metrics["online_probe"] <= 1
    assert snapshot.similarity.positive_counts.sum() == 12 and snapshot.similarity.negative_counts.sum() == 12 * 11
    assert snapshot.similarity.positive_mean > snapshot.similarity.negative_mean
    again = Snapshot.from_dict(snapshot.to_dict())
    assert again.to_dict() == snapshot.to_dict() and embeddings.shape == (12, 6)


def test_the_alarm_rings_when_all_embeddings_are_alike() -> None:
    data = TimeSeriesSet.from_arrays(np.random.default_rng(0).normal(size=(12, 1, 20)).astype(np.float32))
    model = learner()
    healthy, reference = take_snapshot(model, data.batch(np.arange(12)), 0)
    with torch.no_grad():
        for parameter in model.encoder.parameters():
            parameter.mul_(1e-4)
        model.encoder.stack.blocks[-1].second.bias.fill_(1.0) if hasattr(model.encoder, "stack") else None
    collapsed, _ = take_snapshot(model, data.batch(np.arange(12)), 1, reference=reference)
    assert healthy.metrics["collapsed"] == 0.0 and collapsed.metrics["collapsed"] == 1.0
