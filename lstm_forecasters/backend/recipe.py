"""How a network learns by default, as functions of what there is to learn from.

How these numbers were found is told in docs/decisions/0003 and 0009.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from lstm_forecasters.specs import LONG_SEASON

__all__ = [
    "PRECISIONS",
    "RATES_TO_TRY",
    "SIZE_TO_TRY_AT",
    "Recipe",
    "default_batch_size",
    "default_lookback",
    "default_references",
    "default_steps",
    "default_weight_decay",
    "schedule",
    "spread_correction",
    "weight_decay_of_steps",
]

RATES_TO_TRY = (1e-3, 2e-3, 5e-3, 1e-2, 2e-2)
SIZE_TO_TRY_AT = 16
"""Hidden size at which learning rates are tried: the best one depends little on it."""

PRECISIONS = ("float32", "bf16")

PLENTY_OF_VALUES = 1000
"""Training values from which on a longer lookback pays."""

PLENTY_OF_SEASONS = 100
"""Seasons of a series from which on two weeks of lookback pay."""

DAYS_OF_WEEK = 7

LARGEST_DECAY_OF_STEP = 0.1

MEAN_OF_SCHEDULE = 0.5
"""Mean share of the learning rate over a whole fit."""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How a network learns.

    Parameters
    ----------
    max_steps : int or None, default=None
        Optimiser steps. ``None`` grows them with the data, from 300 to 4000.
    batch_size : int or None, default=None
        Windows of each step; a channel that is forecast by itself has its own.
        ``None`` grows them with the data, from 16 to 64.
    learning_rate : float, default=5e-3
        Largest learning rate of AdamW; it warms up and then falls along a cosine.
        ``tune_learning_rate`` finds another.
    validation_fraction : float, default=0.0
        Share of the forecast origins, the latest ones, kept for validation. Above 0,
        training stops early and the best weights are kept.
    patience : int, default=10
        Validations without improvement before training stops.
    gradient_clip : float, default=1.0
        Largest norm of the gradient.
    weight_decay : float or None, default=None
        How much a whole fit shrinks the weights: without gradients they would end at
        ``exp(-weight_decay)`` of what they were. ``None`` shrinks more where there is
        less to learn from.
    precision : {"float32", "bf16"}, default="float32"
        In which the network computes in training. Weights, losses and forecasts are
        float32 in both.
    """

    max_steps: int | None = None
    batch_size: int | None = None
    learning_rate: float = 5e-3
    validation_fraction: float = 0.0
    patience: int = 10
    gradient_clip: float = 1.0
    weight_decay: float | None = None
    precision: str = "float32"


def default_steps(n_windows: int) -> int:
    """Return the optimiser steps for a number of training windows of one channel."""
    return int(min(4000, max(300, 300 * (n_windows / 150) ** 0.35)))


def default_batch_size(n_windows: int, n_channels: int = 1) -> int:
    """Return the batch size for a number of training windows: an eighth, 16 to 64.

    Each window counts as many times as it has channels that are forecast alone.
    """
    return max(1, min(64, max(16, n_windows * n_channels // 8)) // n_channels)


def default_weight_decay(n_weights: int, n_windows: int) -> float:
    """Return how much a fit shrinks the weights, by their number a training window.

    A prior: the less there is to learn from, the nearer to its reference a forecast
    stays.
    """
    return min(3.0, n_weights / (20 * n_windows))


def spread_correction(n_values: int, horizon: int) -> float:
    """Return how much wider than in training the spread of forecasts must be.

    A network that has seen few horizons that do not overlap errs by less on them than
    on those to come.
    """
    return 1 + 2 * horizon / n_values


def weight_decay_of_steps(
    weight_decay: float, learning_rate: float, n_steps: int
) -> float:
    """Return AdamW's weight decay for how much a whole fit is to shrink the weights.

    No step shrinks them by more than a tenth, however few there are.
    """
    share_of_step = weight_decay / (MEAN_OF_SCHEDULE * n_steps)
    return min(share_of_step, LARGEST_DECAY_OF_STEP) / learning_rate


def default_lookback(period: int, horizon: int, n_values: int, longest: int) -> int:
    """Return the lookback for a season, a horizon, and the training series.

    Two seasons where there are few values to learn from and three where there are
    more; of seasons that are read as a whole, 24 steps or longer, one week, and two
    where the longest series has a hundred seasons.
    """
    if period == 1:
        return max(24, 2 * horizon)
    if period < LONG_SEASON:
        return (3 if n_values >= PLENTY_OF_VALUES else 2) * period
    return (14 if longest >= PLENTY_OF_SEASONS * period else 7) * period


def default_references(period: int, longest: int) -> tuple[int, ...]:
    """Return the seasons that references repeat, for a season and the longest series.

    One, and seven too where a season is long and a series covers two times seven.
    """
    is_week = period >= LONG_SEASON and longest >= 2 * DAYS_OF_WEEK * period
    return (1, DAYS_OF_WEEK) if is_week else (1,)


def schedule(step: int, n_steps: int) -> float:
    """Return the share of the learning rate: a short warm-up, then a cosine."""
    warm_up = max(1, n_steps // 20)
    if step < warm_up:
        return (step + 1) / warm_up
    progress = (step - warm_up) / max(1, n_steps - warm_up)
    return 0.5 * (1 + math.cos(math.pi * progress))
