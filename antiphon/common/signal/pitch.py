"""Pitch shift, time stretch and change of speed, each example by its own ratio, without a loop over examples.

A pitch shift is a change of speed (band-limited interpolation) and then a time stretch that restores the duration. The stretch is a
phase vocoder with identity phase locking (Laroche & Dolson 1999): a bin turns with the spectral peak nearest to it, so partials
keep their shape; a peak turns on from where its place stood one frame before, and a new sound begins with its own phase.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from antiphon.common.data.batch import length_mask

OVERLAP = 3  # frames over each sample: the squares of their Hann windows add up to 9/8 everywhere
ONSET = 16.0  # a peak of 16 times the power that was around it one frame before (12 dB) is a new sound
ANGLES = 4096  # that rotations are rounded to: the error lies 66 dB below the signal
TAPS = 16  # of the interpolation kernel
PERIOD, PIECE = 1024, 32  # outputs after which its phases repeat, and how many of them make a matrix
WIDEST = 4.0  # ratios from 1/4 to 4


def vocoder_window(sample_rate: float, *, duration_s: float = 0.07) -> int:
    """Length in samples of a vocoder frame near `duration_s`: three times a power of two."""
    return OVERLAP * 2 ** max(4, round(math.log2(sample_rate * duration_s / OVERLAP)))


def pitch_shift(waves: Tensor, cents: Tensor, *, lengths: Tensor | None = None, window: int = 1536) -> Tensor:
    """Raise each example by its number of `cents` (B,) and keep its duration.

    `waves` (B, C, T) float, `lengths` (B,) or None for whole rows, `window` in samples as in `time_stretch`. Returns (B, C, T),
    zero beyond the lengths. Ratios are rounded to 1 / 1024, which is 1.3 cents at most within +-700 cents. What would pass half the
    sampling rate is filtered out. Missing values (NaN) count as zero and stay missing.
    """
    lengths = _whole(waves) if lengths is None else lengths
    ratio = _rounded(torch.exp2(cents / 1200.0))
    filled = _filled(waves, lengths)
    faster, _ = _interpolated(filled, ratio, lengths)
    shifted = _vocoder(faster, ratio, lengths, size=waves.shape[-1], window=window)
    return shifted if filled is waves else torch.where(waves.isnan(), waves, shifted)


def time_stretch(
    waves: Tensor, stretch: Tensor, *, lengths: Tensor | None = None, window: int = 1536, size: int | None = None
) -> tuple[Tensor, Tensor]:
    """Make each example `stretch` (B,) times as long and keep its pitch.

    `waves` (B, C, T) float, `lengths` (B,) or None for whole rows. `window`: samples of a frame, a multiple of 3; partials closer
    than about 3 / window of the sampling rate are not resolved (see `vocoder_window`). Returns waves (B, C, S), zero beyond their
    new lengths, and these lengths (B,); S is the largest of them, or `size`, to which all are cut. Missing values (NaN) count as
    zero and are missing where they land. All channels turn alike, which keeps the phases between microphones. The gradient takes
    the rotations as constants.
    """
    lengths = _whole(waves) if lengths is None else lengths
    longer = (lengths * stretch).round().long()
    size = int(longer.max()) if size is None else size
    longer = longer.clamp(max=size)
    stretched = _vocoder(_filled(waves, lengths), stretch, longer, size=size, window=window)
    return _with_missing(stretched, waves, stretch.reciprocal(), longer), longer


def change_speed(waves: Tensor, speed: Tensor, *, lengths: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Play each example `speed` (B,) times as fast: pitch and duration change together, as on a tape.

    `waves` (B, C, T) float, `lengths` (B,) or None for whole rows. Speeds are rounded to 1 / 1024. The filter is a Hann-windowed
    sinc of 16 taps, 6 dB down at 0.9 of the lower Nyquist frequency; a speed of 1 changes nothing. Returns waves (B, C, S), zero
    beyond their new lengths, and these lengths (B,), S being the largest. Missing values (NaN) count as zero and are missing where
    they land.
    """
    lengths = _whole(waves) if lengths is None else lengths
    speed = _rounded(speed)
    filled = _filled(waves, lengths)
    faster, shorter = _interpolated(filled, speed, lengths)
    size = min(filled.shape[-1], faster.shape[-1])
    faster[..., :size] = torch.where((speed == 1.0)[:, None, None], filled[..., :size], faster[..., :size])
    return _with_missing(faster, waves, speed, shorter), shorter


def _rounded(speed: Tensor) -> Tensor:
    """The speed at which PERIOD samples of output take a whole number of samples of input."""
    _check("speed", speed)
    return (speed * PERIOD).round() / PERIOD


