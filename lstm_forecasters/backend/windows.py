"""Arrays to windows: lay the series out once, gather a whole batch at a time."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from lstm_forecasters.backend.gaps import fill_forward, fill_gaps
from lstm_forecasters.backend.references import errors_so_far, window_errors

__all__ = ["Layout", "Origins", "Panel", "WindowBatch", "Windows", "window_batch"]

STEPS_AT_A_TIME = 2**16
"""Time steps of all series that are laid out at a time."""


@dataclass(frozen=True, kw_only=True)
class Layout:
    """What a window holds: lengths in time steps, and the names of the columns.

    Parameters
    ----------
    lookback : int
        Time steps that the network reads, L.
    horizon : int
        Time steps that it is trained to forecast, H.
    period : int
        Time steps of a season, 1 for none. The longest one, M, if series differ.
    n_channels : int
        Target channels that the network forecasts jointly, C; 1 where every channel
        is forecast by itself.
    past_covariates, future_covariates, static_covariates : tuple of hashable
        Names of the covariates whose values end at the cutoff, are known beyond it,
        or do not change in time.
    output_shift : int
        Time steps between the cutoff and the first forecast step.
    references : tuple of int
        How many seasons each reference repeats: forecasts are expressed as the
        difference from a blend of seasonal naive forecasts. (1,) is the usual one,
        and the last value where there is no season.
    lags : tuple of int
        How many seasons back the values lie that the network reads for each step of
        the horizon, beside the reference, to weigh them itself.
    steps_at_a_time : int
        Time steps that the network writes at a time. It is told of the whole of the
        last of them, also where the horizon ends within.
    reads_period : bool
        Whether the network is told how long the season is.
    self_contained : bool
        Whether a window takes everything from its lookback alone: gaps are filled from
        within it, the seasonal lag of its first season is unknown, and neither scale
        nor evidence for a reference comes from the rest of the series. Else a window
        sees the seasons that references repeat before the lookback.
    least_scale : float
        Least scale of a window in the user's units, such as 1 for counts.
    least_history : int
        Time steps before the first forecast of a series that is trained, 0 for those
        of the lookback.
    """

    lookback: int
    horizon: int
    period: int = 1
    n_channels: int = 1
    past_covariates: tuple[Hashable, ...] = ()
    future_covariates: tuple[Hashable, ...] = ()
    static_covariates: tuple[Hashable, ...] = ()
    output_shift: int = 0
    references: tuple[int, ...] = (1,)
    lags: tuple[int, ...] = ()
    steps_at_a_time: int = 1
    reads_period: bool = False
    self_contained: bool = False
    least_scale: float = 0.0
    least_history: int = 0

    @property
    def context(self) -> int:
        """Time steps before the cutoff that a window holds, W."""
        return self.lookback + (0 if self.self_contained else self.longest_lag)

    @property
    def longest_lag(self) -> int:
        """Time steps that the longest reference repeats."""
        return self.period * max(self.references)

    @property
    def steps_written(self) -> int:
        """Time steps that the network writes, the horizon in whole turns."""
        return -(-self.horizon // self.steps_at_a_time) * self.steps_at_a_time

    @property
    def reach(self) -> int:
        """Time steps after the cutoff that a window covers."""
        return self.output_shift + self.horizon

    def training_origins(self, lengths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the first step to train a forecast from, and how many there are.

        A series longer than lookback and horizon gives its full windows; a shorter one
        also those that are padded on the left. Windows that reach beyond the end take
        part with the steps that exist.
        """
        history = self.least_history or self.lookback
        first = np.clip(np.minimum(history, lengths - self.reach), 1, None)
        return first, np.maximum(lengths - self.output_shift - first, 0)


