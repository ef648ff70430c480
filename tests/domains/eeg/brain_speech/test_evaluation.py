from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from antiphon.common.encoder import Encoder, InputSpec
from antiphon.domains.eeg.brain_speech import (
    Cut,
    SpeechSegments,
    cut_parts,
    listening_from_trials,
    segment_ranks,
    segment_retrieval,
)
from antiphon.domains.eeg.brain_speech.evaluation import block_interval

FEATURES = 4


class Copying(Encoder):
    """Gives the signals as frames, which here are the speech itself; with a length of its own, or nothing at all."""

    def __init__(self, scale: float) -> None:
        super().__init__(embedding_dim=FEATURES, input_spec=InputSpec(channels=FEATURES), config={})
        self.scale = scale

    def encode(
        self,
        signals: Tensor,
        lengths: Tensor | None = None,
        *,
        mask: Tensor | None = None,
        context: Mapping[str, Any] | None = None,
    ) -> Tensor:
        assert context is not None and len(context["subject"]) == len(signals)
        return self.scale * signals.mT


def listeners(noise: float) -> tuple[SpeechSegments, SpeechSegments]:
    """Three participants whose signals are the features of 60 segments, and noise."""
    random = np.random.default_rng(0)
    speech = random.normal(size=(60, FEATURES, 50))
    segment = np.tile(np.arange(60), 3)
    brain = speech[segment] + noise * random.normal(size=(180, FEATURES, 50))
    listening = listening_from_trials(brain, np.repeat(np.arange(3), 60), speech, segment, sample_rate=50.0)
    return cut_parts(listening, cut=Cut(segment_s=1.0, before_s=0.5, delay_s=0.0), at="grid")


def test_ranks_against_a_loop() -> None:
    _, test = listeners(4.0)
    offered = test.speech(test.candidates())
    expected = []
    for row in range(len(test)):
        brain = test.batch([row]).signals[0].numpy().T
        scores = [float((brain * one).sum() / np.sqrt((one**2).sum())) for one in offered]
        expected.append(1 + sum(score > scores[test.segment[row]] for score in scores))
    assert segment_ranks(Copying(1.0), test, batch_size=7).tolist() == expected and 1 < np.mean(expected) < 6


def test_perfect_and_useless() -> None:
    train, test = listeners(0.0)
    found = segment_retrieval(Copying(3.0), train, test, ks=(5, 1))
    assert found == {"top_5": 1.0, "top_1": 1.0, "top_5_low": 1.0, "top_5_high": 1.0, "chance_top_5": 5 / 12, "segments": 12.0}
    nothing = segment_retrieval(Copying(0.0), train, test, ks=(5, 1))
    assert nothing["top_5"] == 0.0  # all alike find nothing


def test_noise_alone_is_at_chance() -> None:
    train, test = listeners(1e4)
    found = segment_retrieval(Copying(1.0), train, test, ks=(5,))
    assert found["top_5_low"] - 0.2 < 5 / 12 < found["top_5_high"] + 0.2 and found["top_5"] < 0.75


def test_more_than_there_are() -> None:
    train, test = listeners(0.0)
    with pytest.raises(ValueError, match=r"12 different segments: top-20 needs more, or give evaluation.ks"):
        segment_retrieval(Copying(1.0), train, test, ks=(20,))


def test_the_interval_draws_whole_blocks() -> None:
    """Hits that come and go by block are as uncertain as the number of blocks says, however many examples each has."""
    random = np.random.default_rng(0)
    blocks = np.repeat(np.arange(40), 50)
    by_block, one_by_one = random.uniform(size=40)[blocks] < 0.5, random.uniform(size=2000) < 0.5
    width = [np.ptp(block_interval(hits, blocks)) for hits in (by_block, one_by_one)]
    assert 0.25 < width[0] < 0.37 and 0.03 < width[1] < 0.06  # 2 * 1.96 * .5 / sqrt(40), / sqrt(2000)
    assert block_interval(by_block, blocks) == block_interval(by_block, blocks)
    assert all(np.isnan(block_interval(by_block, np.zeros(2000, np.int64))))


def test_the_encoder_is_left_in_its_mode() -> None:
    _, test = listeners(0.0)
    encoder = Copying(1.0).train()
    segment_ranks(encoder, test)
    assert encoder.training and torch.is_grad_enabled()
