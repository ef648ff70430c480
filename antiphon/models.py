"""The catalogue: every encoder by its name, across all domains. Classes are imported when they are asked for."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from difflib import get_close_matches
from importlib import import_module
from inspect import Parameter, signature
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch.nn import Module

    from antiphon.common.classifier import Classifier
    from antiphon.common.encoder import Encoder
    from antiphon.common.text import TextTower
    from antiphon.common.two_towers import TwoTowers

ENCODERS = {
    "ts2vec": "antiphon.domains.time_series.encoders:TS2VecEncoder",
    "ts_tcc_cnn": "antiphon.domains.time_series.encoders:TSTCCEncoder",
    "resnet1d": "antiphon.domains.time_series.encoders:ResNet1dEncoder",
    "tsai": "antiphon.domains.time_series.encoders:TsaiEncoder",
    "sample_cnn": "antiphon.domains.music.encoders:SampleCNNEncoder",
    "log_mel": "antiphon.domains.music.encoders:LogMelEncoder",
    "spectral_statistics": "antiphon.domains.music.encoders:SpectralStatisticsEncoder",
    "deep4": "antiphon.domains.eeg.encoders:Deep4Encoder",
    "braindecode": "antiphon.domains.eeg.encoders:BraindecodeEncoder",
    "fast_resnet34": "antiphon.domains.speaker_verification.encoders:FastResNet34Encoder",
    "ecapa_tdnn": "antiphon.domains.speaker_verification.encoders:ECAPATDNNEncoder",
    "brain_module": "antiphon.domains.eeg.brain_speech:BrainModuleEncoder",
    "mel_bands": "antiphon.domains.eeg.brain_speech:MelBandsEncoder",
    "speech_transformer": "antiphon.domains.eeg.brain_speech:SpeechTransformerEncoder",
    "ifnet": "antiphon.domains.eeg.mvcnet.encoders:IFNetEncoder",
    "mvcnet": "antiphon.domains.eeg.mvcnet.encoders:MVCNetEncoder",
    "cab": "antiphon.domains.keyword_spotting.encoders:CABEncoder",
    "bc_resnet": "antiphon.domains.keyword_spotting.encoders:BCResNetEncoder",
    "cpc": "antiphon.domains.keyword_spotting.encoders:CPCEncoder",
    "aligned_frames": "antiphon.domains.keyword_spotting.encoders:AlignedFramesEncoder",
    "tc_resnet": "antiphon.domains.keyword_spotting.encoders.tc_resnet:TCResNetEncoder",
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
    encoder = _architecture(config)
    _fill(encoder, state, path, encoder.name)
    encoder.about = config["about"]
    return encoder.eval()


def _architecture(config: Mapping[str, Any]) -> Encoder:
    """The encoder of a saved config, without its weights."""
    from antiphon.common.encoder import InputSpec

    encoder = create_encoder(config["encoder"]["name"], **config["encoder"]["config"])
    encoder.describe_input(InputSpec.from_dict(config["input"]))
    return encoder


def _fill(module: Module, state: Mapping[str, Any], path: str | Path, name: str) -> None:
    try:
        module.load_state_dict(state)
    except RuntimeError as error:
        raise ValueError(f"the weights in {path} do not fit a {name}: {' '.join(str(error).split())}") from error


def load_model(path: str | Path, *, revision: str | None = None, text: str | None = None) -> TwoTowers:
    """A pretrained pair of signal and text tower, in evaluation mode on the CPU, from a run, its `model` folder or a repository id.

    As with `load_encoder`, no code from the folder runs. A text tower that was frozen is opened by its name (see
    `antiphon.common.text.open_tower`); `text` says where it lies on this computer if that is another place.

    Raises:
        FileNotFoundError: a path that holds no two towers, or a text tower that cannot be found.
        ValueError: weights that do not fit, an encoder without a text tower, or another text tower than it was trained with.
    """
    from antiphon.common.hub import read_model
    from antiphon.common.text import PromptSet
    from antiphon.common.two_towers import SignalSide, TextSide, TwoTowers

    config, state, folder = read_model(path, revision=revision)
    model = TwoTowers(
        SignalSide(_architecture(config), **config["signals"]),
        TextSide(_text_tower(config, folder, text), **config["texts"]),
        scale=config["scale"],
        bias=config["bias"],
        prompts=None if config["prompts"] is None else PromptSet.from_dict(config["prompts"]),
    )
    _fill(model, state, path, f"{config['encoder']['name']} with its text tower")
    model.about = config["about"]
    return model.eval()


def _text_tower(config: Mapping[str, Any], folder: Path, text: str | None) -> TextTower:
    """The text tower of a saved model: without weights where the model has its own, else the very one it was trained with."""
    from antiphon.common.hub import TEXT
    from antiphon.common.text import TransformersTower, open_tower

    about = config["text_tower"]
    if (folder / TEXT / "config.json").is_file():
        return TransformersTower.rebuild(folder / TEXT, name=about["name"], **about["config"])
    tower = open_tower(text or about["name"], **about["config"])
    tower.name = about["name"]
    if not config["texts"]["lr_factor"] and tower.fingerprint() != about["fingerprint"]:
        raise ValueError(
            f"the text tower {text or about['name']} has other weights, or another vocabulary, than {folder} was trained with "
            f"({tower.fingerprint()}, not {about['fingerprint']}): load_model(..., text=FOLDER) names the right one"
        )
    return tower


def load_classifier(path: str | Path) -> Classifier:
    """A fine-tuned classifier, in evaluation mode on the CPU, from the folder that `antiphon finetune` wrote."""
    from antiphon.common.classifier import CLASSES, HEAD, Classifier
    from antiphon.common.hub import read_weights

    folder = Path(path)
    if not (folder / HEAD).is_file():
        raise FileNotFoundError(f"{folder} holds no {HEAD}: give the folder that `antiphon finetune` wrote")
    classifier = Classifier(load_encoder(folder / "encoder"), json.loads((folder / CLASSES).read_text()))
    classifier.linear.load_state_dict(read_weights(folder / HEAD))
    return classifier.eval()


def note_other_domain(encoder: Encoder, domain: str, what: str) -> None:
    """Warn where an encoder learnt in another domain than `domain`, so that `what` it says is worth little."""
    own = domain_of(encoder).__name__.rsplit(".", 1)[-1]
    if own != domain:
        warnings.warn(
            f"{encoder.name} comes from {own}, not {domain}: it did not learn to {what}, so scores mean little", stacklevel=2
        )


def domain_of(encoder: Encoder) -> ModuleType:
    """The domain package that knows how to read files (`read`, `load`) for an encoder.

    That of the recipe that it was trained by, if it says so, else the one that it comes from.
    """
    own = ENCODERS[encoder.name].split(":")[0].split(".")[:3]
    known = {path.split(".")[2] for path in ENCODERS.values()}
    told = encoder.about.get("domain")
    return import_module(".".join([*own[:2], told if told in known else own[2]]))
