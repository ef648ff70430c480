"""The objectives of words against loops, closed forms and what they must not see."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

import antiphon
from antiphon.common.data.batch import View
from antiphon.common.objectives import cpc, nt_xent
from antiphon.common.objectives.base import ViewOutputs
from antiphon.common.random import KeyedRandom
from antiphon.domains.keyword_spotting.augmentations import PacedView
from antiphon.domains.keyword_spotting.methods import CAB, FrameContrast, StagedCPC, dual_contrastive, frame_contrast


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def keys(count: int) -> KeyedRandom:
    return KeyedRandom.for_examples(0, 0, torch.arange(count))


def dual_by_hand(embeddings: Tensor, columns: Tensor, labels: list[int], temperature: float) -> float:
    z = normalize(embeddings, dim=-1)
    theta = [normalize(columns, dim=-1)[label] for label in labels]
    count, total = len(labels), [0.0, 0.0]
    counted = 0
    for i in range(count):
        positives = [p for p in range(count) if p != i and labels[p] == labels[i]]
        counted += bool(positives)
        for p in positives:
            for side, (anchor, candidates) in enumerate(((z[i], theta), (theta[i], list(z)))):
                scores = [math.exp(float(anchor @ candidates[a]) / temperature) for a in range(count) if a != i]
                total[side] -= math.log(math.exp(float(anchor @ candidates[p]) / temperature) / sum(scores)) / len(positives)
    return (total[0] + total[1]) / counted


def test_the_dual_term_equals_its_sums() -> None:
    embeddings, columns, labels = noise(6, 5), noise(4, 5, seed=1), [0, 2, 2, 0, 2, 3]
    found = dual_contrastive(embeddings, columns, torch.tensor(labels), temperature=0.3)
    assert found.item() == pytest.approx(dual_by_hand(embeddings, columns, labels, 0.3), rel=1e-5)


def test_the_dual_term_of_examples_that_are_all_alone_is_nothing() -> None:
    embeddings = noise(3, 5).requires_grad_()
    loss = dual_contrastive(embeddings, noise(3, 5, seed=1), torch.arange(3))
    loss.backward()
    assert loss.item() == 0.0 and torch.isfinite(embeddings.grad).all()


def test_the_dual_term_is_differentiable_and_does_not_mind_the_order() -> None:
    embeddings, columns, labels = noise(5, 3).requires_grad_(), noise(2, 3, seed=1).requires_grad_(), torch.tensor([0, 1, 0, 1, 1])
    order = torch.tensor([3, 0, 4, 2, 1])
    mixed = dual_contrastive(embeddings[order], columns, labels[order])
    torch.testing.assert_close(mixed, dual_contrastive(embeddings, columns, labels))
    before = embeddings.grad, columns.grad
    assert before == (None, None)
    dual_contrastive(embeddings, columns, labels).backward()
    step = 1e-3
    better = dual_contrastive(embeddings - step * embeddings.grad, columns - step * columns.grad, labels)
    assert better < dual_contrastive(embeddings, columns, labels)


def cab_outputs(labels: Tensor | None = None) -> tuple[CAB, ViewOutputs]:
    encoder = antiphon.create_encoder("cab", window=4000, mels=16, embedding_dim=12, heads=2, depth=1, blocks=1)
    options: dict[str, Any] = {} if labels is None else {"classes": ("a", "b"), "dual": "labels"}
    objective = CAB(encoder=encoder, mels=16, **options)
    waves = [noise(4, 1, 4000, seed=seed).float() for seed in (0, 1)]
    lengths = torch.full((4,), 4000)
    views = [View(wave, lengths) for wave in waves]
    embeddings = [encoder.eval().embed(wave).detach() for wave in waves]
    return objective, ViewOutputs(
        torch.arange(4), views=views, embeddings=embeddings, labels={} if labels is None else {"label": labels}
    )


def test_cab_is_the_weighted_sum_of_its_terms() -> None:
    objective, outputs = cab_outputs()
    first, second = outputs.embeddings
    means = [objective.log_mel(view.signals).mean(dim=-1)[:, 0] for view in outputs.views]
    expected = {
        "similarity": ((first - second) ** 2).mean(),
        "reconstruction": ((objective.decoder(first) - means[0]) ** 2).mean(),
        "reconstruction_augmented": ((objective.decoder(second) - means[1]) ** 2).mean(),
        "dual": nt_xent(first, second, temperature=0.1),
    }
    terms = objective.terms(outputs)
    for name, value in expected.items():
        torch.testing.assert_close(terms[name], value)
    total = (
        0.8 * terms["similarity"] + 0.05 * terms["reconstruction"] + 0.05 * terms["reconstruction_augmented"] + 0.1 * terms["dual"]
    )
    torch.testing.assert_close(objective(outputs), total)


def test_cab_with_labels_and_without_some_terms() -> None:
    objective, outputs = cab_outputs(torch.tensor([0, 1, 1, 0]))
    columns = objective.columns
    assert columns is not None and columns.shape == (2, 12)
    both, labels = torch.cat(list(outputs.embeddings)), outputs.labels["label"].repeat(2)
    torch.testing.assert_close(objective.terms(outputs)["dual"], dual_contrastive(both, columns, labels, temperature=0.1))
    encoder = antiphon.create_encoder("cab", window=4000, mels=16, embedding_dim=12, heads=2, depth=1, blocks=1)
    only = CAB(encoder=encoder, mels=16, reconstruction=0.0, reconstruction_augmented=0.0, dual_weight=0.0)
    torch.testing.assert_close(only(outputs), 0.8 * only.terms(outputs)["similarity"])


def test_identical_frames_are_found_and_speakers_do_not_help() -> None:
    frames = noise(3, 40, 8).float()
    times = torch.arange(0, 40, 4).expand(3, -1)
    inside = torch.ones(3, 10, dtype=torch.bool)
    right = frame_contrast(frames, frames, (times, times), inside, temperature=0.05)
    wrong = frame_contrast(frames, frames.flip(1), (times, times), inside, temperature=0.05)
    assert right < 0.05 < 2.0 < wrong
    voice = noise(3, 1, 8, seed=3).float().expand(-1, 40, -1)  # the same in all frames of a recording
    assert frame_contrast(voice, voice, (times, times), inside).item() == pytest.approx(math.log(10), rel=1e-4)


def frames_by_hand(first: Tensor, second: Tensor, times: tuple[Tensor, Tensor], inside: Tensor, gap: int) -> float:
    rows = []
    for own, other, here, there in ((first, second, *times), (second, first, times[1], times[0])):
        for b in range(len(own)):
            for i in range(here.shape[1]):
                candidates = [
                    j for j in range(here.shape[1]) if j == i or (inside[b, j] and abs(int(there[b, i] - there[b, j])) > gap)
                ]
                if not inside[b, i] or len(candidates) < 2:
                    continue
                anchor = normalize(own[b, here[b, i]], dim=0)
                scores = [math.exp(float(anchor @ normalize(other[b, there[b, j]], dim=0)) / 0.1) for j in candidates]
                rows.append(-math.log(scores[candidates.index(i)] / sum(scores)))
    return sum(rows) / len(rows)


def test_frame_contrast_equals_its_sums() -> None:
    first, second = noise(2, 12, 4), noise(2, 9, 4, seed=1)
    times = torch.tensor([[0, 5, 6, 11], [2, 2, 7, 10]]), torch.tensor([[1, 4, 5, 8], [0, 1, 5, 8]])
    inside = torch.tensor([[True, True, True, False], [True, True, True, True]])
    found = frame_contrast(first, second, times, inside, gap=1)
    assert found.item() == pytest.approx(frames_by_hand(first, second, times, inside, 1), rel=1e-5)


def test_frame_contrast_without_a_second_moment_is_zero() -> None:
    frames = noise(2, 3, 4).requires_grad_()
    times = torch.zeros(2, 5, dtype=torch.int64)
    loss = frame_contrast(frames, frames, (times, times), torch.ones(2, 5, dtype=torch.bool))
    loss.backward()
    assert loss.item() == 0.0 and torch.isfinite(frames.grad).all()


def paced(start: int, pace: float, size: int, frames: int) -> tuple[PacedView, Tensor]:
    """A view of a recording whose frame at sample s is (cos, sin) of s: the right moments have the same frames."""
    signals = torch.zeros(1, 1, size)
    place = start + pace * torch.arange(frames) * (size / frames)
    angles = place / 2000.0
    found = torch.stack((angles.cos(), angles.sin()), dim=-1)[None]
    return PacedView(signals, torch.tensor([size]), start=torch.tensor([start]), pace=torch.tensor([pace])), found


def test_moments_are_matched_by_the_tempo_of_the_views() -> None:
    first, one = paced(0, 1.2, 6400, 40)
    second, other = paced(1000, 0.8, 6400, 40)
    outputs = ViewOutputs(torch.arange(1), views=[first, second], frames=[one, other], random=keys(1))
    (times, matched), inside = FrameContrast(in_dim=2, anchors=50)._moments(outputs)
    cosines = (one[0, times[0]] * other[0, matched[0]]).sum(dim=-1)
    assert inside.any() and not inside.all()
    assert (cosines[inside[0]] > math.cos(0.5 * 0.8 * 160 / 2000) - 1e-4).all()  # half a frame of the second view


def test_frames_need_views_with_known_moments() -> None:
    view = View(torch.zeros(1, 1, 100), torch.tensor([100]))
    outputs = ViewOutputs(torch.arange(1), views=[view, view], frames=[torch.zeros(1, 5, 2)] * 2, random=keys(1))
    with pytest.raises(ValueError, match="use views=keyword_spotting/frames"):
        FrameContrast(in_dim=2)(outputs)


def test_staged_cpc_is_cpc_on_the_stages() -> None:
    frames, summaries = noise(3, 10, 4).float(), noise(3, 10, 5, seed=1).float()
    objective = StagedCPC(frame_dim=4, summary_dim=5, prediction_steps=2, negatives="same_time")
    outputs = ViewOutputs(torch.arange(3), stages=[[frames, summaries]], random=keys(3))
    expected = cpc(frames, summaries, objective.weights, negatives="same_time")
    torch.testing.assert_close(objective(outputs), expected)
    torch.testing.assert_close(objective.per_example(outputs).mean(), expected)
    drawn = StagedCPC(frame_dim=4, summary_dim=5, prediction_steps=2, draws=8)
    assert torch.equal(drawn(outputs), drawn(outputs)) and drawn(outputs).isfinite()


def test_wrong_words() -> None:
    encoder = antiphon.create_encoder("cab", window=4000, mels=16, heads=2)
    with pytest.raises(ValueError, match="dual is 'words': use views or labels"):
        CAB(encoder=encoder, dual="words")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="needs a labelled training set"):
        CAB(encoder=encoder, dual="labels")
    with pytest.raises(ValueError, match="of one channel at a known rate, the encoder takes 1 at None Hz"):
        CAB(encoder=antiphon.create_encoder("ts2vec", in_channels=1))
    with pytest.raises(ValueError, match="at least 2 anchors"):
        FrameContrast(in_dim=2, anchors=1)
    with pytest.raises(ValueError, match="predict at least one step"):
        StagedCPC(frame_dim=4, summary_dim=4, prediction_steps=0)
