"""Synthetic series to pretrain on: every series is drawn, none is real.

A series is a sum of parts, each of which a share of the series has. Units are
arbitrary, since networks read windows in units of their own; what matters is how large
the parts are beside one another. All series of a call are drawn together.

pace (all)
    Time steps of a while, log-uniform from 36 to 384, however long the series is. What
    changes slowly or seldom does so by the while.

season (all)
    Period 1, 4, 7, 12, 24, 48, 52, 96, 168 or any from 2 to 60, as often as ``PERIODS``
    has it.
profile (periods above 1)
    Half: one to four waves, the k-th of N(0, 1) / k. Half: N(0, 1) for each step of
    the season, smoothed over up to a quarter of it. Both with a deviation of 1. In 0.3
    of the series it turns into another one, drawn alike, along a line or in a walk, by
    an angle of N(0, 1) in a while.
strength of the season
    Log-normal, median 1, sigma 0.8; in half of the series it grows or falls by up to
    2.5 times in a while. Nothing in 0.12 of the series, whose period is a label only.
second season (half of the series of days, period 7, and hours, period 24)
    Of hours, a week: N(0, 1) a day for the level, and exp(0.3 N(0, 1)) a day for the
    strength of the season. Of days, a year of 365 in one or two waves. The level is
    multiplied by a log-normal factor, median 0.6, sigma 0.6.
trend (0.7 of all)
    A slope of Student t (3 degrees of freedom) times log-normal, median 1, sigma 0.8,
    in a while. In half of the series it changes, 3 times in a while on average, each
    time by N(0, 1).
wandering slope (0.35)
    The slope is an autoregression, phi uniform from 0.8 to 1, with a deviation within a
    while of log-normal, median 0.7, sigma 1.
cycle (0.2)
    A wave of log-uniform length from 8 to 200 steps, which rises faster than it falls,
    or slower, and is sharper above than below, or not. Its speed and its size are
    autoregressions of phi 0.98; log-normal, median 0.35, sigma 1.
swinging (0.2)
    In place of the season, beside all else: a cycle as above, 6 times as large, in 0.6
    of them, and in 0.7 an autoregression of the second order that swings by itself, in
    log-uniform 6 to 200 steps, with a memory of log-uniform 0.3 to 4 swings, and a
    deviation of log-normal, median 2, sigma 1.
random walk (0.5)
    Steps of Student t (4 degrees of freedom), times log-normal, median 0.15, sigma 0.8,
    times the root of 12 over the period, which is 0.5 to 2: a year's step is larger
    than an hour's.
autoregression (all)
    Of the first order, phi uniform from -0.3 to 0.98, deviation log-normal, median 0.3,
    sigma 0.8.
noise (0.5)
    N(0, 1), times log-normal, median 0.3, sigma 0.8.
level shifts (0.3)
    N(0, 2), one in a while on average.
shocks (0.35)
    N(0, 2), one in a while on average, which fade with a memory of log-uniform 2 to 30
    steps.
holidays (0.1 of the series of days and hours)
    One day in 20 to 60, on which the level moves by the same N(0, 1.5).
calm (0.3)
    Wandering slope, random walk, autoregression and level shifts are 0.05 to 0.5 of
    what they were.
growth with the level (0.35)
    The exponential of the series, in which four deviations are 0.3 to 3. Of those that
    fall, 0.6 are turned upside down before: what grows rises more often.
calendar (0.1 of the series of months)
    Lifted above zero and multiplied by the days of the month over their mean.
counts (0.08)
    Poisson, with the lifted series as its rate, of mean 1 to 30.
intermittent demand (0.05)
    Zero but for 0.1 to 0.6 of the steps; sizes are 1 + Poisson of mean 0 to 10.
outliers (0.2)
    In 0.01 of the steps, Student t (2 degrees of freedom) times 3 deviations of the
    changes.
missing values (0.2)
    One to three stretches of up to a tenth of the series, or 0.02 to 0.5 of all steps,
    or both.
"""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

__all__ = ["PERIODS", "draw_series"]

PERIODS = {
    1: 0.13,
    4: 0.11,
    7: 0.13,
    12: 0.26,
    24: 0.17,
    48: 0.02,
    52: 0.06,
    96: 0.01,
    168: 0.02,
}
"""How often a period is drawn; the rest is any from 2 to 60."""

