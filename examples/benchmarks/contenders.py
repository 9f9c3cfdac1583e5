"""What ``accuracy.py`` compares: how data sets and forecasts look, and our forecasters.

A forecaster is a function that takes a ``Dataset`` and a seed, fits on the training
series, and returns a ``Forecast``. Libraries are imported inside, so that a missing one
fails alone. Ours are told the season and a seed, and in darts also the horizon and a
lookback of 336 hours or 36 months, 336 of either for the pretrained one.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import pandas as pd
from scipy.stats import norm

LEVELS = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]
MEDIAN = LEVELS.index(0.5)
CHUNK = 2100  # series forecast at a time where there are thousands

Result = TypeVar("Result")


@dataclass(frozen=True)
class Dataset:
    """Series to learn from, and what is to be forecast after which past.

    Each array is one channel. Where a set has several, those of one series stand next
    to each other. ``test`` is (series, horizon), with NaN where nothing is scored.
    Forecasts start at the end of ``contexts``, or without them, of the training series.
    """

    train: list[np.ndarray]
    test: np.ndarray
    season: int
    starts: list[str]
    contexts: list[np.ndarray] | None = None
    n_channels: int = 1

    @property
    def horizon(self) -> int:
        """Number of steps to forecast."""
        return self.test.shape[1]

    @property
    def hourly(self) -> bool:
        """Whether the series are hourly; the others are monthly."""
        return self.season == 24

    def chunks(self) -> Iterator[list[np.ndarray]]:
        """Give what forecasts start from, some series at a time."""
        contexts = self.train if self.contexts is None else self.contexts
        for start in range(0, len(contexts), CHUNK):
            yield contexts[start : start + CHUNK]


@dataclass(frozen=True)
class Forecast:
    """Points (series, horizon), quantiles at ``LEVELS`` if there are, and seconds."""

    points: np.ndarray
    quantiles: np.ndarray | None
    fit_seconds: float
    predict_seconds: float


def timed(task: Callable[[], Result]) -> tuple[Result, float]:
    """Return what a task returns, and how long it takes."""
    start = time.perf_counter()
    result = task()
    return result, time.perf_counter() - start


def fit_and_forecast(
    fit: Callable[[], object], forecast: Callable[[], np.ndarray]
) -> Forecast:
    """Time a fit, and then a forecast of quantiles, of which the median is the point.

    The quantiles are (series, horizon, levels).
    """
    _, fit_seconds = timed(fit)
    quantiles, predict_seconds = timed(forecast)
    points = quantiles[..., MEDIAN]
    return Forecast(points, quantiles, fit_seconds, predict_seconds)


def grouped(series: list[np.ndarray], n_channels: int) -> list[np.ndarray]:
    """Return tables (time, channels)."""
    starts = range(0, len(series), n_channels)
    return [np.stack(series[one : one + n_channels], axis=1) for one in starts]


def ungrouped(values: np.ndarray) -> np.ndarray:
    """Return (series * channels, horizon, levels) of separate series and channels."""
    return values.swapaxes(1, 2).reshape(-1, values.shape[1], values.shape[3])


def long_frame(series: list[np.ndarray], n_channels: int = 1) -> pd.DataFrame:
    """Return series under each other, by number and time; all end at the same time."""
    tables = grouped(series, n_channels)
    lengths = [len(table) for table in tables]
    numbers = np.repeat(np.arange(len(tables)), lengths)
    times = np.concatenate([np.arange(max(lengths) - n, max(lengths)) for n in lengths])
    index = pd.MultiIndex.from_arrays([numbers, times], names=["series", "time"])
    return pd.DataFrame(np.concatenate(tables), index=index)


def ours_in_sktime(name: str, data: Dataset, seed: int, **settings: Any) -> Forecast:
    """Fit one of our sktime forecasters; its network reads further contexts alone."""
    from lstm_forecasters import sktime

    kind = getattr(sktime, f"{name}LSTMForecaster")
    forecaster = kind(sp=data.season, random_state=seed, **settings)
    steps = range(1, data.horizon + 1)
    train = long_frame(data.train, data.n_channels)

    def parts() -> Iterator[pd.DataFrame]:
        if data.contexts is None:
            yield forecaster.predict_quantiles(alpha=LEVELS)
            return
        reader = kind.from_network(forecaster.network_)
        for chunk in data.chunks():
            reader.fit(long_frame(chunk, data.n_channels), fh=steps)
            yield reader.predict_quantiles(alpha=LEVELS)

    def forecast() -> np.ndarray:
        shape = (-1, data.horizon, data.n_channels, len(LEVELS))
        tables = [part.to_numpy().reshape(shape) for part in parts()]
        return ungrouped(np.concatenate(tables))

    return fit_and_forecast(lambda: forecaster.fit(train, fh=steps), forecast)


def darts_series(series: list[np.ndarray], n_channels: int = 1) -> list[Any]:
    """Return darts series, in single precision, in which darts' own models train."""
    from darts import TimeSeries

    tables = grouped(series, n_channels)
    return [TimeSeries.from_values(one.astype(np.float32)) for one in tables]


