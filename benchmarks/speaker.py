"""Speaker verification learnt without labels from open voices, beside what was never trained on them and what is stronger.

    python benchmarks/speaker.py --quick         one seed, the main rows, few steps: under 10 minutes on 2 cores
    python benchmarks/speaker.py --full          3 seeds, every row: hours are printed at its end
    python benchmarks/speaker.py --throughput    utterances a second of simclr_am, and where a step's time goes

Encoders learn from ktuberling, tuxpaint and asterisk-en (49 voices) and are tried on klettres (20 identities) and kajongg (4):
other packages, so no voice is in both. Everything is read at 8 kHz, which evens out bandwidths; silence at the ends is cut off.

Trials: every pair of 20 x 12 klettres recordings, drawn by the seed; every pair of kajongg's German calls, and of its default ones:
these are trials within one language. On klettres every identity has a language and a room of its own. So an oracle that knows just
the language makes no error there, and 50 % within kajongg's languages; "pauses" shows what the room alone gives away: the mean
spectrum of the quietest tenth of the frames of a recording, before trimming.

Most recordings last a second. So crops are of 0.6 s, of recordings of at least 1 s, and the log-mel map is scaled as a whole: band
by band, as published for utterances of several seconds, is a row of its own.

Rows that nobody trained: MFCC (mean and deviation over time), random Fast ResNet-34 and ECAPA-TDNN. Stronger: Resemblyzer (pip
install --no-deps Resemblyzer; pip install webrtcvad-wheels), trained on thousands of speakers. Scores are cosines of embeddings as
they are; "z-scored": after each dimension was centred and scaled over the trials' recordings, without which MFCC and pauses are not
compared at all. "chosen" is what benchmarks/settings.py found best on other voices; SimCLR and AAM with the same network, crops and
number of steps are its controls. Finished runs are kept in --store: delete it where code has changed.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

os.environ.setdefault("OMP_NUM_THREADS", "1")  # two runs side by side finish sooner than one on two threads

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from stored_runs import read_stored, run_stored

from antiphon.common.evaluation.intervals import mean_interval, paired_difference
from antiphon.common.report import Difference, Table, terminal_table

RATE, CROP_S, BATCH = 8000, 0.6, 64
TRAIN, TEST = ("ktuberling", "tuxpaint", "asterisk-en"), ("klettres", "kajongg")
LEARNT_S = 1.0  # training recordings are at least so long, or two crops of one would be the same sounds
CLIPS = 12  # of each klettres identity
READING: dict[str, Any] = {"sample_rate": RATE, "duration_s": 4.0, "trim_db": 40.0, "shortest_s": 0.4, "cache": True}
STEPS = {"full": 250, "quick": 100}
TRIALS = ("klettres", "kajongg de", "kajongg default")

Recipe = tuple[str, tuple[str, ...]]
NT_XENT = "objective.margin="
# Chosen on other voices by benchmarks/settings.py.
CHOSEN = "chosen"
CLEAN, APART, ECAPA = "views.augmentation.strategy=none", "views.overlap=false", ("encoder=ecapa_tdnn", "encoder.channels=128")
LONGER = "training.steps=750"
FASTER_TWIN = ("twin.decay=0.98", "twin.final_decay=0.98")  # 250 steps of 0.999 would leave it as it was drawn
METHODS: dict[str, Recipe] = {
    "SimCLR": ("simclr_am", (f"{NT_XENT}0.0",)),
    "SimCLR, AM 0.05": ("simclr_am", (f"{NT_XENT}0.05",)),
    "SimCLR, AM 0.1": ("simclr_am", (f"{NT_XENT}0.1",)),
    "SimCLR, AM 0.2": ("simclr_am", (f"{NT_XENT}0.2",)),
    "AM 0.1, one side": ("simclr_am", (f"{NT_XENT}0.1", "+objective.symmetric=false")),
    "AM 0.1, no augmentation": ("simclr_am", (f"{NT_XENT}0.1", CLEAN)),
    "AM 0.1, bands scaled": ("simclr_am", (f"{NT_XENT}0.1", "encoder.scaling=bands")),
    "MoCo, AM 0.1": ("moco_am", ("objective.queue_size=4096", *FASTER_TWIN)),
    "DINO": ("dino", ("views.crop_s=[0.6,0.6,0.4,0.4]", "head.out_dim=1024", "twin.decay=0.98")),
    "supervised AAM": ("supervised_aam", ()),
    CHOSEN: ("vicreg", (CLEAN, APART, *ECAPA, LONGER)),
    f"SimCLR, AM 0.1, {CHOSEN}": ("simclr_am", (CLEAN, APART, *ECAPA, LONGER)),
    f"supervised AAM, {CHOSEN}": ("supervised_aam", (CLEAN, *ECAPA, LONGER)),
}
QUICK = ("SimCLR", "SimCLR, AM 0.1", "supervised AAM")
UNTRAINED = "untrained"


class Job(NamedTuple):
    """One run: `method` from `seed`, with the steps of `size`."""

    method: str
    seed: int
    size: str


# ---- data

DATA: dict[str, Any] = {}  # read once, before the workers are forked


def load_voices() -> None:
    """Training and test recordings, decoded; and the test recordings before trimming."""
    from antiphon.common.data.open_data import fetch
    from antiphon.domains.speaker_verification.data import load

    for name in (*TRAIN, *TEST):
        fetch(name)
    train, test = load(list(TRAIN), list(TEST), **READING)
    train = long_enough(train, LEARNT_S)
    DATA["train"], DATA["test"] = train, test
    kept = {row.path for row in test.manifest} if test else set()
    _, whole = load("asterisk-en", list(TEST), sample_rate=RATE, duration_s=4.0, cache=True)
    assert whole is not None
    places = {row.path: place for place, row in enumerate(whole.manifest)}
    order = [places[row.path] for row in test.manifest] if test else []
    DATA["untrimmed"] = whole.subset(order)
    print(f"{len(train)} training and {len(kept)} test recordings", file=sys.stderr)


def long_enough(data: Any, seconds: float) -> Any:
    """The recordings that last so long."""
    return data.subset([n for n, row in enumerate(data.rows.tolist()) if data.recording(row).shape[1] >= seconds * RATE])


def trial_rows(kind: str, seed: int) -> NDArray[np.int64]:
    """The test recordings of a set of trials."""
    rows = [DATA["test"].manifest[row] for row in DATA["test"].rows.tolist()]
    if kind != "klettres":
        language = kind.split()[1]
        found = [n for n, row in enumerate(rows) if row.speaker.startswith("kajongg") and row.extra["language"] == language]
        return np.asarray(found)
    return some_of_each(["" if not row.speaker.startswith("klettres") else row.speaker for row in rows], seed)


def some_of_each(speakers: Sequence[str], seed: int) -> NDArray[np.int64]:
    """The places of CLIPS recordings of each speaker who has as many, drawn by `seed`; "" is nobody."""
    random = np.random.default_rng(seed)
    mine = [np.flatnonzero(np.asarray(speakers) == voice) for voice in sorted({*speakers} - {""})]
    return np.concatenate([random.choice(places, CLIPS, replace=False) for places in mine if len(places) >= CLIPS])


# ---- embeddings

Embed = Callable[[NDArray[np.int64]], NDArray[np.float32]]


def _pauses(rows: NDArray[np.int64]) -> NDArray[np.float32]:
    """Mean log spectrum of the quietest tenth of each recording's frames, at least one."""
    import torch

    from antiphon.common.signal.spectral import LogMel, MelSpec

    log_mel = LogMel(MelSpec(sample_rate=RATE, bands=40, n_fft=256, hop=80, log="ln", floor=1e-10))
    found = []
    for row in rows.tolist():
        frames = log_mel(DATA["untrimmed"].recording(int(DATA["untrimmed"].rows[row]))[None])[0, 0]  # (40, T)
        quiet = torch.argsort(frames.mean(dim=0))[: max(1, frames.shape[1] // 10)]
        found.append(frames[:, quiet].mean(dim=1).numpy())
    return np.stack(found)


def _mfcc(rows: NDArray[np.int64]) -> NDArray[np.float32]:
    import torch

    from antiphon.common.signal.spectral import MelSpec, mfcc

    spec = MelSpec(sample_rate=RATE, bands=40, n_fft=256, hop=80)
    found = []
    for waves in _waves(rows):
        frames = mfcc(torch.from_numpy(waves)[None, None], spec)[0, 0]
        found.append(torch.cat((frames.mean(dim=1), frames.std(dim=1))).numpy())
    return np.stack(found)


def _resemblyzer(rows: NDArray[np.int64]) -> NDArray[np.float32]:
    from contextlib import redirect_stdout

    import torch
    from resemblyzer import VoiceEncoder

    from antiphon.common.signal.resample import resample

    with redirect_stdout(sys.stderr):
        encoder = VoiceEncoder("cpu")
    waves = (resample(torch.from_numpy(wave)[None, None], RATE, 16_000)[0, 0].numpy() for wave in _waves(rows))
    return np.stack([encoder.embed_utterance(wave) for wave in waves])


def _waves(rows: NDArray[np.int64]) -> list[NDArray[np.float32]]:
    return [DATA["test"].recording(int(DATA["test"].rows[row]))[0].numpy() for row in rows.tolist()]


def _encoder(encoder: Any) -> Embed:
    from antiphon.common.evaluation.embedding import embed_recordings

    return lambda rows: embed_recordings(encoder, DATA["test"].subset(rows))


def scaled(embeddings: NDArray[np.float32]) -> NDArray[np.float32]:
    """Each dimension centred and scaled over the recordings."""
    return (embeddings - embeddings.mean(axis=0)) / embeddings.std(axis=0).clip(1e-6)


# ---- one run


def run_job(job: Job) -> dict[str, Any]:
    """Scores by row and metric, and seconds."""
    start = time.monotonic()
    found = {row: _scores(embed, job.seed) for row, embed in _embedders(job).items()}
    return {**job._asdict(), "rows": found, "seconds": time.monotonic() - start}


def _embedders(job: Job) -> dict[str, Embed]:
    if job.method != UNTRAINED:
        recipe, overrides = METHODS[job.method]
        return {job.method: _encoder(pretrained(recipe, overrides, DATA["train"], steps=STEPS[job.size], seed=job.seed))}
    from antiphon.common.random import seeded_scope
    from antiphon.models import create_encoder

    with seeded_scope(job.seed, "initial weights"):
        resnet = create_encoder("fast_resnet34", sample_rate=RATE, scaling="whole").eval()
        ecapa = create_encoder("ecapa_tdnn", sample_rate=RATE, scaling="whole", channels=128).eval()
    rows: dict[str, Embed] = {
        "pauses": lambda chosen: scaled(_pauses(chosen)),
        "MFCC": lambda chosen: scaled(_mfcc(chosen)),
        "random Fast ResNet-34": _encoder(resnet),
        "random ECAPA-TDNN": _encoder(ecapa),
    }
    return rows | ({"Resemblyzer": _resemblyzer} if find_spec("resemblyzer") else {})


def _scores(embed: Embed, seed: int) -> dict[str, float]:
    from antiphon.common.evaluation.verification import AllPairs, scoring_vectors, summarize

    found: dict[str, float] = {}
    for kind in TRIALS:
        rows = trial_rows(kind, seed)
        speakers = np.asarray([DATA["test"].manifest[int(DATA["test"].rows[row])].speaker for row in rows])
        embeddings = embed(rows)
        scores = AllPairs(scoring_vectors(embeddings), speakers).scores()
        result = summarize(scores)
        found |= {f"{kind} EER %": 100 * result.eer, f"{kind} minDCF": result.min_dcf}
        result = summarize(AllPairs(scoring_vectors(scaled(embeddings)), speakers).scores())
        found[f"{kind} z-scored EER %"] = 100 * result.eer
        if kind == "klettres":
            found["cosine gap"] = float(scores.targets.mean() - scores.nontargets.mean())
    return found


def pretrained(recipe: str, overrides: Sequence[str], data: Any, *, steps: int, seed: int) -> Any:
    """The encoder of a recipe with the settings of this benchmark, then `overrides`."""
    from antiphon.run.pretrain import pretrain_set

    crops = [2 * CROP_S] if recipe == "supervised_aam" else [CROP_S, CROP_S]
    settings = [
        f"encoder.sample_rate={RATE}",
        "encoder.scaling=whole",
        f"views.crop_s={crops}",
        f"training.batch_size={BATCH}",
        "training.epochs=null",
        f"training.steps={steps}",
        "training.trainer.precision=bf16-mixed",
    ]
    with tempfile.TemporaryDirectory() as scratch:
        name = f"speaker_verification/{recipe}"
        return pretrain_set(name, data, [*settings, *overrides], seed=seed, folder=scratch).eval()


# ---- all runs


CLAIMS = (
    ("margin", "SimCLR, AM 0.05", "SimCLR"),
    ("margin", "SimCLR, AM 0.1", "SimCLR"),
    ("margin", "SimCLR, AM 0.2", "SimCLR"),
    ("both sides", "SimCLR, AM 0.1", "AM 0.1, one side"),
    ("augmentation", "SimCLR, AM 0.1", "AM 0.1, no augmentation"),
    ("scaling", "SimCLR, AM 0.1", "AM 0.1, bands scaled"),
    ("learning", "SimCLR, AM 0.1", "random Fast ResNet-34"),
    ("learning", CHOSEN, "random ECAPA-TDNN"),
    ("learning", CHOSEN, "MFCC"),
    ("labels", CHOSEN, f"supervised AAM, {CHOSEN}"),
    ("the aim", CHOSEN, "Resemblyzer"),
)
METRICS = ("EER %", "z-scored EER %")


def tables(results: dict[Job, dict[str, Any]]) -> list[Table]:
    """All rows, then the claims as differences within a seed."""
    found: dict[str, dict[str, list[float]]] = {}
    for job in sorted(results, key=lambda job: job.seed):
        for row, metrics in results[job]["rows"].items():
            for metric, value in metrics.items():
                found.setdefault(row, {}).setdefault(metric, []).append(value)
    metrics = list(dict.fromkeys(metric for values in found.values() for metric in values))

    def difference(one: str, other: str, metric: str) -> Difference | str:
        if metric not in found[one] or metric not in found[other]:
            return "-"
        return Difference(paired_difference(found[one][metric], found[other][metric]), lower_is_better=True)

    rows: list[list[Any]] = [
        [row, *(mean_interval(values[metric]) if metric in values else "-" for metric in metrics)] for row, values in found.items()
    ]
    columns = [f"{kind} {metric}" for metric in METRICS for kind in TRIALS]
    claims: list[list[Any]] = [
        [what, f"{one} minus {other}", *(difference(one, other, column) for column in columns)]
        for what, one, other in CLAIMS
        if one in found and other in found
    ]
    return [Table("trials", ["", *metrics], rows), Table("differences in points", ["claim", "rows", *columns], claims)]


# ---- throughput


def throughput(steps: int = 30) -> Table:
    """Utterances a second of simclr_am (Fast ResNet-34, 2-s crops at 16 kHz), and the share of a step in data and views."""
    import torch

    from antiphon.common.data.loader import KeyedLoader
    from antiphon.domains.speaker_verification.data import load
    from antiphon.run.build import build_learner
    from antiphon.run.config import compose

    train, _ = load("kajongg", test_share=0, duration_s=4.0, cache=True)
    config = compose(
        "speaker_verification/simclr_am", [f"training.batch_size={BATCH}", f"training.steps={steps}", "training.epochs=null"]
    )
    learner, _ = build_learner(config, train, seed=0)
    optimizer = torch.optim.Adam(learner.parameters())
    times: dict[str, list[float]] = {"data": [], "views": [], "rest": []}
    for batch in KeyedLoader(train, batch_size=BATCH, steps=steps):
        marks = [time.perf_counter()]
        train.batch(batch.index.numpy())  # once more, where the clock can see it
        marks.append(time.perf_counter())
        with torch.no_grad():
            views = learner.make_views(batch)
        marks.append(time.perf_counter())
        optimizer.zero_grad()
        learner.objective(learner.outputs(batch, views)).backward()
        optimizer.step()
        marks.append(time.perf_counter())
        for name, seconds in zip(times, np.diff(marks).tolist(), strict=True):
            times[name].append(seconds)
    middle = {name: float(np.median(values[3:])) for name, values in times.items()}
    whole = sum(middle.values())
    cells = [[f"{BATCH / whole:.0f}", *(f"{100 * part / whole:.1f} %" for part in middle.values())]]
    title = f"simclr_am, batch {BATCH}, {torch.get_num_threads()} thread(s)"
    return Table(title, ["utterances a second", "data", "augmentation", "network and update"], cells)


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quick", action="store_true")
    size.add_argument("--full", action="store_true")
    size.add_argument("--throughput", action="store_true")
    parser.add_argument("--methods", nargs="+", choices=tuple(METHODS), help="only these")
    parser.add_argument("--seeds", type=int, help="how many (default 1 or 3)")
    parser.add_argument("--store", type=Path, default=Path("benchmarks/runs-speaker.jsonl"), help="where finished runs are kept")
    parser.add_argument("--workers", type=int, default=2, help="runs side by side")
    options = parser.parse_args()
    console = Console(width=200)
    if options.throughput:
        console.print(terminal_table(throughput()))
        return
    seeds, chosen = options.seeds or (3 if options.full else 1), "full" if options.full else "quick"
    methods = options.methods or (tuple(METHODS) if options.full else QUICK)
    jobs = [Job(method, seed, chosen) for seed in range(seeds) for method in (UNTRAINED, *methods)]
    if read_stored(jobs, options.store)[1]:
        load_voices()
    results = run_stored(jobs, run_job, options.store, workers=options.workers, start_method="fork")  # recordings in memory once
    for table in tables(results):
        console.print(terminal_table(table))
    console.print(f"{sum(result['seconds'] for result in results.values()) / 3600:.2f} core hours")


if __name__ == "__main__":
    main()
