import pytest
import torch
from torch import Tensor

from antiphon.common.queue import Queue

EYE = torch.eye(7)


def numbers(queue: Queue) -> list[int]:
    """Which rows of EYE the queue holds, place by place."""
    return queue.rows().argmax(dim=1).tolist()


def filled(size: int, *counts: int) -> Queue:
    queue, start = Queue(size, 7), 0
    for count in counts:
        queue.enqueue(EYE[torch.arange(start, start + count) % 7])
        start += count
    return queue


def test_only_what_was_put_in_comes_out() -> None:
    queue = Queue(5, 7)
    assert queue.rows().shape == (0, 7) and len(queue) == 0
    queue.enqueue(EYE[:3])
    assert numbers(queue) == [0, 1, 2] and len(queue) == 3


@pytest.mark.parametrize("counts", [(3, 3), (5, 1), (1,) * 6, (2, 0, 4), (6,)])
def test_the_oldest_goes_first_whatever_the_batches_are(counts: tuple[int, ...]) -> None:
    assert sorted(numbers(filled(5, *counts))) == [1, 2, 3, 4, 5]


def test_every_slot_is_replaced_after_enough_steps_and_the_place_of_the_next_goes_round() -> None:
    queue = filled(5, 3)
    places = [numbers(queue)]
    for start in (3, 6):
        queue.enqueue(EYE[torch.arange(start, start + 3) % 7])
        places.append(numbers(queue))
    assert places == [[0, 1, 2], [5, 1, 2, 3, 4], [5, 6, 0, 1, 4]]
    assert int(queue.position) == 4 and int(queue.filled) == 5


def test_rows_are_unit_copies_without_gradient() -> None:
    queue = Queue(4, 7)
    keys = (EYE[:2] * 3.0).requires_grad_()
    queue.enqueue(keys)
    rows = queue.rows()
    assert not rows.requires_grad and rows.norm(dim=1).tolist() == [1.0, 1.0]
    rows.zero_()
    assert queue.keys.any()


def test_a_checkpoint_carries_everything() -> None:
    queue, resumed = filled(5, 3), Queue(5, 7)
    resumed.load_state_dict(queue.state_dict())
    for one in (queue, resumed):
        one.enqueue(EYE[3:7])
    assert numbers(queue) == numbers(resumed)


@pytest.mark.parametrize("keys", [torch.ones(2, 3), torch.ones(7)])
def test_keys_of_another_length_are_refused(keys: Tensor) -> None:
    with pytest.raises(ValueError, match="length 7"):
        Queue(5, 7).enqueue(keys)


def test_an_impossible_queue_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        Queue(0, 7)
