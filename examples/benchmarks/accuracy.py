"""Accuracy and seconds of our defaults and of other libraries' forecasters.

Eight data sets with their official test splits: M4 hourly, Tourism monthly and CIF
2016, each learnt by one network, the last with horizon 12 for its series of horizon 6
too; ETTh1, z-scored, channel by channel, trained once and forecast 96 hours from every
hour of its test block; and four single series whose last two seasons are held out. The
folder holds m4_hourly.csv.gz, tourism_monthly.csv.gz, cif2016.csv.gz, ETTh1.csv.gz and
the files of ``single_series.py``. What is compared, and how it is set, is said in
``contenders.py`` and ``peers.py``: nothing is tuned, and each network of another
library has 1000 optimiser steps, which for neuralforecast is the default. All runs on
one thread.

    python examples/benchmarks/accuracy.py DATA_FOLDER
    python examples/benchmarks/accuracy.py DATA_FOLDER --sets cif2016 --only darts-rnn

Every run of a forecaster writes one JSON file to the output folder, with its error if
it failed, and is skipped if that is there: to repeat one, remove its file. At the end
``report.py`` turns all files there into accuracy.md and accuracy.png.
"""

from __future__ import annotations

import argparse
import datetime
import json
import logging
import os
import platform
import warnings
from collections.abc import Callable
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from contenders import LEVELS, OURS, SLOW_ROLLING, Dataset, Forecast
from peers import NETWORKS, NO_ROLLING, PEERS
from report import write_report
from single_series import HORIZON, SEASON, SERIES
from single_series import read as read_series
from tqdm import tqdm

FORECASTERS = {**OURS, **PEERS}
LEFT_OUT = {**SLOW_ROLLING, **NO_ROLLING}
PANELS = {  # name: file, season, start where the file has none
    "m4-hourly": ("m4_hourly.csv.gz", 24, "2000-01-01 00:00"),
    "tourism-monthly": ("tourism_monthly.csv.gz", 12, "2000-01"),
    "cif2016": ("cif2016.csv.gz", 12, "2000-01"),
}
SETS = [*PANELS, "etth1", *SERIES]
LIBRARIES = (
    "lstm_forecasters",
    "torch",
    "sktime",
    "darts",
    "neuralforecast",
    "gluonts",
    "statsforecast",
    "numpy",
    "pandas",
)
# Hours of ETTh1: where training ends, where the test block begins and ends, and what is
# forecast of it from how long a past.
TRAIN_END, TEST_START, TEST_END, ROLLING_HORIZON, PAST = 8640, 11520, 14400, 96, 600
LONGEST_ERROR = 200


def read_panel(folder: Path, name: str, number: int | None) -> Dataset:
    """Return the first series of a panel; shorter horizons are filled with NaN."""
    file, season, start = PANELS[name]
    frame = pd.read_csv(folder / file)
    groups = [one for _, one in frame.groupby("id", sort=False)][:number]
    parts = [dict(list(one.groupby("split")["y"])) for one in groups]
    tests = [part["test"].to_numpy(float) for part in parts]
    horizon = max(map(len, tests))
    fill = {"constant_values": np.nan}
    return Dataset(
        train=[part["train"].to_numpy(float) for part in parts],
        test=np.stack([np.pad(one, (0, horizon - len(one)), **fill) for one in tests]),
        season=season,
        starts=[one.get("start", pd.Series([start])).iloc[0] for one in groups],
    )


def read_single(folder: Path, name: str, _number: int | None) -> Dataset:
    """Return one series without its last two seasons."""
    y = read_series(folder, name)
    values = y.to_numpy()
    return Dataset(
        train=[values[:-HORIZON]],
        test=values[None, -HORIZON:],
        season=SEASON,
        starts=[str(y.index[0])],
    )


def read_rolling(folder: Path, _name: str, number: int | None) -> Dataset:
    """Return ETTh1 with the first origins of its test block."""
    frame = pd.read_csv(folder / "ETTh1.csv.gz")
    values = frame.drop(columns="date").to_numpy(float)
    train = values[:TRAIN_END]
    values = (values - train.mean(axis=0)) / train.std(axis=0)
    n_channels = values.shape[1]
    origins = range(TEST_START, TEST_END - ROLLING_HORIZON + 1)[:number]
    places = [(origin, channel) for origin in origins for channel in range(n_channels)]
    return Dataset(
        train=list(values[:TRAIN_END].T),
        test=np.stack([values[at : at + ROLLING_HORIZON, one] for at, one in places]),
        season=24,
        starts=[frame["date"].iloc[0]] * n_channels,
        contexts=[values[at - PAST : at, one] for at, one in places],
        n_channels=n_channels,
    )


READERS: dict[str, Callable[[Path, str, int | None], Dataset]] = {
    **dict.fromkeys(PANELS, read_panel),
    "etth1": read_rolling,
    **dict.fromkeys(SERIES, read_single),
}


