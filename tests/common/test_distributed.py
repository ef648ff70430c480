"""Two and three gloo processes against one: losses and raw gradients, temperature included, must be equal.

Every case below is a function of the rows that a process holds. Each process runs all of them once on its part of the data (this
file is their program, too) and averages the gradients as data-parallel training does; the tests run the same functions on all rows.
"""

import os
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor

import antiphon
from antiphon.common import distributed
from antiphon.common.objectives import rows
from antiphon.common.objectives.base import ViewOutputs
from antiphon.common.pair_mining import BadPairMining
from antiphon.common.random import KeyedRandom
from antiphon.domains.time_series.methods import TSTCC

objectives = import_module("antiphon.common.objectives.info_nce")  # the package exports the function of the same name

WORLDS = (2, 3)
ROWS = 6
Split = dict[int, tuple[int, ...]]  # number of processes -> rows of each
EVEN: Split = {2: (3, 3), 3: (2, 2, 2)}
UNEVEN: Split = {2: (4, 2), 3: (1, 3, 2)}
ONE_HAS_ALL: Split = {2: (6, 0), 3: (0, 6, 0)}
Result = dict[str, Tensor]


def part(split: Split) -> slice:
    """The rows of this process; all of them where there is only one."""
    if distributed.world_size() == 1:
        return slice(0, ROWS)
    counts = split[distributed.world_size()]
    start = sum(counts[: distributed.rank()])
    return slice(start, start + counts[distributed.rank()])


def data(dim: int = 5) -> tuple[Tensor, Tensor]:
    """Two views whose content and norms differ from row to row, so that no symmetry hides a mistake."""
    generator = torch.Generator().manual_seed(11)
    views = torch.randn(2, ROWS, dim, generator=generator, dtype=torch.float64) * torch.arange(1.0, ROWS + 1)[:, None]
    return views[0], views[0] + views[1].flip(1)


def trained(loss: Callable[[Tensor, Tensor, Tensor], Tensor], split: Split) -> Result:
    """Loss and gradients of a linear encoder and a temperature."""
    weight = torch.randn(4, 5, generator=torch.Generator().manual_seed(12), dtype=torch.float64).requires_grad_()
    log_temperature = torch.tensor(-0.7, dtype=torch.float64, requires_grad=True)
    first, second = (view[part(split)] for view in data())
    value = loss(first @ weight.T, second @ weight.T, log_temperature.exp())
    value.backward()
    assert weight.grad is not None and log_temperature.grad is not None
    return averaged({"loss": value.detach(), "encoder": weight.grad, "temperature": log_temperature.grad})


def averaged(result: Result) -> Result:
    """What data-parallel training makes of each rank's numbers."""
    if distributed.world_size() > 1:
        for value in result.values():
            dist.all_reduce(value)
            value.div_(distributed.world_size())
    return result


class _OwnSlice(torch.autograd.Function):
    """A gathering whose backward pass forgets the other ranks: the mistake that the negative control makes."""

    @staticmethod
    def forward(ctx: Any, tensor: Tensor) -> Tensor:
        ctx.rows = len(tensor)
        return distributed.gather(tensor, with_grad=False)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        start = distributed.rank() * ctx.rows
        return gradient[start : start + ctx.rows]


def own_slice_gradient() -> Result:
    right = rows.gather
    try:
        rows.gather = lambda tensor, **_: _OwnSlice.apply(tensor)
        return trained(lambda a, b, t: objectives.nt_xent(a, b, temperature=t), EVEN)
    finally:
        rows.gather = right


def supcon(first: Tensor, second: Tensor, temperature: Tensor) -> Tensor:
    labels = torch.tensor([0, 1, 2, 0, 1, 3])[part(UNEVEN)]  # anchors without a positive: one on each rank
    loss: Tensor = objectives.supcon(first + 0.1 * second, labels, temperature=temperature)
    return loss


def ts_tcc() -> Result:
    torch.manual_seed(0)
    method = TSTCC(in_dim=4, hidden_dim=8, prediction_steps=2, depth=1, feedforward_dim=6, dropout=0.0, norm="layer").double()
    frames = torch.randn(2, ROWS, 5, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)[:, part(UNEVEN)]
    index = torch.arange(ROWS)[part(UNEVEN)]
    value = method(ViewOutputs(index=index, frames=list(frames), random=KeyedRandom.for_examples(0, 0, index)))
    value.backward()
    gradients = {name: parameter.grad for name, parameter in method.named_parameters() if parameter.grad is not None}
    return averaged({"loss": value.detach(), **gradients})


def mining() -> Result:
    """Three epochs in which ranks see different examples, and different numbers of them."""
    memory = BadPairMining(ROWS, beta_noisy=0.5, beta_faulty=1.0, warmup_epochs=1, max_epochs=3)
    for epoch in range(3):
        losses = torch.rand(ROWS, generator=torch.Generator().manual_seed(epoch)) + 3.0 * (torch.arange(ROWS) == 4)
        order = torch.arange(ROWS).roll(epoch)[part(UNEVEN)]
        memory.weights(order, losses[order], epoch)
        memory.record(order, losses[order], epoch)
    return {name: buffer.clone() for name, buffer in memory.named_buffers()}


def rows_of(split: Split) -> Result:
    first, second = (view[part(split)] for view in data())
    return {"rows": objectives.nt_xent(first, second, margin=0.1, reduction="none")}


