"""What ``speed.py`` compares: workloads, and what trains and forecasts on them.

A contender is a function from a workload and a number of optimiser steps to a
``Trained``. All networks are one LSTM layer of the workload's hidden size; everything
else is each library's default. Peers are imported where they are used, so that one that
is not installed is only left out.
"""

from __future__ import annotations

import functools
import math
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import nn

from lstm_forecasters.backend.likelihoods import make_likelihood
from lstm_forecasters.backend.model import ForecastModel
from lstm_forecasters.backend.recipe import Recipe
from lstm_forecasters.backend.training import Trainer
from lstm_forecasters.backend.windows import Layout, Panel, Windows
from lstm_forecasters.specs import VanillaLSTM

EPOCHS = 100_000
"""More epochs than any run has: the number of steps ends it."""

WARM_UP = 5
"""First steps of a fit, which are not timed."""

QUIET = {
    "accelerator": "cpu",
    "enable_model_summary": False,
    "enable_progress_bar": False,
    "logger": False,
}
"""What keeps Lightning's Trainer silent."""


@dataclass(frozen=True)
class Workload:
    """Series of one length, and the windows and the network that they train."""

    n_series: int
    points: int
    lookback: int
    horizon: int
    hidden: int
    batch: int
    freq: str = "h"

    @property
    def period(self) -> int:
        """Time steps of a season."""
        return {"h": 24, "MS": 12}[self.freq]

    @functools.cached_property
    def values(self) -> np.ndarray:
        """Random walks with a season, (series, points)."""
        noise = np.random.default_rng(0).normal(size=(self.n_series, self.points))
        season = np.sin(2 * np.pi * np.arange(self.points) / self.period)
        return noise.cumsum(1) + 10 * season

    @functools.cached_property
    def index(self) -> pd.DatetimeIndex:
        """The time steps of every series."""
        return pd.date_range("2000-01-01", periods=self.points, freq=self.freq)

    @functools.cached_property
    def frame(self) -> pd.DataFrame:
        """The series one below the other, as neuralforecast and gluonts take them."""
        return pd.DataFrame(
            {
                "unique_id": np.repeat(np.arange(self.n_series), self.points),
                "ds": np.tile(self.index, self.n_series),
                "y": self.values.ravel().astype(np.float32),
            }
        )

    @functools.cached_property
    def darts_series(self) -> list[Any]:
        """The series as darts takes them, float32 so that its models train so."""
        from darts import TimeSeries

        rows = self.values.astype(np.float32)
        return [TimeSeries.from_times_and_values(self.index, row) for row in rows]

    @functools.cached_property
    def sktime_series(self) -> pd.Series | pd.DataFrame:
        """The series as sktime's users have them: one alone is a series of pandas."""
        if self.n_series == 1:
            return pd.Series(self.values[0], index=self.index, name="y")
        names = range(self.n_series)
        levels = pd.MultiIndex.from_product([names, self.index], names=["id", "time"])
        return pd.DataFrame({"y": self.values.ravel()}, index=levels)


WORKLOADS = {
    "W3, batch 32": Workload(1, 144, 24, 12, 32, 32, "MS"),
    "W1, batch 32": Workload(1, 4300, 96, 24, 64, 32),
    "W1, batch 256": Workload(1, 4300, 96, 24, 64, 256),
    "W2, batch 256": Workload(414, 900, 168, 48, 64, 256),
}


@dataclass
class Trained:
    """What a training took, and what forecasts all series of the workload with it.

    ``fit_seconds`` are those of a whole fit by a public interface.
    """

    seconds_per_window: float
    forecast: Callable[[], object] | None = None
    fit_seconds: float = math.nan


Contender = Callable[[Workload, int], Trained]


