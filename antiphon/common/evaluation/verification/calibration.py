"""From a score to a probability and a decision, both learnt on trials that are not the test trials."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, Self

import numpy as np

from antiphon.common.evaluation.verification.metrics import TARGET_PRIOR, Scores, checked, equal_error_rate, minimum_cost, rates_at

DecideBy = Literal["eer", "min_dcf"]


@dataclass(frozen=True)
class Calibration:
    """What a score means.

    The log-likelihood ratio of "one speaker" against "two" is `slope` * score + `offset`. A pair is accepted from `threshold` on,
    the one that gave the equal error rate ("eer") or the minimum cost ("min_dcf") on the dev trials; `fpr` and `fnr` are what it
    gave there. `targets`, `nontargets` and `speakers` say how many trials and voices that were, `source` in words which.
    """

    slope: float
    offset: float
    threshold: float
    decide_by: DecideBy
    fpr: float
    fnr: float
    targets: int
    nontargets: int
    speakers: int
    source: str

    def accepts(self, score: float) -> bool:
        """The decision."""
        return score >= self.threshold

    def probability(self, score: float, *, prior: float = 0.5) -> float:
        """That one speaker spoke both, where that was as likely as `prior` beforehand.

        Raises:
            ValueError: a prior that is no probability.
        """
        if not 0 < prior < 1:
            raise ValueError(f"prior is a probability, got {prior}: use a value between 0 and 1, such as 0.5")
        logit = self.slope * score + self.offset + math.log(prior / (1 - prior))
        return 1 / (1 + math.exp(-logit)) if logit >= 0 else math.exp(logit) / (1 + math.exp(logit))

    def to_dict(self) -> dict[str, Any]:
        """As JSON holds it."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """What `to_dict` gave; further keys are left out."""
        return cls(**{item.name: values[item.name] for item in fields(cls)})


def fit_calibration(
    scores: Scores, *, decide_by: DecideBy = "eer", target_prior: float = TARGET_PRIOR, speakers: int = 0, source: str = ""
) -> Calibration:
    """Logistic regression of the kind of trial on its score (Brümmer & du Preez 2006), and a decision threshold.

    Both kinds of trials weigh the same, whatever their numbers, so the result is a likelihood ratio. The two kinds are taken for
    certain only to (m + 1) / (m + 2) of m trials (Platt 1999): few trials that happen to be apart do not give infinite certainty.

    Raises:
        ValueError: trials of one kind only, or an unknown way to decide.
    """
    if decide_by not in ("eer", "min_dcf"):
        raise ValueError(f"unknown way to decide {decide_by!r}: use eer or min_dcf")
    checked(scores)
    point = equal_error_rate(scores) if decide_by == "eer" else minimum_cost(scores, target_prior=target_prior)
    slope, offset = _logistic(scores)
    fpr, fnr = rates_at(scores, point.threshold)
    counts = (len(scores.targets), len(scores.nontargets), speakers)
    return Calibration(slope, offset, point.threshold, decide_by, fpr, fnr, *counts, source)


def _logistic(scores: Scores) -> tuple[float, float]:
    """Newton's method on standardised scores, both kinds with half the weight."""
    values = np.concatenate(scores).astype(np.float64)
    sizes = [len(part) for part in scores]
    truth = np.repeat([(sizes[0] + 1) / (sizes[0] + 2), 1 / (sizes[1] + 2)], sizes)
    weights = np.repeat([0.5 / sizes[0], 0.5 / sizes[1]], sizes)
    centre, scale = values.mean(), values.std() or 1.0
    design = np.stack(((values - centre) / scale, np.ones(len(values))))  # (2, m)
    solution = np.zeros(2)

    def loss(at: np.ndarray) -> float:
        logits = at @ design
        return float((weights * (np.logaddexp(0, logits) - truth * logits)).sum())

    for _ in range(100):
        chance = 1 / (1 + np.exp(-(solution @ design)))
        gradient = design @ (weights * (chance - truth))
        curvature = (design * (weights * chance * (1 - chance))) @ design.T + 1e-12 * np.eye(2)
        step = np.linalg.solve(curvature, gradient)
        while loss(solution - step) > loss(solution) and np.abs(step).max() > 1e-9:
            step = step / 2
        solution = solution - step
        if np.abs(step).max() < 1e-9:
            break
    slope = float(solution[0] / scale)
    return slope, float(solution[1] - slope * centre)
