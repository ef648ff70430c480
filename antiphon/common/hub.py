"""The format of a saved encoder, or of two towers: safetensors, JSON and a model card. Loading runs no code from the folder."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch.nn import Module

from antiphon import __version__
from antiphon.common.encoder import Encoder

if TYPE_CHECKING:
    from antiphon.common.two_towers import TwoTowers

FORMAT = 1
WEIGHTS, CONFIG, CARD = "model.safetensors", "config.json", "README.md"
TEXT = "text"  # the folder of a fine-tuned text tower's architecture and tokenizer


def save_encoder(encoder: Encoder, folder: str | Path, *, about: Mapping[str, Any] | None = None) -> Path:
    """Write `encoder` to `folder`, whole or not at all; `about` (recipe, data, results) goes into config and model card.

    Raises ValueError if the encoder was not made by name (`antiphon.create_encoder`), since it could not be loaded again.
    """
    from safetensors.torch import save_file

    config = {**_encoder_config(encoder), "about": dict(about or {})}

    def fill(partial: Path) -> None:
        save_file(_weights(encoder), partial / WEIGHTS, metadata={"format": "pt"})
        (partial / CONFIG).write_text(json.dumps(config, indent=2) + "\n")
        (partial / CARD).write_text(model_card(config))

    return write_folder(Path(folder), fill)


def _encoder_config(encoder: Encoder) -> dict[str, Any]:
    if not encoder.name:
        raise ValueError(f"{type(encoder).__name__} has no name in the catalogue: make it with antiphon.create_encoder(name, ...)")
    return {
        "format": FORMAT,
        "antiphon": __version__,
        "encoder": {"name": encoder.name, "config": encoder.config},
        "embedding_dim": encoder.embedding_dim,
        "pooling": encoder.pooling,
        "input": encoder.input_spec.to_dict(),
    }


def _weights(module: Module) -> dict[str, Any]:
    return {key: value.detach().cpu().contiguous() for key, value in module.state_dict().items()}


def save_model(model: TwoTowers, folder: str | Path, *, about: Mapping[str, Any] | None = None) -> Path:
    """Write two towers to `folder`, whole or not at all, for `antiphon.load_model`.

    Signal tower and projections are saved whole; of a frozen text tower the name and the fingerprint of its weights, of one that
    learned the weights, too. Scale, bias, prompts and `about` stand in the config.

    Raises:
        ValueError: an encoder that was not made by name.
    """
    from safetensors.torch import save_file

    signals, texts = model.signals, model.texts
    config = {
        **_encoder_config(signals.encoder),
        "signals": {"projection": signals.projection_config, "per_frame": signals.per_frame, "lr_factor": signals.lr_factor},
        "texts": {"projection": texts.projection_config, "lr_factor": texts.lr_factor},
        "text_tower": {"name": texts.tower.name, "config": texts.tower.config, "fingerprint": texts.tower.fingerprint()},
        "space_dim": model.embedding_dim,
        "scale": model.scale,
        "bias": model.bias,
        "prompts": None if model.prompts is None else model.prompts.to_dict(),
        "fingerprint": model.fingerprint(),
        "about": dict(about or {}),
    }

    def fill(partial: Path) -> None:
        save_file(_weights(model), partial / WEIGHTS, metadata={"format": "pt"})
        if texts.learns:
            texts.tower.save_architecture(partial / TEXT)
        (partial / CONFIG).write_text(json.dumps(config, indent=2) + "\n")
        (partial / CARD).write_text(two_tower_card(config))

    return write_folder(Path(folder), fill)


def write_folder(folder: Path, fill: Callable[[Path], None]) -> Path:
    """Make `folder` whole or not at all: `fill` writes into a hidden neighbour, which then takes the place of an older one."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    previous = partial.with_name(f"{partial.name}-previous")
    try:
        fill(partial)
        for entry in (partial, *partial.rglob("*")):  # temporary folders and safetensors files are made private
            entry.chmod(0o755 if entry.is_dir() else 0o644)
        if folder.exists():
            os.replace(folder, previous)
        os.replace(partial, folder)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    shutil.rmtree(previous, ignore_errors=True)
    return folder