def learnt_quantiles(model: Any, series: list[Any], horizon: int) -> np.ndarray:
    """Return quantiles (series * channels, horizon, levels) that a darts model learnt.

    Between the levels that it learnt, they lie on a line on normal probability paper.
    """
    parameters = model.predict(
        horizon, series=series, predict_likelihood_parameters=True
    )
    levels = [float(name.rsplit("_q", 1)[1]) for name in parameters[0].components]
    learnt = levels[: len(levels) // series[0].n_components]
    shape = (len(series), horizon, -1, len(learnt))
    values = np.stack([one.values(copy=False) for one in parameters]).reshape(shape)
    shares = [
        np.interp(norm.ppf(LEVELS), norm.ppf(learnt), unit)
        for unit in np.eye(len(learnt))
    ]
    return ungrouped(values @ np.array(shares))


def ours_in_darts(
    name: str, data: Dataset, seed: int, months: int = 36, **settings: Any
) -> Forecast:
    """Fit one of our darts models."""
    from lstm_forecasters import darts

    model = getattr(darts, f"{name}LSTMModel")(
        input_chunk_length=336 if data.hourly else months,
        output_chunk_length=data.horizon,
        season_length=data.season,
        random_state=seed,
        **settings,
    )
    train = darts_series(data.train, data.n_channels)

    def forecast() -> np.ndarray:
        chunks = (darts_series(chunk, data.n_channels) for chunk in data.chunks())
        return np.concatenate(
            [learnt_quantiles(model, chunk, data.horizon) for chunk in chunks]
        )

    return fit_and_forecast(lambda: model.fit(train), forecast)


def averaged(
    members: list[Callable[[Dataset, int], Forecast]], data: Dataset, seed: int
) -> Forecast:
    """Average the forecasts of several forecasters, quantile by quantile."""
    forecasts = [member(data, seed) for member in members]
    quantiles = np.mean([one.quantiles for one in forecasts], axis=0)
    return Forecast(
        quantiles[..., MEDIAN],
        quantiles,
        sum(one.fit_seconds for one in forecasts),
        sum(one.predict_seconds for one in forecasts),
    )


ARCHITECTURES = {
    "vanilla": "Vanilla",
    "stacked": "Stacked",
    "bidirectional": "Bidirectional",
    "encoder-decoder": "EncoderDecoder",
}
OURS: dict[str, Callable[[Dataset, int], Forecast]] = {
    **{
        f"sktime-{key}": functools.partial(ours_in_sktime, name)
        for key, name in ARCHITECTURES.items()
    },
    **{
        f"sktime-{key}-5-members": functools.partial(
            ours_in_sktime, ARCHITECTURES[key], n_members=5
        )
        for key in ("vanilla", "encoder-decoder")
    },
    **{
        f"darts-{key}": functools.partial(ours_in_darts, name, likelihood="quantile")
        for key, name in ARCHITECTURES.items()
    },
    "sktime-pretrained": functools.partial(ours_in_sktime, "Pretrained"),
    "sktime-pretrained-200-steps": functools.partial(
        ours_in_sktime, "Pretrained", fine_tune_steps=200
    ),
    "darts-pretrained": functools.partial(ours_in_darts, "Pretrained", months=336),
}
OURS["sktime-vanilla-and-pretrained"] = functools.partial(
    averaged, [OURS["sktime-vanilla"], OURS["sktime-pretrained-200-steps"]]
)
SLOW_ROLLING = {  # why some do not forecast from each of thousands of origins
    name: "samples 100 paths beyond 48 hours of each origin"
    for name in OURS
    if "pretrained" in name
}
