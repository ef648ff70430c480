"""Chunked gradients against those of the whole batch."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from antiphon.common.grad_cache import batch_norms, cached_loss
from antiphon.common.objectives import nt_xent

ROWS = 12
Gradients = list[Tensor]


def encoder(dropout: float = 0.0) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(5, 8), nn.GELU(), nn.Dropout(dropout), nn.Linear(8, 4)).double()


def signals() -> Tensor:
    return torch.randn(2, ROWS, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


class Parts:
    """Encoder, a temperature that only the loss knows, and the gradients of both."""

    def __init__(self, dropout: float = 0.0) -> None:
        self.encoder, self.views = encoder(dropout), signals()
        self.log_temperature = torch.tensor(-1.0, dtype=torch.float64, requires_grad=True)

    def encode(self, rows: slice) -> tuple[Tensor, Tensor]:
        return self.encoder(self.views[0, rows]), self.encoder(self.views[1, rows])

    def loss(self, views: list[Tensor]) -> Tensor:
        return nt_xent(*views, temperature=self.log_temperature.exp())

    def chunked(self, size: int) -> Tensor:
        return cached_loss(
            self.encode,
            [slice(start, start + size) for start in range(0, ROWS, size)],
            self.loss,
            encoder_parameters=self.encoder.parameters(),
            loss_parameters=[self.log_temperature],
        )

    def kept(self, size: int) -> Tensor:
        """The same chunks with their graphs kept: what the cache must equal, dropout masks included."""
        parts = [self.encode(slice(start, start + size)) for start in range(0, ROWS, size)]
        return self.loss([torch.cat(tensors) for tensors in zip(*parts, strict=True)])

    def gradients(self, loss: Tensor) -> Gradients:
        parameters = [*self.encoder.parameters(), self.log_temperature]
        for parameter in parameters:
            parameter.grad = None
        loss.backward()
        return [parameter.grad.clone() for parameter in parameters]  # type: ignore[union-attr]


@pytest.mark.parametrize("size", [1, 4, 5, ROWS, 2 * ROWS])
def test_chunks_of_any_size_give_the_gradients_of_the_batch(size: int) -> None:
    parts = Parts()
    whole = parts.loss(list(parts.encode(slice(None))))
    expected = parts.gradients(whole)
    chunked = parts.chunked(size)
    torch.testing.assert_close(chunked, whole)
    for found, right in zip(parts.gradients(chunked), expected, strict=True):
        torch.testing.assert_close(found, right, rtol=1e-10, atol=1e-12)


def test_dropout_is_the_same_in_both_passes() -> None:
    parts = Parts(dropout=0.5)
    torch.manual_seed(3)
    expected = parts.gradients(parts.kept(5))
    torch.manual_seed(3)
    loss = parts.chunked(5)
    torch.manual_seed(99)  # whatever else draws between the loss and the backward pass
    state = torch.get_rng_state()
    found = parts.gradients(loss)
    assert torch.equal(torch.get_rng_state(), state)
    for ours, right in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, right, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("change", [lambda loss: loss * 1024.0, lambda loss: loss / 3.0 + 1.0])
def test_what_is_done_to_the_loss_reaches_every_gradient(change: Callable[[Tensor], Tensor]) -> None:
    """Gradient scaling and accumulation multiply the loss before ``backward()``."""
    parts = Parts()
    expected = parts.gradients(change(parts.loss(list(parts.encode(slice(None))))))
    for found, right in zip(parts.gradients(change(parts.chunked(5))), expected, strict=True):
        torch.testing.assert_close(found, right, rtol=1e-10, atol=1e-12)


def test_the_second_pass_runs_under_the_autocast_of_the_first() -> None:
    parts = Parts()
    parts.encoder.float()
    parts.views = parts.views.float()
    dtypes = []
    parts.encoder[0].register_forward_hook(lambda *arguments: dtypes.append(arguments[2].dtype))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        whole, chunked = parts.kept(5), parts.chunked(5)
    expected = parts.gradients(whole)
    for found, right in zip(parts.gradients(chunked), expected, strict=True):
        torch.testing.assert_close(found, right, rtol=0.1, atol=0.01)  # bfloat16, summed in another order
    assert set(dtypes) == {torch.bfloat16} and len(dtypes) == 3 * 3 * 2


def test_no_activation_outlives_its_chunk() -> None:
    """Between the two passes nothing of the encoder is kept but its output."""
    parts, saved = Parts(), []

    def note(tensor: Tensor) -> Tensor:
        saved.append(tuple(tensor.shape))
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        parts.chunked(4)
    assert saved and not any(8 in shape for shape in saved)  # 8: the hidden layer


def test_without_gradients_it_is_the_loss() -> None:
    parts = Parts()
    with torch.no_grad():
        loss = parts.chunked(5)
    assert not loss.requires_grad
    torch.testing.assert_close(loss, parts.loss(list(parts.encode(slice(None)))).detach())


def test_frozen_parts_and_unused_parameters_get_no_gradient() -> None:
    parts = Parts()
    parts.encoder[0].requires_grad_(False)
    unused = nn.Parameter(torch.zeros(()))
    loss = cached_loss(
        parts.encode,
        [slice(0, 6), slice(6, ROWS)],
        parts.loss,
        encoder_parameters=[*parts.encoder.parameters(), unused],
        loss_parameters=[parts.log_temperature],
    )
    loss.backward()
    assert parts.encoder[0].weight.grad is None and unused.grad is None
    assert parts.encoder[3].weight.grad is not None


def with_norm() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(5, 4), nn.BatchNorm1d(4))


def test_batch_norm_is_refused_unless_told_how() -> None:
    module = with_norm()
    with pytest.raises(ValueError, match="1 batch norms"), batch_norms(module, "refuse"):
        pass
    with pytest.raises(ValueError, match="batch_norm is 'sync'"), batch_norms(module, "sync"):  # type: ignore[arg-type]
        pass
    with batch_norms(module.eval(), "refuse"):
        pass


def test_frozen_batch_norms_use_their_running_statistics() -> None:
    module, rows = with_norm(), torch.randn(6, 5)
    module[1].running_mean.fill_(0.5)
    with batch_norms(module, "frozen"):
        found = module(rows)
    assert module[1].training and module[1].num_batches_tracked == 0
    torch.testing.assert_close(found, module.eval()(rows))


def test_batch_norms_per_chunk_count_a_chunk_once() -> None:
    module, rows = with_norm(), torch.randn(6, 5)

    def encode(chunk: slice) -> tuple[Tensor]:
        with batch_norms(module, "per_chunk"):
            return (module(rows[chunk]),)

    chunks = [slice(0, 3), slice(3, 6)]
    cached_loss(encode, chunks, lambda tensors: tensors[0].square().mean(), encoder_parameters=module.parameters()).backward()
    assert module[1].num_batches_tracked == 2 and module[1].track_running_stats
