import copy
import json

import numpy as np
import pytest
import torch

from antiphon.domains.time_series.encoders import ResNet1dEncoder, TS2VecEncoder, TSTCCEncoder


def ts2vec(**options):
    torch.manual_seed(0)
    return TS2VecEncoder(**{"in_channels": 2, "hidden_dim": 8, "embedding_dim": 12, "depth": 5, **options}).eval()


def small_encoders():
    torch.manual_seed(0)
    return [
        TS2VecEncoder(2, hidden_dim=8, embedding_dim=12, depth=3, pooling="mean"),
        TSTCCEncoder(2, embedding_dim=16),
        TSTCCEncoder(2, kernel_size=25, stride=3, norm="group", pooling="max"),
        ResNet1dEncoder(2, blocks=[1, 1], width=8, embedding_dim=10),
    ]


@pytest.mark.parametrize("encoder", small_encoders(), ids=lambda e: type(e).__name__)
class TestContract:
    def test_shapes_and_numpy(self, encoder):
        signals = torch.randn(3, 2, 50)
        frames = encoder.frames(signals)
        assert frames.shape[0] == 3 and frames.shape[2] == encoder.embedding_dim
        assert encoder.embed(signals).shape == (3, encoder.embedding_dim)
        array = encoder.embed(signals.numpy())
        assert isinstance(array, np.ndarray) and array.dtype == np.float32

    def test_config_round_trip(self, encoder):
        config = json.loads(json.dumps(encoder.config))
        twin = type(encoder)(**config)
        twin.load_state_dict(encoder.state_dict())
        assert twin.config == encoder.config and twin.pooling == encoder.pooling
        signals = torch.randn(2, 2, 40)
        assert torch.equal(twin.eval().embed(signals), encoder.eval().embed(signals))

    def test_evaluation_is_deterministic(self, encoder):
        signals = torch.randn(2, 2, 40)
        assert torch.equal(encoder.eval().embed(signals), encoder.embed(signals))

    def test_one_example_is_enough(self, encoder):
        signals = torch.randn(4, 2, 40)
        torch.testing.assert_close(encoder.eval().embed(signals)[:1], encoder.embed(signals[:1]), rtol=1e-4, atol=1e-5)
        encoder.train().embed(signals[:1]).sum().backward()

    def test_missing_values_stay_finite_with_gradient(self, encoder):
        signals = torch.randn(2, 2, 40)
        signals[0, 1, 5:9] = torch.nan
        signals[1, :, 30:] = torch.nan
        encoder.train().embed(signals, torch.tensor([40, 30])).sum().backward()
        assert all(torch.isfinite(p.grad).all() for p in encoder.parameters() if p.grad is not None)

    def test_content_of_the_padding_does_not_matter(self, encoder):
        signals, lengths = torch.randn(2, 2, 40), torch.tensor([40, 21])
        other = signals.clone()
        other[1, :, 21:] = 50.0
        torch.testing.assert_close(encoder.eval().embed(other, lengths), encoder.embed(signals, lengths))
        assert not torch.allclose(encoder.embed(other)[1], encoder.embed(signals)[1])

    def test_wrong_channels(self, encoder):
        with pytest.raises(ValueError, match="in_channels=3"):
            encoder.embed(torch.randn(1, 3, 40))


def test_ts2vec_default_is_the_published_network():
    encoder = TS2VecEncoder(1)
    assert [block.dilation for block in encoder.body.blocks] == [2**i for i in range(11)]
    assert sum(p.numel() for p in encoder.parameters()) == 637_248  # 128 + 20 * 12,352 + 61,760 + 307,520 + 20,800
    assert encoder.embedding_dim == 320 and encoder.pooling == "max"


@pytest.mark.parametrize("pooling", ["max", "mean", "last"])
def test_ts2vec_padded_examples_embed_as_they_do_alone(pooling):
    encoder = ts2vec(pooling=pooling)
    lengths = [40, 1, 17, 33]
    series = [torch.randn(2, n) for n in lengths]
    batch = torch.full((4, 2, 40), torch.nan)
    for row, one in zip(batch, series, strict=True):
        row[:, : one.shape[1]] = one
    found = encoder.embed(batch, torch.tensor(lengths))
    for row, one in zip(found, series, strict=True):
        torch.testing.assert_close(row, encoder.embed(one[None])[0], rtol=1e-4, atol=1e-5)
    assert encoder.frames(batch, torch.tensor(lengths))[1, 1:].abs().max() == 0


def test_ts2vec_hidden_and_missing_time_stamps_are_the_same_thing():
    encoder, signals = ts2vec(), torch.randn(3, 2, 20)
    mask = torch.rand(3, 20) < 0.5
    holes = signals.masked_fill(~mask[:, None], torch.nan)
    torch.testing.assert_close(encoder.encode(holes), encoder.encode(signals, mask=mask))
    one_channel = signals.clone()
    one_channel[:, 1] = holes[:, 1]  # a NaN in any channel hides the time stamp
    torch.testing.assert_close(encoder.encode(one_channel), encoder.encode(signals, mask=mask))
    assert not torch.allclose(encoder.encode(signals), encoder.encode(signals, mask=mask))


@pytest.mark.parametrize("lengths", [None, torch.tensor([30, 14])])
def test_ts2vec_keep_is_a_cut(lengths):
    encoder, signals = ts2vec(), torch.randn(2, 2, 30)
    mask = torch.rand(2, 30) < 0.5
    whole = encoder.encode(signals, lengths, mask=mask)
    torch.testing.assert_close(encoder.encode(signals, lengths, mask=mask, keep=slice(4, 22)), whole[:, 4:22])
    torch.testing.assert_close(encoder.encode_kept(signals, lengths, mask=mask, keep=slice(4, 22)), whole[:, 4:22])


def test_ts2vec_mask_of_a_wrong_shape():
    with pytest.raises(ValueError, match=r"\(2, 30\)"):
        ts2vec().encode(torch.randn(2, 2, 30), mask=torch.ones(2, 29, dtype=torch.bool))


@pytest.mark.parametrize("encoder", small_encoders()[1:], ids=lambda e: type(e).__name__)
def test_convolutional_encoders_refuse_masks_and_show_stages(encoder):
    signals = torch.randn(2, 2, 48)
    with pytest.raises(ValueError, match="use ts2vec"):
        encoder.encode(signals, mask=torch.ones(2, 48, dtype=torch.bool))
    stages = encoder.eval().stages(signals)
    assert torch.equal(stages[-1], encoder.encode(signals))
    assert len(stages) == 3


def test_resnet1d_linear_map_commutes_with_pooling():
    encoder = ResNet1dEncoder(2, blocks=[1, 1], width=8, embedding_dim=10).eval()
    signals = torch.randn(3, 2, 40)
    pooled = encoder.body(signals)[-1].mean(dim=-1)
    torch.testing.assert_close(encoder.embed(signals), encoder.project(pooled), rtol=1e-5, atol=1e-6)


def test_ts2vec_copies_and_averages():
    encoder = ts2vec().train()
    encoder.embed(torch.randn(2, 2, 20)).sum().backward()
    assert torch.equal(copy.deepcopy(encoder).project.weight, encoder.project.weight)
