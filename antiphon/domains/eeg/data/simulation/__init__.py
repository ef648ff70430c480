"""EEG with known causes: recordings with reports, motor imagery, responses to speech. The same seed gives the same numbers."""

from antiphon.domains.eeg.data.simulation.motor_imagery import simulate_motor_imagery
from antiphon.domains.eeg.data.simulation.recordings import SimulatedStudy, load_simulated, simulate_recordings
from antiphon.domains.eeg.data.simulation.reports import ATTRIBUTES, PHRASES, PROMPTS
from antiphon.domains.eeg.data.simulation.speech import SimulatedSpeech, simulate_speech

__all__ = [
    "ATTRIBUTES",
    "PHRASES",
    "PROMPTS",
    "SimulatedSpeech",
    "SimulatedStudy",
    "load_simulated",
    "simulate_motor_imagery",
    "simulate_recordings",
    "simulate_speech",
]
