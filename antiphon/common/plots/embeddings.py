"""Embeddings in the plane."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from antiphon.common.evaluation.inputs import Embeddings, Labels, embedding_array, label_array
from antiphon.common.plots.style import BASELINE, INK, class_style, dress, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_LEGEND_CLASSES = 24


def project(embeddings: Embeddings, *, method: Literal["pca", "tsne"] = "pca", seed: int = 0) -> NDArray[np.float64]:
    """(N, D) -> (N, 2): principal components, or t-SNE (scikit-learn, started from them)."""
    rows = embedding_array(embeddings).astype(np.float64)
    if len(rows) < 3:
        raise ValueError(f"a picture of embeddings needs at least 3 of them, got {len(rows)}")
    if method == "tsne":
        from sklearn.manifold import TSNE
        from threadpoolctl import threadpool_limits

        model = TSNE(2, perplexity=min(30.0, (len(rows) - 1) / 3), init="pca", random_state=seed)
        with threadpool_limits(1):  # on busy cores its threads wait for each other many times longer than they work
            return np.asarray(model.fit_transform(rows), dtype=np.float64)
    if method != "pca":
        raise ValueError(f"method must be 'pca' or 'tsne', got {method!r}")
    u, s, _ = np.linalg.svd(rows - rows.mean(axis=0), full_matrices=False)
    plane = (u * s)[:, :2]
    return np.pad(plane, ((0, 0), (0, 2 - plane.shape[1])))


def embedding_scatter(
    panels: Mapping[str, Embeddings],
    labels: Labels | None = None,
    *,
    class_names: Sequence[str] | None = None,
    method: Literal["pca", "tsne"] = "pca",
    max_points: int = 2000,
    seed: int = 0,
) -> Figure:
    """Panels side by side of the same examples, ``{"random encoder": (N, D), "pretrained": (N, D)}``, coloured by `labels` (N,).

    `class_names` names the sorted distinct labels. More than `max_points` examples are thinned at random, the same in each panel.
    """
    if not panels:
        raise ValueError("embedding_scatter needs at least one panel, got none")
    arrays = {name: embedding_array(values, name) for name, values in panels.items()}
    sizes = {len(rows) for rows in arrays.values()}
    if len(sizes) > 1:
        raise ValueError(f"all panels must show the same examples, got {sorted(sizes)} rows")
    count = sizes.pop()
    keep = np.sort(np.random.default_rng(seed).permutation(count)[:max_points])
    codes, names = np.zeros(len(keep), dtype=int), [""]
    if labels is not None:
        distinct, all_codes = np.unique(label_array(labels, count), return_inverse=True)
        codes, names = all_codes[keep], [str(name) for name in (distinct if class_names is None else class_names)]
    legend_rows = -(-min(len(names), _LEGEND_CLASSES) // 6) if labels is not None else 0
    figure, [cells] = new_figure(3.6 + 0.22 * legend_rows, 1, len(arrays))
    for axes, (title, rows) in zip(cells, arrays.items(), strict=True):
        plane = project(rows[keep], method=method, seed=seed)
        for number in np.unique(codes):
            colour, marker = (BASELINE, "o") if labels is None else class_style(int(number))
            points = plane[codes == number]
            axes.scatter(
                points[:, 0],
                points[:, 1],
                s=16,
                c=colour,
                marker=marker,
                alpha=0.75,
                linewidths=0.3,
                edgecolors="white",
                label=names[number],
            )
        dress(axes, title=title, grid="none")
        axes.set_xticks([])
        axes.set_yticks([])
        for spine in axes.spines.values():
            spine.set_visible(True)
    if labels is not None and len(names) <= _LEGEND_CLASSES:
        handles, texts = cells[0].get_legend_handles_labels()
        options: dict[str, Any] = {
            "frameon": False,
            "fontsize": 8.5,
            "labelcolor": INK,
            "ncols": min(6, len(texts)),
            "markerscale": 1.4,
        }
        figure.legend(handles, texts, loc="outside lower center", **options)
    return figure
