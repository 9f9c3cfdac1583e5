"""Defaults against seasonal naive on validation folds.

Every fold is cut from the training part of a series, so that test splits stay unseen.
46 fits, one series each: four folds of AirPassengers, sunspots, milk and wineind,
sixteen series of Tourism monthly, ten of CIF 2016 and four of M4 hourly, drawn with a
fixed seed. Or, with ``--panels``, one fit for each whole panel, whose last horizon of
training data is held out. Settings given on the command line replace the defaults, to
see what they change:

    python examples/benchmarks/validation.py DATA_FOLDER
    python examples/benchmarks/validation.py DATA_FOLDER linear_path=False max_steps=500
    python examples/benchmarks/validation.py DATA_FOLDER --panels n_members=5
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
from contenders import ARCHITECTURES
from single_series import HORIZON, SERIES, read
from tqdm import tqdm

from lstm_forecasters import sktime

OURS = {
    key: getattr(sktime, f"{name}LSTMForecaster") for key, name in ARCHITECTURES.items()
}
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
    for source, (_, number, _, _) in PANELS.items():
        series, horizon, season = read_panel(folder, source)
        long = [one for one in series if len(one) > horizon + LEAST_TRAINING]
        for index in random.choice(len(long), number, replace=False):
            values = long[index]
            train, test = values[:-horizon], values[-horizon:]
            found.append(Fold(source, train, test, season))
    return found


def read_panel(folder: Path, source: str) -> tuple[list[np.ndarray], int, int]:
    """Return the training parts of a panel's series, their horizon and season."""
    file, _, horizon, season = PANELS[source]
    frame = pd.read_csv(folder / file).query("split == 'train'")
    series = [one["y"].to_numpy(float) for _, one in frame.groupby("id")]
    return series, horizon, season


def score_panel(
    folder: Path, source: str, name: str, settings: dict[str, object]
) -> dict[str, float]:
    """Return MASE, sMAPE and coverage of one network for a panel, and seconds."""
    series, horizon, season = read_panel(folder, source)
    kept = [one for one in series if len(one) - horizon > 2 * season]
    train = pd.concat(
        {number: pd.DataFrame({"y": y[:-horizon]}) for number, y in enumerate(kept)}
    )
    test = np.array([y[-horizon:] for y in kept])
    forecaster = OURS[name](sp=season, random_state=0, **settings)
    start = time.perf_counter()
    forecaster.fit(train, fh=range(1, horizon + 1))
    seconds = time.perf_counter() - start
    quantiles = forecaster.predict_quantiles(alpha=[0.1, 0.5, 0.9]).to_numpy()
    lower, median, upper = quantiles.reshape(*test.shape, 3).transpose(2, 0, 1)
    error, level = np.abs(median - test), np.abs(median) + np.abs(test)
    past = [y[:-horizon] for y in kept]
    scale = [np.abs(y[season:] - y[:-season]).mean() for y in past]
    relative = error.mean(1) / scale
    return {
        f"{source}: MASE": relative[np.isfinite(relative)].mean(),
        "sMAPE": 200 * (error / level).mean(),
        "80 % coverage": ((lower <= test) & (test <= upper)).mean(),
        "seconds": seconds,
    }


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


def compare_panels(folder: Path, names: list[str], settings: dict[str, object]) -> None:
    """Print one table a panel, with one row an architecture."""
    for source in PANELS:
        rows = {name: score_panel(folder, source, name, settings) for name in names}
        print(pd.DataFrame(rows).T.round(3).to_string(), flush=True)


def main() -> None:
    """Print one row an architecture: errors relative to the naive, by source."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("settings", nargs="*", help="name=value, in place of defaults")
    parser.add_argument("--panels", action="store_true", help="fit whole panels")
    parser.add_argument("--forecasters", nargs="+", default=list(OURS), choices=OURS)
    arguments = parser.parse_intermixed_args()
    pairs = (setting.split("=") for setting in arguments.settings)
    settings = {name: ast.literal_eval(value) for name, value in pairs}
    torch.set_num_threads(1)
    if arguments.panels:
        compare_panels(arguments.folder, arguments.forecasters, settings)
        return
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
