from typing import Any

import numpy as np
import pytest
import torch

import antiphon
from antiphon.common.encoder import InputSpec
from antiphon.common.hub import save_encoder
from antiphon.domains.eeg.brain_speech import BrainModuleEncoder
from antiphon.domains.eeg.brain_speech.module import DilatedStack
from antiphon.models import create_encoder

POSITIONS = tuple((0.09 * np.cos(angle), 0.09 * np.sin(angle), 0.03 * (k % 3)) for k, angle in enumerate(np.linspace(0, 6, 7)))
SUBJECT = torch.tensor([0, 1, 2])


def module(*, positions: Any = POSITIONS, **options: Any) -> BrainModuleEncoder:
    torch.manual_seed(0)
    settings = {"attention_channels": 6, "frequencies": 4, "channels": 8, "layers": 4, "norm": "group", **options}
    encoder = create_encoder("brain_module", in_channels=7, subjects=3, features=5, **settings)
    encoder.describe_input(InputSpec(channels=7, sample_rate=120.0, positions=positions))
    assert isinstance(encoder, BrainModuleEncoder)
    return encoder.eval()


def signals(batch: int = 3, channels: int = 7, size: int = 40) -> torch.Tensor:
    return torch.randn(batch, channels, size, generator=torch.Generator().manual_seed(4))


def test_the_published_size() -> None:
    """Every layer of the paper, counted by hand."""
    encoder = create_encoder("brain_module", in_channels=208, subjects=27, features=1024)
    conv, first, gate = 320 * 320 * 3 + 320, 270 * 320 * 3 + 320, 320 * 640 * 3 + 640
    expected = 270 * 2048 + (270 * 270 + 270) + 27 * 270 * 270
    expected += first + 9 * conv + 10 * 2 * 320 + 5 * gate + (320 * 640 + 640) + (640 * 1024 + 1024)
    assert sum(parameter.numel() for parameter in encoder.parameters()) == expected
    dilations = [layer.dilation[0] for layer in encoder.body.convolutions]
    assert dilations == [1, 2, 4, 8, 16, 1, 2, 4, 8, 16]


def test_initial_weights_are_the_published_ones() -> None:
    encoder = create_encoder("brain_module", in_channels=9, subjects=4, features=8)
    assert abs(float(encoder.attention.heads.detach().std()) * 2048**0.5 - 1) < 0.01
    assert abs(float(encoder.subject.matrices.detach().std()) * 270**0.5 - 1) < 0.01


def test_frames_have_the_rate_of_the_signals() -> None:
    frames = module().frames(signals(), context={"subject": SUBJECT})
    assert frames.shape == (3, 40, 5)
    assert module().embed(signals(), context={"subject": SUBJECT}).shape == (3, 5)


def test_the_stack_sees_as_far_as_its_dilations() -> None:
    """1 + 2 + 4 + 8 + 16 on either side, twice, and 1 for each of five gates."""
    stack = DilatedStack(2, 3, layers=10, norm="layer").double().eval()
    maps = torch.zeros(1, 2, 201, dtype=torch.float64, requires_grad=True)
    stack(maps)[0, :, 100].sum().backward()
    reached = maps.grad.abs().sum(dim=(0, 1)).nonzero()[:, 0]
    assert (int(reached.min()), int(reached.max())) == (100 - 67, 100 + 67)


def test_what_lies_behind_an_example_does_not_count() -> None:
    encoder = module(norm="layer")
    long = signals()
    long[1, :, 25:] = torch.nan
    frames = encoder.frames(long, torch.tensor([40, 25, 40]), context={"subject": SUBJECT})
    alone = encoder.frames(long[1:2, :, :25], context={"subject": SUBJECT[1:2]})
    assert torch.allclose(frames[1, :25], alone[0], atol=1e-5)


def test_a_sensor_that_was_not_recorded_is_left_out() -> None:
    """NaN throughout is the same as a montage without that sensor."""
    encoder, known = module(), list(range(6))
    broken = signals()
    broken[:, 6] = torch.nan
    fewer = {"subject": SUBJECT, "positions": torch.tensor([[POSITIONS[k] for k in known]] * 3)}
    assert torch.allclose(
        encoder.frames(broken, context={"subject": SUBJECT}), encoder.frames(broken[:, known], context=fewer), atol=1e-5
    )
    with pytest.raises(ValueError, match="no sensor at all"):
        encoder.frames(torch.full((1, 7, 20), torch.nan), context={"subject": SUBJECT[:1]})


def test_the_same_places_in_the_context_change_nothing() -> None:
    encoder, x = module(), signals()
    told = {"subject": SUBJECT, "positions": torch.tensor([POSITIONS] * 3)}
    assert torch.allclose(encoder.frames(x, context=told), encoder.frames(x, context={"subject": SUBJECT}), atol=1e-5)


def test_places_must_be_known() -> None:
    with pytest.raises(ValueError, match=r"where the sensors are: give positions .*spatial_attention=false"):
        module(positions=None).frames(signals(), context={"subject": SUBJECT})
    with pytest.raises(ValueError, match="places of 7 sensors, the signals have 5"):
        module().frames(signals(channels=5), context={"subject": SUBJECT})
    with pytest.raises(ValueError, match="expects 7 channel"):
        module(spatial_attention=False).frames(signals(channels=5), context={"subject": SUBJECT})


def test_parts_can_be_left_out() -> None:
    x = signals()
    plain = module(spatial_attention=False, subject_layer=False, positions=None)
    assert torch.isfinite(plain.frames(x)).all() and not {"attention", "subject"} & {n.split(".")[0] for n in plain.state_dict()}
    assert len(module(glu=False).body.gates) == 0 and len(module().body.gates) == 2
    who = [module().frames(x, context={"subject": SUBJECT.roll(k)}) for k in (0, 1)]
    assert not torch.allclose(*who)


def test_strangers_are_an_error_until_told_otherwise() -> None:
    encoder = module()
    with pytest.raises(ValueError, match="knows participants 0 to 2"):
        encoder.frames(signals())
    encoder.unseen_subject = "mean"
    assert torch.isfinite(encoder.frames(signals())).all()


def test_arrays_of_many_examples_keep_their_participants() -> None:
    encoder, x = module(), signals(300).numpy()
    who = np.arange(300) % 3
    embedded = encoder.embed(x, context={"subject": who})
    rows = [0, 255, 256, 299]
    alone = np.concatenate([encoder.embed(x[row : row + 1], context={"subject": who[row : row + 1]}) for row in rows])
    np.testing.assert_allclose(embedded[rows], alone, atol=1e-5)


def test_saved_and_loaded_it_knows_its_sensors(tmp_path) -> None:
    encoder, told = module(), {"subject": SUBJECT}
    save_encoder(
        encoder, tmp_path / "encoder", about={"recipe": "eeg/brain_speech", "domain": "eeg", "paper": "p", "trained on": "t"}
    )
    again = antiphon.load_encoder(tmp_path / "encoder")
    assert torch.equal(again.frames(signals(), context=told), encoder.frames(signals(), context=told))
    assert again.input_spec.positions == POSITIONS


def test_it_does_its_own_scaling() -> None:
    with pytest.raises(ValueError, match="standardization=null"):
        module().fit_standardization(np.zeros(7), np.ones(7))
