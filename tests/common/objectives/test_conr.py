"""ConR against a loop, its golden value, and the published code's mistake, which is not made here."""

import math

import pytest
import torch
from torch import Tensor

from antiphon.common.objectives import ConR, ViewOutputs, conr, supcon

POINTS = torch.tensor([[1.0, 0.0], [0.8, 0.6], [0.0, 1.0]], dtype=torch.float64)
LABELS = torch.tensor([1.0, 1.0, 5.0], dtype=torch.float64)
PREDICTIONS = torch.tensor([1.0, 1.5, 1.2], dtype=torch.float64)


def data(count: int = 8, dim: int = 3) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    embeddings = torch.randn(count, dim, generator=generator, dtype=torch.float64)
    labels = 4.0 * torch.rand(count, generator=generator, dtype=torch.float64)
    return embeddings, labels, labels + torch.randn(count, generator=generator, dtype=torch.float64)


def conr_loop(
    embeddings: Tensor,
    labels: Tensor,
    predictions: Tensor,
    *,
    window: float,
    temperature: float,
    rate: float,
    linear: bool = False,
    rarity: Tensor | None = None,
    ones: bool = False,
) -> list[float]:
    """`ones` is the published code's form: 1 in the denominator for each column that is no positive."""
    unit = [row / row.norm() for row in embeddings]
    losses = []
    for i in range(len(unit)):
        others = [j for j in range(len(unit)) if j != i]
        logit = {j: float(unit[i] @ unit[j]) / temperature for j in others}
        gap = {j: abs(float(labels[i] - labels[j])) for j in others}
        positives = [j for j in others if gap[j] <= window]
        negatives = [j for j in others if gap[j] > window and abs(float(predictions[i] - predictions[j])) <= window]
        if not positives or not negatives:
            losses.append(0.0)
            continue
        rare = 1.0 if rarity is None else float(rarity[i])
        pushes = [rare * (rate * gap[n] if linear else math.exp(rate * gap[n])) * math.exp(logit[n]) for n in negatives]
        total = sum(math.exp(logit[p]) for p in positives) + sum(pushes) + ones * (len(unit) - len(positives))
        losses.append(sum(math.log(total) - logit[p] for p in positives) / len(positives))
    return losses


def test_golden_value_is_not_the_published_codes() -> None:
    found = conr(POINTS, LABELS, PREDICTIONS, temperature=0.5).item()
    assert found == pytest.approx(0.239998, abs=1e-6)
    options = {"window": 1.0, "temperature": 0.5, "rate": 0.01}
    assert sum(conr_loop(POINTS, LABELS, PREDICTIONS, **options)) / 3 == pytest.approx(0.239998, abs=1e-6)
    assert sum(conr_loop(POINTS, LABELS, PREDICTIONS, ones=True, **options)) / 3 == pytest.approx(0.407103, abs=1e-6)


@pytest.mark.parametrize("push", ["exponential", "linear"])
@pytest.mark.parametrize("rare", [False, True])
def test_rows_match_the_loop(push: str, rare: bool) -> None:
    rarity = torch.linspace(0.5, 3.0, 8, dtype=torch.float64) if rare else None
    expected = conr_loop(*data(), window=0.8, temperature=0.4, rate=0.3, linear=push == "linear", rarity=rarity)
    options = {"window": 0.8, "temperature": 0.4, "push": push, "push_rate": 0.3, "rarity": rarity}
    rows = conr(*data(), reduction="none", **options)
    torch.testing.assert_close(rows, torch.tensor(expected, dtype=torch.float64))
    assert 0 < expected.count(0.0) < 8  # anchors without a pair count in the mean
    torch.testing.assert_close(conr(*data(), **options), rows.mean())


def test_without_negatives_there_is_nothing_to_correct() -> None:
    embeddings, labels, _ = data()
    far_apart = 100.0 * torch.arange(8.0)  # no two predictions are alike
    assert conr(embeddings, labels, far_apart).item() == 0.0
    assert conr(embeddings, far_apart, far_apart).item() == 0.0  # nor is there a positive


def test_alike_predictions_and_no_push_are_supcon() -> None:
    embeddings, classes = data()[0], torch.tensor([0, 10, 0, 20, 10, 0, 20, 10])
    found = conr(embeddings, classes, torch.zeros(8), temperature=0.3, push_rate=0.0)
    torch.testing.assert_close(found, supcon(embeddings, classes, temperature=0.3))


def test_predictions_choose_negatives_without_gradient() -> None:
    embeddings, labels, predictions = data()
    embeddings.requires_grad_()
    predictions.requires_grad_()
    conr(embeddings, labels, predictions, window=0.8).backward()
    assert predictions.grad is None and embeddings.grad is not None and embeddings.grad.any()


def test_the_module_adds_the_regression_loss() -> None:
    torch.manual_seed(0)
    objective = ConR(3, weight=2.0, window=0.8, temperature=0.4, label="age").double()
    first, labels, _ = data()
    second = first.roll(1, 1)
    outputs = ViewOutputs(
        index=torch.arange(8), embeddings=[first, second], projections=[second, first], labels={"age": labels.float()}
    )
    both, targets = torch.cat((first, second)), labels.float().repeat(2).double()
    predictions = objective.regression(both).squeeze(-1)
    expected = (predictions - targets).abs().mean() + 2.0 * conr(
        torch.cat((second, first)), targets, predictions, window=0.8, temperature=0.4
    )
    torch.testing.assert_close(objective(outputs), expected)
    objective(outputs).backward()
    assert objective.regression.weight.grad is not None and objective.regression.weight.grad.any()
    with pytest.raises(ValueError, match="labels\\['label'\\]"):
        ConR(3)(outputs)


def test_errors_name_the_shapes() -> None:
    embeddings, labels, predictions = data()
    with pytest.raises(ValueError, match=r"predictions \(N,\), got \(8, 3\) and \(8, 1\)"):
        conr(embeddings, labels, predictions[:, None])
    with pytest.raises(ValueError, match=r"rarity \(N,\)"):
        conr(embeddings, labels, predictions, rarity=torch.ones(2))
    with pytest.raises(ValueError, match="push is 'cubic'"):
        conr(embeddings, labels, predictions, push="cubic")
