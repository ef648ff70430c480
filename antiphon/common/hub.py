"""The format of a saved encoder: `model.safetensors`, `config.json` and a model card. Loading runs no code from the folder."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from antiphon import __version__
from antiphon.common.encoder import Encoder

FORMAT = 1
WEIGHTS, CONFIG, CARD = "model.safetensors", "config.json", "README.md"


def save_encoder(encoder: Encoder, folder: str | Path, *, about: Mapping[str, Any] | None = None) -> Path:
    """Write `encoder` to `folder`, whole or not at all; `about` (recipe, data, results) goes into config and model card.

    Raises ValueError if the encoder was not made by name (`antiphon.create_encoder`), since it could not be loaded again.
    """
    from safetensors.torch import save_file

    if not encoder.name:
        raise ValueError(f"{type(encoder).__name__} has no name in the catalogue: make it with antiphon.create_encoder(name, ...)")
    config = {
        "format": FORMAT,
        "antiphon": __version__,
        "encoder": {"name": encoder.name, "config": encoder.config},
        "embedding_dim": encoder.embedding_dim,
        "pooling": encoder.pooling,
        "input": encoder.input_spec.to_dict(),
        "about": dict(about or {}),
    }

    def fill(partial: Path) -> None:
        state = {key: value.detach().cpu().contiguous() for key, value in encoder.state_dict().items()}
        save_file(state, partial / WEIGHTS, metadata={"format": "pt"})
        (partial / CONFIG).write_text(json.dumps(config, indent=2) + "\n")
        (partial / CARD).write_text(model_card(config))

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
    from safetensors.torch import load_file

    folder = _resolve(path, revision)
    for name in (CONFIG, WEIGHTS):
        if not (folder / name).is_file():
            raise FileNotFoundError(f"{folder} holds no {name}: give a run, its `encoder` folder, or a Hugging Face repository id")
    config = json.loads((folder / CONFIG).read_text())
    if config.get("format", 0) > FORMAT:
        raise ValueError(f"{folder} was written in format {config['format']}, this Antiphon reads up to {FORMAT}: upgrade antiphon")
    return config, load_file(folder / WEIGHTS)


def push_encoder(folder: str | Path, repo_id: str, *, private: bool = False, token: str | None = None) -> str:
    """Upload a saved encoder to the Hugging Face hub and return its address."""
    from huggingface_hub import HfApi

    folder = Path(folder)
    if not (folder / CONFIG).is_file():
        raise FileNotFoundError(f"{folder} is no saved encoder: it holds no {CONFIG}")
    api = HfApi(token=token)
    api.create_repo(repo_id, private=private, exist_ok=True)
    return str(api.upload_folder(repo_id=repo_id, folder_path=folder))


def _resolve(path: str | Path, revision: str | None) -> Path:
    folder = Path(path).expanduser()
    if folder.is_dir():  # an encoder, a run, or a run of several seeds, which its first stands for
        places = (folder, folder / "encoder", *sorted(folder.glob("seed-*/encoder")))
        return next((place for place in places if (place / CONFIG).is_file()), folder)
    text = str(path)
    if folder.is_absolute() or text.startswith((".", "~")) or text.count("/") != 1:
        raise FileNotFoundError(
            f"no folder {text}: give the `encoder` folder of a run, or a Hugging Face repository id (user/name)"
        )
    if Path(text).parent.is_dir():
        raise FileNotFoundError(f"no folder {text}, though {Path(text).parent} is here: check the name")
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(text, revision=revision, allow_patterns=[CONFIG, WEIGHTS, CARD]))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        raise FileNotFoundError(f"{text} is neither a folder here nor a repository that could be fetched ({error})") from error


def model_card(config: Mapping[str, Any]) -> str:
    """The README.md of a saved encoder: what it is, how to use it, what was measured."""
    about, spec = config["about"], config["input"]
    title = about.get("recipe", config["encoder"]["name"])
    facts = {
        "architecture": f"`{config['encoder']['name']}` {json.dumps(config['encoder']['config'])}",
        "embedding": f"{config['embedding_dim']} dimensions, {config['pooling']} over time",
        "input": f"{spec['channels']} channel(s)"
        + (f", {spec['sample_rate']} Hz" if spec["sample_rate"] else "")
        + (f", {spec['window']} samples" if spec["window"] else ", any length"),
        **{key: value for key, value in about.items() if isinstance(value, (str, int, float))},
    }
    lines = ["---", "library_name: antiphon", "tags: [contrastive-learning, feature-extraction]", "---", "", f"# {title}", ""]
    lines += [f"* **{key}**: {value}" for key, value in facts.items()]
    lines += ["", "```python", "import antiphon", 'encoder = antiphon.load_encoder("path/to/this/folder")']
    lines += [
        f"embeddings = encoder.embed(signals)  # (batch, {spec['channels']}, time) -> (batch, {config['embedding_dim']})",
        "```",
        "",
    ]
    results = about.get("results")
    if isinstance(results, list) and results:
        columns = list(results[0])
        lines += ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
        lines += ["| " + " | ".join(_cell(row.get(column)) for column in columns) + " |" for row in results] + [""]
    return "\n".join(lines)


def _cell(value: Any) -> str:
    return f"{value:.4f}" if isinstance(value, float) else str(value)
