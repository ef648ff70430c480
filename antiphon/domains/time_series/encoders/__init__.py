"""Encoders of time series: signals (B, C, T), NaN where a value is missing."""

from antiphon.domains.time_series.encoders.convolutional import ResNet1dEncoder, TSTCCEncoder
from antiphon.domains.time_series.encoders.ts2vec import TS2VecEncoder
from antiphon.domains.time_series.encoders.tsai_adapter import TsaiEncoder

__all__ = ["ResNet1dEncoder", "TS2VecEncoder", "TSTCCEncoder", "TsaiEncoder"]
