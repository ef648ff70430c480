"""Every objective that has a config trains on real series: its loss falls, and the representation does not collapse."""

from importlib.resources import files
from statistics import mean

import numpy as np
import pytest
import torch

from antiphon.common.data.loader import KeyedLoader
from antiphon.common.evaluation.geometry import is_collapsed
from antiphon.run.build import build_learner, load_data
from antiphon.run.config import compose

STEPS, BATCH, FILLED = 40, 32, 4  # by the fifth step a queue of 64 has filled, and with it the denominator
SMALL = ["head.hidden_dim=32", "head.out_dim=16", "optimizer.lr=1e-3"]
RECIPES = {  # objectives that do not take one vector a view
    "hierarchical": ("ts2vec", []),
    "softclt": ("softclt", []),
    "cpc": ("simclr", []),
}
OPTIONS = {  # what the published defaults make too large for 67 series and 40 steps
    "byol": ["predictor.hidden_dim=32"],
    "conr": ["objective.window=0.5"],  # the labels are 0 and 1
    "dino": ["head=prototypes", "head.bottleneck_dim=8"],
    "feature_transformation": ["objective.queue_size=64"],
    "mochi": [
        "objective.queue_size=64",
        "objective.hardest=16",
        "objective.pairs=8",
        "objective.with_query=4",
        "objective.warmup_steps=8",
    ],
    "moco": ["objective.queue_size=64"],
    "moco_v3": ["predictor.hidden_dim=32"],
    "nt_xent_am_learned": ["objective.reward=0.0"],  # else the margin's reward is a part of the loss
    "nt_xent_am_scheduled": ["objective.rise=0.05"],  # a rising margin raises the loss
    "sepclr": ["objective.common_dim=8"],
    "simsiam": ["predictor.hidden_dim=32"],
    "swav": ["objective.prototypes=16", "objective.freeze=0.5"],
    "whitened_cse": ["objective.groups=16"],
}


def names() -> list[str]:
    folder = files("antiphon.configs") / "objective"
    return sorted(entry.name.removesuffix(".yaml") for entry in folder.iterdir() if entry.name.endswith(".yaml"))


@pytest.mark.parametrize("name", names())
def test_an_objective_learns(name: str) -> None:
    recipe, overrides = RECIPES.get(name, ("simclr", SMALL))
    encoder = ["encoder=ts2vec", "encoder.hidden_dim=16", "encoder.embedding_dim=32", "encoder.depth=4", "encoder.dropout=0.0"]
    config = compose(
        f"time_series/{recipe}",
        [
            f"objective={name}",
            *encoder,
            *overrides,
            *OPTIONS.get(name, []),
            "data.name=ItalyPowerDemand",
            f"training.steps={STEPS}",
        ],
    )
    train, _ = load_data(config)
    learner, _ = build_learner(config, train, seed=0)
    losses, before, after = trained(learner, train)
    assert mean(losses[-8:]) < mean(losses[FILLED : FILLED + 8]), losses
    assert not is_collapsed(after, reference=before)
    assert not torch.equal(before, after)


def trained(learner, train) -> tuple[list[float], torch.Tensor, torch.Tensor]:
    """The losses of the steps, and embeddings before and after them."""
    settings = learner.configure_optimizers()
    optimizer, losses = settings["optimizer"], []
    everything = train.batch(np.arange(len(train)))

    def embeddings() -> torch.Tensor:
        learner.eval()
        with torch.no_grad():
            found = learner.encoder.embed(everything.signals, everything.lengths)
        learner.train()
        return found

    before = embeddings()
    for batch in KeyedLoader(train, batch_size=BATCH, steps=STEPS, seed=0):
        optimizer.zero_grad()
        loss = learner.training_step(batch)
        loss.backward()
        optimizer.step()
        learner.after_update()
        losses.append(loss.item())
    return losses, before, embeddings()
