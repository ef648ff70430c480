"""The mean-shifted loss: what it is around zero, what it does not change under, and where its centre comes from."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from antiphon.common.data.batch import SignalBatch
from antiphon.common.encoder import Encoder, InputSpec
from antiphon.common.objectives import MeanShifted, ViewOutputs, mean_shifted, nt_xent

CENTER = torch.tensor([0.6, 0.8], dtype=torch.float64)


def views(batch: int = 5, dim: int = 3) -> tuple[Tensor, Tensor]:
    first, second = torch.randn(2, batch, dim, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return first, second


def center(dim: int = 3) -> Tensor:
    return 0.5 * torch.randn(dim, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def test_golden_directions() -> None:
    points = torch.tensor([[1.0, 0.0], [0.0, 1.0]], dtype=torch.float64)
    shifted = F.normalize(points - CENTER, dim=-1)
    expected = torch.tensor([[0.447214, -0.894427], [-0.948683, 0.316228]], dtype=torch.float64)
    torch.testing.assert_close(shifted, expected, atol=1e-6, rtol=0)
    # Each point is the other's positive, at a cosine of -0.707107; the negatives are its own copy and the other's.
    found = mean_shifted(points, points.flip(0), center=CENTER, temperature=0.5, reduction="none")
    positive, negatives = -0.707107, (1.0, -0.707107)
    loss = np.log(sum(np.exp(np.array([positive, *negatives]) / 0.5))) - positive / 0.5
    torch.testing.assert_close(found, torch.full((4,), loss, dtype=torch.float64), atol=1e-5, rtol=0)


def test_zero_as_the_centre_is_nt_xent() -> None:
    rows = mean_shifted(*views(), center=torch.zeros(3), temperature=0.3, reduction="none")
    torch.testing.assert_close(rows, nt_xent(*views(), temperature=0.3, reduction="none"))


@pytest.mark.parametrize("angular_center", [False, True])
def test_a_rotation_of_everything_changes_nothing(angular_center: bool) -> None:
    rotation = torch.linalg.qr(torch.randn(3, 3, generator=torch.Generator().manual_seed(2), dtype=torch.float64)).Q
    first, second = views()
    options = {"angular_center": angular_center, "reduction": "none"}
    turned = mean_shifted(first @ rotation, second @ rotation, center=center() @ rotation, **options)
    torch.testing.assert_close(turned, mean_shifted(first, second, center=center(), **options))
    with pytest.raises(AssertionError):
        torch.testing.assert_close(mean_shifted(first @ rotation, second @ rotation, center=center(), **options), turned)


def test_the_angular_term_adds_the_distance_of_both_views() -> None:
    first, second = views()
    towards = F.normalize(center(), dim=0)
    distances = [(F.normalize(view, dim=-1) - towards).square().sum(dim=-1).mean() for view in (first, second)]
    extra = mean_shifted(first, second, center=center(), angular_center=True) - mean_shifted(first, second, center=center())
    torch.testing.assert_close(extra, distances[0] + distances[1])


def test_an_embedding_on_the_centre_stays_finite() -> None:
    first = CENTER.repeat(3, 1).requires_grad_()
    loss = mean_shifted(first, first, center=CENTER)
    loss.backward()
    assert loss.isfinite() and first.grad is not None and first.grad.isfinite().all()


class Means(Encoder):
    """Embeds a signal by its channels' means."""

    def __init__(self) -> None:
        super().__init__(embedding_dim=2, input_spec=InputSpec(2), config={}, pooling="mean")

    def encode(self, signals: Tensor, lengths: Tensor | None = None, **_: object) -> Tensor:
        assert not self.training
        return signals.transpose(1, 2)


class Signals:
    """300 signals, more than are embedded at a time."""

    values = torch.randn(300, 2, 4, generator=torch.Generator().manual_seed(3)) + 1.0

    def __len__(self) -> int:
        return len(self.values)

    def batch(self, index: np.ndarray, *, epoch: int = 0) -> SignalBatch:
        rows = torch.from_numpy(index)
        return SignalBatch(self.values[rows], torch.full((len(rows),), 4), rows)


def test_the_centre_is_the_mean_of_unit_embeddings_before_training() -> None:
    objective, encoder = MeanShifted(2, temperature=0.3), Means().train()
    first, second = (view.float() for view in views(dim=2))
    outputs = ViewOutputs(index=torch.arange(5), embeddings=[first, second])
    with pytest.raises(ValueError, match="call begin"):
        objective(outputs)
    objective.begin(encoder, Signals())
    expected = F.normalize(Signals.values.mean(dim=2), dim=-1).mean(dim=0)
    torch.testing.assert_close(objective.center, expected)
    assert encoder.training
    torch.testing.assert_close(objective(outputs), mean_shifted(first, second, center=expected, temperature=0.3))
    restored = MeanShifted(2, temperature=0.3)
    restored.load_state_dict(objective.state_dict())  # a resumed run keeps the centre of the encoder that it began with
    torch.testing.assert_close(restored(outputs), objective(outputs))


def test_errors_name_the_shapes() -> None:
    with pytest.raises(ValueError, match=r"the centre \(D,\), got \(5, 3\) and \(2,\)"):
        mean_shifted(*views(), center=CENTER)
    with pytest.raises(ValueError, match="two views, got 1"):
        MeanShifted(3)(ViewOutputs(index=torch.arange(5), embeddings=[views()[0]]))
