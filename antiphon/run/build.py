"""From a composed config to the parts of a run: data, encoder, learner."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from antiphon.common.data.loader import BatchSource, KeyedLoader
from antiphon.common.encoder import Encoder
from antiphon.common.random import seeded_scope
from antiphon.models import create_encoder
from antiphon.run.config import instantiate, parameters

if TYPE_CHECKING:
    from antiphon.common.learners.cross_modal import CrossModal
    from antiphon.common.learners.joint_embedding import JointEmbedding
    from antiphon.common.momentum import AveragedWeights


def load_data(config: Mapping[str, Any]) -> tuple[Any, Any]:
    """The training and the test set (None if there is none) that `config["data"]` names."""
    train, test = instantiate(config["data"])
    return train, test


def training_set(config: Mapping[str, Any], train: Any) -> Any:
    """What is learnt from: the training set, or what the recipe's `training_set` makes of it (TS2Vec cuts long series)."""
    return instantiate(config["training_set"], train=train) if config.get("training_set") else train


def build_encoder(config: Mapping[str, Any], train: BatchSource, *, seed: int) -> Encoder:
    """A new encoder for signals like those of `train`: initial weights from `seed`, standardisation fitted on `train`."""
    example = train.batch(np.zeros(1, dtype=np.int64)).signals
    options = {"in_channels": example.shape[1], **config["encoder"]}
    name = options.pop("name")
    for option in [option for option, value in options.items() if value == "auto"]:
        if option != "window" and not hasattr(train, option):
            raise ValueError(f"encoder.{option}=auto, but these signals do not say: give it a value")
        options[option] = example.shape[2] if option == "window" else getattr(train, option)
    with seeded_scope(seed, "initial weights"):
        encoder = create_encoder(name, **options)
    spec = getattr(train, "input_spec", None)  # a set of a domain that declares what its signals are
    if spec is not None:
        encoder.describe_input(spec)
    if config.get("standardization"):
        encoder.fit_standardization(*instantiate(config["standardization"], train=train))
    encoder.check_input(example)
    return encoder


def build_learner(config: Mapping[str, Any], train: BatchSource, *, seed: int) -> tuple[JointEmbedding | CrossModal, int]:
    """The learner of a recipe with a new encoder, and the number of steps it is to train."""
    if config.get("text"):
        from antiphon.run.cross_modal import build_cross_modal

        return build_cross_modal(config, train, seed=seed)
    from torch.nn import Identity

    from antiphon.common.learners.joint_embedding import JointEmbedding
    from antiphon.common.optim import OptimizerSettings

    encoder = build_encoder(config, train, seed=seed)
    training = config["training"]
    steps, epochs = count_steps(training, train)
    with seeded_scope(seed, "other initial weights"):
        head = build_waiting(config["head"], in_dim=encoder.embedding_dim, steps=steps) if config.get("head") else Identity()
        projection_dim = encoder.embedding_dim if isinstance(head, Identity) else head.out_dim
        predictor = instantiate(config["predictor"], in_dim=projection_dim) if config.get("predictor") else None
        objective = build_waiting(
            config["objective"],
            in_dim=encoder.embedding_dim,
            projection_dim=projection_dim,
            encoder=encoder,
            classes=getattr(train, "classes", ()),
            steps=steps,
        )
    objective.prepare(train)
    objective.begin(encoder, train)
    twin = instantiate(config["twin"], encoder=encoder, head=head, steps=steps) if config.get("twin") else None
    mining = instantiate(config["pair_mining"], examples=len(train), max_epochs=epochs) if config.get("pair_mining") else None
    learner = JointEmbedding(
        encoder,
        build_waiting(config["views"], names=encoder.input_spec.names, sample_rate=encoder.input_spec.sample_rate),
        objective,
        head=head,
        predictor=predictor,
        twin=twin,
        optimizer=OptimizerSettings(**config["optimizer"]),
        averaging=_averaging(training, encoder, train, steps=steps),
        save_twin=training.get("averaging") == "twin",
        pair_mining=mining,
        **config["learner"],
        steps=steps,
        seed=seed,
    )
    return learner, steps


def _averaging(training: Mapping[str, Any], encoder: Encoder, train: BatchSource, *, steps: int) -> AveragedWeights | None:
    """What `training.averaging` asks for: a mean of all iterates, a moving average, a mean of the last epochs' ends, or nothing."""
    from antiphon.common.momentum import AveragedCheckpoints, AveragedWeights

    setting = training.get("averaging")
    if setting is None or setting == "twin":
        return None
    if setting == "mean" or isinstance(setting, float):
        return AveragedWeights(encoder, None if setting == "mean" else setting)
    word, _, last = str(setting).partition("_")
    if word != "last" or not last.isdecimal():
        raise ValueError(f"training.averaging={setting!r} is not known: use null, mean, last_10, twin, or a decay such as 0.999")
    return AveragedCheckpoints(encoder, last=int(last), every=_loader(training, train).steps_per_epoch, steps=steps)


def build_waiting(node: Mapping[str, Any], **known: Any) -> Any:
    """Build `node`; where it waits for arguments (`_partial_: true`), it gets those of `known` that it takes and was not given."""
    wanted = [name for name in parameters(node) if node.get(name) is None] if node.get("_partial_") else []
    return instantiate(node, **{name: value for name, value in known.items() if name in wanted})


def _loader(training: Mapping[str, Any], train: BatchSource) -> KeyedLoader:
    return KeyedLoader(train, batch_size=training["batch_size"], steps=1, drop_last=training["drop_last"])


def count_steps(training: Mapping[str, Any], train: BatchSource) -> tuple[int, int]:
    """(steps, epochs) from `steps`, `epochs`, or TS2Vec's `size_rule` (few steps for a small set, more for a larger one)."""
    loader = _loader(training, train)
    rule = training.get("size_rule")
    if training.get("steps") is not None:
        steps = int(training["steps"])
    elif training.get("epochs") is not None:
        steps = int(training["epochs"]) * loader.steps_per_epoch
    elif rule:
        values = len(train) * train.batch(np.zeros(1, dtype=np.int64)).signals[0].numel()
        steps = rule["small_steps"] if values <= rule["small_values"] else rule["large_steps"]
    else:
        raise ValueError("neither training.steps nor training.epochs is set: give one, e.g. training.steps=200")
    if steps < 1:
        raise ValueError(f"training would take {steps} steps: give training.steps or training.epochs of at least 1")
    return steps, -(-steps // loader.steps_per_epoch)
