"""What the learner hands to objectives: chunks that change nothing, twins, predictors, targets."""

import copy
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

import antiphon
from antiphon.common.augment.base import AugmentedViews
from antiphon.common.data.batch import SignalBatch, View
from antiphon.common.heads import ProjectionHead
from antiphon.common.learners.joint_embedding import JointEmbedding
from antiphon.common.momentum import MomentumTwin
from antiphon.common.objectives import (
    DirectPredictor,
    Hierarchical,
    Objective,
    PairObjective,
    StageSoftContrast,
    ViewOutputs,
    nt_xent,
)
from antiphon.common.random import KeyedRandom
from antiphon.domains.time_series.augmentations import Jitter, OverlappingCrops, Scaling

BATCH = 7


def batch() -> SignalBatch:
    signals = torch.randn(BATCH, 2, 40, generator=torch.Generator().manual_seed(0))
    lengths = torch.tensor([40, 40, 31, 40, 25, 40, 38])
    return SignalBatch(signals, lengths, torch.arange(BATCH))


class Towards(Objective):
    """Predictions near the targets of the other view; remembers what it was given."""

    needs = ("predictions", "targets")

    def forward(self, outputs: ViewOutputs) -> Tensor:
        self.outputs = outputs
        return (outputs.predictions[0] - outputs.targets[1]).square().mean()


def learner(objective: Objective, views=None, *, encoder: str = "ts2vec", **options) -> JointEmbedding:
    choices = {
        "ts2vec": {"hidden_dim": 6, "embedding_dim": 8, "depth": 3, "dropout": 0.0},
        "ts_tcc_cnn": {"embedding_dim": 8, "dropout": 0.0, "norm": "group"},
        "resnet1d": {},
    }
    torch.manual_seed(0)
    built = antiphon.create_encoder(encoder, in_channels=2, **choices[encoder])
    head = ProjectionHead(built.embedding_dim, 8, 4)
    return JointEmbedding(built, views or AugmentedViews([Scaling(1.0, 0.5), Jitter(0.5)]), objective, head=head, **options)


def gradients(module: JointEmbedding) -> dict[str, Tensor]:
    whole = batch()
    module.training_step(replace(whole, signals=whole.signals.to(module.encoder.input_mean.dtype))).backward()
    return {name: parameter.grad for name, parameter in module.named_parameters() if parameter.grad is not None}


@pytest.mark.parametrize(
    ("objective", "views", "encoder"),
    [
        (lambda: PairObjective(nt_xent), None, "ts2vec"),
        (Hierarchical, OverlappingCrops(), "ts2vec"),
        (StageSoftContrast, None, "ts_tcc_cnn"),
        (Towards, None, "ts2vec"),
    ],
)
@pytest.mark.parametrize("chunk_size", [1, 3, BATCH])
def test_chunks_change_nothing(objective, views, encoder: str, chunk_size: int) -> None:
    """The head's batch norm may stay: it always sees the whole batch."""
    torch.manual_seed(1)
    predictor = nn.Linear(4, 4)
    whole, chunked = (
        gradients(learner(objective(), views, encoder=encoder, predictor=copy.deepcopy(predictor), chunk_size=size).double())
        for size in (None, chunk_size)
    )
    assert whole.keys() == chunked.keys() and len(whole) > 4
    for name, value in whole.items():
        torch.testing.assert_close(chunked[name], value, rtol=1e-8, atol=1e-10, msg=name)


def test_chunks_refuse_an_encoder_with_batch_norm() -> None:
    with pytest.raises(ValueError, match="norm=group"):
        learner(PairObjective(nt_xent), encoder="resnet1d", chunk_size=3).training_step(batch())
    told = learner(PairObjective(nt_xent), encoder="resnet1d", chunk_size=3, batch_norm="per_chunk")
    told.training_step(batch()).backward()