@dataclass
class Stopwatch:
    """The time after every batch, taken by a callback of a Lightning trainer."""

    workload: Workload
    in_epochs: bool
    stamps: list[float] = field(default_factory=list)

    def callback(self, base: type) -> Any:
        """Return a callback; ``base`` is the class of the Lightning in use."""

        def on_train_batch_end(*_: Any) -> None:
            self.stamps.append(time.perf_counter())

        return type("Stamps", (base,), {"on_train_batch_end": on_train_batch_end})()

    def seconds_per_window(self) -> float:
        """Return the mean time of a window, ends of epochs included.

        A loader that goes through all windows in turn ends on a smaller batch.
        """
        full, work = self.workload.batch, self.workload
        n_windows = work.n_series * (work.points - work.lookback - work.horizon + 1)
        steps = np.arange(WARM_UP, len(self.stamps))
        n_in_epoch = -(-n_windows // full)
        last_batch = n_windows - (n_in_epoch - 1) * full
        is_last = self.in_epochs & (steps % n_in_epoch == n_in_epoch - 1)
        n_timed = np.where(is_last, last_batch, full).sum()
        return (self.stamps[-1] - self.stamps[WARM_UP - 1]) / n_timed


def bare(work: Workload, n_steps: int) -> Trained:
    """Train ``nn.LSTM`` and a linear head by Adam, on windows that lie ready.

    It neither gathers nor normalises nor masks nor clips.
    """
    lstm = nn.LSTM(1, work.hidden, batch_first=True)
    head = nn.Linear(work.hidden, work.horizon)
    optimizer = torch.optim.Adam([*lstm.parameters(), *head.parameters()])
    windows = torch.randn(n_steps, work.batch, work.lookback, 1)
    targets = torch.randn(n_steps, work.batch, work.horizon)
    start = time.perf_counter()
    for history, target in zip(windows, targets, strict=True):
        optimizer.zero_grad()
        _, (state, _) = lstm(history)
        (head(state[-1]) - target).abs().mean().backward()
        optimizer.step()
    seconds = time.perf_counter() - start

    @torch.inference_mode()
    def forecast() -> torch.Tensor:
        _, (state, _) = lstm(windows[0, :1])
        return head(state[-1])

    return Trained(seconds / (n_steps * work.batch), forecast)


def backend(
    work: Workload,
    n_steps: int,
    *,
    likelihood: str | None,
    linear_path: bool,
    segment_length: int | None,
    **recipe: Any,
) -> Trained:
    """Train by the package's own loop, which is that of the sktime forecasters."""
    lengths = np.full(work.n_series, work.points)
    panel = Panel(values=work.values.reshape(-1, 1), lengths=lengths)
    layout = Layout(lookback=work.lookback, horizon=work.horizon, period=work.period)
    generator = torch.Generator().manual_seed(0)
    spec = VanillaLSTM(
        hidden_size=work.hidden, segment_length=segment_length, linear_path=linear_path
    )
    likely = make_likelihood(likelihood)
    model = ForecastModel.create(spec, layout, likely, generator)
    recipe = Recipe(max_steps=n_steps, batch_size=work.batch, **recipe)
    trainer = Trainer(model, Windows(panel, layout), recipe, generator)
    start = time.perf_counter()
    trainer.run()
    return Trained((time.perf_counter() - start) / (n_steps * work.batch))


def ours_in_sktime(work: Workload, n_steps: int, **architecture: Any) -> Trained:
    """Fit our sktime forecaster; the time is that of the whole fit."""
    from lstm_forecasters.sktime import VanillaLSTMForecaster

    forecaster = VanillaLSTMForecaster(
        window_length=work.lookback,
        hidden_size=work.hidden,
        max_steps=n_steps,
        batch_size=work.batch,
        random_state=0,
        **architecture,
    )
    series = work.sktime_series
    start = time.perf_counter()
    forecaster.fit(series, fh=range(1, work.horizon + 1))
    seconds = time.perf_counter() - start
    return Trained(seconds / (n_steps * work.batch), forecaster.predict, seconds)


def darts_model(
    work: Workload, n_steps: int, make: Callable[[dict[str, Any]], Any]
) -> Trained:
    """Fit a model of darts."""
    from pytorch_lightning import Callback

    watch = Stopwatch(work, in_epochs=True)
    settings = {
        **QUIET,
        "max_steps": WARM_UP + n_steps,
        "callbacks": [watch.callback(Callback)],
    }
    model = make(
        {
            "n_epochs": EPOCHS,
            "batch_size": work.batch,
            "random_state": 0,
            "pl_trainer_kwargs": settings,
        }
    )
    series = work.darts_series
    start = time.perf_counter()
    model.fit(series)
    seconds = time.perf_counter() - start
    model.trainer_params["callbacks"].clear()  # forecasts are timed from outside
    forecast = functools.partial(model.predict, work.horizon, series)
    return Trained(watch.seconds_per_window(), forecast, seconds)


def ours_in_darts(work: Workload, n_steps: int, **architecture: Any) -> Trained:
    """Fit our darts model."""
    from lstm_forecasters.darts import VanillaLSTMModel

    size = {"hidden_size": work.hidden, **architecture}
    make = functools.partial(VanillaLSTMModel, work.lookback, work.horizon, **size)
    return darts_model(work, n_steps, lambda common: make(**common))


def block_rnn(work: Workload, n_steps: int) -> Trained:
    """Fit darts' LSTM that forecasts the horizon at once."""
    from darts.models import BlockRNNModel

    size = {"model": "LSTM", "hidden_dim": work.hidden}
    make = functools.partial(BlockRNNModel, work.lookback, work.horizon, **size)
    return darts_model(work, n_steps, lambda common: make(**common))


def rnn(work: Workload, n_steps: int) -> Trained:
    """Fit darts' LSTM that forecasts step by step: it reads the horizon, too."""
    from darts.models import RNNModel

    make = functools.partial(
        RNNModel,
        work.lookback,
        model="LSTM",
        hidden_dim=work.hidden,
        training_length=work.lookback + work.horizon,
    )
    return darts_model(work, n_steps, lambda common: make(**common))


def neuralforecast_lstm(work: Workload, n_steps: int) -> Trained:
    """Fit neuralforecast's LSTM with its direct head."""
    from neuralforecast import NeuralForecast
    from neuralforecast.models import LSTM
    from pytorch_lightning import Callback

    watch = Stopwatch(work, in_epochs=False)
    model = LSTM(
        h=work.horizon,
        windows_batch_size=work.batch,
        enable_checkpointing=False,
        callbacks=[watch.callback(Callback)],
        **size_in_neuralforecast(work, n_steps),
        **QUIET,
    )
    library = NeuralForecast(models=[model], freq=work.freq)
    library.fit(work.frame)
    return Trained(watch.seconds_per_window(), library.predict)


def neuralforecast_in_sktime(work: Workload, n_steps: int) -> Trained:
    """Fit the same by sktime's adapter, which is sktime's own LSTM, on one series."""
    from pytorch_lightning import Callback
    from sktime.forecasting.neuralforecast import NeuralForecastLSTM

    watch = Stopwatch(work, in_epochs=False)
    trainer = {"enable_checkpointing": False, "callbacks": [watch.callback(Callback)]}
    forecaster = NeuralForecastLSTM(
        freq=work.freq,
        trainer_kwargs={**trainer, **QUIET},
        **size_in_neuralforecast(work, n_steps),
    )
    forecaster.fit(work.sktime_series, fh=range(1, work.horizon + 1))
    return Trained(watch.seconds_per_window(), forecaster.predict)


def size_in_neuralforecast(work: Workload, n_steps: int) -> dict[str, int]:
    """Return what makes neuralforecast's LSTM that of a workload."""
    return {
        "input_size": work.lookback,
        "encoder_n_layers": 1,
        "encoder_hidden_size": work.hidden,
        "decoder_hidden_size": work.hidden,
        "max_steps": WARM_UP + n_steps,
    }


def deep_ar(work: Workload, n_steps: int) -> Trained:
    """Fit gluonts' DeepAR, which reads the horizon, too, and samples 100 paths.

    What it computes of whole series is cached; it would do so anew for every window.
    """
    from gluonts.dataset.pandas import PandasDataset
    from gluonts.torch import DeepAREstimator
    from lightning.pytorch import Callback

    watch = Stopwatch(work, in_epochs=False)
    freq = {"MS": "M"}.get(work.freq, work.freq)  # of periods, not of dates
    data = PandasDataset.from_long_dataframe(
        work.frame, item_id="unique_id", timestamp="ds", target="y", freq=freq
    )
    with tempfile.TemporaryDirectory() as folder:
        estimator = DeepAREstimator(
            freq=freq,
            prediction_length=work.horizon,
            context_length=work.lookback,
            num_layers=1,
            hidden_size=work.hidden,
            dropout_rate=0.0,
            batch_size=work.batch,
            num_batches_per_epoch=WARM_UP + n_steps,
            trainer_kwargs={
                **QUIET,
                "max_epochs": 1,
                "callbacks": [watch.callback(Callback)],
                "default_root_dir": folder,
            },
        )
        predictor = estimator.train(data, cache_data=True)
    return Trained(watch.seconds_per_window(), lambda: list(predictor.predict(data)))


TEXTBOOK = {"segment_length": 1, "likelihood": None, "linear_path": False}
QUANTILES = {"segment_length": 1, "likelihood": "quantile", "linear_path": True}
DEFAULTS = {**QUANTILES, "segment_length": None}

BARE = "bare torch loop"
POINTS = "ours, the bare loop's task"

LOOPS: dict[str, Contender] = {
    BARE: bare,
    POINTS: functools.partial(backend, **TEXTBOOK),
    "ours, single steps": functools.partial(backend, **QUANTILES),
    "ours, defaults": functools.partial(backend, **DEFAULTS),
}

BFLOAT16: dict[str, Contender] = {
    BARE: bare,
    POINTS: functools.partial(backend, **TEXTBOOK),
    f"{POINTS}, bfloat16": functools.partial(backend, **TEXTBOOK, precision="bf16"),
}

PEERS: dict[str, Contender] = {
    "darts BlockRNNModel": block_rnn,
    "darts RNNModel": rnn,
    "neuralforecast LSTM": neuralforecast_lstm,
    "gluonts DeepAR": deep_ar,
}

PEERS_IN_SKTIME: dict[str, Contender] = {
    "neuralforecast LSTM in sktime": neuralforecast_in_sktime
}

IN_DARTS: dict[str, Contender] = {
    "ours in darts, the bare loop's task": functools.partial(
        ours_in_darts,
        **{key: TEXTBOOK[key] for key in ("segment_length", "linear_path")},
    ),
    "ours in darts, defaults": ours_in_darts,
}

IN_SKTIME: dict[str, Contender] = {"ours in sktime, defaults": ours_in_sktime}

FITS: dict[str, Contender] = {
    **IN_SKTIME,
    "ours in sktime, single steps": functools.partial(ours_in_sktime, segment_length=1),
    "ours in darts, defaults": ours_in_darts,
}
