"""SupReMix: what mixtures are made of, the loss against a loop over them, and that draws belong to examples."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from antiphon.common.objectives import SupReMix, ViewOutputs, supcon, supremix
from antiphon.common.objectives.supremix import mixed_negatives, mixed_positives
from antiphon.common.random import KeyedRandom

LABELS = torch.tensor([3.0, 1.0, 4.0, 3.0, 9.0, 2.5], dtype=torch.float64)


def views(batch: int = 6, dim: int = 4) -> tuple[Tensor, Tensor]:
    first, second = torch.randn(2, batch, dim, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return first, second


def streams(rows: Tensor | None = None) -> KeyedRandom:
    return KeyedRandom.for_examples(0, 0, torch.arange(6) if rows is None else rows)


def unit_rows(count: int = 6) -> tuple[Tensor, Tensor]:
    rows = F.normalize(views(count)[0], dim=-1)
    return rows, LABELS[:count, None] - LABELS[:count]


def draws(count: int, size: int, seed: int = 0) -> Tensor:
    return torch.rand(6, count, size, generator=torch.Generator().manual_seed(seed))


def test_golden_share() -> None:
    rows = torch.eye(2, dtype=torch.float64)  # labels 1 and 4, the anchor's is 3
    mixed = mixed_positives(rows, torch.tensor([[2.0, -1.0]], dtype=torch.float64), draws(1, 2)[:1], window=5.0)
    expected = F.normalize(torch.tensor([1 / 3, 2 / 3], dtype=torch.float64), dim=0)
    torch.testing.assert_close(mixed.vectors[0, 0], expected)
    assert mixed.gaps.item() == 0.0 and mixed.exist.all()


def test_mixed_positives_have_the_anchors_label() -> None:
    rows, differences = unit_rows()
    window = 2.0
    mixed = mixed_positives(rows, differences, draws(50, 2), window=window)
    assert mixed.exist.any(dim=1).tolist() == [True, False, False, True, False, True]  # 4 has a 9 above, but not in the window
    for anchor in (0, 3, 5):
        made = set()
        for lower in range(6):
            for upper in range(6):
                low, high = float(LABELS[lower]), float(LABELS[upper])
                if low < LABELS[anchor] < high and LABELS[anchor] - low <= window and high - LABELS[anchor] <= window:
                    share = (float(LABELS[anchor]) - high) / (low - high)
                    assert share * low + (1 - share) * high == pytest.approx(float(LABELS[anchor]))
                    made.add(tuple(F.normalize(share * rows[lower] + (1 - share) * rows[upper], dim=0).round(decimals=9).tolist()))
        found = {tuple(vector.tolist()) for vector in mixed.vectors[anchor].round(decimals=9)}
        assert found == made  # each possible pair, and nothing else


def test_mixed_negatives_lie_between_the_anchor_and_another_label() -> None:
    rows, differences = unit_rows()
    mixed = mixed_negatives(rows, rows, differences, draws(200, 10))
    assert mixed.exist.all() and not mixed.vectors.requires_grad
    for anchor in range(6):
        partners = set()
        for vector, gap in zip(mixed.vectors[anchor, :40], mixed.gaps[anchor, :40], strict=True):
            fits = []
            for other in range(6):
                if LABELS[other] != LABELS[anchor]:
                    share = 1 - float(gap) / abs(float(LABELS[anchor] - LABELS[other]))
                    if 0 <= share <= 1 and torch.allclose(
                        F.normalize(share * rows[anchor] + (1 - share) * rows[other], dim=0), vector
                    ):
                        fits.append(other)
            assert len(fits) == 1
            partners.update(fits)
        assert len(partners) == int((differences[anchor] != 0).sum())
    alone = mixed_negatives(rows, rows, torch.zeros(6, 6, dtype=torch.float64), draws(3, 10))
    assert not alone.exist.any() and alone.vectors.isfinite().all()


def test_the_anchors_share_in_a_mixed_negative_is_beta_distributed() -> None:
    rows = torch.eye(2, dtype=torch.float64)
    uniform = torch.rand(1, 40_000, 10, generator=torch.Generator().manual_seed(0))
    share = 1 - mixed_negatives(rows[:1], rows, torch.tensor([[0.0, 1.0]], dtype=torch.float64), uniform).gaps
    assert share.mean().item() == pytest.approx(2 / 10, abs=2e-3)
    assert share.var().item() == pytest.approx(2 * 8 / (10**2 * 11), rel=0.03)


def supremix_loop(first: Tensor, second: Tensor, *, power: float | None, temperature: float, window: float) -> list[float]:
    """The loss with 3 mixed negatives and 2 mixed positives an anchor, from the same draws."""
    order = streams().keys.argsort()
    candidates = F.normalize(torch.cat((first[order], second[order])), dim=-1)
    candidate_labels = LABELS[order].repeat(2)
    losses = []
    for number, anchor in enumerate(F.normalize(torch.cat((first, second)), dim=-1)):
        view, row = divmod(number, 6)
        difference = LABELS[row] - candidate_labels
        unit = {
            name: streams().fold(name).uniform(2, count, size)[row, view][None]
            for name, count, size in (("positives", 2, 2), ("negatives", 3, 10))
        }
        near = mixed_positives(candidates, difference[None], unit["positives"], window=window)
        far = mixed_negatives(anchor[None], candidates, difference[None], unit["negatives"])
        itself = view * 6 + order.tolist().index(row)
        terms, positives = [], []
        for other in range(12):
            if other != itself:
                weight = 1 if power is None else 1 + abs(float(difference[other])) ** power
                logit = float(anchor @ candidates[other]) / temperature
                terms.append(weight * math.exp(logit))
                if difference[other] == 0:
                    positives.append(logit)
        for mixed, is_positive in ((near, True), (far, False)):
            for vector, gap, exists in zip(mixed.vectors[0], mixed.gaps[0].tolist(), mixed.exist[0].tolist(), strict=True):
                logit = float(anchor @ vector) / temperature
                if exists:
                    terms.append((1 if power is None else 1 + gap**power) * math.exp(logit))
                    if is_positive:
                        positives.append(logit)
        losses.append(sum(math.log(sum(terms)) - logit for logit in positives) / len(positives))
    return losses


@pytest.mark.parametrize(("weighting", "power"), [("l1", 1.0), ("squared", 2.0), ("none", None)])
def test_rows_match_the_loop(weighting: str, power: float | None) -> None:
    options = {"temperature": 0.4, "window": 2.0}
    found = supremix(
        *views(), labels=LABELS, random=streams(), weighting=weighting, negatives=3, positives=2, reduction="none", **options
    )
    torch.testing.assert_close(found, torch.tensor(supremix_loop(*views(), power=power, **options), dtype=torch.float64))


def test_without_mixtures_and_weights_it_is_supcon() -> None:
    first, second = views()
    options = {"labels": LABELS, "random": streams(), "negatives": 0, "positives": 0, "temperature": 0.3}
    found = supremix(first, second, weighting="none", reduction="none", **options)
    torch.testing.assert_close(found, supcon(torch.cat((first, second)), LABELS.repeat(2), temperature=0.3, reduction="none"))
    one = supremix(first, weighting="none", **options)  # one view: labels 3 and 3 are the only pair, the others do not count
    torch.testing.assert_close(one, supcon(first, LABELS, temperature=0.3))
    assert supremix(first, second, **options) > found.mean()  # weights are 1 and more


def test_mixed_negatives_and_weights_make_it_harder() -> None:
    plain = {"labels": LABELS, "random": streams(), "positives": 0}
    rows = [supremix(*views(), negatives=count, reduction="none", **plain) for count in (0, 2, 6)]
    assert (rows[0] < rows[1]).all() and (rows[1] < rows[2]).all()  # the first draws are the same, however many follow


def test_draws_belong_to_examples() -> None:
    first, second = views()
    rows = supremix(first, second, labels=LABELS, random=streams(), reduction="none").view(2, 6)
    order = torch.tensor([4, 1, 5, 0, 3, 2])
    moved = supremix(first[order], second[order], labels=LABELS[order], random=streams(order), reduction="none").view(2, 6)
    torch.testing.assert_close(moved, rows[:, order])


def test_it_puts_embeddings_in_the_order_of_their_labels() -> None:
    """Free vectors, two noisy views each: with labels that all differ SupCon only tells instances apart, and orders nothing."""
    labels, rows = torch.linspace(0.0, 10.0, 40), torch.arange(40)
    upper = torch.triu_indices(40, 40, 1)
    gaps = (labels[:, None] - labels).abs()[upper[0], upper[1]]

    def order(**options: object) -> float:
        generator = torch.Generator().manual_seed(0)
        table = torch.randn(40, 8, generator=generator).requires_grad_()
        optimizer = torch.optim.Adam([table], lr=0.03)
        for step in range(80):
            first, second = F.normalize(table, dim=1) + 0.05 * torch.randn(2, 40, 8, generator=generator)
            optimizer.zero_grad()
            supremix(first, second, labels=labels, random=streams(rows).fold(step), window=1.0, **options).backward()
            optimizer.step()
        unit = F.normalize(table.detach(), dim=1)
        distances = (1 - unit @ unit.T)[upper[0], upper[1]]
        return float(torch.corrcoef(torch.stack((distances.argsort().argsort(), gaps.argsort().argsort())))[0, 1])

    plain, weighted, mixed = order(negatives=0, positives=0, weighting="none"), order(negatives=0, positives=0), order()
    assert abs(plain) < 0.1 and weighted > 0.5 and mixed > weighted


def test_the_module_reads_its_label_and_its_random_streams() -> None:
    first, second = views()
    outputs = ViewOutputs(index=torch.arange(6), projections=[first, second], labels={"age": LABELS}, random=streams())
    expected = supremix(first, second, labels=LABELS, random=streams(), window=2.0, negatives=3)
    torch.testing.assert_close(SupReMix(window=2.0, negatives=3, label="age")(outputs), expected)
    with pytest.raises(ValueError, match="labels\\['label'\\]"):
        SupReMix()(outputs)


def test_errors_name_the_shapes() -> None:
    with pytest.raises(ValueError, match=r"of 6 examples, got \(5,\) and 6"):
        supremix(*views(), labels=LABELS[:5], random=streams())
    with pytest.raises(ValueError, match="weighting is 'l2'"):
        supremix(*views(), labels=LABELS, random=streams(), weighting="l2")
