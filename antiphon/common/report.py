"""The report of a run: one HTML file with nothing outside it, and the same tables in the terminal."""

from __future__ import annotations

import math
import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from antiphon.common.evaluation.intervals import Interval, mean_interval, paired_difference, welch_difference
from antiphon.common.plots.style import figure_to_data_uri
from antiphon.common.report_style import STYLE

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from rich.table import Table as RichTable


@dataclass(frozen=True)
class Difference:
    """A cell that shows a difference with its confidence interval, coloured where it is beyond doubt.

    `lower_is_better`: of an error rate, a rank and the like.
    """

    interval: Interval
    lower_is_better: bool = False

    @property
    def verdict(self) -> str:
        """Either "better" or "worse", or "" where the interval contains 0."""
        if not self.interval.excludes_zero:
            return ""
        return "better" if (self.interval.mean > 0) is not self.lower_is_better else "worse"


_ERRORS = ("eer_", "min_dcf", "false_", "median_rank")  # metrics, by how their names begin, that are better when lower

Cell = str | int | float | Interval | Difference | None


@dataclass(frozen=True)
class Table:
    """Rows of cells under `columns`; the first column names the row. `caption` says what is counted and how.

    An `Interval` is shown as mean ± sd, a `Difference` as a signed mean with its interval, a float with three decimals, None and
    NaN as a dash. `emphasis` holds the numbers of rows to set in bold.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    caption: str = ""
    emphasis: frozenset[int] = frozenset()

    def __post_init__(self) -> None:
        for number, row in enumerate(self.rows):
            if len(row) != len(self.columns):
                raise ValueError(f"table {self.title!r}: row {number} has {len(row)} cells for {len(self.columns)} columns")


class Picture(NamedTuple):
    """A figure with its title and a caption that says how to read it."""

    title: str
    caption: str
    figure: Figure


@dataclass(frozen=True)
class Report:
    """What a report holds; every part but the title may be empty, and is then left out.

    `headline` are a few large numbers, name -> value. `facts` say what was run (recipe, paper, data, seed, config hash, duration,
    versions). `notes` are sentences. `pictures` accepts plain (title, caption, figure) tuples.
    """

    title: str
    subtitle: str = ""
    headline: Mapping[str, str] = field(default_factory=dict)
    facts: Mapping[str, object] = field(default_factory=dict)
    tables: Sequence[Table] = ()
    pictures: Sequence[tuple[str, str, Figure]] = ()
    notes: Sequence[str] = ()
    config_yaml: str = ""


def format_cell(cell: Cell) -> str:
    """A cell as text; see `Table`."""
    if cell is None or (isinstance(cell, float) and math.isnan(cell)):
        return "–"
    if isinstance(cell, Difference):
        value = cell.interval
        bounds = f" [{value.low:+.3f}, {value.high:+.3f}]" if math.isfinite(value.low) else ""
        return f"{value.mean:+.3f}{bounds}"
    if isinstance(cell, Interval):
        return f"{cell.mean:.3f}" + (f" ± {cell.sd:.3f}" if math.isfinite(cell.sd) else "")
    return f"{cell:.3f}" if isinstance(cell, float) else str(cell)


def comparison_table(
    trained: Mapping[str, Sequence[float]],
    baseline: Mapping[str, Sequence[float]],
    *,
    title: str = "Results",
    names: tuple[str, str] = ("random", "pretrained"),
    paired: bool = True,
    confidence: float = 0.95,
) -> Table:
    """A baseline, usually random encoders, against trained ones: a row a metric, values over seeds as ``{"accuracy": [0.8, 0.9]}``.

    `names` are what the columns of `baseline` and `trained` are called, in this order. `paired`: value i of both comes from seed i,
    and the difference is taken seed by seed; otherwise it is Welch's.

    Raises:
        ValueError: a metric that only one side has, or pairs that are none.
    """
    missing = set(trained) ^ set(baseline)
    if missing:
        raise ValueError(f"both sides need the same metrics; only one has {', '.join(sorted(missing))}")
    rows: list[list[Cell]] = []
    for metric, values in trained.items():
        before = baseline[metric]
        difference = (paired_difference if paired else welch_difference)(values, before, confidence=confidence)
        seeds = str(len(values)) if len(values) == len(before) else f"{len(before)} / {len(values)}"
        rows.append(
            [metric, mean_interval(before), mean_interval(values), Difference(difference, metric.startswith(_ERRORS)), seeds]
        )
    meaning = (
        "A random encoder has the same architecture at its initial weights, and the same probe. " if names[0] == "random" else ""
    )
    how = "seed by seed" if paired else "between the means (Welch)"
    caption = (
        f"Mean ± standard deviation over seeds. {meaning}The difference is taken {how}, with its {confidence:.0%} t interval; "
        "a single run has none."
    )
    return Table(title, ("metric", *names, f"difference [{confidence:.0%}]", "seeds"), rows, caption)


def _table_html(table: Table) -> str:
    head = "".join(f"<th scope='col'>{escape(column)}</th>" for column in table.columns)
    lines = []
    for number, row in enumerate(table.rows):
        cells = []
        for place, cell in enumerate(row):
            sign = f" class='{cell.verdict}'" if isinstance(cell, Difference) and cell.verdict else ""
            text = escape(format_cell(cell))
            cells.append(f"<th scope='row'>{text}</th>" if place == 0 else f"<td{sign}>{text}</td>")
        lines.append(f"<tr{' class=strong' if number in table.emphasis else ''}>{''.join(cells)}</tr>")
    caption = f"<p class='caption'>{escape(table.caption)}</p>" if table.caption else ""
    body = f"<div class='scroll'><table><thead><tr>{head}</tr></thead><tbody>{''.join(lines)}</tbody></table></div>"
    return f"<h3>{escape(table.title)}</h3>{body}{caption}"


def _picture_html(picture: Picture) -> str:
    image = figure_to_data_uri(picture.figure)
    caption = f"<p class='caption'>{escape(picture.caption)}</p>" if picture.caption else ""
    return (
        f"<figure><figcaption>{escape(picture.title)}</figcaption>"
        f'<img alt="{escape(picture.title)}. {escape(picture.caption)}" src="{image}">{caption}</figure>'
    )


def _section(name: str, body: str) -> str:
    return f"<section id='{name.lower().replace(' ', '-')}'><h2>{escape(name)}</h2>{body}</section>" if body else ""


def render_report(report: Report) -> str:
    """The report as one HTML page: inline style, embedded pictures, no script, no address outside the page."""
    tiles = "".join(f"<div><b>{escape(value)}</b><span>{escape(name)}</span></div>" for name, value in report.headline.items())
    facts = "".join(f"<dt>{escape(name)}</dt><dd>{escape(str(value))}</dd>" for name, value in report.facts.items())
    notes = "".join(f"<li>{escape(note)}</li>" for note in report.notes)
    config = f"<details><summary>Show the whole configuration</summary><pre>{escape(report.config_yaml)}</pre></details>"
    sections = {
        "What was run": f"<dl>{facts}</dl>" if facts else "",
        "Results": "".join(map(_table_html, report.tables)),
        "Pictures": "".join(_picture_html(Picture(*picture)) for picture in report.pictures),
        "Notes": f"<ul>{notes}</ul>" if notes else "",
        "Configuration": config if report.config_yaml else "",
    }
    subtitle = f"<p class='subtitle'>{escape(report.subtitle)}</p>" if report.subtitle else ""
    return (
        "<!doctype html>\n<html lang='en'><head><meta charset='utf-8'>"
        "<meta name='viewport' content='width=device-width, initial-scale=1'>"
        f"<title>{escape(report.title)}</title><style>{STYLE}</style></head><body><main>"
        f"<header><p class='brand'>Antiphon</p><h1>{escape(report.title)}</h1>{subtitle}</header>"
        + (f"<div class='tiles'>{tiles}</div>" if tiles else "")
        + "\n".join(_section(name, body) for name, body in sections.items())
        + "</main></body></html>\n"
    )


def write_report(path: str | os.PathLike[str], report: Report) -> Path:
    """Write `render_report` to `path`; a reader sees the old file or the whole new one, never half of it."""
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    page = render_report(report).encode()
    descriptor, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(page)
        Path(name).chmod(0o644)  # mkstemp's files are private
        Path(name).replace(target)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    return target


def terminal_table(table: Table) -> RichTable:
    """The same table for ``rich.print``."""
    from rich import box
    from rich.table import Table as RichTable
    from rich.text import Text

    drawn = RichTable(
        title=Text(table.title, style="bold"), caption=Text(table.caption) if table.caption else None, box=box.SIMPLE_HEAD
    )
    for place, column in enumerate(table.columns):
        drawn.add_column(Text(column), justify="left" if place == 0 else "right")
    for number, row in enumerate(table.rows):
        cells: list[Any] = []
        for cell in row:
            colour = {"better": "green", "worse": "red", "": ""}[cell.verdict] if isinstance(cell, Difference) else ""
            cells.append(Text(format_cell(cell), style=colour))  # Text: brackets in a cell are no markup
        drawn.add_row(*cells, style="bold" if number in table.emphasis else None)
    return drawn
