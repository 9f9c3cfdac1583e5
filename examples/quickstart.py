"""Backtest LSTM forecasters on a famous series, and draw their forecasts.

The series counts airline passengers by month. The first forecaster comes with its
weights and is not trained; four others are trained anew at four cutoffs, a year apart.
All forecast the 24 months after each cutoff. The table compares their
errors (MASE, lower is better) with those of the seasonal naive forecast, which repeats
the last year. The picture shows the last forecasts with their 80 % intervals.
"""

import argparse
import logging
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
import torch
from sktime.datasets import load_airline
from sktime.forecasting.model_evaluation import evaluate
from sktime.forecasting.naive import NaiveForecaster
from sktime.performance_metrics.forecasting import MeanAbsoluteScaledError
from sktime.split import ExpandingWindowSplitter
from tqdm import tqdm

from lstm_forecasters.sktime import (
    BidirectionalLSTMForecaster,
    EncoderDecoderLSTMForecaster,
    PretrainedLSTMForecaster,
    StackedLSTMForecaster,
    VanillaLSTMForecaster,
)

BASELINE = "Seasonal naive"
HORIZON = 24
INK, GREY, BLUE = "#222222", "#777777", "#1f6fb4"


def make_forecasters():
    """Return the baseline, what needs no training, and what does, at their defaults."""
    return {
        BASELINE: NaiveForecaster(strategy="last", sp=12),
        "Pretrained": PretrainedLSTMForecaster(),
        "Vanilla": VanillaLSTMForecaster(random_state=0),
        "Stacked": StackedLSTMForecaster(random_state=0),
        "Bidirectional": BidirectionalLSTMForecaster(random_state=0),
        "Encoder-decoder": EncoderDecoderLSTMForecaster(random_state=0),
    }


def backtest(y):
    """Return each forecaster's folds: cutoff, error, seconds and fitted forecaster."""
    cutoffs = ExpandingWindowSplitter(
        fh=range(1, HORIZON + 1), initial_window=len(y) - HORIZON - 36, step_length=12
    )
    results = {}
    with tqdm(make_forecasters().items(), unit="forecaster") as bar:
        for name, forecaster in bar:
            bar.set_description(f"{name:15}")
            results[name] = evaluate(
                forecaster,
                cutoffs,
                y,
                scoring=MeanAbsoluteScaledError(sp=12),
                error_score="raise",
                return_model=True,
            ).rename(columns={"test_MeanAbsoluteScaledError": "mase"})
    return results


def tabulate(results):
    """Return a table of the MASE at each cutoff, its mean, and mean seconds."""
    rows = {}
    for name, folds in results.items():
        errors = folds.set_index("cutoff")["mase"].rename(index=str)
        rows[name] = {
            **errors,
            "mean MASE": errors.mean(),
            "fit (s)": folds["fit_time"].mean(),
            "predict (s)": folds["pred_time"].mean(),
        }
    return pd.DataFrame.from_dict(rows, orient="index")


def draw(y, results, path):
    """Draw the forecasts from the last cutoff, one panel for each forecaster."""
    last = {name: folds.iloc[-1] for name, folds in results.items()}
    naive = last.pop(BASELINE)["fitted_forecaster"].predict()
    figure, axes = plt.subplots(3, 2, figsize=(10, 9), sharex=True, sharey=True)
    for ax, (name, fold) in zip(axes.flat, last.items(), strict=False):
        draw_panel(ax, name, fold, truth=y.iloc[-5 * 12 :], naive=naive)
    axes[2, 1].set_axis_off()
    axes[2, 1].legend(*axes[0, 0].get_legend_handles_labels(), loc="center")
    axes[1, 1].tick_params(labelbottom=True)
    for ax in axes[:, 0]:
        ax.set_ylabel("passengers, thousands")
    cutoff = fold["cutoff"].strftime("%B %Y")
    title = f"Forecasts of {HORIZON} months from the end of {cutoff}"
    figure.suptitle(title, x=0.01, ha="left", fontsize=13)
    figure.tight_layout()
    figure.savefig(path, dpi=150)


def draw_panel(ax, name, fold, truth, naive):
    """Draw one forecaster's forecast and interval against the truth."""
    forecast = fold["fitted_forecaster"].predict()
    interval = fold["fitted_forecaster"].predict_interval(coverage=0.8)
    lower, upper = interval.iloc[:, 0], interval.iloc[:, 1]
    hits = truth[forecast.index].between(lower, upper).sum()
    times = forecast.index.to_timestamp()

    ax.axvspan(times[0], times[-1], color=GREY, alpha=0.08, linewidth=0)
    ax.plot(truth.to_timestamp(), color=INK, linewidth=1.2, label="truth")
    ax.plot(times, naive, color=GREY, linestyle=":", label=BASELINE.lower())
    ax.plot(times, forecast, color=BLUE, linewidth=1.8, label="LSTM forecast")
    ax.fill_between(
        times, lower, upper, color=BLUE, alpha=0.25, linewidth=0, label="80 % interval"
    )
    ax.set_title(name, loc="left", fontsize=11, fontweight="bold")
    ax.set_title(
        f"MASE {fold['mase']:.2f}, interval holds {hits} of {HORIZON}",
        loc="right",
        fontsize=9,
        color=GREY,
    )
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(axis="y", alpha=0.3)


def main():
    """Read the command line, run the backtest, print the table, write the picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--output",
        type=Path,
        default=Path("quickstart.png"),
        help="the picture to write (default: %(default)s)",
    )
    path = parser.parse_args().output

    logging.captureWarnings(True)  # sktime announces its next release at every fit
    torch.set_num_threads(1)  # networks this small are fastest on one thread
    plt.switch_backend("Agg")  # draws into a file, also where there is no screen

    y = load_airline()
    results = backtest(y)
    print(f"\nMASE of {HORIZON} months by cutoff, and mean seconds per cutoff\n")
    print(tabulate(results).to_string(float_format="{:.2f}".format))
    draw(y, results, path)
    print(f"\nForecasts with intervals: {path.resolve()}")


if __name__ == "__main__":
    main()