def read_encoder(path: str | Path, *, revision: str | None = None) -> tuple[dict[str, Any], dict[str, Any]]:
    """The config and the weights (name -> tensor) in a folder, or in a Hugging Face repository (user/name), which is fetched."""
    config, state = _read(_resolve(path, revision, "encoder"), "encoder")
    if "text_tower" in config:  # of two towers the signal tower is an encoder like any other
        start = "signals.encoder."
        state = {key.removeprefix(start): value for key, value in state.items() if key.startswith(start)}
    return config, state


def read_model(path: str | Path, *, revision: str | None = None) -> tuple[dict[str, Any], dict[str, Any], Path]:
    """The config and the weights of saved two towers, and the folder that they are in.

    Raises:
        FileNotFoundError: no such folder or repository.
        ValueError: what is there is an encoder alone.
    """
    folder = _resolve(path, revision, "model")
    alone = folder / "encoder" if (folder / "encoder" / CONFIG).is_file() and not (folder / CONFIG).is_file() else folder
    config, state = _read(alone, "model")
    if "text_tower" not in config:
        beside = alone.parent / "model"
        if (beside / CONFIG).is_file():
            raise ValueError(f"{alone} is the encoder alone, without its text tower: give {alone.parent}, or {beside}")
        raise ValueError(
            f"{alone} holds an encoder that learned without texts: train one with a text tower, by `antiphon pretrain RECIPE` with "
            "text=wordllama or another of the group `text`"
        )
    return config, state, folder


def _read(folder: Path, kind: str) -> tuple[dict[str, Any], dict[str, Any]]:
    for name in (CONFIG, WEIGHTS):
        if not (folder / name).is_file():
            raise FileNotFoundError(f"{folder} holds no {name}: give a run, its `{kind}` folder, or a Hugging Face repository id")
    config = _intact(folder / CONFIG, lambda file: json.loads(file.read_text()))
    if config.get("format", 0) > FORMAT:
        raise ValueError(f"{folder} was written in format {config['format']}, this Antiphon reads up to {FORMAT}: upgrade antiphon")
    return config, read_weights(folder / WEIGHTS)


def read_weights(file: Path) -> dict[str, Any]:
    """The tensors of a safetensors file.

    Raises:
        ValueError: the file is damaged.
    """
    from safetensors.torch import load_file

    return _intact(file, load_file)


def _intact(file: Path, read: Callable[[Path], dict[str, Any]]) -> dict[str, Any]:
    from safetensors import SafetensorError

    try:
        return read(file)
    except (SafetensorError, ValueError) as error:
        raise ValueError(f"{file} is damaged ({' '.join(str(error).split())}): copy it again from where it was made") from error


def push_encoder(folder: str | Path, repo_id: str, *, private: bool = False, token: str | None = None) -> str:
    """Upload a saved encoder to the Hugging Face hub and return its address."""
    from huggingface_hub import HfApi

    folder = Path(folder)
    if not (folder / CONFIG).is_file():
        raise FileNotFoundError(f"{folder} is no saved encoder: it holds no {CONFIG}")
    api = HfApi(token=token)
    api.create_repo(repo_id, private=private, exist_ok=True)
    return str(api.upload_folder(repo_id=repo_id, folder_path=folder))


def _resolve(path: str | Path, revision: str | None, kind: str) -> Path:
    folder = Path(path).expanduser()
    if folder.is_dir():  # an encoder (or a model), a run, or a run of several seeds, which its first stands for
        places = (folder, folder / kind, *sorted(folder.glob(f"seed-*/{kind}")))
        return next((place for place in places if (place / CONFIG).is_file()), folder)
    text = str(path)
    if folder.is_absolute() or text.startswith((".", "~")) or text.count("/") != 1:
        raise FileNotFoundError(f"no folder {text}: give the `{kind}` folder of a run, or a Hugging Face repository id (user/name)")
    if Path(text).parent.is_dir():
        raise FileNotFoundError(f"no folder {text}, though {Path(text).parent} is here: check the name")
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(text, revision=revision, allow_patterns=[CONFIG, WEIGHTS, CARD, f"{TEXT}/*"]))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        raise FileNotFoundError(f"{text} is neither a folder here nor a repository that could be fetched ({error})") from error


