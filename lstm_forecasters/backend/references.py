"""What a forecast is a difference from: seasonal naive forecasts, blended.

A reference repeats the last season of a series, or the last seven of them, which are
the days of a week where the season is a day. How much each counts for a series follows
from how well it forecast that series so far, so that a series with a week and one
without share a network. Nothing from beyond a cutoff takes part.

References
----------
.. [1] Bates, J. M. and Granger, C. W. J. (1969). The combination of forecasts.
   Operational Research Quarterly 20(4), 451-468.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

__all__ = [
    "Reference",
    "errors_so_far",
    "lags_of",
    "seen_at",
    "shares_of",
    "take",
    "window_errors",
]

SHARPNESS = 4.0
"""Power of the inverse errors by which references count."""

LEAST_EVIDENCE = 8
"""Fewest forecasts, and one season of them at least, that tell how good one is."""


@dataclass(kw_only=True, eq=False)
class Reference:
    """The references of a batch of windows.

    ``lags`` are the time steps that each repeats, (B, R); ``shares`` are what each
    counts, (B, C, R), with a sum of 1. The last column of a history is the cutoff's.
    """

    lags: Tensor
    shares: Tensor

    def at(self, steps: Tensor, history: Tensor, longest: int) -> Tensor:
        """Return what the reference says of steps (S,), (B, S, C), NaN where unseen.

        Step 0 is the first one after the cutoff, negative ones are of the history.
        ``longest`` is how many steps before the cutoff are asked for at most.
        """
        now = history.shape[1]
        said = seen_at(self.lags, history, now, steps, is_seen=longest <= now)
        return self._blend(said)

    def _blend(self, said: Tensor) -> Tensor:
        """Return the mean over references (B, R, S, C) by their shares, NaN if none."""
        if said.shape[1] == 1:
            return said[:, 0]
        shares = self.shares.mT[:, :, None] * ~said.isnan()  # (B, R, S, C)
        return (said.nan_to_num() * shares).sum(1) / shares.sum(1)


def seen_at(
    lags: Tensor, values: Tensor, now: int, steps: Tensor, *, is_seen: bool = False
) -> Tensor:
    """Return values (B, T, Q) at what lags (B, R) repeat at steps, (B, R, S, Q).

    Parameters
    ----------
    lags : torch.Tensor of shape (B, R)
        Time steps back.
    values : torch.Tensor of shape (B, T, Q)
        Floats.
    now : int
        Row of step 0, from which on a lag is repeated as often as needed.
    steps : torch.Tensor of shape (S,), or (B, 1, S) where they differ
        Steps that are asked for.
    is_seen : bool, default=False
        Whether no row before the first one is asked for. NaN stands for these.
    """
    lags = lags[:, :, None]
    rows = now - lags + torch.where(steps < 0, steps, steps % lags)
    if not is_seen:
        values = functional.pad(values, (0, 0, 1, 0), value=torch.nan)
        rows = (rows + 1).clamp_min(0)
    return take(values, rows.flatten(1)).unflatten(1, rows.shape[1:])


def lags_of(period: Tensor, seasons: tuple[int, ...]) -> Tensor:
    """Return the lags (B, R) of references that repeat some number of seasons."""
    return period[:, None] * torch.tensor(seasons, device=period.device)


def shares_of(errors: Tensor) -> Tensor:
    """Return how much references count by their errors so far, both (..., R).

    An error that is not known is infinite; where none is, the first reference counts.
    """
    if errors.shape[-1] == 1:
        return torch.ones_like(errors)
    least = errors.amin(-1, keepdim=True)
    weights = torch.where(errors > least, least / errors, 1.0) ** SHARPNESS
    weights[..., 1:].mul_(least < torch.inf)  # only the first counts if none is known
    return weights / weights.sum(-1, keepdim=True)


def window_errors(
    history: Tensor, period: int, seasons: tuple[int, ...], horizon: int
) -> Tensor:
    """Return the errors (B, C, R) of references within windows (B, W, C) alone."""
    evidence = history.shape[1] - period * max(seasons)
    found = []
    for lag in (period * number for number in seasons):
        total, weights = history.new_zeros(()), 0
        for turn, weight in _turns(lag, horizon):
            if turn * lag < history.shape[1]:
                change = history[:, turn * lag :] - history[:, : -turn * lag]
                change = change[:, -evidence:].abs()
                count = (~change.isnan()).sum(1)
                mean = change.nan_to_num().sum(1) / count.clamp_min(1)
                enough = count >= min(evidence, max(LEAST_EVIDENCE, period))
                total = total + weight * torch.where(enough, mean, torch.inf)
                weights += weight
        found.append(total / weights)
    return torch.stack(found, -1)


def errors_so_far(
    filled: np.ndarray,
    spread: np.ndarray,
    first: np.ndarray,
    step: np.ndarray,
    period: np.ndarray,
    seasons: tuple[int, ...],
    longest: int,
    horizon: int,
) -> np.ndarray:
    """Return each reference's mean error up to and including each row, (N, C, R).

    Errors are in spreads of their series, and infinite before there is evidence.

    Parameters
    ----------
    filled, spread : numpy.ndarray of shape (N, C)
        Series, one after another, without gaps; and the spread of each row's series.
    first, step, period : numpy.ndarray of shape (N,)
        Row at which the series of each row begins, its step in it, and its season.
    seasons : tuple of int
        How many seasons each reference repeats.
    longest : int
        Longest season of all series, which tells the turns of a horizon.
    horizon : int
        Steps that are forecast.
    """
    values = filled / np.where(spread > 0, spread, 1.0)
    row = np.arange(len(values))
    found = []
    for number in seasons:
        total, weights = np.zeros(values.shape), 0
        for turn, weight in _turns(longest * number, horizon):
            back = period * number * turn
            usable = step >= np.maximum(back, period * max(seasons))
            change = np.abs(values - values[np.where(usable, row - back, row)])
            known = usable[:, None] & ~np.isnan(change)
            count = _running(known, first)
            mean = _running(np.where(known, change, 0.0), first) / np.maximum(count, 1)
            enough = count >= np.maximum(LEAST_EVIDENCE, period)[:, None]
            total += weight * np.where(enough, mean, np.inf)
            weights += weight
        found.append(total / weights)
    return np.stack(found, -1)


def _turns(lag: int, horizon: int) -> list[tuple[int, int]]:
    """Return the turns in which a lag is repeated, and how many steps each forecasts.

    The second turn of a horizon looks two lags back.
    """
    starts = range(0, horizon, lag)
    return [(1 + start // lag, min(lag, horizon - start)) for start in starts]


def _running(values: np.ndarray, first: np.ndarray) -> np.ndarray:
    """Return the sums (N, C) of each series up to and including each row."""
    total = np.cumsum(values, axis=0, dtype=np.float64)
    return total - total[first] + values[first]


def take(values: Tensor, steps: Tensor) -> Tensor:
    """Return values (B, T, C) at steps (B, S) of each window, (B, S, C)."""
    return values.gather(1, steps[:, :, None].expand(-1, -1, values.shape[2]))
