"""Softmax over known speakers with an angular margin."""

import math

import pytest
import torch
import torch.nn.functional as F

from antiphon.common.objectives.base import ViewOutputs
from antiphon.domains.speaker_verification.methods import SpeakerSoftmax, aam_softmax


def inputs() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return (
        torch.randn(6, 5, dtype=torch.float64, generator=generator),
        torch.randn(4, 5, dtype=torch.float64, generator=generator),
        torch.tensor([0, 3, 1, 1, 2, 0]),
    )


def test_against_a_loop() -> None:
    embeddings, speakers, labels = inputs()
    losses = []
    for embedding, label in zip(embeddings, labels.tolist(), strict=True):
        logits = []
        for number, speaker in enumerate(speakers):
            cosine = float(embedding @ speaker / embedding.norm() / speaker.norm())
            angle = math.acos(cosine) + 0.2
            turned = math.cos(angle) if angle <= math.pi else cosine - 0.2 * math.sin(0.2)
            logits.append(30.0 * (turned if number == label else cosine))
        losses.append(math.log(sum(math.exp(logit) for logit in logits)) - logits[label])
    found = aam_softmax(embeddings, speakers, labels, reduction="none")
    torch.testing.assert_close(found, torch.tensor(losses, dtype=torch.float64))
    torch.testing.assert_close(aam_softmax(embeddings, speakers, labels), found.mean())


def test_margin_zero_is_cross_entropy_of_cosines_and_the_loss_rises_with_the_margin() -> None:
    embeddings, speakers, labels = inputs()
    logits = 30.0 * F.normalize(embeddings, dim=1) @ F.normalize(speakers, dim=1).T
    torch.testing.assert_close(aam_softmax(embeddings, speakers, labels, margin=0.0), F.cross_entropy(logits, labels))
    losses = [float(aam_softmax(embeddings, speakers, labels, margin=margin)) for margin in (0.0, 0.1, 0.2, 0.4)]
    assert losses == sorted(losses) and losses[0] < losses[-1]
    assert torch.autograd.gradcheck(lambda e, s: aam_softmax(e, s, labels, scale=3.0), [x.requires_grad_() for x in inputs()[:2]])


def test_it_learns_speakers_and_needs_them() -> None:
    generator = torch.Generator().manual_seed(1)
    centres, labels = torch.randn(3, 8, generator=generator), torch.arange(30) % 3
    clips = centres[labels] + 0.3 * torch.randn(30, 8, generator=generator)
    torch.manual_seed(0)
    objective = SpeakerSoftmax(classes=("a", "b", "c"), projection_dim=8)
    optimizer = torch.optim.Adam(objective.parameters(), lr=0.05)
    outputs = ViewOutputs(index=torch.arange(30), projections=[clips, clips + 0.01], labels={"label": labels})
    first = objective(outputs).item()
    for _ in range(60):
        optimizer.zero_grad()
        loss = objective(outputs)
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.05 * first
    torch.testing.assert_close(objective.per_example(outputs).mean(), objective(outputs))
    with pytest.raises(ValueError, match="the training set has 1: give a column `speaker`"):
        SpeakerSoftmax(classes=("a",), projection_dim=8)
    with pytest.raises(ValueError, match="learns from labels"):
        objective(ViewOutputs(index=torch.arange(30), projections=[clips]))