def gathered() -> Result:
    first, _ = data()
    numbers = torch.arange(ROWS)
    return {
        "floats": distributed.gather(first[part(UNEVEN)].view(-1, 5, 1)),
        "integers": distributed.gather(numbers[part(ONE_HAS_ALL)]),
        "booleans": distributed.gather(numbers[part(UNEVEN)] % 2 == 0),
    }


CASES: dict[str, Callable[[], Result]] = {
    "nt_xent": lambda: trained(lambda a, b, t: objectives.nt_xent(a, b, temperature=t), EVEN),
    "nt_xent uneven": lambda: trained(lambda a, b, t: objectives.nt_xent(a, b, temperature=t, margin=0.2), UNEVEN),
    "nt_xent one way": lambda: trained(lambda a, b, t: objectives.nt_xent(a, b, temperature=t, symmetric=False), UNEVEN),
    "dcl": lambda: trained(lambda a, b, t: objectives.dcl(a, b, temperature=t), EVEN),
    "dclw uneven": lambda: trained(lambda a, b, t: objectives.dcl(a, b, temperature=t, sigma=0.5), UNEVEN),
    "supcon uneven": lambda: trained(supcon, UNEVEN),
    "ts_tcc uneven": ts_tcc,
    "mining": mining,
    "gathered": gathered,
    "rows even": lambda: rows_of(EVEN),
    "rows uneven": lambda: rows_of(UNEVEN),
    "own slice": own_slice_gradient,
}
EQUAL = [name for name in CASES if not name.startswith(("rows", "own"))]


def work(rank: int, world: int, folder: Path) -> None:
    """What one process does."""
    torch.set_num_threads(1)
    store = dist.FileStore(str(folder / "store"), world)
    dist.init_process_group("gloo", store=store, rank=rank, world_size=world, timeout=timedelta(seconds=60))
    torch.save({name: case() for name, case in CASES.items()}, folder / f"{rank}.pt")
    dist.barrier()
    dist.destroy_process_group()


@pytest.fixture(scope="module", params=WORLDS)
def ranks(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Result]]:
    """The results of every process."""
    folder, world = tmp_path_factory.mktemp("gloo"), request.param
    root = str(Path(antiphon.__file__).parent.parent)
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join((root, os.environ.get("PYTHONPATH", "")))}
    workers = [
        subprocess.Popen(
            [sys.executable, __file__, str(rank), str(world), str(folder)], env=environment, stderr=subprocess.PIPE, text=True
        )
        for rank in range(world)
    ]
    try:
        errors = [worker.communicate(timeout=120)[1] for worker in workers]
    finally:
        for worker in workers:
            worker.kill()
    for worker, error in zip(workers, errors, strict=True):
        assert worker.returncode == 0, error
    return [torch.load(folder / f"{rank}.pt") for rank in range(world)]


@pytest.mark.parametrize("name", EQUAL)
def test_many_processes_equal_one(ranks: list[dict[str, Result]], name: str) -> None:
    single = CASES[name]()
    for result in ranks:
        assert result[name].keys() == single.keys()
        for key, value in single.items():
            torch.testing.assert_close(result[name][key], value, rtol=1e-10, atol=1e-12, msg=lambda text, key=key: f"{key}: {text}")


def test_the_memory_is_the_same_on_all_ranks(ranks: list[dict[str, Result]]) -> None:
    assert ranks[0]["mining"]["flagged"].any()
    for name, buffer in ranks[0]["mining"].items():
        assert all(torch.equal(buffer, other["mining"][name]) for other in ranks[1:]), name


@pytest.mark.parametrize(("name", "split"), [("rows even", EVEN), ("rows uneven", UNEVEN)])
def test_unreduced_rows_are_those_of_the_rank(ranks: list[dict[str, Result]], name: str, split: Split) -> None:
    single = CASES[name]()["rows"].view(2, ROWS).split(split[len(ranks)], dim=1)
    for result, expected in zip(ranks, single, strict=True):
        torch.testing.assert_close(result[name]["rows"].view(2, -1), expected)


def test_forgetting_the_other_ranks_gradients_is_noticed(ranks: list[dict[str, Result]]) -> None:
    wrong, right = ranks[0]["own slice"], CASES["nt_xent"]()
    torch.testing.assert_close(wrong["loss"], right["loss"])
    assert F.cosine_similarity(wrong["encoder"].flatten(), right["encoder"].flatten(), dim=0) < 0.999
    with pytest.raises(AssertionError):
        torch.testing.assert_close(wrong["encoder"], right["encoder"], rtol=1e-2, atol=1e-3)


def test_without_a_process_group_nothing_happens() -> None:
    tensor = torch.ones(3, 2, requires_grad=True)
    assert distributed.gather(tensor) is tensor
    assert not distributed.gather(tensor, with_grad=False).requires_grad
    assert (distributed.rank(), distributed.world_size(), distributed.row_counts(3)) == (0, 1, [3])
    assert distributed.mean_over_ranks(torch.tensor([2.0, 0.0]), torch.tensor([True, False])).item() == 2.0
    assert distributed.mean_over_ranks(torch.zeros(2), torch.zeros(2, dtype=torch.bool)).item() == 0.0


if __name__ == "__main__":
    work(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))
