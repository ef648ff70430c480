"""Evaluation on plain arrays and tensors: embeddings in, numbers out. No trainer is needed; scikit-learn loads on first use."""

from antiphon.common.evaluation.few_labels import FewLabelCurve, draw_labels, few_label_curve
from antiphon.common.evaluation.geometry import (
    PairSimilarity,
    alignment,
    collapse_reasons,
    effective_rank,
    is_collapsed,
    mean_cosine,
    modality_gap,
    positive_negative_similarity,
    rankme,
    tolerance,
    uniformity,
)
from antiphon.common.evaluation.intervals import Interval, mean_interval, paired_difference, welch_difference, wilson_interval
from antiphon.common.evaluation.knn import knn_accuracy, knn_predict
from antiphon.common.evaluation.probes import linear_probe, svm_probe
from antiphon.common.evaluation.scores import ProbeResult
from antiphon.common.evaluation.sparsity import active_dimensions, class_consistency, sparsity

__all__ = [
    "FewLabelCurve",
    "Interval",
    "PairSimilarity",
    "ProbeResult",
    "active_dimensions",
    "alignment",
    "class_consistency",
    "collapse_reasons",
    "draw_labels",
    "effective_rank",
    "few_label_curve",
    "is_collapsed",
    "knn_accuracy",
    "knn_predict",
    "linear_probe",
    "mean_cosine",
    "mean_interval",
    "modality_gap",
    "paired_difference",
    "positive_negative_similarity",
    "rankme",
    "sparsity",
    "svm_probe",
    "tolerance",
    "uniformity",
    "welch_difference",
    "wilson_interval",
]
