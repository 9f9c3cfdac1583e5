"""Train one darts model on two CPU processes, then forecast in one of them.

Lightning's strategy ``ddp`` starts the second process, each of them trains on half of
every epoch's windows, and the gradients are averaged (backend ``gloo``). The weights
are the same in both processes afterwards. The first one forecasts twelve months of
twenty series, and prints its errors beside those of a seasonal naive forecast.

    python examples/darts_two_processes.py
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytorch_lightning as pl
import torch
from darts import TimeSeries

from lstm_forecasters.darts import VanillaLSTMModel

TWO_PROCESSES = {"accelerator": "cpu", "strategy": "ddp", "devices": 2}
ONE_PROCESS = {"accelerator": "cpu", "devices": 1, "logger": False}
QUIET = {"enable_progress_bar": False, "enable_checkpointing": False}


def make_series(n_series: int = 20, points: int = 120) -> list[TimeSeries]:
    """Return monthly series with trends and seasons of their own."""
    generator, step = np.random.default_rng(0), np.arange(points)
    times = pd.date_range("2015-01-01", periods=points, freq="MS")
    series = []
    for level in generator.uniform(50, 500, n_series):
        season = level / 10 * np.sin(2 * np.pi * (step + generator.integers(12)) / 12)
        values = level + season + generator.normal(0, level / 50, points)
        series.append(TimeSeries.from_times_and_values(times, values))
    return series


def main() -> None:
    """Train on two processes, forecast on one, and print the mean errors."""
    torch.set_num_threads(1)
    series = make_series()
    training = [one[:-12] for one in series]
    model = VanillaLSTMModel(
        24,
        12,
        n_epochs=8,
        batch_size=32,
        random_state=0,
        pl_trainer_kwargs=TWO_PROCESSES,
    )
    model.fit(training)
    if model.trainer.global_rank > 0:
        return  # the second process has done its part
    forecasts = model.predict(12, training, trainer=pl.Trainer(**ONE_PROCESS, **QUIET))
    errors, naive_errors = [], []
    for forecast, one in zip(forecasts, series, strict=True):
        truth, last_year = one[-12:].values(), one[-24:-12].values()
        errors.append(np.abs(forecast.values() - truth).mean())
        naive_errors.append(np.abs(last_year - truth).mean())
    print(f"mean absolute error, trained on two processes: {np.mean(errors):.2f}")
    print(f"mean absolute error, seasonal naive: {np.mean(naive_errors):.2f}")


if __name__ == "__main__":
    main()
