"""Sums over similarity matrices that are never there as a whole.

A contrastive loss needs, of all N x M similarities, a number a row: the logsumexp (softmax losses) or the sum of softplus (SigLIP).
Here the matrix is made tile by tile and thrown away, in the backward pass once more, so that memory is that of the vectors and
of two tiles. `logsumexp` of vectors among themselves makes each pair once: for n vectors that is half a matrix product forward,
one and a half backward, against one and two for the whole matrix, and half of the exponentials.

Everything that belongs to one side is folded into the vectors and left to autograd: a temperature divides the rows (both sides by
its root where they are the same vectors), a bias is one more dimension with ones on the other side. A margin concerns the
positives, which are excluded here and added by the caller. Differentiable once.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

TILE_ROWS = 512  # a tile of float32 takes 1 MB: large enough for the matrix product, small enough for a core's cache
_LOG2_E = math.log2(math.e)  # all is done to base 2: on some CPUs exp2 is several times as fast as exp
# While |similarity| (to base 2) is below this, no maximum need be taken off: the sums and their reciprocals are far from overflow.
_PLAIN_EXP2 = {torch.float32: 56.0, torch.float64: 400.0}

Cells = dict[tuple[int, int], Tensor]  # first row and column of a tile -> places in it, counted row by row
Weigh = Callable[[slice, slice, Tensor], Tensor]  # a tile's rows, columns and similarities -> the loss's gradient there


def _excluded_cells(exclude: Tensor | None, width: int) -> Cells:
    """(N, k) column numbers, negative ones meaning none, of a matrix `width` wide: sorted into tiles."""
    if exclude is None:
        return {}
    places = (exclude >= 0).nonzero()
    row, column = places[:, 0], exclude[places[:, 0], places[:, 1]]
    across = -(-width // TILE_ROWS)  # tiles
    tile, order = (row // TILE_ROWS * across + column // TILE_ROWS).sort()
    row, column = row[order], column[order]
    tile_width = (width - column // TILE_ROWS * TILE_ROWS).clamp_max(TILE_ROWS)
    cell = row % TILE_ROWS * tile_width + column % TILE_ROWS
    numbers, counts = tile.unique_consecutive(return_counts=True)
    corners = [(number // across * TILE_ROWS, number % across * TILE_ROWS) for number in numbers.tolist()]
    return dict(zip(corners, cell.split(counts.tolist()), strict=True))


def _tiles(rows: Tensor, columns: Tensor | None, cells: Cells) -> Iterator[tuple[slice, slice, Tensor]]:
    """Rows, columns and similarities of tile after tile, -inf at excluded cells, in a buffer that the next tile overwrites.

    Without `columns` it is the rows among themselves, and only the tiles on and above the diagonal come.
    """
    others = rows if columns is None else columns
    buffer = rows.new_empty(min(TILE_ROWS, len(rows)) * min(TILE_ROWS, len(others)))
    for top in range(0, len(rows), TILE_ROWS):
        i = slice(top, min(top + TILE_ROWS, len(rows)))
        for left in range(top if columns is None else 0, len(others), TILE_ROWS):
            j = slice(left, min(left + TILE_ROWS, len(others)))
            height, width = i.stop - top, j.stop - left
            tile = buffer[: height * width].view(height, width)
            torch.mm(rows[i], others[j].T, out=tile)
            if (top, left) in cells:
                tile.view(-1).index_fill_(0, cells[top, left], -torch.inf)
            yield i, j, tile


def _gradients(
    rows: Tensor, columns: Tensor | None, cells: Cells, needs: tuple[bool, ...], weigh: Weigh
) -> tuple[Tensor | None, Tensor | None]:
    """The gradients of the two sides, from the gradient of each tile. Without `columns` the first is all of it."""
    same, others = columns is None, rows if columns is None else columns
    of_rows = torch.zeros_like(rows) if needs[0] else None
    of_columns = of_rows if same else torch.zeros_like(others) if needs[1] else None
    for i, j, tile in _tiles(rows, columns, cells):
        weights = weigh(i, j, tile)
        if of_rows is not None:
            of_rows[i].addmm_(weights, others[j])
        if of_columns is not None and not (same and i == j):  # a tile on the diagonal is its own mirror image
            of_columns[j].addmm_(weights.T, rows[i])
    return of_rows, None if same else of_columns


def _exp2_is_safe(rows: Tensor, columns: Tensor | None) -> bool:
    """Whether no similarity can leave the range of `_PLAIN_EXP2` (Cauchy and Schwarz)."""
    others = rows if columns is None else columns
    if not len(rows) or not len(others):
        return True
    bound = torch.linalg.vector_norm(rows, dim=1).amax() * torch.linalg.vector_norm(others, dim=1).amax()
    return bool(bound <= _PLAIN_EXP2.get(rows.dtype, 0.0))


def _log2_sum(tile: Tensor, dim: int) -> Tensor:
    """log2 sum 2^x along `dim`, for any range of x; -inf where there are only -inf."""
    highest = tile.amax(dim, keepdim=True).clamp_min(torch.finfo(tile.dtype).min)
    return (tile - highest).exp2_().sum(dim).log2_() + highest.squeeze(dim)


def _log2_sums(rows: Tensor, columns: Tensor | None, cells: Cells, *, plain: bool, both: bool) -> tuple[Tensor, Tensor | None]:
    """log2 sum 2^similarity along the rows, (N,), and if `both` down the columns, (M,). The same sides have the same sums."""
    same, nothing = columns is None, 0.0 if plain else -torch.inf
    along = rows.new_full((len(rows),), nothing)
    down = along if columns is None else columns.new_full((len(columns),), nothing) if both else None
    for i, j, tile in _tiles(rows, columns, cells):
        if plain:
            tile.exp2_()
        along[i] = along[i] + tile.sum(dim=1) if plain else torch.logaddexp2(along[i], _log2_sum(tile, 1))
        if down is not None and not (same and i == j):
            down[j] = down[j] + tile.sum(dim=0) if plain else torch.logaddexp2(down[j], _log2_sum(tile, 0))
    if plain:
        along.log2_()
        if down is not None and not same:
            down.log2_()
    return along, None if same else down


class _Log2SumExp2(torch.autograd.Function):
    """`_log2_sums` with its gradient. `columns` None: the rows among themselves."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, columns: Tensor | None, cells: Cells, both: bool) -> tuple[Tensor, Tensor | None]:
        ctx.cells, ctx.plain = cells, _exp2_is_safe(rows, columns)
        along, down = _log2_sums(rows, columns, cells, plain=ctx.plain, both=both)
        ctx.save_for_backward(rows, columns, along, down)
        return along, down

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, pull: Tensor, pull_down: Tensor | None) -> tuple[Tensor | None, ...]:
        rows, columns, along, down = ctx.saved_tensors
        if columns is None:
            down, pull_down = along, pull
        weigh = _plain_softmax(along, pull, down, pull_down) if ctx.plain else _softmax(along, pull, down, pull_down)
        return *_gradients(rows, columns, ctx.cells, ctx.needs_input_grad, weigh), None, None


