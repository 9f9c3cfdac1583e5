"""Windows to the columns that a network reads.

History columns (D): value, observed, what the reference says of it and whether that is
known, then past and known-future covariates, each followed by its mask.
Horizon columns (E): reference path, position, then what was seen some seasons back, as
the difference from the path, and by how much the mean profile of many seasons differs
from that of the last one; which of the lags are known; the known-future covariates,
their difference from the time step that the reference repeats, and their mask.
Static columns (S): the logarithm of the season, then static covariates.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest

import torch
from torch import Tensor
from torch.nn import functional

from lstm_forecasters.backend.normalization import Frame, frame_windows
from lstm_forecasters.backend.references import (
    Reference,
    lags_of,
    seen_at,
    shares_of,
)
from lstm_forecasters.backend.seasonal import change_of_profile, deviations
from lstm_forecasters.backend.windows import Layout, WindowBatch

__all__ = [
    "NetworkInput",
    "assemble",
    "fold_channels",
    "history_columns",
    "horizon_columns",
    "recalled_columns",
    "split_shares",
    "static_columns",
    "unfold_channels",
]


LARGEST_TARGET = 1000.0
"""Largest target, in scales of its window, that is learnt from. What comes after a
window in which nothing ever moved, the zeros before a first sale, say, has no scale."""


POSITION_UNIT = 48
"""Steps ahead that count as one for a network that is to forecast any horizon; others
count in horizons of their own."""


LARGEST_COVARIATE = 1e6
"""Largest covariate that is read, in deviations of the training data from their mean:
one that hardly moved there may lie anywhere in a forecast."""


@dataclass(eq=False)
class NetworkInput:
    """What a network reads, and the frame that leads back to the user's units.

    Where channels are forecast by themselves, B counts every channel of every
    window, and C is 1. Target and weight are empty where windows are not for training.
    """

    history: Tensor  # (B, L, D) float32
    horizon: Tensor  # (B, H, E) float32
    static: Tensor  # (B, S) float32
    frame: Frame
    target: Tensor  # (B, H, C) float32, normalised
    weight: Tensor  # (B, H, C) float32

    def to(self, dtype: torch.dtype) -> NetworkInput:
        """Return the input in the type of a network's weights."""
        if self.history.dtype == dtype:
            return self
        columns = (self.history, self.horizon, self.static)
        history, horizon, static = (column.to(dtype) for column in columns)
        return NetworkInput(
            history, horizon, static, self.frame, self.target, self.weight
        )

    def to_device(self, device: torch.device) -> NetworkInput:
        """Return the input on a device."""
        if self.history.device == device:
            return self
        frame = {name: one.to(device) for name, one in vars(self.frame).items()}
        tensors = {name: one for name, one in vars(self).items() if name != "frame"}
        moved = {name: one.to(device) for name, one in tensors.items()}
        return NetworkInput(**moved, frame=Frame(**frame))

    def split(self, size: int, n_members: int = 1) -> list[NetworkInput]:
        """Return the windows in batches of a size, the last one perhaps smaller.

        Each batch holds windows of every member of an ensemble.
        """
        frame, parts = self.frame, []
        columns = (
            self.history,
            self.horizon,
            self.static,
            frame.center,
            frame.scale,
            frame.path,
            self.target,
            self.weight,
        )
        for history, horizon, static, center, scale, path, target, weight in zip(
            *(split_shares(one, size, n_members) for one in columns), strict=True
        ):
            part = Frame(center=center, scale=scale, path=path)
            parts.append(NetworkInput(history, horizon, static, part, target, weight))
        return parts