@dataclass(frozen=True, kw_only=True, eq=False)
class Panel:
    """Series of any lengths, one after another in time order.

    Parameters
    ----------
    values : numpy.ndarray of shape (N, C)
        Target in the user's units, float64, NaN where not observed.
    lengths : numpy.ndarray of shape (I,)
        Time steps of each series; their sum is N.
    past_covariates : numpy.ndarray of shape (N, P)
        Covariates known up to the cutoff, NaN where missing.
    future_covariates : numpy.ndarray of shape (N, Q)
        Known-future covariates at the time steps of the series.
    static_covariates : numpy.ndarray of shape (I, S) or (I, C, S)
        Covariates that do not change in time, of each series or of each channel.
    weights : numpy.ndarray of shape (N, C) or None
        Weight of each target value in the loss.
    """

    values: np.ndarray
    lengths: np.ndarray
    past_covariates: np.ndarray = field(default_factory=lambda: np.empty((0, 0)))
    future_covariates: np.ndarray = field(default_factory=lambda: np.empty((0, 0)))
    static_covariates: np.ndarray = field(default_factory=lambda: np.empty((0, 0)))
    weights: np.ndarray | None = None

    def __post_init__(self) -> None:
        """Give absent covariates their empty arrays of the right length."""
        n_steps, n_series = len(self.values), len(self.lengths)
        for name, shape in (
            ("past_covariates", (n_steps, 0)),
            ("future_covariates", (n_steps, 0)),
            ("static_covariates", (n_series, 0)),
        ):
            if getattr(self, name).shape[-1] == 0:
                object.__setattr__(self, name, np.empty(shape))

    @property
    def starts(self) -> np.ndarray:
        """Row of the first time step of each series, (I,)."""
        return np.cumsum(self.lengths) - self.lengths


class Origins:
    """The steps that forecasts start from, a run of them in each series.

    They are numbered through all series. Only the runs are kept: all steps of a panel,
    one by one, would take more memory than its values.

    Parameters
    ----------
    first, counts : numpy.ndarray of shape (I,), int64
        First step of each run, and how many there are, which may be none.
    stride : int, default=1
        Time steps from one to the next.
    """

    def __init__(self, first: np.ndarray, counts: np.ndarray, stride: int = 1) -> None:
        ends = np.cumsum(counts)
        self.stride = stride
        self._ends = torch.from_numpy(ends)
        self._offsets = torch.from_numpy(first - stride * (ends - counts))

    def __len__(self) -> int:
        """Return the number of steps in all series."""
        return int(self._ends[-1])

    def at(self, numbers: Tensor) -> tuple[Tensor, Tensor]:
        """Return series and step of some of them (B,), which are numbered from 0."""
        series = torch.searchsorted(self._ends, numbers, right=True)
        return series, self._offsets[series] + self.stride * numbers


@dataclass(kw_only=True, eq=False)
class WindowBatch:
    """A batch of windows in the user's units; W is the layout's context.

    Covariates reach R steps beyond the cutoff, or more where forecasts do.

    ``history`` is filled and NaN only before the first observation; ``observed`` tells
    what was seen, or is known as well from the seasons around it.
    """

    history: Tensor  # (B, W, C) float64
    observed: Tensor  # (B, W, C) float32, 1 or 0
    period: Tensor  # (B,) int64
    reference_errors: Tensor  # (B, C, R) float64, infinite where not known
    scale_floor: Tensor  # (B, C) float64, smallest sensible scale
    level: Tensor  # (B, C) float64, stands in where nothing was observed
    spread: Tensor  # (B, C) float64, stands in where nothing was observed
    past_covariates: Tensor  # (B, W or more, P) float64, NaN where missing
    future_covariates: Tensor  # (B, W + R, Q) float64, NaN where missing
    static_covariates: Tensor  # (B, S) or (B, C, S) float64
    target: Tensor  # (B, H, C) float64, 0 steps where not for training
    weight: Tensor  # (B, H, C) float32, 0 where not observed

    def to(self, device: torch.device) -> WindowBatch:
        """Return the batch on a device."""
        if self.history.device == device:
            return self
        return WindowBatch(**{key: one.to(device) for key, one in vars(self).items()})

    def split(self, size: int) -> Iterator[WindowBatch]:
        """Yield the windows in batches of a size, the last one perhaps smaller."""
        for first in range(0, len(self.history), size):
            rows = slice(first, first + size)
            yield WindowBatch(**{key: one[rows] for key, one in vars(self).items()})


