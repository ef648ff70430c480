"""One look for all pictures: light, colour-blind-safe (Okabe & Ito), readable when a page shows them 900 pixels wide."""

from __future__ import annotations

import base64
import io
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BLUE, VERMILION, GREEN, ORANGE, PURPLE, SKY, BROWN = "#0072b2", "#d55e00", "#009e73", "#e69f00", "#cc79a7", "#56b4e9", "#7a4b1e"
PALETTE = (BLUE, VERMILION, GREEN, ORANGE, PURPLE, SKY, BROWN)
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
INK, MUTED, RULE = "#22272e", "#6b7480", "#dfe3e8"
BASELINE = "#8a929c"  # what a result is compared with: random encoders, originals

WIDTH_INCHES = 8.0
_SVG_LIMIT_BYTES = 250_000  # above this a picture with many points is smaller as PNG


def new_figure(
    height_inches: float,
    rows: int = 1,
    columns: int = 1,
    *,
    share_x: bool | Literal["all", "row", "col"] = False,
    share_y: bool | Literal["all", "row", "col"] = False,
) -> tuple[Figure, list[list[Axes]]]:
    """A figure of the page's width with a grid of axes, free of pyplot and its global state."""
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    layout = ConstrainedLayoutEngine(w_pad=0.06, h_pad=0.06, wspace=0.03, hspace=0.03)
    figure = Figure(figsize=(WIDTH_INCHES, height_inches), layout=layout, facecolor="white")
    grid = figure.subplots(rows, columns, squeeze=False, sharex=share_x, sharey=share_y)
    return figure, [list(row) for row in grid]


def dress(axes: Axes, *, title: str = "", x: str = "", y: str = "", grid: Literal["x", "y", "both", "none"] = "y") -> None:
    """Titles, labels, quiet frame and grid of one pair of axes."""
    if title:
        axes.set_title(title, loc="left", fontsize=10, fontweight="bold", color=INK)
    axes.set_xlabel(x, fontsize=9, color=MUTED)
    axes.set_ylabel(y, fontsize=9, color=MUTED)
    axes.tick_params(labelsize=8.5, colors=MUTED, length=0)
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(RULE)
    axes.set_axisbelow(True)
    if grid != "none":
        axes.grid(axis=grid, color=RULE, linewidth=0.7)


def legend(axes: Axes, **options: object) -> None:
    """A frameless legend, where anything is labelled."""
    if axes.get_legend_handles_labels()[0]:
        axes.legend(**{"frameon": False, "fontsize": 8.5, "labelcolor": INK, "handlelength": 1.6, **options})


def class_style(number: int) -> tuple[str, str]:
    """Colour and marker of class `number`: seven colours, then the same colours with other markers."""
    return PALETTE[number % len(PALETTE)], MARKERS[number // len(PALETTE) % len(MARKERS)]


def _encode(figure: Figure, kind: Literal["svg", "png"]) -> bytes:
    import matplotlib

    buffer = io.BytesIO()
    with matplotlib.rc_context({"svg.hashsalt": "antiphon"}):  # the same figure gives the same bytes
        figure.savefig(buffer, format=kind, dpi=170, metadata={"Date": None} if kind == "svg" else None)
    return buffer.getvalue()


def figure_to_data_uri(figure: Figure, kind: Literal["svg", "png", "auto"] = "auto") -> str:
    """The figure as a ``data:`` address for an HTML image; "auto" takes SVG unless it would be large."""
    if kind not in ("svg", "png", "auto"):
        raise ValueError(f"kind must be 'svg', 'png' or 'auto', got {kind!r}")
    data = b"" if kind == "png" else _encode(figure, "svg")
    if kind == "png" or (kind == "auto" and len(data) > _SVG_LIMIT_BYTES):
        return "data:image/png;base64," + base64.b64encode(_encode(figure, "png")).decode()
    return "data:image/svg+xml;base64," + base64.b64encode(data).decode()
