"""Settings of `frames` and of the speaker recipes, tried on voices that keywords.py and speaker.py never test.

    python benchmarks/settings.py keywords    # 3 seeds
    python benchmarks/settings.py speakers    # 2 seeds

Keywords: the letters of five klettres voices and the digits of five tuxpaint voices, all of Germanic languages, where one letter or
digit sounds alike; the words of one voice are looked up among those of another, by DTW. Learnt from all voices that are neither
these nor tested. Speakers: all pairs of 12 recordings of each ktuberling voice, learnt from tuxpaint and asterisk-en.

One setting is changed at a time, from those that the benchmarks used; the best mean over seeds is what to take. The speakers' last
rows change one more each, from what was best so far. Finished runs are kept in --store.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import keywords
import numpy as np
import speaker
from rich.console import Console
from stored_runs import run_stored

from antiphon.common.evaluation.intervals import mean_interval
from antiphon.common.report import Table, terminal_table

NEA = (speaker.CLEAN, speaker.APART, *speaker.ECAPA)
VARIANTS: dict[str, dict[str, Sequence[str]]] = {
    "keywords": {
        "untrained": (),
        "as in keywords.py": (),
        "100 steps": ("training.steps=100",),
        "400 steps": ("training.steps=400",),
        "800 steps": ("training.steps=800",),
        "no residual block": ("encoder.dilations=[]",),
        "dilations 1, 2": ("encoder.dilations=[1,2]",),
        "dilations 1, 2, 4": ("encoder.dilations=[1,2,4]",),
        "width 384": ("encoder.width=384",),
        "tempo as it is": ("views.tempo=[1,1]",),
        "pitch as it is": ("views.pitch=[1,1]",),
        "no noise, no equalizer": ("views.steps=[]",),
        "temperature 0.05": ("objective.temperature=0.05",),
        "temperature 0.2": ("objective.temperature=0.2",),
    },
    "speakers": {
        "untrained": (),
        "as in speaker.py": (),
        "bands scaled": ("encoder.scaling=bands",),
        "crops of 0.9 s": ("views.crop_s=[0.9,0.9]",),
        "recordings from 0.6 s on": (),
        "a room, noise, both or neither": ("views.augmentation.strategy=all",),
        "no rooms and no noise (N)": (speaker.CLEAN,),
        "N, crops apart": (speaker.CLEAN, speaker.APART),
        "N, ECAPA-TDNN of 128 channels": (speaker.CLEAN, *speaker.ECAPA),
        "N, ECAPA-TDNN, crops apart (NEA)": NEA,
        "NEA, temperature 0.1": (*NEA, "objective.temperature=0.1"),
        "NEA, BYOL": NEA,
        "NEA, VICReg": NEA,
        "NEA, VICReg, 750 steps": (*NEA, speaker.LONGER),
    },
}
RECIPES = {"NEA, BYOL": "byol", "NEA, VICReg": "vicreg", "NEA, VICReg, 750 steps": "vicreg"}  # others: SimCLR with a margin of 0.1
SEEDS = {"keywords": 3, "speakers": 2}


class Job(NamedTuple):
    """One run: `variant` of a `study` from `seed`."""

    study: str
    variant: str
    seed: int


def run_job(job: Job) -> dict[str, Any]:
    """Scores by task, and seconds of one core."""
    start = time.process_time()
    scores = {"keywords": keyword_scores, "speakers": speaker_scores}[job.study](job.variant, job.seed)
    return {**job._asdict(), "scores": scores, "seconds": time.process_time() - start}


def keyword_scores(variant: str, seed: int) -> dict[str, float]:
    """1-NN accuracy across speakers."""
    from antiphon.domains.keyword_spotting.evaluation import word_distances

    if variant == "untrained":
        encoder = keywords.untrained("aligned_frames", seed)
    else:
        without = [voice for voices in keywords.DEVELOPMENT.values() for voice in voices]
        overrides = VARIANTS["keywords"][variant]
        encoder = keywords.pretrained("frames", seed, overrides, keywords.STEPS["full"]["frames"], without)
    found = {}
    for task in keywords.DEVELOPMENT:
        distances = word_distances(encoder, keywords.task_set(task), compare="dtw")
        found[task.removeprefix("development ")] = keywords.scores(distances, task)["1-NN"]
    return found


@cache
def voices() -> tuple[Any, Any]:
    """Recordings to learn from, and ktuberling's."""
    from antiphon.common.data.open_data import fetch
    from antiphon.domains.speaker_verification.data import load

    learnt = [name for name in speaker.TRAIN if name != "ktuberling"]
    for name in (*learnt, "ktuberling"):
        fetch(name)
    train, test = load(learnt, "ktuberling", **speaker.READING)
    return train, test


def speaker_scores(variant: str, seed: int) -> dict[str, float]:
    """EER over all pairs, in per cent: of cosines as they are, and of embeddings that were centred and scaled first."""
    from antiphon.common.evaluation.embedding import embed_recordings
    from antiphon.common.evaluation.verification import AllPairs, scoring_vectors, summarize
    from antiphon.common.random import seeded_scope
    from antiphon.models import create_encoder

    train, test = voices()
    if variant == "untrained":
        with seeded_scope(seed, "initial weights"):
            encoder = create_encoder("fast_resnet34", sample_rate=speaker.RATE, scaling="whole").eval()
    else:
        data = speaker.long_enough(train, 0.6 if variant == "recordings from 0.6 s on" else speaker.LEARNT_S)
        recipe, overrides = RECIPES.get(variant, "simclr_am"), VARIANTS["speakers"][variant]
        encoder = speaker.pretrained(recipe, overrides, data, steps=speaker.STEPS["full"], seed=seed)
    names = [test.manifest[row].speaker for row in test.rows.tolist()]
    rows = speaker.some_of_each(names, seed)
    embeddings, speakers = embed_recordings(encoder, test.subset(rows)), np.asarray(names)[rows]
    return {
        name: 100 * summarize(AllPairs(scoring_vectors(vectors), speakers).scores()).eer
        for name, vectors in (("EER %", embeddings), ("z-scored EER %", speaker.scaled(embeddings)))
    }


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", choices=tuple(VARIANTS))
    parser.add_argument("--seeds", type=int, help="how many (default 3 or 2)")
    parser.add_argument("--store", type=Path, default=Path("benchmarks/runs-settings.jsonl"), help="where finished runs are kept")
    parser.add_argument("--workers", type=int, default=2, help="runs side by side")
    options = parser.parse_args()
    study = options.study
    jobs = [Job(study, variant, seed) for variant in VARIANTS[study] for seed in range(options.seeds or SEEDS[study])]
    results = run_stored(jobs, run_job, options.store, workers=options.workers)
    rows: list[list[Any]] = []
    for variant in VARIANTS[study]:
        scores = [result["scores"] for job, result in results.items() if job.variant == variant]
        rows.append([variant, *(mean_interval([one[name] for one in scores]) for name in scores[0])])
    columns = ["", *next(iter(results.values()))["scores"]]
    console = Console(width=160)
    console.print(terminal_table(Table(f"settings of {study}, tried on voices that are not tested", columns, rows)))
    console.print(f"{sum(result['seconds'] for result in results.values()) / 3600:.2f} core hours")


if __name__ == "__main__":
    main()
