import numpy as np
import pytest

from antiphon.common.evaluation import draw_labels, few_label_curve, linear_probe, svm_probe

LABELS = np.repeat(["a", "b", "c"], [40, 10, 3])


def test_draws_are_stratified_by_class():
    for shots in (1, 2, 5, 20):
        drawn = LABELS[draw_labels(LABELS, seed=0, shots=shots)]
        assert [int((drawn == name).sum()) for name in "abc"] == [min(shots, size) for size in (40, 10, 3)]
    drawn = LABELS[draw_labels(LABELS, seed=0, fraction=0.1)]
    assert [int((drawn == name).sum()) for name in "abc"] == [4, 1, 1]
    assert np.array_equal(draw_labels(LABELS, seed=0, fraction=1.0), np.arange(len(LABELS)))


def test_draws_repeat_and_nest():
    for repeat in range(3):
        small, large = (set(draw_labels(LABELS, seed=4, repeat=repeat, shots=k).tolist()) for k in (2, 7))
        assert small < large
    first = draw_labels(LABELS, seed=4, shots=5)
    assert np.array_equal(first, draw_labels(LABELS, seed=4, shots=5))
    assert not np.array_equal(first, draw_labels(LABELS, seed=5, shots=5))
    assert not np.array_equal(first, draw_labels(LABELS, seed=4, repeat=1, shots=5))


def test_the_probe_trains_on_training_rows_only_and_is_tested_on_all():
    train, test = np.arange(53.0)[:, None], 1000 + np.arange(20.0)[:, None]
    test_labels = LABELS[:20]
    calls = []

    def spy(train_x, train_y, test_x, test_y, /):
        calls.append(train_x[:, 0].astype(int))
        assert np.array_equal(train_y, LABELS[calls[-1]])
        assert np.array_equal(test_x, test) and np.array_equal(test_y, test_labels)
        return linear_probe(train_x, train_y, test_x, test_y)

    curve = few_label_curve(train, LABELS, test, test_labels, shots=(1, 4), repeats=3, seed=7, probe=spy)
    expected = [draw_labels(LABELS, seed=7, repeat=repeat, shots=k) for k in (1, 4) for repeat in range(3)]
    assert all(np.array_equal(call, rows) for call, rows in zip(calls, expected, strict=True))
    assert (curve.budgets, curve.n_train, curve.scores.shape) == ((1.0, 4.0), (3, 11), (2, 3))


def test_mean_and_spread():
    rng = np.random.default_rng(0)
    labels = np.arange(200) % 2
    rows = rng.normal(size=(200, 4)) + 1.2 * labels[:, None]
    curve = few_label_curve(
        rows[:100], labels[:100], rows[100:], labels[100:], fractions=(0.02, 0.5), repeats=4, probe=svm_probe, metric="macro_f1"
    )
    assert np.allclose(curve.mean, curve.scores.mean(axis=1))
    assert np.allclose(curve.std, curve.scores.std(axis=1, ddof=1))
    assert curve.mean[1] > curve.mean[0]
    assert curve.std[0] > curve.std[1]
    single = few_label_curve(rows[:100], labels[:100], rows[100:], labels[100:], shots=(1,), repeats=1)
    assert single.std.tolist() == [0.0]


@pytest.mark.parametrize("options", [{}, {"shots": (1,), "fractions": (0.1,)}, {"shots": (1,), "repeats": 0}])
def test_ambiguous_requests_are_refused(options):
    with pytest.raises(ValueError, match="give shots or fractions"):
        few_label_curve(np.eye(2), [0, 1], np.eye(2), [0, 1], **options)


def test_unknown_metrics_and_budgets_are_refused():
    with pytest.raises(ValueError, match="accuracy, balanced_accuracy"):
        few_label_curve(np.eye(2), [0, 1], np.eye(2), [0, 1], shots=(1,), metric="f2")
    with pytest.raises(ValueError, match="shots must be at least 1"):
        draw_labels([0, 1], seed=0, shots=0)
    with pytest.raises(ValueError, match="fraction in"):
        draw_labels([0, 1], seed=0, fraction=1.5)
    with pytest.raises(ValueError, match="either shots or fraction"):
        draw_labels([0, 1], seed=0)
