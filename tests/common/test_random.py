"""Keyed randomness: good numbers, and numbers that depend on their key and position only."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from antiphon.common.random import KeyedRandom, seeded_scope, shuffled

ALPHA = 1e-4  # keys are fixed, so a test either always passes or shows a defect


def keyed(examples: int = 64, seed: int = 0, epoch: int = 0) -> KeyedRandom:
    return KeyedRandom.for_examples(seed, epoch, torch.arange(examples))


def correlation(first: Tensor, second: Tensor) -> float:
    return float(torch.corrcoef(torch.stack((first.flatten().double(), second.flatten().double())))[0, 1])


def bits_of(words: Tensor) -> Tensor:
    """(N,) int64 -> (N, 64) of 0 and 1."""
    return (words[:, None] >> torch.arange(64)) & 1


# ---- distributions


@pytest.mark.parametrize("seed", range(5))
def test_uniform_is_uniform(seed: int) -> None:
    draws = keyed(seed=seed).uniform(5, 401).flatten()
    assert float(draws.min()) >= 0.0 and float(draws.max()) < 1.0
    assert stats.kstest(draws.numpy(), "uniform").pvalue > ALPHA
    assert stats.chisquare(torch.histc(draws, 1000, 0.0, 1.0).numpy()).pvalue > ALPHA


@pytest.mark.parametrize("seed", range(5))
def test_normal_is_normal(seed: int) -> None:
    draws = keyed(seed=seed).normal(5, 401).flatten().double().numpy()
    assert stats.kstest(draws, "norm").pvalue > ALPHA
    assert abs(draws.mean()) < 4 / math.sqrt(draws.size)
    assert abs(draws.var() - 1.0) < 4 * math.sqrt(2 / draws.size)
    assert abs(stats.skew(draws)) < 4 * math.sqrt(6 / draws.size)
    assert abs(stats.kurtosis(draws)) < 4 * math.sqrt(24 / draws.size)
    assert np.abs(draws).max() > 3.5  # the tails are there


def test_the_two_halves_of_a_word_are_independent_normals() -> None:
    draws = keyed().normal(4000)
    even, odd = draws[:, 0::2], draws[:, 1::2]
    assert abs(correlation(even, odd)) < 4 / math.sqrt(even.numel())
    assert abs(correlation(even.square(), odd.square())) < 4 / math.sqrt(even.numel())
    assert stats.kstest((even.square() + odd.square()).flatten().numpy(), "chi2", args=(2,)).pvalue > ALPHA


def test_scaled_draws() -> None:
    assert stats.kstest(keyed().uniform(1000, low=-3.0, high=5.0).flatten().numpy(), "uniform", args=(-3.0, 8.0)).pvalue > ALPHA
    assert stats.kstest(keyed().normal(1000, mean=2.0, std=1.1).flatten().numpy(), "norm", args=(2.0, 1.1)).pvalue > ALPHA
    low, high = torch.arange(64.0)[:, None], torch.arange(64.0)[:, None] + 0.5
    draws = keyed().uniform(100, low=low, high=high)
    assert bool((draws >= low).all()) and bool((draws <= high).all())
    assert torch.equal(keyed().uniform(3, low=0, high=1), keyed().uniform(3))


@pytest.mark.parametrize("span", [1, 2, 3, 10, 97])
def test_integers_are_uniform_within_their_bounds(span: int) -> None:
    draws = keyed().integers(2000, low=-4, high=span - 4)
    assert draws.dtype == torch.int64
    counts = torch.bincount(draws.flatten() + 4, minlength=span)
    assert len(counts) == span
    assert span == 1 or stats.chisquare(counts.numpy()).pvalue > ALPHA


def test_integers_accept_a_bound_for_each_example() -> None:
    high = torch.arange(1, 65)
    assert bool((keyed().integers(high=high) < high).all())
    draws = keyed().integers(500, low=-high[:, None], high=high[:, None])
    assert bool((draws < high[:, None]).all()) and bool((draws >= -high[:, None]).all())
    assert bool((draws[0].unique() == torch.tensor([-1, 0])).all())
    assert int(keyed().integers(high=2**53).max()) > 2**52
    with pytest.raises(ValueError, match="low < high"):
        keyed().integers(low=3, high=3)


@pytest.mark.parametrize("p", [0.0, 0.03, 0.5, 0.9, 1.0])
def test_bernoulli(p: float) -> None:
    draws = keyed().bernoulli(2000, p=p)
    assert draws.dtype == torch.bool
    if p in (0.0, 1.0):
        assert bool((draws == bool(p)).all())
    assert abs(float(draws.float().mean()) - p) <= 4 * math.sqrt(p * (1 - p) / draws.numel())


def test_permutations_are_permutations_and_all_equally_likely() -> None:
    orders = keyed(24_000).permutation(4)
    assert bool((orders.sort(dim=1).values == torch.arange(4)).all())
    codes = (orders * torch.tensor([64, 16, 4, 1])).sum(dim=1)
    _, counts = codes.unique(return_counts=True)
    assert len(counts) == 24
    assert stats.chisquare(counts.numpy()).pvalue > ALPHA


# ---- the generator underneath


@pytest.mark.parametrize("along", ["positions", "examples", "seeds", "epochs", "draws"])
def test_every_bit_is_balanced_and_independent_of_its_neighbour(along: str) -> None:
    """One word each from consecutive positions, examples, seeds, epochs or draws: a weak hash shows in the simplest sequences."""
    count = 20_000
    if along == "positions":
        words = keyed(1)._bits((count,))[0]
    elif along == "examples":
        words = keyed(count)._bits(())
    elif along == "draws":
        stream = keyed(1)
        words = torch.cat([stream._bits(()) for _ in range(4000)])
    else:
        value = {"seeds": lambda n: keyed(1, seed=n), "epochs": lambda n: keyed(1, epoch=n)}[along]
        words = torch.cat([value(n)._bits(()) for n in range(4000)])
    bits = bits_of(words).double()
    limit = 4.5 / math.sqrt(len(words))  # about 10,000 comparisons below
    assert float((2 * bits.mean(dim=0) - 1).abs().max()) < limit
    signs = 2 * bits - 1
    assert float((signs[1:].T @ signs[:-1] / (len(words) - 1)).abs().max()) < 5 / math.sqrt(len(words))  # any bit with any next
    between = signs.T @ signs / len(words)
    assert float((between - torch.eye(64, dtype=torch.float64)).abs().max()) < 5 / math.sqrt(len(words))
    assert len(words.unique()) == len(words)


@pytest.mark.parametrize("lag", [1, 2, 3, 7, 64, 1000])
def test_no_serial_correlation(lag: int) -> None:
    draws = keyed(32).uniform(4000)
    assert abs(correlation(draws[:, lag:], draws[:, :-lag])) < 4 / math.sqrt(draws[:, lag:].numel())


def test_flipping_one_bit_of_the_index_flips_half_of_the_output() -> None:
    index = torch.arange(2000)
    before = KeyedRandom.for_examples(0, 0, index)._bits(())
    for bit in (0, 1, 5, 20, 40, 62):
        after = KeyedRandom.for_examples(0, 0, index ^ (1 << bit))._bits(())
        flipped = bits_of(before ^ after).double().mean(dim=0)
        assert float((flipped - 0.5).abs().max()) < 4.5 * 0.5 / math.sqrt(1000)  # low bits: 1000 pairs, each seen twice


def test_runs_up_and_down_have_the_expected_number() -> None:
    draws = keyed(50).uniform(2000).double()
    rising = draws[:, 1:] > draws[:, :-1]
    turns = (rising[:, 1:] != rising[:, :-1]).sum(dim=1).double()  # mean 2(n-2)/3, variance (16n-29)/90
    z = (turns - 2 * 1998 / 3) / math.sqrt((16 * 2000 - 29) / 90)
    assert stats.kstest(z.numpy(), "norm").pvalue > ALPHA


def test_points_in_the_unit_cube_fill_it() -> None:
    """Triples of one draw, and of three dimensions' neighbours: 10^3 cells."""
    draws = keyed(100).uniform(12, 30, 3)
    for triples in (draws.reshape(-1, 3), draws.transpose(1, 3).reshape(-1, 12).unfold(1, 3, 3).reshape(-1, 3)):
        cells = ((triples * 10).long() * torch.tensor([100, 10, 1])).sum(dim=1)
        assert stats.chisquare(torch.bincount(cells, minlength=1000).numpy()).pvalue > ALPHA


