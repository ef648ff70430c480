"""Zero-shot classification: signals against the prompts of classes without a trained classifier; and retrieval both ways."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import normalize

from antiphon.common.data.loader import BatchSource
from antiphon.common.evaluation.embedding import embed_set, mean_by_owner
from antiphon.common.evaluation.inputs import Embeddings, Labels, embedding_tensor
from antiphon.common.evaluation.protocols import LabelledSet, Probe, run_probe
from antiphon.common.evaluation.retrieval import retrieval
from antiphon.common.evaluation.scores import classification_result
from antiphon.common.evaluation.trained_head import tag_scores
from antiphon.common.text.prompts import PromptSet, PromptTask, label_task, read_prompts
from antiphon.common.text.training_texts import given_texts
from antiphon.common.two_towers import TwoTowers

THRESHOLD = 0.5


@torch.no_grad()
def prompt_embeddings(model: TwoTowers, prompts: Sequence[Sequence[str]]) -> Tensor:
    """One unit vector (K, P) for each list of prompts: the mean of the prompts' unit vectors, brought to unit length again.

    This is CLIP's template ensemble. The order of prompts does not matter, nor how often all of them are repeated.
    """
    training = model.training
    flat = model.eval().embed_texts([prompt for group in prompts for prompt in group])
    model.train(training)
    means = [part.mean(dim=0) for part in flat.split([len(group) for group in prompts])]
    return normalize(torch.stack(means), dim=-1)


@dataclass(frozen=True)
class ZeroShot:
    """A classifier made of prompts: `class_embeddings` (K, P) of `labels`, and how cosines with them become scores.

    One of several labels: a softmax over ``scale * cosine``, as in CLIP and CLAP.

    `multi_label`: every label is a question of its own. A model with a `bias` (SigLIP) was trained for such questions: its answer
    is the sigmoid of ``scale * cosine + bias``. Any other compares the label with a background, ``sigmoid(scale * (cosine -
    cosine_background))``, which is CLIP's softmax over the two. A cosine by itself has no threshold that means anything;
    open_clip's maintainers advise a contrasting prompt, too. `background` (1, P) is that of "something else", or of any prompts.
    """

    labels: tuple[str, ...]
    class_embeddings: Tensor
    scale: float
    bias: float | None = None
    multi_label: bool = False
    background: Tensor | None = None

    @classmethod
    def of(cls, model: TwoTowers, task: PromptTask, *, multi_label: bool = False) -> ZeroShot:
        """The classifier of a model for a task.

        Raises:
            ValueError: a single label to choose from; or, with `multi_label`, no background to compare with.
        """
        if not multi_label and len(task.labels) < 2:
            raise ValueError(f"{task.name} has the single label {task.labels[0]!r}: give two, or ask with multi_label")
        if multi_label and model.bias is None and not task.background:
            raise ValueError(
                f"{task.name} has no background prompts, which labels that may stand together are compared with: give one "
                "(--background TEXT), or add `background` to the task"
            )
        classes = prompt_embeddings(model, list(task.classes.values()))
        contrast = multi_label and model.bias is None
        background = prompt_embeddings(model, [task.background]) if contrast else None
        return cls(task.labels, classes, model.scale, model.bias, multi_label, background)

    def scores(self, embeddings: Embeddings) -> NDArray[np.float64]:
        """Unit vectors of signals (n, P) -> scores (n, K) between 0 and 1; they add up to 1 unless `multi_label`."""
        rows = normalize(embedding_tensor(embeddings).to(self.class_embeddings.device).double(), dim=-1)
        logits = self.scale * rows @ self.class_embeddings.double().T
        if not self.multi_label:
            return np.asarray(logits.softmax(dim=-1).cpu())
        if self.background is not None:
            logits = logits - self.scale * rows @ self.background.double().T
        elif self.bias is not None:
            logits = logits + self.bias
        return np.asarray(logits.sigmoid().cpu())


def settings_hash(model: TwoTowers, task: PromptTask, *, multi_label: bool = False, threshold: float = THRESHOLD) -> str:
    """Eight hexadecimal digits of all that zero-shot scores depend on: weights of both towers, classes, filled prompts, mode."""
    counted = {"model": model.fingerprint(), "multi_label": multi_label, **task.to_dict()}
    if multi_label:
        counted["threshold"] = threshold
    else:
        del counted["background"]
    return hashlib.sha256(json.dumps(counted, sort_keys=True).encode()).hexdigest()[:8]


@dataclass(frozen=True)
class WindowEmbeddings:
    """Unit vectors (m, P) of the windows of a set, the recording (m,) that each belongs to, and the first window of each (n,)."""

    embeddings: NDArray[np.float32]
    owners: NDArray[np.int64]
    windows: Any

    @property
    def firsts(self) -> NDArray[np.int64]:
        """The first window of each recording, (n,)."""
        return np.unique(self.owners, return_index=True)[1]

    def by_recording(self, rows: NDArray[Any]) -> NDArray[np.float64]:
        """Mean over the windows of each recording: (m, K) -> (n, K)."""
        return mean_by_owner(rows, self.owners)


def embed_windows(model: TwoTowers, data: BatchSource, *, batch_size: int = 64) -> WindowEmbeddings:
    """Embed the windows that stand for the examples of a set in evaluation (its examples, where it has no `fixed_windows`).

    Where each example is a window already (and not a trial), those of one row of the manifest are one recording.
    """
    held: Any = data
    windows, owners = held.fixed_windows() if hasattr(held, "fixed_windows") else (held, np.arange(len(held)))
    if len(windows) == len(held) and hasattr(windows, "rows") and not getattr(held, "trials", False):
        owners = np.unique(windows.rows, return_inverse=True)[1].astype(np.int64)
    parts = []
    for start in range(0, len(windows), batch_size):
        batch = windows.batch(np.arange(start, min(start + batch_size, len(windows))))
        parts.append(model.embed_signals(batch.signals.numpy(), batch.lengths.numpy(), context=_on(model, batch.context)))
    return WindowEmbeddings(np.concatenate(parts), owners, windows)


def _on(model: TwoTowers, context: Any) -> dict[str, Any] | None:
    return {key: value.to(model.device) if isinstance(value, Tensor) else value for key, value in context.items()} or None


def cross_modal_retrieval(
    signals: Embeddings, signal_names: Labels, texts: Embeddings, text_names: Labels, *, ks: Sequence[int] = (1, 5, 10)
) -> dict[str, float]:
    """Find the texts of each signal (n, P) and the signals of each text (m, P): the scores of `retrieval` by name, both ways.

    A signal and a text belong together where their names (n,) and (m,) are equal: five captions of one recording have its name, and
    recordings with one and the same caption share a name.
    """
    there = retrieval(signals, signal_names, texts, text_names, ks=ks).scores()
    back = retrieval(texts, text_names, signals, signal_names, ks=ks).scores()
    return {f"signal_to_text_{key}": value for key, value in there.items()} | {
        f"text_to_signal_{key}": value for key, value in back.items()
    }


def two_tower_scores(
    model: TwoTowers,
    train: LabelledSet,
    test: LabelledSet,
    *,
    prompts: str | PromptSet | None = None,
    task: str | None = None,
    ks: Sequence[int] = (1, 5, 10),
    probe: Probe | None = "linear",
    seed: int = 0,
) -> dict[str, float]:
    """What two towers know of a test set: zero-shot, retrieval, and a probe on the frozen signal tower.

    Zero-shot, where there are labels: the scores of a recording are the mean over its windows; accuracy and balanced accuracy of
    the highest (per window, too, where there are several), or for examples of several labels macro ROC-AUC and PR-AUC. Retrieval,
    where there are texts: a recording by the mean of its windows, each text is one candidate, however often it occurs, and
    recordings without a text are left out. The probe sees the encoder's own embeddings and learns from `train`'s labels.

    Raises:
        ValueError: neither labels nor texts, or prompts that lack a class of the test set.
    """
    embedded = embed_windows(model, test)
    scores: dict[str, float] = {}
    if test.labels is not None:
        scores |= _zero_shot_scores(
            model, embedded, test, task_for(model, test.classes, prompts=prompts, task=task, labels=test.labels)
        )
    scores |= text_retrieval(model, embedded, ks)
    if not scores:
        raise ValueError("the test set has neither labels nor texts: give its manifest a column `label` or `text`")
    if probe is not None and test.labels is not None and test.labels.ndim == 1 and train.labels is not None:
        train_x, test_x = embed_set(model.encoder, train), embed_set(model.encoder, test)
        found = run_probe(train_x, train, test_x, test, probe=probe, seed=seed)
        scores |= {"probe_accuracy": found.accuracy, "probe_balanced_accuracy": found.balanced_accuracy}
    return scores


def task_for(
    model: TwoTowers,
    classes: Sequence[str],
    *,
    prompts: str | PromptSet | None,
    task: str | None,
    labels: NDArray[Any] | None = None,
) -> PromptTask:
    """The task for a set's classes: named in `prompts` (None: the model's own), or made of the class names in their templates."""
    known = read_prompts(prompts) if isinstance(prompts, str) else prompts or model.prompts
    if known is not None and (task is not None or len(known.tasks) == 1):
        found = known.task(task)
        missing = sorted(set(classes) - set(found.labels))
        if missing:
            raise ValueError(f"the task {found.name} of {known.name} lacks the classes {', '.join(missing)} of the test set")
        return found
    several = labels is not None and labels.ndim == 2
    return label_task(classes, templates=() if known is None else known.templates, multi_label=several)


def _zero_shot_scores(model: TwoTowers, embedded: WindowEmbeddings, test: LabelledSet, task: PromptTask) -> dict[str, float]:
    windows: Any = embedded.windows
    truth = np.asarray(windows.labels)
    several = truth.ndim == 2
    scores = ZeroShot.of(model, task, multi_label=several).scores(embedded.embeddings)
    scores = scores[:, [task.labels.index(name) for name in test.classes]] if several else scores
    firsts = truth[embedded.firsts]
    if several:
        return {f"zero_shot_{name}": value for name, value in tag_scores(embedded.by_recording(scores), firsts).items()}
    places = np.asarray([task.labels.index(name) for name in test.classes])
    found = _accuracies(embedded.by_recording(scores), places[firsts])
    if len(embedded.owners) == len(firsts):
        return found
    return found | {"zero_shot_window_balanced_accuracy": _accuracies(scores, places[truth])["zero_shot_balanced_accuracy"]}


def _accuracies(scores: NDArray[np.float64], truth: NDArray[Any]) -> dict[str, float]:
    kinds = np.arange(scores.shape[1])
    decision = scores if len(kinds) > 2 else scores[:, 1]
    result = classification_result(
        predicted=scores.argmax(axis=1),
        decision=decision,
        train_labels=kinds,
        test_labels=truth,
        c=float("nan"),
        selection="zero-shot",
    )
    return {"zero_shot_accuracy": result.accuracy, "zero_shot_balanced_accuracy": result.balanced_accuracy}


def text_retrieval(model: TwoTowers, embedded: WindowEmbeddings, ks: Sequence[int]) -> dict[str, float]:
    """Retrieval both ways between recordings and their different texts, as in `two_tower_scores`; {} with fewer than two texts."""
    texts = given_texts(embedded.windows)
    if texts is None:
        return {}
    own = np.asarray([texts[row] for row in embedded.firsts.tolist()])
    told = own != ""
    different = np.unique(own[told])
    if len(different) < 2:
        return {}
    with torch.no_grad():
        rows = model.embed_texts(different.tolist()).float().cpu()
    signals = embedded.by_recording(embedded.embeddings)
    return cross_modal_retrieval(signals[told], own[told], rows, different, ks=ks)
