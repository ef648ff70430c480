"""What the methods for keywords add to the common objectives: CAB's composite loss, frames told apart, CPC of two stages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from antiphon.common.distributed import first_row, gather, row_counts
from antiphon.common.encoder import Encoder
from antiphon.common.objectives.base import Objective, ViewOutputs, labels_of, streams_of
from antiphon.common.objectives.info_nce import info_nce, nt_xent
from antiphon.common.objectives.precision import full_precision
from antiphon.common.objectives.predictive import Negatives, cpc
from antiphon.common.objectives.rows import Reduction, reduce_rows
from antiphon.domains.keyword_spotting.augmentations import PacedView
from antiphon.domains.keyword_spotting.encoders.features import SpeechMel

Dual = Literal["views", "labels"]


@full_precision
def dual_contrastive(embeddings: Tensor, columns: Tensor, labels: Tensor, *, temperature: float | Tensor = 0.1) -> Tensor:
    """The dual term of CAB-KWS as written: embeddings find the vector of their class, and that vector finds them.

    With z_i the embedding and t_i the classifier column of the class of example i, both of length 1 here, L_z is the mean over
    i and over the others p of its class of ``-log(exp(t_p z_i / temperature) / sum over a != i of exp(t_a z_i /
    temperature))``, and L_theta the same with the anchors t_i and the candidates z_a. An example that is alone in its class has
    no term.

    Args:
        embeddings: (B, D).
        columns: (classes, D), the weights of a classifier.
        labels: (B,) int64.
        temperature: the source names none.

    Returns:
        L_z + L_theta, a scalar; the mean is over the examples of all ranks that are not alone.
    """
    units, columns = normalize(embeddings, dim=-1), normalize(columns, dim=-1)
    counts = row_counts(len(units), device=units.device)
    everyone, classes = gather(units, counts=counts), gather(labels, with_grad=False, counts=counts)
    itself = (torch.arange(len(units), device=units.device) + first_row(counts))[:, None]
    alike = (labels[:, None] == classes).scatter(1, itself, False)
    pairs = ((units, columns[classes]), (columns[labels], everyone))
    rows = [info_nce(a, b, positives=alike, ignore=itself, temperature=temperature, reduction="none") for a, b in pairs]
    return reduce_rows(rows[0] + rows[1], "mean", alike.any(dim=1))


class CAB(Objective):
    """Likeness, reconstruction and contrast of a clip and its augmentation: the pretraining loss of CAB-KWS (arXiv 2409.00356).

    ``similarity |E - E'|^2 + reconstruction |m - R(E)|^2 + reconstruction_augmented |m' - R(E')|^2 + dual`` with the
    bottlenecks E, E' of the first and the second view, the time-means m, m' of their log-mel bands, one linear map R for both,
    and squares averaged over dimensions. Weights of 0 leave a term out.

    The dual term of the source sums over examples of the same class, though nothing is labelled here. With ``dual="views"`` a
    class is a clip and its augmentation, so the term is NT-Xent on the bottlenecks; with "labels", for labelled training sets,
    it is `dual_contrastive` with columns learnt along. The source gives no temperature.
    """

    needs = ("embeddings",)

    def __init__(
        self,
        *,
        encoder: Encoder,
        classes: Sequence[str] = (),
        similarity: float = 0.8,
        reconstruction: float = 0.05,
        reconstruction_augmented: float = 0.05,
        dual_weight: float = 0.1,
        dual: Dual = "views",
        temperature: float = 0.1,
        mels: int = 40,
    ) -> None:
        super().__init__()
        if dual not in get_args(Dual):
            raise ValueError(f"dual is {dual!r}: use views or labels")
        if dual == "labels" and not classes:
            raise ValueError("dual='labels' needs a labelled training set: use dual='views', or give labels")
        spec = encoder.input_spec
        if spec.channels != 1 or spec.sample_rate is None:
            raise ValueError(
                f"CAB reconstructs log-mel bands of one channel at a known rate, the encoder takes {spec.channels} at "
                f"{spec.sample_rate} Hz: use an encoder of speech, such as cab"
            )
        self.weights = (similarity, reconstruction, reconstruction_augmented, dual_weight)
        self.dual, self.temperature = dual, temperature
        self.log_mel = SpeechMel(int(spec.sample_rate), mels=mels)
        self.decoder = nn.Linear(encoder.embedding_dim, mels)
        self.columns = nn.Parameter(torch.randn(len(classes), encoder.embedding_dim)) if dual == "labels" else None

    def terms(self, outputs: ViewOutputs) -> dict[str, Tensor]:
        """The four terms of a batch, without their weights."""
        clean, augmented = outputs.embeddings
        means = [self.log_mel(view.signals)[:, 0].mean(dim=-1) for view in outputs.views]  # (B, mels)
        return {
            "similarity": _squared(clean, augmented),
            "reconstruction": _squared(self.decoder(clean), means[0]),
            "reconstruction_augmented": _squared(self.decoder(augmented), means[1]),
            "dual": self._dual(outputs, clean, augmented),
        }

    def _dual(self, outputs: ViewOutputs, clean: Tensor, augmented: Tensor) -> Tensor:
        if self.columns is None:
            return nt_xent(clean, augmented, temperature=self.temperature)
        labels = labels_of(outputs)
        return dual_contrastive(torch.cat((clean, augmented)), self.columns, labels.repeat(2), temperature=self.temperature)

    def forward(self, outputs: ViewOutputs) -> Tensor:
        """The scalar loss of a batch of two views."""
        if len(outputs.embeddings) != 2:
            raise ValueError(f"CAB compares a clip and its augmentation, got {len(outputs.embeddings)} views")
        terms = [weight * term for weight, term in zip(self.weights, self.terms(outputs).values(), strict=True) if weight]
        return torch.stack(terms).sum() if terms else outputs.embeddings[0].sum() * 0.0


def _squared(first: Tensor, second: Tensor) -> Tensor:
    """The mean squared difference of (B, D), in full precision; this rank's share."""
    return reduce_rows((first.float() - second.float()).square().mean(dim=-1), "mean")


@full_precision
def frame_contrast(
    first: Tensor, second: Tensor, times: tuple[Tensor, Tensor], inside: Tensor, *, temperature: float | Tensor = 0.1, gap: int = 2
) -> Tensor:
    """Frames of the same moment in two views find each other among frames of the same recording: InfoNCE, both ways.

    Voice and microphone are the same in all frames of a recording, so they do not help to find the right one: what is learnt is
    which sound it is. Moments within `gap` frames of each other are left out, for they hold the same sound.

    Args:
        first: (B, T, D).
        second: (B, T', D).
        times: the frames in which A moments of each recording lie, (B, A) int64 for each view.
        inside: (B, A) bool, the moments that lie in both views.
        temperature: of the softmax over cosines.
        gap: in frames.

    Returns:
        The mean over moments that have another to be told from, a scalar; 0 if there is none.
    """
    sides = [
        normalize(frames.gather(1, places[..., None].expand(-1, -1, frames.shape[2])), dim=-1)
        for frames, places in zip((first, second), times, strict=True)
    ]
    own = torch.arange(inside.shape[1], device=inside.device)
    rows, counted = [], []
    for anchors, candidates, places in ((*sides, times[1]), (*reversed(sides), times[0])):
        near = (places[:, :, None] - places[:, None]).abs() <= gap
        ignored = (near | ~inside[:, None]) & (own[:, None] != own)
        positives = own.expand(len(inside), -1)
        rows.append(info_nce(anchors, candidates, positives=positives, ignore=ignored, temperature=temperature, reduction="none"))
        counted.append(inside & (ignored.sum(dim=-1) < len(own) - 1))
    valid = torch.cat(counted)
    return reduce_rows(torch.where(valid, torch.cat(rows), 0.0).flatten(), "mean", valid.flatten())


class FrameContrast(Objective):
    """`frame_contrast` of two `PacedView`s, at `anchors` random moments of each recording, after a linear map to `out_dim`.

    The map is thrown away afterwards: the frames before it tell words apart better.
    """

    needs = ("frames",)

    def __init__(self, *, in_dim: int, out_dim: int = 64, temperature: float = 0.1, gap: int = 2, anchors: int = 24) -> None:
        super().__init__()
        if anchors < 2 or gap < 0:
            raise ValueError(f"need at least 2 anchors and a gap of 0 or more frames, got anchors={anchors} and gap={gap}")
        self.temperature, self.gap, self.anchors = temperature, gap, anchors
        self.projection = nn.Linear(in_dim, out_dim)

    def forward(self, outputs: ViewOutputs) -> Tensor:
        """The scalar loss of a batch of two views."""
        first, second = (self.projection(frames) for frames in outputs.frames)
        times, inside = self._moments(outputs)
        return frame_contrast(first, second, times, inside, temperature=self.temperature, gap=self.gap)

    def _moments(self, outputs: ViewOutputs) -> tuple[tuple[Tensor, Tensor], Tensor]:
        """Random frames of the first view, the frames of the second at the same moments, and whether they lie inside it."""
        one, other = outputs.views
        if not isinstance(one, PacedView) or not isinstance(other, PacedView):
            raise ValueError("frames are compared at the same moments of two views: use views=keyword_spotting/frames")
        sizes = [view.signals.shape[-1] / frames.shape[1] for view, frames in zip(outputs.views, outputs.frames, strict=True)]
        counts = [(view.lengths / size).floor().clamp(min=1) for view, size in zip(outputs.views, sizes, strict=True)]  # (B,)
        drawn = (streams_of(outputs).uniform(self.anchors) * counts[0][:, None]).floor()  # (B, A) frames
        moments = one.start[:, None] + one.pace[:, None] * drawn * sizes[0]  # samples of the recording
        found = ((moments - other.start[:, None]) / (other.pace[:, None] * sizes[1])).round()
        inside = (found >= 0) & (found < counts[1][:, None])
        return (drawn.long(), found.long().clamp(0, outputs.frames[1].shape[1] - 1)), inside


class StagedCPC(Objective):
    """`cpc` for an encoder that holds the network that looks back itself: its stages are the frames z and their summaries c.

    A linear map for each step ahead. The mean over views is taken; each view predicts itself.
    """

    needs = ("stages",)

    def __init__(
        self, *, frame_dim: int, summary_dim: int, prediction_steps: int = 12, negatives: Negatives = "uniform", draws: int = 128
    ) -> None:
        super().__init__()
        if prediction_steps < 1:
            raise ValueError(f"prediction_steps is {prediction_steps}: predict at least one step")
        self.negatives: Negatives = negatives
        self.draws = draws
        bound = summary_dim**-0.5  # as torch's linear layers begin
        self.weights = nn.Parameter(torch.empty(prediction_steps, frame_dim, summary_dim).uniform_(-bound, bound))

    def _over_views(self, outputs: ViewOutputs, reduction: Reduction) -> Tensor:
        losses = []
        for number, (frames, *_, summaries) in enumerate(outputs.stages):
            random = streams_of(outputs).fold("cpc", number) if self.negatives == "uniform" else None
            losses.append(
                cpc(frames, summaries, self.weights, negatives=self.negatives, draws=self.draws, random=random, reduction=reduction)
            )
        return torch.stack(losses).mean(dim=0)

    def forward(self, outputs: ViewOutputs) -> Tensor:
        """The scalar loss of a batch."""
        return self._over_views(outputs, "mean")

    def per_example(self, outputs: ViewOutputs) -> Tensor:
        """The loss of each example, (B,)."""
        return self._over_views(outputs, "none")