def _interpolated(waves: Tensor, speed: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
    """`change_speed` by rounded speeds of waves that are finite and zero in the padding.

    After PERIOD samples of output the kernels repeat, so PIECE of them at a time become a matrix, which is multiplied with the
    inputs of this piece from all the periods.
    """
    rows, channels, size = waves.shape
    shorter = (lengths / speed).ceil().long()
    width = int(shorter.max())
    inputs = (speed * PERIOD).round().long()[:, None]  # (B, 1), of a period
    times = torch.arange(PERIOD, device=waves.device) * inputs  # (B, PERIOD), in units of a sample / PERIOD
    begins = (times // PERIOD).unflatten(1, (-1, PIECE))  # (B, pieces, PIECE): the first tap of each output
    first = begins[..., 0]
    span = math.ceil(PIECE * float(speed.max())) + TAPS
    taps = (begins - first[..., None])[..., None] + torch.arange(TAPS, device=waves.device)  # (B, pieces, PIECE, TAPS)
    kernels = _kernels(speed.to(waves.dtype), (times % PERIOD).to(waves.dtype) / PERIOD).view_as(taps)
    matrices = waves.new_zeros(*begins.shape, span).scatter_(-1, taps, kernels).mT  # (B, pieces, span, PIECE)
    periods = -(-width // PERIOD)
    starts = first[..., None] + torch.arange(periods, device=waves.device) * inputs[..., None]  # (B, pieces, periods)
    starts = starts.clamp(max=size + TAPS)
    padded = F.pad(waves, (TAPS // 2 - 1, span + TAPS))
    outputs = []
    for block in _blocks(starts.shape[1], rows * channels * periods * span, waves.device):
        windows = _windows(padded, starts[:, block].flatten(1), span).unflatten(2, (-1, periods))  # (B, C, n, periods, span)
        pieces = windows.transpose(1, 2).flatten(2, 3) @ matrices[:, block]  # (B, n, C * periods, PIECE)
        outputs.append(pieces.unflatten(2, (channels, periods)).permute(0, 2, 3, 1, 4))
    joined = torch.cat(outputs, dim=3).flatten(2)[..., :width]  # (B, C, periods, pieces, PIECE) -> (B, C, width)
    return joined.mul_(length_mask(shorter, width)[:, None]), shorter


def _kernels(speed: Tensor, fraction: Tensor) -> Tensor:
    """Weights of the taps at each `fraction` (B, n) of a sample, (B, n, TAPS); the gain at 0 Hz is 1."""
    distance = torch.arange(TAPS, device=speed.device, dtype=speed.dtype) - (TAPS // 2 - 1) - fraction[..., None]
    cutoff = 0.9 / speed.clamp(min=1.0)[:, None, None]
    kernels = torch.sinc(cutoff * distance) * torch.cos(distance * (math.pi / TAPS)).square()
    return kernels / kernels.sum(dim=-1, keepdim=True)


def _vocoder(waves: Tensor, stretch: Tensor, longer: Tensor, *, size: int, window: int) -> Tensor:
    """Stretch waves (B, C, T), finite and zero in the padding, to (B, C, size), zero beyond `longer` (B,)."""
    _check("stretch", stretch)
    if window % OVERLAP or window < 16 * OVERLAP:
        raise ValueError(f"window must be a multiple of 3 and at least 48 samples, got {window}: use vocoder_window(sample_rate)")
    rows, channels, width = waves.shape
    hop = window // OVERLAP
    count = -(-size // hop) + OVERLAP - 1
    # Frame k covers the output from (k - 2) * hop on. It is taken from the input around the moment that its centre stands for.
    centres = torch.arange(1 - OVERLAP, count + 1 - OVERLAP, device=waves.device) * hop + window / 2
    starts = (centres / stretch[:, None] - window / 2).round().long()  # (B, count)
    steps = starts.diff(prepend=starts[:, :1] - hop, dim=1)
    padded = F.pad(waves, (window, window))
    starts = (starts + window).clamp(0, window + width)
    hann = torch.hann_window(window, device=waves.device, dtype=waves.dtype)
    bins = torch.arange(window // 2 + 1, device=waves.device, dtype=waves.dtype)
    out = waves.new_zeros(rows, channels, count + OVERLAP - 1, hop)
    state = _Rotations(bins, hop)
    for block in _blocks(count, rows * channels * window, waves.device):
        spectra = torch.fft.rfft(_windows(padded, starts[:, block], window) * hann)  # (B, C, n, K)
        with torch.no_grad():
            rotations = state.advance(spectra.detach(), steps[:, block])
        frames = torch.fft.irfft(spectra * rotations, n=window) * (hann * (8 / 9))
        for part, piece in enumerate(frames.unflatten(-1, (OVERLAP, hop)).unbind(dim=-2)):
            out[:, :, block.start + part : block.stop + part] += piece
    return out.flatten(2)[..., window - hop : window - hop + size] * length_mask(longer, size)[:, None]


class _Rotations:
    """By how much each bin turns, from frame to frame; blocks of frames come in order."""

    def __init__(self, bins: Tensor, hop: int) -> None:
        self.bins, self.hop = bins, hop
        angles = torch.arange(ANGLES, device=bins.device, dtype=bins.dtype) * (2 * math.pi / ANGLES)
        self.circle = torch.complex(angles.cos(), angles.sin())
        self.last: tuple[Tensor, Tensor, Tensor] | None = None  # of the frame before: spectrum, power around each bin, turns

    def advance(self, spectra: Tensor, steps: Tensor) -> Tensor:
        """Unit rotations (B, 1, n, K) for spectra (B, C, n, K) taken `steps` (B, n) samples after the frames before them."""
        parts = torch.view_as_real(spectra).movedim(-1, 0).contiguous()  # (2, B, C, n, K)
        power = (parts[0] * parts[0]).addcmul_(parts[1], parts[1]).sum(dim=1)  # (B, n, K)
        around = F.max_pool1d(power, 3, stride=1, padding=1)
        if self.last is None:
            self.last = parts[:, :, :, :1], torch.zeros_like(power[:, :1]), torch.zeros_like(power[:, 0])
        last_parts, last_around, turns = self.last
        change = self._change(parts, torch.cat((last_parts, parts[:, :, :, :-1]), dim=3), steps)
        known = torch.le(power, torch.cat((last_around, around[:, :-1]), dim=1).mul_(ONSET), out=torch.empty_like(power))
        peaks = _nearest_peak(power >= around)
        found = []
        for frame in range(power.shape[1]):  # what a peak inherits depends on the frame before
            turns = (turns + change[:, frame]).mul_(known[:, frame]).gather(1, peaks[:, frame])
            found.append(turns)
        self.last = parts[:, :, :, -1:], around[:, -1:], turns - turns.round()
        place = torch.stack(found, dim=1).mul_(len(self.circle)).round_().long() & (len(self.circle) - 1)
        return self.circle.index_select(0, place.flatten()).view_as(place)[:, None]

    def _change(self, parts: Tensor, before: Tensor, steps: Tensor) -> Tensor:
        """Turns (B, n, K) that the output's hop adds to those of the input's step: their difference times a bin's frequency."""
        along = (parts[0] * before[0]).addcmul_(parts[1], before[1]).sum(dim=1)
        across = (parts[1] * before[0]).addcmul_(parts[0], before[1], value=-1).sum(dim=1)
        measured = torch.atan2(across, along).mul_(0.5 / math.pi)  # turns over a step, but for whole ones
        steps = steps.to(self.bins.dtype)[..., None]
        whole = (self.bins * (steps / (2 * (len(self.bins) - 1)))).sub_(measured).round_()  # a bin's centre says how many
        change = measured.add_(whole).mul_(self.hop / steps - 1.0)
        return change.sub_(change.round())


def _nearest_peak(peaks: Tensor) -> Tensor:
    """For (..., K) bool the index of the True nearest to each place, int64; 0 or K - 1 where there is none on a side."""
    last = peaks.shape[-1] - 1
    bins = torch.arange(last + 1, device=peaks.device, dtype=torch.int16 if last < 2**14 else torch.int64)
    below = (bins * peaks).cummax(dim=-1).values
    above = last - ((last - bins) * peaks).flip(-1).cummax(dim=-1).values.flip(-1)
    return (below + (above - below) * (above - bins < bins - below)).long()


def _with_missing(changed: Tensor, waves: Tensor, step: Tensor, lengths: Tensor) -> Tensor:
    """NaN in `changed` (B, C, S) wherever it stands for a NaN in `waves` (B, C, T), whose samples pass by `step` (B,) at a time."""
    missing = waves.isnan()
    if not bool(missing.any()):
        return changed
    times = (torch.arange(changed.shape[-1], device=waves.device) * step[:, None]).round().long().clamp(max=waves.shape[-1] - 1)
    landed = missing.gather(2, times[:, None].expand(-1, waves.shape[1], -1))
    return changed.masked_fill(landed & length_mask(lengths, changed.shape[-1])[:, None], math.nan)


def _windows(padded: Tensor, starts: Tensor, size: int) -> Tensor:
    """`size` samples from each of `starts` (B, n) on: (B, C, W) -> (B, C, n, size)."""
    rows, channels, width = padded.shape
    first = width * torch.arange(rows * channels, device=padded.device).view(rows, channels, 1)
    windows = padded.reshape(-1).unfold(0, size, 1)  # a view; copying rows of it is faster than gathering samples
    return windows.index_select(0, (first + starts[:, None]).flatten()).view(rows, channels, -1, size)


def _blocks(count: int, elements: int, device: torch.device) -> Iterator[slice]:
    """0 .. count-1 in blocks, `elements` numbers for each: on a CPU what a block works on should stay in the cache."""
    block = max(1, (2**18 if device.type == "cpu" else 2**24) // elements)
    yield from (slice(start, min(start + block, count)) for start in range(0, count, block))


def _check(name: str, ratio: Tensor) -> None:
    if bool(((ratio < 1 / WIDEST) | (ratio > WIDEST)).any()):
        raise ValueError(f"{name} must lie between {1 / WIDEST} and {WIDEST}, got {ratio.min():.3g} to {ratio.max():.3g}")


def _whole(waves: Tensor) -> Tensor:
    return torch.full((len(waves),), waves.shape[-1], device=waves.device)


def _filled(waves: Tensor, lengths: Tensor) -> Tensor:
    """Zero instead of padding and of what is missing; `waves` themselves where there is none of either."""
    known = length_mask(lengths, waves.shape[-1])[:, None] & ~waves.isnan()
    return waves if bool(known.all()) else torch.where(known, waves, 0.0)
