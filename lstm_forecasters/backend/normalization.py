"""Each window's own reference and scale: to the network's units and back.

A network never sees the level of a series. It reads differences from the last
value over the window's own scale, and what it forecasts is the difference from a
reference path. All of it is computed in float64, so that small movements on a large
level survive; only what the network reads is float32.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

__all__ = ["LARGEST_VALUE", "Frame", "frame_windows", "is_too_large"]

LARGEST_VALUE = 1e300
"""Largest magnitude of a value: float64 can still add up many of them."""

FLOOR_OF_CHANGE = 0.1
"""Least scale of a window, as a share of the series' mean absolute change so far."""

FLOOR_OF_LEVEL = 1e-13
"""Least scale of a window, as a share of its level: float64 keeps 16 digits."""


def is_too_large(values: np.ndarray) -> bool:
    """Return whether a value, float64, is infinite or beyond the largest magnitude.

    NaN is not. No array of the size of the values is made.
    """
    highest = np.fmax.reduce(values, axis=None, initial=0.0)
    lowest = np.fmin.reduce(values, axis=None, initial=0.0)
    return bool(max(highest, -lowest) > LARGEST_VALUE)


@dataclass(kw_only=True, eq=False)
class Frame:
    """The coordinates in which a network sees a batch of windows.

    ``center`` and ``scale`` are (B, C) in the user's units, ``path`` is the
    reference forecast (B, H, C) in normalised units.
    """

    center: Tensor
    scale: Tensor
    path: Tensor

    def normalise(self, values: Tensor) -> Tensor:
        """Return values (B, T, C) in normalised units, in float64."""
        return (values - self.center[:, None]) / self.scale[:, None]

    def restore(self, values: Tensor) -> Tensor:
        """Return normalised values (B, T, C) in the user's units, in float64."""
        return values.double() * self.scale[:, None] + self.center[:, None]


def frame_windows(
    history: Tensor,
    observed: Tensor,
    path: Tensor,
    scale_floor: Tensor,
    level: Tensor,
    spread: Tensor,
    *,
    lookback: int,
    least_scale: float = 0.0,
) -> Frame:
    """Measure windows and return the frames in which to read them.

    Parameters
    ----------
    history, observed, scale_floor, level, spread : torch.Tensor
        As in ``WindowBatch``.
    path : torch.Tensor of shape (B, T, C)
        Reference in the user's units, NaN where there is none: the last value then.
    lookback : int
        Last steps of the history, whose spread is the scale.
    least_scale : float, default=0.0
        Least scale in the user's units.
    """
    last = history[:, -1]  # (B, C), NaN where nothing was ever observed
    unknown = last.isnan()
    center = torch.where(unknown, level, last)
    scale = _spread(history[:, -lookback:], observed[:, -lookback:])
    scale = torch.where(unknown, spread, scale)
    scale = torch.maximum(scale, FLOOR_OF_CHANGE * scale_floor)
    scale = torch.maximum(scale, FLOOR_OF_LEVEL * center.abs())
    scale = scale.clamp_min(max(least_scale, torch.finfo(scale.dtype).tiny))
    path = (path - center[:, None]) / scale[:, None]
    return Frame(center=center, scale=scale, path=path.nan_to_num().float())


def _spread(values: Tensor, observed: Tensor) -> Tensor:
    """Mean absolute deviation of the observed values from their mean, (B, C)."""
    count = observed.sum(1, dtype=values.dtype).clamp_min(1)
    unseen = observed == 0
    mean = values.masked_fill(unseen, 0.0).sum(1) / count
    deviation = (values - mean[:, None]).abs().masked_fill(unseen, 0.0)
    return deviation.sum(1) / count
