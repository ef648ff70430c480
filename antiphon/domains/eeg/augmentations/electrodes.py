"""Augmentations that know what a channel is: the other hemisphere's electrode, or a reference."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from antiphon.common.augment.base import Augmentation, Parameters
from antiphon.common.random import KeyedRandom
from antiphon.domains.eeg.data.names import canonical_names, is_electrode

Unpaired = Literal["error", "keep"]
_LATERAL = re.compile(r"([A-Za-z]+)(\d+)(h?)")


def _mirrored_name(name: str) -> str | None:
    """The electrode on the other side (odd numbers are on the left, even ones on the right), or None for what is no electrode."""
    if not is_electrode(name):
        return None
    found = _LATERAL.fullmatch(name)
    if found is None:
        return name
    number = int(found[2])
    return f"{found[1]}{number + 1 if number % 2 else number - 1}{found[3]}"


def reflection_order(
    names: Sequence[str], *, pairs: Sequence[Sequence[str]] | None = None, unpaired: Unpaired = "error"
) -> list[int]:
    """For each channel the index of its mirror image; mid-line electrodes are their own. Applied twice it is the identity.

    Args:
        names: electrodes of the 10-20, 10-10 or 10-05 system in any usual spelling (C3 <-> C4, FFC5h <-> FFC6h, T3 <-> T4, Cz).
        pairs: (left, right) by name, for other names (("E36", "E104"), ...); whatever is not in it then lies on the mid-line.
        unpaired: "keep" leaves channels that have no mirror image among `names` (an EOG, F7 without F8) where they are.

    Raises:
        ValueError: with `unpaired` "error", if a channel has no mirror image; an unknown name in `pairs`.
    """
    if unpaired not in ("error", "keep"):
        raise ValueError(f"unpaired is {unpaired!r}: use error or keep")
    if pairs is not None:
        place = {name: number for number, name in enumerate(names)}
        unknown = [name for pair in pairs for name in pair if name not in place]
        if unknown:
            raise ValueError(f"pairs name {', '.join(unknown)}, the channels are {', '.join(names)}: use names of channels")
        partner = {one: other for left, right in pairs for one, other in ((left, right), (right, left))}
        return [place[partner.get(name, name)] for name in names]
    known = canonical_names(names)
    place = {name: number for number, name in enumerate(known)}
    mirrored = [_mirrored_name(name) for name in known]
    alone = [name for name, other in zip(names, mirrored, strict=True) if other not in place]
    if alone and unpaired == "error":
        raise ValueError(
            f"no mirror image for {', '.join(alone)} among {', '.join(names)}: leave these channels out, "
            "name pairs=[[left, right], ...], or keep them where they are with unpaired='keep' (of eeg/mvcnet: data.channels, "
            "views.pairs, views.unpaired=keep)"
        )
    return [place.get(other or "", number) for number, other in enumerate(mirrored)]


class ChannelReflection(Augmentation):
    """Exchange left and right electrodes (Wang et al., 2024; ChannelsSymmetry in braindecode); a coin by default.

    `names`, `pairs` and `unpaired` are those of `reflection_order`. In a lateral task (left against right hand) the mirror image
    belongs to the other class: exchange the labels too, as MVCNet does, or leave this operation out.
    """

    def __init__(
        self,
        names: Sequence[str],
        *,
        pairs: Sequence[Sequence[str]] | None = None,
        unpaired: Unpaired = "error",
        p: float = 0.5,
    ) -> None:
        super().__init__(p)
        self.order = torch.tensor(reflection_order(names, pairs=pairs, unpaired=unpaired))

    def sample(self, random: KeyedRandom, signals: Tensor, lengths: Tensor) -> Parameters:
        """Nothing to draw but the coin `p`."""
        return {}

    def apply(self, signals: Tensor, lengths: Tensor, parameters: Parameters) -> Tensor:
        """Signals (B, C, T) with every channel taken from its mirror image."""
        if len(self.order) != signals.shape[1]:
            raise ValueError(f"{len(self.order)} electrode names for {signals.shape[1]} channels: name every channel")
        return signals[:, self.order.to(signals.device)]


class RandomReference(Augmentation):
    """Reference all channels to one of them, picked at random for each example (Mohsenvand et al., 2020).

    The channel that becomes the reference would be flat; it is replaced by the old reference, minus its own signal, so nothing is
    lost. Where it misses a value the others keep theirs. A single channel is negated.
    """

    def sample(self, random: KeyedRandom, signals: Tensor, lengths: Tensor) -> Parameters:
        """`reference` (B,) int64, a channel."""
        return {"reference": random.integers(high=signals.shape[1])}

    def apply(self, signals: Tensor, lengths: Tensor, parameters: Parameters) -> Tensor:
        """Signals (B, C, T) minus the reference channel."""
        chosen = torch.arange(signals.shape[1], device=signals.device) == parameters["reference"][:, None]  # (B, C)
        reference = signals.gather(1, parameters["reference"][:, None, None].expand(-1, 1, signals.shape[2]))
        return torch.where(chosen[..., None], -signals, signals - reference.nan_to_num(nan=0.0))
