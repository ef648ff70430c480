"""The scikit-learn face keeps scikit-learn's contract, and learns by a recipe."""

import pickle

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import estimator_checks_generator

from antiphon.domains.time_series import ContrastiveTransformer

TINY = ("encoder.hidden_dim=4", "encoder.embedding_dim=6", "encoder.depth=2")


def tiny(**options) -> ContrastiveTransformer:
    return ContrastiveTransformer(steps=2, overrides=TINY, **options)


CHECKS = list(estimator_checks_generator(tiny()))


def test_there_are_checks() -> None:
    assert len(CHECKS) > 40


@pytest.mark.parametrize(
    ("estimator", "check"), CHECKS, ids=lambda value: getattr(getattr(value, "func", None), "__name__", "estimator")
)
def test_scikit_learn_contract(estimator, check) -> None:
    check(estimator)


@pytest.fixture(scope="module")
def series() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(12, 2, 20)).astype(np.float32)


def test_the_same_seed_gives_the_same_embeddings(series: np.ndarray) -> None:
    first, again, other = (tiny(seed=seed).fit(series).transform(series) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert first.shape == (12, 6) and not np.array_equal(first, other)


def test_two_dimensions_are_one_channel(series: np.ndarray) -> None:
    flat = series[:, 0]
    np.testing.assert_array_equal(tiny().fit(flat).transform(flat), tiny().fit(flat[:, None]).transform(flat[:, None]))


def test_missing_values_and_another_length(series: np.ndarray) -> None:
    with_gaps = series.copy()
    with_gaps[:, :, 3:6] = np.nan
    fitted = tiny().fit(with_gaps)
    assert np.isfinite(fitted.transform(with_gaps)).all()
    assert fitted.transform(series[:, :, :15]).shape == (12, 6)


def test_padding_with_nan_changes_nothing(series: np.ndarray) -> None:
    fitted = tiny().fit(series)
    padded = np.pad(series, ((0, 0), (0, 0), (0, 7)), constant_values=np.nan)
    np.testing.assert_allclose(fitted.transform(padded), fitted.transform(series), rtol=1e-5, atol=1e-6)


def test_features_have_names(series: np.ndarray) -> None:
    fitted = tiny().set_output(transform="pandas").fit(series)
    assert list(fitted.transform(series).columns) == [f"contrastivetransformer{number}" for number in range(6)]


def test_fitted_transformers_travel(series: np.ndarray) -> None:
    fitted = tiny().fit(series)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(fitted)).transform(series), fitted.transform(series))
    assert clone(fitted).get_params() == fitted.get_params()


@pytest.mark.parametrize("recipe", ["softclt", "ts_tcc", "simclr"])
def test_other_recipes_in_a_pipeline(recipe: str, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("ANTIPHON_CACHE", str(tmp_path))
    signals = np.random.default_rng(0).normal(size=(12, 1, 80)).astype(np.float32)
    labels = np.arange(12) % 2
    signals[labels == 1] += 3.0
    small = {"simclr": ("encoder.blocks=[1,1]", "encoder.width=4"), "ts_tcc": (), "softclt": TINY}[recipe]
    pipeline = make_pipeline(ContrastiveTransformer(recipe, steps=2, overrides=small), LogisticRegression())
    assert pipeline.fit(signals, labels).predict(signals).shape == (12,)


def test_wrong_input_is_named(series: np.ndarray) -> None:
    with pytest.raises(ValueError, match="unknown recipe 'time_series/nonsense'"):
        ContrastiveTransformer("nonsense").fit(series)
    fitted = tiny().fit(series)
    with pytest.raises(ValueError, match="X has 1 features, but ContrastiveTransformer is expecting 2"):
        fitted.transform(series[:, :1])
    with pytest.raises(ValueError, match=r"infinity|inf"):
        tiny().fit(np.full((4, 10), np.inf))


def test_torch_stays_seeded_by_its_owner(series: np.ndarray) -> None:
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    tiny().fit(series)
    assert torch.equal(torch.rand(1), expected)