def _plain_softmax(along: Tensor, pull: Tensor, down: Tensor | None, pull_down: Tensor | None) -> Weigh:
    """pull_i softmax_i(j), and where there are columns' sums, too, plus pull_down_j softmax_j(i)."""
    factor = torch.where(along == -torch.inf, 0.0, pull * (-along).exp2())
    if down is None or pull_down is None:
        return lambda i, j, tile: tile.exp2_().mul_(factor[i, None])
    factor_down = torch.where(down == -torch.inf, 0.0, pull_down * (-down).exp2())
    return lambda i, j, tile: tile.exp2_().mul_(factor[i, None] + factor_down[j])


def _softmax(along: Tensor, pull: Tensor, down: Tensor | None, pull_down: Tensor | None) -> Weigh:
    """The same for any range of similarities."""
    along = along.masked_fill(along == -torch.inf, torch.inf)  # of an empty sum nothing must come, not even nan
    if down is None or pull_down is None:
        return lambda i, j, tile: tile.sub_(along[i, None]).exp2_().mul_(pull[i, None])
    down = down.masked_fill(down == -torch.inf, torch.inf)
    return lambda i, j, tile: (tile - down[j]).exp2_().mul_(pull_down[j]).addcmul_(tile.sub_(along[i, None]).exp2_(), pull[i, None])


