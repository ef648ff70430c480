"""MVCNet's contrasts against plain loops, its views, and what labels a mirrored trial gets."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from antiphon.common.objectives.base import ViewOutputs
from antiphon.common.random import KeyedRandom, seeded_scope
from antiphon.domains.eeg.mvcnet import (
    IFNetEncoder,
    MVCNet,
    MVCNetEncoder,
    MVCNetViews,
    cross_model_loss,
    cross_view_loss,
    mirror_order,
)

pytest.importorskip("mne")

CLASSES = ("left_hand", "right_hand")
NAMES = ("C3", "Cz", "C4")
F = [KeyedRandom(torch.arange(4)).fold("f", view).normal(6).double() for view in range(4)]
Z = [KeyedRandom(torch.arange(4)).fold("z", view).normal(6).double() for view in range(4)]


def loop_nt_xent(first: list[Tensor], second: list[Tensor], temperature: float) -> float:
    """Row by row, in float64: the anchors of both lists, each against all others."""
    rows = [row / row.norm() for row in (*first, *second)]
    total = 0.0
    for number, anchor in enumerate(rows):
        positive = (number + len(first)) % len(rows)
        others = [math.exp(float(anchor @ row) / temperature) for other, row in enumerate(rows) if other != number]
        total -= math.log(math.exp(float(anchor @ rows[positive]) / temperature) / sum(others))
    return total / len(rows)


def test_the_cross_view_loss_is_the_published_sum() -> None:
    expected = [loop_nt_xent([*F[0], *Z[0]], [*F[view], *Z[view]], 0.2) for view in (1, 2, 3)]
    assert float(cross_view_loss(F, Z)) == pytest.approx(sum(expected) / 3, rel=1e-5)


def test_the_cross_model_loss_is_the_published_sum() -> None:
    expected = loop_nt_xent([row for view in F for row in view], [row for view in Z for row in view], 0.2)
    assert float(cross_model_loss(F, Z)) == pytest.approx(expected, rel=1e-5)


def views_of(signals: Tensor, **options: object) -> list[Tensor]:
    lengths = torch.full((len(signals),), signals.shape[-1])
    made = MVCNetViews(NAMES, 100.0, **options)(signals, lengths, KeyedRandom(torch.arange(len(signals))))  # type: ignore[arg-type]
    return [view.signals for view in made]


def test_the_views_are_time_frequency_and_space() -> None:
    signals = torch.sin(2 * math.pi * 10 * torch.arange(400) / 100).expand(2, 3, -1) * torch.tensor([1.0, 2.0, 3.0])[:, None]
    raw, time, frequency, space = views_of(signals, shift_hz=0.5)
    assert torch.equal(raw, signals) and torch.equal(time, -signals) and torch.equal(space, signals[:, [2, 1, 0]])
    expected = torch.sin(2 * math.pi * 10.5 * torch.arange(400) / 100)
    assert float((frequency[0, 0] - expected)[50:-50].abs().max()) < 0.05
    assert len(views_of(signals, kinds=("space",))) == 2


def test_views_say_what_they_lack() -> None:
    with pytest.raises(ValueError, match="names of the electrodes"):
        MVCNetViews(None, 100.0)
    with pytest.raises(ValueError, match="sampling rate"):
        MVCNetViews(NAMES)
    with pytest.raises(ValueError, match="each once, got time, time"):
        MVCNetViews(NAMES, 100.0, kinds=("time", "time"))
    with pytest.raises(ValueError, match="no mirror image for C3"):
        MVCNetViews(("C3", "Cz"), 100.0)


def test_mirror_images_of_classes() -> None:
    assert mirror_order(CLASSES) == [1, 0] == mirror_order(("Left", "Right")) == mirror_order(("hand_right", "hand_left"))
    assert mirror_order(("feet", "right_hand")) == [0, 1]  # no left hand: as published, nothing changes
    assert mirror_order(("feet", "left_hand", "right_hand", "tongue")) == [0, 2, 1, 3]
    assert mirror_order(CLASSES, None) == [0, 1] and mirror_order(("769", "770"), ["770", "769"]) == [1, 0]
    with pytest.raises(ValueError, match="769, 770 do not say which is left"):
        mirror_order(("769", "770"))
    with pytest.raises(ValueError, match="use auto, null, or an order of left_hand, right_hand"):
        mirror_order(CLASSES, ["left_hand", "left_hand"])


def outputs_of(encoder: IFNetEncoder, signals: Tensor, labels: Tensor, kinds: tuple[str, ...]) -> ViewOutputs:
    lengths = torch.full((len(signals),), signals.shape[-1])
    views = MVCNetViews(NAMES, 100.0, kinds=kinds)(signals, lengths, KeyedRandom(torch.arange(len(signals))))
    embeddings = [encoder.embed(view.signals) for view in views]
    return ViewOutputs(torch.arange(len(signals)), views=views, embeddings=embeddings, labels={"label": labels})


@pytest.mark.parametrize("kind", [IFNetEncoder, MVCNetEncoder])
def test_the_loss_is_cross_entropy_on_all_views_plus_a_tenth_of_each_contrast(kind: type[IFNetEncoder]) -> None:
    with seeded_scope(0, "test"):
        encoder = kind(3, 64, pool=32).eval()
        objective = MVCNet(encoder=encoder, classes=CLASSES, temperature=0.3).eval()
    signals, labels = KeyedRandom(torch.arange(5)).normal(3, 64), torch.tensor([0, 1, 1, 0, 1])
    outputs = outputs_of(encoder, signals, labels, ("time", "frequency", "space"))
    if kind is MVCNetEncoder:
        assert objective.transformer is None
        f, z = ([half[side] for half in (rows.chunk(2, dim=1) for rows in outputs.embeddings)] for side in (0, 1))
    else:
        assert objective.transformer is not None
        f, z = list(outputs.embeddings), [objective.transformer(view.signals) for view in outputs.views]
    expected = sum(
        cross_entropy(objective.linear(rows), 1 - labels if view == 3 else labels) for view, rows in enumerate(outputs.embeddings)
    )
    expected = expected + 0.1 * cross_view_loss(f, z, temperature=0.3) + 0.1 * cross_model_loss(f, z, temperature=0.3)
    assert torch.allclose(objective(outputs), expected)
    assert objective.classifier(encoder).linear.weight.equal(objective.linear.weight)


def test_what_is_switched_off_is_not_there() -> None:
    encoder = IFNetEncoder(3, 64, pool=32).eval()
    signals, labels = KeyedRandom(torch.arange(4)).normal(3, 64), torch.tensor([0, 1, 1, 0])
    plain = MVCNet(encoder=encoder, classes=CLASSES, views=(), cross_view_weight=0.0, cross_model_weight=0.0)
    assert [name for name, _ in plain.named_parameters()] == ["linear.weight", "linear.bias"]
    outputs = outputs_of(encoder, signals, labels, ())
    assert torch.allclose(plain(outputs), cross_entropy(plain.linear(outputs.embeddings[0]), labels))
    unflipped = MVCNet(encoder=encoder, classes=CLASSES, mirrored_classes=None)
    assert unflipped.mirror.tolist() == [0, 1]
    assert MVCNet(encoder=encoder, classes=("769", "770"), views=("time",)).mirror.tolist() == [0, 1]  # no space view: no question


def test_trainings_that_cannot_be_are_refused() -> None:
    encoder = IFNetEncoder(3, 64, pool=32)
    with pytest.raises(ValueError, match="give labelled trials"):
        MVCNet(encoder=encoder, classes=())
    with pytest.raises(ValueError, match="nothing to contrast"):
        MVCNet(encoder=encoder, classes=CLASSES, views=())
    objective = MVCNet(encoder=encoder, classes=CLASSES)
    with pytest.raises(ValueError, match=r"got 2 views, but objective\.views says 4"):
        objective(outputs_of(encoder, KeyedRandom(torch.arange(2)).normal(3, 64), torch.tensor([0, 1]), ("time",)))
    outputs = outputs_of(encoder, KeyedRandom(torch.arange(2)).normal(3, 200), torch.tensor([0, 1]), ("time", "frequency", "space"))
    with pytest.raises(ValueError, match=r"trials of 200 samples, encoder\.window is 64"):
        objective(outputs)


def test_gradients_reach_both_branches() -> None:
    encoder = IFNetEncoder(3, 64, pool=32)
    objective = MVCNet(encoder=encoder, classes=CLASSES)
    outputs = outputs_of(
        encoder, KeyedRandom(torch.arange(4)).normal(3, 64), torch.tensor([0, 1, 1, 0]), ("time", "frequency", "space")
    )
    objective(outputs).backward()
    for name, weights in (*encoder.named_parameters(), *objective.named_parameters()):
        assert weights.grad is not None and np.isfinite(weights.grad.numpy()).all(), name
