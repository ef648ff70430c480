"""Two and three gloo processes against one: losses and raw gradients, temperature included, must be equal.

Every case below is a function of the rows that a process holds. Each process runs all of them once on its part of the data (this
file is their program, too) and averages the gradients as data-parallel training does; the tests run the same functions on all rows.
"""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor

import antiphon
from antiphon.common import distributed
from antiphon.common import objectives as antiphon_objectives
from antiphon.common.data.batch import SignalBatch
from antiphon.common.learners.cross_modal import CrossModal
from antiphon.common.objectives import rows
from antiphon.common.objectives.base import ViewOutputs
from antiphon.common.pair_mining import BadPairMining
from antiphon.common.random import KeyedRandom
from antiphon.common.text import TextTower
from antiphon.common.two_towers import SignalSide, TextSide
from antiphon.domains.eeg.brain_speech import brain_to_speech
from antiphon.domains.keyword_spotting.methods import dual_contrastive, frame_contrast
from antiphon.domains.time_series.methods import TSTCC

objectives = import_module("antiphon.common.objectives.info_nce")  # the package exports the function of the same name

WORLDS = (2, 3)
ROWS = 6
Split = dict[int, tuple[int, ...]]  # number of processes -> rows of each
EVEN: Split = {2: (3, 3), 3: (2, 2, 2)}
UNEVEN: Split = {2: (4, 2), 3: (1, 3, 2)}
ONE_HAS_ALL: Split = {2: (6, 0), 3: (0, 6, 0)}
Result = dict[str, Tensor]


def part(split: Split) -> slice:
    """The rows of this process; all of them where there is only one."""
    if distributed.world_size() == 1:
        return slice(0, ROWS)
    counts = split[distributed.world_size()]
    start = sum(counts[: distributed.rank()])
    return slice(start, start + counts[distributed.rank()])


def data(dim: int = 5) -> tuple[Tensor, Tensor]:
    """Two views whose content and norms differ from row to row, so that no symmetry hides a mistake."""
    generator = torch.Generator().manual_seed(11)
    views = torch.randn(2, ROWS, dim, generator=generator, dtype=torch.float64) * torch.arange(1.0, ROWS + 1)[:, None]
    return views[0], views[0] + views[1].flip(1)


def trained(loss: Callable[[Tensor, Tensor, Tensor], Tensor], split: Split) -> Result:
    """Loss and gradients of a linear encoder and a temperature."""
    weight = torch.randn(4, 5, generator=torch.Generator().manual_seed(12), dtype=torch.float64).requires_grad_()
    log_temperature = torch.tensor(-0.7, dtype=torch.float64, requires_grad=True)
    first, second = (view[part(split)] for view in data())
    value = loss(first @ weight.T, second @ weight.T, log_temperature.exp())
    value.backward()
    assert weight.grad is not None and log_temperature.grad is not None
    return averaged({"loss": value.detach(), "encoder": weight.grad, "temperature": log_temperature.grad})


def two_towers(loss: Callable[[Tensor, Tensor, Tensor, Tensor], Tensor], split: Split) -> Result:
    """Loss and gradients of two linear towers, a scale and a bias."""
    generator = torch.Generator().manual_seed(12)
    left, right = (torch.randn(4, 5, generator=generator, dtype=torch.float64).requires_grad_() for _ in range(2))
    log_scale = torch.tensor(1.2, dtype=torch.float64, requires_grad=True)
    bias = torch.tensor(-1.5, dtype=torch.float64, requires_grad=True)
    first, second = (view[part(split)] for view in data())
    value = loss(first @ left.T, second @ right.T, log_scale.exp(), bias)
    value.backward()
    learned = {"left": left, "right": right, "scale": log_scale, "bias": bias}
    return averaged({"loss": value.detach(), **{name: leaf.grad for name, leaf in learned.items() if leaf.grad is not None}})


def averaged(result: Result) -> Result:
    """What data-parallel training makes of each rank's numbers."""
    if distributed.world_size() > 1:
        for value in result.values():
            dist.all_reduce(value)
            value.div_(distributed.world_size())
    return result


class _OwnSlice(torch.autograd.Function):
    """A gathering whose backward pass forgets the other ranks: the mistake that the negative control makes."""

    @staticmethod
    def forward(ctx: Any, tensor: Tensor) -> Tensor:
        ctx.rows = len(tensor)
        return distributed.gather(tensor, with_grad=False)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        start = distributed.rank() * ctx.rows
        return gradient[start : start + ctx.rows]


