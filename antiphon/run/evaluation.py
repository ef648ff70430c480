"""Measure a run: its encoder beside encoders that were never trained, on the same data with the same protocol."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from antiphon.common.classifier import Classifier
from antiphon.common.encoder import Encoder
from antiphon.common.evaluation.intervals import mean_interval
from antiphon.common.report import Table, comparison_table
from antiphon.common.two_towers import TwoTowers
from antiphon.models import load_classifier, load_encoder, load_model
from antiphon.run.build import build_encoder, load_data
from antiphon.run.config import compose_within, instantiate, parameters
from antiphon.run.folder import RunFolder

Row = dict[str, Any]


def evaluate(
    config: Mapping[str, Any],
    encoder: Encoder,
    train: Any,
    test: Any,
    *,
    classifier: Classifier | None = None,
    model: TwoTowers | None = None,
) -> list[Row]:
    """Rows of metrics: random encoders of the same architecture (`evaluation.random_seeds`), then the pretrained one.

    A `classifier` that was trained beside the encoder goes to an evaluation that takes one; a `model` of two towers, and random
    ones like it, stand in the place of encoders where an evaluation takes a `model`. Without an evaluation, a test set or labels
    there is nothing to measure, and the list is empty.
    """
    settings = dict(config.get("evaluation") or {})
    random_seeds = settings.pop("random_seeds", [0, 1, 2])
    if not settings or test is None or (settings.pop("needs_labels", True) and (train.labels is None or test.labels is None)):
        return []
    wanted = parameters(settings)
    if "model" in wanted and model is None:
        raise ValueError(
            "this evaluation measures two towers, but the run has none: add a text tower (+text=wordllama +towers=mlp)"
        )
    rows: list[Row] = []
    for seed in random_seeds:
        untrained = _untrained(config, train, seed=seed, two_towers="model" in wanted)
        rows.append({"encoder": "random", "seed": seed, **instantiate(settings, **untrained, train=train, test=test)})
    given: dict[str, Any] = {"model": model} if "model" in wanted else {"encoder": encoder}
    given |= {"train": train, "test": test}
    if classifier is not None and "classifier" in wanted:
        given["classifier"] = classifier
    rows.append({"encoder": "pretrained", "seed": config["seed"], **instantiate(settings, **given)})
    return rows


def _untrained(config: Mapping[str, Any], train: Any, *, seed: int, two_towers: bool) -> dict[str, Any]:
    """What stands for chance: an encoder, or two towers, at initial weights, by the name that the evaluation has for it."""
    if not two_towers:
        return {"encoder": build_encoder(config, train, seed=seed).eval()}
    from antiphon.run.cross_modal import build_untrained

    return {"model": build_untrained(config, train, seed=seed)}


def evaluate_run(folder: RunFolder, overrides: Mapping[str, Any]) -> list[Row]:
    """Measure a finished run again, with some of its `evaluation` settings changed by `overrides`; nothing is written.

    The override `evaluation` names another evaluation of the catalogue, `speaker_verification/all_pairs` say. What it takes from
    other parts of the config (the speakers that were kept out of training) it takes from the run's.
    """
    rows: dict[tuple[str, int], Row] = {}
    changed = {name.removeprefix("evaluation."): value for name, value in overrides.items()}
    first = folder.seeds[0].config()
    other = changed.pop("evaluation", None)
    base = first.get("evaluation") or {} if other is None else compose_within(first, "evaluation", other)
    if not base:
        raise ValueError(f"{folder.path} was run without an evaluation: name one, evaluation=linear say")
    settings = {*parameters(base), "random_seeds"} - {"encoder", "model", "train", "test", "classifier"}
    for name in changed:
        if name not in settings:
            raise ValueError(
                f"{name!r} is no setting of this evaluation: use one of {', '.join(sorted(settings))}, or another one by "
                "evaluation=NAME"
            )
    missing = [name for name, value in {**base, **changed}.items() if value == "???"]
    if missing:
        raise ValueError(f"{other} needs {missing[0]}: add {missing[0]}=...")
    for part in folder.seeds:
        config = part.config()
        own = config.get("evaluation") or {}
        if other is not None:
            own = compose_within(config, "evaluation", other) | {name: own[name] for name in ("random_seeds",) if name in own}
        config["evaluation"] = {**own, **changed}
        train, test = load_data(config)
        classifier = load_classifier(part.classifier) if part.classifier.is_dir() else None
        model = load_model(part.model) if part.model.is_dir() else None
        for row in evaluate(config, load_encoder(part.encoder), train, test, classifier=classifier, model=model):
            rows[(row["encoder"], row["seed"])] = row
    return list(rows.values())


def metric_table(title: str, rows: Sequence[Row], names: tuple[str, str] = ("random", "pretrained")) -> Table:
    """The encoders called `names[0]` against those called `names[1]`: a row a metric, mean and spread over seeds.

    Without the first (no random seeds were asked for) the second stands alone. A metric that the data do not define, such as the
    recall of anomalies where there are none, is left out and named below. So are bounds that a metric brings along (`x_low` and
    `x_high` of `x`), their means over seeds, and numbers of trials that are the same for all.
    """
    sides = [[row for row in rows if row["encoder"] == name] for name in names]
    metrics = [key for key in rows[0] if key not in ("encoder", "seed")]
    bounded = [metric for metric in metrics if f"{metric}_low" in metrics and f"{metric}_high" in metrics]
    bounds = {f"{metric}_{side}" for metric in bounded for side in ("low", "high")}
    counts = {metric for metric in metrics if metric.endswith("_trials") and len({row[metric] for row in rows}) == 1}
    shown = [metric for metric in metrics if metric not in bounds | counts]
    defined = [metric for metric in shown if all(math.isfinite(row[metric]) for row in rows)]
    baseline, trained = ({_spoken(metric): [row[metric] for row in side] for metric in defined} for side in sides)
    if not sides[0]:
        table = Table(
            title, ["metric", names[1], "seeds"], [[name, mean_interval(values), len(values)] for name, values in trained.items()]
        )
    else:
        paired = len(sides[0]) > 1 and [row["seed"] for row in sides[0]] == [row["seed"] for row in sides[1]]
        table = comparison_table(trained, baseline, title=title, paired=paired, names=names)
    notes = [table.caption, *(_bounds_note(metric, sides, names) for metric in bounded)]
    notes += [f"{', '.join(f'{_spoken(metric)} {rows[0][metric]:,.0f}' for metric in sorted(counts))}."] if counts else []
    undefined = ", ".join(_spoken(metric) for metric in shown if metric not in defined)
    notes += [f"Not defined here: {undefined}."] if undefined else []
    return replace(table, caption=" ".join(notes).strip())


def _bounds_note(metric: str, sides: Sequence[Sequence[Row]], names: Sequence[str]) -> str:
    """How sure a metric is of itself within a run."""
    told = []
    for name, side in zip(names, sides, strict=True):
        low, high = (sum(row[f"{metric}_{end}"] for row in side) / max(1, len(side)) for end in ("low", "high"))
        told += [f"{name} [{low:.4g}, {high:.4g}]"] if side else []
    return f"95 % interval of {_spoken(metric)} within a run: {', '.join(told)}."


def _spoken(metric: str) -> str:
    return metric.replace("_", " ")
