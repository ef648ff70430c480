"""Sets of time series: reading, splitting, preparing."""

from antiphon.domains.time_series.data.anomalies import load_anomaly
from antiphon.domains.time_series.data.archive import load_aeon
from antiphon.domains.time_series.data.files import read
from antiphon.domains.time_series.data.loading import load, split
from antiphon.domains.time_series.data.preparation import sections, split_long, standardization
from antiphon.domains.time_series.data.series_set import TimeSeriesSet, check_labels, same_classes

__all__ = [
    "TimeSeriesSet",
    "check_labels",
    "load",
    "load_aeon",
    "load_anomaly",
    "read",
    "same_classes",
    "sections",
    "split",
    "split_long",
    "standardization",
]
