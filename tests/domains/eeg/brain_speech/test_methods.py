import math

import pytest
import torch
from torch import Tensor

from antiphon.common.objectives.base import ViewOutputs
from antiphon.domains.eeg.brain_speech import BrainToSpeech, SpeechRegression, brain_to_speech


def pairs(batch: int = 5, frames: int = 4, features: int = 3) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(2)
    brain, speech = torch.randn(2, batch, frames, features, generator=generator, dtype=torch.float64)
    return brain, speech


def loop(brain: Tensor, speech: Tensor) -> list[float]:
    """The definition, number by number."""
    losses = []
    for i in range(len(brain)):
        scores = []
        for j in range(len(speech)):
            product = sum(float(a) * float(b) for a, b in zip(brain[i].flatten(), speech[j].flatten(), strict=True))
            scores.append(product / math.sqrt(sum(float(b) ** 2 for b in speech[j].flatten())))
        losses.append(math.log(sum(math.exp(score) for score in scores)) - scores[i])
    return losses


def test_against_a_loop() -> None:
    brain, speech = pairs()
    expected = loop(brain, speech)
    assert torch.allclose(brain_to_speech(brain, speech, reduction="none"), torch.tensor(expected, dtype=torch.float64))
    assert float(brain_to_speech(brain, speech)) == pytest.approx(sum(expected) / 5)


def test_only_the_speech_is_normalised() -> None:
    brain, speech = pairs()
    loss = brain_to_speech(brain, speech)
    assert torch.allclose(brain_to_speech(brain, 7 * speech), loss)
    assert not torch.allclose(brain_to_speech(7 * brain, speech), loss)


def test_gradient() -> None:
    brain, speech = pairs(3, 2, 2)
    assert torch.autograd.gradcheck(brain_to_speech, (brain.requires_grad_(), speech.requires_grad_()))


def test_the_same_sound_twice_counts_as_one_of_twice_the_weight() -> None:
    brain, speech = pairs(4)
    speech[1] = speech[0]
    brain = torch.stack((brain[0], brain[0], brain[2], brain[3])).requires_grad_()
    (gradient,) = torch.autograd.grad(brain_to_speech(brain, speech, reduction="none")[0], brain)
    unit = speech.flatten(1) / speech.flatten(1).norm(dim=1, keepdim=True)
    share = (brain.detach()[0].flatten() @ unit.T + torch.tensor([math.log(2), -math.inf, 0, 0])).softmax(dim=0)
    assert torch.allclose(gradient[0].flatten(), (share - torch.tensor([1.0, 0, 0, 0])) @ unit)


def test_extremes_are_finite() -> None:
    brain, speech = pairs()
    assert torch.isfinite(brain_to_speech(1000 * brain, speech)) and torch.isfinite(brain_to_speech(brain, 0 * speech))
    assert float(brain_to_speech(brain[:1], speech[:1])) == 0.0


def test_half_precision_does_not_reach_the_logits() -> None:
    brain, speech = pairs()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = brain_to_speech(brain.float(), speech.float())
    assert float(found) == pytest.approx(float(brain_to_speech(brain, speech)), rel=1e-5)


def test_shapes_must_agree() -> None:
    brain, speech = pairs()
    with pytest.raises(ValueError, match=r"\(5, 4, 3\) and \(5, 4, 2\).*encoder.features=auto"):
        brain_to_speech(brain, speech[..., :2])


def test_objectives_read_the_labels_speech() -> None:
    brain, speech = pairs()
    outputs = ViewOutputs(index=torch.arange(5), frames=[brain], labels={"speech": speech})
    assert torch.equal(BrainToSpeech()(outputs), brain_to_speech(brain, speech))
    assert torch.allclose(BrainToSpeech().per_example(outputs).mean(), BrainToSpeech()(outputs))
    assert torch.allclose(SpeechRegression()(outputs), torch.nn.functional.mse_loss(brain.float(), speech).double(), atol=1e-6)
    with pytest.raises(ValueError, match="labels\\['speech'\\]"):
        BrainToSpeech()(ViewOutputs(index=torch.arange(5), frames=[brain]))
    with pytest.raises(ValueError, match="the speech features are"):
        SpeechRegression()(ViewOutputs(index=torch.arange(5), frames=[brain[:, :2]], labels={"speech": speech}))
