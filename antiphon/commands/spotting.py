"""What `antiphon spot` does, given its parsed options."""

from __future__ import annotations

import json
from argparse import Namespace
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape

if TYPE_CHECKING:
    from antiphon.domains.keyword_spotting.query import Spotting

console = Console()


def spot(options: Namespace) -> None:
    """Find a word in a recording and print where it is."""
    queries, encoder_path, recording = _arranged(options.query, options.places)
    from antiphon.domains.keyword_spotting import query
    from antiphon.models import load_encoder, note_other_domain

    encoder = load_encoder(encoder_path)
    note_other_domain(encoder, "keyword_spotting", "tell words apart")
    found = query.spot(
        encoder,
        queries,
        recording,
        compare=options.compare,
        threshold=options.threshold,
        top=options.top,
        window_s=options.window_s,
        hop_s=options.hop_s,
        trim_db=options.trim_db or None,
    )
    if options.json:
        rows = [{**asdict(one), "query": queries[one.query]} for one in found.detections]
        print(json.dumps({**asdict(found), "detections": rows}))
    else:
        _print(found, queries, recording)


def _arranged(queries: list[str], places: list[str]) -> tuple[list[str], str, str]:
    """Examples, RUN and recording: `--query` takes every word behind it, so that what is missing of the two are its last."""
    missing = 2 - len(places)
    if missing < 0:
        raise ValueError(f"spot searches one recording at a time, got {len(places) - 1}: {', '.join(places[1:])}")
    if len(queries) <= missing:
        raise ValueError("spot needs examples, a run and a recording: antiphon spot --query hey.wav [more.wav ...] RUN long.wav")
    examples, (encoder_path, recording) = queries[: len(queries) - missing], places + queries[len(queries) - missing :]
    folders = [word for word in (*examples, recording) if Path(word).is_dir()]
    if folders:
        raise ValueError(f"{folders[0]} is a folder: give a recording; the order is --query EXAMPLES, then RUN, then the recording")
    lost = [word for word in (*examples, recording) if not Path(word).is_file()]
    if lost:
        raise FileNotFoundError(f"no file {lost[0]}: the order is --query EXAMPLES, then RUN, then the recording")
    return examples, encoder_path, recording


def _print(found: Spotting, queries: list[str], recording: str) -> None:
    from rich.table import Table

    how = "aligned (dtw)" if found.compare == "dtw" else "one embedding a window (pooled)"
    source = "from the scores of this recording" if found.derived else "as given"
    said = f"{recording}: {clock(found.duration_s)}, {how}, threshold {found.threshold:.3f} {source}"
    console.print(said, highlight=False, markup=False, soft_wrap=True)
    if not found.detections:
        console.print(f"not found: the highest score is {found.best:.3f} (--threshold sets another)", highlight=False)
        return
    table = Table(*("start", "end", "score", *(["example"] if len(queries) > 1 else [])))
    for one in found.detections:
        table.add_row(
            clock(one.start_s), clock(one.end_s), f"{one.score:.3f}", *([escape(queries[one.query])] if len(queries) > 1 else [])
        )
    console.print(table)
    if found.cut:
        console.print("more reach the threshold, these are the best", highlight=False)


def clock(time_s: float) -> str:
    """Hours, minutes and seconds to the hundredth: 1:02:03.45."""
    minutes, hundredths = divmod(round(time_s * 100), 6000)
    hours, minutes = divmod(minutes, 60)
    seconds = f"{hundredths // 100:02d}.{hundredths % 100:02d}"
    return f"{hours}:{minutes:02d}:{seconds}" if hours else f"{minutes}:{seconds}"
