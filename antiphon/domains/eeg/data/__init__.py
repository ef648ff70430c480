"""Sets of EEG: reading, montages, preparation, trials, splits, public collections, simulation."""

from antiphon.domains.eeg.data.epoch_files import read_epochs, write_epochs
from antiphon.domains.eeg.data.epochs import EpochSet
from antiphon.domains.eeg.data.interchange import from_braindecode, from_moabb
from antiphon.domains.eeg.data.loading import load, read
from antiphon.domains.eeg.data.preparation import Preparation
from antiphon.domains.eeg.data.reading import RecordingError, open_recording
from antiphon.domains.eeg.data.recordings import RecordingSet
from antiphon.domains.eeg.data.tuh import tuh_abnormal

__all__ = [
    "EpochSet",
    "Preparation",
    "RecordingError",
    "RecordingSet",
    "from_braindecode",
    "from_moabb",
    "load",
    "open_recording",
    "read",
    "read_epochs",
    "tuh_abnormal",
    "write_epochs",
]
