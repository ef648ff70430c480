"""A small BIDS data set of listeners, written by mne-bids: two participants, two stories, words."""

import csv
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile

NAMES = ["Fz", "C3", "Cz", "C4", "T7", "T8", "Pz", "Oz"]
SOUND_RATE, BRAIN_RATE, SOUND_S, LEAD_S = 4000, 100, 20.0, 2.0


def story(number: int) -> np.ndarray:
    """Bursts of noise, (T,)."""
    random = np.random.default_rng(number)
    level = np.repeat(random.uniform(0.0, 1.0, round(SOUND_S / 0.25)), round(0.25 * SOUND_RATE))
    return (0.2 * level * random.normal(size=len(level))).astype(np.float32)


def recording(subject: int) -> np.ndarray:
    """Both stories, their loudness 150 ms later through weights of the participant's own, and noise: (C, T) in uV."""
    random = np.random.default_rng(100 + subject)
    values = 10.0 * random.normal(size=(len(NAMES), round((2 * (SOUND_S + LEAD_S) + 1.0) * BRAIN_RATE)))
    weights = random.normal(size=len(NAMES))
    for number in range(2):
        loudness = np.abs(story(number)).reshape(-1, SOUND_RATE // BRAIN_RATE).mean(axis=1)
        start = round((LEAD_S + number * (SOUND_S + LEAD_S) + 0.15) * BRAIN_RATE)
        values[:, start : start + len(loudness)] += 200.0 * weights[:, None] * loudness
    return values


def write_listeners(root: Path) -> Path:
    """The data set; sub-2 heard copies of the stories under other names."""
    import mne
    from mne_bids import BIDSPath, write_raw_bids

    (root / "stimuli").mkdir(parents=True)
    for number in range(2):
        soundfile.write(root / "stimuli" / f"story{number}.wav", story(number), SOUND_RATE)
        shutil.copy(root / "stimuli" / f"story{number}.wav", root / "stimuli" / f"copy{number}.wav")
    for subject in (1, 2):
        raw = mne.io.RawArray(1e-6 * recording(subject), mne.create_info(NAMES, BRAIN_RATE, "eeg"), verbose="ERROR")
        raw.info["line_freq"] = 50
        raw.set_meas_date(0)
        path = BIDSPath(subject=str(subject), task="listening", root=root)
        write_raw_bids(raw, path, format="EDF", allow_preload=True, verbose="ERROR")
        name = "story" if subject == 1 else "copy"
        events = path.copy().update(datatype="eeg", suffix="events", extension=".tsv").fpath
        with events.open("w", newline="") as file:
            writer = csv.writer(file, delimiter="\t")
            writer.writerow(["onset", "duration", "trial_type", "stim_file"])
            for number in range(2):
                onset_s = LEAD_S + number * (SOUND_S + LEAD_S)
                writer.writerow([onset_s, SOUND_S, "story", f"{name}{number}.wav"])
                for word in np.arange(0.5, SOUND_S - 0.5, 0.4).tolist():
                    writer.writerow([round(onset_s + word + 0.004 * subject, 4), 0.3, "word", "n/a"])
    return root


@pytest.fixture(scope="session")
def listeners(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The root of the data set."""
    return write_listeners(tmp_path_factory.mktemp("bids") / "listeners")
