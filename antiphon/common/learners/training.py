"""One fit, from the first batch to the last: the Lightning trainer, checkpoints, progress, metrics, resume and Ctrl-C."""

from __future__ import annotations

import csv
import logging
import os
import signal
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.loggers import Logger
from pytorch_lightning.utilities import rank_zero_only
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from antiphon.common.data.loader import BatchSource, KeyedLoader
from antiphon.common.distributed import is_first_process


@dataclass(frozen=True)
class TrainingSettings:
    """How long and how to train; `batch_size` counts the examples of all devices together.

    `trainer` holds further arguments of Lightning's Trainer (accelerator, devices, strategy, precision, gradient_clip_val, ...).
    """

    batch_size: int
    steps: int
    seed: int = 0
    drop_last: bool = True
    workers: int = 0
    log_every: int = 10
    checkpoint_every: int = 100
    progress: bool = True
    progress_title: str = "pretraining"
    trainer: Mapping[str, Any] = field(default_factory=dict)


class Interrupted(KeyboardInterrupt):
    """Training was stopped by Ctrl-C or SIGTERM after a whole step; the checkpoint holds everything."""

    def __init__(self, step: int, checkpoint: Path) -> None:
        super().__init__(f"stopped after step {step}; {checkpoint} is complete")
        self.step, self.checkpoint = step, checkpoint


