"""A loader whose batches are a function of (seed, step): shuffled, resumable inside an epoch, the same on any number of ranks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from antiphon.common.data.batch import SignalBatch
from antiphon.common.random import shuffled


class BatchSource(Protocol):
    """Examples that can be fetched by row, many at once.

    A source that has a method ``order(seed, epoch)`` says by it in which order (n,) int64 an epoch visits the examples, as
    `antiphon.common.data.shards.ShardSet` does; it must depend on nothing else. The others are shuffled.
    """

    def __len__(self) -> int: ...

    def batch(self, index: NDArray[np.int64], *, epoch: int = 0) -> SignalBatch:
        """The examples in rows `index` (B,); `epoch` says which windows, for a source that draws them anew in every epoch."""


class _Fetcher(Dataset[Any]):
    """Lets a torch DataLoader ask a BatchSource for whole batches; each request carries its own epoch and step."""

    def __init__(self, source: BatchSource) -> None:
        self.source = source

    def __getitems__(self, request: Sequence[Any]) -> SignalBatch:
        epoch, step, rows = request
        return replace(self.source.batch(rows, epoch=epoch), epoch=epoch, step=step)


def _as_is(batch: SignalBatch) -> SignalBatch:
    return batch


class KeyedLoader:
    """Yields `steps` batches, epoch after epoch without a pause, as one long pass.

    `batch_size` counts the examples of all ranks together: rank r of W takes the r-th of W equal parts, so that a run on two
    processes sees what a run on one sees.

    `drop_last` leaves out an epoch's incomplete batch; one of a single example, which has nothing to be contrasted with, is always
    left out, and a set smaller than a batch is always used whole. `workers` > 0 fetches ahead in processes.

    `position` is the number of batches consumed; `state_dict` holds it, and a loader that gets it back continues with the next
    batch, in the middle of an epoch too.
    """

    def __init__(
        self,
        source: BatchSource,
        *,
        batch_size: int,
        steps: int,
        seed: int = 0,
        drop_last: bool = True,
        workers: int = 0,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        if len(source) == 0:
            raise ValueError("the training set is empty: check the path and the file format")
        if batch_size < world_size:
            raise ValueError(f"batch_size={batch_size} is smaller than the number of processes ({world_size}): raise it")
        self.source, self.steps, self.seed, self.workers = source, steps, seed, workers
        self.batch_size = min(batch_size, len(source))
        self.rank, self.world_size = rank, world_size
        whole, rest = divmod(len(source), self.batch_size)
        self.steps_per_epoch = whole if drop_last or rest < 2 else whole + 1
        self.position = 0

    def __len__(self) -> int:
        return self.steps

    def _order(self, epoch: int) -> NDArray[np.int64]:
        own = getattr(self.source, "order", None)
        rows: Tensor = shuffled(len(self.source), self.seed, epoch) if own is None else own(self.seed, epoch)
        return rows.numpy()

    def _requests(self, start: int) -> Iterator[tuple[int, int, NDArray[np.int64]]]:
        order: NDArray[np.int64] | None = None
        for step in range(start, self.steps):
            epoch, place = divmod(step, self.steps_per_epoch)
            if order is None or place == 0:
                order = self._order(epoch)
            rows = order[place * self.batch_size : (place + 1) * self.batch_size]
            yield epoch, step, np.array_split(rows, self.world_size)[self.rank]

    def __iter__(self) -> Iterator[SignalBatch]:
        fetcher, requests = _Fetcher(self.source), self._requests(self.position)
        if self.workers:
            batches: Iterator[SignalBatch] = iter(
                DataLoader(fetcher, batch_sampler=requests, collate_fn=_as_is, num_workers=self.workers)  # type: ignore[arg-type]
            )
        else:
            batches = map(fetcher.__getitems__, requests)
        for batch in batches:
            self.position += 1
            yield batch

    def state_dict(self) -> dict[str, int]:
        """How many batches were consumed."""
        return {"position": self.position}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Continue after `state["position"]` batches."""
        self.position = state["position"]
