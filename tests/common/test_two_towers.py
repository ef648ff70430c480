"""Two towers: unit vectors, per-frame projection without the padding, and models that come back the same."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

import antiphon
from antiphon.common.hub import two_tower_card
from antiphon.common.text import PromptSet, label_task, open_tower
from antiphon.common.two_towers import SignalSide, TextSide, TwoTowers

HEAD = {"hidden_dim": 8, "out_dim": 5, "dropout": 0.1}
LENGTHS = torch.tensor([40, 24, 40])


def signals(seed: int = 0) -> Tensor:
    return torch.randn(3, 2, 40, generator=torch.Generator().manual_seed(seed))


def encoder() -> "antiphon.common.encoder.Encoder":
    torch.manual_seed(1)
    return antiphon.create_encoder("ts2vec", in_channels=2, hidden_dim=4, embedding_dim=6, depth=2, dropout=0.0)


def pair(tower, *, per_frame: bool = False, lr_factor: float = 0.0, **options) -> TwoTowers:
    torch.manual_seed(2)
    first = SignalSide(encoder(), HEAD, per_frame=per_frame)
    return TwoTowers(first, TextSide(tower, HEAD, lr_factor=lr_factor), scale=14.0, **options).eval()


@pytest.mark.parametrize("per_frame", [False, True])
def test_both_towers_give_unit_vectors(letters, per_frame: bool) -> None:
    model = pair(letters(), per_frame=per_frame)
    found = model.embed_signals(signals(), LENGTHS)
    texts = model.embed_texts(["one", "two"])
    torch.testing.assert_close(found.norm(dim=1), torch.ones(3))
    torch.testing.assert_close(texts.norm(dim=1), torch.ones(2))
    assert found.requires_grad and not texts.requires_grad
    array = model.embed_signals(signals().numpy(), LENGTHS.numpy())
    np.testing.assert_allclose(array, found.detach().numpy(), rtol=1e-5, atol=1e-6)
    assert model.embed_signals(np.zeros((0, 2, 40), np.float32)).shape == (0, 5)


@pytest.mark.parametrize("per_frame", [False, True])
def test_padding_does_not_count(letters, per_frame: bool) -> None:
    model = pair(letters(), per_frame=per_frame).train()
    model.signals.projection[3].p = 0.0  # its draws would differ
    waves = signals()
    other = waves.clone()
    other[1, :, 24:] = 1e3
    torch.testing.assert_close(model.embed_signals(waves, LENGTHS), model.embed_signals(other, LENGTHS))


def test_per_frame_is_the_mean_of_projected_frames(letters) -> None:
    model = pair(letters(), per_frame=True)
    frames = model.encoder.frames(signals())
    expected = torch.stack([model.signals.projection(example).mean(dim=0) for example in frames])
    torch.testing.assert_close(model.signals(signals()), expected)


def test_a_frozen_tower_is_in_no_state_and_gets_no_gradient(letters) -> None:
    tower = letters()
    side = TextSide(tower, HEAD)
    assert not any("vectors" in name for name in side.state_dict()) and not tower.vectors.requires_grad
    learning = TextSide(letters(), HEAD, lr_factor=0.1)
    assert any("vectors" in name for name in learning.state_dict())
    frozen = SignalSide(encoder(), HEAD, lr_factor=0.0).train()
    assert not frozen.encoder.training and frozen.projection.training
    assert not any(parameter.requires_grad for parameter in frozen.encoder.parameters())
    with pytest.raises(ValueError, match="lr_factor is -1"):
        TextSide(letters(), lr_factor=-1)


def test_sides_must_meet(letters) -> None:
    with pytest.raises(ValueError, match="signals are projected to 6 dimensions and texts to 5"):
        TwoTowers(SignalSide(encoder()), TextSide(letters(), HEAD), scale=1.0)


def test_fingerprints_name_all_weights(letters) -> None:
    first, second = pair(letters()), pair(letters())
    assert first.fingerprint() == second.fingerprint() != pair(letters(), bias=-1.0).fingerprint()
    with torch.no_grad():
        second.texts.tower.vectors[0] += 1.0
    assert first.fingerprint() != second.fingerprint()


@pytest.fixture
def wordllama():
    pytest.importorskip("tokenizers")
    try:
        return open_tower("wordllama")
    except ModuleNotFoundError as error:
        pytest.skip(str(error))


def saved(model: TwoTowers, folder: Path) -> Path:
    rows = [{"encoder": "random", "seed": 0, "zero_shot_accuracy": 0.51234}]
    return antiphon.save_model(model, folder, about={"recipe": "some/thing", "results": rows})


@pytest.mark.parametrize("lr_factor", [0.0, 0.5])
def test_a_model_comes_back_the_same(wordllama, tmp_path: Path, lr_factor: float) -> None:
    prompts = PromptSet("mine", "3", ("a {}",), {"labels": label_task(["low", "high"])})
    model = pair(wordllama, per_frame=True, lr_factor=lr_factor, bias=-2.0, prompts=prompts)
    if lr_factor:
        with torch.no_grad():
            wordllama.vectors.mul_(0.5).add_(0.01)
    folder = saved(model, tmp_path / "run" / "model")
    again = antiphon.load_model(tmp_path / "run")
    assert not again.training and (again.scale, again.bias, again.prompts) == (14.0, -2.0, prompts)
    assert again.fingerprint() == model.fingerprint() and again.about["recipe"] == "some/thing"
    torch.testing.assert_close(again.embed_signals(signals(), LENGTHS), model.embed_signals(signals(), LENGTHS))
    torch.testing.assert_close(again.embed_texts(["a low tone"]), model.embed_texts(["a low tone"]))
    assert not (folder / "text").exists()  # its architecture comes with the package
    megabytes = (folder / "model.safetensors").stat().st_size / 1e6
    assert (megabytes > 30) == bool(lr_factor)  # a frozen tower's 32 MB stay where they are
    np.testing.assert_array_equal(antiphon.load_encoder(folder).embed(signals().numpy()), model.encoder.embed(signals().numpy()))


def test_a_fine_tuned_transformer_needs_nothing_but_its_folder(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    folder = tmp_path / "bert"
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "low", "high", "tone"]
    transformers.BertTokenizer(vocab={word: number for number, word in enumerate(words)}).save_pretrained(folder)
    sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}
    transformers.BertModel(transformers.BertConfig(vocab_size=len(words), **sizes)).save_pretrained(folder)
    model = pair(open_tower(str(folder)), lr_factor=0.1)
    saved(model, tmp_path / "model")
    folder.rename(tmp_path / "moved")
    again = antiphon.load_model(tmp_path / "model")
    torch.testing.assert_close(again.embed_texts(["low tone"]), model.embed_texts(["low tone"]))
    saved(again, tmp_path / "copy")
    assert antiphon.load_model(tmp_path / "copy").fingerprint() == model.fingerprint()

    frozen = pair(open_tower(str(tmp_path / "moved")))
    saved(frozen, tmp_path / "frozen")
    assert not (tmp_path / "frozen" / "text").exists()
    (tmp_path / "moved").rename(tmp_path / "again")
    with pytest.raises(FileNotFoundError, match="no such folder"):
        antiphon.load_model(tmp_path / "frozen")
    found = antiphon.load_model(tmp_path / "frozen", text=str(tmp_path / "again"))
    torch.testing.assert_close(found.embed_texts(["low tone"]), frozen.embed_texts(["low tone"]))
    transformers.BertModel(transformers.BertConfig(vocab_size=len(words), **sizes)).save_pretrained(tmp_path / "again")
    with pytest.raises(ValueError, match="has other weights, or another vocabulary"):
        antiphon.load_model(tmp_path / "frozen", text=str(tmp_path / "again"))


def test_an_encoder_alone_is_no_model(tmp_path: Path) -> None:
    antiphon.save_encoder(encoder(), tmp_path / "run" / "encoder")
    for path in (tmp_path / "run", tmp_path / "run" / "encoder"):
        with pytest.raises(ValueError, match="learned without texts"):
            antiphon.load_model(path)
    with pytest.raises(FileNotFoundError, match="no folder"):
        antiphon.load_model(tmp_path / "nowhere")


def test_the_card_says_what_it_is(wordllama, tmp_path: Path) -> None:
    folder = saved(pair(wordllama), tmp_path / "model")
    card = (folder / "README.md").read_text()
    assert "`wordllama`" in card and "frozen, not included" in card and "scale 14.000" in card and "| random | 0 | 0.5123 |" in card
    config = json.loads((folder / "config.json").read_text())
    config["texts"]["lr_factor"] = 0.001
    assert "fine-tuned at 0.001 of the learning rate" in two_tower_card(config)
