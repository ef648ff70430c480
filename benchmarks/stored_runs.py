"""Runs that are kept: what was interrupted goes on where it stopped, and tables are printed from what is there."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Protocol, TypeVar


class NamedJob(Protocol):
    """A NamedTuple that says which run it is."""

    @property
    def _fields(self) -> tuple[str, ...]: ...
    def _asdict(self) -> dict[str, Any]: ...


J = TypeVar("J", bound=NamedJob)


def run_stored(
    jobs: Sequence[J], run: Callable[[J], dict[str, Any]], store: Path, *, workers: int, start_method: str = "spawn"
) -> dict[J, dict[str, Any]]:
    """The results of all jobs: those in `store` are read, the others run, `workers` side by side, and are appended to it.

    `run` gives a job's own fields and "seconds" with what it measured.
    """
    done, missing = read_stored(jobs, store)
    if missing:
        with ProcessPoolExecutor(workers, mp_context=get_context(start_method)) as pool:
            for job, result in zip(missing, pool.map(run, missing), strict=True):
                done[job] = result
                with store.open("a") as file:
                    file.write(json.dumps(result) + "\n")
                print(f"{' '.join(map(str, job._asdict().values()))}: {result['seconds']:.0f} s", file=sys.stderr)
    return {job: done[job] for job in jobs}


def read_stored(jobs: Sequence[J], store: Path) -> tuple[dict[J, dict[str, Any]], list[J]]:
    """What `store` holds of these jobs, and the jobs that are missing in it."""
    entries = [json.loads(line) for line in store.read_text().splitlines()] if store.exists() else []
    by_name = {tuple(entry[name] for name in job._fields): entry for entry in entries for job in jobs[:1]}
    done = {job: by_name[tuple(job._asdict().values())] for job in jobs if tuple(job._asdict().values()) in by_name}
    return done, [job for job in jobs if job not in done]
