"""Fine-tuning: what a loaded encoder needs so that all of it learns."""

import numpy as np
import torch

import antiphon
from antiphon.domains.time_series import TimeSeriesSet
from antiphon.run.own_data import finetune


def test_a_loaded_encoder_is_trained_in_training_mode() -> None:
    """It comes in evaluation mode, in which batch norm would keep its statistics and dropout would do nothing."""
    random = np.random.default_rng(0)
    labels = np.arange(16) % 2
    signals = (5.0 + random.normal(size=(16, 1, 30)) + 3.0 * labels[:, None, None]).astype(np.float32)
    train = TimeSeriesSet.from_arrays(signals, labels)
    torch.manual_seed(0)
    encoder = antiphon.create_encoder("resnet1d", in_channels=1).eval()
    norm = next(module for module in encoder.modules() if isinstance(module, torch.nn.BatchNorm1d))
    before = norm.running_mean.clone()
    classifier = finetune(encoder, train, epochs=3, lr=1e-2, batch_size=8, seed=0)
    assert not torch.equal(norm.running_mean, before) and not classifier.training
