"""The four single series of the benchmarks.

Monthly series as darts ships them: AirPassengers.csv, monthly-sunspots.csv,
monthly-milk.csv and wineind.csv.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

SEASON = 12
HORIZON = 2 * SEASON
SERIES = {  # file, column of the time stamp, column of the value
    "AirPassengers": ("AirPassengers.csv", 0, 1),
    "sunspots": ("monthly-sunspots.csv", 0, 1),
    "milk": ("monthly-milk.csv", 0, 1),
    "wineind": ("wineind.csv", 1, 0),
}


def read(folder: Path, name: str) -> pd.Series:
    """Return a monthly series."""
    file, time_column, value_column = SERIES[name]
    frame = pd.read_csv(folder / file)
    months = pd.PeriodIndex(frame.iloc[:, time_column].str[:7], freq="M")
    values = frame.iloc[:, value_column].to_numpy(float)
    return pd.Series(values, index=months, name=name)
