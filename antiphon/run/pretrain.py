"""Pretrain: fit, save the encoder, evaluate it beside random ones, write the report."""

from __future__ import annotations

import json
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from antiphon.common.data.loader import BatchSource
from antiphon.common.distributed import is_first_process
from antiphon.common.encoder import Encoder
from antiphon.run.build import build_learner, load_data, training_set
from antiphon.run.config import compose, instantiate
from antiphon.run.evaluation import evaluate
from antiphon.run.folder import RunFolder, config_hash, write_text
from antiphon.run.report import write_run_report

if TYPE_CHECKING:
    from antiphon.common.learners.training import TrainingSettings
    from antiphon.common.two_towers import TwoTowers


def pretrain(config: dict[str, Any], *, resume: bool = False) -> RunFolder:
    """Run a composed config to its end: once, or once for each of `config["seeds"]`. Returns the finished run folder.

    Raises `Interrupted` after Ctrl-C; the run then continues with `resume=True`.
    """
    folder = RunFolder(Path(config["run_dir"]))
    seeds = config["seeds"]
    if is_first_process():
        folder.check(config, resume=resume, overwrite=config["overwrite"])
    data = load_data(config)  # before anything is written
    if is_first_process():
        folder.start(config, resume=resume, overwrite=config["overwrite"])
        left_out = getattr(data[0], "quarantine", None)
        if left_out:
            left_out.write(folder.left_out)
    if not seeds:
        pretrain_seed(config, folder, data, resume=resume)
    for seed in seeds or []:
        part = RunFolder(folder.path / f"seed-{seed}")
        if not (resume and part.complete):
            single = {**config, "seed": seed, "seeds": None, "run_dir": str(part.path)}
            if config.get("evaluation"):  # so that random and pretrained encoders pair up
                single["evaluation"] = {**config["evaluation"], "random_seeds": [seed]}
            if is_first_process():
                part.start(single, resume=resume, overwrite=False)
            pretrain_seed(single, part, data, resume=resume)
    if seeds and is_first_process():
        rows = [row for part in folder.seeds for row in part.results()["rows"]]
        first = folder.seeds[0].results()
        folder.write_results({**first, "rows": rows, "seconds": sum(part.results()["seconds"] for part in folder.seeds)})
    if config["report"] and is_first_process():
        write_run_report(folder, data)
    return folder


def pretrain_set(recipe: str, data: BatchSource, overrides: Sequence[str], *, seed: int, folder: str) -> Encoder:
    """Pretrain a recipe on a set in memory, without evaluation, report or progress bar, and return the encoder."""
    from antiphon.common.learners.training import fit

    config = {**compose(recipe, overrides), "seed": seed}
    data = training_set(config, data)
    learner, steps = build_learner(config, data, seed=seed)
    fit(learner, data, _settings(config, steps, progress=False), folder)
    return learner.trained_encoder.cpu().eval()


def _settings(config: dict[str, Any], steps: int, *, progress: bool) -> TrainingSettings:
    from antiphon.common.learners.training import TrainingSettings

    training = config["training"]
    taken = ("batch_size", "drop_last", "workers", "log_every", "checkpoint_every", "trainer")
    return TrainingSettings(steps=steps, seed=config["seed"], progress=progress, **{name: training[name] for name in taken})


def pretrain_seed(config: dict[str, Any], folder: RunFolder, data: tuple[Any, Any], *, resume: bool) -> None:
    """One seed: fit, save, evaluate."""
    from antiphon.common.learners.monitor import Monitor
    from antiphon.common.learners.training import fit

    seed, training = config["seed"], config["training"]
    source = training_set(config, data[0])
    learner, steps = build_learner(config, source, seed=seed)
    settings = _settings(config, steps, progress=training["progress"])
    if settings.batch_size > len(source):
        warnings.warn(
            f"training.batch_size is {settings.batch_size}, but there are {len(source)} training examples: batches hold "
            f"{len(source)}",
            stacklevel=2,
        )
    monitor = Monitor(source, steps=steps, seed=seed, **_looks(config, steps))
    logger = dict(config["logger"] or {})
    if "save_dir" in logger:
        logger["save_dir"] = str(folder.path)
    start = time.monotonic()
    first = fit(
        learner,
        source,
        settings,
        folder.path,
        callbacks=[monitor],
        loggers=[instantiate(logger)] if logger else [],
        resume=resume,
    )
    if first:
        write_text(folder.path / "monitor.json", json.dumps([snapshot.to_dict() for snapshot in monitor.history]))
        _save_and_evaluate(config, folder, learner, data, steps=steps, seconds=time.monotonic() - start)


def _looks(config: dict[str, Any], steps: int) -> dict[str, int]:
    """The monitor of the config, less where a short run would be mostly looks: five steps to each, of four batches at most."""
    wanted, batch = config.get("monitor") or {"times": 0, "examples": 0}, config["training"]["batch_size"]
    return {"times": min(wanted["times"], max(1, steps // 5)), "examples": min(wanted["examples"], 4 * batch)}


def _save_and_evaluate(
    config: dict[str, Any], folder: RunFolder, learner: Any, data: tuple[Any, Any], *, steps: int, seconds: float
) -> None:
    from antiphon.common.hub import save_encoder, save_model

    train, test = data
    encoder = learner.trained_encoder.eval()
    classifier, model = learner.objective.classifier(encoder), _two_towers(config, learner)
    results = {
        "recipe": config["about"]["recipe"],
        "config": config_hash(config),
        "steps": steps,
        "seconds": seconds,
        "train_examples": len(train),
        "test_examples": 0 if test is None else len(test),
    }
    facts = _facts(encoder, config, results, train)

    def save() -> None:
        save_encoder(encoder, folder.encoder, about=facts)
        if classifier is not None:
            classifier.save(folder.classifier, about=facts)
        if model is not None:
            save_model(model, folder.model, about=facts)

    save()  # before the evaluation, so that a mistake there loses nothing
    try:
        rows = evaluate(config, encoder, train, test, classifier=classifier, model=model)
    except ValueError as error:
        raise ValueError(
            f"{error}. This was in the evaluation; the encoder is trained and saved: `antiphon evaluate {folder.path} "
            "SETTING=VALUE` measures it"
        ) from error
    facts["results"] = rows
    save()
    folder.write_results({**results, "rows": rows})


def _two_towers(config: dict[str, Any], learner: Any) -> TwoTowers | None:
    """The trained pair of a run that learned from texts."""
    if not config.get("text"):
        return None
    from antiphon.run.cross_modal import prompts_of

    model: TwoTowers = learner.two_towers(prompts_of(config)).eval()
    return model


def _domain(config: dict[str, Any]) -> str:
    """The domain that read the training data, and that reads what is embedded later; a config may combine it with others' parts."""
    target = config["data"]["_target_"].split(".")
    return str(target[2] if target[:2] == ["antiphon", "domains"] else config["about"]["domain"])


def _facts(encoder: Encoder, config: dict[str, Any], results: dict[str, Any], train: Any) -> dict[str, Any]:
    """What is known about the encoder, and the decision threshold that the recipe's `calibration` learns, if any."""
    about = config["about"]
    facts = {
        "recipe": about["recipe"],
        "domain": _domain(config),
        "paper": about["paper"],
        "trained on": config["data"].get("name"),
        "seed": config["seed"],
        "steps": results["steps"],
        "config": results["config"],
    }
    if config.get("calibration"):
        facts["calibration"] = instantiate(config["calibration"], encoder=encoder, train=train)
    return facts