def own_slice_gradient() -> Result:
    right = rows.gather
    try:
        rows.gather = lambda tensor, **_: _OwnSlice.apply(tensor)
        return trained(lambda a, b, t: objectives.nt_xent(a, b, temperature=t), EVEN)
    finally:
        rows.gather = right


class _ForgetfulHop(torch.autograd.Function):
    """A hop round the ring whose backward pass keeps the gradient that it should send back: the negative control of the ring."""

    @staticmethod
    def forward(ctx: Any, tensor: Tensor, count: int) -> Tensor:
        return distributed._shift(tensor, count, 1)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return gradient, None


def siglip(first: Tensor, second: Tensor, scale: Tensor, bias: Tensor, **options: bool) -> Tensor:
    return antiphon_objectives.siglip(first, second, scale=scale, bias=bias, **options)


def forgetful_ring() -> Result:
    right = distributed._Hop
    try:
        distributed._Hop = _ForgetfulHop
        return two_towers(siglip, EVEN)
    finally:
        distributed._Hop = right


def grouped_clip(first: Tensor, second: Tensor, scale: Tensor, _: Tensor, **options: bool) -> Tensor:
    groups = torch.tensor([0, 1, 0, 2, 1, 0])[part(UNEVEN)]  # on all ranks there are parts of a group
    return antiphon_objectives.clip(first, second, scale=scale, groups=groups, **options)


def grouped_siglip(first: Tensor, second: Tensor, scale: Tensor, bias: Tensor, **options: Any) -> Tensor:
    groups = torch.tensor([0, 1, 0, 2, 1, 0])[part(UNEVEN)]
    return antiphon_objectives.siglip(first, second, scale=scale, bias=bias, groups=groups, **options)


