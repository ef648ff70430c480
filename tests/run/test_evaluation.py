"""The table of a run: what is a row, and what is a remark below it."""

import math

from antiphon.run.evaluation import metric_table


def row(encoder: str, seed: int, eer: float, **others: float) -> dict[str, object]:
    return {"encoder": encoder, "seed": seed, "eer_percent": eer, "eer_percent_low": eer - 4, "eer_percent_high": eer + 6, **others}


def test_bounds_are_no_metrics() -> None:
    rows = [row("random", 0, 40.0), row("random", 1, 44.0), row("pretrained", 0, 20.0), row("pretrained", 1, 21.0)]
    table = metric_table("trials", rows)
    assert [cells[0] for cells in table.rows] == ["eer percent"]
    assert "95 % interval of eer percent within a run: random [38, 48], pretrained [16.5, 26.5]." in table.caption


def test_numbers_of_trials_are_no_metrics() -> None:
    rows = [row("random", 0, 40.0, target_trials=132.0), row("pretrained", 0, 20.0, target_trials=132.0)]
    table = metric_table("trials", rows)
    assert [cells[0] for cells in table.rows] == ["eer percent"] and "target trials 132." in table.caption


def test_without_random_encoders_and_without_a_value() -> None:
    table = metric_table("trials", [row("pretrained", 0, 20.0, recall_of_anomalies=math.nan)])
    assert [cells[0] for cells in table.rows] == ["eer percent"]
    assert table.caption == "95 % interval of eer percent within a run: pretrained [16, 26]. Not defined here: recall of anomalies."
