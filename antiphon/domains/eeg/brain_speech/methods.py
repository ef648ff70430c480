"""What brain signals are trained by: to find the sound that was heard, or, to compare with, to predict its features."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import normalize

from antiphon.common.distributed import first_row, gather, mean_over_ranks, row_counts
from antiphon.common.objectives.base import Objective, ViewOutputs, labels_of
from antiphon.common.objectives.info_nce import info_nce
from antiphon.common.objectives.precision import full_precision
from antiphon.common.objectives.rows import Reduction, reduce_rows

SPEECH = "speech"  # the labels that hold the features of what was heard


@full_precision
def brain_to_speech(brain: Tensor, speech: Tensor, *, reduction: Reduction = "mean") -> Tensor:
    """Which of the batch's sounds was heard? One-way InfoNCE of frames (B, T, F) and features (B, T, F), Défossez et al. (2023).

    The logit of brain i and sound j is <Z_i, Y_j> / |Y_j|, the product over features and time: only the speech side is normalised,
    and there is no temperature, for the brain module finds the scale of Z by itself. Candidates are the sounds of all ranks. Of a
    sound that is in the batch twice (two participants heard it) each is a candidate: the two logits rise and fall together, so that
    the gradient is that of one of twice the weight, and the least loss is log 2.

    Returns:
        A scalar, or with reduction "none" this rank's losses (B,).

    Raises:
        ValueError: shapes that differ.
    """
    if brain.ndim != 3 or brain.shape != speech.shape:
        raise ValueError(
            f"brain and speech must both be (batch, frames, features), got {tuple(brain.shape)} and {tuple(speech.shape)}: "
            "the brain module needs as many features as the speech has (encoder.features=auto)"
        )
    counts = row_counts(len(brain), device=brain.device)
    rows = info_nce(
        brain.flatten(1),
        gather(normalize(speech.flatten(1), dim=-1), counts=counts),
        positives=torch.arange(len(brain), device=brain.device) + first_row(counts),
        temperature=1.0,
        reduction="none",
    )
    return reduce_rows(rows, reduction)


class BrainToSpeech(Objective):
    """`brain_to_speech` of the encoder's frames and the batch's labels "speech" (B, T, F)."""

    needs = ("frames",)

    def forward(self, outputs: ViewOutputs) -> Tensor:
        """The scalar loss of a batch."""
        return brain_to_speech(outputs.frames[0], labels_of(outputs, SPEECH))

    def per_example(self, outputs: ViewOutputs) -> Tensor:
        """The loss of each example, (B,)."""
        return brain_to_speech(outputs.frames[0], labels_of(outputs, SPEECH), reduction="none")


class SpeechRegression(Objective):
    """Mean squared error between the encoder's frames and the batch's labels "speech" (B, T, F): the paper's control."""

    needs = ("frames",)

    def forward(self, outputs: ViewOutputs) -> Tensor:
        """The scalar loss of a batch."""
        return mean_over_ranks(self.per_example(outputs))

    def per_example(self, outputs: ViewOutputs) -> Tensor:
        """The loss of each example, (B,)."""
        frames, speech = outputs.frames[0].float(), labels_of(outputs, SPEECH)
        if frames.shape != speech.shape:
            raise ValueError(f"the encoder gives {tuple(frames.shape)}, the speech features are {tuple(speech.shape)}")
        return (frames - speech).square().mean(dim=(1, 2))
