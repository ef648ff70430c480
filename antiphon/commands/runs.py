"""What the sub-commands about recipes, runs and encoders do, given their parsed options."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.padding import Padding

console = Console()


def recipes(options: Namespace) -> None:
    """List the recipes, or show one."""
    from antiphon.run.config import list_recipes

    known = list_recipes()
    if options.recipe and options.recipe not in known:
        raise ValueError(f"unknown recipe {options.recipe!r}: `antiphon recipes` lists them")
    for name in [options.recipe] if options.recipe else known:
        about = known[name]
        console.print(f"[bold]{escape(name)}[/]  {escape(about['title'])}", highlight=False)
        for key in ("paper", "data", "published", "measured"):
            console.print(Padding(f"[dim]{key}[/]  {escape(about[key])}", (0, 0, 0, 4)), highlight=False)
    series = options.recipe is not None and options.recipe.startswith("time_series/")
    what = (
        "data.name=NAME" if series else "data.root=FOLDER" if options.recipe else "data.root=FOLDER (time series: data.name=NAME)"
    )
    console.print(f"\nRun one: antiphon pretrain {options.recipe or 'RECIPE'} {what}", highlight=False)


def pretrain(options: Namespace) -> None:
    """Run a recipe, or continue a run."""
    from antiphon.run.config import compose, list_recipes
    from antiphon.run.folder import RunFolder

    if (Path(options.recipe) / "config.yaml").is_file():
        if not options.resume:
            raise ValueError(f"{options.recipe} is a run folder: continue it with --resume, or name a recipe")
        if options.overrides:
            raise ValueError(f"a run continues as it was started, so no overrides please, got {' '.join(options.overrides)}")
        config = {**RunFolder(Path(options.recipe)).config(), "run_dir": options.recipe}
    elif Path(options.recipe).is_dir():
        raise ValueError(f"{options.recipe} is no run folder: it holds no config.yaml (a run is what `antiphon pretrain` writes)")
    else:
        if options.resume and options.recipe not in list_recipes():
            raise ValueError(f"{options.recipe} is neither a run folder nor a recipe, so there is nothing to resume")
        config = compose(options.recipe, options.overrides)

    from antiphon.common.distributed import is_first_process  # torch, after mistakes that need none of it
    from antiphon.common.learners.training import Interrupted
    from antiphon.run.pretrain import pretrain as run

    folder = RunFolder(Path(config["run_dir"]))
    if options.resume and folder.path.is_dir() and not any(folder.path.rglob("last.ckpt")):
        console.print(f"{folder.path} holds no checkpoint yet: it begins with the first step", highlight=False)
    try:
        folder = run(config, resume=options.resume)
    except KeyboardInterrupt as stopped:
        where = stopped if isinstance(stopped, Interrupted) else "stopped"
        raise KeyboardInterrupt(f"{where}\ncontinue with: antiphon pretrain {config['run_dir']} --resume") from None
    if is_first_process():
        _print_results(folder)


def _print_results(folder: Any) -> None:
    from antiphon.common.report import terminal_table
    from antiphon.run.evaluation import metric_table

    results = folder.results()
    title = f"{results['recipe']}, {results['train_examples']} training and {results['test_examples']} test examples"
    if results["rows"]:
        console.print(terminal_table(metric_table(title, results["rows"])))
    else:
        console.print(f"{title}: nothing was measured, for want of an evaluation or of a labelled test set")
    parts = folder.seeds
    console.print(
        f"encoder  {parts[0].encoder}" + (f" (and {len(parts) - 1} more seeds)" if len(parts) > 1 else ""), highlight=False
    )
    if parts[0].model.is_dir():
        console.print(f"model    {parts[0].model}", highlight=False)
    if folder.report.is_file():
        console.print(f"report   {folder.report}", highlight=False)


def evaluate(options: Namespace) -> None:
    """Measure a finished run again."""
    import yaml

    from antiphon.common.report import terminal_table
    from antiphon.run.evaluation import evaluate_run, metric_table
    from antiphon.run.folder import RunFolder

    wrong = [word for word in options.overrides if "=" not in word]
    if wrong:
        raise ValueError(f"{wrong[0]!r} is no setting: write name=value, for instance probe=linear")
    overrides = {name: yaml.safe_load(value) for name, value in (word.split("=", 1) for word in options.overrides)}
    folder = RunFolder(options.run)
    folder.config()
    rows = evaluate_run(folder, overrides)
    if not rows:
        raise ValueError(f"{options.run} has no labelled test set: use `antiphon probe {options.run} --data ...`")
    console.print(terminal_table(metric_table(str(options.run), rows)))


def probe(options: Namespace) -> None:
    """Classify one's own data on frozen embeddings, random encoders beside the pretrained one."""
    from antiphon.common.report import terminal_table
    from antiphon.run.evaluation import metric_table
    from antiphon.run.own_data import labelled_split, probe_rows

    encoder, train, test = labelled_split(
        options.run, options.data, options.test, test_share=options.test_share, on_mismatch=options.on_mismatch
    )
    rows = probe_rows(encoder, train, test, probe=options.probe, random_seeds=range(options.seeds))
    title = f"{options.probe} probe, {len(train)} training and {len(test)} test examples of {options.data}"
    console.print(terminal_table(metric_table(title, rows)))