def cross_modal() -> Result:
    """A learner of signals and texts, both towers and projections learning."""
    torch.manual_seed(0)
    head = {"hidden_dim": 6, "out_dim": 4, "norm": "layer"}
    encoder = antiphon.create_encoder("ts2vec", in_channels=2, hidden_dim=4, embedding_dim=6, depth=2, dropout=0.0)
    texts = TextSide(Letters(name="letters", embedding_dim=6, config={}), head, lr_factor=1.0)
    objective = antiphon_objectives.Clip(ignore_same_group=True)
    learner = CrossModal(SignalSide(encoder, head, per_frame=True), texts, objective).double()
    signals = torch.randn(ROWS, 2, 20, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    here = part(UNEVEN)
    learner.training_step(
        SignalBatch(
            signals[here],
            torch.tensor([20, 20, 13, 20, 9, 20])[here],
            torch.arange(ROWS)[here],
            texts=["low", "high", "noise", "hum", "high", "hiss"][here],
            groups=torch.tensor([0, 1, 2, 3, 1, 2])[here],
        )
    ).backward()
    gradients = {name: parameter.grad for name, parameter in learner.named_parameters() if parameter.grad is not None}
    return averaged({"loss": learner.metrics["loss"], **gradients})


class Letters(TextTower):
    """One vector a letter, and their mean."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.vectors = torch.nn.Parameter(torch.randn(128, 6, generator=torch.Generator().manual_seed(0)))

    def tokens(self, texts: Any) -> list[list[int]]:
        return [[ord(letter) for letter in text] for text in texts]

    def embed_tokens(self, tokens: Any) -> Tensor:
        return torch.stack([self.vectors[text].mean(dim=0) for text in tokens])

    def vocabulary(self) -> dict[str, int]:
        return {}

    def uncut_length(self, text: str) -> int:
        return len(text)


def gathered_siglip(first: Tensor, second: Tensor, scale: Tensor, bias: Tensor) -> Tensor:
    return antiphon_objectives.siglip(first, second, scale=scale, bias=bias, exchange="gather")


def spread(first: Tensor, second: Tensor, scale: Tensor, _: Tensor, **options: bool) -> Tensor:
    """The gap terms, each with a weight of its own."""
    weights = {"alignment_weight": 0.7, "uniformity_weight": 0.4, "cross_weight": 0.9}
    return scale * antiphon_objectives.align_uniform(first, second, **weights, **options)


def cpc(negatives: str) -> Result:
    torch.manual_seed(0)
    method = antiphon_objectives.CPC(in_dim=4, hidden_dim=3, prediction_steps=2, negatives=negatives, draws=7).double()
    encoder = torch.randn(4, 4, generator=torch.Generator().manual_seed(2), dtype=torch.float64).requires_grad_()
    signals = torch.randn(2, ROWS, 5, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)[:, part(UNEVEN)]
    index = torch.arange(ROWS)[part(UNEVEN)]
    frames = list(signals @ encoder)
    value = method(ViewOutputs(index=index, frames=frames, random=KeyedRandom.for_examples(0, 0, index)))
    value.backward()
    learned = {"encoder": encoder, **dict(method.named_parameters())}
    return averaged({"loss": value.detach(), **{name: leaf.grad for name, leaf in learned.items() if leaf.grad is not None}})


def tiled_cases() -> Iterator[tuple[str, Callable[[], Result]]]:
    """Losses that never hold the matrix: on one process every pair once, on many this rank's rows against everyone."""
    for name, options in {
        "nt_xent": {"margin": 0.2},
        "nt_xent angular": {"margin": 0.2, "margin_kind": "angular"},
        "nt_xent one way": {"symmetric": False},
        "dcl": {"sigma": 0.5},
        "hcl": {},
        "mv_dhel": {},
        "mv_info_nce": {},
    }.items():
        loss = partial(getattr(antiphon_objectives, name.split()[0]), tiled=True, **options)
        yield name, partial(trained, lambda a, b, t, loss=loss: loss(a, b, temperature=t), UNEVEN)
    yield "nt_xent even", partial(trained, lambda a, b, t: objectives.nt_xent(a, b, temperature=t, tiled=True), EVEN)
    yield "supcon", partial(trained, partial(supcon, tiled=True), UNEVEN)
    yield "clip", partial(two_towers, lambda a, b, s, _: antiphon_objectives.clip(a, b, scale=s, tiled=True), UNEVEN)
    yield "clip groups", partial(two_towers, partial(grouped_clip, tiled=True), UNEVEN)
    yield "siglip", partial(two_towers, partial(siglip, tiled=True), UNEVEN)
    yield "siglip groups", partial(two_towers, partial(grouped_siglip, tiled=True), UNEVEN)
    yield "align_uniform", partial(two_towers, partial(spread, tiled=True), UNEVEN)


def supcon(first: Tensor, second: Tensor, temperature: Tensor, **options: bool) -> Tensor:
    labels = torch.tensor([0, 1, 2, 0, 1, 3])[part(UNEVEN)]  # anchors without a positive: one on each rank
    loss: Tensor = antiphon_objectives.supcon(first + 0.1 * second, labels, temperature=temperature, **options)
    return loss


def protoclr(first: Tensor, second: Tensor, temperature: Tensor) -> Tensor:
    labels = torch.tensor([0, 1, 2, 0, 1, 3])[part(UNEVEN)]  # no rank sees all classes
    return antiphon_objectives.protoclr(torch.cat((first, second)), labels.repeat(2), temperature=temperature)


def mean_shifted(first: Tensor, second: Tensor, temperature: Tensor) -> Tensor:
    center = torch.tensor([0.3, -0.2, 0.1, 0.5])
    return antiphon_objectives.mean_shifted(first, second, center=center, temperature=temperature, angular_center=True)


def conr(first: Tensor, second: Tensor, temperature: Tensor) -> Tensor:
    labels = torch.tensor([3.0, 1.0, 4.0, 3.5, 9.0, 2.5])[part(UNEVEN)]
    predictions = torch.tensor([3.2, 3.1, 2.9, 1.0, 3.3, 2.7])[part(UNEVEN)]
    return antiphon_objectives.conr(first + 0.1 * second, labels, predictions, temperature=temperature, rarity=labels)


def supremix(split: Split) -> Result:
    def loss(first: Tensor, second: Tensor, temperature: Tensor) -> Tensor:
        labels = torch.tensor([3.0, 1.0, 4.0, 3.0, 9.0, 2.5])[part(split)]
        random = KeyedRandom.for_examples(0, 0, torch.arange(ROWS)[part(split)])
        return antiphon_objectives.supremix(first, second, labels=labels, random=random, temperature=temperature)

    return trained(loss, split)


def sepclr(split: Split) -> Result:
    def loss(first: Tensor, second: Tensor, temperature: Tensor) -> Tensor:
        is_target = torch.tensor([False, True, False, True, True, True])[part(split)]
        return antiphon_objectives.sepclr(0.3 * first, 0.2 * second, is_target=is_target, common_dim=2, temperature=temperature)

    return trained(loss, split)


def whitened_cse(split: Split) -> Result:
    shuffles = torch.tensor([[0, 1, 2, 3], [2, 0, 1, 3], [0, 3, 1, 2]])
    return trained(lambda a, b, t: antiphon_objectives.whitened_cse(a, b, permutations=shuffles, groups=2, temperature=t), split)


def frames(function: Callable[[Tensor, Tensor, Tensor], Tensor]) -> Result:
    """Losses of frames (B, T, D), with soft weights between the examples of all processes."""
    soft = import_module("antiphon.common.objectives.soft")
    weight = torch.randn(4, 3, generator=torch.Generator().manual_seed(5), dtype=torch.float64).requires_grad_()
    signals = torch.randn(2, ROWS, 7, 3, generator=torch.Generator().manual_seed(6), dtype=torch.float64)[:, part(UNEVEN)]
    distances = torch.rand(ROWS, ROWS, generator=torch.Generator().manual_seed(7), dtype=torch.float64)
    first, second = signals @ weight.T
    value = function(first, second, soft.soft_instance_weights(distances, sharpness=3.0))
    value.backward()
    assert weight.grad is not None
    return averaged({"loss": value.detach(), "encoder": weight.grad})


def softclt(first: Tensor, second: Tensor, weights: Tensor) -> Tensor:
    from antiphon.common.objectives import softclt as function

    return function(first, second, instance_weights=weights, temporal_sharpness=0.7, instance_share=0.3)


def hierarchical(first: Tensor, second: Tensor, weights: Tensor) -> Tensor:
    from antiphon.common.objectives import hierarchical as function

    return function(first, second, instance_weights=weights, temporal_sharpness=0.7, instance_share=0.4)


def softclt_terms(first: Tensor, second: Tensor, weights: Tensor) -> Tensor:
    from antiphon.common.objectives import softclt_instance, softclt_temporal

    return softclt_instance(first, second, weights) + 2.0 * softclt_temporal(first, second)


def ts_tcc() -> Result:
    torch.manual_seed(0)
    method = TSTCC(in_dim=4, hidden_dim=8, prediction_steps=2, depth=1, feedforward_dim=6, dropout=0.0, norm="layer").double()
    frames = torch.randn(2, ROWS, 5, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)[:, part(UNEVEN)]
    index = torch.arange(ROWS)[part(UNEVEN)]
    value = method(ViewOutputs(index=index, frames=list(frames), random=KeyedRandom.for_examples(0, 0, index)))
    value.backward()
    gradients = {name: parameter.grad for name, parameter in method.named_parameters() if parameter.grad is not None}
    return averaged({"loss": value.detach(), **gradients})


def views_at(step: int, split: Split) -> list[Tensor]:
    return [view.roll(step, dims=1)[part(split)] for view in data()]


def swav(split: Split) -> Result:
    """Four updates of the prototypes, the last ones with a full queue."""
    torch.manual_seed(0)
    method = antiphon_objectives.SwAV(projection_dim=5, prototypes=7, steps=4, freeze=0.25, queue_size=8, epsilon=0.1).double()
    result: Result = {}
    for step in range(4):
        projections = [view.requires_grad_() for view in views_at(step, split)]
        value = method(ViewOutputs(index=torch.arange(len(projections[0])), projections=projections))
        gradient = torch.autograd.grad(value, method.prototypes)[0]
        result = averaged({"loss": value.detach(), "gradient": gradient})
        method.prototypes.data.sub_(result["gradient"])
        method.after_update()
    return {**result, **method.state_dict()}


def direct_predictor(split: Split) -> Result:
    """Three updates of a matrix that follows from the statistics of its input, and the loss behind it."""
    predictor = antiphon_objectives.DirectPredictor(4).double()
    method = antiphon_objectives.SelfDistillation(antiphon_objectives.byol)
    weight = torch.randn(4, 5, generator=torch.Generator().manual_seed(12), dtype=torch.float64).requires_grad_()
    result: Result = {}
    for step in range(3):
        projections = [view @ weight.T for view in views_at(step, split)]
        predictions, targets = [predictor(each) for each in projections], [each.detach() for each in projections]
        value = method(ViewOutputs(index=torch.arange(len(targets[0])), predictions=predictions, targets=targets))
        (gradient,) = torch.autograd.grad(value, weight)
        result = averaged({"loss": value.detach(), "gradient": gradient})
        predictor.after_update()
    return {**result, **predictor.state_dict()}


def dino(split: Split) -> Result:
    """Three batches, whose targets move the centre."""
    method = antiphon_objectives.Dino(projection_dim=4, teacher_temperature=0.5).double()
    weight = torch.randn(4, 5, generator=torch.Generator().manual_seed(12), dtype=torch.float64).requires_grad_()
    result: Result = {}
    for step in range(3):
        projections = [view @ weight.T for view in views_at(step, split)]
        targets = [each.detach().roll(1, dims=1) for each in projections]
        value = method(ViewOutputs(index=torch.arange(len(targets[0])), projections=projections, targets=targets))
        (gradient,) = torch.autograd.grad(value, weight)
        result = averaged({"loss": value.detach(), "gradient": gradient})
    return {**result, **method.state_dict()}


QUEUE = F.normalize(torch.randn(5, 4, generator=torch.Generator().manual_seed(4), dtype=torch.float64), dim=-1)


class Rows:
    """Stands for a training set: only its length counts."""

    def __len__(self) -> int:
        return ROWS


def remembering(build: Callable[..., antiphon_objectives.Objective], **options: Any) -> Result:
    """Three steps, in the second of which one rank has all rows: the last loss, all gradients, and the state that is left."""
    method = build(**options)
    method.prepare(Rows())
    method.double()
    weight = torch.randn(4, 5, generator=torch.Generator().manual_seed(12), dtype=torch.float64).requires_grad_()
    value = torch.zeros(())
    for step, split in enumerate((UNEVEN, ONE_HAS_ALL, UNEVEN)):
        index = torch.arange(ROWS).roll(step)[part(split)]
        projections = [view @ weight.T for view in views_at(step, split)]
        targets = [projection.detach().roll(1, dims=1) for projection in projections]
        random = KeyedRandom.for_examples(0, 0, index, step=step)
        value = method(ViewOutputs(index, projections=projections, predictions=projections, targets=targets, random=random))
        value.backward()
    assert weight.grad is not None and weight.grad.any()
    return {**averaged({"loss": value.detach(), "encoder": weight.grad}), **method.state_dict()}


def mining() -> Result:
    """Three epochs in which ranks see different examples, and different numbers of them."""
    memory = BadPairMining(ROWS, beta_noisy=0.5, beta_faulty=1.0, warmup_epochs=1, max_epochs=3)
    for epoch in range(3):
        losses = torch.rand(ROWS, generator=torch.Generator().manual_seed(epoch)) + 3.0 * (torch.arange(ROWS) == 4)
        order = torch.arange(ROWS).roll(epoch)[part(UNEVEN)]
        memory.weights(order, losses[order], epoch)
        memory.record(order, losses[order], epoch)
    return {name: buffer.clone() for name, buffer in memory.named_buffers()}


def rows_of(split: Split) -> Result:
    first, second = (view[part(split)] for view in data())
    return {"rows": objectives.nt_xent(first, second, margin=0.1, reduction="none")}


def gathered() -> Result:
    first, _ = data()
    numbers = torch.arange(ROWS)
    return {
        "floats": distributed.gather(first[part(UNEVEN)].view(-1, 5, 1)),
        "integers": distributed.gather(numbers[part(ONE_HAS_ALL)]),
        "booleans": distributed.gather(numbers[part(UNEVEN)] % 2 == 0),
    }


def ringed() -> Result:
    """The blocks of the ring, put into rank order again."""
    blocks = list(distributed.ring(data()[0][part(UNEVEN)]))
    world, here = distributed.world_size(), distributed.rank()
    return {"rows": torch.cat([blocks[(here - owner) % world] for owner in range(world)])}


def dual(first: Tensor, second: Tensor, temperature: Tensor) -> Tensor:
    """An embedding and the column of its class; one class is on one rank only, one example is alone."""
    labels = torch.tensor([0, 1, 0, 0, 2, 1])[part(UNEVEN)]
    columns = torch.randn(3, 4, generator=torch.Generator().manual_seed(13), dtype=torch.float64)
    return dual_contrastive(first + second, columns, labels, temperature=temperature)


def moments(first: Tensor, second: Tensor, temperature: Tensor) -> Tensor:
    """Frames made of each row; recordings have different numbers of moments in both views."""
    angles = torch.arange(5, dtype=torch.float64)[:, None]
    frames = [(angles + row[:, None]).sin() for row in (first, second)]  # (B, 5, 4)
    times = torch.tensor([0, 2, 4]).expand(len(first), -1)
    inside = (torch.arange(3) + torch.arange(ROWS)[:, None] % 3 < 4)[part(UNEVEN)]
    return frame_contrast(frames[0], frames[1], (times, times), inside, temperature=temperature, gap=1)


CASES: dict[str, Callable[[], Result]] = {
    "nt_xent": lambda: trained(lambda a, b, t: objectives.nt_xent(a, b, temperature=t), EVEN),
    "nt_xent uneven": lambda: trained(lambda a, b, t: objectives.nt_xent(a, b, temperature=t, margin=0.2), UNEVEN),
    "nt_xent one way": lambda: trained(lambda a, b, t: objectives.nt_xent(a, b, temperature=t, symmetric=False), UNEVEN),
    "dcl": lambda: trained(lambda a, b, t: objectives.dcl(a, b, temperature=t), EVEN),
    "dclw uneven": lambda: trained(lambda a, b, t: objectives.dcl(a, b, temperature=t, sigma=0.5), UNEVEN),
    "supcon uneven": lambda: trained(supcon, UNEVEN),
    "clip": lambda: two_towers(lambda a, b, s, _: antiphon_objectives.clip(a, b, scale=s), EVEN),
    "clip uneven": lambda: two_towers(lambda a, b, s, _: antiphon_objectives.clip(a, b, scale=s), UNEVEN),
    "clip groups uneven": lambda: two_towers(grouped_clip, UNEVEN),
    "clip released uneven": lambda: two_towers(
        lambda a, b, s, _: antiphon_objectives.clip(0.1 * a, 0.1 * b, scale=s, normalize=False), UNEVEN
    ),
    "brain to speech uneven": lambda: two_towers(
        lambda a, b, s, _: brain_to_speech(s * a.unflatten(1, (2, 2)), b.unflatten(1, (2, 2))), UNEVEN
    ),
    "brain to speech, one rank has all": lambda: two_towers(
        lambda a, b, s, _: brain_to_speech(s * a.unflatten(1, (2, 2)), b.unflatten(1, (2, 2))), ONE_HAS_ALL
    ),
    "cross-modal learner uneven": cross_modal,
    "cwcl uneven": lambda: two_towers(lambda a, b, s, _: antiphon_objectives.cwcl(a, b, scale=s), UNEVEN),
    "siglip ring": lambda: two_towers(siglip, EVEN),
    "siglip ring uneven": lambda: two_towers(siglip, UNEVEN),
    "siglip ring, one rank has all": lambda: two_towers(siglip, ONE_HAS_ALL),
    "siglip gather uneven": lambda: two_towers(gathered_siglip, UNEVEN),
    "siglip groups uneven": lambda: two_towers(grouped_siglip, UNEVEN),
    "siglip groups gather uneven": lambda: two_towers(partial(grouped_siglip, exchange="gather"), UNEVEN),
    "align_uniform": lambda: two_towers(spread, EVEN),
    "align_uniform uneven": lambda: two_towers(spread, UNEVEN),
    "align_uniform, one rank has all": lambda: two_towers(spread, ONE_HAS_ALL),
    "cpc same time uneven": lambda: cpc("same_time"),
    "cpc batch uneven": lambda: cpc("batch"),
    "cpc uniform uneven": lambda: cpc("uniform"),
    "ring uneven": ringed,
    "dhel uneven": lambda: trained(lambda a, b, t: antiphon_objectives.dhel(a, b, temperature=t), UNEVEN),
    "dhel, one rank has all": lambda: trained(lambda a, b, t: antiphon_objectives.dhel(a, b, temperature=t), ONE_HAS_ALL),
    "mv_dhel uneven": lambda: trained(lambda a, b, t: antiphon_objectives.mv_dhel(a, b, a + b, temperature=t), UNEVEN),
    "mv_info_nce uneven": lambda: trained(lambda a, b, t: antiphon_objectives.mv_info_nce(a, b, a + b, temperature=t), UNEVEN),
    "vicreg": lambda: trained(lambda a, b, t: antiphon_objectives.vicreg(t * a, b), EVEN),
    "vicreg uneven": lambda: trained(lambda a, b, t: antiphon_objectives.vicreg(0.2 * t * a, 0.1 * b), UNEVEN),
    "vicreg, one rank has all": lambda: trained(lambda a, b, t: antiphon_objectives.vicreg(t * a, b), ONE_HAS_ALL),
    "barlow_twins uneven": lambda: trained(lambda a, b, t: antiphon_objectives.barlow_twins(t * a, b + t), UNEVEN),
    "swav uneven": lambda: swav(UNEVEN),
    "swav, one rank has all": lambda: swav(ONE_HAS_ALL),
    "direct predictor uneven": lambda: direct_predictor(UNEVEN),
    "dino uneven": lambda: dino(UNEVEN),
    "hcl uneven": lambda: trained(lambda a, b, t: antiphon_objectives.hcl(a, b, temperature=t), UNEVEN),
    "debiased uneven": lambda: trained(
        lambda a, b, t: antiphon_objectives.hcl(a, b, temperature=t, positive_prior=0.3, hardness=0.0), UNEVEN
    ),
    "cacr uneven": lambda: trained(
        lambda a, b, t: antiphon_objectives.cacr(a, b, a + b, attraction_sharpness=t, repulsion_sharpness=1 / t), UNEVEN
    ),
    "cacr, one rank has all": lambda: trained(
        lambda a, b, t: antiphon_objectives.cacr(a, b, repulsion_sharpness=1 / t), ONE_HAS_ALL
    ),
    "groco uneven": lambda: trained(lambda a, b, t: antiphon_objectives.groco(a, b, a + b, negatives=3, steepness=1 / t), UNEVEN),
    "groco for all uneven": lambda: trained(
        lambda a, b, t: antiphon_objectives.groco(a, b, negatives=3, steepness=1 / t, stop_gradient=False), UNEVEN
    ),
    "moco uneven": lambda: trained(lambda a, b, t: antiphon_objectives.moco(a, b, QUEUE, temperature=t, margin=0.1), UNEVEN),
    "moco_v3 uneven": lambda: trained(lambda a, b, t: antiphon_objectives.moco_v3(a, b, temperature=t), UNEVEN),
    "moco steps": lambda: remembering(antiphon_objectives.MoCo, projection_dim=4, queue_size=16),
    "moco_v3 steps": lambda: remembering(antiphon_objectives.MoCoV3),
    "mochi steps": lambda: remembering(
        antiphon_objectives.MoCHi, projection_dim=4, queue_size=16, warmup_steps=1, hardest=4, pairs=3, with_query=2
    ),
    "feature_transformation steps": lambda: remembering(antiphon_objectives.FeatureTransformation, projection_dim=4, queue_size=16),
    "sogclr steps": lambda: remembering(antiphon_objectives.SogCLR, gamma=0.4),
    "isogclr steps": lambda: remembering(antiphon_objectives.ISogCLR),
    "protoclr uneven": lambda: trained(protoclr, UNEVEN),
    "mean_shifted uneven": lambda: trained(mean_shifted, UNEVEN),
    "non_negative uneven": lambda: trained(lambda a, b, t: antiphon_objectives.non_negative(a, b, temperature=t), UNEVEN),
    "conr uneven": lambda: trained(conr, UNEVEN),
    "supremix uneven": lambda: supremix(UNEVEN),
    "supremix, one rank has all": lambda: supremix(ONE_HAS_ALL),
    "sepclr uneven": lambda: sepclr(UNEVEN),
    "sepclr, one rank has all": lambda: sepclr(ONE_HAS_ALL),
    "whitened_cse uneven": lambda: whitened_cse(UNEVEN),
    "whitened_cse, one rank has all": lambda: whitened_cse(ONE_HAS_ALL),
    "ts_tcc uneven": ts_tcc,
    "dual contrastive uneven": lambda: trained(dual, UNEVEN),
    "frame contrast uneven": lambda: trained(moments, UNEVEN),
    "softclt uneven": lambda: frames(softclt),
    "softclt terms uneven": lambda: frames(softclt_terms),
    "hierarchical uneven": lambda: frames(hierarchical),
    "mining": mining,
    "gathered": gathered,
    "rows even": lambda: rows_of(EVEN),
    "rows uneven": lambda: rows_of(UNEVEN),
    "own slice": own_slice_gradient,
    "forgetful ring": forgetful_ring,
    **{f"{name} tiled": case for name, case in tiled_cases()},
}
EQUAL = [name for name in CASES if not name.startswith(("rows", "own", "forgetful"))]


def work(rank: int, world: int, folder: Path) -> None:
    """What one process does."""
    torch.set_num_threads(1)
    store = dist.FileStore(str(folder / "store"), world)
    dist.init_process_group("gloo", store=store, rank=rank, world_size=world, timeout=timedelta(seconds=60))
    torch.save({name: case() for name, case in CASES.items()}, folder / f"{rank}.pt")
    dist.barrier()
    dist.destroy_process_group()


@pytest.fixture(scope="module", params=WORLDS)
def ranks(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Result]]:
    """The results of every process."""
    folder, world = tmp_path_factory.mktemp("gloo"), request.param
    root = str(Path(antiphon.__file__).parent.parent)
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join((root, os.environ.get("PYTHONPATH", "")))}
    workers = [
        subprocess.Popen(
            [sys.executable, __file__, str(rank), str(world), str(folder)], env=environment, stderr=subprocess.PIPE, text=True
        )
        for rank in range(world)
    ]
    try:
        errors = [worker.communicate(timeout=120)[1] for worker in workers]
    finally:
        for worker in workers:
            worker.kill()
    for worker, error in zip(workers, errors, strict=True):
        assert worker.returncode == 0, error
    return [torch.load(folder / f"{rank}.pt") for rank in range(world)]


