"""Forecasters of other libraries, as functions of a data set and a seed.

They have their library's defaults, but for these: networks read 168 hours or 36 months,
in darts no more than the shortest series allows, while DeepAR chooses its lags itself;
each has 1000 optimiser steps, which is neuralforecast's default; and those that would
forecast points learn quantiles.
"""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from contenders import (
    LEVELS,
    Dataset,
    Forecast,
    darts_series,
    fit_and_forecast,
    learnt_quantiles,
    long_frame,
    timed,
)

COVERAGES = [20, 40, 60, 80]  # of the intervals between ``LEVELS``, in percent
STEPS = 1000
SAMPLES = 200


def lookback(data: Dataset) -> int:
    """Return the time steps that a network reads."""
    return 168 if data.hourly else 36


def sampled_quantiles(model: Any, series: list[Any], horizon: int) -> np.ndarray:
    """Return quantiles (series, horizon, levels) of a darts model's sampled paths."""
    paths = model.predict(horizon, series=series, num_samples=SAMPLES)
    values = np.stack([one.all_values(copy=False)[:, 0] for one in paths])
    return np.moveaxis(np.quantile(values, LEVELS, axis=-1), 0, -1)


def darts_peer(
    data: Dataset,
    model: Any,
    read: Callable[[Any, list[Any], int], np.ndarray],
) -> Forecast:
    """Fit one of darts' models on scaled series; a set with contexts is z-scored."""
    from darts import TimeSeries
    from darts.dataprocessing.transformers import Scaler

    scaler = Scaler() if data.contexts is None else None
    train = darts_series(data.train)

    def fit() -> None:
        model.fit(scaler.fit_transform(train) if scaler else train)

    def forecast() -> np.ndarray:
        chunks = (darts_series(chunk) for chunk in data.chunks())
        if scaler is None:
            parts = [read(model, chunk, data.horizon) for chunk in chunks]
            return np.concatenate(parts)
        found = read(model, scaler.transform(train), data.horizon)
        scaled = [TimeSeries.from_values(one[:, None]) for one in found]
        levels = scaler.inverse_transform(scaled)  # each stands as a sample
        return np.stack([one.all_values()[:, 0] for one in levels])

    return fit_and_forecast(fit, forecast)


def darts_network(data: Dataset, seed: int) -> tuple[int, dict[str, Any]]:
    """Return the lookback of darts' networks, and their other arguments."""
    from darts.utils.likelihood_models import QuantileRegression

    shortest = min(len(series) for series in data.train)
    quiet = {"enable_progress_bar": False, "enable_model_summary": False}
    return min(lookback(data), shortest - data.horizon), {
        "model": "LSTM",
        "likelihood": QuantileRegression(),
        "n_epochs": STEPS,  # an epoch has one step or more
        "pl_trainer_kwargs": {"max_steps": STEPS, **quiet},
        "random_state": seed,
    }


def darts_block_rnn(data: Dataset, seed: int) -> Forecast:
    """Fit darts' BlockRNNModel, which forecasts the horizon at once."""
    from darts.models import BlockRNNModel

    length, settings = darts_network(data, seed)
    model = BlockRNNModel(length, data.horizon, **settings)
    return darts_peer(data, model, learnt_quantiles)


def darts_rnn(data: Dataset, seed: int) -> Forecast:
    """Fit darts' RNNModel, which forecasts step by step, by sampling."""
    from darts.models import RNNModel

    length, settings = darts_network(data, seed)
    # The targets of a training window are one step later than its inputs.
    training_length = length + data.horizon - 1
    model = RNNModel(length, training_length=training_length, **settings)
    return darts_peer(data, model, sampled_quantiles)


def bands(center: str) -> list[str]:
    """Return the names of the quantiles in Nixtla's libraries, in order of level."""
    lower = [f"lo-{coverage}" for coverage in reversed(COVERAGES)]
    return [*lower, center, *(f"hi-{coverage}" for coverage in COVERAGES)]


