"""Fills the report of a run folder: what was run, what pretraining changed, and what training looked like."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import yaml

from antiphon import __version__
from antiphon.common.learners.monitor import Snapshot
from antiphon.common.plots.signals import view_examples
from antiphon.common.plots.training import FlaggedPair, curves, flagged_pairs, similarity_histograms
from antiphon.common.report import Report, write_report
from antiphon.models import load_encoder
from antiphon.run.build import build_encoder, build_learner, training_set
from antiphon.run.config import instantiate
from antiphon.run.evaluation import metric_table
from antiphon.run.folder import RunFolder

Picture = tuple[str, str, Any]


def write_run_report(folder: RunFolder, data: tuple[Any, Any]) -> None:
    """Write report.html from a run folder and its train and test set; pictures show the first seed, tables all of them."""
    part = folder.seeds[0]
    config, results = part.config(), folder.results()
    about = config["about"]
    train, test = data
    tables = [metric_table("Random encoder and pretrained encoder", results["rows"])] if results["rows"] else []
    pictures = _training_pictures(part)
    pictures += _chosen_pictures(config, part, train, test)
    pictures += _view_pictures(config, part, train)
    facts = {
        "recipe": about["recipe"],
        "paper": about["paper"],
        "data": f"{config['data'].get('name')}: {results['train_examples']} training and {results['test_examples']} test examples",
        **({"left out": _left_out(folder)} if folder.left_out.is_file() else {}),
        "published": about["published"],
        "seeds": ", ".join(str(seed) for seed in sorted({row["seed"] for row in results["rows"] if row["encoder"] == "pretrained"}))
        or config["seed"],
        "steps": results["steps"],
        "training time": f"{results['seconds']:.1f} s",
        "config": results["config"],
        "versions": _versions(),
    }
    headline = _headline(results["rows"])
    notes = [
        "Random encoders have the same architecture and the same probe: on an easy data set they look good too.",
        "The probe's hyper-parameters are chosen on the training set; the test set is read once.",
    ]
    page = Report(
        title=about["title"],
        subtitle=f"{about['recipe']} on {config['data'].get('name')}",
        headline=headline,
        facts=facts,
        tables=tables,
        pictures=pictures,
        notes=notes if results["rows"] else [],
        config_yaml=yaml.safe_dump(folder.config(), sort_keys=False),
    )
    write_report(folder.report, page)


def _left_out(folder: RunFolder) -> str:
    """How many recordings could not be used, and the first of them."""
    lines = folder.left_out.read_text(encoding="utf-8").splitlines()
    path, reason = lines[0].split("\t", 1)
    return f"{len(lines)} recordings, listed in {folder.left_out.name}; the first is {path} ({reason})"


def _versions() -> str:
    from importlib.metadata import version

    return f"antiphon {__version__}, torch {version('torch')}, pytorch-lightning {version('pytorch-lightning')}"


def _headline(rows: Sequence[dict[str, Any]]) -> dict[str, str]:
    """The first metric, pretrained and random."""
    if not rows:
        return {}
    metric = next(key for key, value in rows[0].items() if isinstance(value, float))
    label = metric.replace("_", " ")
    trained = np.mean([row[metric] for row in rows if row["encoder"] == "pretrained"])
    random = [row[metric] for row in rows if row["encoder"] == "random"]
    tiles = {f"{label}, pretrained": f"{trained:.3f}"}
    if random:
        tiles |= {f"{label}, random encoder": f"{np.mean(random):.3f}", "difference": f"{trained - np.mean(random):+.3f}"}
    return tiles


def _training_pictures(part: RunFolder) -> list[Picture]:
    with (part.path / "metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    panels = {}
    titles = {
        "loss": "loss",
        "online_probe": "online probe (leave one out, training set)",
        "rankme": "RankMe",
    }
    for column, title in titles.items():
        logged = [row for row in rows if row.get(column)]
        if len(logged) > 1:
            panels[title] = {column: ([float(row["step"]) for row in logged], [float(row[column]) for row in logged])}
    pictures: list[Picture] = []
    if panels:
        caption = "RankMe is the effective number of dimensions in use; the online probe sees training data only."
        pictures.append(("Training", caption, curves(panels)))
    history = [Snapshot.from_dict(entry) for entry in json.loads((part.path / "monitor.json").read_text())]
    stages = {f"step {shot.step}": shot.similarity for shot in history if shot.similarity is not None}
    if stages:
        names, last = list(stages), len(stages) - 1
        chosen = {names[place]: stages[names[place]] for place in sorted({0, last // 3, 2 * last // 3, last})}
        caption = "Cosines of what the objective pulls together (positives) and pushes apart (negatives), on training examples."
        pictures.append(("Similarities over training", caption, similarity_histograms(chosen)))
    return pictures


def _chosen_pictures(config: dict[str, Any], part: RunFolder, train: Any, test: Any) -> list[Picture]:
    """What the recipe's `pictures` draw of an untrained encoder and the pretrained one."""
    if not config.get("pictures") or test is None:
        return []
    untrained, encoder = build_encoder(config, train, seed=config["seed"]).eval(), load_encoder(part.encoder)
    pictures: list[Picture] = instantiate(config["pictures"], untrained=untrained, encoder=encoder, train=train, test=test)
    return pictures


def _view_pictures(config: dict[str, Any], part: RunFolder, train: Any) -> list[Picture]:
    train = training_set(config, train)
    learner, _ = build_learner(config, train, seed=config["seed"])
    rows = np.arange(min(len(train), config["training"]["batch_size"]))
    batch = train.batch(rows)
    views = learner.make_views(batch)
    original = learner.encoder.standardize(batch.signals)[0][:, : int(batch.lengths[0])]
    names = {f"view {number + 1}": _masked(view)[0][:, : int(view.lengths[0])] for number, view in enumerate(views)}
    caption = "A training example and what the encoder sees of it; gaps are time stamps hidden from it."
    pictures: list[Picture] = [("Views", caption, view_examples(original, names))]
    if config.get("pair_mining"):
        pictures += _flagged_pictures(learner, part, train)
    return pictures


def _masked(view: Any) -> Any:
    """A view's signals with NaN where its mask hides time stamps."""
    return view.signals if view.mask is None else view.signals.masked_fill(~view.mask[:, None], float("nan"))


def _flagged_pictures(learner: Any, part: RunFolder, train: Any) -> list[Picture]:
    import torch

    state = torch.load(part.checkpoint, map_location="cpu", weights_only=True)["state_dict"]
    mining = learner.pair_mining
    mining.load_state_dict(
        {key.removeprefix("pair_mining."): value for key, value in state.items() if key.startswith("pair_mining.")}
    )
    flags, history = mining.flags().cpu().numpy(), mining.history_mean.cpu().numpy()
    lower, upper = mining.limits()
    pairs: dict[int, list[FlaggedPair]] = {}
    for kind in (-1, 1):
        rows = np.flatnonzero(flags == kind)[:4]
        views = learner.make_views(train.batch(rows)) if len(rows) else []
        pairs[kind] = [
            FlaggedPair(f"example {row}", views[0].signals[place].numpy(), views[1].signals[place].numpy(), float(history[row]))
            for place, row in enumerate(rows)
        ]
    figure = flagged_pairs(history, lower=lower, upper=upper, noisy=pairs[-1], faulty=pairs[1])
    counts = f"{int((flags == -1).sum())} noisy and {int((flags == 1).sum())} faulty of {len(flags)}"
    return [("Bad pairs", f"What dynamic bad-pair mining flagged at the end of training: {counts}.", figure)]
