"""The `antiphon` command: thin, and quick to answer, since each sub-command imports what it needs when it runs."""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

HOMES = {  # the module of antiphon.commands that has a sub-command; "runs" has the others
    "data": "data",
    "enroll": "speakers",
    "export": "export",
    "identify": "speakers",
    "spot": "spotting",
    "verify": "speakers",
    "zero-shot": "zero_shot",
}
EXTRA_OF = {
    "aeon": "time-series",
    "braindecode": "eeg",
    "edfio": "eeg",
    "hydra": "train",
    "librosa": "audio",
    "matplotlib": "train",
    "mlflow": "tracking",
    "mne": "eeg",
    "moabb": "eeg",
    "numba": "time-series",
    "omegaconf": "train",
    "onnx": "export",
    "onnxruntime": "export",
    "onnxscript": "export",
    "pandas": "time-series",
    "pyarrow": "time-series",
    "pyroomacoustics": "audio",
    "pytorch_lightning": "train",
    "soundfile": "audio",
    "tensorboard": "tracking",
    "tokenizers": "text",
    "torchaudio": "audio",
    "transformers": "text",
    "tsai": "tsai",
    "wandb": "tracking",
    "webdataset": "audio",
    "wordllama": "text",
}


class _Parser(argparse.ArgumentParser):
    """Takes no abbreviated options: `--resum` is a mistake, not a new run."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options, allow_abbrev=False)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="antiphon", description="Contrastive pretraining of encoders for signals.")
    parser.add_argument("--version", action="store_true", help="print the version and stop")
    parser.add_argument("--debug", action="store_true", help="show the whole traceback of an error")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", parser_class=_Parser)

    add = commands.add_parser("recipes", help="list the recipes: paper, data, published figure, what was measured here")
    add.add_argument("recipe", nargs="?", help="show one recipe whole")

    add = commands.add_parser("pretrain", help="run a recipe: fit, save the encoder, evaluate it, write a report")
    add.add_argument("recipe", help="a recipe (see `antiphon recipes`), or with --resume a run folder")
    add.add_argument("overrides", nargs="*", help="Hydra overrides: data.name=OSULeaf training.steps=500 objective=dcl")
    add.add_argument("--resume", action="store_true", help="continue a run that was stopped, bit for bit")

    add = commands.add_parser("evaluate", help="measure a finished run again, random encoders beside it")
    add.add_argument("run", type=Path)
    add.add_argument(
        "overrides",
        nargs="*",
        help="evaluation settings: random_seeds=[0,1,2,3,4] probe=linear; or another evaluation: evaluation=NAME",
    )

    for name, text in (
        ("probe", "classify one's own labelled data on frozen embeddings"),
        ("finetune", "train all weights on one's own labels"),
    ):
        add = commands.add_parser(name, help=text)
        add.add_argument("run", help="a run folder, an encoder folder, or a Hugging Face repository id")
        add.add_argument(
            "--data",
            required=True,
            help="labelled training data: .npz .npy .ts .tsv .parquet, a folder of CSVs, or a UCR/UEA name; "
            "recordings: a folder a class, or a manifest",
        )
        add.add_argument("--test", help="labelled test data; without it a stratified share of --data is held out")
        add.add_argument("--test-share", type=float, default=0.3, help="share held out when there is no --test (default 0.3)")
        add.add_argument("--seeds", type=int, default=3, help="how many random encoders stand beside it (default 3)")
        _add_on_mismatch(add)
        if name == "probe":
            add.add_argument("--probe", choices=("linear", "svm", "knn"), default="linear")
        else:
            add.add_argument("--epochs", type=int, default=50)
            add.add_argument("--lr", type=float, default=1e-3)
            add.add_argument("--batch-size", type=int, default=16)
            add.add_argument("-o", "--output", type=Path, help="where the classifier goes (default: RUN/finetuned, or ./finetuned)")

    add = commands.add_parser("embed", help="embed files with a pretrained encoder")
    add.add_argument("run", help="a run folder, an encoder folder, or a Hugging Face repository id")
    add.add_argument(
        "files", nargs="+", help="what the encoder's domain reads: .npz .npy .ts .tsv .parquet, a folder of CSVs; audio; EEG"
    )
    add.add_argument("-o", "--output", type=Path, required=True, help="out.npz or out.parquet")
    _add_on_mismatch(add)

    _add_speaker_commands(commands)

    _add_zero_shot(commands.add_parser("zero-shot", help="say what is in recordings, by labels in words"))

    _add_spot(commands)
    _add_export(commands)

    add = commands.add_parser("info", help="say what a run or an encoder is")
    add.add_argument("run", help="a run folder, an encoder folder, or a Hugging Face repository id")

    add = commands.add_parser("data", help="fetch open recordings; pack recordings into shards")
    _add_data_actions(add.add_subparsers(dest="action", metavar="ACTION", required=True, parser_class=_Parser))
    return parser


def _add_speaker_commands(commands: Any) -> None:
    """`antiphon verify|enroll|identify`."""
    verify = commands.add_parser("verify", help="say whether two recordings are of one speaker")
    enroll = commands.add_parser("enroll", help="add voices to a small index of speakers")
    identify = commands.add_parser("identify", help="say who of an index speaks in a recording")
    for add in (enroll, identify):
        add.add_argument("index", type=Path, metavar="INDEX", help="an index of speakers: people.npz")
    for add in (verify, enroll, identify):
        add.add_argument("run", metavar="RUN", help="a run folder, an encoder folder, or a Hugging Face repository id")
    verify.add_argument("first", metavar="FILE", help="a recording")
    verify.add_argument("second", metavar="FILE", help="another")
    for add in (enroll, identify):
        add.add_argument("files", nargs="+", metavar="FILE", help="recordings, a folder of them, or a manifest (.csv, .jsonl)")
    enroll.add_argument("--speaker", metavar="NAME", help="who speaks (default: the manifest's column speaker, or the sub-folder)")
    identify.add_argument("--top", type=int, default=3, help="how many speakers are shown for a recording (default 3)")
    for add in (verify, identify):
        add.add_argument("--threshold", type=float, help="accept from this score on (default: what was learnt with the run)")
        add.add_argument("--dev", metavar="RECORDINGS", help="learn it from these: a folder a speaker, or a manifest")
    for add in (verify, enroll, identify):
        add.add_argument("--min-seconds", type=float, default=0.5, help="shorter recordings are refused (default 0.5)")


def _add_on_mismatch(add: argparse.ArgumentParser) -> None:
    add.add_argument(
        "--on-mismatch",
        choices=("strict", "subset", "interpolate"),
        default="strict",
        help="EEG that lacks channels of the model: left out (default), read without them, or with channels made of the others",
    )


def _add_zero_shot(add: argparse.ArgumentParser) -> None:
    """`antiphon zero-shot`."""
    add.add_argument("kind", choices=("audio", "eeg"), metavar="KIND", help="audio or eeg")
    add.add_argument("files", nargs="+", metavar="FILE", help="recordings, folders of them, or manifests")
    add.add_argument("--model", metavar="RUN", help="a run with a text tower, its `model` folder, or a Hugging Face repository id")
    add.add_argument("--labels", help="what to choose between: 'normal, pathological'")
    add.add_argument("--labels-file", type=Path, metavar="FILE", help="labels, one a line")
    add.add_argument(
        "--template", action="append", default=[], help="what a label is put into: 'this is a {} recording'; several are averaged"
    )
    add.add_argument("--templates", type=Path, metavar="FILE", help="templates, one a line")
    add.add_argument("--prompts", metavar="SET", help="a prompt set: a name, or a .yaml file (default: the model's own)")
    add.add_argument("--task", help="a task of the prompt set")
    add.add_argument("--multi-label", action="store_true", help="each label for itself: none, one or several may hold")
    add.add_argument("--background", metavar="TEXT", help="what labels are compared with then (default 'something else')")
    add.add_argument("--threshold", type=float, help="from which score on a label holds then (default 0.5)")
    _add_on_mismatch(add)
    add.add_argument("--text", metavar="FOLDER", help="where the text tower lies, if not where it was trained with")
    add.add_argument("--json", action="store_true", help="print JSON, with the scores of every window")
    add.add_argument("--plot", type=Path, metavar="FILE", help="draw scores over time: out.png, out.svg, out.pdf")
    add.add_argument("--device", help="cpu, cuda, cuda:1, mps (default: cuda if there is one)")


def _add_spot(commands: Any) -> None:
    """`antiphon spot --query hey.wav [more.wav ...] RUN long_recording.wav`."""
    add = commands.add_parser(
        "spot",
        help="find a word in a long recording, from one to five examples of it",
        usage="antiphon spot --query EXAMPLE [EXAMPLE ...] RUN RECORDING [options]",
    )
    add.add_argument(
        "places", nargs="*", metavar="RUN RECORDING", help="a run or encoder folder, or a repository id; and the file to search"
    )
    add.add_argument("--query", nargs="+", action="extend", required=True, metavar="EXAMPLE", help="recordings of the word alone")
    add.add_argument("--threshold", type=float, help="least score, a cosine (default: from the scores of the recording)")
    add.add_argument("--top", type=int, help="at most so many, the best")
    add.add_argument(
        "--compare", choices=("dtw", "pooled"), help="align frames, or one embedding a window (default: dtw where there are frames)"
    )
    add.add_argument("--window-s", type=float, help="pooled: length of the window (default: the median of the examples)")
    add.add_argument("--hop-s", type=float, help="pooled: from one window to the next (default: a tenth of it)")
    add.add_argument(
        "--trim-db", type=float, default=40.0, help="cut silence off the examples, so far below their loudest; 0: not (default 40)"
    )
    add.add_argument("--json", action="store_true", help="print JSON, times in seconds")


def _add_export(commands: Any) -> None:
    """`antiphon export RUN --format onnx|torch -o FILE`."""
    add = commands.add_parser("export", help="write an encoder as one file for other programs: ONNX, or torch.export")
    add.add_argument("run", help="a run folder, an encoder folder, or a Hugging Face repository id")
    add.add_argument("--format", choices=("onnx", "torch"), default="onnx", help="default onnx")
    add.add_argument("-o", "--output", type=Path, help="FILE.onnx or FILE.pt2 (default: encoder.onnx, encoder.pt2)")
    add.add_argument("--samples", type=int, help="for signals of one length only (default: any, where the encoder can)")
    add.add_argument("--tolerance", type=float, default=1e-4, help="largest difference, relative to an embedding (default 1e-4)")


def _add_data_actions(actions: Any) -> None:
    """`antiphon data list|fetch|pack`."""
    cache = {"type": Path, "help": "where sets are kept (default: $ANTIPHON_CACHE, or ~/.cache/antiphon/data)"}
    add = actions.add_parser("list", help="which recordings can be fetched: what, how much, licence, package")
    add.add_argument("--cache", **cache)

    add = actions.add_parser("fetch", help="fetch recordings into the cache, with a manifest; nothing is installed")
    add.add_argument("names", nargs="+", metavar="NAME", help="see `antiphon data list`")
    add.add_argument("--cache", **cache)
    add.add_argument(
        "--from", dest="package_files", nargs="+", type=Path, default=[], metavar="FILE", help="packages downloaded by hand"
    )

    add = actions.add_parser("pack", help="pack the recordings of a manifest into tar files (WebDataset shards)")
    add.add_argument("manifest", type=Path, help="a .csv or .jsonl manifest, or a folder of recordings")
    add.add_argument("folder", type=Path, help="the new folder for the shards and their manifest")
    add.add_argument("--shard-mb", type=float, default=256.0, help="size of a shard in MB (default 256)")
    add.add_argument(
        "--format", choices=("flac", "pcm16", "copy"), default="flac", help="how recordings are written (default flac)"
    )
    add.add_argument("--sample-rate", type=int, help="resample to this many Hz")
    add.add_argument("--mono", action="store_true", help="mix down")
    add.add_argument("--quarantine", action="store_true", help="leave out what cannot be read, and list it")


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point; every error is one readable line, unless --debug asks for more."""
    parser = _parser()
    options, rest = parser.parse_known_args(arguments)
    debug = options.debug or "--debug" in rest
    rest = [word for word in rest if word != "--debug"]
    if rest and (options.command not in ("pretrain", "evaluate") or any(word.startswith("-") for word in rest)):
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    if options.version:
        from antiphon import __version__

        print(__version__)
        return
    if options.command is None:
        parser.print_help()
        return
    if rest:
        options.overrides += rest
    if not debug:
        warnings.formatwarning = _plain_warning
    home = import_module(f"antiphon.commands.{HOMES.get(options.command, 'runs')}")
    try:
        getattr(home, options.command.replace("-", "_"))(options)
    except KeyboardInterrupt as error:
        print(f"\n{error}" if str(error) else "\nstopped", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:
        sys.exit(141)
    except Exception as error:
        if debug:
            raise
        print(f"error: {_one_line(error)}", file=sys.stderr)
        sys.exit(1)


def _plain_warning(message: Warning | str, *_: Any, **__: Any) -> str:
    """A warning as one line, without the place in the code that nobody who runs a command asked for."""
    return f"warning: {' '.join(str(message).split())}\n"


def _one_line(error: Exception) -> str:
    if isinstance(error, ModuleNotFoundError) and error.name:
        extra = EXTRA_OF.get(error.name.split(".")[0])
        if extra:
            return f"this needs {error.name.split('.')[0]}, which is not installed: pip install 'antiphon[{extra}]'"
    text = " ".join(str(error).split())
    if isinstance(error, (ValueError, OSError, FloatingPointError)) and text:
        return text
    return f"{type(error).__name__}: {text} (run again with --debug for the traceback)"
