"""An encoder as one file that needs no Antiphon: ONNX or torch.export. It is checked against the encoder before it is kept."""

from __future__ import annotations

import copy
import io
import json
import logging
import os
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from antiphon import __version__
from antiphon.common.encoder import Encoder
from antiphon.common.windowed import WindowedEncoder

Format = Literal["onnx", "torch"]
Runner = Callable[[Tensor], NDArray[np.float32]]
TOLERANCE = 1e-4
METADATA = "antiphon"  # the key of an .onnx file's metadata; in a .pt2 file it is the extra file antiphon.json
_INPUT, _OUTPUT = "signals", "embeddings"


@dataclass(frozen=True)
class Exported:
    """What `export_encoder` wrote: the file, and `about`, which stands in the JSON file beside it."""

    path: Path
    about: dict[str, Any]


def export_encoder(
    encoder: Encoder, path: str | Path, *, format: Format, length: int | None = None, tolerance: float = TOLERANCE
) -> Exported:
    """Write ``embed``, raw signals (B, C, T) in and embeddings (B, D) out, for any B and, where an encoder can be traced so, any T.

    The file is read back and run on noise of several lengths that fades by 60 dB. Where an embedding differs from the encoder's by
    more than `tolerance` of its largest entry, nothing is left behind. PATH.json says what goes in and comes out (channels, rate,
    window, dimensions), which encoder and recipe it is, the least number of samples that the file takes (`shortest`) and the
    largest difference that was found; all but these two stand in the file's own metadata too. There are no `lengths`: all signals
    of a batch are of one length.

    Args:
        encoder: any encoder; it stays as it is.
        path: the new file, by custom .onnx or .pt2.
        format: "onnx" (needs onnx, onnxscript and onnxruntime), or "torch", for `torch.export.load`.
        length: export for signals of so many samples only, which some encoders need.
        tolerance: see above.

    Raises:
        ValueError: an encoder that cannot be exported, or whose export computes something else.
    """
    if format not in get_args(Format):
        raise ValueError(f"unknown format {format!r}: use onnx or torch")
    if length is not None and length < 1:
        raise ValueError(f"signals of {length} samples cannot be embedded: give the length of yours, or leave it out for any")
    if format == "onnx":
        import onnx  # noqa: F401  before the work, not after it
        import onnxruntime  # noqa: F401
        import onnxscript  # noqa: F401
    path, name = Path(path), encoder.name or type(encoder).__name__
    twin = copy.deepcopy(encoder).cpu().eval()
    with _quiet():
        program, length = _trace(twin, name, length)
    about = _describe(twin, name, format, length)
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{path.name}-", dir=path.parent) as scratch:
        partial, description = Path(scratch) / f"partial{'.onnx' if format == 'onnx' else '.pt2'}", Path(scratch) / "about.json"
        with _quiet():
            try:
                run = (_write_onnx if format == "onnx" else _write_torch)(program, partial, about)
                checked = _check(twin, run, length, tolerance)
            except Exception as error:  # of many types, whatever the converter or the program meets
                raise _not_exportable(name, error, length) from error
        about |= {"shortest": checked.shortest, "largest_difference": checked.difference, "tolerance": tolerance}
        description.write_text(json.dumps(about, indent=2) + "\n")
        os.replace(description, path.with_name(f"{path.name}.json"))
        os.replace(partial, path)
    return Exported(path, about)


class _Embedding(nn.Module):
    """`embed` as a module of one input. Windows are cut without asking what is inside: a trace could not hold the answer."""

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, signals: Tensor) -> Tensor:
        """(B, C, T) -> (B, D)."""
        encoder = self.encoder
        if not isinstance(encoder, WindowedEncoder):
            return encoder.embed(signals)
        window, batch, size = encoder.window, signals.shape[0], signals.shape[-1]  # len() would be a constant
        waves = encoder.standardize(signals).nan_to_num(nan=0.0)
        count = (size + window - 1) // window  # the last one is perhaps incomplete
        times = torch.arange(count * window, device=signals.device)
        if encoder.padding == "repeat":
            waves = waves[..., times % torch.full((), size, device=signals.device)]
        else:
            waves = waves[..., times.clamp(max=size - 1)] * (times < size)
        windows = waves.reshape(batch, -1, count, window).transpose(1, 2).flatten(0, 1)  # (B * n, C, window)
        frames = encoder.encode_windows(windows)
        frames = frames.reshape(batch, count * frames.shape[1], frames.shape[2])
        lengths = torch.full((batch,), size, device=signals.device)
        return encoder.pool(frames, lengths, count * window)  # over the complete ones, or the only one