@pytest.mark.parametrize("name", EQUAL)
def test_many_processes_equal_one(ranks: list[dict[str, Result]], name: str) -> None:
    single = CASES[name]()
    for result in ranks:
        assert result[name].keys() == single.keys()
        for key, value in single.items():
            torch.testing.assert_close(result[name][key], value, rtol=1e-10, atol=1e-12, msg=lambda text, key=key: f"{key}: {text}")


def test_the_memory_is_the_same_on_all_ranks(ranks: list[dict[str, Result]]) -> None:
    assert ranks[0]["mining"]["flagged"].any() and ranks[0]["swav uneven"]["queue.filled"] == 8
    remembering = [name for name in CASES if name.endswith(" steps")]
    for case in ("mining", "swav uneven", "direct predictor uneven", "dino uneven", *remembering):
        for name, buffer in ranks[0][case].items():
            assert all(torch.equal(buffer, other[case][name]) for other in ranks[1:]), f"{case}: {name}"


@pytest.mark.parametrize(("name", "split"), [("rows even", EVEN), ("rows uneven", UNEVEN)])
def test_unreduced_rows_are_those_of_the_rank(ranks: list[dict[str, Result]], name: str, split: Split) -> None:
    single = CASES[name]()["rows"].view(2, ROWS).split(split[len(ranks)], dim=1)
    for result, expected in zip(ranks, single, strict=True):
        torch.testing.assert_close(result[name]["rows"].view(2, -1), expected)


