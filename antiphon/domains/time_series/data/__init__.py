"""Sets of time series: reading, splitting, preparing."""

from antiphon.domains.time_series.data.anomalies import load_anomaly
from antiphon.domains.time_series.data.archive import load_aeon
from antiphon.domains.time_series.data.files import read
from antiphon.domains.time_series.data.loading import load, split
from antiphon.domains.time_series.data.preparation import centre_variable_length, split_long, standardization
from antiphon.domains.time_series.data.series_set import TimeSeriesSet, check_labels, check_lengths, same_classes

__all__ = [
    "TimeSeriesSet",
    "centre_variable_length",
    "check_labels",
    "check_lengths",
    "load",
    "load_aeon",
    "load_anomaly",
    "read",
    "same_classes",
    "split",
    "split_long",
    "standardization",
]
