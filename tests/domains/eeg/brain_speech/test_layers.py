import math

import pytest
import torch

from antiphon.domains.eeg.brain_speech.layers import SpatialAttention, SubjectLayer, flat_positions, fourier_code


def test_flat_positions_keep_angles_from_the_vertex_and_directions() -> None:
    head = torch.tensor([[0.0, 0.0, 0.1], [0.1, 0.0, 0.0], [0.0, -0.2, 0.0], [0.05, 0.0, 0.05]])
    expected = torch.tensor([[0.0, 0.0], [math.pi / 2, 0.0], [0.0, -math.pi / 2], [math.pi / 4, 0.0]])
    assert torch.allclose(flat_positions(head), expected, atol=1e-6)
    assert torch.allclose(flat_positions(3 * head), expected, atol=1e-6)  # a larger head is the same head


def test_fourier_code_against_a_loop() -> None:
    x, y = 0.3, 0.8
    code = fourier_code(torch.tensor([[x, y]]), 3)[0]
    phases = [2 * math.pi * (k * (x + 0.2) + m * (y + 0.2)) / 1.4 for k in range(3) for m in range(3)]
    assert torch.allclose(code, torch.tensor([math.cos(p) for p in phases] + [math.sin(p) for p in phases]), atol=1e-5)
    assert fourier_code(torch.zeros(5, 2), 32).shape == (5, 2048)


def attention(**options: float) -> SpatialAttention:
    torch.manual_seed(0)
    return SpatialAttention(6, frequencies=4, **options)


PLACES = torch.rand(9, 2, generator=torch.Generator().manual_seed(3))


def test_attention_is_a_weighted_mean_of_the_sensors_that_are_there() -> None:
    layer = attention().eval()
    present = torch.ones(2, 9, dtype=torch.bool)
    present[1, 4:] = False
    weights = layer.weights(PLACES, present)
    assert torch.allclose(weights.sum(dim=-1), torch.ones(2, 6)) and not weights[1, :, 4:].any()
    signals = torch.randn(2, 9, 5)
    scores = layer.heads @ fourier_code(PLACES, 4).T
    assert torch.allclose(layer(signals, PLACES, present)[0], scores.softmax(dim=1) @ signals[0], atol=1e-5)
    assert torch.allclose(weights[1, :, :4], scores[:, :4].softmax(dim=1), atol=1e-6)


def test_attention_does_not_mind_the_order_of_sensors() -> None:
    layer, signals, present = attention().eval(), torch.randn(2, 9, 5), torch.ones(2, 9, dtype=torch.bool)
    order = torch.randperm(9, generator=torch.Generator().manual_seed(1))
    assert torch.allclose(layer(signals, PLACES, present), layer(signals[:, order], PLACES[order], present), atol=1e-5)


def test_spatial_dropout_leaves_out_a_disc() -> None:
    layer = attention(dropout_radius=0.3)
    present = torch.ones(400, 9, dtype=torch.bool)
    torch.manual_seed(0)
    weights = layer.weights(PLACES, present)
    gone = (weights == 0).all(dim=1)  # (400, 9)
    assert torch.allclose(weights.sum(dim=-1), torch.ones(400, 6))
    distances = torch.cdist(PLACES, PLACES)
    for row in gone:  # what is gone fits into one disc, and what lies between is gone with it
        assert not row.any() or distances[row][:, row].max() <= 0.6
    assert 0.05 < gone.float().mean() < 0.3  # the disc has 0.28 of the square, less where it reaches beyond
    assert len({tuple(row.tolist()) for row in gone}) > 10  # each example has its own
    torch.manual_seed(0)
    assert torch.equal(layer.weights(PLACES, present), weights)
    assert not (layer.eval().weights(PLACES, present) == 0).any()


def test_spatial_dropout_leaves_a_sensor_in_any_case() -> None:
    weights = attention(dropout_radius=5.0).weights(PLACES, torch.ones(3, 9, dtype=torch.bool))
    assert torch.isfinite(weights).all() and (weights > 0).all()


def test_a_negative_radius_is_refused() -> None:
    with pytest.raises(ValueError, match="dropout_radius is -1"):
        attention(dropout_radius=-1)


def test_each_participant_has_a_matrix() -> None:
    torch.manual_seed(0)
    layer, signals = SubjectLayer(3, 4), torch.randn(3, 4, 5)
    out = layer(signals, torch.tensor([2, 0, 2]))
    for row, who in enumerate((2, 0, 2)):
        assert torch.allclose(out[row], layer.matrices[who].T @ signals[row], atol=1e-6)


@pytest.mark.parametrize("subject", [None, torch.tensor([-1, -1]), torch.tensor([3, 7])])
def test_somebody_new(subject: torch.Tensor | None) -> None:
    torch.manual_seed(0)
    layer, signals = SubjectLayer(3, 4), torch.randn(2, 4, 5)
    with pytest.raises(ValueError, match=r"knows participants 0 to 2, got .*unseen_subject = 'mean'"):
        layer(signals, subject)
    out = layer(signals, subject, unseen="mean")
    assert torch.allclose(out, layer.matrices.mean(dim=0).T @ signals, atol=1e-6)


def test_the_mean_stands_in_for_strangers_only() -> None:
    layer, signals = SubjectLayer(3, 4), torch.randn(2, 4, 5)
    out = layer(signals, torch.tensor([1, 9]), unseen="mean")
    assert torch.equal(out[0], layer(signals[:1], torch.tensor([1]))[0])
    with pytest.raises(ValueError, match="unknown unseen_subject 'median'"):
        layer(signals, None, unseen="median")  # type: ignore[arg-type]
