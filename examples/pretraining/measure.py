"""Seconds, memory and intervals of the pretrained network, for its model card.

    python examples/pretraining/measure.py

On one thread: medians of thirty fits and forecasts of 24 months of the airline series,
10,000 series of 100 months in one call, how often 80 % intervals of random walks
hold, within the 48 steps that the network was trained to forecast and beyond, and how
well it sees a season that stays, through noise.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Callable
from statistics import median

import numpy as np
import pandas as pd
import torch
from sktime.datasets import load_airline

from lstm_forecasters.sktime import PretrainedLSTMForecaster

STEPS = (1, 24, 48, 72, 96, 144, 192)
HISTORY = 150
KNOWN, FORECAST = 250, 150  # months of the wave


def milliseconds(task: Callable[[], object], repeats: int = 30) -> float:
    """Return the median time of a task."""
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        task()
        seconds.append(time.perf_counter() - start)
    return 1000 * median(seconds)


def panel(values: np.ndarray) -> pd.DataFrame:
    """Return series (series, time) as sktime takes them."""
    index = pd.MultiIndex.from_product([range(length) for length in values.shape])
    return pd.DataFrame({"y": values.ravel()}, index=index)


def peak_mebibytes() -> float:
    """Return the most memory that this process has held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def see_wave(seed: int, window_length: int) -> tuple[float, float]:
    """Return the error of a wave that is forecast a month ahead, and the share held."""
    wave = 10 * np.sin(2 * np.pi * np.arange(KNOWN + FORECAST) / 12)
    y = wave + np.random.default_rng(seed).normal(size=len(wave))
    forecaster = PretrainedLSTMForecaster(window_length=window_length, sp=12)
    forecaster.fit(y[:KNOWN], fh=[1, 2, 3]).update(y, update_params=False)
    months = np.arange(1 - FORECAST, 1)
    lower, upper = forecaster.predict_interval(fh=months, coverage=0.8).to_numpy().T
    error = np.abs(forecaster.predict(fh=months).ravel() - wave[KNOWN:]).mean()
    return error, ((lower < y[KNOWN:]) & (y[KNOWN:] < upper)).mean()


def main() -> None:
    """Measure, and print."""
    torch.set_num_threads(1)
    y, months = load_airline(), range(1, 25)
    fitted = PretrainedLSTMForecaster().fit(y, fh=months)
    fit = milliseconds(lambda: PretrainedLSTMForecaster().fit(y, fh=months))
    print(
        f"one series: fit {fit:.1f} ms, forecast {milliseconds(fitted.predict):.1f} ms"
    )

    random = np.random.default_rng(1)
    many = panel(random.normal(size=(10_000, 100)).cumsum(axis=1))
    before, start = peak_mebibytes(), time.perf_counter()
    PretrainedLSTMForecaster(sp=12).fit(many, fh=months).predict()
    seconds, grown = time.perf_counter() - start, peak_mebibytes() - before
    print(f"10,000 series: {seconds:.1f} s, {grown:.0f} MiB")

    walks = random.normal(size=(500, HISTORY + max(STEPS))).cumsum(axis=1)
    forecaster = PretrainedLSTMForecaster(sp=1).fit(panel(walks[:, :HISTORY]))
    intervals = forecaster.predict_interval(fh=list(STEPS), coverage=0.8).to_numpy()
    lower, upper = intervals.reshape(len(walks), len(STEPS), 2).transpose(2, 0, 1)
    truth = walks[:, HISTORY - 1 + np.array(STEPS)]
    held = ((lower <= truth) & (truth <= upper)).mean(axis=0)
    each = ", ".join(
        f"{step}: {share:.0%}" for step, share in zip(STEPS, held, strict=True)
    )
    print(f"80 % intervals of random walks hold, by steps ahead: {each}")

    for window_length in (120, 336):
        draws = [see_wave(seed, window_length) for seed in (1, 2, 3)]
        each = ", ".join(f"{error:.2f} ({share:.0%})" for error, share in draws)
        print(f"error of a wave, and 80 % hold, by {window_length} months: {each}")


if __name__ == "__main__":
    main()
