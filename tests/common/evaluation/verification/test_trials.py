"""Trials against plain loops: all pairs, listed pairs, enrolled speakers, crops, and score normalisation."""

import numpy as np
import pytest
import torch

from antiphon.common.evaluation.verification import (
    AllPairs,
    EnrolledSpeakers,
    ListedPairs,
    ScoreNormalization,
    scoring_vectors,
    summarize,
)
from antiphon.common.evaluation.verification import trials as trials_module
from antiphon.common.evaluation.verification.trials import Trials


@pytest.fixture
def vectors() -> np.ndarray:
    return scoring_vectors(np.random.default_rng(0).normal(size=(17, 6)))


@pytest.fixture(params=[1 << 20, 20], ids=["one block", "many blocks"])
def block_size(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(trials_module, "_BLOCK_TRIALS", request.param)
    return request.param


SPEAKERS = np.asarray(list("aaabbbbccdddddeef"))


def as_dict(trials: Trials) -> dict[tuple[int, int], tuple[float, bool]]:
    found: dict[tuple[int, int], tuple[float, bool]] = {}
    for block in trials:
        for score, target, first, second in zip(*block, strict=True):
            assert (first, second) not in found
            found[(int(first), int(second))] = (float(score), bool(target))
    return found


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))


def test_scoring_vectors_of_crops_give_the_mean_of_all_cosines() -> None:
    crops = np.random.default_rng(1).normal(size=(2, 10, 5))
    first, second = scoring_vectors(torch.from_numpy(crops))
    assert float(first @ second) == pytest.approx(np.mean([cosine(a, b) for a in crops[0] for b in crops[1]]), abs=1e-6)
    with pytest.raises(ValueError, match=r"1 of 3 embeddings are 0, NaN or infinite \(first: row 1\)"):
        scoring_vectors([[1.0, 0.0], [0.0, 0.0], [1.0, 1.0]])
    with pytest.raises(ValueError, match=r"shape \(3,\)"):
        scoring_vectors([1.0, 2.0, 3.0])


def test_all_pairs(vectors: np.ndarray, block_size: int) -> None:
    trials = AllPairs(vectors, SPEAKERS)
    found = as_dict(trials)
    assert set(found) == {(a, b) for a in range(17) for b in range(a + 1, 17)}
    for (a, b), (score, target) in found.items():
        assert score == pytest.approx(cosine(vectors[a], vectors[b]), abs=1e-6) and target == (SPEAKERS[a] == SPEAKERS[b])
    scores = trials.scores()
    assert len(scores.targets) == 3 + 6 + 1 + 10 + 1 and (np.diff(scores.nontargets) >= 0).all()


def test_listed_pairs(vectors: np.ndarray, block_size: int) -> None:
    first, second = np.asarray([0, 3, 3]), np.asarray([1, 2, 16])
    found = as_dict(ListedPairs(vectors, first, second, np.asarray([True, False, True])))
    assert {pair: target for pair, (_, target) in found.items()} == {(0, 1): True, (3, 2): False, (3, 16): True}
    assert found[(3, 16)][0] == pytest.approx(cosine(vectors[3], vectors[16]), abs=1e-6)


def test_enrolled_speakers_against_everything_else(vectors: np.ndarray, block_size: int) -> None:
    trials = EnrolledSpeakers(vectors, SPEAKERS, enrol=2, seed=1)
    enrolled = {SPEAKERS[rows[0]]: rows for rows in trials.enrolled()}
    assert set(enrolled) == {"a", "b", "d"} and all(set(SPEAKERS[rows]) == {name} for name, rows in enrolled.items())
    probes = set(range(17)) - {row for rows in enrolled.values() for row in rows.tolist()}
    found = as_dict(trials)
    assert set(found) == {(int(rows[0]), probe) for rows in enrolled.values() for probe in probes}
    for (owner, probe), (score, target) in found.items():
        rows = enrolled[SPEAKERS[owner]]
        assert score == pytest.approx(np.mean([cosine(vectors[row], vectors[probe]) for row in rows]), abs=1e-6)
        assert target == (SPEAKERS[owner] == SPEAKERS[probe])
    again, other = (EnrolledSpeakers(vectors, SPEAKERS, enrol=2, seed=seed).enrolled() for seed in (1, 2))
    assert np.array_equal(again, list(enrolled.values())) and not np.array_equal(again, other)


