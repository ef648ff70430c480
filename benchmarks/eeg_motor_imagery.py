"""Motor imagery: an open recording of 40 trials, and simulated lateralised trials of several subjects with MVCNet's ablations.

    python benchmarks/eeg_motor_imagery.py --quick     one seed, fewer subjects and epochs: a few minutes on one core
    python benchmarks/eeg_motor_imagery.py --full      3 seeds, 100 epochs (30 on simulated trials): about an hour on one core

* `recording`: the sample of Debian's octave-biosig (`antiphon data fetch biosig-motor-imagery`): one subject, 20 trials left and 20
  right, three electrodes over the motor cortex (taken for C3, Cz and C4 by what they show), 8 to 32 Hz at 128 Hz, half a second to
  four seconds after the cue. CO trains on the first 16 trials of each class and tests on 8; CV is five blocks in time.
* `simulated`: trials whose mu rhythm weakens opposite to the imagined hand (`simulate_motor_imagery`), nine electrodes. LOSO:
  each subject is tested with what was learnt from the others.

Networks see Euclidean-aligned trials (train and test apart) and are read after the last epoch. The log band power, of trials that
were not aligned, goes to a linear discriminant with shrinkage. "Random" and "SimCLR" are logistic regressions on frozen embeddings
of IFNet, with initial weights or pretrained on the training trials without labels. Finished runs are kept in --store.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from sklearn.base import BaseEstimator, ClassifierMixin
from stored_runs import run_stored

from antiphon.common.evaluation.intervals import mean_interval, paired_difference, wilson_interval
from antiphon.common.evaluation.probes import linear_probe
from antiphon.common.report import Difference, Table, terminal_table
from antiphon.domains.eeg.data import EpochSet, load
from antiphon.domains.eeg.data.simulation.motor_imagery import simulate_motor_imagery
from antiphon.domains.eeg.mvcnet import MVCNetClassifier, cross_validate, protocol_folds, subject_accuracy
from antiphon.domains.eeg.mvcnet.protocols import Protocol

RATE = 128.0
BANDS_HZ = ((8, 12), (12, 16), (16, 24), (24, 30))
ELECTRODES = ("FC3", "FC4", "C5", "C3", "Cz", "C4", "C6", "CP3", "CP4")


class LogBandPower(ClassifierMixin, BaseEstimator):
    """Log power of four bands on every channel, linear discriminant analysis with shrinkage."""

    def fit(self, signals: NDArray[Any], labels: NDArray[Any]) -> LogBandPower:
        """Fit the discriminant."""
        from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

        self.discriminant_ = LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto").fit(self._features(signals), labels)
        return self

    def _features(self, signals: NDArray[Any]) -> NDArray[Any]:
        power = np.abs(np.fft.rfft(signals * np.hanning(signals.shape[2]))) ** 2
        frequencies = np.fft.rfftfreq(signals.shape[2], 1 / RATE)
        bands = [power[..., (frequencies >= low) & (frequencies < high)].mean(axis=-1) for low, high in BANDS_HZ]
        return np.log(np.concatenate(bands, axis=1))

    def predict(self, signals: NDArray[Any]) -> NDArray[Any]:
        """The class of each trial."""
        return np.asarray(self.discriminant_.predict(self._features(signals)))


class EEGNet(ClassifierMixin, BaseEstimator):
    """braindecode's EEGNet trained from scratch: AdamW with warm-up and cosine, no augmentation."""

    def __init__(self, seed: int = 0, epochs: int = 100) -> None:
        self.seed, self.epochs = seed, epochs

    def fit(self, signals: NDArray[Any], labels: NDArray[Any]) -> EEGNet:
        """Train all weights."""
        from antiphon.common.random import seeded_scope
        from antiphon.models import create_encoder
        from antiphon.run.own_data import finetune

        data = _as_set(signals, labels)
        with seeded_scope(self.seed, "initial weights"):
            encoder = create_encoder("braindecode", architecture="EEGNet", in_channels=signals.shape[1], window=signals.shape[2])
        encoder.fit_standardization(signals.mean(axis=(0, 2)), signals.std(axis=(0, 2)))
        self.classifier_ = finetune(encoder, data, epochs=self.epochs, lr=1e-3, batch_size=64, seed=self.seed)
        return self

    def predict(self, signals: NDArray[Any]) -> NDArray[Any]:
        """The class of each trial."""
        return np.asarray(self.classifier_.predict(signals))


