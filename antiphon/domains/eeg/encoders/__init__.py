"""Encoders of EEG."""

from antiphon.domains.eeg.encoders.braindecode_adapter import BraindecodeEncoder
from antiphon.domains.eeg.encoders.deep4 import Deep4Encoder

__all__ = ["BraindecodeEncoder", "Deep4Encoder"]
