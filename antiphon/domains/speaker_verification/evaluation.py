"""How speaker encoders are measured: EER and minDCF over trials, whom the errors hit, what a threshold from elsewhere does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from antiphon.common.data.audio_set import AudioSet
from antiphon.common.encoder import Encoder
from antiphon.common.evaluation.embedding import embed_crops, embed_recordings
from antiphon.common.evaluation.verification import (
    AllPairs,
    EnrolledSpeakers,
    GroupReport,
    ListedPairs,
    ScoreNormalization,
    Trials,
    group_errors,
    rates_at,
    read_trials,
    scoring_vectors,
    speaker_intervals,
    summarize,
)
from antiphon.common.random import shuffled
from antiphon.domains.speaker_verification.calibration import dev_set, speaker_names, without_dev_speakers

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Normalization = Literal["none", "z", "t", "s", "as"]
MOST_PAIRS = 1_000_000_000  # 4 GB of scores
FEWEST = 5  # speakers that an interval over speakers is drawn from


@dataclass(frozen=True)
class Protocol:
    """Which recordings are compared and how; see `verification`."""

    trials: str | Path | None = None
    enrol: int | None = None
    crops: int | None = None
    crop_s: float = 4.0
    normalization: Normalization = "none"
    cohort_size: int = 3000
    top_k: int = 300
    seed: int = 0

    def __post_init__(self) -> None:
        if self.trials is not None and self.enrol is not None:
            raise ValueError(f"trials={self.trials} and enrol={self.enrol}: give a list of trials or a number to enrol, not both")

    def vectors(self, encoder: Encoder, data: AudioSet) -> NDArray[np.float32]:
        """Scoring vectors (n, D) of whole recordings, or of crops."""
        if self.crops is None:
            return scoring_vectors(embed_recordings(encoder, data))
        return scoring_vectors(embed_crops(encoder, data, crops=self.crops, crop_s=self.crop_s))

    def cohort(self, encoder: Encoder, train: AudioSet) -> ScoreNormalization | None:
        """Normalisation with training recordings, drawn by `seed`."""
        if self.normalization == "none":
            return None
        drawn = np.sort(shuffled(len(train), self.seed, 1).numpy()[: self.cohort_size])
        return ScoreNormalization(self.normalization, self.vectors(encoder, train.subset(drawn)), self.top_k)

    def make(self, encoder: Encoder, train: AudioSet, test: AudioSet) -> tuple[Trials, AudioSet]:
        """The trials, and the recordings that they are about: of a list, those that it names."""
        if self.trials is not None:
            listed = read_trials(self.trials)
            test = test.subset(listed.rows([test.manifest.rows[row].path for row in test.rows.tolist()]))
            vectors, cohort = self.vectors(encoder, test), self.cohort(encoder, train)
            return ListedPairs(vectors, listed.first, listed.second, listed.targets, normalization=cohort), test
        names = known_speakers(test)
        if self.enrol is None:
            _check_pairs(test)
        vectors, cohort = self.vectors(encoder, test), self.cohort(encoder, train)
        if self.enrol is not None:
            return EnrolledSpeakers(vectors, names, self.enrol, self.seed, normalization=cohort), test
        return AllPairs(vectors, names, normalization=cohort), test

    def threshold(self, encoder: Encoder, train: AudioSet, dev: AudioSet) -> float:
        """The threshold of the EER over dev recordings, all pairs of them or enrolled speakers, scored as the test trials are."""
        vectors, names, cohort = self.vectors(encoder, dev), known_speakers(dev), self.cohort(encoder, train)
        trials: Trials = AllPairs(vectors, names, normalization=cohort)
        if self.enrol is not None:
            trials = EnrolledSpeakers(vectors, names, self.enrol, self.seed, normalization=cohort)
        try:
            return summarize(trials.scores()).eer_threshold
        except ValueError as error:
            raise ValueError(f"no threshold from {dev.name}: {error}; or dev_share=0 does without one") from error


def _check_pairs(test: AudioSet) -> None:
    pairs = len(test) * (len(test) - 1) // 2
    if pairs > MOST_PAIRS:
        raise ValueError(
            f"{test.name}: all {pairs:,} pairs of {len(test):,} recordings are too many: use the evaluation "
            "speaker_verification/enrolment or speaker_verification/trial_list, or a smaller test set"
        )


def known_speakers(data: AudioSet) -> NDArray[np.str_]:
    """Who speaks in each example (n,), or a ValueError that says what is missing."""
    names = speaker_names(data)
    if names is None:
        raise ValueError(
            f"{data.name} does not say who speaks: give a manifest with a column speaker, a folder a speaker, or a list of trials"
        )
    return names


def verification(
    encoder: Encoder,
    train: AudioSet,
    test: AudioSet,
    *,
    trials: str | Path | None = None,
    enrol: int | None = None,
    crops: int | None = None,
    crop_s: float = 4.0,
    normalization: Normalization = "none",
    cohort_size: int = 3000,
    top_k: int = 300,
    groups: Sequence[str] = (),
    dev: str | Path | None = None,
    dev_share: float = 0.0,
    target_prior: float = 0.01,
    bootstrap: int = 200,
    seed: int = 0,
) -> dict[str, float]:
    """EER in per cent and minDCF over the trials of a test set, and with them:

    the EER's interval over draws of speakers; false accepts and rejects at a threshold learnt from dev recordings; for each of
    `groups` the EER over trials within some group, and that of the group that fares worst.

    Args:
        encoder: frozen.
        train: gives the cohort and the dev speakers, nothing else.
        test: its column `speaker`, or its labels, say who speaks.
        trials: a list of trials (see `read_trials`) among the test recordings; None: all pairs, or
        enrol: the number of recordings that each speaker is enrolled with; all others are tried against every speaker.
        crops: score that many evenly spaced crops of `crop_s` seconds, the mean of all their cosines; None: whole recordings.
        crop_s: see `crops`.
        normalization: of scores: none, z, t, s or as (see `ScoreNormalization`).
        cohort_size: how many training recordings it uses.
        top_k: of them, for "as".
        groups: columns of the manifest, such as gender, language or channel.
        dev: recordings to learn a threshold from (a folder a speaker, or a manifest).
        dev_share: else: the share of the training speakers that was kept out of training; 0: no threshold.
        target_prior: of minDCF.
        bootstrap: draws of speakers; 0: no interval. Of fewer than five speakers there is none, they say nothing of others.
        seed: of all that is drawn.

    Raises:
        ValueError: speakers not known, a recording of the list or a column that is not there, trials of one kind only.
    """
    protocol = Protocol(trials, enrol, crops, crop_s, normalization, cohort_size, top_k, seed)
    learnt = without_dev_speakers(train, share=dev_share, seed=seed)
    made, heard = protocol.make(encoder, learnt, test)
    scores = made.scores()
    result = summarize(scores, target_prior=target_prior)
    found = {"eer_percent": 100 * result.eer, "min_dcf": result.min_dcf}
    names = speaker_names(heard)
    if bootstrap and names is not None and len(np.unique(names)) >= FEWEST:
        interval = speaker_intervals(made, names, replicates=bootstrap, target_prior=target_prior, seed=seed).eer
        found |= {"eer_percent_low": 100 * interval.low, "eer_percent_high": 100 * interval.high}
    voices, _ = dev_set(encoder, train, dev=dev, share=dev_share, seed=seed)
    threshold = result.eer_threshold
    if voices is not None:
        threshold = protocol.threshold(encoder, learnt, voices)
        fpr, fnr = rates_at(scores, threshold)
        found |= {"false_accept_percent": 100 * fpr, "false_reject_percent": 100 * fnr}
    for column in groups:
        report = errors_by(column, made, heard, threshold)
        found[f"eer_percent_within_{column}"] = 100 * report.within_eer
        found[f"eer_percent_worst_{column}"] = 100 * report.worst_eer()
    return found | {"target_trials": float(result.targets), "nontarget_trials": float(result.nontargets)}


def errors_by(column: str, trials: Trials, test: AudioSet, threshold: float) -> GroupReport:
    """Error rates by a column of the test set's manifest.

    Raises:
        ValueError: no recording has a value there.
    """
    rows = [test.manifest.rows[row] for row in test.rows.tolist()]
    values = [row.value(column) for row in rows]
    if not any(values):
        columns = ("label", "group", "speaker", "split")
        there = sorted(
            {name for row in rows for name in row.extra} | {name for name in columns if any(row.value(name) for row in rows)}
        )
        raise ValueError(f"{test.name} has no column {column}: it has {', '.join(there) or 'none'}")
    return group_errors(trials, values, threshold=threshold, column=column)


def verification_pictures(
    untrained: Encoder,
    encoder: Encoder,
    train: AudioSet,
    test: AudioSet,
    *,
    groups: Sequence[str] = (),
    dev_share: float = 0.0,
    **protocol: Any,
) -> list[tuple[str, str, Figure]]:
    """DET curves and scores of an untrained encoder and the pretrained one, and the errors of each group of `groups`.

    `protocol` takes what `verification` does to say which recordings are compared and how (`trials`, `enrol`, `crops`, ...).
    """
    from antiphon.common.plots.verification import det_plot, group_errors_plot, score_histograms

    how = Protocol(**protocol)
    learnt = without_dev_speakers(train, share=dev_share, seed=how.seed)
    made = {name: how.make(model, learnt, test) for name, model in (("random encoder", untrained), ("pretrained", encoder))}
    scores = {name: trials.scores() for name, (trials, _) in made.items()}
    thresholds = {name: summarize(one).eer_threshold for name, one in scores.items()}
    pictures = [
        ("Detection errors", "False rejects against false accepts as the threshold moves; the dot is the EER.", det_plot(scores)),
        (
            "Scores",
            "Scores of trials of one speaker and of two, with the threshold of the EER. Where they overlap, errors are certain.",
            score_histograms(scores, thresholds=thresholds),
        ),
    ]
    trials, heard = made["pretrained"]
    for column in groups:
        report = errors_by(column, trials, heard, thresholds["pretrained"])
        caption = (
            f"Trials whose recordings are both of one {column}. False accepts and rejects at one threshold for all, that of the "
            f"EER over all trials. {report.across:,} trials compare two groups, {report.unknown:,} have a side of no group."
        )
        pictures.append((f"Errors by {column}", caption, group_errors_plot(report)))
    return pictures