class FrozenIFNet(ClassifierMixin, BaseEstimator):
    """Logistic regression on frozen embeddings of IFNet, at initial weights (0 epochs) or pretrained by eeg/simclr."""

    def __init__(self, seed: int = 0, epochs: int = 0) -> None:
        self.seed, self.epochs = seed, epochs

    def fit(self, signals: NDArray[Any], labels: NDArray[Any]) -> FrozenIFNet:
        """Pretrain without labels; the regression is fitted when it is asked."""
        from antiphon.run.build import build_encoder
        from antiphon.run.config import compose
        from antiphon.run.pretrain import pretrain_set

        data = _as_set(signals, labels)
        options = [f"training.epochs={max(1, self.epochs)}", "training.batch_size=64", "optimizer.lr=0.001", "encoder.pool=64"]
        if self.epochs:
            with tempfile.TemporaryDirectory() as scratch:
                self.encoder_ = pretrain_set("eeg/simclr", data, options, seed=self.seed, folder=scratch)
        else:
            self.encoder_ = build_encoder(compose("eeg/simclr", options), data, seed=self.seed).eval()
        self.embeddings_, self.labels_ = self.encoder_.embed(signals), labels
        return self

    def predict(self, signals: NDArray[Any]) -> NDArray[Any]:
        """The class of each trial."""
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        probe = linear_probe(self.embeddings_, self.labels_, self.embeddings_, self.labels_, seed=self.seed)  # chooses C
        model = make_pipeline(StandardScaler(), LogisticRegression(C=probe.c, max_iter=1000))
        return np.asarray(model.fit(self.embeddings_, self.labels_).predict(self.encoder_.embed(signals)))


def _as_set(signals: NDArray[Any], labels: NDArray[Any]) -> EpochSet:
    from antiphon.common.encoder import InputSpec

    classes, codes = np.unique(labels, return_inverse=True)
    spec, words = InputSpec(channels=signals.shape[1], sample_rate=RATE), tuple(map(str, classes))
    return EpochSet(signals.astype(np.float32), spec, labels=codes.astype(np.int64), classes=words, name="trials")


class Job(NamedTuple):
    """One run: `method` on the trials of `part`, from `seed`."""

    part: str
    method: str
    seed: int
    size: str


SIZES: dict[str, dict[str, dict[str, int]]] = {
    "quick": {"recording": {"epochs": 30}, "simulated": {"epochs": 20, "subjects": 2}},
    "full": {"recording": {"epochs": 100}, "simulated": {"epochs": 30, "subjects": 4}},
}
ALONE: dict[str, Any] = {"views": (), "cross_view_weight": 0.0, "cross_model_weight": 0.0}
NETWORKS: dict[str, dict[str, Any]] = {  # options of MVCNetClassifier
    "IFNet": ALONE,
    "MVCNet": {},
    "IFNet on the views": {"cross_view_weight": 0.0, "cross_model_weight": 0.0},
    "without L_CMC": {"cross_model_weight": 0.0},
    "without L_CVC": {"cross_view_weight": 0.0},
    "without the label flip": {"mirrored_classes": None},
    "fusion": {"fusion": True},
}
POWER = "log band power + LDA"  # nothing in it is drawn
METHODS: dict[str, tuple[str, ...]] = {
    "recording": (POWER, "EEGNet", "IFNet", "MVCNet", "random IFNet, probe", "SimCLR on IFNet, probe"),
    "simulated": (POWER, *NETWORKS),
}
PROTOCOLS: dict[str, tuple[Protocol, ...]] = {"recording": ("co", "cv"), "simulated": ("loso",)}
CHANNELS = {"recording": ("C3", "Cz", "C4"), "simulated": ELECTRODES}


def run_job(job: Job) -> dict[str, Any]:
    """The accuracies of one run, and seconds of one core."""
    start = time.process_time()
    data = trials(job.part, job.size)
    assert data.labels is not None
    words, subjects = np.asarray(data.classes)[data.labels], data.columns["subject"]
    found = {}
    for protocol in PROTOCOLS[job.part]:
        folds = protocol_folds(protocol, words, subjects)
        scores = cross_validate(classifier(job), data.signals, words, folds, subjects=subjects, align=job.method != POWER)
        found[protocol] = float(np.mean(list(subject_accuracy(scores).values())))
    return {**job._asdict(), "trials": len(data), "accuracies": found, "seconds": time.process_time() - start}