def point_scores(data: Dataset, points: np.ndarray) -> dict[str, float]:
    """Return MSE and MAE of a set with contexts, MASE and sMAPE of the others."""
    error = np.abs(points - data.test)
    if data.contexts is not None:
        return {"mse": np.square(error).mean(), "mae": error.mean()}
    season = data.season
    scales = [np.abs(y[season:] - y[:-season]).mean() for y in data.train]
    relative = error / (np.abs(points) + np.abs(data.test))
    return {
        "mase": (np.nanmean(error, axis=1) / scales).mean(),
        "smape": 200 * np.nanmean(relative),
    }


def quantile_scores(data: Dataset, quantiles: np.ndarray) -> dict[str, float]:
    """Return the weighted quantile loss and the coverage of the 80 % interval."""
    held = np.isfinite(data.test)
    y, q, levels = data.test[held], quantiles[held], np.array(LEVELS)
    error = y[:, None] - q
    pinball = np.maximum(levels * error, (levels - 1) * error)
    return {
        "wql": 2 * pinball.sum(axis=0).mean() / np.abs(y).sum(),
        "coverage": ((q[:, 0] <= y) & (y <= q[:, -1])).mean(),
    }


def score(data: Dataset, forecast: Forecast) -> dict[str, float]:
    """Return the metrics and seconds of a forecast."""
    if not np.isfinite(forecast.points).all():
        raise ValueError("forecasts are not finite")
    scores = point_scores(data, forecast.points)
    if forecast.quantiles is not None:
        scores |= quantile_scores(data, forecast.quantiles)
    scores |= {
        "fit_seconds": forecast.fit_seconds,
        "predict_seconds": forecast.predict_seconds,
    }
    return {name: float(value) for name, value in scores.items()}


def outcome(data: Dataset, forecaster: str, seed: int) -> dict[str, float | str]:
    """Return the scores of a forecaster, or in which way it failed."""
    if data.contexts is not None and forecaster in LEFT_OUT:
        return {"left_out": LEFT_OUT[forecaster]}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return score(data, FORECASTERS[forecaster](data, seed))
    except Exception as error:  # whatever a library raises is its result
        text = " ".join(f"{type(error).__name__}: {error}".split())
        return {"error": text[:LONGEST_ERROR]}


def machine() -> dict[str, str]:
    """Return the processor, the releases of the libraries, and the date."""
    processor, cpuinfo = platform.processor(), Path("/proc/cpuinfo")
    if cpuinfo.exists():
        rows = (row.partition(":") for row in cpuinfo.read_text().splitlines())
        names = [value for key, _, value in rows if key.strip() == "model name"]
        processor = names[0].strip() if names else processor
    releases = [
        f"{name} {metadata.version(name)}" for name in LIBRARIES if find_spec(name)
    ]
    return {
        "machine": f"{processor}, {os.cpu_count()} cores",
        "versions": ", ".join([f"Python {platform.python_version()}", *releases]),
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
    }


def seeds(forecaster: str, number: int) -> range:
    """Return the seeds of a forecaster; those without randomness run once."""
    return range(number if forecaster in {**OURS, **NETWORKS} else 1)


def run(arguments: argparse.Namespace, output: Path) -> None:
    """Run what has no file yet, and write a file for each."""
    tasks = [
        (name, forecaster, seed, output / f"{name}--{forecaster}--{seed}.json")
        for name in arguments.sets
        for forecaster in arguments.only
        for seed in seeds(forecaster, arguments.seeds)
    ]
    tasks = [task for task in tasks if not task[-1].exists()]
    output.mkdir(parents=True, exist_ok=True)
    datasets = {
        name: READERS[name](arguments.folder, name, arguments.series)
        for name in {task[0] for task in tasks}
    }
    about = machine()
    progress = tqdm(tasks, unit="run")
    for name, forecaster, seed, path in progress:
        progress.set_description(f"{name}, {forecaster}")
        found = outcome(datasets[name], forecaster, seed)
        record = {"set": name, "forecaster": forecaster, "seed": seed, **found, **about}
        path.write_text(json.dumps(record, indent=2) + "\n")


def main() -> None:
    """Run what is not there yet, and write the report."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path, help="of the data")
    parser.add_argument("--output", type=Path, default=Path("benchmark-results"))
    parser.add_argument("--only", nargs="+", default=FORECASTERS, choices=FORECASTERS)
    parser.add_argument("--sets", nargs="+", default=SETS, choices=SETS)
    parser.add_argument("--seeds", type=int, default=1, help="runs of each network")
    parser.add_argument(
        "--series",
        type=int,
        help="to try the script: the first series of each panel and the first origins "
        "of ETTh1 only, kept in a folder of their own within the output folder",
    )
    parser.add_argument(
        "--report-only", action="store_true", help="write the report from what is there"
    )
    parser.add_argument(
        "--document", type=Path, help="a Markdown file to put the report into, too"
    )
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    logging.disable(logging.WARNING)  # of Lightning and its like
    output = arguments.output
    if arguments.series is not None:
        output = output / f"first-{arguments.series}"
    if not arguments.report_only:
        run(arguments, output)
    panels = [*PANELS, "etth1"]
    write_report(output, OURS, panels, list(SERIES), arguments.document)


if __name__ == "__main__":
    main()