def test_a_birthday_in_32_bits() -> None:
    """Half words repeat as often as chance has it: a hash that merged keys would repeat more, a counter in disguise less."""
    words = keyed(2**17)._bits(()) & 0xFFFF_FFFF
    repeats = len(words) - len(words.unique())
    assert 0 < repeats < 8  # n^2 / 2^33 = 2 expected


# ---- keys and positions


def test_neighbouring_streams_are_unrelated() -> None:
    base = keyed().normal(2000)
    others = {
        "seed": keyed(seed=1).normal(2000),
        "epoch": keyed(epoch=1).normal(2000),
        "example": base.roll(1, dims=0),
        "seed and epoch exchanged": keyed(seed=1, epoch=0).normal(2000) - keyed(seed=0, epoch=1).normal(2000),
        "fold": keyed().fold(0).normal(2000),
        "fold 1": keyed().fold(1).normal(2000),
        "view": keyed().fold("view", 0).normal(2000),
        "order of folds": keyed().fold(0, "view").normal(2000),
    }
    stream = keyed()
    stream.normal(2000)
    others["next draw"] = stream.normal(2000)
    for name, other in others.items():
        assert abs(correlation(base, other)) < 4.5 / math.sqrt(base.numel()), name
    assert not torch.equal(others["view"], others["order of folds"])
    assert bool((others["seed and epoch exchanged"] != 0).any())


