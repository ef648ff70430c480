"""Are two recordings of one speaker? Trials, error rates, normalisation, calibration, groups, intervals; on plain arrays."""

from antiphon.common.evaluation.verification.bootstrap import SpeakerIntervals, speaker_intervals
from antiphon.common.evaluation.verification.calibration import Calibration, fit_calibration
from antiphon.common.evaluation.verification.groups import GroupErrors, GroupReport, group_errors
from antiphon.common.evaluation.verification.metrics import (
    DetCurve,
    Point,
    Scores,
    VerificationResult,
    det_curve,
    equal_error_rate,
    minimum_cost,
    rates_at,
    sort_scores,
    summarize,
    verification_scores,
)
from antiphon.common.evaluation.verification.normalization import ScoreNormalization
from antiphon.common.evaluation.verification.trial_lists import TrialList, read_trials
from antiphon.common.evaluation.verification.trials import AllPairs, EnrolledSpeakers, ListedPairs, Trials, scoring_vectors

__all__ = [
    "AllPairs",
    "Calibration",
    "DetCurve",
    "EnrolledSpeakers",
    "GroupErrors",
    "GroupReport",
    "ListedPairs",
    "Point",
    "ScoreNormalization",
    "Scores",
    "SpeakerIntervals",
    "TrialList",
    "Trials",
    "VerificationResult",
    "det_curve",
    "equal_error_rate",
    "fit_calibration",
    "group_errors",
    "minimum_cost",
    "rates_at",
    "read_trials",
    "scoring_vectors",
    "sort_scores",
    "speaker_intervals",
    "summarize",
    "verification_scores",
]
