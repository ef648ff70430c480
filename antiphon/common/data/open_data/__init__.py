"""Open recordings that Debian and PyPI packages carry: fetched into a cache folder, with a manifest."""

from antiphon.common.data.open_data.catalogue import SOURCES, find_source
from antiphon.common.data.open_data.fetching import cache_folder, describe, fetch, open_manifest
from antiphon.common.data.open_data.source import Package, Source

__all__ = ["SOURCES", "Package", "Source", "cache_folder", "describe", "fetch", "find_source", "open_manifest"]
