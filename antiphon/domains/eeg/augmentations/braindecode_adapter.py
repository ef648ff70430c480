"""braindecode's transforms inside this project's views, with random numbers that never repeat."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from antiphon.common.augment.base import Augmentation, Parameters
from antiphon.common.random import KeyedRandom

_CHANGES_LABELS = {"Mixup", "SegmentationReconstruction"}


class BraindecodeTransforms(Augmentation):
    """Apply transforms of `braindecode.augmentation`, in order, to the whole batch at once.

    Their generators are seeded anew for every batch from the keys of its examples, so a resumed run repeats an uninterrupted one
    and neither workers nor epochs share noise, whatever `random_state` they were made with. But braindecode has one generator a
    batch: what happens to an example depends on who else is in its batch (`mixes_rows`); the operations of this package do not.
    The batch stays on its device as far as braindecode's own code does (its band-stop filter visits the CPU).

    Raises:
        ValueError: a transform that changes labels (Mixup, SegmentationReconstruction), and, when called, examples of unequal
            length or with missing values, which braindecode does not know.
    """

    mixes_rows = True

    def __init__(self, transforms: Sequence[Any], *, p: float = 1.0) -> None:
        super().__init__(p)
        self.transforms = list(_flat(transforms))
        refused = [type(one).__name__ for one in self.transforms if type(one).__name__ in _CHANGES_LABELS]
        if refused:
            raise ValueError(
                f"{', '.join(refused)} would change labels, which views do not see: leave it out, or use Mixup of this package"
            )

    def sample(self, random: KeyedRandom, signals: Tensor, lengths: Tensor) -> Parameters:
        """`seed` (B,) int64; the generators are seeded with their sum, which does not depend on the order of examples."""
        return {"seed": random.integers(high=2**32)}

    def apply(self, signals: Tensor, lengths: Tensor, parameters: Parameters) -> Tensor:
        """Signals (B, C, T) after all transforms."""
        if bool((lengths != signals.shape[-1]).any()) or bool(signals.isnan().any()):
            raise ValueError("braindecode's transforms need windows of one length without missing values: cut such windows first")
        seed = int(parameters["seed"].sum()) % 2**32
        changed = signals
        for number, transform in enumerate(self.transforms):
            previous, transform.rng = transform.rng, np.random.RandomState([seed, number])
            try:
                changed = transform(changed)
            finally:
                transform.rng = previous
        return changed.to(signals.dtype)


def _flat(transforms: Iterable[Any]) -> Iterator[Any]:
    """The single transforms, those inside a Compose too."""
    for transform in transforms:
        if isinstance(getattr(transform, "transforms", None), list | tuple):
            yield from _flat(transform.transforms)
        elif isinstance(transform, torch.nn.Module) and hasattr(transform, "rng"):
            yield transform
        else:
            raise ValueError(f"{transform!r} is no transform of braindecode.augmentation")