def test_a_stream_can_be_drawn_again_from_its_key() -> None:
    first, second = keyed(), keyed()
    assert torch.equal(first.uniform(7), second.uniform(7))
    assert torch.equal(first.fold("a", 3).normal(7), second.fold("a").fold(3).normal(7))
    assert torch.equal(first.permutation(9), second.permutation(9))
    assert not torch.equal(first.uniform(7), keyed().uniform(7))  # a later draw is another one


def test_known_values() -> None:
    """Pinned: a change of these changes every run that anybody wants to resume or to repeat."""
    words = KeyedRandom.for_examples(3, 1, torch.tensor([0, 1, 10**12]))._bits(())
    assert words.tolist() == [2894917357928341151, -9091901944382442434, -476181301992770569]
    assert shuffled(8, 0, 0).tolist() == [7, 0, 1, 6, 3, 2, 4, 5]


def test_the_words_are_those_of_unsigned_splitmix64() -> None:
    """A reference in plain Python integers, without the tricks that signed tensors need."""
    full = (1 << 64) - 1

    def mix(word: int) -> int:
        word &= full
        word = ((word ^ (word >> 30)) * 0xBF58476D1CE4E5B9) & full
        word = ((word ^ (word >> 27)) * 0x94D049BB133111EB) & full
        return word ^ (word >> 31)

    def fold(key: int, value: int) -> int:
        return mix(mix(key + 0x9E3779B97F4A7C15) ^ mix((value & full) + 0xBF58476D1CE4E5B9))

    assert mix(0x9E3779B97F4A7C15) == 0xE220A8397B1DCDAF  # the published first output of SplitMix64 seeded with 0
    for seed, epoch, example in ((0, 0, 0), (3, 1, 10**12), (-5, 7, 2**62)):
        key = fold(fold(fold(0, seed), epoch), example)
        expected = [mix(fold(key, 1) + position * 0x9E3779B97F4A7C15) for position in range(5)]
        words = KeyedRandom.for_examples(seed, epoch, torch.tensor([example]))._bits((5,))[0]
        assert [word & full for word in words.tolist()] == expected


def test_an_example_draws_the_same_whatever_its_batch() -> None:
    index = torch.tensor([5, 900, 12, 7])
    whole = KeyedRandom.for_examples(1, 2, index).fold("x")
    alone = KeyedRandom.for_examples(1, 2, index[2:3]).fold("x")
    for draw in ("uniform", "normal"):
        assert torch.equal(getattr(whole, draw)(3, 50)[2:3], getattr(alone, draw)(3, 50))
    assert torch.equal(whole.integers(4, high=100)[2:3], alone.integers(4, high=100))
    assert torch.equal(whole.permutation(11)[2:3], alone.permutation(11))


def test_some_of_the_examples_draw_what_they_draw_among_all() -> None:
    rows = torch.tensor([5, 0, 63])
    few = keyed().take(rows)
    assert torch.equal(few.fold("a").normal(3), keyed().fold("a").normal(3)[rows])
    assert torch.equal(few.shared.uniform(4), keyed().shared.uniform(4))


@pytest.mark.parametrize("draw", ["uniform", "normal", "bernoulli"])
def test_a_position_does_not_depend_on_the_shape(draw: str) -> None:
    large = getattr(keyed(), draw)(4, 6, 101)
    for shape in ((4, 6, 100), (4, 6, 7), (2, 6, 101), (4, 3, 1), (1, 1, 2)):
        small = getattr(keyed(), draw)(*shape)
        assert small.shape == (64, *shape)
        assert torch.equal(small, large[:, : shape[0], : shape[1], : shape[2]])


