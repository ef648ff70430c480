import pytest
import torch

from antiphon.common.data.batch import SignalBatch, length_mask


def test_length_mask() -> None:
    assert length_mask(torch.tensor([0, 2, 3]), 3).tolist() == [[False] * 3, [True, True, False], [True] * 3]


def test_to_moves_every_tensor_and_keeps_the_rest() -> None:
    two = torch.arange(2)
    batch = SignalBatch(
        torch.zeros(2, 1, 4), two, two, labels={"label": two}, texts=["a", "b"], context={"positions": two, "name": "x"}, step=7
    )
    moved = batch.to("meta")
    assert moved.signals.device.type == moved.labels["label"].device.type == moved.context["positions"].device.type == "meta"
    assert (moved.texts, moved.context["name"], moved.step) == (["a", "b"], "x", 7)
    assert batch.signals.device.type == "cpu"


def test_shapes_are_checked() -> None:
    with pytest.raises(ValueError, match=r"\(batch, channels, time\), got shape \(2, 4\)"):
        SignalBatch(torch.zeros(2, 4), torch.zeros(2), torch.zeros(2))
    with pytest.raises(ValueError, match=r"lengths must be \(2,\)"):
        SignalBatch(torch.zeros(2, 1, 4), torch.zeros(3), torch.zeros(2))
