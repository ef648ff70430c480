"""Encoders of words: CAB's network, BC-ResNet and TC-ResNet for devices, CPC's, and frames that keep the order of sounds."""

from antiphon.domains.keyword_spotting.encoders.aligned_frames import AlignedFramesEncoder
from antiphon.domains.keyword_spotting.encoders.bc_resnet import BCResNetEncoder
from antiphon.domains.keyword_spotting.encoders.cab import CABEncoder
from antiphon.domains.keyword_spotting.encoders.cpc import CPCEncoder
from antiphon.domains.keyword_spotting.encoders.tc_resnet import TCResNetEncoder

__all__ = ["AlignedFramesEncoder", "BCResNetEncoder", "CABEncoder", "CPCEncoder", "TCResNetEncoder"]
