"""tsai's backbones as encoders. tsai is imported when one is built, one module at a time (seconds, the first time)."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from inspect import signature
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import remove_weight_norm
from torch.nn.utils.parametrizations import weight_norm

from antiphon.common.encoder import Encoder, InputSpec, Pooling
from antiphon.domains.time_series.encoders.missing import fill_missing, padding_mask, refuse_mask

# name -> module of tsai.models, and whether it works on one length only. Only networks whose rows do not depend on each other in
# evaluation (TSSequencerPlus' do) and that keep a time axis (RNN_FCNPlus pools it away).
ARCHITECTURES = {
    "InceptionTimePlus": ("InceptionTimePlus", False),
    "XceptionTimePlus": ("XceptionTimePlus", False),
    "ResNetPlus": ("ResNetPlus", False),
    "FCNPlus": ("FCNPlus", False),
    "TCN": ("TCN", False),
    "LSTMPlus": ("RNNPlus", False),
    "GRUPlus": ("RNNPlus", False),
    "XCMPlus": ("XCMPlus", True),
    "mWDNPlus": ("mWDN", True),
    "TSTPlus": ("TSTPlus", True),
    "TSiTPlus": ("TSiTPlus", True),
    "ConvTranPlus": ("ConvTranPlus", True),
    "PatchTST": ("PatchTST", True),
}


class _PatchTSTBody(nn.Module):
    """PatchTST up to its forecasting head: (B, C, T) -> (B, C * d_model, patches), each channel's features side by side."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        model.head = nn.Identity()

    def forward(self, signals: Tensor) -> Tensor:
        model: Any = self.model
        if model.revin:
            signals = model.revin_layer(signals, torch.tensor(True))
        patches = model.padding_patch_layer(signals).unfold(-1, model.patch_len, model.stride)  # (B, C, patches, patch_len)
        return model.backbone(patches.transpose(2, 3)).flatten(1, 2)


def _build_body(architecture: str, in_channels: int, window: int, options: Mapping[str, Any]) -> nn.Module:
    """The part of the tsai model that comes before its head, signals (B, C, T) -> maps (B, D, T')."""
    try:
        module = import_module(f"tsai.models.{ARCHITECTURES[architecture][0]}")
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(f"the encoder {architecture} needs {error.name}: pip install tsai", name=error.name) from error
    build = getattr(module, architecture)
    accepted = signature(build).parameters
    reserved = {"c_in", "c_out", "seq_len", "pred_dim"}
    unknown = sorted(set(options) - (set(accepted) - reserved))
    if unknown:
        known = ", ".join(name for name in accepted if name not in reserved and name != "kwargs")
        raise ValueError(f"{architecture} has no option {', '.join(unknown)}: it takes {known}")
    fixed = {"seq_len": window} if "seq_len" in accepted else {}
    if architecture == "PatchTST":
        if options.get("decomposition"):
            raise ValueError("PatchTST with decomposition=True is two networks whose outputs add up to a forecast: leave it off")
        if window < options.get("patch_len", 16):
            raise ValueError(f"PatchTST needs a window of at least patch_len={options.get('patch_len', 16)} samples, got {window}")
        return _PatchTSTBody(build(in_channels, 1, pred_dim=1, **fixed, **options).model)
    model = build(in_channels, 1, **fixed, **options)
    return _with_copyable_weight_norm(model.tcn) if architecture == "TCN" else model.backbone


def _with_copyable_weight_norm(body: nn.Module) -> nn.Module:
    """Renew tsai's deprecated weight norm: with it a network that has run cannot be copied (averaged weights, momentum)."""
    for layer in [layer for layer in body.modules() if hasattr(layer, "weight_g")]:
        weight_norm(remove_weight_norm(layer))
    return body


class TsaiEncoder(Encoder):
    """A backbone of tsai without its head: frames (B, T', D) of signals (B, C, `window`).

    `options` go to tsai as they are (``n_layers``, ``d_model``, ...) and must be plain JSON. Convolutional and recurrent
    architectures take any length, the others only `window` samples. PatchTST treats channels one by one, so its D is
    ``in_channels * d_model``, and by default it normalises each series (``revin``), which hides its level.

    A missing value is 0 after standardisation, and so is padding; pooling leaves padding out. TSTPlus alone also keeps its
    attention from reading padding (unless it is built to lower the resolution, ``max_seq_len`` < `window`); every other
    architecture reads it as zeros. Raises ValueError for an unknown architecture or option.
    """

    def __init__(self, architecture: str, in_channels: int, window: int, *, pooling: Pooling = "mean", **options: Any) -> None:
        if architecture not in ARCHITECTURES:
            raise ValueError(f"unknown architecture {architecture!r}: use one of {', '.join(ARCHITECTURES)}")
        body = _build_body(architecture, in_channels, window, options)
        training = body.training
        with torch.no_grad():
            width = body.eval()(torch.zeros(1, in_channels, window)).shape[1]
        config = {"architecture": architecture, "in_channels": in_channels, "window": window, "pooling": pooling, **options}
        fixed = ARCHITECTURES[architecture][1]
        spec = InputSpec(channels=in_channels, window=window if fixed else None)
        super().__init__(embedding_dim=width, input_spec=spec, config=config, pooling=pooling)
        self.body = body.train(training)
        self._masks_padding = architecture == "TSTPlus" and not body.new_q_len

    def encode(
        self,
        signals: Tensor,
        lengths: Tensor | None = None,
        *,
        mask: Tensor | None = None,
        context: Mapping[str, Any] | None = None,
    ) -> Tensor:
        """Standardised signals (B, C, T) -> frames (B, T', D). Raises ValueError if the architecture takes another T only."""
        refuse_mask(self, mask)
        window, size = self.input_spec.window, signals.shape[-1]
        if window is not None and size != window:
            raise ValueError(
                f"{self.config['architecture']} was built for {window} samples, got {size}: "
                f"pad with NaN and pass lengths, or build it with window={size}"
            )
        filled = fill_missing(signals, lengths)
        inside = padding_mask(signals, lengths) if self._masks_padding else None
        maps = self.body(filled) if inside is None else self.body((filled, ~inside))
        return maps.transpose(1, 2)
