import copy
import json

import pytest
import torch

from antiphon.domains.time_series.encoders import TsaiEncoder
from antiphon.domains.time_series.encoders.tsai_adapter import ARCHITECTURES

pytest.importorskip("tsai")

SMALL = {
    "InceptionTimePlus": {"nf": 4},
    "XceptionTimePlus": {"nf": 4},
    "TSTPlus": {"d_model": 16, "n_heads": 2, "n_layers": 2, "d_ff": 16},
    "TSiTPlus": {"d_model": 16, "n_heads": 2, "depth": 1},
    "PatchTST": {"d_model": 16, "n_heads": 2, "d_ff": 16, "n_layers": 1},
    "mWDNPlus": {"levels": 2},
}


def build(architecture, channels=2, window=48, **options):
    torch.manual_seed(0)
    return TsaiEncoder(architecture, channels, window, **{**SMALL.get(architecture, {}), **options}).eval()


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("channels", [1, 3])
def test_every_architecture_gives_frames(architecture, channels):
    encoder = build(architecture, channels)
    signals = torch.randn(2, channels, 48)
    signals[0, 0, 3:6] = torch.nan
    frames = encoder.frames(signals)
    assert frames.shape[0] == 2 and frames.shape[2] == encoder.embedding_dim
    assert torch.isfinite(frames).all()
    assert torch.equal(encoder.embed(signals), encoder.embed(signals))
    torch.testing.assert_close(encoder.embed(signals[:1]), encoder.embed(signals)[:1], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("architecture", ["InceptionTimePlus", "TSTPlus", "PatchTST", "TCN"])
def test_round_trip_training_and_padding(architecture):
    encoder = build(architecture)
    twin = TsaiEncoder(**json.loads(json.dumps(encoder.config)))
    twin.load_state_dict(encoder.state_dict())
    signals, lengths = torch.randn(3, 2, 48), torch.tensor([48, 30, 20])
    assert torch.equal(twin.eval().embed(signals, lengths), encoder.embed(signals, lengths))
    other = signals.clone()
    other[1, :, 30:] = 9.0
    assert torch.equal(encoder.embed(other, lengths), encoder.embed(signals, lengths))
    twin.train().embed(signals, lengths).square().sum().backward()
    assert sum(p.grad is not None for p in twin.parameters()) > 0.8 * len(list(twin.parameters()))
    assert torch.equal(copy.deepcopy(twin).eval().embed(signals), twin.eval().embed(signals))


def test_tstplus_attention_does_not_read_padding():
    encoder = build("TSTPlus")
    signals, lengths = torch.zeros(1, 2, 48), torch.tensor([20])
    with torch.no_grad():
        before = encoder.embed(signals, lengths)
        encoder.body.W_pos[20:] += 5.0  # what the padded positions would contribute
        assert torch.allclose(encoder.embed(signals, lengths), before)
        encoder.body.W_pos[:20] += 5.0 * torch.randn(20, 16)
        assert not torch.allclose(encoder.embed(signals, lengths), before)


def test_patchtst_body_is_the_model_up_to_its_head():
    from tsai.models.PatchTST import PatchTST

    options = SMALL["PatchTST"]
    torch.manual_seed(0)
    model = PatchTST(2, 1, 48, pred_dim=1, **options).eval()
    encoder = TsaiEncoder("PatchTST", 2, 48, **options).eval()
    encoder.body.model.load_state_dict({k: v for k, v in model.model.state_dict().items() if not k.startswith("head.")})
    signals, seen = torch.randn(3, 2, 48), []
    model.model.backbone.register_forward_hook(lambda *call: seen.append(call[-1]))
    model(signals)
    torch.testing.assert_close(encoder.frames(signals).transpose(1, 2), seen[0].flatten(1, 2))


def test_length_free_architectures_take_any_length():
    assert build("InceptionTimePlus").embed(torch.randn(2, 2, 31)).shape == (2, 16)
    with pytest.raises(ValueError, match="built for 48 samples, got 31"):
        build("TSTPlus").encode(torch.randn(2, 2, 31))


def test_errors_say_what_to_do():
    with pytest.raises(ValueError, match="InceptionTimePlus"):
        TsaiEncoder("InceptionTimes", 1, 48)
    with pytest.raises(ValueError, match=r"no option n_layer: it takes .*n_layers"):
        TsaiEncoder("PatchTST", 1, 48, n_layer=2)
    with pytest.raises(ValueError, match="at least patch_len=16"):
        TsaiEncoder("PatchTST", 1, 10)
    with pytest.raises(ValueError, match="decomposition"):
        TsaiEncoder("PatchTST", 1, 48, decomposition=True)
    with pytest.raises(ValueError, match="use ts2vec"):
        build("TCN").encode(torch.randn(1, 2, 48), mask=torch.ones(1, 48, dtype=torch.bool))
