"""Splits that do not leak: what belongs together stays together, and sets that share a speaker or a recording are refused."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from antiphon.common.data.codes import required_column
from antiphon.common.data.manifest import Manifest
from antiphon.common.evaluation.few_labels import draw_labels
from antiphon.common.random import shuffled

TRAIN_TEST = {"train": 0.8, "test": 0.2}


def group_column(manifest: Manifest) -> str:
    """What must not be torn apart, if nobody says otherwise: the first of group, speaker and path that every row has."""
    return next(name for name in ("group", "speaker", "path") if all(row.value(name) for row in manifest.rows))


def split(
    manifest: Manifest, *, fractions: Mapping[str, float] = TRAIN_TEST, by: str | None = None, seed: int = 0
) -> dict[str, Manifest]:
    """Split into named parts of about these shares of the rows, without tearing a group apart.

    Where rows have labels, every part gets about the same share of each: groups, the largest first and equal ones in an order drawn
    from `seed`, go to the part that lacks most of what they bring.

    Args:
        manifest: what to split.
        fractions: name -> share of the rows; the shares add up to 1.
        by: the column that holds the groups; None: see `group_column`.
        seed: of the order.

    Raises:
        ValueError: shares that do not add up to 1, rows without a group, fewer groups than parts, or a part that stays empty.
    """
    shares = np.asarray(list(fractions.values()), np.float64)
    if len(shares) < 2 or (shares <= 0).any() or abs(shares.sum() - 1) > 1e-6:
        raise ValueError(f"fractions must be at least two positive shares that add up to 1, got {dict(fractions)}")
    by = group_column(manifest) if by is None else by
    names, group = np.unique(required_column(manifest, by), return_inverse=True)
    if len(names) < len(shares):
        raise ValueError(f"{manifest.name} has {len(names)} different {by}(s), too few for {len(shares)} parts: give another `by`")
    part = _assign(_counts(manifest, group, len(names)), shares, seed)
    rows = {name: np.flatnonzero(part[group] == number) for number, name in enumerate(fractions)}
    bare = [name for name, chosen in rows.items() if not len(chosen)]
    if bare:
        raise ValueError(f"{manifest.name}: no {by} is left for {', '.join(bare)}: raise its share in {dict(fractions)}")
    return {name: manifest.take(chosen, name=f"{manifest.name} {name}") for name, chosen in rows.items()}


def _counts(manifest: Manifest, group: NDArray[np.int64], groups: int) -> NDArray[np.float64]:
    """Rows and labels of each group: (groups, 1 + classes), each column as a share of its total."""
    code = {name: column for column, name in enumerate(manifest.classes, 1)}
    counts = np.zeros((groups, 1 + len(code)))
    for row, place in zip(manifest.rows, group.tolist(), strict=True):
        counts[place, 0] += 1
        for label in row.labels:
            counts[place, code[label]] += 1
    return counts / counts.sum(axis=0)


def _assign(counts: NDArray[np.float64], shares: NDArray[np.float64], seed: int) -> NDArray[np.int64]:
    """The part (groups,) of each group. Greedy: what each part still lacks of every column decides."""
    order = shuffled(len(counts), seed, 0).numpy()
    order = order[np.argsort(-counts[order].sum(axis=1), kind="stable")]
    lacking = np.repeat(shares[:, None], counts.shape[1], axis=1)
    part = np.empty(len(counts), np.int64)
    for place in order.tolist():
        # How much nearer the part comes to its share: large where it lacks much, negative where the group would overfill it.
        gain = (lacking**2 - (lacking - counts[place]) ** 2).sum(axis=1) / shares
        part[place] = int(gain.argmax())
        lacking[part[place]] -= counts[place]
    return part


def check_disjoint(train: Manifest, test: Manifest, *, by: str = "speaker") -> None:
    """Refuse two sets that share a value of column `by` (speaker, group, path, ...).

    Raises:
        ValueError: the overlap, by name; or a row without that column, whose overlap nobody can tell.
    """
    both = sorted(set(required_column(train, by)) & set(required_column(test, by)))
    if both:
        listed = ", ".join(both[:10]) + (f" and {len(both) - 10} more" if len(both) > 10 else "")
        raise ValueError(
            f"{train.name} and {test.name} share {len(both)} {by}(s): {listed}; split by {by} (antiphon.common.data.splits.split)"
        )


def few_per_class(
    manifest: Manifest, *, shots: int | None = None, fraction: float | None = None, seed: int = 0, repeat: int = 0
) -> Manifest:
    """`shots` rows of every class, or a `fraction` of each class (at least one row), see `draw_labels`: nested over budgets.

    Rows with several labels have no class of their own: a `fraction` of all rows is drawn from them.

    Raises:
        ValueError: rows without labels, both or none of `shots` and `fraction`, or `shots` where rows have several labels.
    """
    several = any(len(row.labels) > 1 for row in manifest.rows)
    if several and shots is not None:
        raise ValueError(f"{manifest.name} has rows with several labels, so {shots} a class is not defined: give fraction=")
    labels: Any = np.zeros(len(manifest), np.int64) if several else required_column(manifest, "label")
    return manifest.take(draw_labels(labels, seed=seed, repeat=repeat, shots=shots, fraction=fraction))
