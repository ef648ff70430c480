"""The protocol of verification on synthetic voices: its numbers are those of the parts, whatever way trials are made."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import antiphon
from antiphon.common.data.audio_set import AudioSet
from antiphon.common.data.manifest import Manifest, read_manifest
from antiphon.common.data.splits import split
from antiphon.common.encoder import Encoder
from antiphon.common.evaluation.embedding import embed_crops, embed_recordings
from antiphon.common.evaluation.verification import AllPairs, EnrolledSpeakers, group_errors, rates_at, scoring_vectors, summarize
from antiphon.domains.speaker_verification import evaluation
from antiphon.domains.speaker_verification.calibration import held_out, speaker_names
from antiphon.domains.speaker_verification.evaluation import verification, verification_pictures
from antiphon.run.config import compose


@pytest.fixture(scope="module")
def sets(voices_manifest: Path) -> tuple[AudioSet, AudioSet]:
    """Training and test recordings of different speakers."""
    parts = split(read_manifest(voices_manifest), fractions={"train": 0.5, "test": 0.5})
    train, test = (AudioSet.from_manifest(part, sample_rate=8000, window=1600, name=name) for name, part in parts.items())
    return train, test


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return antiphon.create_encoder(
        "spectral_statistics", sample_rate=8000, window=1600, fft_size=256, hop=80, mels=24, coefficients=13
    )


def test_all_pairs_of_whole_recordings(encoder: Encoder, sets: tuple[AudioSet, AudioSet]) -> None:
    found = verification(encoder, *sets, bootstrap=50)
    trials = AllPairs(scoring_vectors(embed_recordings(encoder, sets[1])), speaker_names(sets[1]))
    expected = summarize(trials.scores())
    assert (found["eer_percent"], found["min_dcf"]) == (100 * expected.eer, expected.min_dcf)
    assert found["eer_percent_low"] < found["eer_percent"] < found["eer_percent_high"] and found["eer_percent"] < 40
    assert found["target_trials"] == 12 * 10 and found["nontarget_trials"] == 60 * 59 / 2 - 120
    assert set(verification(encoder, *sets, bootstrap=0)) == {"eer_percent", "min_dcf", "target_trials", "nontarget_trials"}


def test_crops_enrolment_and_normalisation(encoder: Encoder, sets: tuple[AudioSet, AudioSet]) -> None:
    plain = verification(encoder, *sets, bootstrap=0)
    crops = verification(encoder, *sets, crops=4, crop_s=0.3, bootstrap=0)
    names, vectors = speaker_names(sets[1]), scoring_vectors(embed_crops(encoder, sets[1], crops=4, crop_s=0.3))
    assert crops["eer_percent"] == 100 * summarize(AllPairs(vectors, names).scores()).eer != plain["eer_percent"]
    enrolled = verification(encoder, *sets, enrol=3, bootstrap=0)
    assert enrolled["target_trials"] == 12 * 2 and enrolled["nontarget_trials"] == 12 * 2 * 11
    whole = scoring_vectors(embed_recordings(encoder, sets[1]))
    assert enrolled["eer_percent"] == 100 * summarize(EnrolledSpeakers(whole, names, enrol=3).scores()).eer
    for kind in ("z", "t", "s", "as"):
        normalized = verification(encoder, *sets, normalization=kind, cohort_size=40, top_k=20, bootstrap=0)
        assert normalized["eer_percent"] != plain["eer_percent"]


def test_a_list_of_trials_is_scored_as_it_says(encoder: Encoder, sets: tuple[AudioSet, AudioSet], tmp_path: Path) -> None:
    _, test = sets
    names = speaker_names(test)
    paths = ["/".join(Path(row.path).parts[-2:]) for row in test.manifest]
    pairs = [(a, b) for a in range(0, 30) for b in range(a + 1, 30)]
    lines = [f"{int(names[a] == names[b])} {paths[a]} {paths[b]}" for a, b in pairs]
    (tmp_path / "list.txt").write_text("\n".join(lines))
    found = verification(encoder, *sets, trials=tmp_path / "list.txt", groups=["gender"], bootstrap=20)
    half = test.subset(np.arange(30))
    expected = verification(encoder, sets[0], half, groups=["gender"], bootstrap=0)
    assert {key: found[key] for key in expected} == pytest.approx(expected, rel=1e-4)
    (tmp_path / "list.txt").write_text("\n".join([*lines[:2], "0 nobody/1.wav nobody/2.wav"]))
    with pytest.raises(ValueError, match=r"list\.txt, line 3: nobody/1\.wav is not among the 60 recordings"):
        verification(encoder, *sets, trials=tmp_path / "list.txt")
    with pytest.raises(ValueError, match="not both"):
        verification(encoder, *sets, trials=tmp_path / "list.txt", enrol=2)


def test_the_dev_threshold_has_not_seen_the_test_trials(encoder: Encoder, sets: tuple[AudioSet, AudioSet]) -> None:
    train, test = sets
    found = verification(encoder, train, test, dev_share=0.5, bootstrap=0)
    dev = train.subset(np.flatnonzero(held_out(train, 0.5, 0)))
    trials = [AllPairs(scoring_vectors(embed_recordings(encoder, part)), speaker_names(part)) for part in (dev, test)]
    threshold = summarize(trials[0].scores()).eer_threshold
    fpr, fnr = rates_at(trials[1].scores(), threshold)
    assert (found["false_accept_percent"], found["false_reject_percent"]) == (100 * fpr, 100 * fnr)
    found = verification(encoder, train, test, dev_share=0.5, enrol=3, bootstrap=0)
    enrolled = [EnrolledSpeakers(one.vectors, one.speakers, 3) for one in trials]
    fpr, fnr = rates_at(enrolled[1].scores(), summarize(enrolled[0].scores()).eer_threshold)
    assert (found["false_accept_percent"], found["false_reject_percent"]) == (100 * fpr, 100 * fnr)
    few = train.subset(np.unique(speaker_names(train), return_index=True)[1])  # one recording of each
    with pytest.raises(ValueError, match=f"no threshold from {train.name}: enrol=3.*or dev_share=0 does without one"):
        verification(encoder, few, test, dev_share=0.5, enrol=3, bootstrap=0)


def test_groups_and_within_one_language(encoder: Encoder, sets: tuple[AudioSet, AudioSet]) -> None:
    _, test = sets
    found = verification(encoder, *sets, groups=["gender", "language"], bootstrap=0)
    trials = AllPairs(scoring_vectors(embed_recordings(encoder, test)), speaker_names(test))
    for column in ("gender", "language"):
        report = group_errors(trials, test.manifest.column(column), threshold=0.0)
        assert found[f"eer_percent_within_{column}"] == 100 * report.within_eer
        assert found[f"eer_percent_worst_{column}"] == 100 * max(group.eer for group in report.groups)
    with pytest.raises(ValueError, match="test has no column accent: it has gender, language, speaker"):
        verification(encoder, *sets, groups=["accent"])


def test_speakers_must_be_known(encoder: Encoder, sets: tuple[AudioSet, AudioSet]) -> None:
    train, test = sets
    bare = replace(test, manifest=Manifest(tuple(replace(row, speaker=None) for row in test.manifest)))
    with pytest.raises(ValueError, match="does not say who speaks: give a manifest with a column speaker"):
        verification(encoder, train, bare)


def test_too_many_pairs_are_refused_before_anything_is_embedded(
    encoder: Encoder, sets: tuple[AudioSet, AudioSet], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluation, "MOST_PAIRS", 1769)
    monkeypatch.setattr(evaluation, "embed_recordings", None)
    with pytest.raises(ValueError, match=r"all 1,770 pairs of 60 recordings are too many: .*enrolment"):
        verification(encoder, *sets)


def test_the_cohort_has_no_dev_speaker(encoder: Encoder, sets: tuple[AudioSet, AudioSet], monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[set[str]] = []
    embed = evaluation.embed_recordings
    monkeypatch.setattr(
        evaluation, "embed_recordings", lambda model, data: (seen.append(set(speaker_names(data))), embed(model, data))[1]
    )
    verification(encoder, *sets, normalization="s", dev_share=0.5, bootstrap=0)
    test, cohort, dev, again = seen
    assert cohort == again and not cohort & dev and not test & (cohort | dev) and len(cohort) == len(dev) == 6


def test_pictures(encoder: Encoder, sets: tuple[AudioSet, AudioSet]) -> None:
    other = antiphon.create_encoder(encoder.name, **{**encoder.config, "coefficients": 3})
    pictures = verification_pictures(other, encoder, *sets, groups=["gender"], enrol=2)
    assert [title for title, _, _ in pictures] == ["Detection errors", "Scores", "Errors by gender"]
    labels = [text.get_text() for text in pictures[0][2].axes[0].get_legend().get_texts()]
    eer = verification(encoder, *sets, enrol=2, bootstrap=0)["eer_percent"]
    assert labels[0].startswith("random encoder") and labels[1] == f"pretrained: EER {eer:.2f} %"


@pytest.mark.parametrize("name", ["all_pairs", "enrolment", "trial_list"])
def test_configs_compose_and_follow_each_other(name: str) -> None:
    """Evaluation, calibration and pictures use the speakers that the training set keeps out, and the same trials."""
    words = [f"evaluation=speaker_verification/{name}", "+calibration=speaker_verification", "+pictures=speaker_verification"]
    words += ["evaluation.trials=list.txt"] if name == "trial_list" else []
    plain = compose("music/clmr_mel", words)
    assert plain["evaluation"]["dev_share"] == plain["calibration"]["share"] == 0.0
    assert plain["evaluation"].get("enrol") == plain["pictures"]["enrol"] == (3 if name == "enrolment" else None)
    assert plain["evaluation"]["_target_"].endswith(".verification") and plain["evaluation"]["needs_labels"] is False
    assert plain["pictures"]["trials"] == ("list.txt" if name == "trial_list" else None)
    dev = "+training_set=speaker_verification/without_dev_speakers"
    kept = compose("music/clmr_mel", [*words, dev, "training_set.share=0.2", "training_set.seed=3"])
    assert kept["evaluation"]["dev_share"] == kept["calibration"]["share"] == 0.2
    assert kept["evaluation"]["seed"] == kept["calibration"]["seed"] == 3


def test_a_list_must_be_named() -> None:
    with pytest.raises(ValueError, match=r"evaluation\.trials"):
        compose("music/clmr_mel", ["evaluation=speaker_verification/trial_list"])
