"""Series with marked anomalies."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from antiphon.domains.time_series.evaluation import LabelledSeries

_BUNDLED = {  # name -> file inside aeon, training samples (None: the first half)
    "KDD-TSAD_135": ("KDD-TSAD_135/135_UCR_Anomaly_InternalBleeding16_TEST.csv", 1200),
    "Daphnet_S06R02E0": ("Daphnet_S06R02E0/S06R02E0.csv", None),
}


def load_anomaly(data: str | Path, *, train_length: int | None = None) -> LabelledSeries:
    """One series with anomaly labels: a set inside aeon by name, or a CSV file.

    * "KDD-TSAD_135": UCR anomaly set 135, InternalBleeding16: 7501 samples, the first 1200 for training, one anomaly at 4187-4198.
    * "Daphnet_S06R02E0": nine accelerometer channels, 7040 samples; this excerpt marks no anomaly, so it serves for training and
      for counting false alarms only.
    * a path: CSV in TimeEval's layout: a header, a first column of time stamps, the channels, a last column that is 1 at anomalies.

    Args:
        data: name or path.
        train_length: samples at the start that count as training; None: as published, or half.

    Raises:
        FileNotFoundError: no such file.
        ValueError: an unknown name, or a file of another layout.
    """
    import pandas

    path = Path(data).expanduser()
    if str(data) in _BUNDLED:
        import aeon.datasets

        file, published = _BUNDLED[str(data)]
        path = Path(aeon.datasets.__file__).parent / "data" / file
        train_length = published if train_length is None else train_length
        if not path.exists():
            raise ValueError(f"this version of aeon does not contain {str(data)!r}: pass the path of a CSV file")
    elif not path.suffix:
        raise ValueError(f"unknown anomaly set {str(data)!r}: choose one of {', '.join(_BUNDLED)} or pass the path of a CSV file")
    elif not path.exists():
        raise FileNotFoundError(f"no file {str(path)!r}")
    table = pandas.read_csv(path, index_col=0)
    labels = table.iloc[:, -1].to_numpy() if table.shape[1] > 1 else np.empty(0)
    if not len(labels) or not np.isin(labels, (0, 1)).all():
        raise ValueError(f"{path} must have a column of time stamps, at least one channel, and a last column of 0 and 1")
    if train_length is not None and not 0 < train_length < len(labels):
        raise ValueError(f"train_length must lie between 0 and the {len(labels)} samples of {path.name}, got {train_length}")
    return LabelledSeries(table.iloc[:, :-1].to_numpy(np.float32).T.copy(), labels.astype(np.int64), train_length)
