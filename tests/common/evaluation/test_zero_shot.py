"""Zero-shot: scores against plain arithmetic, prompts that are averaged, windows that are, and hashes that tell settings apart."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import normalize

import antiphon
from antiphon.common.data.batch import SignalBatch
from antiphon.common.evaluation.zero_shot import (
    ZeroShot,
    cross_modal_retrieval,
    embed_windows,
    prompt_embeddings,
    settings_hash,
    task_for,
    two_tower_scores,
)
from antiphon.common.text import PromptSet, PromptTask, label_task
from antiphon.common.two_towers import SignalSide, TextSide, TwoTowers

WORDS = ("low", "high", "noise", "something else")


class Known(nn.Module):
    """Stands for two towers whose space is known: axis k is WORDS[k], for a text by its words and for a signal by its level."""

    def __init__(self, *, scale: float = 4.0, bias: float | None = None, prompts: PromptSet | None = None) -> None:
        super().__init__()
        self.scale, self.bias, self.prompts, self.device = scale, bias, prompts, torch.device("cpu")
        self.encoder = antiphon.create_encoder("ts2vec", in_channels=1, hidden_dim=2, embedding_dim=4, depth=1).eval()

    def embed_texts(self, texts: Sequence[str]) -> Tensor:
        return torch.stack([torch.eye(4)[[word in text for word in WORDS].index(True)] for text in texts])

    def embed_signals(self, signals: NDArray, lengths: NDArray, *, context=None) -> NDArray:
        level = signals.mean(axis=(1, 2)).round().astype(int)
        return normalize(torch.eye(4)[level] + 0.1, dim=-1).numpy()

    def fingerprint(self) -> str:
        return f"known {self.scale} {self.bias}"


@dataclass
class Levels:
    """Recordings of two windows each, whose levels name their classes; the second window may tell another story."""

    levels: list[tuple[int, int]]
    labels: NDArray | None
    texts: list[str] | None = None
    classes: tuple[str, ...] = ("low", "high", "noise")
    groups: None = None
    rows: NDArray = field(default_factory=lambda: np.zeros(0, np.int64))
    starts: NDArray = field(default_factory=lambda: np.zeros(0, np.int64))

    def __post_init__(self) -> None:
        if not len(self.rows):
            self.rows, self.starts = np.arange(len(self.levels)), np.zeros(len(self.levels), np.int64)

    def __len__(self) -> int:
        return len(self.rows)

    def batch(self, index, *, epoch: int = 0) -> SignalBatch:
        chosen = np.asarray(index)
        values = [self.levels[row][start] for row, start in zip(self.rows[chosen], self.starts[chosen], strict=True)]
        signals = torch.tensor(values, dtype=torch.float32)[:, None, None].expand(-1, 1, 8)
        return SignalBatch(signals, torch.full((len(chosen),), 8), torch.as_tensor(chosen))

    def fixed_windows(self) -> tuple["Levels", NDArray]:
        if len(self.rows) != len(self.levels):
            return self, np.arange(len(self))
        owners = np.repeat(np.arange(len(self)), 2)
        cut = replace(
            self,
            rows=self.rows[owners],
            starts=np.tile([0, 1], len(self)),
            labels=None if self.labels is None else self.labels[owners],
            texts=None if self.texts is None else [self.texts[row] for row in owners],
        )
        return cut, owners


def test_prompts_of_a_class_are_averaged_as_unit_vectors(letters) -> None:
    torch.manual_seed(0)
    encoder = antiphon.create_encoder("ts2vec", in_channels=1, hidden_dim=2, embedding_dim=6, depth=1)
    model = TwoTowers(SignalSide(encoder), TextSide(letters()), scale=1.0)
    rows = normalize(letters().embed_texts(["ab", "xyz", "q"]).detach(), dim=-1)
    found = prompt_embeddings(model, [["ab", "xyz"], ["q"]])
    torch.testing.assert_close(found, torch.stack([normalize(rows[0] + rows[1], dim=0), rows[2]]))
    torch.testing.assert_close(prompt_embeddings(model, [["xyz", "ab", "ab", "xyz"], ["q"]]), found)


def test_one_of_several_is_a_softmax_of_scaled_cosines() -> None:
    classifier = ZeroShot.of(Known(scale=3.0), label_task(["low", "high", "noise"]))
    (scores,) = classifier.scores(2.0 * torch.tensor([[0.8, 0.6, 0.0, 0.0]]))
    weights = [math.exp(3.0 * cosine) for cosine in (0.8, 0.6, 0.0)]
    np.testing.assert_allclose(scores, np.array(weights) / sum(weights), rtol=1e-6)


def test_several_of_several_compare_each_with_the_background() -> None:
    task = label_task(["low", "high"], multi_label=True)
    (scores,) = ZeroShot.of(Known(scale=3.0), task, multi_label=True).scores(torch.tensor([[0.8, 0.0, 0.0, 0.6]]))
    np.testing.assert_allclose(scores, [1 / (1 + math.exp(-3.0 * (0.8 - 0.6))), 1 / (1 + math.exp(3.0 * 0.6))], rtol=1e-6)
    pair = ZeroShot.of(Known(scale=3.0), label_task(["low", "something else"])).scores(torch.tensor([[0.8, 0.0, 0.0, 0.6]]))
    assert pair[0, 0] == pytest.approx(scores[0])  # the softmax over a label and its background


def test_a_sigmoid_model_answers_by_its_own_bias() -> None:
    task = PromptTask("t", {"low": ("low",), "high": ("high",)})
    (scores,) = ZeroShot.of(Known(scale=3.0, bias=-1.5), task, multi_label=True).scores(torch.tensor([[0.8, 0.6, 0.0, 0.0]]))
    np.testing.assert_allclose(scores, [1 / (1 + math.exp(1.5 - 3.0 * cosine)) for cosine in (0.8, 0.6)], rtol=1e-6)


def test_questions_without_an_answer_are_refused() -> None:
    with pytest.raises(ValueError, match="no background prompts"):
        ZeroShot.of(Known(), PromptTask("t", {"low": ("low",), "high": ("high",)}), multi_label=True)
    with pytest.raises(ValueError, match="single label 'low'"):
        ZeroShot.of(Known(), label_task(["low"], multi_label=True))


def test_hashes_tell_settings_apart() -> None:
    task = label_task(["low", "high"], templates=["a {}"])
    base = settings_hash(Known(), task)
    assert base == settings_hash(Known(), label_task(["low", "high"], templates=["a {}"], background=["x"]))  # it is not read
    several = label_task(["low", "high"], templates=["a {}"], multi_label=True)
    different = {
        base,
        settings_hash(Known(scale=5.0), task),
        settings_hash(Known(), label_task(["low", "high"], templates=["the {}"])),
        settings_hash(Known(), several, multi_label=True),
        settings_hash(Known(), several, multi_label=True, threshold=0.4),
    }
    assert len(different) == 5 and len(base) == 8


def test_windows_are_averaged_before_the_answer() -> None:
    """A recording whose windows are of two classes has half of each, and counts as one recording and as two windows."""
    data = Levels([(0, 0), (1, 1), (2, 2), (0, 0)], np.array([0, 1, 2, 1]))
    data.levels[3] = (1, 0)
    embedded = embed_windows(Known(), data)
    assert embedded.owners.tolist() == [0, 0, 1, 1, 2, 2, 3, 3] and embedded.firsts.tolist() == [0, 2, 4, 6]
    scores = embedded.by_recording(ZeroShot.of(Known(), label_task(data.classes)).scores(embedded.embeddings))
    np.testing.assert_allclose(scores[3], scores[:2].mean(axis=0))
    found = two_tower_scores(Known(), data, data, probe=None)
    assert found["zero_shot_window_balanced_accuracy"] == pytest.approx((1 + 3 / 4 + 1) / 3)


def test_windows_that_are_examples_belong_to_their_rows() -> None:
    windows, _ = Levels([(0, 1), (1, 1)], np.array([0, 1])).fixed_windows()
    assert embed_windows(Known(), windows).owners.tolist() == [0, 0, 1, 1]


def test_prompt_sets_answer_for_the_classes_of_a_set() -> None:
    task = PromptTask("pitch", {"noise": ("noise",), "high": ("a high one",), "low": ("a low one",)})
    prompts = PromptSet("mine", "1", ("a {} sound",), {"pitch": task})
    data = Levels([(0, 0), (1, 1), (2, 2)], np.array([0, 1, 2]))
    for model in (Known(prompts=prompts), Known()):
        found = two_tower_scores(model, data, data, prompts=prompts, probe=None)
        assert found["zero_shot_balanced_accuracy"] == 1.0  # though the task has another order
    assert task_for(Known(prompts=prompts), ("x", "y"), prompts=PromptSet("t", "1", ("a {}",)), task=None).classes["x"] == ("a x",)
    with pytest.raises(ValueError, match="lacks the classes hum"):
        two_tower_scores(Known(prompts=prompts), data, replace(data, classes=("low", "high", "hum")))


def test_tags_are_scored_each_by_itself() -> None:
    tags = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 0, 0]], np.float32)
    found = two_tower_scores(Known(), Levels([], None), Levels([(0, 0), (1, 1), (2, 2), (0, 0)], tags), probe=None)
    assert found == {"zero_shot_roc_auc": 1.0, "zero_shot_pr_auc": 1.0, "zero_shot_tags_scored": 3.0}


def test_retrieval_both_ways_takes_equal_texts_for_one() -> None:
    data = Levels([(0, 0), (1, 1), (2, 2), (0, 0)], None, texts=["low", "high", "noise", "low"])
    found = two_tower_scores(Known(), data, data, ks=(1, 2))
    assert found["signal_to_text_recall_at_1"] == found["text_to_signal_recall_at_1"] == 1.0
    assert found["text_to_signal_map_at_10"] == 1.0
    silent = replace(data, texts=["low", "", "noise", "low"])
    assert two_tower_scores(Known(), data, silent, ks=(1,))["signal_to_text_recall_at_1"] == 1.0
    with pytest.raises(ValueError, match="neither labels nor texts"):
        two_tower_scores(Known(), data, replace(data, texts=None))


def test_directions_are_not_swapped() -> None:
    """Two signals, three texts: one signal finds its text, and of the texts two find theirs."""
    signals, texts = np.array([[1.0, 0.0], [0.9, 0.1]]), np.array([[1.0, 0.0], [0.8, 0.6], [0.9, 0.1]])
    found = cross_modal_retrieval(signals, [0, 1], texts, [0, 0, 1], ks=(1,))
    assert (found["signal_to_text_recall_at_1"], found["text_to_signal_recall_at_1"]) == (1.0, pytest.approx(2 / 3))


def test_a_probe_stands_beside_it() -> None:
    levels = [(k, k) for k in (0, 1, 2)] * 6
    data = Levels(levels, np.array([0, 1, 2] * 6))
    found = two_tower_scores(Known(), data, data)
    assert found["probe_accuracy"] == 1.0 and found["probe_balanced_accuracy"] == 1.0
