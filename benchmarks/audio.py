"""Augmentations of audio beside audiomentations, torch-audiomentations and torchaudio: clips a second on one core.

    python benchmarks/audio.py --quick        about 5 minutes, once the peers are installed
    python benchmarks/audio.py --full         about 20 minutes

A batch is 32 clips of 59,049 samples at 22,050 Hz (CLMR's window), harmonic tones with vibrato over noise. Every library draws
its own parameters from the same ranges, new ones for each clip, and all share one bank of 32 impulse responses of 0.2 to 0.8 s, or
one of 400 (published banks have thousands). As they ship, audiomentations keeps 128 of them in memory, torch-audiomentations none.

One thread each, and processor time, so that other work on the machine counts little. The libraries take turns, every turn is a
process of its own, a figure is the median over turns; within a turn it is the median over batches, for the chains (whose coins
decide how much there is to do) the mean.

The peers live in a virtual environment of their own (`--peers`, made on the first run, about 6 GB): their pins fight those here.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Callable
from pathlib import Path
from statistics import median
from types import SimpleNamespace
from typing import Any

RATE, SAMPLES, BATCH = 22_050, 59_049, 32
RESPONSES, MORE_RESPONSES = 32, 400
LIBRARIES = ("antiphon", "audiomentations", "torch-audiomentations", "torchaudio")
PACKAGES = ("audiomentations", "torch-audiomentations", "torch", "torchaudio", "soundfile")
CHAIN = {"polarity": 0.8, "noise": 0.01, "gain": 0.3, "filter": 0.8, "delay": 0.3, "pitch": 0.6, "reverb": 0.6}  # CLMR's, in order
LACKING = {
    "audiomentations": "delay; clip by clip, on the CPU only",
    "torch-audiomentations": "delay, continuous pitch (26 ratios within 7 semitones), time stretch; "
    "its impulse responses fail with torchaudio 2.9 and later, here they are read by soundfile",
    "torchaudio": "parameters of each clip's own, a chain; its pitch is shifted by whole semitones",
}
Run = Callable[[], Any]


def clips() -> Any:
    """The batch, (32, 59049) float32."""
    import numpy as np

    draw = np.random.default_rng(0)
    times = np.arange(SAMPLES) / RATE
    pitch = draw.uniform(110.0, 440.0, (BATCH, 1)) * (times + 0.002 * np.sin(2 * np.pi * 5.0 * times))
    tones = sum(np.sin(2 * np.pi * number * pitch) / number for number in range(1, 12))
    return (0.1 * tones + 0.01 * draw.normal(size=(BATCH, SAMPLES))).astype(np.float32)


def ours(bank_folders: list[str]) -> dict[str, Run]:
    import torch

    from antiphon.common import augment
    from antiphon.common.random import KeyedRandom
    from antiphon.common.signal.response_bank import ResponseBank

    waves, lengths = torch.from_numpy(clips())[:, None], torch.full((BATCH,), SAMPLES)
    bank, more = (ResponseBank.from_files(folder, sample_rate=RATE) for folder in bank_folders)
    steps: dict[str, Callable[[float], Any]] = {
        "polarity": lambda p: augment.PolarityInversion(p=p),
        "noise": lambda p: augment.AdditiveNoise((20.0, 40.0), p=p),
        "gain": lambda p: augment.Gain((-20.0, -1.0), p=p),
        "filter": lambda p: augment.HighOrLowPass((200.0, 1200.0), (2200.0, 4000.0), sample_rate=RATE, p=p),
        "delay": lambda p: augment.Delay((0.2, 0.25, 0.3, 0.35, 0.4, 0.45), sample_rate=RATE, p=p),
        "pitch": lambda p: augment.PitchShift((-700.0, 700.0), sample_rate=RATE, p=p),
        "reverb": lambda p: augment.ImpulseResponse(bank, p=p),
        "reverb of 400": lambda p: augment.ImpulseResponse(more, p=p),
        "time stretch": lambda p: augment.TimeStretch((0.8, 1.25), sample_rate=RATE, p=p),
        "reverb, synthetic": lambda p: augment.FreeverbReverb(sample_rate=RATE, p=p),
    }
    chain = augment.Compose([steps[name](p) for name, p in CHAIN.items()])
    synthetic = augment.Compose([steps["reverb, synthetic" if name == "reverb" else name](p) for name, p in CHAIN.items()])
    transforms = {name: make(1.0) for name, make in steps.items()} | {"chain": chain, "chain, synthetic reverb": synthetic}
    epochs = iter(range(10**9))

    def run(transform: Any) -> Run:
        return lambda: transform(waves, lengths, KeyedRandom.for_examples(0, next(epochs), torch.arange(BATCH)))

    return {name: run(transform) for name, transform in transforms.items()}


def of_audiomentations(bank_folders: list[str]) -> dict[str, Run]:
    import audiomentations as peer

    waves = clips()
    steps: dict[str, Callable[[float], Any]] = {
        "polarity": lambda p: peer.PolarityInversion(p=p),
        "noise": lambda p: peer.AddGaussianSNR(20.0, 40.0, p=p),
        "gain": lambda p: peer.Gain(-20.0, -1.0, p=p),
        "filter": lambda p: peer.OneOf([peer.HighPassFilter(200.0, 1200.0, p=1.0), peer.LowPassFilter(2200.0, 4000.0, p=1.0)], p=p),
        "pitch": lambda p: peer.PitchShift(-7.0, 7.0, p=p),
        "reverb": lambda p: peer.ApplyImpulseResponse(bank_folders[0], p=p),
        "reverb of 400": lambda p: peer.ApplyImpulseResponse(bank_folders[1], p=p),
        "time stretch": lambda p: peer.TimeStretch(0.8, 1.25, p=p),
    }
    chain = peer.Compose([steps[name](p) for name, p in CHAIN.items() if name in steps])
    transforms = {name: make(1.0) for name, make in steps.items()} | {"chain": chain}

    def run(transform: Any) -> Run:
        return lambda: [transform(wave, RATE) for wave in waves]

    return {name: run(transform) for name, transform in transforms.items()}


def of_torch_audiomentations(bank_folders: list[str]) -> dict[str, Run]:
    import soundfile
    import torch
    import torch_audiomentations as peer
    import torchaudio

    def load(path: str, frame_offset: int = 0, num_frames: int = -1) -> tuple[torch.Tensor, int]:
        samples, rate = soundfile.read(path, frames=num_frames, start=frame_offset, dtype="float32")
        return torch.from_numpy(samples)[None], rate

    torchaudio.load = load
    torchaudio.info = lambda path: SimpleNamespace(
        num_frames=soundfile.info(path).frames, sample_rate=soundfile.info(path).samplerate
    )
    waves = torch.from_numpy(clips())[:, None]
    each: dict[str, Any] = {"p_mode": "per_example", "sample_rate": RATE, "output_type": "tensor"}
    steps: dict[str, Callable[[float], Any]] = {
        "polarity": lambda p: peer.PolarityInversion(p=p, **each),
        "noise": lambda p: peer.AddColoredNoise(20.0, 40.0, 0.0, 0.0, p=p, **each),
        "gain": lambda p: peer.Gain(-20.0, -1.0, p=p, **each),
        # Its OneOf decides for the whole batch; either filter with half the probability costs the same.
        "filter": lambda p: torch.nn.Sequential(
            peer.HighPassFilter(200.0, 1200.0, p=p / 2, **each), peer.LowPassFilter(2200.0, 4000.0, p=p / 2, **each)
        ),
        "pitch": lambda p: peer.PitchShift(-7, 7, p=p, **each),
        "reverb": lambda p: peer.ApplyImpulseResponse(bank_folders[0], p=p, **each),
        "reverb of 400": lambda p: peer.ApplyImpulseResponse(bank_folders[1], p=p, **each),
    }
    chain = torch.nn.Sequential(*[steps[name](p) for name, p in CHAIN.items() if name in steps])
    transforms = {name: make(1.0) for name, make in steps.items()} | {"chain": chain}

    def run(transform: Any) -> Run:
        return lambda: transform(waves)

    return {name: run(transform) for name, transform in transforms.items()}


def of_torchaudio(bank_folders: list[str]) -> dict[str, Run]:
    import soundfile
    import torch
    from torchaudio import functional

    waves = torch.from_numpy(clips())
    held = [torch.from_numpy(soundfile.read(file, dtype="float32")[0]) for file in sorted(Path(bank_folders[0]).iterdir())]
    bank = torch.nn.utils.rnn.pad_sequence(held, batch_first=True)
    draw = torch.Generator().manual_seed(0)

    def pitch() -> None:  # one number of semitones for all that it is given: clip by clip, two of them, it is that slow
        for wave in waves[:2]:
            functional.pitch_shift(wave, RATE, int(torch.randint(-7, 8, (), generator=draw)))

    return {
        "pitch": pitch,
        "reverb": lambda: functional.fftconvolve(waves, bank[torch.randint(RESPONSES, (BATCH,), generator=draw)])[:, :SAMPLES],
    }


WORKERS = dict(zip(LIBRARIES, (ours, of_audiomentations, of_torch_audiomentations, of_torchaudio), strict=True))


def work(library: str, bank_folders: list[str], least_s: float) -> None:
    """In a process of its own: print clips a second of every operation, or what went wrong."""
    import warnings

    import torch

    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    found: dict[str, float | str] = {}
    with torch.inference_mode():
        for name, run in WORKERS[library](bank_folders).items():
            count = 2 if (library, name) == ("torchaudio", "pitch") else BATCH
            try:
                run()
            except Exception as error:  # a peer that crashes is a result
                found[name] = f"fails: {type(error).__name__}"
                continue
            times: list[float] = []
            while sum(times) < least_s or len(times) < (1 if count == 2 else 3):
                start = time.process_time()
                run()
                times.append(time.process_time() - start)
            found[name] = count / (sum(times) / len(times) if "chain" in name else median(times))
    print(json.dumps(found))


def peers_python(folder: Path) -> Path:
    """The Python of the peers' environment, made if it is not there."""
    python = folder / "bin" / "python"
    if not (folder / "installed").is_file():
        print(f"installing {', '.join(PACKAGES)} into {folder}", flush=True)
        venv.create(folder, with_pip=True, clear=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *PACKAGES], check=True)
        (folder / "installed").touch()
    return python


