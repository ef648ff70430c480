"""The head that is trained on frozen embeddings: it learns, stops in time, and is scored as the papers do."""

import numpy as np
import pytest

from antiphon.common.evaluation.trained_head import HeadSettings, tag_scores, train_head

RANDOM = np.random.default_rng(0)
EMBEDDINGS = RANDOM.normal(size=(400, 8)).astype(np.float32)
TAGS = (EMBEDDINGS[:, :3] > 0.5).astype(np.int64)
FAST = HeadSettings(lr=0.02, max_epochs=30)


def test_tags_are_learnt() -> None:
    head = train_head(EMBEDDINGS[:200], TAGS[:200], EMBEDDINGS[200:300], TAGS[200:300], classes=3, settings=FAST)
    scores = tag_scores(head.probabilities(EMBEDDINGS[300:]), TAGS[300:])
    assert scores["roc_auc"] > 0.95 and scores["pr_auc"] > 0.9 and scores["tags_scored"] == 3


def test_classes_are_learnt_and_a_hidden_layer_learns_what_a_line_cannot() -> None:
    labels = (EMBEDDINGS[:, 0] * EMBEDDINGS[:, 1] > 0).astype(np.int64)
    parts = (EMBEDDINGS[:300], labels[:300], EMBEDDINGS[300:350], labels[300:350])
    accuracy = {}
    for hidden in (None, 64):
        settings = HeadSettings(hidden_dim=hidden, lr=0.02, max_epochs=60)
        chances = train_head(*parts, classes=2, settings=settings).probabilities(EMBEDDINGS[350:])
        np.testing.assert_allclose(chances.sum(axis=1), 1.0, rtol=1e-5)
        accuracy[hidden] = (chances.argmax(axis=1) == labels[350:]).mean()
    assert accuracy[64] > 0.8 > 0.7 > accuracy[None]


def test_it_stops_when_validation_stands_still_and_keeps_its_best() -> None:
    noise = RANDOM.integers(2, size=(40, 1))
    settings = HeadSettings(hidden_dim=64, lr=0.02, patience=3)
    head = train_head(EMBEDDINGS[:40], noise, EMBEDDINGS[40:80], RANDOM.integers(2, size=(40, 1)), classes=1, settings=settings)
    assert head.epochs < 30


def test_the_same_seed_gives_the_same_head() -> None:
    first, second, other = (
        train_head(EMBEDDINGS[:50], TAGS[:50], EMBEDDINGS[50:80], TAGS[50:80], classes=3, settings=FAST, seed=seed).probabilities(
            EMBEDDINGS[80:]
        )
        for seed in (1, 1, 2)
    )
    assert np.array_equal(first, second) and not np.array_equal(first, other)


def test_tags_that_cannot_be_scored_are_left_out_and_counted() -> None:
    scores = tag_scores(np.array([[0.9, 0.1, 0.3], [0.2, 0.3, 0.4]]), np.array([[1, 0, 1], [0, 0, 1]]))
    assert scores == {"roc_auc": 1.0, "pr_auc": 1.0, "tags_scored": 1.0}
    with pytest.raises(ValueError, match="none of 1 tags"):
        tag_scores(np.ones((2, 1)), np.ones((2, 1)))