LONGEST_WHILE = 384
"""Slowest pace of a series, in time steps."""

DAYS_OF_MONTHS = np.array([31, 28.25, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31])


def draw_series(
    random: Generator, n_series: int, n_steps: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return series (n_series, n_steps), NaN where missing, and their periods.

    Parameters
    ----------
    random : numpy.random.Generator
        Source of all randomness.
    n_series, n_steps : int
        How many series, and how long each is.

    Returns
    -------
    values : numpy.ndarray of shape (n_series, n_steps), float64
    periods : numpy.ndarray of shape (n_series,), int64
        Time steps of a season, 1 where there is none.

    Examples
    --------
    >>> import numpy as np
    >>> values, periods = draw_series(np.random.default_rng(0), 3, 100)
    >>> values.shape, periods.shape
    ((3, 100), (3,))
    """
    periods = _periods(random, n_series)
    pace = np.exp(random.uniform(np.log(36), np.log(LONGEST_WHILE), (n_series, 1)))
    values = _wandering(random, pace, n_steps)
    values += _random_walk(random, periods, n_steps)
    values += _autoregression(random, n_series, n_steps)
    values += _level_shifts(random, pace, n_steps)
    values = _calmed(random, values)
    values += _noise(random, n_series, n_steps)
    values += _shocks(random, pace, n_steps)
    is_swinging = _chosen(random, n_series, 0.2)
    values += np.where(is_swinging, 0.0, _season(random, periods, pace, n_steps))
    values += _trend(random, pace, n_steps)
    values += _cycle(random, n_series, n_steps, 0.2)
    values += is_swinging * _swings(random, n_series, n_steps)
    values += _holidays(random, periods, n_steps)
    values = _grown(random, values)
    values = _by_calendar(random, values, periods)
    values = _counted(random, values)
    values = _intermittent(random, values)
    values = _with_outliers(random, values)
    return _with_gaps(random, values), periods


def _periods(random: Generator, n_series: int) -> np.ndarray:
    """Draw the periods."""
    named = random.choice(
        [*PERIODS, 0], n_series, p=[*PERIODS.values(), 1 - sum(PERIODS.values())]
    )
    return np.where(named > 0, named, random.integers(2, 61, n_series))


def _chosen(random: Generator, n_series: int, share: float) -> np.ndarray:
    """Draw which series have a part, (n_series, 1)."""
    return random.random((n_series, 1)) < share


def _log_normal(
    random: Generator, n_series: int, median: float, sigma: float
) -> np.ndarray:
    """Draw log-normal factors, (n_series, 1)."""
    return median * np.exp(sigma * random.normal(size=(n_series, 1)))


def _season(
    random: Generator, periods: np.ndarray, pace: np.ndarray, n_steps: int
) -> np.ndarray:
    """Draw seasons, of which days may have a week and weeks a year above them."""
    n_series = len(periods)
    step = np.arange(n_steps)[None] + random.integers(0, 10_000, (n_series, 1))
    season = np.empty((n_series, n_steps))
    for period in np.unique(periods):  # a dozen or two of them
        rows = periods == period
        season[rows] = np.take_along_axis(
            _profiles(random, int(rows.sum()), int(period)), step[rows] % period, 1
        )
        changing = rows & _chosen(random, n_series, 0.3)[:, 0]
        other = np.take_along_axis(
            _profiles(random, int(changing.sum()), int(period)),
            step[changing] % period,
            1,
        )
        angle = _turns(random, pace[changing], n_steps)
        season[changing] *= np.cos(angle)
        season[changing] += np.sin(angle) * other
    along = (np.arange(n_steps) - n_steps / 2) / pace
    slope = random.uniform(-np.log(2.5), np.log(2.5), (n_series, 1))
    slope *= _chosen(random, n_series, 0.5)
    strength = _log_normal(random, n_series, 1.0, 0.8) * np.exp(slope * along)
    strength *= _chosen(random, n_series, 0.88)
    has_more = _chosen(random, n_series, 0.5)[:, 0]
    level = np.zeros((n_series, n_steps))
    rows = has_more & (periods == 24)
    for added, size in ((level, 0.7), (strength, 0.3)):
        week = random.normal(size=(int(rows.sum()), 7))
        day = step[rows] // 24 % 7
        part = np.take_along_axis(week, day, 1)
        added[rows] = added[rows] * np.exp(size * part) if added is strength else part
    rows = has_more & (periods == 7)
    year = _waves(random, int(rows.sum()), 365, 2)
    level[rows] = np.take_along_axis(year, step[rows] % 365, 1)
    return strength * season + level * _log_normal(random, n_series, 0.6, 0.6)


def _turns(random: Generator, pace: np.ndarray, n_steps: int) -> np.ndarray:
    """Draw angles that turn, straight on or in a walk."""
    line = np.arange(n_steps) / pace * random.normal(size=pace.shape)
    walk = random.normal(size=(len(pace), n_steps)).cumsum(1) / np.sqrt(pace)
    return np.where(_chosen(random, len(pace), 0.5), line, walk)


def _profiles(random: Generator, n_series: int, period: int) -> np.ndarray:
    """Draw profiles of a season with a deviation of 1, (n_series, period)."""
    if period == 1:
        return np.zeros((n_series, 1))
    rough = random.normal(size=(n_series, period))
    width = random.integers(1, max(2, period // 4) + 1, n_series)
    spectrum = np.fft.rfft(rough, axis=1)
    frequency = np.arange(spectrum.shape[1])[None]
    spectrum *= np.exp(-2 * (frequency * width[:, None] / period) ** 2)
    smooth = np.fft.irfft(spectrum, period, axis=1)
    waves = _waves(random, n_series, period, 4)
    profile = np.where(_chosen(random, n_series, 0.5), waves, smooth)
    profile -= profile.mean(1, keepdims=True)
    return profile / np.maximum(profile.std(1, keepdims=True), 1e-9)


def _waves(random: Generator, n_series: int, period: int, most: int) -> np.ndarray:
    """Draw sums of up to some harmonics, (n_series, period)."""
    angle = 2 * np.pi * np.arange(period) / period
    n_waves = random.integers(1, most + 1, (n_series, 1))
    total = np.zeros((n_series, period))
    for number in range(1, most + 1):
        size = random.normal(size=(n_series, 1)) / number * (number <= n_waves)
        phase = random.uniform(0, 2 * np.pi, (n_series, 1))
        total += size * np.sin(number * angle + phase)
    return total


def _trend(random: Generator, pace: np.ndarray, n_steps: int) -> np.ndarray:
    """Draw lines whose slope changes now and then."""
    n_series = len(pace)
    slope = np.zeros((n_series, n_steps))
    size = _log_normal(random, n_series, 1.0, 0.8)
    slope[:, :1] = size * random.standard_t(3, (n_series, 1))
    changes = random.random((n_series, n_steps)) < 3 / pace
    changes &= _chosen(random, n_series, 0.5)
    slope += changes * random.normal(size=(n_series, n_steps))
    lines = slope.cumsum(1).cumsum(1) / pace
    return lines * _chosen(random, n_series, 0.7)


def _wandering(random: Generator, pace: np.ndarray, n_steps: int) -> np.ndarray:
    """Draw curves whose slope is an autoregression."""
    total = np.zeros((len(pace), n_steps))
    rows = _chosen(random, len(pace), 0.35)[:, 0]
    n_rows = int(rows.sum())
    phi = random.uniform(0.8, 1.0, n_rows)
    curve = _remembered(random, phi, max(n_steps, LONGEST_WHILE)).cumsum(1)
    spread = np.nanstd(
        np.where(np.arange(curve.shape[1]) < pace[rows], curve, np.nan),
        axis=1,
        keepdims=True,
    )
    size = _log_normal(random, n_rows, 0.7, 1.0)
    total[rows] = (size * curve / spread)[:, :n_steps]
    return total


def _cycle(random: Generator, n_series: int, n_steps: int, share: float) -> np.ndarray:
    """Draw waves that have no fixed length, for a share of the series."""
    total = np.zeros((n_series, n_steps))
    rows = _chosen(random, n_series, share)[:, 0]
    n_rows = int(rows.sum())
    length = np.exp(random.uniform(np.log(8), np.log(200), (n_rows, 1)))
    slowly = np.full(n_rows, 0.98)
    change = 0.4 * random.random((n_rows, 1)) * _remembered(random, slowly, n_steps)
    phase = np.exp(change).cumsum(1) / length + random.random((n_rows, 1))
    angle = 2 * np.pi * phase
    lean, edge = random.uniform(-0.8, 0.8, (2, n_rows, 1))
    wave = np.exp(1.5 * edge * np.sin(angle + lean * np.sin(angle)))
    wave = (wave - 1) / edge
    size = np.exp(0.5 * _remembered(random, slowly, n_steps))
    strength = _log_normal(random, n_rows, 0.35, 1.0)
    total[rows] = strength * size * wave
    return total


def _swings(random: Generator, n_series: int, n_steps: int) -> np.ndarray:
    """Draw large cycles, with a shape or kept going by noise."""
    length = np.exp(random.uniform(np.log(6), np.log(200), n_series))
    memory = length * np.exp(random.uniform(np.log(0.3), np.log(4), n_series))
    turning = _remembered(random, np.exp(2j * np.pi / length - 1 / memory), n_steps)
    turning = turning.real * _log_normal(random, n_series, 2.0, 1.0)
    turning *= _chosen(random, n_series, 0.7)
    return turning + 6 * _cycle(random, n_series, n_steps, 0.6)


def _remembered(random: Generator, phi: np.ndarray, n_steps: int) -> np.ndarray:
    """Draw autoregressions of the first order with a deviation of 1, or walks.

    Complex ones turn, and both of their parts have that deviation.
    """
    shape = (n_steps, len(phi))
    noise = random.normal(size=shape)
    if np.iscomplexobj(phi):
        noise = noise + 1j * random.normal(size=shape)
    noise[1:] *= np.sqrt(np.maximum(1 - np.abs(phi) ** 2, 1e-3))
    for step in range(1, n_steps):
        noise[step] += phi * noise[step - 1]
    return noise.T


def _random_walk(random: Generator, periods: np.ndarray, n_steps: int) -> np.ndarray:
    """Draw random walks with steps that are sometimes large."""
    n_series = len(periods)
    walk = random.standard_t(4, (n_series, n_steps)).cumsum(1)
    walk *= _log_normal(random, n_series, 0.15, 0.8)
    walk *= np.clip(np.sqrt(12 / periods), 0.5, 2.0)[:, None]
    return walk * _chosen(random, n_series, 0.5)


def _autoregression(random: Generator, n_series: int, n_steps: int) -> np.ndarray:
    """Draw stationary noise with a memory of one step."""
    noise = _remembered(random, random.uniform(-0.3, 0.98, n_series), n_steps)
    return noise * _log_normal(random, n_series, 0.3, 0.8)


def _noise(random: Generator, n_series: int, n_steps: int) -> np.ndarray:
    """Draw noise without a memory."""
    noise = random.normal(size=(n_series, n_steps))
    noise *= _log_normal(random, n_series, 0.3, 0.8)
    return noise * _chosen(random, n_series, 0.5)


def _level_shifts(random: Generator, pace: np.ndarray, n_steps: int) -> np.ndarray:
    """Draw steps to another level."""
    return _jumps(random, pace, n_steps, 0.3).cumsum(1)


def _shocks(random: Generator, pace: np.ndarray, n_steps: int) -> np.ndarray:
    """Draw jumps that fade."""
    jumps = _jumps(random, pace, n_steps, 0.35)
    memory = np.exp(random.uniform(np.log(2), np.log(30), len(pace)))
    kept = np.exp(-1 / memory)
    for step in range(1, n_steps):
        jumps[:, step] += kept * jumps[:, step - 1]
    return jumps


def _jumps(
    random: Generator, pace: np.ndarray, n_steps: int, share: float
) -> np.ndarray:
    """Draw what comes once in a while, in a share of the series."""
    shape = (len(pace), n_steps)
    comes = (random.random(shape) < 1 / pace) & _chosen(random, len(pace), share)
    return comes * random.normal(0, 2, shape)


def _calmed(random: Generator, values: np.ndarray) -> np.ndarray:
    """Make what wanders or jumps small in some series."""
    n_series = len(values)
    is_calm = _chosen(random, n_series, 0.3)
    return values * np.where(is_calm, random.uniform(0.05, 0.5, (n_series, 1)), 1.0)


def _holidays(random: Generator, periods: np.ndarray, n_steps: int) -> np.ndarray:
    """Draw days on which the level is another, in series of days or hours."""
    n_series = len(periods)
    length = np.where(periods == 24, 24, 1)[:, None]
    day = np.arange(n_steps)[None] // length
    share = 1 / random.uniform(20, 60, (n_series, 1))
    is_holiday = random.random((n_series, n_steps)) < share
    size = 1.5 * random.normal(size=(n_series, 1)) * _chosen(random, n_series, 0.1)
    of_days = np.isin(periods, (7, 24))[:, None]
    return size * of_days * np.take_along_axis(is_holiday, day, 1)


def _grown(random: Generator, values: np.ndarray) -> np.ndarray:
    """Let some series vary in proportion to their level."""
    n_series = len(values)
    spread = np.maximum(values.std(1, keepdims=True), 1e-9)
    centered = (values - values.mean(1, keepdims=True)) / spread
    falls = centered @ np.linspace(-1, 1, values.shape[1]) < 0
    is_turned = falls[:, None] & _chosen(random, n_series, 0.6)
    centered = np.where(is_turned, -centered, centered)
    size = random.uniform(0.3, 3.0, (n_series, 1)) / 4  # four deviations are a range
    grown = np.exp(np.clip(size * centered, -20, 20))
    return np.where(_chosen(random, n_series, 0.35), grown * spread / size, values)


def _by_calendar(
    random: Generator, values: np.ndarray, periods: np.ndarray
) -> np.ndarray:
    """Make some monthly series totals over months of different lengths."""
    n_series, n_steps = values.shape
    chosen = _chosen(random, n_series, 0.1) & (periods == 12)[:, None]
    first = random.integers(0, 12, (n_series, 1))
    days = DAYS_OF_MONTHS[(first + np.arange(n_steps)) % 12] / DAYS_OF_MONTHS.mean()
    lifted = values - values.min(1, keepdims=True) + values.std(1, keepdims=True)
    return np.where(chosen, lifted * days, values)


def _counted(random: Generator, values: np.ndarray) -> np.ndarray:
    """Make some series counts."""
    rows = _chosen(random, len(values), 0.08)[:, 0]
    lifted = values[rows] - values[rows].min(1, keepdims=True)
    mean = random.uniform(1, 30, (len(lifted), 1))
    rate = mean * lifted / np.maximum(lifted.mean(1, keepdims=True), 1e-9)
    counted = values.copy()
    counted[rows] = random.poisson(rate)
    return counted


def _intermittent(random: Generator, values: np.ndarray) -> np.ndarray:
    """Make some series zero in most of their steps."""
    rows = _chosen(random, len(values), 0.05)[:, 0]
    shape = (int(rows.sum()), values.shape[1])
    is_demand = random.random(shape) < random.uniform(0.1, 0.6, (shape[0], 1))
    size = 1 + random.poisson(random.uniform(0, 10, (shape[0], 1)), shape)
    demand = values.copy()
    demand[rows] = is_demand * size
    return demand


def _with_outliers(random: Generator, values: np.ndarray) -> np.ndarray:
    """Disturb a few steps of some series."""
    n_series, n_steps = values.shape
    chosen = np.flatnonzero(_chosen(random, n_series, 0.2))
    rows, steps = np.nonzero(random.random((len(chosen), n_steps)) < 0.01)
    rows = chosen[rows]
    spread = np.diff(values, axis=1).std(1)
    disturbed = values.copy()
    disturbed[rows, steps] += 3 * random.standard_t(2, len(rows)) * spread[rows]
    return disturbed


def _with_gaps(random: Generator, values: np.ndarray) -> np.ndarray:
    """Leave out stretches of some series, and single steps of a few."""
    n_series, n_steps = values.shape
    chosen = _chosen(random, n_series, 0.2)
    step = np.arange(n_steps)
    missing = np.zeros((n_series, n_steps), dtype=bool)
    for share in (0.7, 0.35, 0.2):
        first = random.integers(0, n_steps, (n_series, 1))
        length = random.integers(1, max(2, n_steps // 10), (n_series, 1))
        stretch = (step >= first) & (step < first + length)
        missing |= stretch & _chosen(random, n_series, share)
    single = random.random((n_series, n_steps))
    single = single < random.uniform(0.02, 0.5, (n_series, 1))
    missing |= single & _chosen(random, n_series, 0.5)
    return np.where(missing & chosen, np.nan, values)