@pytest.mark.parametrize("enrol", [0, 5])
def test_too_many_to_enrol(vectors: np.ndarray, enrol: int) -> None:
    with pytest.raises(ValueError, match=f"enrol={enrol}: the speaker with most recordings has 5 .* from 1 to 4"):
        EnrolledSpeakers(vectors, SPEAKERS, enrol=enrol).enrolled()


@pytest.mark.parametrize("kind", ["z", "t", "s", "as"])
def test_normalisation_is_the_loop(vectors: np.ndarray, kind, block_size: int) -> None:
    cohort = scoring_vectors(np.random.default_rng(2).normal(size=(9, 6)))

    def normal(vector: np.ndarray, score: float) -> float:
        against = sorted((float(vector @ other) for other in cohort), reverse=True)
        against = against[:4] if kind == "as" else against
        mean = sum(against) / len(against)
        return (score - mean) / (sum((one - mean) ** 2 for one in against) / (len(against) - 1)) ** 0.5

    plain = as_dict(AllPairs(vectors, SPEAKERS))
    found = as_dict(AllPairs(vectors, SPEAKERS, normalization=ScoreNormalization(kind, cohort, top_k=4)))
    for (a, b), (score, _) in found.items():
        sides = normal(vectors[a], plain[(a, b)][0]), normal(vectors[b], plain[(a, b)][0])
        expected = {"z": sides[0], "t": sides[1]}.get(kind, sum(sides) / 2)
        assert score == pytest.approx(expected, rel=1e-4, abs=1e-4)
    listed = ListedPairs(
        vectors, np.asarray([2]), np.asarray([5]), np.asarray([True]), normalization=ScoreNormalization(kind, cohort, 4)
    )
    assert as_dict(listed)[(2, 5)][0] == pytest.approx(found[(2, 5)][0], rel=1e-5)


def test_normalisation_of_an_enrolled_speaker_uses_its_own_vector(vectors: np.ndarray) -> None:
    cohort = scoring_vectors(np.random.default_rng(2).normal(size=(9, 6)))
    trials = EnrolledSpeakers(vectors, SPEAKERS, enrol=2, normalization=ScoreNormalization("z", cohort))
    rows = trials.enrolled()[0]
    model = vectors[rows].mean(axis=0)
    found = as_dict(trials)
    probe = next(second for first, second in found if first == rows[0])
    against = cohort @ model
    expected = (model @ vectors[probe] - against.mean()) / against.std(ddof=1)
    assert found[(int(rows[0]), probe)][0] == pytest.approx(expected, rel=1e-4)


def test_normalisation_undoes_a_side_that_scores_high_everywhere() -> None:
    """A loud neighbour: recordings that resemble everybody get no bonus any more."""
    rng = np.random.default_rng(3)
    centre = rng.normal(size=8)
    voices = rng.normal(size=(20, 8))
    clips = np.repeat(voices, 6, axis=0) + 0.8 * rng.normal(size=(120, 8)) + rng.exponential(2.0, size=(120, 1)) * centre
    cohort = scoring_vectors(rng.normal(size=(200, 8)) + rng.exponential(2.0, size=(200, 1)) * centre)
    vectors, speakers = scoring_vectors(clips), np.repeat(np.arange(20), 6)
    plain = summarize(AllPairs(vectors, speakers).scores()).eer
    assert summarize(AllPairs(vectors, speakers, normalization=ScoreNormalization("s", cohort)).scores()).eer < plain - 0.02


def test_cohort_mistakes(vectors: np.ndarray) -> None:
    with pytest.raises(ValueError, match="unknown score normalisation 'w'"):
        ScoreNormalization("w", vectors)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="at least 2 vectors"):
        ScoreNormalization("z", vectors[:1])
    with pytest.raises(ValueError, match="dimensions"):
        ScoreNormalization("z", vectors[:, :3]).statistics(vectors)


def test_one_speaker_alone_is_an_error(vectors: np.ndarray) -> None:
    with pytest.raises(ValueError, match="at least two speakers"):
        AllPairs(vectors, np.zeros(17)).scores()
    with pytest.raises(ValueError, match="one label for each of 17"):
        next(iter(AllPairs(vectors, np.zeros(3))))
