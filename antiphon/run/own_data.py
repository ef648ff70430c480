"""A pretrained encoder on somebody's own files: probe, fine-tune, embed."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from antiphon.common.classifier import Classifier
from antiphon.common.data.quarantine import Quarantine
from antiphon.common.encoder import Encoder
from antiphon.common.evaluation.embedding import embed_set
from antiphon.common.evaluation.protocols import Probe, classification
from antiphon.common.evaluation.scores import classification_result
from antiphon.common.random import seeded_scope
from antiphon.common.signal.io import AudioError
from antiphon.models import create_encoder, domain_of, load_encoder
from antiphon.run.evaluation import Row


def labelled_split(
    run: str, data: str, test: str | None, *, test_share: float = 0.3, seed: int = 0, on_mismatch: str = "strict"
) -> tuple[Encoder, Any, Any]:
    """The encoder of `run`, and labelled training and test sets; without `test` a stratified share of `data` is held out.

    `on_mismatch` says what to do with EEG that lacks channels of the encoder: strict, subset or interpolate.
    """
    encoder = load_encoder(run)
    domain = domain_of(encoder)
    reading = _reading(encoder, on_mismatch)
    train, held_out = domain.load(data, test, test_share=test_share, seed=seed, labelled=True, **reading)
    for part in (train, held_out):
        encoder.check_input(part.batch(np.zeros(1, np.int64)).signals)
    return encoder, train, held_out


def _reading(encoder: Encoder, on_mismatch: str) -> dict[str, Any]:
    """What the readers of recordings must know: an encoder that is bound to a sampling rate reads windows at that rate."""
    spec = encoder.input_spec
    if on_mismatch != "strict" and not spec.names:
        raise ValueError(f"--on-mismatch {on_mismatch} is for EEG: the channels of {encoder.name} have no names")
    reading: dict[str, Any] = {} if spec.sample_rate is None else {"input_spec": spec}
    return reading | ({"on_mismatch": on_mismatch} if spec.names else {})


def untrained_like(encoder: Encoder, seed: int) -> Encoder:
    """The same architecture at initial weights drawn from `seed`, with the same standardisation."""
    with seeded_scope(seed, "initial weights"):
        fresh = create_encoder(encoder.name, **encoder.config)
    fresh.describe_input(encoder.input_spec)
    fresh.fit_standardization(encoder.input_mean, encoder.input_std)
    return fresh.eval()


def probe_rows(encoder: Encoder, train: Any, test: Any, *, probe: Probe, random_seeds: Iterable[int]) -> list[Row]:
    """Scores on frozen embeddings: random encoders, then the pretrained one."""
    rows: list[Row] = [
        {"encoder": "random", "seed": seed, **classification(untrained_like(encoder, seed), train, test, probe=probe)}
        for seed in random_seeds
    ]
    return [*rows, {"encoder": "pretrained", "seed": 0, **classification(encoder, train, test, probe=probe)}]


def finetune_rows(
    encoder: Encoder, train: Any, test: Any, output: Path, *, epochs: int, lr: float, batch_size: int, seeds: Iterable[int]
) -> list[Row]:
    """Train all weights on labels, from the pretrained weights and from scratch, once a seed; the first fine-tuned one is saved."""
    seeds = list(seeds) or [0]
    rows: list[Row] = []
    for name in ("from scratch", "fine-tuned"):
        for seed in seeds:
            start = untrained_like(encoder, seed) if name == "from scratch" else _copy(encoder)
            classifier = finetune(start, train, epochs=epochs, lr=lr, batch_size=batch_size, seed=seed, progress=True)
            rows.append({"encoder": name, "seed": seed, **_scores(classifier, train, test)})
            if name == "fine-tuned" and seed == seeds[0]:
                classifier.save(output, about={**encoder.about, "fine-tuned on": train.name, "results": None})
    return rows


def _copy(encoder: Encoder) -> Encoder:
    twin = untrained_like(encoder, 0)
    twin.load_state_dict(encoder.state_dict())
    return twin


def finetune(
    encoder: Encoder, train: Any, *, epochs: int, lr: float, batch_size: int, seed: int, progress: bool = False
) -> Classifier:
    """A classifier whose weights all learned `train`'s labels: AdamW, a tenth of the steps warm-up, then cosine.

    `progress` shows a bar.
    """
    from antiphon.common.data.loader import KeyedLoader
    from antiphon.common.learners.classification import Classification
    from antiphon.common.learners.training import TrainingSettings, fit
    from antiphon.common.optim import OptimizerSettings

    with seeded_scope(seed, "classifier"):
        classifier = Classifier(encoder, train.classes)
    loader = KeyedLoader(train, batch_size=batch_size, steps=1, drop_last=False)
    steps = epochs * loader.steps_per_epoch
    if steps < 1:
        raise ValueError(f"--epochs {epochs} leaves nothing to train: give at least 1")
    learner = Classification(classifier, optimizer=OptimizerSettings(lr=lr, schedule="cosine", warmup=0.1), steps=steps, seed=seed)
    settings = TrainingSettings(
        batch_size=batch_size,
        steps=steps,
        seed=seed,
        drop_last=False,
        checkpoint_every=steps,
        progress=progress,
        progress_title=f"seed {seed}",
    )
    with tempfile.TemporaryDirectory() as scratch:
        fit(learner, train, settings, scratch)
    return classifier.eval()


def _scores(classifier: Classifier, train: Any, test: Any) -> dict[str, float]:
    embeddings = torch.from_numpy(embed_set(classifier.encoder, test))
    with torch.inference_mode():
        scores = classifier.linear(embeddings.to(classifier.linear.weight.device)).cpu().numpy()
    result = classification_result(
        predicted=scores.argmax(axis=1),
        decision=scores if scores.shape[1] > 2 else scores[:, 1] - scores[:, 0],
        train_labels=np.arange(len(train.classes)),
        test_labels=test.labels,
        c=float("nan"),
        selection="trained end to end",
    )
    return result.scores()


def embed_files(run: str, files: Sequence[str], output: Path, *, on_mismatch: str = "strict") -> tuple[int, int, Quarantine]:
    """Embed every series or recording of `files` into one table: `output`.npz (arrays embeddings, path, row, label) or .parquet.

    `on_mismatch` as in `labelled_split`. Returns how many embeddings of how many dimensions, and the recordings that were left out.
    Raises ValueError for another ending, before any work, and where nothing could be embedded.
    """
    if output.suffix not in (".npz", ".parquet"):
        raise ValueError(f"output {output} ends in {output.suffix or 'nothing'}: give a file that ends in .npz or .parquet")
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ValueError(f"the folder of {output} cannot be made ({error.strerror}): give another output") from error
    encoder = load_encoder(run)
    domain, reading = domain_of(encoder), _reading(encoder, on_mismatch)
    sets, refused = [], []
    for file in files:
        try:
            sets.append((file, domain.read(file, **reading)))
        except AudioError as error:
            refused.append((error.path, error.reason))
    left_out = Quarantine(tuple(refused), len(files))
    if not sets:
        raise ValueError(str(left_out))
    embeddings = np.concatenate([embed_set(encoder, data) for _, data in sets])
    columns: dict[str, Any] = {
        "path": np.concatenate([_paths(file, data) for file, data in sets]),
        "row": np.concatenate([np.arange(len(data)) for _, data in sets]),
    }
    if all(data.labels is not None for _, data in sets):
        columns["label"] = np.concatenate([np.asarray(data.classes)[data.labels] for _, data in sets])
    partial = output.with_name(f".partial-{output.name}")
    if output.suffix == ".npz":
        np.savez(partial, embeddings=embeddings, **columns)
    else:
        import pandas as pd

        table = pd.DataFrame(columns)
        features = pd.DataFrame(embeddings, columns=[f"embedding_{number}" for number in range(embeddings.shape[1])])
        pd.concat([table, features], axis=1).to_parquet(partial)
    os.replace(partial, output)
    return len(embeddings), embeddings.shape[1], left_out


def _paths(file: str, data: Any) -> Any:
    """The file of each example: its own where a folder was read, else the one that was given."""
    manifest = getattr(data, "manifest", None)
    return np.full(len(data), file) if manifest is None else np.asarray([manifest[row].path for row in data.rows.tolist()])
