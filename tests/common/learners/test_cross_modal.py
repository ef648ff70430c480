"""Two towers in training: who learns how fast, chunks that change nothing, whole pairs, released and clean losses."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

import antiphon
from antiphon.common.augment.base import AugmentedViews
from antiphon.common.data.batch import PairedBatch, SignalBatch
from antiphon.common.learners.cross_modal import CrossModal
from antiphon.common.learners.monitor import take_snapshot
from antiphon.common.objectives import Clip, Hierarchical, SigLip, clip
from antiphon.common.optim import OptimizerSettings
from antiphon.common.two_towers import SignalSide, TextSide
from antiphon.domains.time_series.augmentations import Jitter

HEAD = {"hidden_dim": 8, "out_dim": 5, "norm": "layer"}
TEXTS = ["low", "high", "noise", "low", "hum", "hiss", "beep"]


def batch(**options) -> SignalBatch:
    waves = torch.randn(7, 2, 40, generator=torch.Generator().manual_seed(0))
    lengths = torch.tensor([40, 40, 31, 40, 25, 40, 38])
    return SignalBatch(waves, lengths, torch.arange(7), texts=TEXTS, groups=torch.tensor([0, 0, 1, 2, 3, 3, 3]), **options)


def signal_side(**options) -> SignalSide:
    torch.manual_seed(0)
    built = antiphon.create_encoder("ts2vec", in_channels=2, hidden_dim=4, embedding_dim=6, depth=2, dropout=0.0)
    return SignalSide(built, HEAD, **options)


def learner(tower, objective=None, *, per_frame: bool = False, signal: float = 1.0, text: float = 0.0, **options) -> CrossModal:
    first = signal_side(per_frame=per_frame, lr_factor=signal)
    second = TextSide(tower, HEAD, lr_factor=text)
    return CrossModal(first, second, objective or Clip(), **options)


def gradients(module: CrossModal, given=None) -> dict[str, Tensor]:
    loss = module.training_step(given or batch())
    loss.backward()
    found = {name: parameter.grad for name, parameter in module.named_parameters() if parameter.grad is not None}
    return {"loss": loss.detach(), **found}


def test_the_loss_is_the_objective_of_both_projections(letters) -> None:
    module = learner(letters())
    with torch.no_grad():
        expected = clip(module.first(batch().signals, batch().lengths), module.second(TEXTS), scale=1 / 0.07)
    torch.testing.assert_close(module.training_step(batch()).detach(), expected)
    assert {"loss", "scale", "positive_similarity", "negative_similarity"} == set(module.metrics)


@pytest.mark.parametrize("per_frame", [False, True])
@pytest.mark.parametrize("text", [0.0, 1.0])
def test_chunks_change_nothing(letters, per_frame: bool, text: float) -> None:
    whole, chunked = (gradients(learner(letters(), per_frame=per_frame, text=text, chunk_size=size)) for size in (None, 3))
    assert whole.keys() == chunked.keys() and any("vectors" in name for name in whole) == bool(text)
    for name, value in whole.items():
        torch.testing.assert_close(chunked[name], value, rtol=1e-4, atol=1e-6, msg=lambda text, name=name: f"{name}: {text}")


@pytest.mark.parametrize(("signal", "text"), [(1.0, 0.0), (0.0, 0.0), (1.0, 0.001), (0.0, 1.0)])
def test_each_tower_learns_at_its_share_of_the_rate(letters, signal: float, text: float) -> None:
    module = learner(
        letters(), signal=signal, text=text, optimizer=OptimizerSettings("sgd", lr=0.5, momentum=0.0, weight_decay=0.0)
    )
    before = {name: value.clone() for name, value in module.named_parameters()}
    before["text"] = module.second.tower.vectors.clone()
    found = gradients(module)
    built = module.configure_optimizers()  # the schedule must live as long as the optimiser
    built["optimizer"].step()
    for name, value in module.named_parameters():
        rate = signal if name.startswith("first.encoder") else text if "own_tower" in name else 1.0
        expected = before[name] - 0.5 * rate * found.get(name, torch.zeros_like(value))
        torch.testing.assert_close(value, expected)
    assert torch.equal(before["text"], module.second.tower.vectors) == (text == 0.0)


def test_groups_of_recordings_or_of_texts(letters) -> None:
    module = learner(letters(), Clip(ignore_same_group=True))
    first, second = module.first(batch().signals, batch().lengths), module.second(TEXTS)
    for group_by, groups in (("group", batch().groups), ("text", torch.tensor([0, 1, 2, 0, 4, 5, 6]))):
        module.group_by = group_by
        torch.testing.assert_close(module.training_step(batch()), clip(first, second, scale=1 / 0.07, groups=groups))
    with pytest.raises(ValueError, match="needs groups, but the training set has none"):
        learner(letters(), Clip(ignore_same_group=True)).training_step(replace(batch(), groups=None))


def test_eeg_clips_released_form(letters) -> None:
    """Dot products of rows as they come, and a scale of 2.66 without exp, against the equation in plain Python."""
    module = learner(letters(), Clip(normalize=False, exponential_scale=False))
    with torch.no_grad():
        logits = 2.6592600 * module.first(batch().signals, batch().lengths) @ module.second(TEXTS).T
    expected = -0.5 * sum(logits.log_softmax(dim=dim).diagonal().mean() for dim in (0, 1))
    torch.testing.assert_close(module.training_step(batch()).detach(), expected)
    assert module.two_towers().scale == pytest.approx(2.65926, rel=1e-5)


def test_signals_of_two_kinds() -> None:
    """Both halves of a pair are signals, each with its encoder."""
    first, second = signal_side(), signal_side(per_frame=True)
    module = CrossModal(first, second, Clip())
    other = replace(batch(), signals=batch().signals.flip(0))
    whole = PairedBatch(batch(), other, epoch=2, step=5)
    assert len(whole) == 7 and torch.equal(whole.index, batch().index) and whole.to("cpu").step == 5
    expected = clip(first(batch().signals, batch().lengths), second(other.signals, other.lengths), scale=1 / 0.07)
    torch.testing.assert_close(module.training_step(whole), expected)
    with pytest.raises(ValueError, match="no text tower"):
        module.two_towers()
    chunked = CrossModal(signal_side(), signal_side(per_frame=True), Clip(), chunk_size=2)
    torch.testing.assert_close(gradients(chunked, whole)["loss"], expected.detach())
    assert "rankme" in take_snapshot(module, whole, 0)[0].metrics


def test_the_model_is_what_was_trained(letters) -> None:
    module = learner(letters(), SigLip(bias=-3.0))
    model = module.two_towers().eval()
    assert model.scale == pytest.approx(10.0) and model.bias == -3.0
    with torch.no_grad():
        torch.testing.assert_close(model.embed_texts(TEXTS), normalize(module.second(TEXTS), dim=-1))
    assert module.trained_encoder is model.encoder


def test_views_are_drawn_by_key_and_there_is_one(letters) -> None:
    module = learner(letters(), views=AugmentedViews([Jitter(0.5)]))
    torch.testing.assert_close(module.training_step(batch()), module.training_step(batch()), rtol=0, atol=0)
    plain = learner(letters()).training_step(batch())
    assert module.training_step(batch()) != module.training_step(replace(batch(), epoch=1)) != plain
    with pytest.raises(ValueError, match="views makes 2 of it"):
        learner(letters(), views=AugmentedViews([Jitter(0.5), Jitter(0.5)])).training_step(batch())


def test_context_reaches_the_encoder_cut_to_the_chunk(letters, monkeypatch: pytest.MonkeyPatch) -> None:
    module = learner(letters(), chunk_size=3)
    right, seen = module.encoder.encode, []

    def encode(*arguments, context=None, **options):
        seen.append(context)
        return right(*arguments, **options)

    monkeypatch.setattr(module.encoder, "encode", encode)
    module.training_step(batch(context={"subject": torch.arange(7), "positions": torch.zeros(2, 3)}))
    assert [told["subject"].tolist() for told in seen] == [[0, 1, 2], [3, 4, 5], [6]] and seen[0]["positions"].shape == (2, 3)


def test_the_monitor_compares_the_modalities(letters) -> None:
    snapshot, embeddings = take_snapshot(learner(letters()), batch(labels={"label": torch.arange(7) % 2}), 3)
    assert {"rankme", "collapsed", "online_probe"} == set(snapshot.metrics) and snapshot.similarity is not None
    assert embeddings.shape == (7, 6)


def test_mistakes_are_named(letters) -> None:
    with pytest.raises(ValueError, match="two towers have projections"):
        learner(letters(), Hierarchical())
    with pytest.raises(ValueError, match="no texts"):
        learner(letters()).training_step(replace(batch(), texts=None))
    with pytest.raises(ValueError, match="group_by is 'x'"):
        learner(letters(), group_by="x")
    with pytest.raises(ValueError, match="chunk_size is 0"):
        learner(letters(), chunk_size=0)
    with pytest.raises(ValueError, match="7 and 6"):
        PairedBatch(batch(), SignalBatch(torch.zeros(6, 1, 4), torch.full((6,), 4), torch.arange(6)))
    with pytest.raises(FloatingPointError, match="at step 4"):
        learner(letters()).training_step(replace(batch(), signals=torch.full((7, 2, 40), torch.inf), step=4))
