"""Shapes of the 2-D ResNet, and the published size of ResNet-18."""

import pytest
import torch

from antiphon.common.backbones.resnet2d import ResNet2d


def test_resnet18_has_its_published_size() -> None:
    count = sum(parameter.numel() for parameter in ResNet2d(3).parameters())
    stem = 64 * 3 * 7 * 7 - 64 * 3 * 3 * 3  # the published one has a 7 x 7 stem
    assert count + stem + 512 * 1000 + 1000 == 11_689_512


def test_every_stage_after_the_first_halves_both_axes() -> None:
    stages = ResNet2d(2, blocks=(1, 1, 1), width=8, norm="group")(torch.randn(2, 2, 17, 30))
    assert [tuple(maps.shape) for maps in stages] == [(2, 8, 17, 30), (2, 16, 9, 15), (2, 32, 5, 8)]


def test_wrong_words() -> None:
    with pytest.raises(ValueError, match="at least one each"):
        ResNet2d(1, blocks=(1, 0))
    with pytest.raises(ValueError, match="use batch or group"):
        ResNet2d(1, norm="layer")
