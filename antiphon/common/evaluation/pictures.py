"""Pictures of a labelled test set before and after pretraining, for a recipe's report."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from antiphon.common.encoder import Encoder
from antiphon.common.evaluation.embedding import embed_set
from antiphon.common.evaluation.few_labels import few_label_curve
from antiphon.common.evaluation.protocols import LabelledSet

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BUDGETS = (1, 2, 5, 10, 20, 50)


def classification_pictures(
    untrained: Encoder, encoder: Encoder, train: LabelledSet, test: LabelledSet, *, repeats: int = 5
) -> list[tuple[str, str, Figure]]:
    """Embeddings of the test set in two dimensions, and a linear probe with few labels, each with the untrained encoder beside."""
    from antiphon.common.plots.embeddings import embedding_scatter
    from antiphon.common.plots.results import few_label_plot

    encoders = {"random encoder": untrained, "pretrained": encoder}
    test_x = {name: embed_set(model, test) for name, model in encoders.items()}
    pictures = []
    if len(test_x["pretrained"]) >= 3:
        names = None if test.labels is None else [test.classes[label] for label in np.unique(test.labels)]
        figure = embedding_scatter(test_x, test.labels, class_names=names)
        pictures.append(("Embeddings", "Principal components of the embeddings of the test set.", figure))
    if train.labels is None or test.labels is None:
        return pictures
    smallest = int(np.unique(train.labels, return_counts=True)[1].min())
    shots = [budget for budget in BUDGETS if budget <= smallest]
    curves = {
        name: few_label_curve(
            embed_set(model, train), train.labels, test_x[name], test.labels, shots=shots, repeats=repeats, seed=0
        )
        for name, model in encoders.items()
    }
    caption = f"A linear probe on a few labels a class: mean and spread of {repeats} draws, the same draws for both encoders."
    pictures.append(("Few labels", caption, few_label_plot(curves)))
    return pictures
