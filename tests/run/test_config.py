"""Every recipe composes and every part of it can be built; a wrong word gets one clear line."""

from dataclasses import replace

import numpy as np
import pytest

from antiphon.domains.time_series import TimeSeriesSet
from antiphon.run.build import build_learner, count_steps
from antiphon.run.config import compose, instantiate, list_recipes

RECIPES = sorted(list_recipes())
# What a recipe cannot know of these series: who is left, what rate they have, how long a window is.
TOLD = {
    "eeg/mvcnet": ["views.kinds=[time,frequency]", "views.sample_rate=100"],
    "eeg/simclr": ["views.sample_rate=100"],
    "eeg/relative_positioning": ["views.sample_rate=100", "views.near_s=0.2", "views.far_s=0.5", "encoder.window=20"],
    "eeg/cpc": ["encoder.window=10"],
}
LONG = {"keyword_spotting/cpc_frames", "keyword_spotting/frames"}  # frames that are many samples apart
PAIRS = {"eeg/brain_speech", "eeg/eeg_clip"}  # of a signal and a sound or a text: built in tests/domains/eeg
ABOUT = {"recipe", "domain", "title", "paper", "data", "published", "measured"}


@pytest.fixture(scope="module")
def data() -> TimeSeriesSet:
    return TimeSeriesSet.from_arrays(np.random.default_rng(0).normal(size=(9, 1, 80)).astype(np.float32), np.arange(9) % 3)


@pytest.mark.parametrize("recipe", RECIPES)
def test_every_recipe_composes_and_says_what_it_is(recipe: str) -> None:
    config = compose(recipe)
    assert set(config["about"]) == ABOUT and all(config["about"].values()) and config["about"]["recipe"] == recipe
    assert config["run_dir"].startswith(f"runs/{recipe}-")


