"""Signal processing as plain functions on tensors, and the reading of audio files."""
