"""Whom the errors hit: error rates by gender, language, channel or any other column, and trials within one group only."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from antiphon.common.evaluation.verification.metrics import Scores, equal_error_rate
from antiphon.common.evaluation.verification.trials import Trials
from antiphon.common.report import Cell, Table


@dataclass(frozen=True)
class GroupErrors:
    """Errors in the trials whose two recordings are both of `group`.

    `eer`: with the threshold that suits this group best. `fpr` and `fnr`: false accepts and false rejects at the one threshold that
    all groups share, where harm shows. NaN where the group has no trials of that kind. `recordings` is how many there are.
    """

    group: str
    eer: float
    fpr: float
    fnr: float
    targets: int
    nontargets: int
    recordings: int


@dataclass(frozen=True)
class GroupReport:
    """Errors of every group of `column` at `threshold`, and of all trials within some group together.

    `within_eer` is NaN where these are of one kind only. `across` trials compare two groups; `unknown` ones have a side of none.
    """

    column: str
    threshold: float
    groups: tuple[GroupErrors, ...]
    within_eer: float
    across: int
    unknown: int

    def worst_eer(self, min_trials: int = 20) -> float:
        """The highest EER of a group with at least `min_trials` trials of each kind, fewer say little; NaN where there is none."""
        rates = [group.eer for group in self.groups if min(group.targets, group.nontargets) >= min_trials]
        return max(rates, default=math.nan)

    def table(self) -> Table:
        """A row a group, for a report or the terminal; rates in per cent."""
        rows: list[list[Cell]] = [
            [each.group, 100 * each.eer, 100 * each.fpr, 100 * each.fnr, each.targets, each.nontargets, each.recordings]
            for each in self.groups
        ]
        caption = (
            f"Trials whose recordings are both of one {self.column}; false decisions at the threshold {self.threshold:.3f} "
            f"that all share. {self.across:,} trials compare two groups, {self.unknown:,} have a side of no group."
        )
        columns = (self.column, "EER %", "false accepts %", "false rejects %", "target trials", "nontarget trials", "recordings")
        return Table(f"Errors by {self.column}", columns, rows, caption)


def group_errors(trials: Trials, groups: ArrayLike, *, threshold: float, column: str = "group") -> GroupReport:
    """Error rates within each group, and of all trials within some group.

    Args:
        trials: see `antiphon.common.evaluation.verification.trials`.
        groups: (n,) the group of each recording; None or "" where it is not known.
        threshold: a pair is accepted from this score on; that of the EER over all trials, or better one that a dev set gave.
        column: what the groups are, in the report.

    Raises:
        ValueError: not one group a recording.
    """
    values = np.asarray(["" if value is None else str(value) for value in np.asarray(groups, object).tolist()])
    if len(values) != len(trials.vectors):
        raise ValueError(f"{column}: {len(values)} values for {len(trials.vectors)} recordings: give one for each")
    names, codes = np.unique(values, return_inverse=True)
    known = names != ""
    parts: dict[int, list[tuple[NDArray[np.float32], NDArray[np.bool_]]]] = {int(code): [] for code in np.flatnonzero(known)}
    across = unknown = 0
    for block in trials:
        first, second = codes[block.first], codes[block.second]
        inside = first == second
        missing = ~(known[first] & known[second])
        unknown, across = unknown + int(missing.sum()), across + int((~inside & ~missing).sum())
        for code in np.unique(first[inside & ~missing]).tolist():
            chosen = inside & (first == code)
            parts[code].append((block.scores[chosen], block.targets[chosen]))
    counts = np.bincount(codes)
    scores = {code: _sorted(part) for code, part in parts.items()}
    reports = tuple(_errors(str(names[code]), scores[code], threshold, int(counts[code])) for code in parts)
    return GroupReport(column, threshold, reports, _eer(_sorted([part for one in parts.values() for part in one])), across, unknown)


def _sorted(parts: list[tuple[Any, Any]]) -> Scores:
    """Like `collect`, but one kind of trials may be missing."""
    scores = np.concatenate([np.empty(0, np.float32), *(part[0] for part in parts)])
    targets = np.concatenate([np.empty(0, np.bool_), *(part[1] for part in parts)])
    return Scores(np.sort(scores[targets]), np.sort(scores[~targets]))


def _eer(scores: Scores) -> float:
    return equal_error_rate(scores).value if min(map(len, scores)) else math.nan


def _errors(name: str, scores: Scores, threshold: float, recordings: int) -> GroupErrors:
    targets, nontargets = map(len, scores)
    fpr = 1 - float(np.searchsorted(scores.nontargets, threshold)) / nontargets if nontargets else math.nan
    fnr = float(np.searchsorted(scores.targets, threshold)) / targets if targets else math.nan
    return GroupErrors(name, _eer(scores), fpr, fnr, targets, nontargets, recordings)
