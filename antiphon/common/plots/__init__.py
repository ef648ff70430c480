"""What a person looks at: functions that return a matplotlib Figure, with neither pyplot nor any global state."""

from antiphon.common.plots.embeddings import embedding_scatter, project
from antiphon.common.plots.results import comparison_plot, confusion_plot, few_label_plot
from antiphon.common.plots.signals import anomaly_scores, view_examples
from antiphon.common.plots.style import figure_to_data_uri
from antiphon.common.plots.training import FlaggedPair, curves, flagged_pairs, similarity_histograms
from antiphon.common.plots.zero_shot import ScoredRecording, scores_over_time

__all__ = [
    "FlaggedPair",
    "ScoredRecording",
    "anomaly_scores",
    "comparison_plot",
    "confusion_plot",
    "curves",
    "embedding_scatter",
    "few_label_plot",
    "figure_to_data_uri",
    "flagged_pairs",
    "project",
    "scores_over_time",
    "similarity_histograms",
    "view_examples",
]
