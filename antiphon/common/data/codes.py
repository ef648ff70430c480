"""Labels and groups of a manifest as numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from antiphon.common.data.manifest import Manifest, sorted_names


def required_column(manifest: Manifest, name: str, *, remedy: str = "fill the column, or filter these rows out") -> list[str]:
    """The value of a column in every row; `remedy` ends the message where one has none.

    Raises:
        ValueError: a row that has none.
    """
    values = manifest.column(name)
    empty = [row for row, value in enumerate(values) if not value]
    if empty:
        example = manifest.rows[empty[0]].path
        raise ValueError(f"{manifest.name}: {len(empty)} of {len(values)} rows have no {name} (first: {example}): {remedy}")
    return [value for value in values if value]


def label_codes(
    manifest: Manifest, column: str | None = "label", *, several: bool | None = None, classes: Sequence[str] | None = None
) -> tuple[NDArray[Any] | None, tuple[str, ...]]:
    """Labels (n,) int64 and the names that they stand for; None and no names where no row has one, or `column` is None.

    With `several` (None: where a row has more than one label) they are (n, classes) float32 of zeros and ones.

    Args:
        manifest: the rows.
        column: "label", or another column that serves as one (speaker, split, ...).
        several: see above.
        classes: the names in their order, those of a training set for instance; None: all that occur, sorted.

    Raises:
        ValueError: some rows have a label and some have none, or a label is not among `classes`.
    """
    if column is None:
        return None, ()
    if column == "label":
        labels = [row.labels for row in manifest.rows]
    else:
        labels = [(value,) if value else () for value in manifest.column(column)]
    if not any(labels):
        return None, ()
    names = sorted_names(label for one in labels for label in one) if classes is None else tuple(classes)
    code = {name: number for number, name in enumerate(names)}
    unknown = sorted({label for one in labels for label in one if label not in code})
    if unknown:
        raise ValueError(f"{manifest.name}: the label(s) {', '.join(unknown[:10])} are not among the {len(names)} classes given")
    if several is None:
        several = any(len(one) > 1 for one in labels)
    if several:
        table = np.zeros((len(labels), len(names)), np.float32)
        for row, one in enumerate(labels):
            table[row, [code[label] for label in one]] = 1.0
        return table, names
    remedy = "fill the column, filter these rows out, or do without labels (label=None)"
    return np.asarray([code[label] for label in required_column(manifest, column, remedy=remedy)], np.int64), names


def group_codes(manifest: Manifest, column: str | None = None) -> NDArray[np.int64] | None:
    """Groups (n,) int64 from a column; None takes group or speaker, whichever every row has first, and gives None without either.

    Raises:
        ValueError: a row that has no value in `column`.
    """
    if column is None:
        column = next((name for name in ("group", "speaker") if all(manifest.column(name))), None)
    if column is None:
        return None
    codes: NDArray[np.int64] = np.unique(required_column(manifest, column), return_inverse=True)[1].astype(np.int64)
    return codes
