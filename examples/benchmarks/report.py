"""Tables and a picture of the JSON files that ``accuracy.py`` writes."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from document import put_part
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from scipy.optimize import isotonic_regression

NAIVE = "seasonal-naive"
RELATIVE = "relative to naive"
METRICS = {  # in the files: in the tables
    "mase": "MASE",
    "mse": "MSE",
    "mae": "MAE",
    "smape": "sMAPE, %",
    "wql": "weighted quantile loss",
    "coverage": "80 % coverage",
    "fit_seconds": "fit, s",
    "predict_seconds": "predict, s",
}
SECONDS = ["fit, s", "predict, s"]
SINGLE = "single series"
NOTES = {"error": "failed", "left_out": "left out"}
INTRODUCTION = """# Accuracy

Means over seeds, best first; lower is better, but for the coverage, which should be
80 %. Forecasters in bold are ours, "5-members" are ensembles (`n_members=5`), and
"vanilla-and-pretrained" is the mean of sktime-vanilla and sktime-pretrained-200-steps.
Errors relative to naive are those of the table's first column, and geometric means over
the single series, whose other columns are means. All ran on one thread.

![Errors relative to naive against seconds to fit and predict](accuracy.png)
"""
OURS_COLOUR, PEERS_COLOUR = "tab:blue", "tab:orange"
LEAST_SECONDS = 1e-2  # in the picture; what takes less stands there
LABEL_GAP = 0.058  # between labels, as a share of a panel's height


@dataclass(frozen=True)
class Section:
    """The scores of forecasters, best first, and notes on those that have none."""

    title: str
    table: pd.DataFrame
    notes: dict[str, str]


def read_results(folder: Path) -> pd.DataFrame:
    """Return one row for each file."""
    paths = sorted(folder.glob("*--*--*.json"))
    results = pd.DataFrame([json.loads(path.read_text()) for path in paths])
    if results.empty:
        raise SystemExit(f"There are no results in {folder}.")
    return results.reindex(columns=[*results, *(set(NOTES) - set(results))])


def notes(results: pd.DataFrame) -> dict[str, str]:
    """Return for each forecaster with an error what it was, with the set if several."""
    several = results["set"].nunique() > 1
    found: dict[str, list[str]] = {}
    for column, verb in NOTES.items():
        rows = results.dropna(subset=column).groupby(["forecaster", column])["set"]
        for (forecaster, text), sets in rows:
            where = f" on {', '.join(sets.unique())}" if several else ""
            found.setdefault(forecaster, []).append(f"{verb}{where}: {text}")
    return {forecaster: "; ".join(parts) for forecaster, parts in found.items()}


def means(results: pd.DataFrame) -> pd.DataFrame:
    """Return the mean over seeds of each metric that a set has, without failures."""
    names = [
        name for name in METRICS if name in results and results[name].notna().any()
    ]
    table = results.groupby("forecaster")[names].mean().dropna(how="all")
    return table.rename(columns=METRICS)


def naive_score(scores: pd.Series) -> float:
    """Return the score of the seasonal naive forecast, NaN if it was not run."""
    return scores.get(NAIVE, np.nan)


def section_of_set(results: pd.DataFrame, name: str) -> Section:
    """Return the scores on one set."""
    results = results[results["set"] == name]
    table = means(results)
    if not table.empty:
        scores = table.iloc[:, 0]
        table.insert(1, RELATIVE, scores / naive_score(scores))
        table = table.sort_values(table.columns[0])
    return Section(name, table, notes(results))


def section_of_singles(results: pd.DataFrame, names: list[str]) -> Section:
    """Return MASE on each of several sets, and the other scores as means over them."""
    results = results[results["set"].isin(names)]
    tables = {name: means(results[results["set"] == name]) for name in names}
    tables = {name: table for name, table in tables.items() if not table.empty}
    if not tables:
        return Section(SINGLE, pd.DataFrame(), notes(results))
    mase = pd.DataFrame({name: table["MASE"] for name, table in tables.items()})
    logs = np.log(mase / mase.apply(naive_score))
    others = pd.concat(tables).groupby(level=1).mean().drop(columns="MASE")
    mase[RELATIVE] = np.exp(logs.mean(axis=1, skipna=False))
    return Section(SINGLE, mase.join(others).sort_values(RELATIVE), notes(results))


def cell(column: str, value: float) -> str:
    """Return a number as it stands in a table."""
    if np.isnan(value):
        return ""
    if column == METRICS["coverage"]:
        return f"{100 * value:.1f} %"
    return f"{value:.1f}" if column in SECONDS else f"{value:.3f}"


def markdown(section: Section, ours: Collection[str]) -> str:
    """Return a section as a table; who has notes and no scores follows at its end."""

    def named(forecaster: str) -> str:
        return f"**{forecaster}**" if forecaster in ours else forecaster

    columns = list(section.table) or ["score"]
    rows = [["forecaster", *columns], ["---", *["---:"] * len(columns)]]
    for forecaster, values in section.table.iterrows():
        rows.append([named(forecaster), *map(cell, columns, values)])
    lines = [f"| {' | '.join(row)} |" for row in rows]
    for forecaster, note in section.notes.items():
        text = note.replace("|", "\\|")
        lines.append(f"| {named(forecaster)} | {text} |{' |' * (len(columns) - 1)}")
    return "\n".join([f"## {section.title}", "", *lines])


def spread(heights: np.ndarray) -> np.ndarray:
    """Return increasing heights moved apart, as little as can be, and into a panel."""
    steps = LABEL_GAP * np.arange(len(heights))
    lowest = isotonic_regression(heights - steps).x
    return np.clip(lowest, 0, 1 - steps[-1]) + steps


def panel(axes: Axes, section: Section, ours: Collection[str]) -> None:
    """Draw error against seconds, with the names at the right."""
    table = section.table.dropna(subset=RELATIVE).sort_values(RELATIVE)
    seconds = table[SECONDS].sum(axis=1).clip(lower=LEAST_SECONDS)
    colours = [OURS_COLOUR if one in ours else PEERS_COLOUR for one in table.index]
    axes.scatter(seconds, table[RELATIVE], c=colours, s=22, zorder=3)
    axes.axhline(1.0, color="0.8", zorder=0)
    axes.set(title=section.title, xscale="log", yscale="log")
    axes.set(xlabel="seconds to fit and predict", ylabel="error relative to naive")
    axes.yaxis.set_major_formatter("{x:.2g}")
    axes.yaxis.set_minor_formatter("{x:.2g}")
    axes.tick_params(axis="y", which="both", labelsize=7)
    points = np.column_stack([seconds, table[RELATIVE]])
    places = axes.transAxes.inverted().transform(axes.transData.transform(points))
    rows = zip(table.index, points, spread(places[:, 1]), colours, strict=True)
    for name, point, height, colour in rows:
        axes.annotate(
            name,
            point,
            (1.06, height),
            textcoords=axes.transAxes,
            color=colour,
            fontsize=7,
            va="center",
            annotation_clip=False,
            arrowprops={
                "arrowstyle": "-",
                "color": colour,
                "lw": 0.5,
                "relpos": (0, 0.5),
                "shrinkA": 1,
            },
        )


def draw(sections: list[Section], ours: Collection[str], path: Path) -> None:
    """Draw a panel for each section that has the naive forecast to compare with."""
    drawn = [one for one in sections if NAIVE in one.table.index]
    if not drawn:
        return
    n_columns = min(2, len(drawn))
    n_rows = -(-len(drawn) // n_columns)
    figure, grid = plt.subplots(
        n_rows, n_columns, figsize=(6.5 * n_columns, 3.8 * n_rows), squeeze=False
    )
    figure.subplots_adjust(
        left=0.06, right=0.84, top=0.93, bottom=0.06, wspace=0.65, hspace=0.4
    )
    for axes, section in zip(grid.flat, drawn, strict=False):
        panel(axes, section, ours)
    for axes in grid.flat[len(drawn) :]:
        axes.axis("off")
    colours = {"ours": OURS_COLOUR, "others": PEERS_COLOUR}
    handles = [
        Line2D([], [], marker="o", ls="", color=colour, label=label)
        for label, colour in colours.items()
    ]
    figure.legend(handles=handles, loc="upper right", frameon=False)
    figure.savefig(path, dpi=150)
    plt.close(figure)


def write_report(
    folder: Path,
    ours: Collection[str],
    panels: list[str],
    singles: list[str],
    document: Path | None = None,
) -> None:
    """Write accuracy.md and accuracy.png beside the results that they are made of.

    With a document, the report becomes a part of it, and the picture stands beside it.
    """
    results = read_results(folder)
    sections = [section_of_set(results, name) for name in panels]
    sections.append(section_of_singles(results, singles))
    sections = [one for one in sections if len(one.table) or one.notes]
    runs = results[["machine", "versions", "date"]].drop_duplicates()
    machines = [f"- {'; '.join(row)}" for row in runs.itertuples(index=False)]
    tables = [markdown(section, ours) for section in sections]
    text = "\n\n".join([INTRODUCTION + "\n" + "\n".join(machines), *tables])
    (folder / "accuracy.md").write_text(text + "\n")
    draw(sections, ours, folder / "accuracy.png")
    if document is not None:
        put_part(document, text)
        draw(sections, ours, document.parent / "accuracy.png")
