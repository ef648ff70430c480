from itertools import pairwise

import numpy as np
import pytest

from antiphon.domains.eeg.brain_speech.blocks import Blocks, Cut, Heard, find_moments, same_segments


def blocks(*lengths_s: float, **options: object) -> Blocks:
    return Blocks.draw(lengths_s, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("seed", range(4))
def test_parts_are_about_as_large_as_asked(seed: int) -> None:
    made = blocks(600.0, 1200.0, 330.0, block_s=30.0, seed=seed)
    codes = np.concatenate(made.parts)
    assert np.bincount(codes).tolist() == [50, 7, 14]
    spans = sorted((sound, *span) for part in ("train", "valid", "test") for sound, *span in made.spans_s(part))
    for (sound, _, stop), (other, start, _) in pairwise(spans):  # they tile every sound
        assert start == pytest.approx(stop if other == sound else 0.0)


def test_few_blocks() -> None:
    assert sorted(np.concatenate(blocks(9.0, block_s=3.0).parts).tolist()) == [0, 1, 2]
    assert sorted(np.concatenate(blocks(9.0, block_s=4.5, shares=(0.5, 0.0, 0.5)).parts).tolist()) == [0, 2]
    with pytest.raises(ValueError, match=r"2 block\(s\) of block_s=4.5, but there are 3 parts: lower block_s"):
        blocks(9.0, block_s=4.5)
    for shares in ((0.7, 0.1, 0.1), (0.0, 0.5, 0.5), (1.2, 0.0, -0.2), (0.5, 0.5)):
        with pytest.raises(ValueError, match="must add up to 1"):
            blocks(90.0, block_s=3.0, shares=shares)
    with pytest.raises(ValueError, match="block_s is 0"):
        blocks(9.0, block_s=0.0)


def test_a_stretch_belongs_to_a_part_only_as_a_whole() -> None:
    made = Blocks((40.0, 20.0), (np.asarray([0, 0, 2, 0]), np.asarray([2, 0])))
    assert made.block_of(0, 8.0, 12.0, "train") == 0  # across two blocks of one part
    assert made.block_of(0, 18.0, 22.0, "train") is None and made.block_of(0, 18.0, 22.0, "test") is None
    assert made.block_of(0, 20.0, 30.0, "test") == 2
    assert made.block_of(1, 10.0, 20.0, "train") == 5
    assert made.block_of(1, 18.0, 21.0, "train") is None and made.block_of(0, -1.0, 2.0, "train") is None


HEARD = [Heard(0, 0, 5.0, 40.0, np.asarray([1.0, 12.0, 21.0, 28.5, 39.9])), Heard(1, 0, -3.0, 25.0, np.asarray([22.0]))]
PARTS = Blocks((40.0,), (np.asarray([0, 0, 2, 0]),))


def test_the_grid_covers_the_training_part() -> None:
    found = find_moments(HEARD[:1], PARTS, "train", at="grid", cut=Cut(segment_s=3.0, step_s=0.5))
    expected = [*np.arange(0, 17.01, 0.5), *np.arange(30.0, 37.01, 0.5)]
    np.testing.assert_allclose(found.sound_s, expected)
    np.testing.assert_allclose(found.brain_s, found.sound_s + 5.0)
    assert set(found.block.tolist()) == {0, 1, 3} and found.dropped == 10  # starts at 17.5 ... 19.5, 27.5 ... 29.5


def test_words_of_the_test_part() -> None:
    found = find_moments(HEARD, PARTS, "test", at="words", cut=Cut(segment_s=3.0, before_s=0.5))
    assert found.recording.tolist() == [0, 1]
    np.testing.assert_allclose(found.sound_s, [20.5, 21.5])
    np.testing.assert_allclose(found.brain_s, [25.5, 18.5])
    assert found.dropped == 2  # 28.5 reaches into the next block, 39.9 behind the end


def test_nothing_is_told() -> None:
    with pytest.raises(ValueError, match="no whole segment of 30 s at grid: shorten segment_s or lengthen block_s"):
        find_moments(HEARD, PARTS, "test", at="grid", cut=Cut(segment_s=30.0))
    silent = [Heard(0, 0, 0.0, 40.0, np.empty(0))]
    with pytest.raises(ValueError, match=r"at words: .* give segments at grid"):
        find_moments(silent, PARTS, "test", at="words", cut=Cut())
    with pytest.raises(ValueError, match="unknown place of segments 'sentences'"):
        find_moments(HEARD, PARTS, "test", at="sentences", cut=Cut())  # type: ignore[arg-type]


@pytest.mark.parametrize("wrong", [{"before_s": 3.0}, {"step_s": 0.0}, {"delay_s": 3.0}, {"before_s": 0.0}])
def test_lengths_that_leave_nothing(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="a segment needs step_s > 0"):
        Cut(**wrong)


def test_the_same_word_on_two_clocks_is_one_segment() -> None:
    sound = np.asarray([0, 0, 1, 0, 0, 1])
    times = np.asarray([2.0, 5.0, 2.0, 2.012, 5.3, 1.99])
    assert same_segments(sound, times).tolist() == [0, 1, 3, 0, 2, 3]
