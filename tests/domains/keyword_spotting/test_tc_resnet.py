"""TC-ResNet: its size, no look ahead, and a stream in chunks of any size that equals the whole."""

import numpy as np
import pytest
import torch

import antiphon
from antiphon.common.signal.spectral import LogMel, MelSpec
from antiphon.domains.keyword_spotting.encoders.causal import CausalConv1d, CausalLogMel
from antiphon.domains.keyword_spotting.encoders.tc_resnet import TCResNetEncoder


def make(norm: str = "batch", **options: object) -> TCResNetEncoder:
    """Small, its weights and statistics drawn."""
    torch.manual_seed(0)
    encoder = TCResNetEncoder(
        sample_rate=8000, mels=10, fft_size=128, frame_size=100, hop=40, channels=(4, 6, 8), norm=norm, **options
    )
    for _ in range(3):
        encoder.embed(torch.randn(8, encoder.input_spec.channels, 4000) * torch.rand(8, 1, 1))
    encoder.fit_standardization(torch.full((encoder.input_spec.channels,), 0.01), torch.full((encoder.input_spec.channels,), 0.5))
    return encoder.eval()


def stream(encoder: TCResNetEncoder, waves: torch.Tensor, sizes: list[int]) -> tuple[torch.Tensor, list[int]]:
    """All frames of `waves` in chunks of `sizes`, the last again and again; and the frames that each chunk gave."""
    state, found, start = encoder.start(len(waves)), [], 0
    sizes = list(sizes)
    while start < waves.shape[-1]:
        size = sizes.pop(0) if len(sizes) > 1 else sizes[0]
        frames, state = encoder.step(waves[..., start : start + size], state)
        found.append(frames)
        start += size
    return torch.cat(found, dim=1), [part.shape[1] for part in found]


def test_it_has_the_size_of_tc_resnet8() -> None:
    encoder = antiphon.create_encoder("tc_resnet")
    convolutions = sum(weight.numel() for name, weight in encoder.named_parameters() if weight.ndim == 3)
    blocks = [9 * (a * b + b * b) + a * b for a, b in ((16, 24), (24, 32), (32, 48))]
    assert convolutions == 3 * 40 * 16 + sum(blocks)
    assert sum(weight.numel() for weight in encoder.parameters()) < 66_000
    assert encoder.eval().frames(torch.randn(2, 1, 16_000)).shape == (2, 12, 48)
    assert encoder.samples_per_frame == 1280 and encoder.input_spec.sample_rate == 16_000


