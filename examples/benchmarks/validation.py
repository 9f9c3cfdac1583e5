"""Defaults against seasonal naive on validation folds of single series.

Every fold is cut from the training part of a series, so that test splits stay unseen.
46 fits, one series each: four folds of AirPassengers, sunspots, milk and wineind,
sixteen series of Tourism monthly, ten of CIF 2016 and four of M4 hourly, drawn with a
fixed seed. Settings given on the command line replace the defaults, to see what
they change:

    python examples/benchmarks/validation.py DATA_FOLDER
    python examples/benchmarks/validation.py DATA_FOLDER linear_path=False max_steps=500
"""

from __future__ import annotations

import argparse
import ast
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from single_series import HORIZON, OURS, SERIES, read
from tqdm import tqdm

PANELS = {  # file, number of series, horizon, season
    "tourism": ("tourism_monthly.csv.gz", 16, 24, 12),
    "cif": ("cif2016.csv.gz", 10, 12, 12),
    "m4 hourly": ("m4_hourly.csv.gz", 4, 48, 24),
}
FOLDS = 4
LEAST_TRAINING = 60


@dataclass(frozen=True)
class Fold:
    """A series up to a cutoff, and what came after it."""

    source: str
    train: np.ndarray
    test: np.ndarray
    season: int


def folds(folder: Path) -> list[Fold]:
    """Return all folds."""
    found = []
    for name in SERIES:
        values = read(folder, name).to_numpy()[:-HORIZON]
        for fold in range(FOLDS):
            end = len(values) - fold * HORIZON
            train, test = values[: end - HORIZON], values[end - HORIZON : end]
            found.append(Fold(name, train, test, 12))
    random = np.random.default_rng(0)
    for source, (file, number, horizon, season) in PANELS.items():
        frame = pd.read_csv(folder / file).query("split == 'train'")
        series = [one["y"].to_numpy(float) for _, one in frame.groupby("id")]
        long = [one for one in series if len(one) > horizon + LEAST_TRAINING]
        for index in random.choice(len(long), number, replace=False):
            values = long[index]
            train, test = values[:-horizon], values[-horizon:]
            found.append(Fold(source, train, test, season))
    return found


def score(fold: Fold, name: str, settings: dict[str, object]) -> tuple[float, ...]:
    """Return the log of the error relative to the naive, coverage and seconds."""
    horizon = len(fold.test)
    forecaster = OURS[name](sp=fold.season, random_state=0, **settings)
    start = time.perf_counter()
    forecaster.fit(fold.train, fh=range(1, horizon + 1))
    seconds = time.perf_counter() - start
    error = np.abs(forecaster.predict().ravel() - fold.test).mean()
    naive = np.abs(np.resize(fold.train[-fold.season :], horizon) - fold.test).mean()
    lower, upper = forecaster.predict_interval(coverage=0.8).to_numpy().T
    held = ((lower <= fold.test) & (fold.test <= upper)).mean()
    return np.log(error / naive), held, seconds


def main() -> None:
    """Print one row an architecture: errors relative to the naive, by source."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("settings", nargs="*", help="name=value, in place of defaults")
    parser.add_argument("--forecasters", nargs="+", default=list(OURS), choices=OURS)
    arguments = parser.parse_args()
    pairs = (setting.split("=") for setting in arguments.settings)
    settings = {name: ast.literal_eval(value) for name, value in pairs}
    torch.set_num_threads(1)
    cut = folds(arguments.folder)
    rows = {}
    for name in arguments.forecasters:
        progress = tqdm(cut, desc=name, unit="fit")
        scores = np.array([score(fold, name, settings) for fold in progress])
        by_source = pd.Series(scores[:, 0]).groupby([one.source for one in cut]).mean()
        rows[name] = {
            "relative to naive": np.exp(scores[:, 0].mean()),
            "80 % coverage": scores[:, 1].mean(),
            "seconds a fit": scores[:, 2].mean(),
            **np.exp(by_source),
        }
    print(f"settings: {settings or 'defaults'}, relative errors are geometric means")
    print(pd.DataFrame(rows).T.round(3).to_string())


if __name__ == "__main__":
    main()
