"""pandas to arrays: what a forecaster remembers of the series it has seen."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from lstm_forecasters.backend.normalization import LARGEST_VALUE, is_too_large
from lstm_forecasters.backend.windows import Panel
from lstm_forecasters.errors import CovariateError, DataError
from lstm_forecasters.sktime.timegrid import TimeGrid, doubled

__all__ = [
    "Context",
    "Covariates",
    "Series",
    "absent_from",
    "check_numeric",
    "covariates_ahead",
    "read_context",
    "read_grid",
]


@dataclass(frozen=True, eq=False)
class Series:
    """One series from a position on: values (T, C) and covariates (T, P + Q)."""

    first: int
    values: np.ndarray
    covariates: np.ndarray

    @property
    def cutoff(self) -> int:
        """Position of the last time step."""
        return self.first + len(self.values) - 1


@dataclass(frozen=True)
class Covariates:
    """Names of the covariates: those that end at the cutoff, those known beyond it."""

    past: tuple[Hashable, ...] = ()
    future: tuple[Hashable, ...] = ()

    @property
    def names(self) -> list[Hashable]:
        """All names, past ones first."""
        return [*self.past, *self.future]


@dataclass(frozen=True, eq=False)
class Context:
    """The series that forecasts start from.

    Parameters
    ----------
    grid : TimeGrid
        Their common time axis.
    instances : pandas.Index or None
        Key of each series, in the order of the data; None for a single series.
    columns : pandas.Index
        Names of the target's columns.
    covariates : Covariates
        Names of the columns of X.
    series : tuple of Series
        The data.
    """

    grid: TimeGrid
    instances: pd.Index | None
    columns: pd.Index
    covariates: Covariates
    series: tuple[Series, ...]

    def panel(self) -> Panel:
        """Return the arrays of all series, one after another."""
        covariates = np.concatenate([one.covariates for one in self.series])
        n_past = len(self.covariates.past)
        return Panel(
            values=np.concatenate([one.values for one in self.series]),
            lengths=self.lengths,
            past_covariates=covariates[:, :n_past],
            future_covariates=covariates[:, n_past:],
        )

    @property
    def lengths(self) -> np.ndarray:
        """Time steps of each series, (I,)."""
        return np.array([len(one.values) for one in self.series])

    @property
    def cutoffs(self) -> np.ndarray:
        """Position of the last time step of each series, (I,)."""
        return np.array([one.cutoff for one in self.series])

    def updated(self, new: Context) -> Context:
        """Return this context with newer data, up to the end of the newer data.

        Newer values replace older ones; time steps that neither covers are not
        observed. Series that the newer data does not have stay as they are.
        """
        if self.instances is None or new.instances is None:
            return replace(self, series=(_extended(self.series[0], new.series[0]),))
        series = list(self.series)
        where = self.instances.get_indexer(new.instances)
        for at, newer in zip(where, new.series, strict=True):
            if at < 0:
                series.append(newer)
            else:
                series[at] = _extended(series[at], newer)
        unseen = new.instances[where < 0]
        return replace(
            self, instances=self.instances.append(unseen), series=tuple(series)
        )

    def index(self, steps: np.ndarray) -> pd.Index:
        """Return the row index of forecasts for steps (I, n) from each cutoff."""
        positions = self.cutoffs[:, None] + steps
        if self.instances is None:
            return self.grid.index(positions[0])
        times = self.grid.index(positions.ravel())
        codes = np.repeat(np.arange(len(self.series)), steps.shape[1])
        keys = self.instances[codes]
        levels = [keys.get_level_values(level) for level in range(keys.nlevels)]
        names = [*self.instances.names, self.grid.name]
        return pd.MultiIndex.from_arrays([*levels, times], names=names)


def _extended(old: Series, new: Series) -> Series:
    """Return a series with newer data, up to the end of the newer data."""
    first = min(old.first, new.first)
    n_steps = new.cutoff - first + 1
    values = np.full((n_steps, old.values.shape[1]), np.nan)
    covariates = np.full((n_steps, old.covariates.shape[1]), np.nan)
    for one in (old, new):
        kept = max(0, min(len(one.values), n_steps - (one.first - first)))
        rows = slice(one.first - first, one.first - first + kept)
        values[rows] = one.values[:kept]
        covariates[rows] = one.covariates[:kept]
    return Series(first, values, covariates)


def read_context(
    y: pd.DataFrame,
    X: pd.DataFrame | None,
    covariates: Covariates,
    earlier: Context | None = None,
) -> Context:
    """Read y and X as sktime hands them over, and refuse what cannot be used.

    Parameters
    ----------
    y : pandas.DataFrame
        Target, with one index level for a single series or several for a panel.
    X : pandas.DataFrame or None
        Covariates at the time steps of y, and possibly others.
    covariates : Covariates
        Columns of X to use.
    earlier : Context, optional
        Context that the data is to extend: it has to have the same columns and follow
        the same time axis, and may be all missing.

    Raises
    ------
    DataError
        If the index has duplicates or gaps, values are infinite or no numbers, or the
        data is of another kind than the earlier context.
    CovariateError
        If X lacks columns or time steps, or has several rows for one.
    """
    if len(y) == 0:
        raise DataError("y is empty: pass at least one observation.")
    if earlier is not None:
        y = _like_earlier(y, earlier)
    values = _as_floats(y, "y")
    found = _rows_of(X, y.index, covariates)
    times = y.index.get_level_values(-1)
    instances, starts = _instances(y.index)
    grid = read_grid(y.index) if earlier is None else earlier.grid
    positions = grid.positions(times)
    ends = np.r_[starts[1:], len(y)]
    _check_regular(positions, starts, times)
    if earlier is None:
        _check_observed(values, starts, instances, y.columns)
    series = tuple(
        Series(int(positions[start]), values[start:end], found[start:end])
        for start, end in zip(starts, ends, strict=True)
    )
    return Context(grid, instances, y.columns, covariates, series)


def _like_earlier(y: pd.DataFrame, earlier: Context) -> pd.DataFrame:
    """Return new data with its columns in the order of an earlier context."""
    if (y.index.nlevels > 1) != (earlier.instances is not None):
        kind = "a single series" if earlier.instances is None else "a panel"
        raise DataError(f"update needs data of the kind that fit saw: {kind}.")
    known = list(earlier.columns)
    if len(known) == 1 and y.shape[1] == 1:
        return y
    if set(y.columns) != set(known) or y.shape[1] != len(known):
        raise DataError(
            f"y has the columns {list(y.columns)}, but fit saw {known}. Columns are "
            "matched by name: pass the same ones."
        )
    return _selected(y, known)


def _check_observed(
    values: np.ndarray,
    starts: np.ndarray,
    instances: pd.Index | None,
    columns: pd.Index,
) -> None:
    """Refuse a series, or a column of it, of which nothing was observed."""
    if len(columns) == 0:
        raise DataError("y has no columns: pass at least one.")
    seen = np.add.reduceat(~np.isnan(values), starts, axis=0, dtype=int)
    if (seen == 0).any():
        number, column = np.argwhere(seen == 0)[0]
        where = "" if instances is None else f" of series {instances[number]!r}"
        which = f" in column {columns[column]!r}" if seen[number].any() else ""
        raise DataError(
            f"every value of y{where}{which} is missing: nothing can be learnt."
        )


def _keys(index: pd.Index) -> pd.Index:
    """Return the key of the series that each row belongs to."""
    assert isinstance(index, pd.MultiIndex)
    return index.droplevel(-1)


def _instances(index: pd.Index) -> tuple[pd.Index | None, np.ndarray]:
    """Return the keys of the series in the order of the rows, and their first rows."""
    if index.nlevels == 1:
        return None, np.zeros(1, dtype=int)
    assert isinstance(index, pd.MultiIndex)
    is_next = np.zeros(max(0, len(index) - 1), dtype=bool)
    for codes in index.codes[:-1]:
        is_next |= codes[1:] != codes[:-1]
    starts = np.flatnonzero(np.r_[True, is_next])
    if any((codes[starts] < 0).any() for codes in index.codes[:-1]):
        raise DataError(
            "y has rows without the name of their series: NaN stands in the index. "
            "Name these series, or leave their rows out."
        )
    keys = _keys(index[starts])
    if not keys.is_unique:
        raise DataError(
            "the rows of a series must stand together: sort y by its index, "
            "for example by y.sort_index()."
        )
    return keys, starts


def read_grid(index: pd.Index) -> TimeGrid:
    """Return the time axis of y, its frequency read from the longest series."""
    _, starts = _instances(index)
    times = index.get_level_values(-1)
    lengths = np.diff(np.r_[starts, len(times)])
    longest = int(np.argmax(lengths))
    rows = slice(starts[longest], starts[longest] + lengths[longest])
    grid = TimeGrid.of(times[rows])
    return replace(grid, name=times.name)


def _check_regular(positions: np.ndarray, starts: np.ndarray, times: pd.Index) -> None:
    """Refuse time steps that are missing, doubled or out of order."""
    steps = np.diff(positions)
    within = np.ones(len(steps), dtype=bool)
    within[starts[1:] - 1] = False
    wrong = np.flatnonzero(within & (steps != 1))
    if len(wrong) == 0:
        return
    at = int(wrong[0])
    here, there = times[at], times[at + 1]
    if steps[at] > 1:
        raise DataError(
            f"the time index has a gap: it steps from {here} to {there}. Fill the "
            "missing time stamps with NaN, which the forecasters handle, for example "
            "by y = y.asfreq(...) or y.reindex(...)."
        )
    if steps[at] == 0:
        raise doubled(there)
    raise DataError(
        f"the time index goes back in time at {there}. Pass time stamps in order, for "
        "example by y = y.sort_index()."
    )


def check_numeric(frame: pd.DataFrame, name: str) -> None:
    """Refuse a frame with a column of anything but real numbers."""
    types = pd.api.types
    if not all(
        types.is_numeric_dtype(kind) and not types.is_complex_dtype(kind)
        for kind in frame.dtypes
    ):
        kinds = ", ".join(f"{key!r}: {kind}" for key, kind in frame.dtypes.items())
        raise DataError(
            f"{name} must be numeric, got columns of dtype {{{kinds}}}. Convert them, "
            "for example by astype(float) or one-hot encoding."
        )


def _as_floats(frame: pd.DataFrame, name: str) -> np.ndarray:
    """Return a copy of a frame as float64, refusing what is no finite number."""
    if not frame.columns.is_unique:
        doubled = frame.columns[frame.columns.duplicated()][0]
        raise DataError(f"{name} has several columns {doubled!r}: rename them.")
    check_numeric(frame, name)
    values = frame.to_numpy(dtype=np.float64, na_value=np.nan, copy=True)
    if is_too_large(values):
        row, column = np.argwhere(np.abs(values) > LARGEST_VALUE)[0]
        value = values[row, column]
        raise DataError(
            f"{name} is {'infinite' if np.isinf(value) else value} at "
            f"{frame.index[row]!r} in column {frame.columns[column]!r}. Pass finite "
            f"numbers of at most {LARGEST_VALUE:g}, or NaN for missing ones."
        )
    return values


def absent_from(columns: pd.Index, names: Iterable[Hashable]) -> list[Hashable]:
    """Return the names of no column, such as a name of several on an upper level."""
    return [
        name
        for name in names
        if name not in columns or not isinstance(columns.get_loc(name), int)
    ]


def _selected(frame: pd.DataFrame, names: list[Hashable]) -> pd.DataFrame:
    """Return columns by name, in this order.

    Truth values are names here, where pandas would read a list of them as a mask of the
    rows.
    """
    positions = np.array([frame.columns.get_loc(name) for name in names], dtype=int)
    return frame.iloc[:, positions]


def _columns_of(X: pd.DataFrame, names: list[Hashable], known: bool) -> pd.DataFrame:
    """Return the columns of X in the order of the fit."""
    absent = absent_from(X.columns, names)
    if absent:
        kind = "known-future " if known else ""
        raise CovariateError(
            f"X lacks the {kind}covariates {absent}, which the forecaster was fitted "
            f"with; it has {list(X.columns)}. Columns are matched by name."
        )
    return _selected(X, names)


def _rows_of(
    X: pd.DataFrame | None, index: pd.Index, covariates: Covariates
) -> np.ndarray:
    """Return the covariates at the time steps of y, (N, P + Q)."""
    if not covariates.names:
        return np.empty((len(index), 0))
    if X is None:
        raise CovariateError(
            f"the forecaster was fitted with covariates {covariates.names}, but X is "
            "None. Pass X with these columns at the time steps of y."
        )
    values = _as_floats(_columns_of(X, covariates.names, known=False), "X")
    if X.index.equals(index):
        return values
    _check_unique(X.index)
    rows = X.index.get_indexer(index)
    if (rows < 0).any():
        raise CovariateError(
            f"X has no row for {index[int(np.argmax(rows < 0))]!r}, a time step of y. "
            "Pass X for every time step of y, with NaN where a value is missing."
        )
    return values[rows]


def _check_unique(index: pd.Index) -> None:
    """Refuse covariates with several rows for a time step."""
    if not index.is_unique:
        raise CovariateError(
            f"X has several rows for {index[index.duplicated()][0]!r}. Pass one for "
            "each time step, for example by X = X[~X.index.duplicated()]."
        )


def covariates_ahead(
    context: Context, X: pd.DataFrame | None, steps: np.ndarray
) -> np.ndarray | None:
    """Return known-future covariates after the cutoffs, (I, F, Q), NaN where missing.

    Parameters
    ----------
    context : Context
        Series that the forecasts start from.
    X : pandas.DataFrame or None
        Covariates of the forecast time steps, matched by name, series and time.
    steps : numpy.ndarray of shape (I, n)
        Steps to forecast; those up to 0 lie in the past and need no X.

    Raises
    ------
    CovariateError
        If X is missing, lacks a column or a time step to be forecast, or has several
        rows for one.
    """
    names = list(context.covariates.future)
    horizon = max(0, int(steps.max()))
    if not names or horizon == 0:
        return None
    if X is None:
        raise CovariateError(
            f"the forecaster was fitted with known-future covariates {names}, but X is "
            "None. Pass X with these columns for the time steps to be forecast, or "
            "name covariates that end at the cutoff in past_covariates."
        )
    values = _as_floats(_columns_of(X, names, known=True), "X")
    _check_unique(X.index)
    times = X.index.get_level_values(-1) if X.index.nlevels > 1 else X.index
    number = np.zeros(len(X), dtype=int)
    if context.instances is not None:
        number = context.instances.get_indexer(_keys(X.index))
    step = context.grid.positions(times) - context.cutoffs[number]
    ahead = np.full((len(context.series), horizon, len(names)), np.nan)
    covered = np.zeros(ahead.shape[:2], dtype=bool)
    inside = (number >= 0) & (step >= 1) & (step <= horizon)
    ahead[number[inside], step[inside] - 1] = values[inside]
    covered[number[inside], step[inside] - 1] = True
    wanted_series, wanted = np.nonzero(steps > 0)
    short = ~covered[wanted_series, steps[wanted_series, wanted] - 1]
    if short.any():
        one, step_ahead = wanted_series[short][0], wanted[short][0]
        position = context.cutoffs[one] + steps[one, step_ahead]
        time = _label(context, int(one), int(position))
        of_arrays = " An array counts from 0: pass it from the first time step of y on."
        reach = f"reaches from {times.min()} to {times.max()}" if len(X) else "is empty"
        raise CovariateError(
            f"X has no row for {time}, which is to be forecast. X is matched by its "
            f"index, which {reach}. Pass the "
            f"known-future covariates {names} for every time step of the horizon."
            f"{of_arrays if context.grid.offset is None else ''}"
        )
    return ahead


def _label(context: Context, number: int, position: int) -> Any:
    """Return how to name a time step of a series in an error."""
    time = context.grid.index(np.array([position]))[0]
    if context.instances is None:
        return f"{time}"
    return f"{time} of series {context.instances[number]!r}"
