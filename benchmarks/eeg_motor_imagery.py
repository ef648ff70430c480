"""Motor imagery: an open recording of 40 trials, and simulated lateralised trials of several subjects with MVCNet's ablations.

    python benchmarks/eeg_motor_imagery.py --quick     2 seeds, fewer subjects and epochs: about 8 minutes on one core
    python benchmarks/eeg_motor_imagery.py --full      5 seeds, 100 epochs (50 on simulated trials): about an hour on one core

* `recording`: the sample of Debian's octave-biosig (`antiphon data fetch biosig-motor-imagery`): one subject, 20 trials left and 20
  right, three electrodes over the motor cortex (taken for C3, Cz and C4 by what they show), 8 to 32 Hz at 128 Hz, half a second to
  four seconds after the cue. CO trains on the first 16 trials of each class and tests on 8; CV is five blocks in time.
* `simulated`: trials whose mu rhythm weakens opposite to the imagined hand (`simulate_motor_imagery`), nine electrodes. CO within
  each subject, and LOSO across them.

Networks see Euclidean-aligned trials (train and test apart) and are read after the last epoch. The log band power, of trials that
were not aligned, goes to a linear discriminant with shrinkage. "Random" and "SimCLR" are logistic regressions on frozen embeddings
of IFNet, with initial weights or pretrained on the training trials without labels.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from sklearn.base import BaseEstimator, ClassifierMixin

from antiphon.common.evaluation.intervals import mean_interval, paired_difference, wilson_interval
from antiphon.common.evaluation.probes import linear_probe
from antiphon.common.report import Difference, Table, terminal_table
from antiphon.domains.eeg.data import EpochSet, load
from antiphon.domains.eeg.data.simulation.motor_imagery import simulate_motor_imagery
from antiphon.domains.eeg.mvcnet import MVCNetClassifier, cross_validate, protocol_folds, subject_accuracy

RATE = 128.0
BANDS_HZ = ((8, 12), (12, 16), (16, 24), (24, 30))
ELECTRODES = ("FC3", "FC4", "C5", "C3", "Cz", "C4", "C6", "CP3", "CP4")
Method = Callable[[int], Any]


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


def networks(names: tuple[str, ...], epochs: int, *, ablations: bool) -> dict[str, Method]:
    """MVCNet, IFNet alone and what lies between, by name; each takes a seed."""
    plain: dict[str, Any] = {"names": names, "sample_rate": RATE, "epochs": epochs, "pool": 64}

    def make(**options: Any) -> Method:
        return lambda seed: MVCNetClassifier(**{**plain, **options, "seed": seed})

    alone = {"views": (), "cross_view_weight": 0.0, "cross_model_weight": 0.0}
    found = {"IFNet": make(**alone), "MVCNet": make()}
    if ablations:
        found |= {
            "IFNet on the views": make(cross_view_weight=0.0, cross_model_weight=0.0),
            "without L_CMC": make(cross_model_weight=0.0),
            "without L_CVC": make(cross_view_weight=0.0),
            "without the label flip": make(mirrored_classes=None),
            "fusion": make(fusion=True),
        }
    return found


def accuracies(method: Method, data: EpochSet, protocol: Any, seeds: int, *, align: bool) -> list[float]:
    """Mean over subjects, for each seed."""
    assert data.labels is not None
    words, subjects = np.asarray(data.classes)[data.labels], data.columns["subject"]
    found = []
    for seed in range(seeds):
        folds = protocol_folds(protocol, words, subjects)
        scores = cross_validate(method(seed), data.signals, words, folds, subjects=subjects, align=align)
        found.append(float(np.mean(list(subject_accuracy(scores).values()))))
    return found


def recording(*, seeds: int, epochs: int) -> Table:
    """The open recording."""
    steps = {"band_hz": [8.0, 32.0], "sample_rate": RATE}
    channels = ("Channel 1", "Channel 2", "Channel 3")
    data, _ = load(
        "biosig-motor-imagery",
        channels=channels,
        preparation=steps,
        events={"769": "left", "770": "right"},
        start_s=0.5,
        window_s=3.5,
        test_share=0.0,
        in_memory=True,
    )
    assert isinstance(data, EpochSet)
    methods: dict[str, tuple[Method, int, bool]] = {"log band power + LDA": (lambda _: LogBandPower(), 1, False)}
    methods["EEGNet"] = (lambda seed: EEGNet(seed, epochs), seeds, True)
    methods |= {name: (make, seeds, True) for name, make in networks(("C3", "Cz", "C4"), epochs, ablations=False).items()}
    methods["random IFNet, probe"] = (lambda seed: FrozenIFNet(seed), seeds, True)
    methods["SimCLR on IFNet, probe"] = (lambda seed: FrozenIFNet(seed, 2 * epochs), seeds, True)
    rows: list[list[Any]] = []
    for name, (make, runs, align) in methods.items():
        start = time.monotonic()
        co, cv = (accuracies(make, data, protocol, runs, align=align) for protocol in ("co", "cv"))
        total = len(data)
        interval = wilson_interval(round(float(np.mean(cv)) * total), total)
        shown = [mean_interval(values) if runs > 1 else f"{values[0]:.3f}" for values in (co, cv)]
        rows.append([name, *shown, f"[{interval.low:.2f}, {interval.high:.2f}]", runs, f"{time.monotonic() - start:.0f} s"])
    columns = ["", "CO: 8 trials", "CV: 40 trials", "CV, 95 % of 40 trials", "seeds", "time"]
    return Table(f"One subject, 40 trials, {epochs} epochs", columns, rows, "Mean ± deviation over seeds; chance is 0.5.")


def simulated(*, subjects: int, trials: int, seeds: int, epochs: int, depth: float = 0.3) -> Table:
    """Simulated imagery with the ablations."""
    data = simulate_motor_imagery(
        subjects, trials, duration_s=2.0, sample_rate=RATE, names=ELECTRODES, desynchronisation=depth, seed=0
    )
    rows: list[list[Any]] = []
    found: dict[str, dict[str, list[float]]] = {}
    for name, make in networks(ELECTRODES, epochs, ablations=True).items():
        found[name] = {protocol: accuracies(make, data, protocol, seeds, align=True) for protocol in ("co", "loso")}
    for name, values in found.items():
        row: list[Any] = [name]
        for protocol in ("co", "loso"):
            difference = paired_difference(values[protocol], found["MVCNet"][protocol])
            row += [mean_interval(values[protocol]), Difference(difference) if name != "MVCNet" and seeds > 1 else ""]
        rows.append(row)
    power = [accuracies(lambda _: LogBandPower(), data, protocol, 1, align=False)[0] for protocol in ("co", "loso")]
    rows.append(["log band power + LDA", f"{power[0]:.3f}", "", f"{power[1]:.3f}", ""])
    title = f"Simulated: {subjects} subjects, {trials} trials each, desynchronisation {depth:g}, {epochs} epochs, {seeds} seeds"
    columns = ["", "CO", "CO - MVCNet", "LOSO", "LOSO - MVCNet"]
    return Table(title, columns, rows, "Mean over subjects; ± is over seeds; chance is 0.5.")


def main(*, quick: bool, parts: list[str]) -> None:
    """Print the tables."""
    console = Console(width=140)
    if "recording" in parts:
        console.print(terminal_table(recording(seeds=2 if quick else 5, epochs=30 if quick else 100)))
    if "simulated" in parts:
        few, many = {"subjects": 2, "trials": 40}, {"subjects": 4, "trials": 40}
        console.print(terminal_table(simulated(**(few if quick else many), seeds=2 if quick else 5, epochs=20 if quick else 50)))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", help="recording, simulated; both by default")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--full", action="store_true")
    options = parser.parse_args()
    main(quick=not options.full, parts=options.parts or ["recording", "simulated"])
