"""The open recordings give the figures that they are known for."""

import os

import numpy as np
import pytest

from antiphon.domains.eeg import load

pytestmark = pytest.mark.skipif("ANTIPHON_DOWNLOADS" not in os.environ, reason="set ANTIPHON_DOWNLOADS=1 to download (93 MB)")


def test_motor_imagery_by_band_power() -> None:
    from scipy.signal import welch
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
    from sklearn.model_selection import StratifiedKFold, cross_val_score

    data, _ = load(
        "biosig-motor-imagery", events={"769": "left", "770": "right"}, start_s=0.5, window_s=3.5, test_share=0, in_memory=True
    )
    frequencies, density = welch(data.signals[:, :3], 256, nperseg=256)
    bands = [(8, 12), (12, 16), (16, 24), (24, 30)]
    features = [np.log(density[..., (frequencies >= low) & (frequencies < high)].mean(axis=-1)) for low, high in bands]
    lda = LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto")
    scores = cross_val_score(
        lda, np.concatenate(features, axis=1), data.labels, cv=StratifiedKFold(5, shuffle=True, random_state=0)
    )
    assert len(data) == 40 and 0.9 <= scores.mean() <= 1.0


def test_named_conditions_by_logistic_regression() -> None:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    train, test = load("neurokit-erp", by="time", test_share=0.3)
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=2000))
    score = model.fit(train.signals.reshape(len(train), -1), train.labels).score(test.signals.reshape(len(test), -1), test.labels)
    assert (len(train), len(test)) == (204, 84) and 0.4 < score < 0.6
    assert len(set(train.texts)) == 4 and 1 < train.signals.std() < 50