@pytest.mark.parametrize("recipe", [recipe for recipe in RECIPES if recipe not in PAIRS])
def test_every_recipe_can_be_built(recipe: str, data: TimeSeriesSet, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("ANTIPHON_CACHE", str(tmp_path))
    if recipe in LONG:
        data = replace(data, signals=np.tile(data.signals, 40), lengths=40 * data.lengths)
    learner, steps = build_learner(compose(recipe, ["training.steps=3", *TOLD.get(recipe, [])]), data, seed=0)
    batch = data.batch(np.arange(6))
    assert steps == 3 and np.isfinite(learner.training_step(batch).item())


@pytest.mark.parametrize("objective", ["nt_xent", "dcl"])
@pytest.mark.parametrize("encoder", ["ts2vec", "ts_tcc_cnn", "resnet1d"])
def test_objectives_and_encoders_are_exchanged_from_outside(objective: str, encoder: str, data: TimeSeriesSet) -> None:
    config = compose("time_series/simclr", [f"objective={objective}", f"encoder={encoder}", "training.steps=1"])
    learner, _ = build_learner(config, data, seed=0)
    assert learner.encoder.name == encoder and objective in str(learner.objective)
    assert np.isfinite(learner.training_step(data.batch(np.arange(4))).item())


@pytest.mark.parametrize("logger", ["tensorboard", "wandb", "mlflow"])
def test_loggers_name_classes_that_exist(logger: str) -> None:
    import pytorch_lightning.loggers

    config = compose("time_series/ts2vec", [f"logger={logger}"])["logger"]
    assert hasattr(pytorch_lightning.loggers, config["_target_"].rsplit(".", 1)[1])


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd", "lars"])
def test_optimizers_by_name(optimizer: str, data: TimeSeriesSet) -> None:
    learner, _ = build_learner(compose("time_series/ts2vec", [f"optimizer={optimizer}", "training.steps=2"]), data, seed=0)
    built = learner.configure_optimizers()["optimizer"]
    assert type(built).__name__.lower() == optimizer


def test_steps_come_from_steps_epochs_or_the_size_rule(data: TimeSeriesSet) -> None:
    training = {"batch_size": 5, "drop_last": False, "steps": None, "epochs": None}
    assert count_steps({**training, "steps": 7}, data) == (7, 4)
    assert count_steps({**training, "epochs": 5}, data) == (10, 5)
    assert count_steps({**training, "epochs": 5, "drop_last": True}, data) == (5, 5)
    rule = {"small_values": 9 * 80, "small_steps": 20, "large_steps": 60}
    assert count_steps({**training, "size_rule": rule}, data)[0] == 20
    assert count_steps({**training, "size_rule": {**rule, "small_values": 9 * 80 - 1}}, data)[0] == 60
    with pytest.raises(ValueError, match=r"neither training\.steps nor training\.epochs"):
        count_steps(training, data)
    with pytest.raises(ValueError, match="0 steps"):
        count_steps({**training, "steps": 0}, data)


def test_wrong_words_get_one_clear_line() -> None:
    with pytest.raises(ValueError, match=r"unknown recipe 'time_series/ts2vek': did you mean time_series/ts2vec\?"):
        compose("time_series/ts2vek")
    with pytest.raises(ValueError, match=r"no setting optimizer\.learning_rate: What a part"):
        compose("time_series/ts2vec", ["optimizer.learning_rate=1"])
    with pytest.raises(ValueError, match=r"no setting training\.stps: did you mean training\.steps\?"):
        compose("time_series/ts2vec", ["training.stps=1"])
    with pytest.raises(ValueError, match="there is no objective 'nt_xnt': did you mean nt_xent"):
        compose("time_series/ts2vec", ["objective=nt_xnt"])
    for added, told in (("+trainig.steps=1", "did you mean training"), ("+training.stps=1", "did you mean steps")):
        with pytest.raises(ValueError, match=f"nothing reads .*{told}"):
            compose("time_series/ts2vec", [added])
    with pytest.raises(ValueError, match=r"training\.steps is 'many': give a whole number"):
        compose("time_series/ts2vec", ["training.steps=many"])
    with pytest.raises(ValueError, match="does not compose"):
        compose("time_series/ts2vec", ["a=[1"])
    with pytest.raises(ValueError, match="write ~name"):
        compose("time_series/ts2vec", ["pair_mining=null"])
    with pytest.raises(ValueError, match=r"missing|Missing"):
        compose("time_series/ts2vec", ["data=time_series/files"])


def test_instantiate_hands_on_the_cause() -> None:
    with pytest.raises(ValueError, match="unknown mask 'sometimes'"):
        instantiate({"_target_": "antiphon.domains.time_series.augmentations.OverlappingCrops", "mask": "sometimes"})
    with pytest.raises(ValueError, match="cannot build"):
        instantiate({"_target_": "antiphon.domains.time_series.augmentations.NoSuchThing"})


def test_composing_leaves_somebody_elses_hydra_alone() -> None:
    from hydra import initialize_config_module
    from hydra.core.global_hydra import GlobalHydra

    with initialize_config_module("antiphon.configs", version_base="1.3"):
        mine = GlobalHydra.instance().hydra
        compose("time_series/ts2vec")
        assert GlobalHydra.instance().hydra is mine


@pytest.mark.parametrize(
    ("setting", "kind"),
    [("null", "NoneType"), ("mean", "AveragedWeights"), ("0.99", "AveragedWeights"), ("last_3", "AveragedCheckpoints")],
)
def test_averaging_by_name(setting: str, kind: str, data: TimeSeriesSet) -> None:
    overrides = [f"training.averaging={setting}", "training.epochs=5", "training.batch_size=3", "training.steps=null"]
    learner, _ = build_learner(compose("time_series/simclr", overrides), data, seed=0)
    assert type(learner.averaging).__name__ == kind and not learner.save_twin
    if kind == "AveragedCheckpoints":
        assert (learner.averaging.last, learner.averaging.every, learner.averaging.steps) == (3, 3, 15)


def test_an_unknown_averaging_names_the_known_ones(data: TimeSeriesSet) -> None:
    for wrong in ("best", "last_x", "last"):
        with pytest.raises(ValueError, match=r"training\.averaging='\w+' is not known: use null, mean, last_10, twin"):
            build_learner(compose("time_series/simclr", [f"training.averaging={wrong}", "training.steps=2"]), data, seed=0)
    with pytest.raises(ValueError, match="save_twin needs a twin"):
        build_learner(compose("time_series/simclr", ["training.averaging=twin", "training.steps=2"]), data, seed=0)