class CsvLogger(Logger):
    """metrics.csv: one row a logged step, a column a metric. A resumed run keeps the rows before the step it resumes from."""

    def __init__(self, path: str | Path, *, keep_before: int = 0) -> None:
        super().__init__()
        self.path = Path(path)
        self.columns: list[str] = ["step"]
        self.rows: dict[int, dict[str, float]] = {}
        if keep_before and self.path.is_file():
            with self.path.open(newline="") as file:
                reader = csv.DictReader(file)
                self.columns = list(reader.fieldnames or self.columns)
                for row in reader:
                    values = {key: float(value) for key, value in row.items() if value}
                    self.rows[int(values["step"])] = values
            self.rows = {step: row for step, row in self.rows.items() if step <= keep_before}

    @property
    def name(self) -> str:
        """The logger's name."""
        return "csv"

    @property
    def version(self) -> int:
        """A run folder holds one version."""
        return 0

    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """Nothing: config.yaml in the run folder holds them."""

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Add values to the row of `step`."""
        row = self.rows.setdefault(int(step or 0), {"step": float(step or 0)})
        row.update({key: float(value) for key, value in metrics.items()})
        self.columns += [key for key in row if key not in self.columns]

    @rank_zero_only
    def save(self) -> None:
        """Write the file, whole or not at all."""
        partial = self.path.with_suffix(".csv.partial")
        with partial.open("w", newline="") as file:
            writer = csv.DictWriter(file, self.columns)
            writer.writeheader()
            for step in sorted(self.rows):
                writer.writerow({**self.rows[step], "step": step})
        os.replace(partial, self.path)


class _Data(pl.LightningDataModule):
    """Gives the trainer one keyed loader, once ranks are known."""

    def __init__(self, source: BatchSource, settings: TrainingSettings) -> None:
        super().__init__()
        self.source, self.settings = source, settings

    def train_dataloader(self) -> KeyedLoader:
        settings, trainer = self.settings, self.trainer
        return KeyedLoader(
            self.source,
            batch_size=settings.batch_size,
            steps=settings.steps,
            seed=settings.seed,
            drop_last=settings.drop_last,
            workers=settings.workers,
            rank=trainer.global_rank if trainer else 0,
            world_size=trainer.world_size if trainer else 1,
        )


class _Recorder(pl.Callback):
    """Writes metrics and checkpoints, shows progress, and ends the fit after a whole step when asked to stop."""

    def __init__(self, settings: TrainingSettings, checkpoint: Path, *, done: int = 0) -> None:
        self.settings = settings
        self.checkpoint = checkpoint
        self.stop_requested = False
        self.progress: Progress | None = None
        self.done = done

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.first, self.started = self.done, time.monotonic() - _seconds_of_looks(trainer)
        if self.settings.progress and trainer.is_global_zero:
            columns = (TextColumn("{task.description}"), BarColumn(None), MofNCompleteColumn(), TimeRemainingColumn())
            self.progress = Progress(*columns, TextColumn("{task.fields[state]}"), console=Console(stderr=True))
            self.progress.add_task(self.settings.progress_title, total=self.settings.steps, completed=self.done, state="")
            self.progress.start()

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        self.done = batch.step + 1
        last = self.done == self.settings.steps
        if self.done == 1 or last or self.done % self.settings.log_every == 0:
            self._log(trainer, pl_module, batch.epoch)
        if self.stop_requested and not last:
            trainer.should_stop = True
        if last or trainer.should_stop or self.done % self.settings.checkpoint_every == 0:
            self.save(trainer)

    def _log(self, trainer: pl.Trainer, pl_module: Any, epoch: int) -> None:
        metrics = {name: float(value) for name, value in pl_module.metrics.items()}
        # The loss is that of all ranks. The rest is this rank's: one with a single example has no similarities to share.
        metrics["loss"] = float(trainer.strategy.reduce(pl_module.metrics["loss"].clone(), reduce_op="mean"))
        seconds = time.monotonic() - self.started - _seconds_of_looks(trainer)
        rate = (self.done - self.first) / max(1e-9, seconds)
        metrics |= {"lr": trainer.optimizers[0].param_groups[0]["lr"], "epoch": float(epoch), "steps_per_s": rate}
        for logger in trainer.loggers:
            logger.log_metrics(metrics, step=self.done)
        if self.progress is not None:
            state = f"loss {metrics['loss']:.4f}  {rate:.1f} steps/s"
            self.progress.update(self.progress.task_ids[0], completed=self.done, state=state)

    def save(self, trainer: pl.Trainer) -> None:
        """Write the checkpoint beside its place, then move it there; every rank takes part."""
        partial = self.checkpoint.with_suffix(".partial")
        trainer.save_checkpoint(partial)
        if trainer.is_global_zero:
            os.replace(partial, self.checkpoint)
            for logger in trainer.loggers:
                logger.save()

    def state_dict(self) -> dict[str, Any]:
        return {"done": self.done}

    def close(self) -> None:
        """Leave the terminal as it was."""
        if self.progress is not None:
            self.progress.stop()
            self.progress = None

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        self.close()


def _seconds_of_looks(trainer: Any) -> float:
    """What callbacks such as the monitor have spent on looking, which is no training."""
    return sum(getattr(callback, "seconds", 0.0) for callback in trainer.callbacks)


@contextmanager
def _stop_on_signals(recorder: _Recorder) -> Iterator[None]:
    """The first Ctrl-C (or SIGTERM) finishes the step in hand and saves; a second one stops at once."""

    def handle(number: int, frame: Any) -> None:
        if recorder.stop_requested:
            raise KeyboardInterrupt
        recorder.stop_requested = True

    try:
        previous = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    except ValueError:  # not the main thread: signals are somebody else's business
        previous = {}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


@contextmanager
def quiet_lightning() -> Iterator[None]:
    """Silence Lightning's banners and its advice about things that Antiphon decides (data workers, checkpoints)."""
    names = ("pytorch_lightning.utilities.rank_zero", "pytorch_lightning.accelerators", "lightning_fabric", "lightning.fabric")
    loggers = [logging.getLogger(name) for name in names] + [logging.getLogger("pytorch_lightning")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=r"(pytorch_lightning|lightning_fabric|lightning_utilities|torch\.jit).*")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def fit(
    learner: pl.LightningModule,
    source: BatchSource,
    settings: TrainingSettings,
    folder: str | Path,
    *,
    callbacks: Sequence[pl.Callback] = (),
    loggers: Sequence[Logger] = (),
    resume: bool = False,
) -> bool:
    """Train `learner` on `source`; everything goes to `folder`. Returns whether this process is the first rank.

    With `resume` the run continues from `folder`/checkpoints/last.ckpt, bit for bit as if it had not stopped. A run that is
    complete already is not trained again. Raises `Interrupted` after Ctrl-C, with a complete checkpoint on disk.
    """
    folder = Path(folder)
    if is_first_process():  # another rank would be in the way of whoever prepares the folder
        (folder / "checkpoints").mkdir(parents=True, exist_ok=True)
    checkpoint = folder / "checkpoints" / "last.ckpt"
    start = checkpoint if resume and checkpoint.is_file() else None
    step = _position(start) if start else 0
    recorder = _Recorder(settings, checkpoint, done=step)
    options: dict[str, Any] = {"accelerator": "auto", "devices": 1, **settings.trainer}
    if options.get("accumulate_grad_batches", 1) != 1:
        raise ValueError(
            "accumulate_grad_batches would not make a contrastive batch larger, only mix losses of small ones: raise batch_size"
        )
    learner.train()  # Lightning leaves modes as they are, and an encoder that was loaded comes in evaluation mode
    with quiet_lightning(), _stop_on_signals(recorder):
        trainer = pl.Trainer(
            max_epochs=1,
            logger=[CsvLogger(folder / "metrics.csv", keep_before=step), *loggers],
            callbacks=[*callbacks, recorder],
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            use_distributed_sampler=False,
            default_root_dir=folder,
            **options,
        )
        try:
            trainer.fit(learner, datamodule=_Data(source, settings), ckpt_path=start, weights_only=True if start else None)
        finally:
            recorder.close()
    if recorder.done < settings.steps:
        raise Interrupted(recorder.done, recorder.checkpoint)
    return bool(trainer.is_global_zero)


def _position(checkpoint: Path) -> int:
    """How many batches the run had seen when `checkpoint` was written."""
    try:
        return int(torch.load(checkpoint, map_location="cpu", weights_only=True)["callbacks"]["_Recorder"]["done"])
    except (RuntimeError, EOFError, KeyError, UnpicklingError) as error:
        raise ValueError(f"{checkpoint} is damaged: begin the run again, in this folder with overwrite=true") from error
