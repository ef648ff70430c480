"""Recordings of speakers: reading, splitting by speaker, the layouts of public collections."""

from antiphon.domains.speaker_verification.data.layouts import cn_celeb, speakers, voxceleb
from antiphon.domains.speaker_verification.data.loading import load, read

__all__ = ["cn_celeb", "load", "read", "speakers", "voxceleb"]