def test_targets_are_the_twins_and_carry_no_gradient() -> None:
    objective = Towards()
    module = learner(objective, predictor=ProjectionHead(4, 8))
    module.twin = MomentumTwin(module.encoder, module.head, steps=3)
    with torch.no_grad():
        for parameter in module.twin.parameters():
            parameter.zero_()
    module.training_step(batch()).backward()
    assert all(not target.any() for target in objective.outputs.targets)
    assert all(parameter.grad is None for parameter in module.twin.parameters())
    assert all(parameter.grad is not None for parameter in module.predictor.parameters())
    module.twin = None  # SimSiam: the learner's own projections
    module.training_step(batch())
    for target, projection in zip(objective.outputs.targets, objective.outputs.projections, strict=True):
        assert not target.requires_grad and torch.equal(target, projection)


def test_the_twin_follows_and_is_no_trained_parameter() -> None:
    module = learner(Towards(), predictor=ProjectionHead(4, 8), steps=4)
    module.twin = MomentumTwin(module.encoder, module.head, decay=0.5, final_decay=0.5, steps=4)
    optimizer = module.configure_optimizers()["optimizer"]
    trained = {id(parameter) for group in optimizer.param_groups for parameter in group["params"]}
    assert trained.isdisjoint(map(id, module.twin.parameters()))
    assert trained >= set(map(id, module.predictor.parameters()))
    first = next(iter(module.encoder.parameters()))
    start = first.detach().clone()
    with torch.no_grad():
        first.add_(1.0)
    module.twin.follow(module.encoder, module.head)
    twin_first = next(iter(module.twin.encoder.parameters()))
    torch.testing.assert_close(twin_first, start + 0.5)


def test_wrong_combinations_name_the_remedy() -> None:
    with pytest.raises(ValueError, match="add predictor=mlp"):
        learner(Towards())
    net = nn.Linear(1, 1)
    with pytest.raises(ValueError, match="leave it out with ~twin"):
        learner(PairObjective(nt_xent), twin=MomentumTwin(net, net, steps=1))
    with pytest.raises(ValueError, match="chunk_size is 0"):
        learner(PairObjective(nt_xent), chunk_size=0)


def test_a_view_is_cut_to_some_rows() -> None:
    views = learner(PairObjective(nt_xent), OverlappingCrops()).make_views(batch())
    part = views[0][2:5]
    assert torch.equal(part.signals, views[0].signals[2:5]) and torch.equal(part.lengths, views[0].lengths[2:5])
    assert part.shared == views[0].shared
    masked = replace(views[0], mask=torch.ones(BATCH, 3, dtype=torch.bool))
    assert masked[2:5].mask is not None and len(masked[2:5].mask) == 3


def test_views_are_made_in_full_precision_under_autocast() -> None:
    """Convolutions and Fourier transforms of waves in half precision would be audible."""

    def product(signals: Tensor, lengths: Tensor, random: KeyedRandom) -> list[View]:
        return [View(signals @ torch.ones(signals.shape[-1], signals.shape[-1]), lengths)] * 2

    made = learner(PairObjective(nt_xent), product)
    with torch.autocast("cpu", torch.bfloat16):
        (view, _) = made.make_views(batch())
    assert view.signals.dtype == torch.float32


def test_an_objective_says_how_many_views_it_wants_targets_of_and_which_step_it_is() -> None:
    objective = Towards()
    objective.target_views = 1
    module = learner(objective, AugmentedViews([Jitter(0.1)] * 3), predictor=ProjectionHead(4, 8))
    outputs = module.outputs(replace(batch(), step=17), module.make_views(batch()))
    assert len(outputs.predictions) == 3 and len(outputs.targets) == 1 and outputs.step == 17


def test_the_twin_may_be_what_is_saved() -> None:
    plain = learner(Towards(), predictor=ProjectionHead(4, 8))
    twin = MomentumTwin(plain.encoder, plain.head, decay=0.9, steps=10)
    module = learner(Towards(), predictor=ProjectionHead(4, 8), twin=twin, save_twin=True)
    assert module.trained_encoder is twin.encoder
    with pytest.raises(ValueError, match="save_twin needs a twin"):
        learner(PairObjective(nt_xent), save_twin=True)


def test_a_direct_predictor_follows_every_update() -> None:
    """Whoever trains with the learner alone, without Lightning, calls `after_update`; Lightning's step does so itself."""
    predictor = DirectPredictor(4)
    method = learner(Towards(), predictor=predictor)
    gradients(method)
    method.after_update()
    assert predictor.updates == 1 and not torch.equal(predictor.weight, torch.eye(4))
