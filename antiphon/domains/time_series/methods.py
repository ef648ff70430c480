"""TS-TCC: time-series representation learning by temporal and contextual contrasting (Eldele et al., IJCAI 2021)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from antiphon.common.data.loader import BatchSource
from antiphon.common.distributed import first_row, gather, row_counts
from antiphon.common.heads import Norm, ProjectionHead
from antiphon.common.objectives.base import Objective, ViewOutputs, streams_of
from antiphon.common.objectives.info_nce import info_nce, nt_xent
from antiphon.common.objectives.rows import reduce_rows


class SequenceSummary(nn.Module):
    """Frames (B, T, in_dim) -> one context vector each (B, hidden_dim): a pre-norm transformer read at a class token.

    It has no positional encoding, as in the authors' code, so the context does not depend on the order of frames.
    """

    def __init__(self, in_dim: int, hidden_dim: int, *, depth: int, heads: int, feedforward_dim: int, dropout: float) -> None:
        super().__init__()
        if hidden_dim % heads:
            raise ValueError(f"hidden_dim {hidden_dim} cannot be shared among {heads} heads: use a multiple of {heads}")
        self.embed = nn.Linear(in_dim, hidden_dim)
        self.class_token = nn.Parameter(torch.zeros(1, 1, hidden_dim))
        nn.init.normal_(self.class_token)
        self.blocks = nn.ModuleList(
            nn.TransformerEncoderLayer(hidden_dim, heads, feedforward_dim, dropout, batch_first=True, norm_first=True)
            for _ in range(depth)
        )

    def forward(self, frames: Tensor) -> Tensor:
        """(B, T, in_dim) -> (B, hidden_dim)."""
        tokens = torch.cat((self.class_token.expand(len(frames), -1, -1), self.embed(frames)), dim=1)
        for block in self.blocks:
            tokens = block(tokens)
        return tokens[:, 0]


class TSTCC(Objective):
    """TS-TCC's loss on the frames of two views (weak and strong), with the modules that it trains.

    *Temporal contrast*: the frames up to a random time stamp t of one view are summarised in a context vector, from which linear
    maps W_k predict the frames t + 1 .. t + K of the **other** view; each true frame has to find its own prediction among those
    of the batch. *Contextual contrast*: NT-Xent between the two views' projected contexts. The loss is
    ``temporal_weight * (both directions) + contextual_weight * contextual``, plus an `auxiliary` objective where one is given
    (`StageSoftContrast` for SoftCLT). Frames are L2-normalised here.

    `prediction_steps` is K: 6 for HAR, 10 for Epilepsy, 50 for Sleep-EDF. Each direction has its own t, the same for a whole batch,
    drawn from `ViewOutputs.random`. `dropout` acts inside the transformer.

    Raises:
        ValueError: from `forward`, if there are not more than K frames, or no `random`.
    """

    def __init__(
        self,
        *,
        in_dim: int = 128,
        hidden_dim: int = 100,
        prediction_steps: int = 6,
        depth: int = 4,
        heads: int = 4,
        feedforward_dim: int = 64,
        dropout: float = 0.1,
        temperature: float = 0.2,
        temporal_weight: float = 1.0,
        contextual_weight: float = 0.7,
        norm: Norm = "batch",
        auxiliary: Objective | None = None,
    ) -> None:
        super().__init__()
        if prediction_steps < 1:
            raise ValueError(f"prediction_steps is {prediction_steps}: predict at least one step")
        self.needs = ("frames", *(auxiliary.needs if auxiliary else ()))
        self.prediction_steps = prediction_steps
        self.temperature = temperature
        self.temporal_weight = temporal_weight
        self.contextual_weight = contextual_weight
        self.auxiliary = auxiliary
        self.summary = SequenceSummary(
            in_dim, hidden_dim, depth=depth, heads=heads, feedforward_dim=feedforward_dim, dropout=dropout
        )
        self.predict = nn.Linear(hidden_dim, prediction_steps * in_dim)  # W_1 .. W_K side by side
        self.head = ProjectionHead(hidden_dim, in_dim // 2, in_dim // 4, norm=norm)

    def prepare(self, train: BatchSource) -> None:
        """Let the auxiliary objective look at the training set."""
        if self.auxiliary is not None:
            self.auxiliary.prepare(train)

    def forward(self, outputs: ViewOutputs) -> Tensor:
        """The scalar loss of a batch."""
        first, second = (F.normalize(frames, dim=-1) for frames in outputs.frames)
        steps_a, steps_b = self._time_stamps(outputs, first.shape[1])
        context_a, context_b = self.summary(first[:, : steps_a + 1]), self.summary(second[:, : steps_b + 1])
        temporal = self._prediction_loss(context_a, second, steps_a) + self._prediction_loss(context_b, first, steps_b)
        contextual = nt_xent(self.head(context_a), self.head(context_b), temperature=self.temperature)
        loss = self.temporal_weight * temporal + self.contextual_weight * contextual
        return loss if self.auxiliary is None else loss + self.auxiliary(outputs)

    def _time_stamps(self, outputs: ViewOutputs, frames: int) -> tuple[int, int]:
        """The last time stamp that each direction sees."""
        choices = frames - self.prediction_steps
        if choices < 1:
            raise ValueError(
                f"TS-TCC predicts {self.prediction_steps} steps ahead but the encoder gave {frames} frame(s): use longer series, "
                f"an encoder with less pooling, or prediction_steps of at most {frames - 1}"
            )
        first, second = streams_of(outputs).fold("ts_tcc").shared.integers(2, high=choices)[0].tolist()
        return first, second

    def _prediction_loss(self, context: Tensor, frames: Tensor, last_seen: int) -> Tensor:
        """How well true frames after `last_seen`, of `frames` (B, T, D), find their predictions in the batch; mean over K steps."""
        batch, steps = len(context), self.prediction_steps
        counts = row_counts(batch, device=frames.device)
        predictions = gather(self.predict(context).view(batch, steps, -1), counts=counts).transpose(0, 1)  # (K, n, D)
        targets = frames[:, last_seen + 1 : last_seen + 1 + steps].transpose(0, 1)  # (K, B, D)
        own = torch.arange(batch, device=frames.device) + first_row(counts)
        rows = info_nce(targets, predictions, positives=own.expand(steps, -1), temperature=1.0, reduction="none")
        return reduce_rows(rows, "mean")