def split_shares(values: Tensor, size: int, n_members: int) -> Sequence[Tensor]:
    """Return values in parts of a size, each with equal shares of all members'."""
    if n_members == 1:
        return values.split(size)
    size = max(1, size // n_members)
    shares = [share.split(size) for share in values.tensor_split(n_members)]
    none = values[:0]
    return [torch.cat(parts) for parts in zip_longest(*shares, fillvalue=none)]


def history_columns(layout: Layout) -> int:
    """Return D, the number of columns of the history."""
    covariates = len(layout.past_covariates) + len(layout.future_covariates)
    return 4 * layout.n_channels + 2 * covariates


def horizon_columns(layout: Layout) -> int:
    """Return E, the number of columns of the horizon."""
    seen = recalled_columns(layout) + layout.n_channels * len(layout.lags)
    return layout.n_channels + 1 + seen + 3 * len(layout.future_covariates)


def recalled_columns(layout: Layout) -> int:
    """Return how many of them are differences that other seasons make to the path.

    One for each lag and one for the mean profile, for each channel.
    """
    return layout.n_channels * (len(layout.lags) + 1) if layout.lags else 0


def static_columns(layout: Layout) -> int:
    """Return S, the number of columns that do not change in time."""
    return int(layout.reads_period) + len(layout.static_covariates)


def assemble(
    batch: WindowBatch, layout: Layout, means: Tensor, scales: Tensor
) -> NetworkInput:
    """Normalise a batch of windows and assemble the network's columns.

    Parameters
    ----------
    batch : WindowBatch
        Windows in the user's units.
    layout : Layout
        What the windows hold.
    means, scales : torch.Tensor of shape (P + Q + S,), float64
        Location and scale of the covariates in the training data.
    """
    if layout.n_channels == 1:
        batch = fold_channels(batch)
    lookback, now = layout.lookback, batch.history.shape[1]
    device = batch.history.device
    turn = torch.arange(1, layout.steps_written + 1, device=device)
    ahead = turn + (layout.output_shift - 1)
    reference = Reference(
        lags=lags_of(batch.period, layout.references),
        shares=shares_of(batch.reference_errors),
    )
    said = reference.at(
        torch.cat([torch.arange(-lookback, 0, device=device), ahead]),
        batch.history,
        lookback + layout.longest_lag,
    )
    frame = frame_windows(
        batch.history,
        batch.observed,
        said,
        batch.scale_floor,
        batch.level,
        batch.spread,
        lookback=lookback,
        least_scale=layout.least_scale,
    )
    values = frame.normalise(batch.history)  # (B, W, C)
    history = [
        values[:, -lookback:].nan_to_num(),
        batch.observed[:, -lookback:],
        frame.path[:, :lookback],
        ~said[:, :lookback].isnan(),
    ]
    unit = POSITION_UNIT if layout.reads_period else layout.horizon
    position = (turn / (turn + unit)).expand(len(values), -1)[:, :, None]
    path = frame.path[:, lookback:]
    frame.path = path[:, : layout.horizon]
    horizon = [path, position]
    if layout.lags:
        horizon += _recalled(values, batch.observed, batch.period, path, ahead, layout)
    n_past, n_future = len(layout.past_covariates), len(layout.future_covariates)
    n_known = n_past + n_future
    if n_past:
        history += _standardise(
            batch.past_covariates[:, now - lookback : now],
            means[:n_past],
            scales[:n_past],
        )
    if n_future:
        future, mask = _standardise(
            batch.future_covariates, means[n_past:n_known], scales[n_past:n_known]
        )
        history += [future[:, now - lookback : now], mask[:, now - lookback : now]]
        horizon += _ahead_of_reference(future, mask, reference, layout, ahead)
    static = batch.static_covariates.flatten(1)
    if layout.static_covariates:
        static, _ = _standardise(static, means[n_known:], scales[n_known:])
    if layout.reads_period:
        static = torch.cat([batch.period.double().log()[:, None], static], 1)
    target, weight = batch.target, batch.weight
    if target.shape[1]:
        target = frame.normalise(target)
        weight = weight * (target.abs() <= LARGEST_TARGET)
        target = target.clamp(-LARGEST_TARGET, LARGEST_TARGET)
    return NetworkInput(
        history=torch.cat(history, 2).float(),
        horizon=torch.cat(horizon, 2).float(),
        static=static.float(),
        frame=frame,
        target=target.float(),
        weight=weight,
    )


def fold_channels(batch: WindowBatch) -> WindowBatch:
    """Make every channel a window of its own: (B, T, C) to (B * C, T, 1)."""
    n_channels = batch.history.shape[2]
    if n_channels == 1:
        return batch

    def fold(values: Tensor) -> Tensor:
        return values.movedim(-1, 1).flatten(0, 1).unsqueeze(-1)

    def repeat(values: Tensor) -> Tensor:
        return values.repeat_interleave(n_channels, 0)

    return WindowBatch(
        history=fold(batch.history),
        observed=fold(batch.observed),
        period=repeat(batch.period),
        reference_errors=batch.reference_errors.flatten(0, 1).unsqueeze(1),
        scale_floor=fold(batch.scale_floor),
        level=fold(batch.level),
        spread=fold(batch.spread),
        past_covariates=repeat(batch.past_covariates),
        future_covariates=repeat(batch.future_covariates),
        static_covariates=batch.static_covariates.flatten(0, 1)
        if batch.static_covariates.ndim == 3
        else repeat(batch.static_covariates),
        target=fold(batch.target),
        weight=fold(batch.weight),
    )


def unfold_channels(values: Tensor, n_channels: int) -> Tensor:
    """Put channels that were folded side by side again: (B, H, C, ...).

    Values of windows whose channels were not folded stay as they are.
    """
    if values.shape[2] > 1 or n_channels == 1:
        return values
    return values.unflatten(0, (-1, n_channels)).squeeze(3).transpose(1, 2)


def _recalled(
    values: Tensor,
    observed: Tensor,
    period: Tensor,
    path: Tensor,
    ahead: Tensor,
    layout: Layout,
) -> list[Tensor]:
    """Return what other seasons would make of the reference path, and what is known.

    The differences from it of what was seen at the lags (B, H, R * C), that of the
    mean profile from the last season's (B, H, C), all 0 where unseen; and which lags
    were seen (B, H, R * C).
    """
    lags = lags_of(period, layout.lags)
    seen = seen_at(lags, values, values.shape[1], ahead)  # (B, R, H, C)
    others = (seen - path[:, None]).movedim(1, 2).flatten(2)
    mean = change_of_profile(deviations(values, observed, period), period, ahead)
    return [others.nan_to_num(), mean, ~others.isnan()]


def _standardise(values: Tensor, means: Tensor, scales: Tensor) -> list[Tensor]:
    """Return standardised covariates, 0 where missing, and their mask."""
    missing = values.isnan()
    standardised = ((values - means) / scales).nan_to_num()
    bounded = standardised.clamp(-LARGEST_COVARIATE, LARGEST_COVARIATE)
    return [bounded, (~missing).double()]


def _ahead_of_reference(
    future: Tensor, mask: Tensor, reference: Reference, layout: Layout, ahead: Tensor
) -> list[Tensor]:
    """Return future covariates, their change since the reference, and their mask.

    A forecast is a difference from what was seen at the reference, so what explains
    it is the difference of the covariates between the two time steps.
    """
    now = layout.context
    rows, end = now + ahead, now + layout.output_shift + layout.steps_written
    beyond = max(0, end - future.shape[1])
    future = functional.pad(future, (0, 0, 0, beyond))
    mask = functional.pad(mask, (0, 0, 0, beyond))
    shares = reference.shares.mean(1)[:, :, None, None]  # (B, R, 1, 1)
    lags = reference.lags
    known = seen_at(lags, mask, now, ahead, is_seen=True) * mask[:, None, rows]
    change = future[:, None, rows] - seen_at(lags, future, now, ahead, is_seen=True)
    change = (change * known * shares).sum(1)
    return [future[:, rows], change, mask[:, rows]]
