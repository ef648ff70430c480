"""The views of music: a random crop of its own for each, then the same chain of augmentations (configs/views/music)."""

from __future__ import annotations

from collections.abc import Sequence

from antiphon.common.augment.base import Augmentation, Compose
from antiphon.common.augment.crops import CroppedViews


def same_chain(samples: int, steps: Sequence[Augmentation], *, views: int = 2) -> CroppedViews:
    """`views` crops of `samples` samples, each from a random place of its own, each through `steps` with its own draws.

    So do the released code and this domain; `CroppedViews(same_window=True)` augments one crop twice instead.
    """
    return CroppedViews(samples, [Compose(steps)] * views)
