"""braindecode's networks as encoders. braindecode is imported when one is built (seconds, the first time)."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from inspect import isclass, signature
from typing import Any

import torch
from torch import Tensor, nn

from antiphon.common.encoder import InputSpec
from antiphon.common.windowed import WindowedEncoder

_GIVEN = ("n_chans", "n_outputs", "n_times", "input_window_seconds", "sfreq", "chs_info")
_FETCHING = ("REVE",)  # they download when they are built


def build_network(
    architecture: str, in_channels: int, window: int, sample_rate: float | None, options: Mapping[str, Any]
) -> nn.Module:
    """A network of braindecode by the name of its class; `options` go to it as they are.

    Raises:
        ModuleNotFoundError: braindecode is not installed.
        ValueError: no such network, an option that it does not take, or a size that it does not accept.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import braindecode.models as models
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"the encoder {architecture} needs {error.name}: pip install 'antiphon[eeg]'", name=error.name
        ) from error
    known = [name for name in models.__all__ if isclass(getattr(models, name)) and issubclass(getattr(models, name), nn.Module)]
    known = [name for name in known if name not in _FETCHING]
    if architecture not in known:
        reason = "downloads files when it is built" if architecture in _FETCHING else "is no network of braindecode"
        raise ValueError(f"{architecture!r} {reason}: use one of {', '.join(known)}")
    build = getattr(models, architecture)
    accepted = signature(build).parameters
    unknown = sorted(set(options) - set(accepted))
    if unknown:
        taken = ", ".join(name for name in accepted if name not in _GIVEN and name != "kwargs")
        raise ValueError(f"{architecture} has no option {', '.join(unknown)}: it takes {taken}")
    given = {"n_chans": in_channels, "n_outputs": 2, "n_times": window, "sfreq": sample_rate}
    given = {name: value for name, value in given.items() if name in accepted and value is not None}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            network: nn.Module = build(**{**given, **options})
    except (ValueError, TypeError, RuntimeError, AttributeError, AssertionError) as error:
        reason = " ".join(str(error).split())
        raise ValueError(
            f"braindecode cannot build {architecture} for {in_channels} channels and {window} samples: {reason}"
        ) from error
    return network


class BraindecodeEncoder(WindowedEncoder):
    """A network of braindecode without its last layer: one frame for each window of `window` samples, (B, windows, D).

    D is what the last layer was given, flattened. `keep_time` instead gives the frames of that map over time, (B, windows * T',
    D'), for networks that end in such a map (EEGNet, ShallowFBCSPNet, Deep4Net), and their mean is the embedding. `options` are the
    network's own and must be plain JSON. A longer recording is cut into windows side by side. Weights have braindecode's names.

    Raises ValueError for an unknown network or option, and for one that has no last layer to remove.
    """

    def __init__(
        self,
        architecture: str,
        in_channels: int,
        window: int,
        *,
        sample_rate: float | None = None,
        keep_time: bool = False,
        **options: Any,
    ) -> None:
        body = build_network(architecture, in_channels, window, sample_rate, options)
        if not isinstance(getattr(body, "final_layer", None), nn.Module) or isinstance(body.final_layer, nn.Identity):
            raise ValueError(f"{architecture} has no last layer (final_layer) to leave out: use another network of braindecode")
        body.final_layer = nn.Identity()
        training = body.training
        try:
            with torch.no_grad():
                made = body.eval()(torch.zeros(1, in_channels, window))
                width = _frames(made, keep_time, architecture).shape[2]
        except (TypeError, AttributeError, RuntimeError) as error:
            reason = " ".join(str(error).split())
            raise ValueError(f"{architecture} does not run without its last layer ({reason}): use another network") from error
        config = {
            "architecture": architecture,
            "in_channels": in_channels,
            "window": window,
            "sample_rate": sample_rate,
            "keep_time": keep_time,
            **options,
        }
        spec = InputSpec(channels=in_channels, sample_rate=sample_rate, window=window)
        super().__init__(embedding_dim=width, input_spec=spec, config=config, padding="zeros")
        self.body, self.keep_time = body.train(training), keep_time

    def encode_windows(self, windows: Tensor) -> Tensor:
        """Windows (N, C, window) -> frames (N, F, D)."""
        return _frames(self.body(windows), self.keep_time, self.config["architecture"])


def _frames(made: Any, keep_time: bool, architecture: str) -> Tensor:
    """What stands before the last layer as (N, F, D)."""
    if not isinstance(made, Tensor):
        raise ValueError(f"{architecture} gives a {type(made).__name__} without its last layer: use another network")
    if not keep_time:
        return made.flatten(1)[:, None]
    if made.ndim != 4 or 1 not in made.shape[2:]:
        raise ValueError(f"{architecture} ends in shape {tuple(made.shape[1:])}, which is no map over time: leave keep_time off")
    return made.flatten(2).transpose(1, 2)
