"""Gaps: what stands in for missing values of the target, and what counts as observed.

Windows that stand alone are filled by what the seasons around a gap tell, from both
sides of it. Series in which every step is forecast from what came before it are filled
by the past alone.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

__all__ = ["fill_forward", "fill_gaps"]


def fill_gaps(history: Tensor, period: int) -> tuple[Tensor, Tensor]:
    """Fill the gaps of windows (B, W, C) from within, and tell what counts as observed.

    1 stands for values that were, and for those that the seasons around a gap tell.
    What they do not tell is filled by the last value seen in the same season, else by
    the last seen, and has a 0. What comes before the first observation stays NaN.
    """
    unknown = history.isnan()
    has_gaps = torch.compiler.is_exporting() or (unknown[:, 1:] > unknown[:, :-1]).any()
    if not has_gaps:
        return history, (~unknown).float()
    last = _carry(history)
    told = torch.where(unknown & ~last.isnan(), _told_around(history, period), history)
    n_steps = history.shape[1]
    padded = functional.pad(history, (0, 0, -n_steps % period, 0), value=torch.nan)
    seasonal = _carry(padded.unflatten(1, (-1, period))).flatten(1, 2)[:, -n_steps:]
    carried = torch.where(seasonal.isnan(), last, seasonal)
    is_told = ~told.isnan()
    return torch.where(is_told, told, carried), is_told.float()


def _told_around(values: Tensor, period: int) -> Tensor:
    """Return what values (B, T, C) around each step tell of it, NaN where they do not.

    With a season, the mean of the values a season before and after, or the one of them
    that there is, moved by how much the two steps on each side of it differ from those
    here. Without, the mean of both neighbours.
    """
    if period == 1:
        return (_moved(values, 1) + _moved(values, -1)) / 2
    if period >= values.shape[1]:
        return torch.full_like(values, torch.nan)
    told = []
    for lag in (period, -period):
        other = _moved(values, lag)
        change = values - other
        around = torch.stack([_moved(change, steps) for steps in (-2, -1, 1, 2)])
        told.append(other + around.nanmean(0))
    return torch.stack(told).nanmean(0)


def _moved(values: Tensor, steps: int) -> Tensor:
    """Return values (B, T, C) so many steps later, NaN where there are none."""
    return functional.pad(values, (0, 0, steps, -steps), value=torch.nan)


def _carry(values: Tensor) -> Tensor:
    """Repeat the last value that is not NaN along the steps, (B, T, ...).

    Each turn reaches twice as far back as the one before.
    """
    n_steps, reach = values.shape[1], 1
    while reach < n_steps:
        unknown = torch.full_like(values[:, :reach], torch.nan)
        earlier = torch.cat([unknown, values[:, :-reach]], 1)
        values = torch.where(values.isnan(), earlier, values)
        reach *= 2
    return values


def fill_forward(
    values: np.ndarray, first: np.ndarray, step: np.ndarray, period: np.ndarray
) -> np.ndarray:
    """Fill gaps by the last value seen in the same season, else by the last seen.

    Parameters
    ----------
    values : numpy.ndarray of shape (N, C)
    first : numpy.ndarray of shape (N,)
        Row at which the series of each row begins.
    step, period : numpy.ndarray of shape (N,)
        Step of each row within its series, and the season of that series.
    """
    missing = np.isnan(values)
    if not missing.any():
        return values
    phase = np.where(period > 0, step % period, 0)
    order = np.lexsort((step, phase, first))
    group_starts = np.r_[
        True, (np.diff(first[order]) != 0) | (np.diff(phase[order]) != 0)
    ]
    seasonal = np.empty_like(values)
    seasonal[order] = _carry_forward(values[order], group_starts)
    last = _carry_forward(values, step == 0)
    return np.where(np.isnan(seasonal), last, seasonal)


def _carry_forward(values: np.ndarray, group_starts: np.ndarray) -> np.ndarray:
    """Repeat the last value that is not NaN, (N, C), within each group of rows."""
    row = np.arange(len(values))[:, None]
    seen = np.maximum.accumulate(np.where(np.isnan(values), -1, row), axis=0)
    first = np.maximum.accumulate(np.where(group_starts, row[:, 0], 0))[:, None]
    carried = np.take_along_axis(values, np.maximum(seen, 0), axis=0)
    return np.where(seen >= first, carried, np.nan)
