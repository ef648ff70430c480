"""The parts of a run that learns from texts: two towers and their learner. A recipe asks for it by its group `text`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from antiphon.common.data.loader import BatchSource
from antiphon.common.random import seeded_scope
from antiphon.common.text import PromptSet, open_tower, read_prompts
from antiphon.common.text.training_texts import training_texts
from antiphon.common.two_towers import SignalSide, TextSide, TwoTowers
from antiphon.models import load_encoder
from antiphon.run.build import build_encoder, build_waiting, count_steps

if TYPE_CHECKING:
    from antiphon.common.learners.cross_modal import CrossModal

_WITHOUT = ("head", "predictor", "twin", "pair_mining")  # parts of a joint embedding that two towers have no place for


def prompts_of(config: Mapping[str, Any]) -> PromptSet | None:
    """The prompts that the recipe names: they are saved with the model, and evaluate it."""
    return read_prompts(config["text"]["prompts"]) if config["text"].get("prompts") else None


def build_sides(config: Mapping[str, Any], train: BatchSource, *, seed: int) -> tuple[SignalSide, TextSide]:
    """Both towers with their projections at initial weights from `seed`; the signal encoder too, unless it starts from a run."""
    text, towers = config["text"], config.get("towers")
    if not towers:
        raise ValueError("a run with texts needs the group towers, which says how both towers meet: add +towers=mlp")
    if towers["signal_start"]:
        encoder = load_encoder(towers["signal_start"])
        encoder.check_input(train.batch(np.zeros(1, np.int64)).signals)
    else:
        encoder = build_encoder(config, train, seed=seed)
    tower = open_tower(text["name"], pooling=text["pooling"], max_tokens=text["max_tokens"], prefix=text["prefix"])
    with seeded_scope(seed, "other initial weights"):
        first = SignalSide(encoder, towers["signal_head"], per_frame=towers["per_frame"], lr_factor=towers["signal_lr_factor"])
        second = TextSide(tower, towers["text_head"], lr_factor=text["lr_factor"], cache=_cache(text["cache"]))
    return first, second


def _cache(setting: str | bool | None) -> str | None:
    if setting is False:
        return None
    from antiphon.common.data.open_data import cache_folder

    return str(setting or cache_folder() / "text_embeddings")


def build_untrained(config: Mapping[str, Any], train: BatchSource, *, seed: int) -> TwoTowers:
    """The pair before training, which the pretrained one is measured against: random signal tower and projections."""
    first, second = build_sides(config, train, seed=seed)
    return TwoTowers(first, second, scale=1.0, prompts=prompts_of(config)).eval()


def build_cross_modal(config: Mapping[str, Any], train: BatchSource, *, seed: int) -> tuple[CrossModal, int]:
    """The learner of a recipe with texts, and the number of steps it is to train."""
    from antiphon.common.learners.cross_modal import CrossModal
    from antiphon.common.optim import OptimizerSettings

    unused = [name for name in _WITHOUT if config.get(name)] + (
        ["training.averaging"] if config["training"].get("averaging") else []
    )
    if unused:
        raise ValueError(f"a run with texts has no use for {', '.join(unused)}: leave it out (~{unused[0]}); heads stand in towers")
    prompts_of(config)  # a wrong name is told before the training, not after it
    texts = training_texts(train)
    first, second = build_sides(config, train, seed=seed)
    if texts is not None:
        second.prepare(texts)
    steps, _ = count_steps(config["training"], train)
    with seeded_scope(seed, "objective"):
        objective = build_waiting(config["objective"], in_dim=first.encoder.embedding_dim, projection_dim=first.out_dim)
    objective.prepare(train)
    objective.begin(first.encoder, train)
    spec = first.encoder.input_spec
    views = build_waiting(config["views"], names=spec.names, sample_rate=spec.sample_rate) if config.get("views") else None
    learner = CrossModal(
        first,
        second,
        objective,
        views=views,
        optimizer=OptimizerSettings(**config["optimizer"]),
        **config["learner"],
        group_by=config["towers"]["group_by"],
        steps=steps,
        seed=seed,
    )
    return learner, steps