class Windows:
    """All windows of a panel, gathered from arrays that are laid out once.

    Every series stands between paddings that are as long as a window reaches, so
    that a window is a run of rows wherever its cutoff lies.

    Parameters
    ----------
    panel : Panel
        The series.
    layout : Layout
        What a window holds.
    periods : numpy.ndarray of shape (I,) or None
        Season of each series where they differ; else the layout's.
    reach : int or None
        Steps after the cutoff whose covariates a window covers, past ones among them.
        ``None`` covers the layout's reach, and past covariates up to the cutoff.
    """

    def __init__(
        self,
        panel: Panel,
        layout: Layout,
        periods: np.ndarray | None = None,
        reach: int | None = None,
    ) -> None:
        self.layout = layout
        self.n_components = panel.values.shape[1]
        ahead = layout.reach if reach is None else reach
        self.lengths = panel.lengths
        n_series = len(panel.lengths)
        if periods is None:
            periods = np.full(n_series, layout.period)
        before = layout.context
        padded = panel.lengths + before + max(ahead, layout.reach)
        self._starts = np.cumsum(padded) - padded + before  # (I,)
        self._periods = torch.from_numpy(periods.astype(np.int64))
        self._static = torch.from_numpy(np.ascontiguousarray(panel.static_covariates))
        self._target_steps = torch.arange(layout.output_shift, layout.reach)
        self._all_steps = torch.arange(-layout.context, ahead)
        self._n_past_steps = layout.context + (0 if reach is None else reach)

        n_rows, n_past = int(padded.sum()), panel.past_covariates.shape[1]
        shape, n_future = (n_rows, self.n_components), panel.future_covariates.shape[1]
        self._filled = torch.full(shape, torch.nan, dtype=torch.float64)
        self._floor = torch.zeros(shape, dtype=torch.float64)
        self._observed = torch.zeros(shape)
        self._weights = self._observed if panel.weights is None else torch.zeros(shape)
        self._past = torch.full((n_rows, n_past), torch.nan, dtype=torch.float64)
        self._future = torch.full((n_rows, n_future), torch.nan, dtype=torch.float64)
        self._level = torch.empty(n_series, self.n_components, dtype=torch.float64)
        self._spread = torch.empty_like(self._level)
        self._errors: Tensor | None = None
        if len(layout.references) > 1 and not layout.self_contained:
            shape_of_errors = (*shape, len(layout.references))
            self._errors = torch.full(shape_of_errors, torch.inf, dtype=torch.float64)
        for part, steps in _parts(panel.lengths):
            self._lay_out(panel, part, steps, periods[part])

    def _lay_out(
        self, panel: Panel, part: slice, given: slice, periods: np.ndarray
    ) -> None:
        """Lay out some of the series, and what is measured on them.

        ``part`` are the series, ``given`` are their steps in the panel.
        """
        layout, lengths = self.layout, panel.lengths[part]
        starts = np.cumsum(lengths) - lengths
        series = np.repeat(np.arange(len(lengths)), lengths)
        first = starts[series]
        step = np.arange(len(series)) - first
        rows = self._starts[part][series] + step
        values = panel.values[given]
        observed = ~np.isnan(values)
        filled, level_and_spread = values, _level_and_spread(values, starts)
        for laid_out, measured in zip(
            (self._level, self._spread), level_and_spread, strict=True
        ):
            laid_out.numpy()[part] = measured
        if not layout.self_contained:
            filled = fill_forward(values, first, step, periods[series])
            change = _expanding_mean_change(filled, starts, lengths)
            self._floor.numpy()[rows + 1] = change  # known just before its cutoff
        if self._errors is not None:
            self._errors.numpy()[rows + 1] = errors_so_far(
                filled,
                level_and_spread[1][series],
                first,
                step,
                periods[series],
                layout.references,
                layout.period,
                layout.horizon,
            )
        self._filled.numpy()[rows] = filled
        self._observed.numpy()[rows] = observed
        if panel.weights is not None:
            self._weights.numpy()[rows] = observed * panel.weights[given]
        self._past.numpy()[rows] = panel.past_covariates[given]
        self._future.numpy()[rows] = panel.future_covariates[given]

    def __len__(self) -> int:
        """Return the number of series."""
        return len(self.lengths)

    def cutoffs(self) -> tuple[np.ndarray, np.ndarray]:
        """Return series and step of the windows that end where the series end."""
        return np.arange(len(self)), self.lengths

    def gather(
        self,
        series: Tensor,
        steps: Tensor,
        *,
        channels: Tensor | None = None,
        ahead: Tensor | None = None,
        with_target: bool = False,
    ) -> WindowBatch:
        """Gather the windows whose cutoff lies before the given steps.

        Parameters
        ----------
        series, steps : torch.Tensor of shape (B,), int64
            Which series, and the step in it that a forecast starts from: 0 has no
            past at all, the length of the series has all of it.
        channels : torch.Tensor of shape (B,), int64, optional
            The one channel that each window is to hold, in place of all.
        ahead : torch.Tensor of shape (B, F, Q), float64, optional
            Known-future covariates of F steps from there on, in place of those of
            the series.
        with_target : bool, default=False
            Whether to gather the values to be forecast, too.
        """
        layout = self.layout
        origin = torch.from_numpy(self._starts)[series] + steps  # (B,)
        rows = origin[:, None] + self._all_steps  # (B, W + R)
        past = rows[:, : layout.context]
        future = _taken(self._future, rows)
        if ahead is not None:
            future = torch.cat([future[:, : layout.context], ahead], 1)
        history = self._pick(self._filled, past, channels)
        observed = self._pick(self._observed, past, channels)
        if layout.self_contained:
            history, observed = fill_gaps(history, layout.period)
        if self._errors is None:
            errors = _errors_of_windows(history, layout)
        else:
            errors = self._pick(self._errors, origin, channels)
        static = _taken(self._static, series)
        if channels is not None and static.ndim == 3:
            static = static[torch.arange(len(series)), channels]
        target, weight = history[:, :0], observed[:, :0]
        if with_target:
            aim = origin[:, None] + self._target_steps  # (B, H)
            target = self._pick(self._filled, aim, channels).nan_to_num()
            weight = self._pick(self._weights, aim, channels)  # 0 where only filled
        return WindowBatch(
            history=history,
            observed=observed,
            period=self._periods[series],
            reference_errors=errors,
            scale_floor=self._pick(self._floor, origin, channels),
            level=self._pick(self._level, series, channels),
            spread=self._pick(self._spread, series, channels),
            past_covariates=_taken(self._past, rows[:, : self._n_past_steps]),
            future_covariates=future,
            static_covariates=static,
            target=target,
            weight=weight,
        )

    @staticmethod
    def _pick(values: Tensor, rows: Tensor, channels: Tensor | None) -> Tensor:
        """Return some rows (..., C, ...) of values, of one channel each if asked to."""
        if channels is None:
            return values[rows]
        channels = channels.view(-1, *[1] * (rows.ndim - 1))
        return values[rows, channels].unsqueeze(rows.ndim)


