"""Regular time axes: time stamps to integer positions and back."""

from __future__ import annotations

import functools
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from pandas.tseries.frequencies import to_offset

from lstm_forecasters.errors import DataError
from lstm_forecasters.seasons import season_of

__all__ = ["TimeGrid", "doubled", "infer_offset"]


def infer_offset(times: pd.DatetimeIndex) -> Any:
    """Return the frequency of unique, sorted time stamps, or say why there is none."""
    if times.freq is not None:
        return times.freq
    name = pd.infer_freq(times) if len(times) >= 3 else None
    if name is not None:
        return to_offset(name)
    if len(times) < 3:
        raise DataError(
            f"the time index has {len(times)} time stamps and no frequency, so the "
            "distance to the next one is unknown. Set it, for example by "
            'y = y.asfreq("MS"), or use a PeriodIndex.'
        )
    gaps = np.diff(times.asi8)
    usual = np.median(gaps)
    odd = int(np.argmax(np.abs(gaps - usual)))
    step = pd.Timedelta(int(usual), unit=times.unit)
    raise DataError(
        f"the time index is not regular: it steps from {times[odd]} to "
        f"{times[odd + 1]}, while steps are usually {step} long. "
        "Fill the missing time stamps with NaN, which the forecasters handle, "
        'for example by y = y.asfreq("D") with your frequency.'
    )


def doubled(time: Any) -> DataError:
    """Return the error for a time stamp that a series holds twice."""
    return DataError(
        f"the time index holds {time} twice. Pass unique time stamps, for example by "
        "y = y[~y.index.duplicated()]."
    )


@dataclass(frozen=True)
class TimeGrid:
    """All time stamps that a series of one frequency can have.

    Parameters
    ----------
    anchor : int, pandas.Period or pandas.Timestamp
        Time stamp of position 0.
    offset : pandas.DateOffset or None
        Frequency of time stamps and periods; None for integers.
    name : object, default=None
        Name that time indexes carry.
    """

    anchor: Any
    offset: Any = None
    name: Any = None

    @classmethod
    def of(cls, times: pd.Index) -> TimeGrid:
        """Return the grid of a series' time stamps.

        Raises
        ------
        DataError
            If the time stamps hold one twice, follow no frequency, or are of an
            unknown kind.
        """
        if not times.is_unique:
            raise doubled(times[times.duplicated()][0])
        unique = times if times.is_monotonic_increasing else times.sort_values()
        if isinstance(unique, pd.PeriodIndex):
            return cls(unique[0], unique.freq, times.name)
        if isinstance(unique, pd.DatetimeIndex):
            return cls(unique[0], infer_offset(unique), times.name)
        if pd.api.types.is_integer_dtype(unique.dtype):
            return cls(int(unique[0]), None, times.name)
        raise DataError(
            f"the time index is a {type(times).__name__} of dtype {times.dtype}; pass "
            "a DatetimeIndex, a PeriodIndex or integers."
        )

    @property
    def season(self) -> int:
        """Seasonal period that the frequency suggests, 1 where it suggests none."""
        if self.offset is None:
            return 1
        return season_of(self.offset.rule_code, self.offset.n)

    def positions(self, times: pd.Index) -> np.ndarray:
        """Return the position of every time stamp, int64.

        Raises
        ------
        DataError
            If a time stamp does not lie on the grid.
        """
        if isinstance(self.anchor, int):
            if not pd.api.types.is_integer_dtype(times.dtype):
                raise self._off_grid(times, times[0])
            return times.to_numpy(dtype=np.int64) - self.anchor
        if isinstance(self.anchor, pd.Period):
            if not isinstance(times, pd.PeriodIndex) or times.freq != self.offset:
                raise self._off_grid(times, times[0])
            units = times.asi8 - self.anchor.ordinal
            between = units % self.offset.n > 0
            if between.any():
                raise self._off_grid(times, times[between][0])
            return units // self.offset.n
        if not isinstance(times, pd.DatetimeIndex) or str(times.tz) != str(
            self.anchor.tz
        ):
            raise self._off_grid(times, times[0])
        codes, unique = pd.factorize(times)
        last = max(unique.max(), self.anchor)
        first = min(unique.min(), self.anchor)
        ahead = pd.date_range(self.anchor, last, freq=self.offset)
        behind = pd.date_range(end=self.anchor, start=first, freq=self.offset)
        behind = behind[behind < self.anchor]
        grid = behind.append(ahead)
        found = grid.get_indexer(unique)
        if (found < 0).any():
            raise self._off_grid(times, unique[int(np.argmax(found < 0))])
        return (found - len(behind))[codes]

    def positions_after(self, position: int, delays: pd.TimedeltaIndex) -> np.ndarray:
        """Return the positions of what lies some time after one of them, int64.

        Raises
        ------
        DataError
            If it does not lie on the grid.
        """
        start = self.index(np.array([position]))[0]
        try:
            times = start + delays
        except TypeError as error:  # integers, and months and the like
            raise self._off_grid(delays, delays[0]) from error
        return self.positions(times)

    def _off_grid(self, times: pd.Index, time: Any) -> DataError:
        """Return the error for a time stamp beside the grid."""
        freq = "integers" if self.offset is None else f"frequency {self.offset.freqstr}"
        return DataError(
            f"time stamp {time!r} ({type(times).__name__}) does not lie on the time "
            f"axis of the fitted series, which begins at {self.anchor!r} and has "
            f"{freq}. Pass an index of the same kind, time zone and frequency."
        )

    def index(self, positions: np.ndarray) -> pd.Index:
        """Return the time stamps at positions."""
        if isinstance(self.anchor, int):
            return pd.Index(positions + self.anchor, name=self.name)
        if isinstance(self.anchor, pd.Period):
            ordinals = self.anchor.ordinal + positions * self.offset.n
            return pd.PeriodIndex.from_ordinals(  # type: ignore[attr-defined]  # stubs
                ordinals, freq=self.offset, name=self.name
            )
        low, high = min(int(positions.min()), 0), max(int(positions.max()), 0)
        start = self.anchor + low * self.offset if low else self.anchor
        grid = _stamps(start, high - low + 1, self.offset, self.name)
        if len(positions) > 1 and (np.diff(positions) == 1).all():
            first = int(positions[0]) - low
            return grid[first : first + len(positions)]
        return grid[positions - low]


@functools.lru_cache(maxsize=16)
def _stamps(
    start: pd.Timestamp, periods: int, offset: Any, name: Hashable
) -> pd.DatetimeIndex:
    """Return consecutive time stamps; making them takes a tenth of a forecast."""
    return pd.date_range(start, periods=periods, freq=offset, name=name)
