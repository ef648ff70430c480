"""ECAPA-TDNN: convolutions over time in Res2Net blocks, features of all depths, attentive pooling of means and deviations."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from antiphon.common.data.batch import length_mask
from antiphon.domains.speaker_verification.encoders.base import SpeakerEncoder, he_weights
from antiphon.domains.speaker_verification.encoders.features import Scaling
from antiphon.domains.speaker_verification.encoders.masking import MaskedNorm, SpeakerNorm, SqueezeExcitation

SCALE = 8  # parts of the channels in a Res2Net block
ATTENTION = 128
DILATIONS = (2, 3, 4)
SMALLEST_VARIANCE = 1e-9  # the root has no gradient at 0


class _TimeConv(nn.Module):
    """A convolution over the time of maps (B, C, 1, T), mirrored at the ends of each example; ReLU; norm."""

    def __init__(self, in_channels: int, out_channels: int, norm: SpeakerNorm, *, kernel: int = 1, dilation: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, (1, kernel), dilation=(1, dilation))
        self.norm = MaskedNorm(norm, out_channels)
        self.reach = (kernel - 1) // 2 * dilation

    def forward(self, maps: Tensor, lengths: Tensor | None) -> Tensor:
        return self.norm(F.relu_(self.conv(mirrored(maps, self.reach, lengths))), lengths)


def mirrored(maps: Tensor, reach: int, lengths: Tensor | None) -> Tensor:
    """Maps (B, C, 1, T) -> (B, C, 1, T + 2 `reach`), where each example goes on as its mirror image, to and fro if it is short.

    `reach` frames before it and behind its own end; 0 behind those.
    """
    size = maps.shape[-1]
    if reach == 0:
        return maps
    if lengths is None and size > reach:
        return F.pad(maps, (reach, reach, 0, 0), mode="reflect")
    lengths = torch.full((len(maps),), size, device=maps.device) if lengths is None else lengths
    steps = torch.arange(reach, device=maps.device)
    before, behind = _folded(steps - reach, lengths), _folded(steps + lengths[:, None], lengths)
    padded = torch.cat((_taken(maps, before), maps, maps.new_zeros(*maps.shape[:3], reach)), dim=-1)
    places = (steps + reach + lengths[:, None])[:, None, None].expand(-1, maps.shape[1], 1, -1)
    return padded.scatter(-1, places, _taken(maps, behind))


def _folded(times: Tensor, lengths: Tensor) -> Tensor:
    """Times outside an example of `lengths` (B,), reflected into it: (reach,) or (B, reach) -> (B, reach)."""
    period = (2 * (lengths - 1)).clamp(min=1)[:, None]
    place = times % period
    return torch.where(place < lengths[:, None], place, period - place)


def _taken(maps: Tensor, times: Tensor) -> Tensor:
    return maps.gather(-1, times[:, None, None].expand(-1, maps.shape[1], 1, -1))


class _Res2NetBlock(nn.Module):
    """A 1 x 1 convolution, a chain of small ones from part to part of the channels, another 1 x 1, channels weighed; plus input."""

    def __init__(self, channels: int, dilation: int, norm: SpeakerNorm) -> None:
        super().__init__()
        part = channels // SCALE
        self.before = _TimeConv(channels, channels, norm)
        self.chain = nn.ModuleList(_TimeConv(part, part, norm, kernel=3, dilation=dilation) for _ in range(SCALE - 1))
        self.behind = _TimeConv(channels, channels, norm)
        self.excitation = SqueezeExcitation(channels, ATTENTION)

    def forward(self, maps: Tensor, lengths: Tensor | None) -> Tensor:
        first, *rest = self.before(maps, lengths).chunk(SCALE, dim=1)
        parts = [first]
        for number, (conv, part) in enumerate(zip(self.chain, rest, strict=True)):
            parts.append(conv(part + parts[-1] if number else part, lengths))
        hidden = self.behind(torch.cat(parts, dim=1), lengths)
        weights = self.excitation(hidden, lengths).to(hidden.dtype)
        return torch.addcmul(maps.to(hidden.dtype), hidden, weights)


class ECAPATDNNEncoder(SpeakerEncoder):
    """ECAPA-TDNN (Desplanques et al., Interspeech 2020) with `channels` 512 or 1024; embeddings of 512.

    A convolution over 5 frames; three Res2Net blocks (8 parts, 3 frames, dilations 2, 3, 4) with squeeze and excitation; their
    outputs side by side through a 1 x 1 convolution to 3 `channels`: these are the frames (B, T / 160 + 1, 3 `channels`). Attention
    that knows the means and deviations of the whole utterance then weighs each channel's frames for a mean and a deviation; norm,
    and a linear map. Every convolution mirrors its input at the ends of the utterance.
    """

    def __init__(
        self,
        in_channels: int = 1,
        *,
        sample_rate: int = 16_000,
        mels: int = 40,
        scaling: Scaling = "bands",
        channels: int = 512,
        embedding_dim: int = 512,
        norm: SpeakerNorm = "batch",
    ) -> None:
        if channels < SCALE or channels % SCALE:
            raise ValueError(f"channels are split into {SCALE} parts, got {channels}: use a multiple, 512 or 1024")
        config = {
            "in_channels": in_channels,
            "sample_rate": sample_rate,
            "mels": mels,
            "scaling": scaling,
            "channels": channels,
            "embedding_dim": embedding_dim,
            "norm": norm,
        }
        super().__init__(
            in_channels=in_channels, sample_rate=sample_rate, mels=mels, scaling=scaling, embedding_dim=embedding_dim, config=config
        )
        wide = 3 * channels
        self.stem = _TimeConv(mels, channels, norm, kernel=5)
        self.blocks = nn.ModuleList(_Res2NetBlock(channels, dilation, norm) for dilation in DILATIONS)
        self.gather = _TimeConv(wide, wide, norm)
        self.attention = _TimeConv(3 * wide, ATTENTION, norm)  # of a frame, and of the utterance's means and deviations
        self.relevance = nn.Linear(ATTENTION, wide)
        self.pooled_norm = MaskedNorm(norm, 2 * wide)
        self.project = nn.Linear(2 * wide, embedding_dim)
        self.apply(he_weights)
        self.to(memory_format=torch.channels_last)

    def encode_features(self, maps: Tensor, lengths: Tensor | None) -> Tensor:
        """Features (B, 1, mels, F) -> frames (B, F, 3 `channels`)."""
        maps = self.stem(maps.transpose(1, 2).contiguous(memory_format=torch.channels_last), lengths)
        found = []
        for block in self.blocks:
            maps = block(maps, lengths)
            found.append(maps)
        return self.gather(torch.cat(found, dim=1), lengths)[:, :, 0].transpose(1, 2)

    def shortened(self, lengths: Tensor) -> Tensor:
        """No stride: as many."""
        return lengths

    def pool_frames(self, frames: Tensor, lengths: Tensor | None) -> Tensor:
        """Frames (B, F, 3 `channels`) -> embeddings (B, embedding_dim)."""
        inside = None if lengths is None else length_mask(lengths, frames.shape[1])[..., None]
        scores = self._scores(frames, lengths, inside).float()
        weights = (scores if inside is None else scores.masked_fill(~inside, -torch.inf)).softmax(dim=1)
        mean = (frames * weights).sum(dim=1)
        variance = ((frames - mean[:, None]).square() * weights).sum(dim=1)
        pooled = torch.cat((mean, variance.clamp(min=SMALLEST_VARIANCE).sqrt()), dim=1)  # (B, 2 C)
        return self.project(self.pooled_norm(pooled[..., None, None])[..., 0, 0])

    def _scores(self, frames: Tensor, lengths: Tensor | None, inside: Tensor | None) -> Tensor:
        """The attention's scores (B, F, C). What is the same for all frames of an utterance is multiplied once, not F times."""
        wide = frames.shape[2]
        weight = self.attention.conv.weight[:, :, 0, 0]
        of_frame = F.linear(frames, weight[:, :wide], self.attention.conv.bias)
        of_all = F.linear(_mean_and_spread(frames, lengths, inside), weight[:, wide:])
        hidden = F.relu(of_frame + of_all[:, None]).transpose(1, 2)[:, :, None]  # (B, 128, 1, F), channels last
        return self.relevance(torch.tanh(self.attention.norm(hidden, lengths))[:, :, 0].transpose(1, 2))


def _mean_and_spread(frames: Tensor, lengths: Tensor | None, inside: Tensor | None) -> Tensor:
    """Means and deviations over the frames inside: (B, F, C), 0 outside, -> (B, 2 C)."""
    frames = frames.float()
    if lengths is None or inside is None:
        variance, mean = torch.var_mean(frames, dim=1, correction=0)
    else:
        mean = frames.sum(dim=1) / lengths[:, None]
        variance = (frames - mean[:, None]).masked_fill(~inside, 0.0).square().sum(dim=1) / lengths[:, None]
    return torch.cat((mean, variance.clamp(min=SMALLEST_VARIANCE).sqrt()), dim=1)