def _taken(covariates: Tensor, rows: Tensor) -> Tensor:
    """Return rows (...) of covariates (N, ..., Q), without looking where Q is 0."""
    if covariates.shape[-1] == 0:
        return covariates.new_empty(*rows.shape, *covariates.shape[1:])
    return covariates[rows]


def _parts(lengths: np.ndarray) -> Iterator[tuple[slice, slice]]:
    """Yield runs of series that are worked through together, and of their steps.

    Arrays that outgrow the processor's caches, and what the allocator keeps, cost more
    a value: the time would grow faster than the data.
    """
    rows = np.r_[0, np.cumsum(lengths)]
    borders = np.flatnonzero(np.diff((rows[1:] - 1) // STEPS_AT_A_TIME)) + 1
    for first, last in pairwise([0, *borders.tolist(), len(lengths)]):
        yield slice(first, last), slice(rows[first], rows[last])


def window_batch(
    layout: Layout,
    history: Tensor,
    past_covariates: Tensor,
    future_covariates: Tensor,
    static_covariates: Tensor,
    target: Tensor,
    weight: Tensor,
) -> WindowBatch:
    """Return the windows that arrays hold, which is all that is known of them.

    Parameters
    ----------
    layout : Layout
        What the windows hold.
    history : torch.Tensor of shape (B, W, C), float64
        Target up to the cutoff, NaN where not observed.
    past_covariates : torch.Tensor of shape (B, W or more, P), float64
    future_covariates : torch.Tensor of shape (B, W + R, Q), float64
    static_covariates : torch.Tensor of shape (B, S) or (B, C, S), float64
    target : torch.Tensor of shape (B, H, C), float64
        Values to be forecast, NaN where not observed; 0 steps where not for training.
    weight : torch.Tensor of shape (B, H, C), float32
        Weight of each of them in the loss.
    """
    n_windows, _, n_channels = history.shape
    nothing = history.new_zeros(n_windows, n_channels)
    filled, observed = fill_gaps(history, layout.period)
    change = nothing
    if not layout.self_contained:
        change = filled.diff(dim=1).abs().nanmean(1).nan_to_num()
    return WindowBatch(
        history=filled,
        observed=observed,
        period=torch.full((n_windows,), layout.period, device=history.device),
        reference_errors=_errors_of_windows(filled, layout),
        scale_floor=change,
        level=nothing,
        spread=nothing,
        past_covariates=past_covariates,
        future_covariates=future_covariates,
        static_covariates=static_covariates,
        target=target.nan_to_num(),
        weight=weight * ~target.isnan(),
    )


def _errors_of_windows(history: Tensor, layout: Layout) -> Tensor:
    """Return the errors of references that windows alone tell, (B, C, R)."""
    if len(layout.references) == 1:
        return history.new_zeros(len(history), history.shape[2], 1)
    return window_errors(history, layout.period, layout.references, layout.horizon)


def _expanding_mean_change(
    filled: np.ndarray, starts: np.ndarray, lengths: np.ndarray
) -> np.ndarray:
    """Mean absolute change of each series up to and including each row, (N, C)."""
    change = np.diff(filled, axis=0, prepend=filled[:1])
    np.abs(change, out=change)
    known = ~np.isnan(change)
    known[starts] = False
    change[~known] = 0.0
    total, count = np.cumsum(change, axis=0, out=change), np.cumsum(known, axis=0)
    total -= np.repeat(total[starts], lengths, axis=0)
    count -= np.repeat(count[starts], lengths, axis=0)
    total /= np.maximum(count, 1, out=count)
    return total


def _level_and_spread(
    values: np.ndarray, starts: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Mean and mean absolute deviation of every whole series, (I, C) each."""
    known = ~np.isnan(values)
    count = np.maximum(np.add.reduceat(known, starts, axis=0, dtype=float), 1)
    level = np.add.reduceat(np.where(known, values, 0.0), starts, axis=0) / count
    lengths = np.diff(np.r_[starts, len(values)])
    deviation = np.abs(values - np.repeat(level, lengths, axis=0))
    spread = np.add.reduceat(np.where(known, deviation, 0.0), starts, axis=0) / count
    return level, spread
