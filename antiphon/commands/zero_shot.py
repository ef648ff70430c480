"""`antiphon zero-shot`: what is in a recording, asked by words."""

from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from antiphon.common.data.quarantine import Quarantine
from antiphon.common.evaluation.zero_shot import ZeroShot, embed_windows, settings_hash
from antiphon.common.text.prompts import PromptSet, PromptTask, fill_templates, label_task, read_lines, read_prompts
from antiphon.models import domain_of, load_model

if TYPE_CHECKING:
    from antiphon.common.two_towers import TwoTowers

WIDE = 5  # labels that have a column of their own
DRAWN = 12  # recordings in a picture
LEAST = 0.5  # score of a label that holds, with --multi-label
WIDTH = 160  # characters of a table that no terminal bounds
PICTURES = (".png", ".svg", ".pdf")


@dataclass(frozen=True)
class RecordingScores:
    """`scores` (K,) of a recording, the mean of `window_scores` (w, K); window w begins `times_s` (w,) and lasts `window_s`."""

    path: str
    scores: NDArray[np.float64]
    times_s: NDArray[np.float64]
    window_s: float
    window_scores: NDArray[np.float64]

    def found(self, labels: Sequence[str], threshold: float | None) -> list[str]:
        """The labels that hold, the likeliest first: those from `threshold` on, or without one the one best."""
        order = np.argsort(-self.scores, kind="stable").tolist()
        return [labels[k] for k in order if self.scores[k] >= threshold] if threshold is not None else [labels[order[0]]]

    def to_dict(self, labels: Sequence[str], threshold: float | None) -> dict[str, Any]:
        """As JSON holds it."""
        found = self.found(labels, threshold)
        return {
            "path": self.path,
            "label" if threshold is None else "labels": found[0] if threshold is None else found,
            "scores": dict(zip(labels, np.round(self.scores, 6).tolist(), strict=True)),
            "window_s": self.window_s,
            "window_times_s": np.round(self.times_s, 6).tolist(),
            "window_scores": np.round(self.window_scores, 6).tolist(),
        }


def zero_shot(options: Namespace) -> None:
    """Score every recording, print a table or JSON, and draw scores over time."""
    _check(options)
    model = _open(options)
    prompts = read_prompts(options.prompts) if options.prompts else model.prompts
    task = task_from(options, prompts)
    classifier = ZeroShot.of(model, task, multi_label=options.multi_label)
    least = LEAST if options.threshold is None else options.threshold
    threshold = least if options.multi_label else None
    config = settings_hash(model, task, multi_label=options.multi_label, threshold=least)
    reading = {"on_mismatch": options.on_mismatch} if options.kind == "eeg" else {}
    recordings, left_out, told = score_files(model, classifier, options.files, **reading)
    if not recordings:
        first = "; ".join(f"{_shown(path)}: {reason}" for path, reason in left_out.entries[:3])
        more = f"; and {len(left_out) - 3} more" if len(left_out) > 3 else ""
        raise ValueError(f"none of {left_out.total} recordings could be scored ({first}{more})")
    asked = {"model": str(options.model), "config": config, "prompts": _named(options, prompts), "multi_label": options.multi_label}
    if options.json:
        report = {**asked, "scale": model.scale, "bias": model.bias, **task.to_dict()}
        report["recordings"] = [scored.to_dict(task.labels, threshold) for scored in recordings]
        report["left_out"] = [{"path": path, "reason": reason} for path, reason in left_out.entries]
        print(json.dumps(report, indent=2))
    else:
        console = Console()
        if not console.is_terminal:
            console.width = max(console.width, WIDTH)  # names stay whole in a file or a pipe
        console.print(_table(recordings, task.labels, threshold))
        console.print(f"config {config}  prompts {escape(asked['prompts'])}", highlight=False, soft_wrap=True)
    untold = replace(left_out, entries=tuple(entry for entry in left_out.entries if entry not in told))
    if untold:
        Console(stderr=True).print(escape(str(untold)), highlight=False, soft_wrap=True)
    if options.plot:
        _draw(options.plot, recordings, task.labels, threshold)


def _check(options: Namespace) -> None:
    """Refuse what cannot work before anything is opened."""
    if options.threshold is not None and not options.multi_label:
        raise ValueError(f"--threshold {options.threshold:g} is for --multi-label: without it the best label is told")
    if options.threshold is not None and not 0.0 <= options.threshold <= 1.0:
        raise ValueError(f"--threshold {options.threshold:g} is no score: give one between 0 and 1")
    if options.plot and options.plot.suffix not in PICTURES:
        raise ValueError(f"--plot {options.plot} ends in {options.plot.suffix or 'nothing'}: use one of {', '.join(PICTURES)}")
    for option, file in (("--labels-file", options.labels_file), ("--templates", options.templates)):
        if file and not file.is_file():
            raise FileNotFoundError(f"{option} {file}: there is no such file")


def _shown(path: str) -> str:
    """A path as it is read most easily: relative where it lies below the current folder."""
    place = Path(path)
    return str(place.relative_to(Path.cwd())) if place.is_relative_to(Path.cwd()) else path


