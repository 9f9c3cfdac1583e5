"""Errors of the pretrained network on validation folds: what its design is chosen by.

Every fold is cut from the training part of the data, so that test splits stay unseen.
Settings given on the command line replace those of the forecaster, and a share of the
past can be hidden:

    python examples/pretraining/folds.py DATA_FOLDER
    python examples/pretraining/folds.py DATA_FOLDER window_length=96
    python examples/pretraining/folds.py DATA_FOLDER fine_tune_steps=200 random_state=0
    python examples/pretraining/folds.py DATA_FOLDER --missing 0.1 --sets milk

The folder holds tourism_monthly.csv.gz, cif2016.csv.gz, m4_hourly.csv.gz, ETTh1.csv.gz
and the four monthly series as darts ships them: AirPassengers.csv,
monthly-sunspots.csv, monthly-milk.csv and wineind.csv. A row is a set, or a fold of a
panel: its error scaled as MASE, relative to that of seasonal naive, and how often 80 %
intervals hold.
"""

from __future__ import annotations

import argparse
import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from tqdm import tqdm

from lstm_forecasters.sktime import PretrainedLSTMForecaster

PANELS = {  # file, horizon, season, folds, which go back one horizon each
    "tourism-monthly": ("tourism_monthly.csv.gz", 24, 12, 6),
    "cif2016": ("cif2016.csv.gz", 12, 12, 5),
    "m4-hourly": ("m4_hourly.csv.gz", 48, 24, 5),
}
SERIES = {  # file, column, first origin, steps from one origin to the next
    "AirPassengers": ("AirPassengers.csv", 1, 60, 3),
    "sunspots": ("monthly-sunspots.csv", 1, 600, 17),
    "milk": ("monthly-milk.csv", 1, 60, 3),
    "wineind": ("wineind.csv", 0, 60, 3),
}
MONTHS = 24
HOURS = {"etth1-day": 24, "etth1-four-days": 96}
HOURS_OF_TRAINING, FIRST_HOUR, HOURS_APART, PAST = 8640, 1500, 301, 700
SETS = [*PANELS, *HOURS, *SERIES]


@dataclass(frozen=True)
class Fold:
    """Series up to their cutoffs, and what came after them."""

    train: list[np.ndarray]
    test: np.ndarray  # (series, horizon)
    season: int


def rows_of(folder: Path, name: str) -> Iterator[tuple[str, list[Fold]]]:
    """Yield the rows of a set: each with a name, and folds that count together."""
    if name in PANELS:
        file, horizon, season, n_folds = PANELS[name]
        frame = pd.read_csv(folder / file).query("split == 'train'")
        whole = [one["y"].to_numpy(float) for _, one in frame.groupby("id")]
        for number in range(n_folds):
            cut = [y[: max(0, len(y) - number * horizon)] for y in whole]
            kept = [y for y in cut if len(y) - horizon > 2 * season]
            yield f"{name}, fold {number + 1}", [cut_off(kept, horizon, season)]
    elif name in HOURS:
        hours = pd.read_csv(folder / "ETTh1.csv.gz").drop(columns="date")
        values = hours.to_numpy(float)[:HOURS_OF_TRAINING].T
        horizon = HOURS[name]
        origins = range(FIRST_HOUR, HOURS_OF_TRAINING - horizon, HOURS_APART)
        parts = [values[:, at - PAST : at + horizon] for at in origins]
        yield name, [cut_off(list(part), horizon, 24) for part in parts]
    else:
        file, column, first, step = SERIES[name]
        y = pd.read_csv(folder / file).iloc[:-MONTHS, column].to_numpy(float)
        parts = [y[: at + MONTHS] for at in range(first, len(y) - MONTHS, step)]
        yield name, [cut_off([part], MONTHS, 12) for part in parts]


def cut_off(series: list[np.ndarray], horizon: int, season: int) -> Fold:
    """Return series as a fold that holds their last horizon."""
    test = np.array([y[-horizon:] for y in series])
    return Fold([y[:-horizon] for y in series], test, season)


def score(fold: Fold, settings: dict[str, object], missing: float) -> np.ndarray:
    """Return errors, those of seasonal naive and shares held, of each series."""
    horizon = fold.test.shape[1]
    random = np.random.default_rng(0)
    hidden = [np.where(random.random(len(y)) < missing, np.nan, y) for y in fold.train]
    known = pd.concat({n: pd.DataFrame({"y": y}) for n, y in enumerate(hidden)})
    forecaster = PretrainedLSTMForecaster(sp=fold.season, **settings)
    forecaster.fit(known, fh=range(1, horizon + 1))
    quantiles = forecaster.predict_quantiles(alpha=[0.1, 0.5, 0.9]).to_numpy()
    lower, median, upper = np.moveaxis(quantiles.reshape(*fold.test.shape, 3), 2, 0)
    naive = [np.resize(y[-fold.season :], horizon) for y in fold.train]
    steps = [np.abs(y[fold.season :] - y[: -fold.season]).mean() for y in fold.train]
    errors = [np.abs(points - fold.test).mean(1) for points in (median, naive)]
    held = ((lower <= fold.test) & (fold.test <= upper)).mean(1)
    changes = np.array(steps) > 0
    scores = np.array([*errors, held])[:, changes]
    scores[:2] /= np.array(steps)[changes]
    return scores


def main() -> None:
    """Print one line a row."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("settings", nargs="*", help="name=value, in place of defaults")
    parser.add_argument("--sets", nargs="+", default=SETS, choices=SETS)
    parser.add_argument(
        "--missing", type=float, default=0.0, help="share of the past to hide"
    )
    given = parser.parse_intermixed_args()
    pairs = (setting.split("=", 1) for setting in given.settings)
    settings = {name: ast.literal_eval(value) for name, value in pairs}
    torch.set_num_threads(1)
    for name in given.sets:
        for row, folds in rows_of(given.folder, name):
            progress = tqdm(folds, desc=row, unit="fold", leave=False)
            scores = [score(fold, settings, given.missing) for fold in progress]
            error, naive, held = np.concatenate(scores, axis=1).mean(1)
            print(f"{row}: {error / naive:.3f}, 80 % hold {held:.1%}", flush=True)


if __name__ == "__main__":
    main()