def test_positions_of_different_dimensions_do_not_collide() -> None:
    assert len(keyed(3)._bits((30, 40, 50)).flatten().unique()) == 3 * 30 * 40 * 50


def test_empty_and_scalar_shapes() -> None:
    stream = keyed(3)
    assert stream.uniform().shape == stream.normal().shape == stream.integers(high=4).shape == stream.bernoulli().shape == (3,)
    assert stream.uniform(0).shape == stream.normal(0).shape == (3, 0)
    assert keyed(0).normal(5).shape == (0, 5)
    assert len(stream) == 3


def test_keys_are_checked() -> None:
    for keys in (torch.zeros(3), torch.zeros(2, 2, dtype=torch.int64), torch.zeros(2, dtype=torch.int32)):
        with pytest.raises(ValueError, match="int64"):
            KeyedRandom(keys)


@pytest.mark.parametrize("device", ["cpu", *(["cuda"] if torch.cuda.is_available() else [])])
def test_draws_are_on_the_device_of_the_index_and_equal_those_of_the_cpu(device: str) -> None:
    there, here = KeyedRandom.for_examples(0, 0, torch.arange(5, device=device)), keyed(5)
    for stream in (there, there.fold("a"), there.shared):
        assert stream.device.type == stream.uniform(2).device.type == stream.permutation(3).device.type == device
    assert torch.equal(KeyedRandom.for_examples(0, 0, torch.arange(5, device=device)).uniform(9).cpu(), here.uniform(9))


# ---- the stream of the whole batch


def test_the_shared_stream_is_that_of_the_step_not_of_the_examples() -> None:
    def shared(seed: int = 0, step: int = 4, index: tuple[int, ...] = (1, 2), epoch: int = 0) -> Tensor:
        return KeyedRandom.for_examples(seed, epoch, torch.tensor(index), step=step).fold("crop").shared.uniform(6)

    assert shared().shape == (1, 6)
    assert torch.equal(shared(), shared(index=(7, 8, 9)))
    assert not torch.equal(shared(), shared(step=5))
    assert not torch.equal(shared(), shared(seed=1))
    many = torch.cat([shared(step=step) for step in range(2000)])
    assert stats.kstest(many.flatten().numpy(), "uniform").pvalue > ALPHA
    assert abs(correlation(many[1:], many[:-1])) < 4 / math.sqrt(many[1:].numel())


def test_successive_draws_of_the_shared_stream_differ() -> None:
    stream = keyed()
    assert not torch.equal(stream.shared.uniform(8), stream.shared.uniform(8))


def test_without_a_shared_key_there_is_a_readable_error() -> None:
    with pytest.raises(ValueError, match="for_examples"):
        _ = KeyedRandom(torch.tensor([1])).shared


# ---- orders and torch's own generator


def test_shuffled_visits_everything_in_another_order_each_epoch() -> None:
    orders = torch.stack([shuffled(1000, seed=0, epoch=epoch) for epoch in range(20)])
    assert bool((orders.sort(dim=1).values == torch.arange(1000)).all())
    # Two independent orders agree in 1 place on average; rank correlation has deviation 1/sqrt(n-1).
    agreements = torch.stack([(orders[i] == orders[j]).sum() for i in range(20) for j in range(i)])
    assert 0.5 < float(agreements.double().mean()) < 1.5
    assert float((torch.corrcoef(orders.double()) - torch.eye(20)).abs().max()) < 4.5 / math.sqrt(999)
    assert not torch.equal(shuffled(1000, 1, 0), orders[0])
    assert torch.equal(shuffled(1000, 0, 3), orders[3])
    assert shuffled(0, 0, 0).shape == (0,)


def test_nothing_touches_the_global_generator() -> None:
    state = torch.get_rng_state()
    stream = keyed().fold("a")
    for draw in (stream.uniform, stream.normal, stream.bernoulli, stream.permutation, stream.shared.uniform):
        draw(3)
    stream.integers(3, high=3)
    shuffled(10, 0, 0)
    assert torch.equal(torch.get_rng_state(), state)


def test_seeded_scope_is_repeatable_and_puts_the_global_generator_back() -> None:
    state = torch.get_rng_state()
    draws = []
    for values in (("step", 1), ("step", 1), ("step", 2), (1, "step")):
        with seeded_scope(5, *values):
            draws.append(torch.rand(4))
    with pytest.raises(RuntimeError, match="inside"), seeded_scope(5):
        torch.rand(1)
        raise RuntimeError("inside")
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2]) and not torch.equal(draws[0], draws[3])
