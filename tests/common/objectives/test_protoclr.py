"""ProtoCLR against a loop, its golden value, and what it is when classes are few."""

import math

import pytest
import torch
import torch.nn.functional as F

from antiphon.common.objectives import ProtoCLR, ViewOutputs, info_nce, protoclr

TOY_A = torch.tensor([[1.0, 0.0], [0.0, 1.0]], dtype=torch.float64)
TOY_B = torch.tensor([[0.6, 0.8], [0.0, 1.0]], dtype=torch.float64)


def embeddings(count: int = 7, dim: int = 3) -> torch.Tensor:
    return torch.randn(count, dim, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def protoclr_loop(rows: list[list[float]], labels: list[int], temperature: float) -> list[float]:
    unit = [[value / math.hypot(*row) for value in row] for row in rows]
    prototypes = {}
    for label in set(labels):
        members = [row for row, other in zip(unit, labels, strict=True) if other == label]
        prototypes[label] = [sum(values) / len(members) for values in zip(*members, strict=True)]
    losses = []
    for row, label in zip(unit, labels, strict=True):
        logits = {y: sum(a * b for a, b in zip(row, c, strict=True)) / temperature for y, c in prototypes.items()}
        losses.append(math.log(sum(map(math.exp, logits.values()))) - logits[label])
    return losses


def test_golden_value() -> None:
    found = protoclr(torch.cat((TOY_A, TOY_B)), torch.tensor([0, 1, 0, 1]), temperature=0.5)
    assert found.item() == pytest.approx(0.350903, abs=1e-6)


def test_rows_match_the_loop() -> None:
    rows, labels = embeddings(), torch.tensor([5, -2, 5, 9, -2, 5, 7])  # labels need not count from zero
    found = protoclr(rows, labels, temperature=0.2, reduction="none")
    expected = torch.tensor(protoclr_loop(rows.tolist(), labels.tolist(), 0.2), dtype=torch.float64)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(protoclr(rows, labels, temperature=0.2), expected.mean())
    torch.testing.assert_close(protoclr(rows, labels, temperature=0.2, reduction="sum"), expected.sum())


def test_one_class_has_nothing_to_tell_apart() -> None:
    assert protoclr(embeddings(), torch.full((7,), 3)).item() == pytest.approx(0.0, abs=1e-12)


def test_a_class_an_example_is_cross_entropy_among_examples() -> None:
    unit = F.normalize(embeddings(), dim=-1)
    expected = info_nce(unit, unit, positives=torch.arange(7), temperature=0.3)
    torch.testing.assert_close(protoclr(embeddings(), torch.tensor([3, 1, 0, 2, 6, 5, 4]), temperature=0.3), expected)


def test_gradients_flow_through_the_prototypes() -> None:
    rows, labels = embeddings().requires_grad_(), torch.tensor([0, 0, 0, 0, 0, 0, 1])
    loss = protoclr(rows, labels, reduction="none")[6]  # of the other class: only the prototype ties it to the rest
    (gradient,) = torch.autograd.grad(loss, rows)
    assert gradient[:6].abs().amin(dim=0).gt(0).any()


def test_the_module_takes_all_views_and_their_labels() -> None:
    first, second = embeddings(4), embeddings(4).flip(0)
    labels = torch.tensor([0, 1, 1, 0])
    outputs = ViewOutputs(index=torch.arange(4), projections=[first, second], labels={"label": labels})
    expected = protoclr(torch.cat((first, second)), labels.repeat(2), temperature=0.2)
    torch.testing.assert_close(ProtoCLR(temperature=0.2)(outputs), expected)
    with pytest.raises(ValueError, match="no labels at all"):
        ProtoCLR()(ViewOutputs(index=torch.arange(4), projections=[first, second]))


def test_errors_name_the_shapes() -> None:
    with pytest.raises(ValueError, match=r"labels \(N,\), got \(7, 3\) and \(3,\)"):
        protoclr(embeddings(), torch.arange(3))