@pytest.mark.parametrize("norm", ["batch", "layer"])
@pytest.mark.parametrize("sizes", [[1], [7], [40], [160], [161], [1000], [5000], [0, 1, 3, 39, 0, 41, 159, 500]])
def test_a_stream_gives_the_frames_of_the_whole(norm: str, sizes: list[int]) -> None:
    encoder = make(norm)
    waves = torch.randn(2, 1, 300 if sizes == [1] else 3210)
    whole = encoder.frames(waves)
    assert whole.shape == (2, waves.shape[-1] // 160, 8)
    torch.testing.assert_close(stream(encoder, waves, sizes)[0], whole.detach(), atol=1e-5, rtol=1e-4)


def test_a_frame_comes_with_its_last_sample_and_not_before() -> None:
    encoder = make(in_channels=2)
    _, counts = stream(encoder, torch.randn(1, 2, 480), [159, 1, 159, 1, 159, 1])
    assert counts == [0, 1, 0, 1, 0, 1]


def test_no_frame_sees_the_future_or_further_back_than_it_says() -> None:
    """Frame j sees samples up to (j + 1) * 160, and back over the frames that kernels and strides reach and a window."""
    encoder = make().double()
    waves = torch.randn(1, 1, 8000, dtype=torch.float64).requires_grad_()
    j = 40
    (touched,) = torch.autograd.grad(encoder.frames(waves)[0, j].sum(), waves)
    seen = touched[0, 0].nonzero()[:, 0]
    assert int(seen.max()) < (j + 1) * 160
    reach = 1 + 2 + (8 + 8 * 2) + (8 * 2 + 8 * 4)  # log-mel frames: stem, first block, second block
    assert (j + 1) * 160 - int(seen.min()) <= (reach - 1) * 40 + 128
    assert (j + 1) * 160 - int(seen.min()) > (reach - 2) * 40


def test_the_past_of_the_published_widths_is_171_frames() -> None:
    encoder = TCResNetEncoder(sample_rate=8000, mels=4, fft_size=64, frame_size=64, hop=16).eval().double()
    waves = torch.randn(1, 1, 16 * 400, dtype=torch.float64).requires_grad_()
    (touched,) = torch.autograd.grad(encoder.frames(waves)[0, 40].sum(), waves)
    reach = 41 * 128 - int(touched[0, 0].nonzero()[0])
    assert 170 * 16 < reach <= 170 * 16 + 64


def test_padding_changes_nothing_and_nan_is_silence() -> None:
    encoder = make()
    waves = torch.randn(1, 1, 1700)
    padded = torch.cat((waves, torch.full((1, 1, 900), torch.nan)), dim=-1)
    torch.testing.assert_close(encoder.embed(padded, torch.tensor([1700])), encoder.embed(waves))
    assert encoder.embed(padded, torch.tensor([5])).isfinite().all()
    holed = waves.clone()
    holed[..., 300:400] = torch.nan
    assert encoder.frames(holed).isfinite().all()
    state = encoder.start()
    assert torch.equal(encoder.step(holed, state)[0], encoder.frames(holed).detach())


def test_layer_norm_takes_loudness_out_where_nothing_meets_the_floor() -> None:
    encoder = make("layer")
    encoder.fit_standardization(torch.zeros(1), torch.ones(1))
    waves = torch.randn(2, 1, 3200)
    torch.testing.assert_close(encoder.embed(waves), encoder.embed(30 * waves), atol=1e-3, rtol=1e-3)


def test_the_state_of_a_stream_does_not_grow() -> None:
    encoder = make()
    state, sizes = encoder.start(), set()
    for _ in range(20):
        _, state = encoder.step(torch.randn(1, 1, 800), state)
        sizes.add(sum(part.numel() for part in (state.samples, state.stem, *(one for block in state.blocks for one in block))))
        assert not state.samples.requires_grad
    assert len(sizes) == 1


def test_what_cannot_be_streamed_is_refused() -> None:
    encoder = make()
    with pytest.raises(ValueError, match=r"evaluation mode: call encoder.eval\(\)"):
        encoder.train().step(torch.zeros(1, 1, 10), encoder.start())
    with pytest.raises(ValueError, match=r"chunk must be \(1, 1, samples\).*got shape \(2, 1, 10\)"):
        encoder.eval().step(torch.zeros(2, 1, 10), encoder.start())
    with pytest.raises(ValueError, match="needs at least 160 samples, got 100"):
        encoder.embed(torch.zeros(1, 1, 100))
    with pytest.raises(ValueError, match="takes batch or layer"):
        make("group")
    with pytest.raises(ValueError, match="width of the stem and of one block"):
        TCResNetEncoder(channels=(16,))
    with pytest.raises(ValueError, match="causal spectrogram needs top_db=None"):
        CausalLogMel(MelSpec(sample_rate=8000, bands=10, n_fft=256, top_db=80.0))


@pytest.mark.parametrize(("kernel", "stride"), [(1, 1), (3, 1), (9, 2), (1, 2), (2, 2), (3, 4)])
def test_a_causal_convolution_is_the_plain_one_behind_zeros(kernel: int, stride: int) -> None:
    layer = CausalConv1d(2, 3, kernel, stride=stride)
    maps = torch.randn(2, 2, 23)
    found, _ = layer.step(maps, layer.start(2))
    for j in range(23 // stride):
        for out in range(3):
            total = 0.0
            for tap in range(kernel):
                place = (j + 1) * stride - 1 - (kernel - 1 - tap) if kernel >= stride else (j + 1) * stride - kernel + tap
                if place >= 0:
                    total += float((layer.weight[out, :, tap] * maps[1, :, place]).sum().detach())
            assert found[1, out, j].item() == pytest.approx(total, abs=1e-5)
    assert found.shape[-1] == 23 // stride
    torch.testing.assert_close(layer(maps), found)


def test_causal_frames_are_those_of_the_centred_spectrogram_moved() -> None:
    """Frame t of a wave is frame t of the centred spectrogram of the same wave, moved until its window ends at (t + 1) * hop."""
    spec = MelSpec(sample_rate=8000, bands=10, n_fft=128, hop=40, floor=1e-6, pad_mode="constant")
    waves = torch.randn(1, 1, 2000)
    found = CausalLogMel(spec)(waves)
    assert found.shape == (1, 1, 10, 50)
    moved = torch.nn.functional.pad(waves, (24, 0))  # n_fft / 2 - hop
    torch.testing.assert_close(found[..., :48], LogMel(spec)(moved)[..., :48], atol=1e-4, rtol=1e-4)


def test_training_sends_gradients_everywhere() -> None:
    encoder = make().train()
    encoder.embed(torch.randn(4, 1, 1600)).square().sum().backward()
    assert all(weight.grad is not None and np.isfinite(weight.grad.numpy()).all() for weight in encoder.parameters())
