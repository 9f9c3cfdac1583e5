"""Seconds of fit and predict against darts' BlockRNNModel, in alternating runs.

Both models are LSTMs with the same hidden size, input and output chunk, batch size and
number of epochs, and forecast points. Ours runs twice: as by default, when its LSTM
reads hourly series a day at a time, and with ``segment_length=1``, when it reads every
hour as the peer does. Fits are timed on one series and on fifty with covariates,
forecasts on a thousand series; each with float32 series and with float64 ones, which is
what pandas gives. Our model normalises, masks, clips and has its linear path; the peer
has none of these.

    python examples/benchmarks/darts_speed.py
"""

from __future__ import annotations

import argparse
import functools
import itertools
import logging
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import torch
from darts import TimeSeries
from darts.models import BlockRNNModel

from lstm_forecasters.darts import VanillaLSTMModel

LOOKBACK, HORIZON = 96, 24
QUIET = {"enable_progress_bar": False, "enable_model_summary": False}


def make_series(n_series: int, points: int, dtype: type) -> list[TimeSeries]:
    """Return hourly random walks."""
    values = np.random.default_rng(0).normal(size=(n_series, points)).cumsum(1)
    times = pd.date_range("2024-01-01", periods=points, freq="h")
    return [
        TimeSeries.from_times_and_values(times, one.astype(dtype)) for one in values
    ]


def ours(
    hidden: int, batch: int | None, n_epochs: int, segment_length: int | None = None
) -> VanillaLSTMModel:
    """Return our model, reading a day at a time, or single hours as the peer does."""
    return VanillaLSTMModel(
        LOOKBACK,
        HORIZON,
        hidden_size=hidden,
        segment_length=segment_length,
        batch_size=batch,
        n_epochs=n_epochs,
        random_state=0,
    )


def peer(hidden: int, batch: int, n_epochs: int) -> BlockRNNModel:
    """Return darts' LSTM of the same size."""
    return BlockRNNModel(
        LOOKBACK,
        HORIZON,
        model="LSTM",
        hidden_dim=hidden,
        batch_size=batch,
        n_epochs=n_epochs,
        random_state=0,
        pl_trainer_kwargs=QUIET,
    )


def seconds(task: Callable[[], object]) -> float:
    """Return how long a task takes."""
    start = time.perf_counter()
    task()
    return time.perf_counter() - start


def compare(label: str, tasks: tuple[Callable[[], Any], ...], runs: int) -> None:
    """Time tasks in turns, and print their speed as a multiple of the last one's."""
    times: list[list[float]] = [[] for _ in tasks]
    for _ in range(runs):
        for task, taken in zip(tasks, times, strict=True):
            taken.append(seconds(task))
    medians = [statistics.median(taken) for taken in times]
    ratios = " / ".join(f"{medians[-1] / one:.2f}" for one in medians[:-1])
    spans = " / ".join(f"{min(taken):.2f}-{max(taken):.2f}" for taken in times)
    print(
        f"{label} | {ratios} | {' / '.join(f'{one:.2f}' for one in medians)} | {spans}"
    )


def fits(
    data: dict[str, list[TimeSeries]], hidden: int, batch: int
) -> tuple[Callable[[], object], ...]:
    """Return the fits of ours, of ours in single steps, and of the peer."""
    n_epochs = 2 if batch == 32 else 4
    return (
        lambda: ours(hidden, batch, n_epochs).fit(**data),
        lambda: ours(hidden, batch, n_epochs, 1).fit(**data),
        lambda: peer(hidden, batch, n_epochs).fit(**data),
    )


def forecasts(many: list[TimeSeries], batch: int) -> tuple[Callable[[], object], ...]:
    """Return the forecasts of ours, of ours in single steps, and of the peer."""
    models = (ours(25, None, 1), ours(25, None, 1, 1), peer(25, batch, 1))
    fitted = [model.fit(many[:5]) for model in models]
    return tuple(functools.partial(model.predict, HORIZON, many) for model in fitted)


def main() -> None:
    """Print one line for each comparison."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--only", default="", help="part of the labels to run")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    logging.disable(logging.WARNING)
    print("task | times as fast: default / single steps | seconds | ranges")
    for dtype in (np.float32, np.float64):
        kind = np.dtype(dtype).name
        fifty = make_series(50, 300, dtype)
        sets = {
            "1 series": {"series": make_series(1, 2000, dtype)},
            "50 with covariates": {
                "series": fifty,
                "past_covariates": fifty[::-1],
                "future_covariates": fifty[::-1],
            },
        }
        for name, hidden, batch in itertools.product(sets, (25, 64), (32, 256)):
            label = f"fit, {name}, hidden {hidden}, batch {batch}, {kind}"
            if arguments.only in label:
                compare(label, fits(sets[name], hidden, batch), arguments.runs)
        for batch in (32, 1024):
            label = f"predict 1000 series, batch of the peer {batch}, {kind}"
            if arguments.only in label:
                tasks = forecasts(make_series(1000, 200, dtype), batch)
                compare(label, tasks, arguments.runs)


if __name__ == "__main__":
    main()
