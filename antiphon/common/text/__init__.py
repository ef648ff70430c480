"""Texts: towers that embed them, what is embedded once for all, and the prompts of zero-shot classification."""

from antiphon.common.text.frozen import FrozenTexts
from antiphon.common.text.opening import open_tower
from antiphon.common.text.prompts import PromptSet, PromptTask, fill_templates, label_task, read_lines, read_prompts
from antiphon.common.text.towers import TextTower
from antiphon.common.text.transformers_tower import TransformersTower
from antiphon.common.text.wordllama import WordLlamaTower

__all__ = [
    "FrozenTexts",
    "PromptSet",
    "PromptTask",
    "TextTower",
    "TransformersTower",
    "WordLlamaTower",
    "fill_templates",
    "label_task",
    "open_tower",
    "read_lines",
    "read_prompts",
]
