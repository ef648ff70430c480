"""Sets of music: reading, splitting, the layouts of public collections."""

from antiphon.domains.music.data.collections import COLLECTIONS, fma, gtzan, magnatagatune, mtg_jamendo
from antiphon.domains.music.data.loading import load, read

__all__ = ["COLLECTIONS", "fma", "gtzan", "load", "magnatagatune", "mtg_jamendo", "read"]