def test_forgetting_the_other_ranks_gradients_is_noticed(ranks: list[dict[str, Result]]) -> None:
    wrong, right = ranks[0]["own slice"], CASES["nt_xent"]()
    torch.testing.assert_close(wrong["loss"], right["loss"])
    assert F.cosine_similarity(wrong["encoder"].flatten(), right["encoder"].flatten(), dim=0) < 0.999
    with pytest.raises(AssertionError):
        torch.testing.assert_close(wrong["encoder"], right["encoder"], rtol=1e-2, atol=1e-3)


def test_a_ring_that_keeps_its_gradients_is_noticed(ranks: list[dict[str, Result]]) -> None:
    wrong, right = ranks[0]["forgetful ring"], CASES["siglip ring"]()
    for name in ("loss", "left", "scale", "bias"):
        torch.testing.assert_close(wrong[name], right[name])
    with pytest.raises(AssertionError):
        torch.testing.assert_close(wrong["right"], right["right"], rtol=1e-2, atol=1e-3)


def test_the_ring_and_the_gathering_agree(ranks: list[dict[str, Result]]) -> None:
    for result in ranks:
        for name, value in result["siglip gather uneven"].items():
            torch.testing.assert_close(result["siglip ring uneven"][name], value, rtol=1e-12, atol=1e-14)


def test_without_a_process_group_nothing_happens() -> None:
    tensor = torch.ones(3, 2, requires_grad=True)
    assert distributed.gather(tensor) is tensor
    assert not distributed.gather(tensor, with_grad=False).requires_grad
    (block,) = distributed.ring(tensor)
    assert block is tensor
    assert (distributed.rank(), distributed.world_size(), distributed.row_counts(3)) == (0, 1, [3])
    assert distributed.mean_over_ranks(torch.tensor([2.0, 0.0]), torch.tensor([True, False])).item() == 2.0
    assert distributed.mean_over_ranks(torch.zeros(2), torch.zeros(2, dtype=torch.bool)).item() == 0.0


if __name__ == "__main__":
    work(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))
