"""MVCNet (Wang et al., Knowledge-Based Systems 2025): cross-entropy on all views, and two contrasts between views and branches."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from antiphon.common.classifier import Classifier
from antiphon.common.encoder import Encoder
from antiphon.common.objectives.base import Objective, ViewOutputs, labels_of
from antiphon.common.objectives.info_nce import nt_xent
from antiphon.common.windowed import split_windows
from antiphon.domains.eeg.mvcnet.encoders import ElectrodeTransformer, MVCNetEncoder
from antiphon.domains.eeg.mvcnet.views import KINDS, checked_kinds, mirror_order


def cross_view_loss(convolved: Sequence[Tensor], attended: Sequence[Tensor], *, temperature: float = 0.2) -> Tensor:
    """L_CVC: the features of a raw trial against those of each of its views, mean over views of NT-Xent([f_0; z_0], [f_v; z_v]).

    `convolved` and `attended` hold one (B, F) a view, the raw one first. Both branches' rows are negatives of one another.
    """
    raw = torch.cat((convolved[0], attended[0]))
    losses = [nt_xent(raw, torch.cat(pair), temperature=temperature) for pair in zip(convolved[1:], attended[1:], strict=True)]
    return torch.stack(losses).mean()


def cross_model_loss(convolved: Sequence[Tensor], attended: Sequence[Tensor], *, temperature: float = 0.2) -> Tensor:
    """L_CMC: one branch's features of each view against the other's, NT-Xent([f_0; f_1; ...], [z_0; z_1; ...])."""
    return nt_xent(torch.cat(list(convolved)), torch.cat(list(attended)), temperature=temperature)


class MVCNet(Objective):
    """Cross-entropy of a linear classifier on every view, plus weighted contrasts across views and across branches.

    The encoder is the convolutional branch (`IFNetEncoder`); the transformer lives here, regularises, and is thrown away, as in the
    released code. With `MVCNetEncoder` both branches are the encoder, and the classifier reads both (fusion). The contrasts use no
    labels. The mirror image of a trial counts as the mirror image of its class (`mirrored_classes`).

    Args:
        encoder: as above; its `input_spec.window` is the length of a trial.
        classes: names of the training set's classes, two or more.
        views: what the views after the raw one are, as in `MVCNetViews`.
        mirrored_classes: `rule` of `mirror_order`. None is the negative control in a lateral task.
        cross_view_weight: 0 leaves L_CVC out.
        cross_model_weight: 0 leaves L_CMC out; without both there is no transformer, and this is IFNet on augmented trials.
        temperature: of both contrasts.
        samples: at which the transformer sees a trial, see `ElectrodeTransformer`; None: all.

    Raises:
        ValueError: fewer than two classes, and from `forward` trials that are longer than the window.
    """

    needs = ("embeddings",)

    def __init__(
        self,
        *,
        encoder: Encoder,
        classes: Sequence[str],
        views: Sequence[str] = KINDS,
        mirrored_classes: str | Sequence[str] | None = "auto",
        cross_view_weight: float = 0.1,
        cross_model_weight: float = 0.1,
        temperature: float = 0.2,
        samples: int | None = None,
    ) -> None:
        super().__init__()
        if len(classes) < 2:
            raise ValueError(f"MVCNet learns to tell classes apart, the training set has {len(classes)}: give labelled trials")
        self.views = checked_kinds(views)
        if cross_view_weight and not self.views:
            raise ValueError("there is nothing to contrast the raw trials with: give a view, or objective.cross_view_weight=0")
        self.cross_view_weight, self.cross_model_weight = cross_view_weight, cross_model_weight
        self.temperature = temperature
        self.classes = tuple(classes)
        self.window = encoder.input_spec.window
        self.fused = isinstance(encoder, MVCNetEncoder)
        self.transformer: ElectrodeTransformer | None = None
        if not self.fused and (cross_view_weight or cross_model_weight):
            if self.window is None:
                raise ValueError("the transformer needs trials of one length: use an encoder with a window (ifnet, mvcnet)")
            self.transformer = ElectrodeTransformer(
                encoder.input_spec.channels, self.window, encoder.embedding_dim, samples=samples
            )
        self.linear = nn.Linear(encoder.embedding_dim, len(classes))
        nn.init.trunc_normal_(self.linear.weight, std=0.01)
        self.mirror: Tensor
        order = mirror_order(classes, mirrored_classes) if "space" in self.views else range(len(classes))
        self.register_buffer("mirror", torch.tensor(list(order)), persistent=False)

    def forward(self, outputs: ViewOutputs) -> Tensor:
        """The scalar loss of a batch."""
        labels, expected = labels_of(outputs), 1 + len(self.views)
        if len(outputs.embeddings) != expected:
            raise ValueError(
                f"got {len(outputs.embeddings)} views, but objective.views says {expected} (the raw one, {', '.join(self.views)}): "
                "use views=eeg/mvcnet, whose kinds they are"
            )
        loss = outputs.embeddings[0].new_zeros(())
        for kind, features in zip(("raw", *self.views), outputs.embeddings, strict=True):
            loss = loss + cross_entropy(self.linear(features).float(), self.mirror[labels] if kind == "space" else labels)
        if not (self.cross_view_weight or self.cross_model_weight):
            return loss
        convolved, attended = self._branches(outputs)
        if self.cross_view_weight:
            loss = loss + self.cross_view_weight * cross_view_loss(convolved, attended, temperature=self.temperature)
        if self.cross_model_weight:
            loss = loss + self.cross_model_weight * cross_model_loss(convolved, attended, temperature=self.temperature)
        return loss

    def _branches(self, outputs: ViewOutputs) -> tuple[Sequence[Tensor], Sequence[Tensor]]:
        """Features of every view from the convolutions and from the transformer, (B, F) each."""
        if self.transformer is None:
            halves = [features.chunk(2, dim=1) for features in outputs.embeddings]
            return [half[0] for half in halves], [half[1] for half in halves]
        attended = []
        for view in outputs.views:
            windows, _ = split_windows(view.signals, view.lengths, self.window or 1)
            if windows.shape[1] > 1:
                raise ValueError(f"trials of {view.signals.shape[-1]} samples, encoder.window is {self.window}: make them equal")
            attended.append(self.transformer(windows[:, 0]))
        return outputs.embeddings, attended

    def classifier(self, encoder: Encoder) -> Classifier:
        """`encoder` with the linear layer that was trained beside it."""
        classifier = Classifier(encoder, self.classes).to(self.linear.weight.device)
        classifier.linear.load_state_dict(self.linear.state_dict())
        return classifier.eval()