def _trace(encoder: Encoder, name: str, length: int | None) -> tuple[ExportedProgram, int | None]:
    """The program of `embed` for any batch size, and the one length that it takes (None: any)."""
    spec = encoder.input_spec
    if length is None and spec.window is not None and not isinstance(encoder, WindowedEncoder):
        length = spec.window
    example = _noise(encoder, 2, length or _traced_size(encoder))
    axes = {axis: Dim.DYNAMIC for axis in ((0,) if length else (0, 2))}
    with torch.no_grad():
        encoder.embed(example)  # what is wrong with a length is said better here than by a tracer
        try:
            return torch.export.export(_Embedding(encoder), (example,), dynamic_shapes=(axes,), strict=False), length
        except Exception as error:  # of many types
            raise _not_exportable(name, error, length) from error


def _traced_size(encoder: Encoder) -> int:
    """Samples of the signal by which an encoder of any length is traced: a second, or two windows and a half."""
    spec = encoder.input_spec
    return 5 * spec.window // 2 if spec.window else max(4 * spec.min_length, round(spec.sample_rate or 400))


def _not_exportable(name: str, error: Exception, length: int | None) -> ValueError:
    reason = " ".join(str(error).split())[:200]
    remedy = "" if length else " for signals of any length: choose one with length=SAMPLES (--samples SAMPLES)"
    return ValueError(f"{name} cannot be exported{remedy} ({reason})")


def _noise(encoder: Encoder, batch: int, size: int) -> Tensor:
    """Signals (batch, C, size) like those that the encoder was fitted to: noise that fades by 60 dB, the same each time."""
    noise = torch.randn(batch, encoder.input_spec.channels, size, generator=torch.Generator().manual_seed(size))
    return encoder.input_mean[:, None] + encoder.input_std[:, None] * noise * torch.logspace(0, -3, size)


def _describe(encoder: Encoder, name: str, format: Format, length: int | None) -> dict[str, Any]:
    """What a user of the file must know; "batch" and "samples" stand for any number."""
    spec = encoder.input_spec
    return {
        "antiphon": __version__,
        "format": format,
        "encoder": {"name": name, "config": encoder.config},
        "input": {**spec.to_dict(), "name": _INPUT, "shape": ["batch", spec.channels, length or "samples"]},
        "output": {"name": _OUTPUT, "shape": ["batch", encoder.embedding_dim]},
        "about": {key: value for key, value in encoder.about.items() if isinstance(value, str | int | float)},
    }


def _write_onnx(program: ExportedProgram, path: Path, about: dict[str, Any]) -> Runner:
    import onnxruntime

    axes = {axis: name for axis, name in enumerate(about["input"]["shape"]) if isinstance(name, str)}
    made = torch.onnx.export(
        program, dynamo=True, verbose=False, input_names=[_INPUT], output_names=[_OUTPUT], dynamic_shapes={_INPUT: axes}
    )
    if made is None:
        raise RuntimeError("torch.onnx returned no model")
    made.model.metadata_props[METADATA] = json.dumps(about)
    made.save(path)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # the check asks for lengths that are refused
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])

    def run(signals: Tensor) -> NDArray[np.float32]:
        return np.asarray(session.run([_OUTPUT], {_INPUT: signals.numpy()})[0])

    return run


def _write_torch(program: ExportedProgram, path: Path, about: dict[str, Any]) -> Runner:
    torch.export.save(program, path, extra_files={f"{METADATA}.json": json.dumps(about)})
    module = torch.export.load(path).module()

    def run(signals: Tensor) -> NDArray[np.float32]:
        return np.asarray(module(signals).detach())

    return run


class _Checked(NamedTuple):
    shortest: int
    difference: float


def _check(encoder: Encoder, run: Runner, length: int | None, tolerance: float) -> _Checked:
    """The shortest signals that `run` takes, and its largest difference from the encoder, relative to an embedding's largest entry.

    Raises:
        ValueError: a larger difference than `tolerance`; or what `run` raises.
    """

    def difference(size: int, batch: int) -> float:
        signals = _noise(encoder, batch, size)
        with torch.no_grad():
            expected = encoder.embed(signals).numpy()
        share = np.abs(run(signals) - expected).max(axis=1) / np.abs(expected).max(axis=1).clip(min=1e-12)
        return float(np.nan_to_num(share, nan=np.inf).max())

    def fits(size: int) -> bool:
        try:
            return difference(size, 2) <= tolerance
        except Exception:  # a program refuses what it was not traced for in many ways
            return False

    traced = length or _traced_size(encoder)
    low, shortest = encoder.input_spec.min_length, traced
    while length is None and low < shortest:
        middle = (low + shortest) // 2
        low, shortest = (low, middle) if fits(middle) else (middle + 1, shortest)
    sizes = [length] if length else sorted({shortest, traced, 2 * traced + 1, 2 * (encoder.input_spec.window or shortest)})
    largest = max(difference(size, batch) for size, batch in product(sizes, (1, 3)))
    if not largest <= tolerance:
        raise ValueError(
            f"the file differs from the encoder by {largest:.2g} of an embedding's largest entry, more than {tolerance:g}"
        )
    return _Checked(shortest, largest)


@contextmanager
def _quiet() -> Iterator[None]:
    """Tracer and converter print graphs and warn of what the check answers."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
