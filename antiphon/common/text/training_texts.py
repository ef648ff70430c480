"""The texts of a set of examples."""

from __future__ import annotations

from typing import Any

import numpy as np

from antiphon.common.data.loader import BatchSource


def given_texts(source: BatchSource) -> list[str] | None:
    """The text of each example, "" where one has none; None for a set without texts.

    A set says them by `texts` (n,), or by the rows of its manifest.
    """
    held: Any = source
    texts = getattr(held, "texts", None)
    if texts is None and hasattr(held, "manifest"):
        texts = [held.manifest.rows[row].text for row in held.rows.tolist()]
    found = [(text or "").strip() for text in texts or ()]
    return found if any(found) else None


def training_texts(source: BatchSource) -> list[str] | None:
    """What a frozen text tower can embed before training: the text of each example.

    None where a set draws parts of its texts anew in every epoch (`substrings`), or tells them only batch by batch.

    Raises:
        ValueError: examples without a text.
    """
    texts = given_texts(source)
    if texts is None and source.batch(np.zeros(1, np.int64)).texts is None:
        raise ValueError("the training set has no texts, which the recipe learns from: give its manifest a column `text`")
    bare = sum(not text for text in texts or ())
    if texts is not None and bare:
        raise ValueError(
            f"{bare} of {len(texts)} training examples have no text (the first: example {texts.index('')}): describe them in the "
            "column `text`, or leave those rows out"
        )
    return None if getattr(source, "substrings", False) else texts
