"""Each text is embedded once, and what is on disk is whole, shared, and tells nothing."""

from pathlib import Path

import pytest
import torch

from antiphon.common.text import FrozenTexts, frozen

TEXTS = ["abc", "secret report", "abc", "xyz"]


def test_embeddings_are_the_towers_and_made_once(letters) -> None:
    tower = letters()
    texts = FrozenTexts(tower)
    first = texts.embed(TEXTS)
    torch.testing.assert_close(first, letters().embed_texts(TEXTS).detach(), rtol=0, atol=0)
    torch.testing.assert_close(texts.embed(["xyz", "abc"]), first[[3, 0]], rtol=0, atol=0)
    assert tower.embedded == [3] and not first.requires_grad
    assert texts.embed([]).shape == (0, 6)


def test_the_next_run_reads_them_from_disk(letters, tmp_path: Path) -> None:
    first, tower = FrozenTexts(letters(), tmp_path), letters()
    assert first.prepare(TEXTS) == 3
    again = FrozenTexts(tower, tmp_path)
    assert again.prepare([*TEXTS, "new"]) == 1 and tower.embedded == [1]
    torch.testing.assert_close(again.embed(TEXTS), first.embed(TEXTS), rtol=0, atol=0)
    assert FrozenTexts(letters(), tmp_path).prepare([*TEXTS, "new"]) == 0


def test_files_hold_no_text_and_belong_to_one_tower(letters, tmp_path: Path) -> None:
    FrozenTexts(letters(), tmp_path).prepare(TEXTS)
    files = [file for file in tmp_path.rglob("*") if file.is_file()]
    assert len(files) == 1 and b"secret" not in files[0].read_bytes()
    other = letters()
    with torch.no_grad():
        other.vectors[0] += 1.0
    assert FrozenTexts(other, tmp_path).prepare(TEXTS) == 3


def test_an_interrupted_preparation_keeps_what_it_has(letters, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frozen, "TEXTS_A_FILE", 2)
    tower = letters()
    right, calls = tower.embed_tokens, []

    def stops(tokens):
        calls.append(len(tokens))
        if len(calls) == 2:
            raise KeyboardInterrupt
        return right(tokens)

    tower.embed_tokens = stops
    with pytest.raises(KeyboardInterrupt):
        FrozenTexts(tower, tmp_path).prepare(["a", "b", "c", "d", "e"])
    assert not list(tmp_path.rglob(".partial-*"))
    assert FrozenTexts(letters(), tmp_path).prepare(["a", "b", "c", "d", "e"]) == 3


def test_memory_is_bounded_for_texts_that_came_unprepared(letters, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frozen, "KEPT", 3)
    texts = FrozenTexts(letters())
    texts.embed(["a", "b"])
    mixed = texts.embed(["b", "c", "d", "a", "c"])
    torch.testing.assert_close(mixed, letters().embed_texts(["b", "c", "d", "a", "c"]).detach())
    assert len(texts) == 2


def test_cut_texts_are_counted(letters, capsys: pytest.CaptureFixture[str]) -> None:
    FrozenTexts(letters(max_tokens=4)).prepare(TEXTS)
    assert "1 of 3 texts are longer than 4 tokens" in " ".join(capsys.readouterr().err.split())
