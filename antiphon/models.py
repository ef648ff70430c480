"""The catalogue: every encoder by its name, across all domains. Classes are imported when they are asked for."""

from __future__ import annotations

import json
from difflib import get_close_matches
from importlib import import_module
from inspect import Parameter, signature
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from antiphon.common.classifier import Classifier
    from antiphon.common.encoder import Encoder

ENCODERS = {
    "ts2vec": "antiphon.domains.time_series.encoders:TS2VecEncoder",
    "ts_tcc_cnn": "antiphon.domains.time_series.encoders:TSTCCEncoder",
    "resnet1d": "antiphon.domains.time_series.encoders:ResNet1dEncoder",
    "tsai": "antiphon.domains.time_series.encoders:TsaiEncoder",
    "sample_cnn": "antiphon.domains.music.encoders:SampleCNNEncoder",
    "log_mel": "antiphon.domains.music.encoders:LogMelEncoder",
    "spectral_statistics": "antiphon.domains.music.encoders:SpectralStatisticsEncoder",
}


def list_encoders() -> list[str]:
    """The names that `create_encoder` knows, in alphabetical order."""
    return sorted(ENCODERS)


def encoder_class(name: str) -> type[Encoder]:
    """The class behind a name. Raises ValueError that lists the names, and the closest one, if there is none."""
    if name not in ENCODERS:
        close = get_close_matches(name, ENCODERS, n=1)
        hint = f" (did you mean {close[0]!r}?)" if close else ""
        raise ValueError(f"unknown encoder {name!r}{hint}: use one of {', '.join(list_encoders())}")
    module, attribute = ENCODERS[name].split(":")
    return getattr(import_module(module), attribute)


def create_encoder(name: str, **config: Any) -> Encoder:
    """A new encoder with initial weights: ``create_encoder("ts2vec", in_channels=3)``.

    Raises ValueError that names what the encoder takes if an argument is missing or unknown.
    """
    kind = encoder_class(name)
    _check_arguments(name, kind, config)
    encoder = kind(**config)
    encoder.name = name
    return encoder


def _check_arguments(name: str, kind: type[Encoder], config: dict[str, Any]) -> None:
    parameters = signature(kind).parameters
    named = {key: value for key, value in parameters.items() if value.kind is not Parameter.VAR_KEYWORD}
    accepts = ", ".join(key if value.default is Parameter.empty else f"{key}={value.default!r}" for key, value in named.items())
    missing = [key for key, value in named.items() if value.default is Parameter.empty and key not in config]
    if missing:
        raise ValueError(f"the encoder {name!r} needs {', '.join(missing)}: it takes {accepts}")
    unknown = [key for key in config if key not in named]
    if unknown and len(named) == len(parameters):
        close = get_close_matches(unknown[0], named, n=1)
        hint = f" (did you mean {close[0]!r}?)" if close else ""
        raise ValueError(f"the encoder {name!r} has no argument {', '.join(map(repr, unknown))}{hint}: it takes {accepts}")


def load_encoder(path: str | Path, *, revision: str | None = None) -> Encoder:
    """A pretrained encoder, in evaluation mode on the CPU, from a run, its `encoder` folder, or a Hugging Face repository id.

    The class is looked up here by name and the weights are safetensors: no code from the folder runs. Raises FileNotFoundError for
    a path that holds no encoder, ValueError for weights that do not fit.
    """
    from antiphon.common.hub import read_encoder

    config, state = read_encoder(path, revision=revision)
    encoder = create_encoder(config["encoder"]["name"], **config["encoder"]["config"])
    try:
        encoder.load_state_dict(state)
    except RuntimeError as error:
        raise ValueError(f"the weights in {path} do not fit a {encoder.name}: {' '.join(str(error).split())}") from error
    encoder.about = config["about"]
    return encoder.eval()


def load_classifier(path: str | Path) -> Classifier:
    """A fine-tuned classifier, in evaluation mode on the CPU, from the folder that `antiphon finetune` wrote."""
    from safetensors.torch import load_file

    from antiphon.common.classifier import CLASSES, HEAD, Classifier

    folder = Path(path)
    if not (folder / HEAD).is_file():
        raise FileNotFoundError(f"{folder} holds no {HEAD}: give the folder that `antiphon finetune` wrote")
    classifier = Classifier(load_encoder(folder / "encoder"), json.loads((folder / CLASSES).read_text()))
    classifier.linear.load_state_dict(load_file(folder / HEAD))
    return classifier.eval()


def domain_of(encoder: Encoder) -> ModuleType:
    """The domain package that an encoder comes from; it knows how to read files (`read`, `load`)."""
    return import_module(".".join(ENCODERS[encoder.name].split(":")[0].split(".")[:3]))