def _softplus(tile: Tensor) -> Tensor:
    """log(1 + e^x) to rounding, from operations that are fast on every CPU: on some, log1p takes ten times as long as log."""
    small = tile.abs().mul_(-_LOG2_E).exp2_()
    total = small + 1.0
    rest = total - 1.0  # what of `small` is left in `total`; log(total) is wrong by just this ratio
    return torch.where(rest == 0.0, small, total.log_().mul_(small).div_(rest)).add_(tile.clamp_min(0.0))


class _SoftplusSum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rows: Tensor, columns: Tensor, cells: Cells) -> Tensor:
        ctx.save_for_backward(rows, columns)
        ctx.cells = cells
        sums = rows.new_zeros(len(rows))
        for i, _, tile in _tiles(rows, columns, cells):
            sums[i] += _softplus(tile).sum(dim=1)
        return sums

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, pull: Tensor) -> tuple[Tensor | None, ...]:
        rows, columns = ctx.saved_tensors
        needs = ctx.needs_input_grad
        return *_gradients(rows, columns, ctx.cells, needs, lambda i, j, tile: tile.sigmoid_().mul_(pull[i, None])), None


def _check(rows: Tensor, columns: Tensor, exclude: Tensor | None) -> None:
    if rows.ndim != 2 or columns.ndim != 2 or rows.shape[1] != columns.shape[1]:
        raise ValueError(f"rows must be (N, D) and columns (M, D), got {tuple(rows.shape)} and {tuple(columns.shape)}")
    if exclude is None:
        return
    if exclude.dtype != torch.int64 or exclude.ndim != 2 or len(exclude) != len(rows):
        raise ValueError(f"exclude must be int64 columns ({len(rows)}, k), got {exclude.dtype} {tuple(exclude.shape)}")
    if exclude.numel() and int(exclude.amax()) >= len(columns):
        raise ValueError(f"exclude names column {int(exclude.amax())}, but there are {len(columns)}")


def _is_mirrored(exclude: Tensor | None, size: int) -> bool:
    """Whether with (i, j) also (j, i) is excluded."""
    if exclude is None:
        return True
    row, place = (exclude >= 0).nonzero().unbind(1)
    column = exclude[row, place]
    return torch.equal((row * size + column).unique(), (column * size + row).unique())


def logsumexp(rows: Tensor, columns: Tensor, *, exclude: Tensor | None = None) -> Tensor:
    """Log sum_j exp(rows_i . columns_j) without the matrix: (N, D), (M, D) -> (N,), -inf where no column is left.

    `exclude` (N, k) int64: columns that a row leaves out (itself, its positive); negative numbers mean none. Where `columns` is the
    same tensor as `rows` and exclusions are mutual, every pair is computed once.

    Raises:
        ValueError: if shapes do not fit.
    """
    _check(rows, columns, exclude)
    cells = _excluded_cells(exclude, len(columns))
    if columns is rows and _is_mirrored(exclude, len(rows)):
        along, _ = _Log2SumExp2.apply(rows * math.sqrt(_LOG2_E), None, cells, False)
    else:
        along, _ = _Log2SumExp2.apply(rows * _LOG2_E, columns, cells, False)
    return along / _LOG2_E


def logsumexp_both_ways(rows: Tensor, columns: Tensor, *, exclude: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """`logsumexp` of the rows over the columns, (N,), and of the columns over the rows, (M,), in one pass (CLIP)."""
    _check(rows, columns, exclude)
    along, down = _Log2SumExp2.apply(rows * _LOG2_E, columns, _excluded_cells(exclude, len(columns)), True)
    return along / _LOG2_E, down / _LOG2_E


def softplus_sum(rows: Tensor, columns: Tensor, *, exclude: Tensor | None = None) -> Tensor:
    """sum_j log(1 + exp(rows_i . columns_j)) without the matrix: (N, D), (M, D) -> (N,). `exclude` as in `logsumexp`."""
    _check(rows, columns, exclude)
    sums: Tensor = _SoftplusSum.apply(rows, columns, _excluded_cells(exclude, len(columns)))
    return sums