def neuralforecast_lstm(data: Dataset, seed: int) -> Forecast:
    """Fit neuralforecast's LSTM."""
    from neuralforecast import NeuralForecast
    from neuralforecast.losses.pytorch import MQLoss
    from neuralforecast.models import LSTM

    model = LSTM(
        h=data.horizon,
        input_size=lookback(data),
        loss=MQLoss(level=COVERAGES),
        max_steps=STEPS,
        random_seed=seed,
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
        logger=False,
    )
    trained = NeuralForecast([model], freq=1)
    names = ["unique_id", "ds", "y"]
    columns = [f"LSTM-{name}" for name in bands("median")]

    def frame(series: list[np.ndarray]) -> pd.DataFrame:
        return long_frame(series).reset_index().set_axis(names, axis=1)

    train = frame(data.train)

    def forecast() -> np.ndarray:
        found = [trained.predict(df=frame(chunk)) for chunk in data.chunks()]
        values = pd.concat(found)[columns].to_numpy()
        return values.reshape(-1, data.horizon, len(LEVELS))

    return fit_and_forecast(lambda: trained.fit(train), forecast)


def gluonts_deepar(data: Dataset, seed: int) -> Forecast:
    """Fit gluonts' DeepAR, in torch."""
    import lightning
    from gluonts.dataset.common import ListDataset
    from gluonts.torch import DeepAREstimator

    lightning.seed_everything(seed, verbose=False)
    freq, steps_an_epoch = "h" if data.hourly else "M", 50
    pairs = zip(data.starts, data.train, strict=True)
    train = ListDataset([{"start": start, "target": y} for start, y in pairs], freq)
    predictors = []

    def fit() -> None:
        with tempfile.TemporaryDirectory() as folder:  # for its checkpoints
            estimator = DeepAREstimator(
                freq,
                data.horizon,
                num_batches_per_epoch=steps_an_epoch,
                trainer_kwargs={
                    "max_epochs": STEPS // steps_an_epoch,
                    "default_root_dir": folder,
                    "enable_progress_bar": False,
                    "enable_model_summary": False,
                    "logger": False,
                },
            )
            predictors.append(estimator.train(train))

    def forecast() -> np.ndarray:
        found = predictors[0].predict(train)
        levels = [[one.quantile(level) for level in LEVELS] for one in found]
        return np.swapaxes(levels, 1, 2)

    return fit_and_forecast(fit, forecast)


def statsforecast_model(name: str, data: Dataset, _seed: int) -> Forecast:
    """Fit one of statsforecast's models to each series by itself."""
    from statsforecast import models

    kind, names, fitted = getattr(models, name), bands("mean"), []

    def fit() -> None:
        fitted.extend(kind(season_length=data.season).fit(y) for y in data.train)

    def forecast() -> np.ndarray:
        found = [model.predict(h=data.horizon, level=COVERAGES) for model in fitted]
        return np.stack([[one[name] for name in names] for one in found]).swapaxes(1, 2)

    return fit_and_forecast(fit, forecast)


def seasonal_naive(data: Dataset, _seed: int) -> Forecast:
    """Repeat the last season."""

    def forecast() -> np.ndarray:
        series = (one for chunk in data.chunks() for one in chunk)
        return np.stack([np.resize(y[-data.season :], data.horizon) for y in series])

    points, seconds = timed(forecast)
    return Forecast(points, None, 0.0, seconds)


NETWORKS: dict[str, Callable[[Dataset, int], Forecast]] = {
    "darts-block-rnn": darts_block_rnn,
    "darts-rnn": darts_rnn,
    "neuralforecast-lstm": neuralforecast_lstm,
    "gluonts-deepar": gluonts_deepar,
}
STATISTICAL: dict[str, Callable[[Dataset, int], Forecast]] = {
    "statsforecast-auto-ets": functools.partial(statsforecast_model, "AutoETS"),
    "statsforecast-auto-theta": functools.partial(statsforecast_model, "AutoTheta"),
    "seasonal-naive": seasonal_naive,
}
PEERS = {**NETWORKS, **STATISTICAL}
NO_ROLLING = {  # why a peer does not forecast from each of thousands of origins
    "darts-rnn": "samples step by step, 0.3 s an origin and channel",
    "gluonts-deepar": "samples step by step",
    "statsforecast-auto-ets": "a fit for each origin and channel",
    "statsforecast-auto-theta": "a fit for each origin and channel",
}