def write_bank(folder: Path, count: int) -> None:
    """`count` synthetic rooms as WAV files."""
    import torch

    from antiphon.common.random import KeyedRandom
    from antiphon.common.signal.io import write_audio
    from antiphon.common.signal.rooms import SyntheticRooms

    folder.mkdir()
    random = KeyedRandom(torch.arange(count))
    rooms = SyntheticRooms(sample_rate=RATE, longest_s=0.8)
    decay = random.uniform(low=0.2, high=0.8)
    responses = rooms.responses(
        rooms.offsets(random, 1),
        decay_time_s=decay,
        high_decay_time_s=0.7 * decay,
        pre_delay_s=torch.full((count,), 0.01),
        direct_to_reverberant_db=torch.zeros(count),
        size=rooms.size,
    )
    for number, (response, seconds) in enumerate(zip(responses, decay.tolist(), strict=True)):
        write_audio(folder / f"{number:03}.wav", response[:, : int(seconds * RATE)], RATE)


def main(*, quick: bool, peers: Path) -> None:
    """Take turns and print the table."""
    from rich.console import Console

    from antiphon.common.report import Table, terminal_table

    python = peers_python(peers)
    turns: dict[str, list[dict[str, float | str]]] = {library: [] for library in LIBRARIES}
    with tempfile.TemporaryDirectory() as scratch:
        bank_folders = [Path(scratch) / str(count) for count in (RESPONSES, MORE_RESPONSES)]
        for folder, count in zip(bank_folders, (RESPONSES, MORE_RESPONSES), strict=True):
            write_bank(folder, count)
        for _ in range(1 if quick else 5):
            for library, found in turns.items():
                own = sys.executable if library == "antiphon" else str(python)
                printed = subprocess.run(
                    [own, __file__, "--worker", library, "1" if quick else "3", *map(str, bank_folders)],
                    stdout=subprocess.PIPE,
                    text=True,
                    check=True,
                    env={**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"},
                )
                found.append(json.loads(printed.stdout.splitlines()[-1]))
    rows = [[name, *_cells(name, turns)] for name in turns["antiphon"][0]]
    columns = ["operation", *LIBRARIES, *(f"antiphon / {library}" for library in LIBRARIES[1:])]
    Console(width=170).print(terminal_table(Table("Clips of 59,049 samples a second, one thread", columns, rows)))
    for library, lacking in LACKING.items():
        print(f"{library} lacks: {lacking}")


def _cells(name: str, turns: dict[str, list[dict[str, float | str]]]) -> list[str]:
    """Rates of all libraries and ours over theirs; the peers have one reverb and one chain to compare with."""
    ours_rate = median(float(turn[name]) for turn in turns["antiphon"])
    shown, ratios = [f"{ours_rate:,.1f}"], []
    for library in LIBRARIES[1:]:
        values = [turn[name.split(",")[0]] for turn in turns[library] if name.split(",")[0] in turn]
        failed = [value for value in values if isinstance(value, str)]
        if failed or not values:
            shown.append(failed[0] if failed else "-")
            ratios.append("-")
        else:
            rate = median(map(float, values))
            shown.append(f"{rate:,.1f}")
            ratios.append(f"{ours_rate / rate:.1f}x")
    return shown + ratios


if __name__ == "__main__":
    if sys.argv[1:2] == ["--worker"]:
        work(sys.argv[2], sys.argv[4:], float(sys.argv[3]))
    else:
        parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
        parser.add_argument("--quick", action="store_true")
        parser.add_argument("--full", action="store_true")
        parser.add_argument("--peers", type=Path, default=Path("~/.cache/antiphon/peers-audio").expanduser())
        options = parser.parse_args()
        main(quick=not options.full, peers=options.peers)
