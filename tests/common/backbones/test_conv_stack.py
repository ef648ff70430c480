import pytest
import torch

from antiphon.common.backbones.conv_stack import ConvLayer, ConvStack


def test_shapes_are_ts_tccs():
    stack = ConvStack(9, [ConvLayer(32, 8, dropout=0.35), ConvLayer(64, 8), ConvLayer(128, 8)])
    assert [tuple(m.shape) for m in stack(torch.randn(2, 9, 128))] == [(2, 32, 65), (2, 64, 34), (2, 128, 18)]


def test_stride_and_no_pooling():
    stack = ConvStack(1, [ConvLayer(4, 5, stride=2, pool=1)], norm="layer")
    assert stack(torch.randn(2, 1, 20))[-1].shape == (2, 4, 10)
    assert stack.out_channels == 4


def test_needs_a_layer():
    with pytest.raises(ValueError, match="at least one ConvLayer"):
        ConvStack(1, [])
