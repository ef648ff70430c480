"""The dilated stack against the textbook nn.Conv1d stack."""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from antiphon.common.backbones import dilated
from antiphon.common.backbones.dilated import DilatedStack, dilated_conv, to_frames, to_maps


def reference(stack, frames, inside=None):
    """What the stack stands for, block by block, with nn.Conv1d itself: frames (B, T, C) -> (B, T, D)."""
    maps = frames.transpose(1, 2)
    zero = (lambda x: x) if inside is None else (lambda x: x * inside[:, None])
    for block in stack.blocks:
        skipped = maps if block.projector is None else block.projector(maps)
        hidden = block.conv1(zero(F.gelu(maps)))
        maps = block.conv2(zero(F.gelu(hidden))) + skipped
    return maps.transpose(1, 2)


def gradients(module, frames, output):
    grad = torch.linspace(-1, 1, output.numel(), dtype=output.dtype).view(output.shape)
    return torch.autograd.grad(output, [frames, *module.parameters()], grad, allow_unused=True)


def assert_same_gradients(found, expected):
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-11)


def small_stack(depth=4):
    torch.manual_seed(0)
    return DilatedStack(5, [6] * depth + [7]).double()


@pytest.mark.parametrize("size", [1, 2, 3, 8, 9, 16, 17, 40])
def test_equals_conv1d_forward_and_backward(size):
    stack = small_stack()
    frames = torch.randn(3, size, 5, dtype=torch.float64, requires_grad=True)
    found, expected = stack(frames), reference(stack, frames)
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-12)
    assert_same_gradients(gradients(stack, frames, found), gradients(stack, frames, expected))


@pytest.mark.parametrize("size", [9, 17, 40, 64])
def test_far_taps_equal_conv1d(size, monkeypatch):
    monkeypatch.setattr(dilated, "FAR", 8)
    test_equals_conv1d_forward_and_backward(size)


@pytest.mark.parametrize("far", [4, 1024])
@pytest.mark.parametrize(
    ("size", "keep"), [(1, slice(0, 1)), (5, slice(2, 4)), (17, slice(3, 11)), (40, slice(0, 9)), (40, slice(30, 40))]
)
def test_keep_is_a_cut_of_all_frames(size, keep, far, monkeypatch):
    monkeypatch.setattr(dilated, "FAR", far)
    stack = small_stack()
    frames = torch.randn(2, size, 5, dtype=torch.float64, requires_grad=True)
    found, expected = stack(frames, keep=keep), reference(stack, frames)[:, keep]
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-12)
    assert_same_gradients(gradients(stack, frames, found), gradients(stack, frames, expected))


@pytest.mark.parametrize("keep", [None, slice(2, 9)])
def test_inside_zeroes_the_input_of_every_convolution(keep):
    stack = small_stack()
    frames = torch.randn(2, 12, 5, dtype=torch.float64, requires_grad=True)
    inside = torch.arange(12) < torch.tensor([[12], [7]])
    found, expected = stack(frames, inside=inside, keep=keep), reference(stack, frames, inside)[:, keep or slice(None)]
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-12)
    assert_same_gradients(gradients(stack, frames, found), gradients(stack, frames, expected))


def test_trains_as_conv1d_does_in_float32():
    stack = DilatedStack(8, [8] * 10 + [16])
    twin = copy.deepcopy(stack)
    frames = torch.randn(4, 75, 8)
    for module, run in ((stack, stack), (twin, lambda x: reference(twin, x))):
        run(frames).square().mean().backward()
        torch.optim.SGD(module.parameters(), lr=0.1).step()
    for a, b in zip(stack.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)


def test_weights_start_as_those_of_conv1d():
    torch.manual_seed(3)
    stack = DilatedStack(4, [6, 6])
    torch.manual_seed(3)
    first = nn.Conv1d(4, 6, 3)
    assert torch.equal(stack.blocks[0].conv1.weight, first.weight)
    assert torch.equal(stack.blocks[0].conv1.bias, first.bias)
    assert [block.projector is not None for block in DilatedStack(4, [4, 4, 6, 6]).blocks] == [False, False, True, True]


@pytest.mark.parametrize("dilation", [1, 4, 6, 9])
def test_gradcheck(dilation, monkeypatch):
    monkeypatch.setattr(dilated, "FAR", 4)
    maps = to_maps(torch.randn(2, 7, 2, dtype=torch.float64)).requires_grad_()
    weight = torch.randn(3, 2, 3, dtype=torch.float64, requires_grad=True)
    bias = torch.randn(3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda *x: dilated_conv(*x, dilation=dilation, keep=slice(1, 6)), (maps, weight, bias))


def test_far_taps_without_a_gradient_for_the_input(monkeypatch):
    monkeypatch.setattr(dilated, "FAR", 2)
    weight = torch.randn(3, 2, 3, requires_grad=True)
    frames = torch.randn(2, 7, 2)
    dilated_conv(to_maps(frames), weight, None, dilation=3).square().sum().backward()
    other = weight.detach().clone().requires_grad_()
    F.conv1d(frames.transpose(1, 2), other, padding=3, dilation=3).square().sum().backward()
    torch.testing.assert_close(weight.grad, other.grad, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("far", [2, 1024])
def test_bf16_autocast_stays_near_float32(far, monkeypatch):
    monkeypatch.setattr(dilated, "FAR", far)
    torch.manual_seed(0)
    stack, frames = DilatedStack(8, [8, 8, 8]), torch.randn(2, 20, 8)
    with torch.autocast("cpu", torch.bfloat16):
        found = stack(frames, keep=slice(5, 15))
    found.float().sum().backward()
    torch.testing.assert_close(found.float(), stack(frames)[:, 5:15], rtol=0.1, atol=0.05)


def test_maps_and_frames_are_inverse():
    frames = torch.randn(2, 5, 3)
    assert torch.equal(to_frames(to_maps(frames)), frames)
    assert to_maps(frames).is_contiguous(memory_format=torch.channels_last)


def test_keep_with_a_step_is_refused():
    with pytest.raises(ValueError, match="without a step"):
        small_stack()(torch.randn(1, 8, 5, dtype=torch.float64), keep=slice(0, 8, 2))
