"""How well `antiphon spot` finds a word in a long recording from one example of it.

    python benchmarks/spotting.py --quick     4 words, one encoder: about 3 minutes on one core
    python benchmarks/spotting.py --full      12 words, so an hour of recordings for each row, 3 encoders

Needs `antiphon data fetch kajongg klettres ktuberling`. The encoder is `keyword_spotting/frames` (short runs), pretrained on
klettres and ktuberling. A recording is 240 of kajongg's German words by four speakers, 0.1 to 0.7 s apart, each at a level of its
own (-10 to 3 dB), below noise; the word that is looked for is said five times. Either the example's own speaker says it, with the
very recording that the example is, or the other three do. The threshold is what `spot` takes from the recording; the last column
is what false alarms would be at the threshold that misses half of the words.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from antiphon.common.evaluation.intervals import mean_interval
from antiphon.common.report import Table, terminal_table

RATE = 16_000
WORDS = ("mahjongg", "s5", "kong", "ww", "b3", "c7", "pung", "originalcall", "dg", "s9", "b8", "chow")
ASKED, OTHERS = "kajongg-female1", ("kajongg-female2", "kajongg-male1", "kajongg-male2", "kajongg-female2", "kajongg-male1")
SNR_DB = (70.0, 20.0)
SAID = 240  # words in a recording
STEPS = 200


class Recording(NamedTuple):
    """Waves (T,), and where the word is said: begins and ends in seconds (m,)."""

    waves: NDArray[np.float32]
    starts_s: NDArray[np.float64]
    ends_s: NDArray[np.float64]


def load_words() -> dict[tuple[str, str], NDArray[np.float32]]:
    """(word, speaker) -> its trimmed waves."""
    from antiphon.common.data.open_data import open_manifest
    from antiphon.common.data.quarantine import check
    from antiphon.common.data.trimming import trim_silence
    from antiphon.common.signal.io import read_audio

    manifest = open_manifest("kajongg").filter(language="de")
    trimmed, _ = trim_silence(check(manifest)[0], below_db=40.0)
    found = {}
    for row in trimmed:
        duration_s = None if row.end_s is None else row.end_s - row.start_s
        waves, _ = read_audio(row.path, start_s=row.start_s, duration_s=duration_s, sample_rate=RATE, mono=True)
        found[row.extra["word"], row.speaker or ""] = waves[0].numpy()
    return found


def make_recording(
    words: dict[tuple[str, str], NDArray[np.float32]], word: str, speakers: tuple[str, ...], *, snr_db: float, seed: int
) -> Recording:
    """A recording in which `speakers` say `word`, one after the other among other words of all."""
    random = np.random.default_rng(seed)
    rest = sorted(key for key in words if key[0] != word)
    said = [rest[place] for place in random.choice(len(rest), SAID)]
    for place, speaker in zip(np.sort(random.choice(SAID, len(speakers), replace=False)).tolist(), speakers, strict=True):
        said[place] = (word, speaker)
    parts, starts, ends, time = [], [], [], 0
    for key in said:
        gap = round(random.uniform(0.1, 0.7) * RATE)
        waves = words[key] * 10 ** (random.uniform(-10, 3) / 20)
        parts += [np.zeros(gap), waves]
        time += gap
        if key[0] == word:
            starts.append(time / RATE)
            ends.append((time + len(waves)) / RATE)
        time += len(waves)
    speech = np.concatenate(parts)
    noise = np.convolve(random.normal(size=len(speech)), [1, 0.9, 0.6, 0.3], "same")
    noisy = speech + noise / noise.std() * np.sqrt((speech**2).mean()) * 10 ** (-snr_db / 20)
    return Recording((0.9 * noisy / np.abs(noisy).max()).astype(np.float32), np.asarray(starts), np.asarray(ends))


def pretrained(seed: int) -> Any:
    """The encoder, pretrained on other voices."""
    from antiphon.domains.keyword_spotting import load
    from antiphon.run.pretrain import pretrain_set

    train, _ = load(["klettres", "ktuberling"], duration_s=1.6, trim_db=30.0, test_share=0, cache=True)
    with tempfile.TemporaryDirectory() as scratch:
        overrides = [f"training.steps={STEPS}"]
        return pretrain_set("keyword_spotting/frames", train, overrides, seed=seed, folder=scratch).eval()


def measure(
    encoder: Any, words: dict[Any, Any], chosen: tuple[str, ...], speakers: tuple[str, ...], snr_db: float
) -> dict[str, float]:
    """Shares and rates over one recording for each of the `chosen` words."""
    import soundfile

    from antiphon.common.evaluation.detection import false_alarms_per_hour, match_detections
    from antiphon.domains.keyword_spotting.query import spot

    margins, hits, duration_s, said, found, wrong = [], [], 0.0, 0, 0, 0
    with tempfile.TemporaryDirectory() as folder:
        example, place = Path(folder) / "example.wav", Path(folder) / "recording.wav"
        for number, word in enumerate(chosen):
            recording = make_recording(words, word, speakers, snr_db=snr_db, seed=number)
            soundfile.write(example, words[word, ASKED], RATE)
            soundfile.write(place, recording.waves, RATE)
            threshold = spot(encoder, [example], place).threshold
            peaks = spot(encoder, [example], place, threshold=-1.0)
            scores = np.asarray([one.score for one in peaks.detections])
            matching = match_detections(
                [one.start_s for one in peaks.detections],
                [one.end_s for one in peaks.detections],
                scores,
                recording.starts_s,
                recording.ends_s,
            )
            margins.append(scores - threshold)
            hits.append(matching.hits)
            duration_s += peaks.duration_s
            said += len(recording.starts_s)
            found += int((matching.hits & (scores >= threshold)).sum())
            wrong += int((~matching.hits & (scores >= threshold)).sum())
    rate = false_alarms_per_hour(
        np.concatenate(margins), np.concatenate(hits), occurrences=said, duration_s=duration_s, miss_rate=0.5
    )
    return {
        "found": found / said,
        "false alarms an hour": wrong / (duration_s / 3600),
        "false alarms an hour, half missed": rate.per_hour,
    }


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quick", action="store_true")
    size.add_argument("--full", action="store_true")
    options = parser.parse_args()
    words, chosen = load_words(), WORDS if options.full else WORDS[:4]
    found: dict[tuple[str, float], dict[str, list[float]]] = {}
    for seed in range(3 if options.full else 1):
        encoder = pretrained(seed)
        for who, speakers in (("the example's speaker", (ASKED,) * 5), ("three others", OTHERS)):
            for snr_db in SNR_DB:
                for metric, value in measure(encoder, words, chosen, speakers, snr_db).items():
                    found.setdefault((who, snr_db), {}).setdefault(metric, []).append(value)
        print(f"encoder {seed} done", file=sys.stderr)
    metrics = list(next(iter(found.values())))
    rows: list[list[Any]] = [
        [f"{who}, {snr_db:g} dB", *(mean_interval(values[metric]) for metric in metrics)] for (who, snr_db), values in found.items()
    ]
    title = f"{len(chosen)} words, each said 5 times in its recording of {SAID} words"
    Console(width=140).print(terminal_table(Table(title, ["said by", *metrics], rows)))


if __name__ == "__main__":
    main()
