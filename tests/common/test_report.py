import io
import math
import re
from html.parser import HTMLParser

import pytest
from rich.console import Console

from antiphon.common import plots
from antiphon.common.evaluation import mean_interval, paired_difference
from antiphon.common.report import (
    Difference,
    Picture,
    Report,
    Table,
    comparison_table,
    format_cell,
    render_report,
    terminal_table,
    write_report,
)

EVIL = "<script>alert('x')</script> & \"quotes\""


class Outline(HTMLParser):
    """Open tags must close; collects headings and the addresses that the page would load."""

    def __init__(self):
        super().__init__()
        self.open, self.headings, self.addresses, self.text = [], [], [], []

    def handle_starttag(self, tag, attrs):
        self.addresses += [value for name, value in attrs if name in ("src", "href")]
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)
        if self.open and self.open[-1] in ("h1", "h2", "h3", "figcaption"):
            self.headings.append(data)


@pytest.fixture
def full_report():
    figure = plots.curves({"loss": {"train": ([0, 1, 2], [3.0, 2.0, 1.5])}})
    return Report(
        title="TS2Vec on ArrowHead",
        subtitle="what it is",
        headline={"accuracy": "0.820"},
        facts={"recipe": "time_series/ts2vec", "seed": 0},
        tables=[
            comparison_table({"accuracy": [0.82, 0.81, 0.83]}, {"accuracy": [0.74, 0.73, 0.74]}),
            Table("Classes", ("class", "n"), [["a", 3]]),
        ],
        pictures=[("Curves", "how to read them", figure), Picture("Again", "", figure)],
        notes=["one note"],
        config_yaml="seed: 0\nname: x\n",
    )


def test_the_page_holds_every_section_and_loads_nothing(full_report):
    page = render_report(full_report)
    outline = Outline()
    outline.feed(page)
    assert outline.open == []
    sections = ["What was run", "Results", "Results", "Classes", "Pictures", "Curves", "Again", "Notes", "Configuration"]
    assert outline.headings == ["TS2Vec on ArrowHead", *sections]
    assert all(address.startswith("data:image/") for address in outline.addresses) and len(outline.addresses) == 2
    assert not re.search(r"https?://|@import|url\(|<script|<link", page)
    for words in ("0.820", "time_series/ts2vec", "how to read them", "one note", "seed: 0\nname: x"):
        assert words in page


def test_empty_parts_are_left_out():
    outline = Outline()
    outline.feed(render_report(Report("Bare")))
    assert outline.headings == ["Bare"]


def test_every_string_is_escaped():
    figure = plots.curves({"loss": {"train": ([0, 1], [1.0, 0.0])}})
    table = Table(EVIL, (EVIL, "b"), [[EVIL, EVIL]], caption=EVIL)
    report = Report(EVIL, EVIL, {EVIL: EVIL}, {EVIL: EVIL}, [table], [(EVIL, EVIL, figure)], [EVIL], EVIL)
    page = render_report(report)
    outline = Outline()
    outline.feed(page)
    assert "<script" not in page and "alert('x')" not in page
    assert outline.text.count(EVIL) == 16


def test_comparison_is_paired_and_says_what_it_counts():
    pretrained, random = [0.82, 0.81, 0.83], [0.74, 0.73, 0.74]
    table = comparison_table({"accuracy": pretrained}, {"accuracy": random})
    difference = paired_difference(pretrained, random)
    assert list(map(format_cell, table.rows[0])) == [
        "accuracy",
        "0.737 ± 0.006",
        "0.820 ± 0.010",
        f"+0.083 [{difference.low:+.3f}, {difference.high:+.3f}]",
        "3",
    ]
    assert "seed by seed" in table.caption and "initial weights" in table.caption
    unpaired = comparison_table({"accuracy": pretrained}, {"accuracy": [0.7, 0.8]}, paired=False)
    assert format_cell(unpaired.rows[0][-1]) == "2 / 3" and "Welch" in unpaired.caption
    renamed = comparison_table({"accuracy": pretrained}, {"accuracy": random}, names=("from scratch", "fine-tuned"))
    assert list(renamed.columns[1:3]) == ["from scratch", "fine-tuned"] and "random" not in renamed.caption
    with pytest.raises(ValueError, match="only one has f1"):
        comparison_table({"accuracy": [1.0], "f1": [1.0]}, {"accuracy": [1.0]})


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        (0.12345, "0.123"),
        (7, "7"),
        ("plain", "plain"),
        (None, "–"),
        (math.nan, "–"),
        (mean_interval([0.5]), "0.500"),
        (Difference(paired_difference([0.4], [0.5])), "-0.100"),
    ],
)
def test_cells(cell, text):
    assert format_cell(cell) == text


def test_only_certain_differences_are_coloured():
    runs = {"better": [0.1, 0.11, 0.12], "worse": [-0.1, -0.11], "unsure": [0.1, -0.1], "one run": [0.3]}
    rows = [[name, Difference(mean_interval(values))] for name, values in runs.items()]
    page = render_report(Report("x", tables=[Table("t", ("a", "b"), rows)]))
    assert re.findall(r"<th scope='row'>([a-z ]+)</th><td( class='\w+')?>", page) == [
        ("better", " class='better'"),
        ("worse", " class='worse'"),
        ("unsure", ""),
        ("one run", ""),
    ]


def test_a_falling_error_rate_is_better():
    rise = {
        name: comparison_table({name: [0.3, 0.31, 0.32]}, {name: [0.1, 0.1, 0.1]}).rows[0][3]
        for name in ("accuracy", "eer_percent")
    }
    assert {name: cell.verdict for name, cell in rise.items()} == {"accuracy": "better", "eer_percent": "worse"}


def test_ragged_tables_are_refused():
    with pytest.raises(ValueError, match="row 0 has 1 cells for 2 columns"):
        Table("t", ("a", "b"), [["x"]])


def test_writing_is_atomic(tmp_path, full_report, monkeypatch):
    target = tmp_path / "run" / "report.html"
    assert write_report(target, full_report) == target
    before = target.read_text()
    assert before == render_report(full_report)
    assert target.stat().st_mode & 0o777 == 0o644

    def fail(self, other):
        raise OSError("disk full")

    monkeypatch.setattr("pathlib.Path.replace", fail)
    with pytest.raises(OSError, match="disk full"):
        write_report(target, Report("new"))
    assert target.read_text() == before
    assert [path.name for path in target.parent.iterdir()] == ["report.html"]


def test_the_terminal_shows_the_same_cells():
    table = Table("Results [bold]", ("metric", "value"), [["[red]acc[/red]", mean_interval([0.8, 0.9])]], caption="why")
    console = Console(width=100, record=True, file=io.StringIO())
    console.print(terminal_table(table))
    text = console.export_text()
    for words in ("Results [bold]", "[red]acc[/red]", "0.850 ± 0.071", "why"):
        assert words in text
