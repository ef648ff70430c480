"""Windows of one size: what becomes of longer and of shorter signals, whatever they are batched with."""

from typing import Any

import pytest
import torch
from torch import Tensor

from antiphon.common.encoder import InputSpec
from antiphon.common.windowed import WindowedEncoder, split_windows


class Sums(WindowedEncoder):
    """Two frames a window: its sum, and the sum of its squares."""

    def __init__(self, padding: Any = "zeros") -> None:
        super().__init__(embedding_dim=1, input_spec=InputSpec(channels=1, window=4), config={}, padding=padding)

    def encode_windows(self, windows: Tensor) -> Tensor:
        return torch.stack((windows.sum(dim=(1, 2)), windows.square().sum(dim=(1, 2))), dim=1)[..., None]


def ramp(samples: int) -> Tensor:
    return torch.arange(1.0, samples + 1)[None, None]


def test_whole_windows_count_and_the_last_piece_is_dropped() -> None:
    frames = Sums().frames(ramp(11))
    assert frames[0, :, 0].tolist() == [10.0, 30.0, 26.0, 174.0]  # 1..4 and 5..8; 9..11 are gone
    assert Sums().embed(ramp(11)).tolist() == [[60.0]]


def test_short_signals_are_filled_up_as_declared() -> None:
    assert Sums("zeros").frames(ramp(3))[0, 0].item() == 6.0
    assert Sums("repeat").frames(ramp(3))[0, 0].item() == 7.0  # 1 2 3 1
    assert Sums("repeat").frames(ramp(1))[0, 0].item() == 4.0


@pytest.mark.parametrize("padding", ["zeros", "repeat"])
def test_a_batch_equals_its_examples(padding: str) -> None:
    lengths = torch.tensor([3, 4, 9, 13])
    signals = torch.full((4, 1, 13), torch.nan)  # what lies behind an example does not matter
    random = torch.Generator().manual_seed(0)
    for row, length in enumerate(lengths):
        signals[row, :, :length] = torch.randn(1, length, generator=random)
    together = Sums(padding).embed(signals, lengths)
    alone = torch.cat([Sums(padding).embed(signals[row : row + 1, :, : lengths[row]]) for row in range(4)])
    torch.testing.assert_close(together, alone)


def test_gradients_reach_only_what_is_seen() -> None:
    signals = ramp(7).requires_grad_()
    Sums().embed(signals).sum().backward()
    assert signals.grad is not None
    assert (signals.grad[0, 0, :4] != 0).all() and (signals.grad[0, 0, 4:] == 0).all()


def test_many_windows_are_encoded_in_parts_outside_training() -> None:
    class Counting(Sums):
        sizes: list[int]

        def encode_windows(self, windows: Tensor) -> Tensor:
            self.sizes.append(len(windows))
            return super().encode_windows(windows)

    encoder = Counting()
    encoder.sizes = []
    encoder.eval().embed(ramp(400))
    encoder.train().embed(ramp(400))
    assert encoder.sizes == [32, 32, 32, 4, 100]


def test_split_windows_keeps_channels_together() -> None:
    signals = torch.arange(24.0).view(1, 2, 12)
    windows, inside = split_windows(signals, torch.tensor([12]), 6)
    assert windows.shape == (1, 2, 2, 6) and inside.all()
    torch.testing.assert_close(torch.cat((windows[0, 0], windows[0, 1]), dim=-1), signals[0])


def test_wrong_words() -> None:
    with pytest.raises(ValueError, match="unknown padding 'mirror': use one of zeros, repeat"):
        Sums("mirror")
    with pytest.raises(ValueError, match="cannot hide time stamps"):
        Sums().encode(ramp(4), mask=torch.ones(1, 4, dtype=torch.bool))