def finetune(options: Namespace) -> None:
    """Train all weights on one's own labels, a network trained from scratch beside it."""
    from antiphon.common.report import terminal_table
    from antiphon.run.evaluation import metric_table
    from antiphon.run.own_data import finetune_rows, labelled_split

    is_run = (Path(options.run) / "config.yaml").is_file()
    output = options.output or (Path(options.run) / "finetuned" if is_run else Path("finetuned"))
    if output.exists():
        raise ValueError(f"{output} is there already: give another place with -o")
    encoder, train, test = labelled_split(
        options.run, options.data, options.test, test_share=options.test_share, on_mismatch=options.on_mismatch
    )
    rows = finetune_rows(
        encoder,
        train,
        test,
        output,
        epochs=options.epochs,
        lr=options.lr,
        batch_size=options.batch_size,
        seeds=range(options.seeds),
    )
    title = f"fine-tuned, {len(train)} training and {len(test)} test examples of {options.data}"
    console.print(terminal_table(metric_table(title, rows, ("from scratch", "fine-tuned"))))
    console.print(f"classifier  {output}", highlight=False)


def embed(options: Namespace) -> None:
    """Embed files and write one table."""
    from antiphon.run.own_data import embed_files

    count, dimensions, left_out = embed_files(options.run, options.files, options.output, on_mismatch=options.on_mismatch)
    if left_out:
        console.print(escape(str(left_out)), highlight=False, soft_wrap=True)
    console.print(f"{count} embedding{'s' if count != 1 else ''} of {dimensions} dimensions in {options.output}", highlight=False)


def _threshold(calibration: dict[str, Any]) -> str:
    """What `antiphon verify` decides by, if anything."""
    if "missing" in calibration:
        return f"none, since {calibration['missing']}"
    return f"{calibration['threshold']:.4f}, from {calibration['speakers']} speakers, {calibration['source']}"


def info(options: Namespace) -> None:
    """Say what an encoder is, what it expects, and what was measured."""
    from antiphon.common.hub import model_facts
    from antiphon.common.report import terminal_table
    from antiphon.models import load_encoder
    from antiphon.run.evaluation import metric_table

    encoder = load_encoder(options.run)
    spec, about = encoder.input_spec, encoder.about
    facts = {
        "encoder": f"{encoder.name} {encoder.config}",
        "weights": f"{sum(parameter.numel() for parameter in encoder.parameters()):,}",
        "embedding": f"{encoder.embedding_dim} dimensions, {encoder.pooling} pooling over time",
        "input": f"{spec.channels} channel(s), {f'{spec.window} samples' if spec.window else f'{spec.min_length} samples or more'}"
        + (f", {spec.sample_rate} Hz" if spec.sample_rate else "")
        + (f", in {spec.unit}" if spec.unit else "")
        + (f": {', '.join(spec.names)}" if spec.names else ""),
        **({"prepared": spec.preparation} if spec.preparation else {}),
        **model_facts(options.run),
        **{key: value for key, value in about.items() if key != "results" and value is not None},
    }
    if "calibration" in facts:
        facts["threshold"] = _threshold(facts.pop("calibration"))
    for key, value in facts.items():
        console.print(f"[bold]{key:<11}[/] {escape(str(value))}", highlight=False)
    if about.get("results"):
        console.print(terminal_table(metric_table("measured", about["results"])))
