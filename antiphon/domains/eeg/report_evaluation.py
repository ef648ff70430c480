"""What two towers of EEG and reports know: every question of a prompt set by zero-shot, probe and few labels, and retrieval."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from antiphon.common.evaluation.embedding import embed_set, mean_by_owner
from antiphon.common.evaluation.few_labels import few_label_curve
from antiphon.common.evaluation.probes import linear_probe
from antiphon.common.evaluation.scores import classification_result
from antiphon.common.evaluation.zero_shot import WindowEmbeddings, ZeroShot, embed_windows, task_for, text_retrieval
from antiphon.common.text import PromptSet, PromptTask, read_prompts
from antiphon.common.two_towers import TwoTowers
from antiphon.domains.eeg.data.epochs import EpochSet
from antiphon.domains.eeg.data.recordings import RecordingSet

EEGSet = RecordingSet | EpochSet
Columns = Mapping[str, Sequence[str]]
Words = Mapping[str, Mapping[str, str]]


@dataclass(frozen=True)
class Question:
    """A task of the prompts, and its answer for each recording of both sets as the place in `task.labels`; -1 where nobody says."""

    task: PromptTask
    train: NDArray[np.int64]
    test: NDArray[np.int64]


def report_scores(
    model: TwoTowers,
    train: EEGSet,
    test: EEGSet,
    *,
    prompts: str | PromptSet | None = None,
    columns: Columns | None = None,
    words: Words | None = None,
    ks: Sequence[int] = (1, 5, 10),
    shares: Sequence[float] = (1.0, 0.5, 0.2, 0.1, 0.05, 0.02),
    repeats: int = 5,
    seed: int = 0,
) -> dict[str, float]:
    """Balanced accuracies by recording, ``{"gender_zero_shot": ..., "gender_probe": ..., "gender_probe_1/10": ...}``; retrieval.

    A recording's score is the mean over its windows, and so is the embedding that the probe sees: a logistic regression on the
    frozen signal tower, without its projection. "1/10" is the mean of `repeats` stratified draws of a tenth of the labels.
    Retrieval finds the text of each recording among all different ones, and the other way round.

    Args:
        model: the towers.
        train: what probes learn from.
        test: what is measured.
        prompts: a prompt set or its name; None: the model's. Without either, the set's own labels as they are called.
        columns: task -> the columns of the manifest that answer it ("label" is the set's label); a task that is not named here is
            asked of the column of its name. A task whose columns the test set lacks has no scores.
        words: column -> word in it -> the class of the prompts that it means.
        ks: of retrieval.
        shares: of the training labels; 1 is the probe itself.
        repeats: draws of each share below 1.
        seed: of these draws.

    Raises:
        ValueError: neither a question that the test set answers, nor texts.
    """
    known = read_prompts(prompts) if isinstance(prompts, str) else prompts or model.prompts
    questions = list(_questions(model, train, test, known, columns or {}, words or {}))
    embedded = embed_windows(model, test)
    scores: dict[str, float] = {}
    train_x, test_x = (_by_recording(model, part) for part in (train, test)) if questions else (None, None)
    for question in questions:
        scores |= _zero_shot(model, embedded, question)
        scores |= _probes(train_x, test_x, question, shares=shares, repeats=repeats, seed=seed)
    scores |= text_retrieval(model, embedded, ks)
    if not scores:
        asked = "its labels" if known is None else ", ".join(known.tasks)
        raise ValueError(f"{test.name} answers nothing: it needs texts, or columns for {asked} (evaluation.columns)")
    return scores


def _questions(
    model: TwoTowers, train: EEGSet, test: EEGSet, prompts: PromptSet | None, columns: Columns, words: Words
) -> Iterator[Question]:
    if prompts is None or not prompts.tasks:
        if test.labels is not None:
            task = task_for(model, test.classes, prompts=prompts, task=None)
            yield Question(task, *(_answers(part, task, ["label"], {}) for part in (train, test)))
        return
    for name, task in prompts.tasks.items():
        answers = [_answers(part, task, columns.get(name, [name]), words) for part in (train, test)]
        if len(np.unique(answers[1][answers[1] >= 0])) > 1:
            yield Question(task, *answers)


def _answers(data: EEGSet, task: PromptTask, columns: Sequence[str], words: Words) -> NDArray[np.int64]:
    """The class of each recording; the words of several columns are joined by a blank."""
    known = [[words.get(column, {}).get(word, word) for word in _column(data, column)] for column in columns]
    place = {label: number for number, label in enumerate(task.labels)}
    answers = [" ".join(parts) if all(parts) else "" for parts in zip(*known, strict=True)]
    strange = sorted({answer for answer in answers if answer and answer not in place})
    if strange:
        raise ValueError(
            f"{data.name}: {', '.join(strange[:5])} in {' and '.join(columns)} is no class of the task {task.name} "
            f"({', '.join(task.labels)}): say which they mean in evaluation.words"
        )
    return np.asarray([place.get(answer, -1) for answer in answers], np.int64)


def _column(data: EEGSet, name: str) -> list[str]:
    """What stands in a column for each recording, or trial; "" where nothing does."""
    first = np.unique(_owners(data), return_index=True)[1]
    if name == "label" and data.labels is not None:
        return [data.classes[code] for code in np.asarray(data.labels)[first].tolist()]
    if isinstance(data, EpochSet):
        return data.columns[name][first].tolist() if name in data.columns else [""] * len(first)
    return [data.manifest[row].value(name) or "" for row in data.rows[first].tolist()]


def _owners(data: EEGSet) -> NDArray[np.int64]:
    """The recording that each example belongs to, 0, 1, ...; trials stand for themselves."""
    if isinstance(data, EpochSet) or data.trials:
        return np.arange(len(data))
    return np.unique(data.rows, return_inverse=True)[1].astype(np.int64)


def _by_recording(model: TwoTowers, data: EEGSet) -> NDArray[np.float64]:
    """Mean embeddings of the signal tower, (recordings, D)."""
    return mean_by_owner(embed_set(model.encoder, data), _owners(data))


def _zero_shot(model: TwoTowers, embedded: WindowEmbeddings, question: Question) -> dict[str, float]:
    told = question.test >= 0
    scores = embedded.by_recording(ZeroShot.of(model, question.task).scores(embedded.embeddings))[told]
    result = classification_result(
        predicted=scores.argmax(axis=1),
        decision=scores if scores.shape[1] > 2 else scores[:, 1],
        train_labels=np.arange(scores.shape[1]),
        test_labels=question.test[told],
        c=float("nan"),
        selection="zero-shot",
    )
    return {f"{question.task.name}_zero_shot": result.balanced_accuracy}


def _probes(train_x: Any, test_x: Any, question: Question, *, shares: Sequence[float], repeats: int, seed: int) -> dict[str, float]:
    learnt, told = question.train >= 0, question.test >= 0
    if len(np.unique(question.train[learnt])) < 2:
        return {}
    data = train_x[learnt], question.train[learnt], test_x[told], question.test[told]
    name, found = question.task.name, {}
    if 1.0 in shares:
        found[f"{name}_probe"] = linear_probe(*data, seed=seed).balanced_accuracy
    few = [share for share in shares if share < 1.0]
    if few:
        curve = few_label_curve(*data, fractions=few, repeats=repeats, seed=seed, metric="balanced_accuracy")
        found |= {f"{name}_probe_1/{round(1 / share)}": float(mean) for share, mean in zip(few, curve.mean, strict=True)}
    return found
