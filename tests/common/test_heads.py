"""The projection head."""

import pytest
import torch
from torch import nn

from antiphon.common.heads import ProjectionHead, PrototypeHead


@pytest.mark.parametrize("norm", ["batch", "layer", "none"])
@pytest.mark.parametrize("layers", [1, 2, 3])
def test_shape_and_depth(norm: str, layers: int) -> None:
    head = ProjectionHead(6, 10, 4, layers=layers, norm=norm)
    assert head(torch.randn(5, 6)).shape == (5, 4)
    assert sum(isinstance(module, nn.Linear) for module in head) == layers
    assert sum(isinstance(module, nn.BatchNorm1d | nn.LayerNorm) for module in head) == (0 if norm == "none" else layers - 1)


def test_layer_norm_keeps_examples_apart() -> None:
    head, embeddings = ProjectionHead(6, 10, 4, norm="layer"), torch.randn(5, 6)
    torch.testing.assert_close(head(embeddings)[:2], head(embeddings[:2]))


def test_dropout_follows_each_activation() -> None:
    """EEG-CLIP's projection: linear, batch norm, ReLU, dropout, linear."""
    kinds = [type(module).__name__ for module in ProjectionHead(6, 10, 4, dropout=0.1)]
    assert kinds == ["Linear", "BatchNorm1d", "ReLU", "Dropout", "Linear"]
    assert not any(isinstance(module, nn.Dropout) for module in ProjectionHead(6, 10, 4))


def test_errors() -> None:
    with pytest.raises(ValueError, match="at least one layer"):
        ProjectionHead(6, 10, 4, layers=0)
    with pytest.raises(ValueError, match="norm is 'group'"):
        ProjectionHead(6, 10, 4, norm="group")
    with pytest.raises(ValueError, match="activation 'tanh'"):
        ProjectionHead(6, 10, 4, activation="tanh")


def test_prototypes_give_cosines() -> None:
    torch.manual_seed(0)
    head, embeddings = PrototypeHead(6, 10, 3, 8, layers=2, norm="layer"), torch.randn(5, 6)
    found, bottleneck, weight = head(embeddings), head.projection(embeddings), head.prototypes.weight
    assert found.shape == (5, head.out_dim)
    expected = [[torch.cosine_similarity(row, prototype, dim=0).item() for prototype in weight] for row in bottleneck]
    torch.testing.assert_close(found, torch.tensor(expected))


def test_prototypes_start_late() -> None:
    torch.manual_seed(0)
    head = PrototypeHead(6, 10, 3, 8, layers=2, norm="layer", steps=10, freeze=0.2)
    optimizer = torch.optim.SGD(head.parameters(), lr=1.0, momentum=0.9, weight_decay=0.01)
    directions = [torch.nn.functional.normalize(head.prototypes.weight, dim=-1).detach()]
    for _ in range(4):
        optimizer.zero_grad()
        head(torch.randn(5, 6)).square().sum().backward()
        optimizer.step()
        head.after_update()
        directions.append(torch.nn.functional.normalize(head.prototypes.weight, dim=-1).detach())
    torch.testing.assert_close(directions[2], directions[0])  # weight decay changes the length only
    assert (directions[3] - directions[2]).abs().max() > 1e-3


def test_shares_of_training_that_make_no_sense() -> None:
    with pytest.raises(ValueError, match="freeze is a share of training, between 0 and 1, got 313"):
        PrototypeHead(6, 10, 3, 8, steps=1000, freeze=313)
    with pytest.raises(ValueError, match=r"freeze=0\.1 is a share of training: give steps"):
        PrototypeHead(6, 10, 3, 8, freeze=0.1)


def test_a_head_without_bias_maps_zero_to_zero() -> None:
    head = ProjectionHead(512, 512, 64, norm="none", bias=False)
    assert sum(parameter.numel() for parameter in head.parameters()) == 512 * 512 + 512 * 64  # CLMR's projector
    assert (head(torch.zeros(2, 512)) == 0).all()
