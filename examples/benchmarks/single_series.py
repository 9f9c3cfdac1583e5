"""The four defaults against seasonal naive, AutoETS and Theta on single series.

The last two seasons of each series are held out, and nothing is tuned. The data
folder holds AirPassengers.csv, monthly-sunspots.csv, monthly-milk.csv and
wineind.csv, monthly series as darts ships them.

    python examples/benchmarks/single_series.py DATA_FOLDER
"""

from __future__ import annotations

import argparse
import time
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from sktime.forecasting.ets import AutoETS
from sktime.forecasting.naive import NaiveForecaster
from sktime.forecasting.theta import ThetaForecaster

from lstm_forecasters.sktime import (
    BidirectionalLSTMForecaster,
    EncoderDecoderLSTMForecaster,
    StackedLSTMForecaster,
    VanillaLSTMForecaster,
)

SEASON = 12
HORIZON = 2 * SEASON
SERIES = {  # file, column of the time stamp, column of the value
    "AirPassengers": ("AirPassengers.csv", 0, 1),
    "sunspots": ("monthly-sunspots.csv", 0, 1),
    "milk": ("monthly-milk.csv", 0, 1),
    "wineind": ("wineind.csv", 1, 0),
}
OURS = {
    "vanilla": VanillaLSTMForecaster,
    "stacked": StackedLSTMForecaster,
    "bidirectional": BidirectionalLSTMForecaster,
    "encoder-decoder": EncoderDecoderLSTMForecaster,
}


def read(folder: Path, name: str) -> pd.Series:
    """Return a monthly series."""
    file, time_column, value_column = SERIES[name]
    frame = pd.read_csv(folder / file)
    months = pd.PeriodIndex(frame.iloc[:, time_column].str[:7], freq="M")
    values = frame.iloc[:, value_column].to_numpy(float)
    return pd.Series(values, index=months, name=name)


def forecasters(y: pd.Series, seed: int) -> dict[str, object]:
    """Return what is compared; Theta's season is additive where y has zeros."""
    season = "multiplicative" if (y > 0).all() else "additive"
    return {
        "seasonal naive": NaiveForecaster(strategy="last", sp=SEASON),
        "AutoETS": AutoETS(auto=True, sp=SEASON),
        "Theta": ThetaForecaster(sp=SEASON, deseasonalize_model=season),
        **{name: kind(random_state=seed) for name, kind in OURS.items()},
    }


def score(forecaster: object, y: pd.Series) -> tuple[float, float, float]:
    """Return MASE, coverage of the 80 % interval (ours only) and seconds to fit."""
    train, test = y[:-HORIZON], y[-HORIZON:]
    start = time.perf_counter()
    forecaster.fit(train, fh=range(1, HORIZON + 1))
    seconds = time.perf_counter() - start
    error = np.abs(forecaster.predict().to_numpy() - test.to_numpy()).mean()
    scale = np.abs(train.to_numpy()[SEASON:] - train.to_numpy()[:-SEASON]).mean()
    coverage = np.nan
    if isinstance(forecaster, tuple(OURS.values())):
        lower, upper = forecaster.predict_interval(coverage=0.8).to_numpy().T
        coverage = ((lower <= test.to_numpy()) & (test.to_numpy() <= upper)).mean()
    return error / scale, coverage, seconds


def main() -> None:
    """Print MASE a forecaster and series, and what they are relative to the naive."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seeds", type=int, default=3, help="runs of each network")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    rows = {}
    for name in ["seasonal naive", "AutoETS", "Theta", *OURS]:
        runs = range(arguments.seeds if name in OURS else 1)
        mase, coverage, seconds = {}, [], []
        for title in SERIES:
            y = read(arguments.folder, title)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of the statistical forecasters
                found = [score(forecasters(y, seed)[name], y) for seed in runs]
            mase[title] = np.mean([one[0] for one in found])
            coverage += [one[1] for one in found]
            seconds += [one[2] for one in found]
        rows[name] = {
            **mase,
            "80 % coverage": np.mean(coverage),
            "seconds a fit": np.mean(seconds),
        }
        print(f"{name}: {seconds[-1]:.1f} s", flush=True)
    table = pd.DataFrame(rows).T
    relative = table[list(SERIES)] / table.loc["seasonal naive", list(SERIES)]
    table.insert(4, "relative to naive", np.exp(np.log(relative).mean(axis=1)))
    print(table.round(3).to_string())


if __name__ == "__main__":
    main()
