"""A run on two processes that encode in chunks ends with the weights, and the bad-pair memory, of a plain run on one."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

RECIPE = [
    "time_series/dbpm",
    "data.name=ItalyPowerDemand",
    "encoder=ts_tcc_cnn",
    "encoder.norm=group",  # batch statistics of a process are not those of the whole batch
    "encoder.dropout=0.0",
    "head.norm=none",
    "pair_mining.warmup_epochs=1",
    "pair_mining.beta_noisy=0.5",
    "pair_mining.beta_faulty=0.5",
    "training.batch_size=16",
    "training.steps=12",
    "training.progress=false",
    "training.trainer.accelerator=cpu",
    "evaluation.random_seeds=[]",
    "report=false",
]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The same recipe on one process, and on two that see 3 of their 8 examples at a time."""
    root = tmp_path_factory.mktemp("ranks")
    run = ["-m", "antiphon", "pretrain", *RECIPE]
    pair = ["training.trainer.devices=2", "training.trainer.strategy=ddp", "learner.chunk_size=3"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    for command in (
        [sys.executable, *run, f"run_dir={root / 'one'}"],
        [sys.executable, *launcher, *run, f"run_dir={root / 'two'}", *pair],
    ):
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240)
        assert done.returncode == 0, done.stderr[-2000:]
    return root / "one", root / "two"


def test_weights_are_those_of_one_process(folders: tuple[Path, Path]) -> None:
    one, two = (load_file(folder / "encoder" / "model.safetensors") for folder in folders)
    for name, value in one.items():
        torch.testing.assert_close(two[name], value, rtol=1e-4, atol=1e-5)


def test_the_memory_is_that_of_one_process(folders: tuple[Path, Path]) -> None:
    one, two = (torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"] for folder in folders)
    assert int(one["pair_mining.flagged"].abs().sum()) > 0
    for name in ("loss_sum", "times_seen", "flagged"):
        torch.testing.assert_close(two[f"pair_mining.{name}"], one[f"pair_mining.{name}"], rtol=1e-4, atol=1e-5)
