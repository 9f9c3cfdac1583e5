"""What the seasons so far tell of the next one, in columns that a network reads.

The last season is the natural reference, but it holds the noise of one season. Where
the season stays as it is, the mean of many says more. A network of few units weighs
single values of many seasons with difficulty, and is told their mean profile.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from lstm_forecasters.backend.references import lags_of, seen_at, take

__all__ = ["change_of_profile", "deviations"]

PROFILES = tuple(range(1, 11))
"""Seasons back whose profiles have a mean: of more, it hardly becomes better."""


def deviations(values: Tensor, observed: Tensor, period: Tensor) -> Tensor:
    """Return how far values are from the mean of the season that ends with them.

    Parameters
    ----------
    values, observed : torch.Tensor of shape (B, T, C)
        Values, of which gaps are filled, and where they are observed.
    period : torch.Tensor of shape (B,)
        Time steps of a season.

    Returns
    -------
    torch.Tensor of shape (B, T, C)
        NaN where not observed, or where no whole season has been.
    """
    known = ~values.isnan()
    sums = torch.cat([values.nan_to_num(), known.to(values)], 2).cumsum(1)
    sums = functional.pad(sums, (0, 0, 1, 0))  # (B, 1 + T, 2C)
    steps = torch.arange(1, values.shape[1] + 1, device=values.device)
    before = (steps - period[:, None]).clamp_min(0)
    total, count = (sums[:, 1:] - take(sums, before)).chunk(2, 2)
    season = period[:, None, None]
    is_unknown = (count != season) | (observed == 0)
    return (values - total / season).masked_fill(is_unknown, torch.nan)


def change_of_profile(deviation: Tensor, period: Tensor, ahead: Tensor) -> Tensor:
    """Return by how much the mean profile differs from that of the season seen last.

    Parameters
    ----------
    deviation : torch.Tensor of shape (B, W, C)
        What ``deviations`` returns, up to the cutoff.
    period : torch.Tensor of shape (B,)
        Time steps of a season.
    ahead : torch.Tensor of shape (H,)
        Steps after the cutoff, 0 for the first.

    Returns
    -------
    torch.Tensor of shape (B, H, C)
        0 where none of these seasons was observed.
    """
    lags = lags_of(period, PROFILES)
    step = ahead % period[:, None]
    profiles = seen_at(lags, deviation, deviation.shape[1], step[:, None])
    latest = (~profiles.isnan()).int().argmax(1, keepdim=True)
    return (profiles.nanmean(1) - profiles.gather(1, latest)[:, 0]).nan_to_num()
