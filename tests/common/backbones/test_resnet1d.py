import pytest
import torch

from antiphon.common.backbones.resnet1d import ResidualBlock1d, ResNet1d


@pytest.mark.parametrize("norm", ["batch", "group", "layer"])
def test_stage_shapes(norm):
    network = ResNet1d(3, blocks=(1, 1, 1), width=8, norm=norm)
    maps = network(torch.randn(2, 3, 37))
    assert [tuple(m.shape) for m in maps] == [(2, 8, 37), (2, 16, 19), (2, 32, 10)]
    assert network.out_channels == 32


def test_resnet34_has_its_layers():
    network = ResNet1d(12)
    convolutions = [m for m in network.modules() if isinstance(m, torch.nn.Conv1d)]
    assert sum(c.kernel_size == (3,) for c in convolutions) == 32  # 2 * (3 + 4 + 6 + 3); the stem and the linear layer make 34
    assert sum(c.kernel_size == (1,) for c in convolutions) == 3
    assert [stage[0].conv1.stride for stage in network.stages] == [(1,), (2,), (2,), (2,)]


def test_block_is_a_residual():
    block = ResidualBlock1d(4, 4).eval()
    torch.nn.init.zeros_(block.conv2.weight)
    maps = torch.randn(2, 4, 9)
    torch.testing.assert_close(block(maps), maps.relu())


@pytest.mark.parametrize("blocks", [(), (2, 0)])
def test_blocks_are_checked(blocks):
    with pytest.raises(ValueError, match="at least one each"):
        ResNet1d(1, blocks=blocks)


def test_even_stem_kernel_is_refused():
    with pytest.raises(ValueError, match="odd"):
        ResNet1d(1, stem_kernel=8)