def classifier(job: Job) -> Any:
    """The method of a job, not yet fitted."""
    epochs = SIZES[job.size][job.part]["epochs"]
    if job.method in NETWORKS:
        plain: dict[str, Any] = {"names": CHANNELS[job.part], "sample_rate": RATE, "epochs": epochs, "pool": 64}
        return MVCNetClassifier(**plain | NETWORKS[job.method], seed=job.seed)
    made = {
        POWER: LogBandPower(),
        "EEGNet": EEGNet(job.seed, epochs),
        "random IFNet, probe": FrozenIFNet(job.seed),
        "SimCLR on IFNet, probe": FrozenIFNet(job.seed, 2 * epochs),
    }
    return made[job.method]


def trials(part: str, size: str) -> EpochSet:
    """The open recording, or simulated subjects."""
    if part == "simulated":
        count = SIZES[size][part]["subjects"]
        options: dict[str, Any] = {"duration_s": 2.0, "sample_rate": RATE, "names": ELECTRODES, "desynchronisation": 0.3, "seed": 0}
        return simulate_motor_imagery(count, 40, **options)
    data, _ = load(
        "biosig-motor-imagery",
        channels=("Channel 1", "Channel 2", "Channel 3"),
        preparation={"band_hz": [8.0, 32.0], "sample_rate": RATE},
        events={"769": "left", "770": "right"},
        start_s=0.5,
        window_s=3.5,
        test_share=0.0,
        in_memory=True,
    )
    assert isinstance(data, EpochSet)
    return data


def table(part: str, size: str, results: dict[Job, dict[str, Any]]) -> Table:
    """A row a method: mean and deviation over seeds."""
    found: dict[str, dict[str, list[float]]] = {}
    for job, result in results.items():
        for protocol, value in result["accuracies"].items():
            found.setdefault(job.method, {}).setdefault(protocol, []).append(value)
    total = next(iter(results.values()))["trials"]
    rows: list[list[Any]] = []
    for method, values in found.items():
        row: list[Any] = [method, *map(mean_interval, values.values())]
        if part == "recording":
            interval = wilson_interval(round(float(np.mean(values["cv"])) * total), total)
            row.append(f"[{interval.low:.2f}, {interval.high:.2f}]")
        else:
            paired = method not in ("MVCNet", POWER) and len(values["loso"]) > 1
            row.append(Difference(paired_difference(values["loso"], found["MVCNet"]["loso"])) if paired else "")
        rows.append(row)
    about = ", ".join(f"{value} {name}" for name, value in SIZES[size][part].items())
    last = f"CV, 95 % of {total} trials" if part == "recording" else "LOSO - MVCNet"
    columns = ["", *(protocol.upper() for protocol in PROTOCOLS[part]), last]
    return Table(f"{part}: {total} trials, {about}", columns, rows, "Mean ± deviation over seeds; chance is 0.5.")


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", choices=(*METHODS, []), help="recording, simulated; both by default")
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quick", action="store_true")
    size.add_argument("--full", action="store_true")
    parser.add_argument("--seeds", type=int, help="how many (default 1 or 3)")
    parser.add_argument(
        "--store", type=Path, default=Path("benchmarks/runs-motor_imagery.jsonl"), help="where finished runs are kept"
    )
    parser.add_argument("--workers", type=int, default=2, help="runs side by side")
    options = parser.parse_args()
    seeds, chosen = options.seeds or (3 if options.full else 1), "full" if options.full else "quick"
    console = Console(width=140)
    for part in options.parts or METHODS:
        jobs = [Job(part, method, seed, chosen) for method in METHODS[part] for seed in range(1 if method == POWER else seeds)]
        results = run_stored(jobs, run_job, options.store, workers=options.workers)
        console.print(terminal_table(table(part, chosen, results)))
        console.print(f"{sum(result['seconds'] for result in results.values()) / 3600:.2f} core hours")


if __name__ == "__main__":
    main()
