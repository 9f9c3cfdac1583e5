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


def main() -> None:
    """Print one line for each comparison."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--only", default="", help="part of the labels to run")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    logging.disable(logging.WARNING)
    print(
        "task | times as fast: default / single steps | seconds, BlockRNN last | ranges"
    )
    for dtype in (np.float32, np.float64):
        kind = np.dtype(dtype).name
        single = {"series": make_series(1, 2000, dtype)}
        fifty = {
            "series": make_series(50, 300, dtype),
            "past_covariates": make_series(50, 300, dtype),
            "future_covariates": make_series(50, 300, dtype),
        }
        for name, data in (("1 series", single), ("50 with covariates", fifty)):
            for hidden in (25, 64):
                for batch in (32, 256):
                    label = f"fit, {name}, hidden {hidden}, batch {batch}, {kind}"
                    n_epochs = 2 if batch == 32 else 4
                    tasks = (
                        lambda: ours(hidden, batch, n_epochs).fit(**data),
                        lambda: ours(hidden, batch, n_epochs, 1).fit(**data),
                        lambda: peer(hidden, batch, n_epochs).fit(**data),
                    )
                    if arguments.only in label:
                        compare(label, tasks, arguments.runs)
        many = make_series(1000, 200, dtype)
        mine = ours(25, None, 1).fit(many[:5])
        single_steps = ours(25, None, 1, 1).fit(many[:5])
        theirs = peer(25, 32, 1).fit(many[:5])
        large = peer(25, 1024, 1).fit(many[:5])
        for name, other in (("", theirs), (", its batch size 1024", large)):
            label = f"predict 1000 series{name}, {kind}"
            if arguments.only in label:
                tasks = (
                    lambda: mine.predict(HORIZON, many),
                    lambda: single_steps.predict(HORIZON, many),
                    lambda: other.predict(HORIZON, many),
                )
                compare(label, tasks, arguments.runs)


if __name__ == "__main__":
    main()