def _open(options: Namespace) -> TwoTowers:
    """The model, on its device, whose signal tower reads what KIND says."""
    import torch

    if options.model is None:
        raise ValueError(
            "no model: give --model RUN, a run that learned from signals and texts. `antiphon recipes` lists such recipes, and "
            "any other learns from a manifest with a column `text` by `antiphon pretrain RECIPE +text=wordllama +towers=mlp "
            "objective=clip evaluation=zero_shot ~views ~head`"
        )
    model = load_model(options.model, text=options.text)
    domain = domain_of(model.encoder).__name__.rsplit(".", 1)[-1]
    kind = domain if domain in ("eeg", "time_series") else "audio"
    if kind != options.kind:
        raise ValueError(f"the signal tower of {options.model} comes from {domain}: it reads {kind}, not {options.kind}")
    device = options.device or ("cuda" if torch.cuda.is_available() else "cpu")
    try:
        return model.to(device)
    except RuntimeError as error:
        raise ValueError(f"cannot use --device {device}: {error}") from error


def task_from(options: Namespace, prompts: PromptSet | None) -> PromptTask:
    """What is asked: labels in templates, or a task of a prompt set.

    Raises:
        ValueError: neither labels nor prompts, or both of two options that exclude each other.
    """
    if options.labels and options.labels_file:
        raise ValueError("give either --labels or --labels-file")
    labels = read_lines(options.labels_file) if options.labels_file else (options.labels or "").split(",") if options.labels else []
    templates = [*options.template, *(read_lines(options.templates) if options.templates else [])]
    background = [options.background] if options.background else []
    if labels:
        if options.task:
            raise ValueError("--task names a task of a prompt set, but labels are given: use one of them")
        known = templates or ([] if prompts is None else list(prompts.templates))
        return label_task(labels, templates=known, background=background, multi_label=options.multi_label)
    if prompts is None:
        raise ValueError("nothing to look for: give --labels 'one, another', --labels-file FILE, or --prompts SET")
    if templates:
        raise ValueError("templates are for --labels: the prompts of a set are whole already")
    task = prompts.task(options.task)
    return replace(task, background=fill_templates(background, [])) if background else task


def _named(options: Namespace, prompts: PromptSet | None) -> str:
    if options.labels or options.labels_file:
        known = "" if options.template or options.templates or prompts is None else f", in the templates of {prompts.name}"
        return f"from the command line{known}"
    return "none" if prompts is None else f"{prompts.name} version {prompts.version}"


def score_files(
    model: TwoTowers, classifier: ZeroShot, files: Sequence[str], **reading: Any
) -> tuple[list[RecordingScores], Quarantine, set[tuple[str, str]]]:
    """The scores of every recording of `files` (files, folders, manifests), and an account of those that cannot be used.

    The last are the entries that were printed when their folder was read.

    `reading` goes to the domain's `read`: what to do where EEG channels do not match.
    """
    domain, spec = domain_of(model.encoder), model.encoder.input_spec
    done: list[RecordingScores] = []
    refused: list[tuple[str, str]] = []
    told: set[tuple[str, str]] = set()
    for file in files:
        try:
            data = domain.read(file, input_spec=spec, **reading)
            done += _score_set(model, classifier, data, file)
        except (OSError, ValueError) as error:
            refused.append((getattr(error, "path", file), getattr(error, "reason", " ".join(str(error).split()))))
            continue
        refused += data.quarantine.entries
        told |= set(data.quarantine.entries)
    return done, Quarantine(tuple(refused), len(done) + len(refused)), told


def _score_set(model: TwoTowers, classifier: ZeroShot, data: Any, file: str) -> list[RecordingScores]:
    embedded = embed_windows(model, data)
    window_scores, windows = classifier.scores(embedded.embeddings), embedded.windows
    rate = getattr(windows, "sample_rate", None) or windows.input_spec.sample_rate
    scores = embedded.by_recording(window_scores)
    on_disk = hasattr(windows, "manifest")  # else trials in memory, each by itself
    starts = windows.starts if on_disk else np.zeros(len(windows), np.int64)
    window_s = (windows.window if on_disk else windows.signals.shape[-1]) / rate
    made = []
    for number, first in enumerate(embedded.firsts.tolist()):
        rows = np.flatnonzero(embedded.owners == number)
        path = windows.manifest[int(windows.rows[first])].path if on_disk else f"{file} trial {number}"
        made.append(RecordingScores(path, scores[number], starts[rows] / rate, window_s, window_scores[rows]))
    return made


def _table(recordings: Sequence[RecordingScores], labels: Sequence[str], threshold: float | None) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("recording", "windows", "found"):
        table.add_column(name, justify="right" if name == "windows" else "left", overflow="fold")
    wide = len(labels) <= WIDE
    for label in labels if wide else ["the three best"]:
        table.add_column(escape(label), justify="right")
    for scored in recordings:
        best = np.argsort(-scored.scores, kind="stable")[:3]
        cells = (
            [f"{score:.3f}" for score in scored.scores]
            if wide
            else [", ".join(f"{labels[k]} {scored.scores[k]:.3f}" for k in best)]
        )
        found = ", ".join(scored.found(labels, threshold)) or "none of them"
        table.add_row(*map(escape, (_shown(scored.path), str(len(scored.times_s)), found, *cells)))
    return table


def _draw(path: Path, recordings: Sequence[RecordingScores], labels: Sequence[str], threshold: float | None) -> None:
    from antiphon.common.plots.zero_shot import ScoredRecording, scores_over_time

    drawn = [ScoredRecording(Path(one.path).name, one.times_s, one.window_s, one.window_scores) for one in recordings[:DRAWN]]
    path.parent.mkdir(parents=True, exist_ok=True)
    scores_over_time(drawn, labels, threshold=threshold).savefig(path, dpi=150)
    more = f" (the first {DRAWN} of {len(recordings)} recordings)" if len(recordings) > DRAWN else ""
    Console(stderr=True).print(f"picture {path}{more}", highlight=False, soft_wrap=True)