def model_card(config: Mapping[str, Any]) -> str:
    """The README.md of a saved encoder: what it is, how to use it, what was measured."""
    use = [
        'encoder = antiphon.load_encoder("path/to/this/folder")',
        f"encoder.embed(signals)  # (batch, {config['input']['channels']}, time) -> (batch, {config['embedding_dim']})",
    ]
    return _card(config, {}, use)


def two_tower_card(config: Mapping[str, Any]) -> str:
    """The README.md of saved two towers."""
    use = [
        'model = antiphon.load_model("path/to/this/folder")',
        f"model.embed_signals(signals)  # (batch, {config['input']['channels']}, time) -> (batch, {config['space_dim']})",
        f'model.embed_texts(["one text", "another"])  # (2, {config["space_dim"]})',
    ]
    return _card(config, two_tower_facts(config), use)


def model_facts(path: str | Path) -> dict[str, str]:
    """What is to be said of the two towers in a run, a folder or a repository, by name; nothing where there is an encoder alone."""
    file = _resolve(path, None, "model") / CONFIG
    config = json.loads(file.read_text()) if file.is_file() else {}
    return two_tower_facts(config) if "text_tower" in config else {}


def two_tower_facts(config: Mapping[str, Any]) -> dict[str, str]:
    """What is to be said of saved two towers beside their encoder, by name."""
    text, prompts = config["text_tower"], config["prompts"]
    learned = config["texts"]["lr_factor"]
    return {
        "text tower": f"`{text['name']}` {json.dumps(text['config'])}, "
        + (f"fine-tuned at {learned:g} of the learning rate, weights included" if learned else "frozen, not included"),
        "signal tower": "trained" if config["signals"]["lr_factor"] else "frozen",
        "shared space": f"{config['space_dim']} dimensions, scale {config['scale']:.3f}"
        + ("" if config["bias"] is None else f", bias {config['bias']:.3f}"),
        "prompts": "none of its own" if prompts is None else f"{prompts['name']}, version {prompts['version']}",
        "fingerprint": config["fingerprint"],
    }


def _card(config: Mapping[str, Any], more: Mapping[str, str], use: Sequence[str]) -> str:
    about, spec = config["about"], config["input"]
    title = about.get("recipe", config["encoder"]["name"])
    facts = {
        "architecture": f"`{config['encoder']['name']}` {json.dumps(config['encoder']['config'])}",
        "embedding": f"{config['embedding_dim']} dimensions, {config['pooling']} pooling over time",
        "input": f"{spec['channels']} channel(s)"
        + (f" ({', '.join(spec['names'])})" if spec["names"] else "")
        + (f" in {spec['unit']}" if spec["unit"] else "")
        + (f", {spec['sample_rate']} Hz" if spec["sample_rate"] else "")
        + (f", {spec['window']} samples" if spec["window"] else ", any length"),
        **more,
        **{key: value for key, value in about.items() if isinstance(value, (str, int, float))},
    }
    lines = ["---", "library_name: antiphon", "tags: [contrastive-learning, feature-extraction]", "---", "", f"# {title}", ""]
    lines += [f"* **{key}**: {value}" for key, value in facts.items()]
    lines += ["", "```python", "import antiphon", *use, "```", ""]
    results = about.get("results")
    if isinstance(results, list) and results:
        columns = list(results[0])
        lines += ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
        lines += ["| " + " | ".join(_cell(row.get(column)) for column in columns) + " |" for row in results] + [""]
    return "\n".join(lines)


def _cell(value: Any) -> str:
    return f"{value:.4f}" if isinstance(value, float) else str(value)
