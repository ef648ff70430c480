import pytest
import torch

from antiphon.common.backbones.norms import norm1d


def test_layer_norm_sees_one_frame_at_a_time():
    norm, maps = norm1d("layer", 6), torch.randn(2, 6, 5)
    found = norm(maps)
    torch.testing.assert_close(found[..., 2:3], norm(maps[..., 2:3]))
    torch.testing.assert_close(found.mean(dim=1), torch.zeros(2, 5), atol=1e-6, rtol=0)


def test_group_norm_ignores_the_batch():
    norm, maps = norm1d("group", 12), torch.randn(3, 12, 5)
    torch.testing.assert_close(norm(maps)[:1], norm(maps[:1]))
    assert norm1d("group", 12).num_groups == 4
    assert norm1d("group", 64).num_groups == 8


def test_batch_norm_and_unknown_names():
    assert isinstance(norm1d("batch", 4), torch.nn.BatchNorm1d)
    with pytest.raises(ValueError, match="batch, group, layer"):
        norm1d("instance", 4)
