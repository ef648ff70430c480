"""Streaming anomaly detection on series that ship inside aeon, random encoders beside pretrained ones.

python benchmarks/anomaly.py --quick|--full
"""

from __future__ import annotations

import argparse
import tempfile
from typing import Any

from antiphon.common.evaluation.intervals import mean_interval
from antiphon.common.report import Table, terminal_table

SERIES = "KDD-TSAD_135"


def run(seed: int, steps: int) -> list[dict[str, Any]]:
    """Rows of the random and the pretrained encoder of one seed."""
    from antiphon.common.learners.training import TrainingSettings, fit
    from antiphon.run.build import build_learner, load_data
    from antiphon.run.config import compose
    from antiphon.run.evaluation import evaluate

    overrides = [f"seed={seed}", f"evaluation.random_seeds=[{seed}]", f"data.name={SERIES}", f"training.steps={steps}"]
    config = compose("time_series/ts2vec_anomaly", overrides)
    train, test = load_data(config)
    learner, _ = build_learner(config, train, seed=seed)
    with tempfile.TemporaryDirectory() as scratch:
        fit(learner, train, TrainingSettings(batch_size=8, steps=steps, seed=seed, progress=False), scratch)
    return evaluate(config, learner.trained_encoder.eval(), train, test)


def main(*, quick: bool) -> None:
    """Print the table."""
    from rich.console import Console

    rows = [row for seed in range(1 if quick else 3) for row in run(seed, 50 if quick else 200)]
    names = ("f1", "precision", "recall", "roc_auc", "average_precision")
    body = [
        [encoder, *(mean_interval([row[name] for row in rows if row["encoder"] == encoder]) for name in names)]
        for encoder in ("random", "pretrained")
    ]
    title = f"{SERIES}: 7501 samples, 1200 to train, one anomaly of 12 samples; {1 if quick else 3} seed(s)"
    Console(width=140).print(terminal_table(Table(title, ["encoder", *(name.replace("_", " ") for name in names)], body)))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--full", action="store_true")
    main(quick=not parser.parse_args().full)
