"""How fast the package trains and forecasts, beside a bare torch loop and its peers.

    python examples/benchmarks/speed.py --runs 1 --seconds 0.3   # a first look, minutes
    python examples/benchmarks/speed.py --only steps forecasts

The machine should be idle, and Linux, which tells a process's peak memory.
The output folder receives ``speed.md``, with what is printed, and ``speed.json``, with
the figures of every round. ``METHOD`` says how they are measured.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import importlib.metadata
import json
import logging
import multiprocessing
import os
import platform
import re
import statistics
import time
import warnings
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import torch
from document import put_part
from speed_contenders import (
    BARE,
    BFLOAT16,
    FITS,
    IN_DARTS,
    IN_SKTIME,
    LOOPS,
    PEERS,
    PEERS_IN_SKTIME,
    POINTS,
    WARM_UP,
    WORKLOADS,
    Contender,
    Workload,
)
from tqdm import tqdm

PACKAGES = ("torch", "numpy", "pandas", "sktime", "darts", "neuralforecast", "gluonts")

PEAKED = (BARE, POINTS)
FORECASTS = {
    BARE: LOOPS[BARE],
    **IN_SKTIME,
    **IN_DARTS,
    **PEERS,
    **PEERS_IN_SKTIME,
}
TRAINING = {**LOOPS, **IN_DARTS, **PEERS}

MATRIX_SIZE = 1024
MANY = Workload(10_000, 100, 24, 12, 64, 64, "MS")
MEMORY_STEPS = 10

GROWTH_STEPS = 50
GROWTH_BASE = Workload(1, 1000, 96, 24, 64, 64)
GROWTH_AXES = {
    "steps": (50, 100, 200, 400),
    "n_series": (1, 1000, 4000, 16000),
    "points": (250, 500, 1000, 2000),
    "lookback": (24, 48, 96, 168, 336),
    "horizon": (12, 24, 48, 96),
    "hidden": (16, 32, 64, 128),
}

METHOD = (
    "Contenders take turns within one process, on one thread: every round runs each of "
    "them once. Multiples are medians of the rounds' ratios, times are medians with "
    "their ranges. The bare loop and ours are timed as a whole; libraries on Lightning "
    "by a callback that stamps the end of every batch, without their first "
    f"{WARM_UP} steps. A smaller batch at the end of an epoch counts by its windows. "
    "Whole fits by size have two exponents, slopes by size with both in logarithms: of "
    "the seconds, and of those on top of the smallest size's, by how much larger the "
    "size is. The second is 1 where the cost is a fixed part and a linear one. In "
    f"darts, such a fit takes {WARM_UP} steps more."
)

Rounds = dict[str, list[float]]
"""The seconds of every round, for each contender."""


@dataclasses.dataclass
class Table:
    """A table of the report."""

    title: str
    header: list[str]
    rows: list[list[str]]
    note: str = ""

    def __str__(self) -> str:
        """Return the table in Markdown."""
        lines = [self.header, ["---"] * len(self.header), *self.rows]
        body = "\n".join(f"| {' | '.join(line)} |" for line in lines)
        return "\n\n".join(filter(None, (f"## {self.title}", self.note, body)))


Section = tuple[list[Table], Any]
"""The tables of a section, and its figures for the JSON file."""


# -- measuring --------------------------------------------------------------------


def reason(error: Exception) -> str:
    """Say in a few words why a contender does not take part."""
    if isinstance(error, ModuleNotFoundError):
        return f"not installed ({error.name})"
    message, *_ = str(error).split("\n")
    return f"failed: {type(error).__name__}: {message}"


def take_turns(
    label: str, tasks: dict[str, Callable[[], Callable[[], float]]], runs: int
) -> tuple[Rounds, dict[str, str]]:
    """Prepare every task, run all of them in every round, and return their results.

    A task that cannot be prepared is left out; the second result says why.
    """
    prepared, absent = {}, {}
    for name, prepare in tqdm(tasks.items(), desc=f"{label}: warm-up", leave=False):
        try:
            prepared[name] = prepare()
        except Exception as error:  # a peer may fail in any way
            absent[name] = reason(error)
    rounds: Rounds = {name: [] for name in prepared}
    for _ in tqdm(range(runs), desc=label, unit="round"):
        for name, run in prepared.items():
            rounds[name].append(run())
    return rounds, absent


def prepare_training(
    contender: Contender, work: Workload, seconds: float
) -> Callable[[], float]:
    """Return a training of about so many seconds that returns those of one step."""
    first = contender(work, WARM_UP).seconds_per_window * work.batch
    n_steps = max(WARM_UP, int(seconds / first))
    return lambda: contender(work, n_steps).seconds_per_window * work.batch


def prepare_forecasts(
    contender: Contender, work: Workload, seconds: float
) -> Callable[[], float]:
    """Return forecasts for about so many seconds that return those of one call."""
    forecast = contender(work, WARM_UP).forecast
    assert forecast is not None
    forecast()
    n_calls = max(1, int(seconds / time_of(forecast)))

    def run() -> float:
        return statistics.median(time_of(forecast) for _ in range(n_calls))

    return run


def time_of(task: Callable[[], object]) -> float:
    """Return the seconds of a call."""
    start = time.perf_counter()
    task()
    return time.perf_counter() - start


def in_fresh_process(function: Callable[..., Any], *arguments: Any) -> Any:
    """Return what a function returns in a process of its own."""
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, spawn, initializer=be_quiet) as pool:
        return pool.submit(function, *arguments).result()


def peak_growth(task: Callable[[], object]) -> float:
    """Return by how many MiB memory rises above what it was before a task.

    Linux tells the peak and resets it; ``ru_maxrss`` would begin with the peak of the
    process that started this one.
    """
    Path("/proc/self/clear_refs").write_text("5")
    before = memory("VmRSS")
    task()
    return memory("VmHWM") - before


def memory(name: str) -> float:
    """Return a line of the process's status in MiB."""
    status = Path("/proc/self/status").read_text()
    found = re.search(rf"{name}:\s+(\d+) kB", status)
    assert found is not None
    return int(found[1]) / 1024


# -- tables -----------------------------------------------------------------------


def ratio(rounds: Rounds, name: str, over: str) -> str:
    """Return how many times as fast as another a contender is."""
    pairs = zip(rounds[over], rounds[name], strict=True)
    return f"{statistics.median(other / one for other, one in pairs):.2f}"


def comparison(
    title: str,
    rounds: Rounds,
    absent: dict[str, str],
    columns: dict[str, Callable[[float], str]],
) -> Table:
    """Return the table of a comparison: ratios first, medians and ranges after.

    ``columns`` are further figures that follow from the median.
    """
    others = (BARE, *PEERS, *PEERS_IN_SKTIME)
    rivals = [name for name in others if name in rounds]
    header = ["speed as a multiple of", *rivals, "ms, median", "range", *columns]
    rows = []
    for name, seconds in rounds.items():
        median = statistics.median(seconds)
        row = [name, *(ratio(rounds, name, rival) for rival in rivals)]
        row += [
            f"{1e3 * median:.2f}",
            f"{1e3 * min(seconds):.2f}-{1e3 * max(seconds):.2f}",
        ]
        rows.append(row + [figure(median) for figure in columns.values()])
    left_out = " ".join(f"{name}: {why}." for name, why in absent.items())
    return Table(title, header, rows, left_out)


# -- sections ---------------------------------------------------------------------


def compare_steps(
    names: list[str], contenders: dict[str, Contender], options: argparse.Namespace
) -> Section:
    """Time the training steps of contenders at some of the workloads."""
    tables, figures = [], {}
    for name in names:
        work = WORKLOADS[name]
        tasks = {
            key: functools.partial(prepare_training, one, work, options.seconds)
            for key, one in contenders.items()
        }
        rounds, absent = take_turns(f"step, {name}", tasks, options.runs)
        columns = {
            "steps/s": lambda seconds: f"{1 / seconds:.1f}",
            "windows/s": lambda seconds, batch=work.batch: f"{batch / seconds:.0f}",
        }
        tables.append(comparison(f"Training step, {name}", rounds, absent, columns))
        figures[name] = {"seconds of a step": rounds, "absent": absent}
    return tables, figures


def steps(options: argparse.Namespace) -> Section:
    """Time training steps, and say what share of the processor's peak they reach."""
    tables, figures = compare_steps(list(WORKLOADS), TRAINING, options)
    peak = matmul_peak(options.runs)
    rows = []
    for name, work in WORKLOADS.items():
        rounds = figures[name]["seconds of a step"]
        speeds = [step_flops(work) / statistics.median(rounds[key]) for key in PEAKED]
        shares = [f"{one / 1e9:.1f} ({100 * one / peak:.0f} %)" for one in speeds]
        rows.append([name, f"{step_flops(work) / 1e6:.1f}", *shares])
    note = (
        f"A product of two {MATRIX_SIZE} x {MATRIX_SIZE} matrices in float32 reaches "
        f"{peak / 1e9:.0f} GFLOP/s. A step takes 3 x 2 B (L 4h (h + 1) + h H) floating "
        "point operations: B windows, L steps of an LSTM of h units on one column, a "
        "head for H steps, and twice as much backward as forward."
    )
    header = ["GFLOP/s (share of the peak)", "MFLOP a step", *PEAKED]
    tables.append(Table("Share of the processor's peak", header, rows, note))
    return tables, {**figures, "matmul FLOP/s": peak}


def matmul_peak(runs: int) -> float:
    """Return the FLOP/s of a large matrix product."""
    left, right = torch.randn(2, MATRIX_SIZE, MATRIX_SIZE)
    seconds = [time_of(lambda: left @ right) for _ in range(5 + 10 * runs)][5:]
    return 2 * MATRIX_SIZE**3 / statistics.median(seconds)


def step_flops(work: Workload) -> float:
    """Return the floating point operations of a training step of the bare loop."""
    lstm = work.lookback * 4 * work.hidden * (work.hidden + 1)
    return 3 * 2 * work.batch * (lstm + work.hidden * work.horizon)


def bfloat16(options: argparse.Namespace) -> Section:
    """Time training steps in bfloat16 beside those in float32."""
    return compare_steps(["W1, batch 32", "W1, batch 256"], BFLOAT16, options)


def forecasts(options: argparse.Namespace) -> Section:
    """Time a forecast of one series by the public interfaces."""
    work = WORKLOADS["W1, batch 32"]
    tasks = {
        key: functools.partial(prepare_forecasts, one, work, options.seconds)
        for key, one in FORECASTS.items()
    }
    rounds, absent = take_turns("forecast", tasks, options.runs)
    columns = {"calls/s": lambda seconds: f"{1 / seconds:.0f}"}
    title = f"Forecast of one series, {work.horizon} steps, one call"
    table = comparison(title, rounds, absent, columns)
    return [table], {"seconds of a call": rounds, "absent": absent}


def many_series(options: argparse.Namespace) -> Section:
    """Time a forecast of many series in one call of sktime's side."""
    forecast = in_fresh_process(fit_many)
    found = [in_fresh_process(cost_of, forecast) for _ in range(options.runs)]
    seconds, growth = zip(*found, strict=True)
    rows = [["seconds", *spread(seconds, 2)], ["peak memory, MiB", *spread(growth, 0)]]
    note = (
        "Memory is what a first call adds to a process that has read the fitted "
        "forecaster from a pickle, seconds are those of a second call."
    )
    title = f"Forecast of {MANY.n_series} series of {MANY.points} points, one call"
    table = Table(title, ["", "median", "range"], rows, note)
    return [table], {"seconds": seconds, "MiB": growth}


def fit_many() -> Callable[[], object] | None:
    """Return the forecast of many series, with the forecaster that makes it."""
    (fit,) = IN_SKTIME.values()
    return fit(MANY, WARM_UP).forecast


def cost_of(task: Callable[[], object]) -> tuple[float, float]:
    """Return the seconds and the memory that a call takes."""
    growth = peak_growth(task)
    return time_of(task), growth


def spread(values: tuple[float, ...], digits: int) -> list[str]:
    """Return median and range as they are printed."""
    low, high = min(values), max(values)
    median = f"{statistics.median(values):.{digits}f}"
    return [median, f"{low:.{digits}f}-{high:.{digits}f}"]


def peak_memory(options: argparse.Namespace) -> Section:
    """Measure the peak memory of trainings, each in a process of its own."""
    name = "W2, batch 256"
    figures: dict[str, float | str] = {}
    for key in tqdm(TRAINING, desc="memory", unit="training"):
        try:
            figures[key] = in_fresh_process(training_memory, key, name)
        except Exception as error:  # a peer may fail in any way
            figures[key] = reason(error)
    rows = [
        [key, one if isinstance(one, str) else f"{one:.0f}"]
        for key, one in figures.items()
    ]
    note = f"What {MEMORY_STEPS} steps add to a process that has trained on W3 before."
    table = Table(f"Peak memory of training, {name}", ["", "MiB"], rows, note)
    return [table], figures


def training_memory(contender: str, workload: str) -> float:
    """Return the memory that a training adds, imports left out."""
    train = TRAINING[contender]
    train(WORKLOADS["W3, batch 32"], WARM_UP)
    return peak_growth(lambda: train(WORKLOADS[workload], MEMORY_STEPS))


def growth(options: argparse.Namespace) -> Section:
    """Time whole fits in both libraries as data and network grow."""
    tables, figures = [], {}
    for axis, sizes in GROWTH_AXES.items():
        tasks = {
            f"{name}, {size}": functools.partial(
                prepare_fit, fit, *fit_of_size(axis, size)
            )
            for name, fit in FITS.items()
            for size in sizes
        }
        rounds, absent = take_turns(f"fit by {axis}", tasks, options.runs)
        rows = []
        for name in FITS:
            keys = [f"{name}, {size}" for size in sizes]
            if rounds.keys() >= set(keys):
                seconds = np.array([statistics.median(rounds[key]) for key in keys])
                cells = [f"{one:.3f}" for one in seconds]
                rows.append([name, *exponents(np.array(sizes), seconds), *cells])
        header = [axis, "exponent", "on top", *map(str, sizes)]
        of_steps = "" if axis == "steps" else f" of {GROWTH_STEPS} steps"
        title = f"Seconds of a fit{of_steps}, by {axis}"
        left_out = " ".join(f"{name}: {why}." for name, why in absent.items())
        tables.append(Table(title, header, rows, left_out))
        figures[axis] = {"sizes": sizes, "seconds": rounds, "absent": absent}
    return tables, figures


def fit_of_size(axis: str, size: int) -> tuple[Workload, int]:
    """Return the workload and the number of steps of a fit."""
    if axis == "steps":
        return GROWTH_BASE, size
    return dataclasses.replace(GROWTH_BASE, **{axis: size}), GROWTH_STEPS


def prepare_fit(
    contender: Contender, work: Workload, n_steps: int
) -> Callable[[], float]:
    """Return a fit that returns its seconds."""
    contender(work, WARM_UP)
    return lambda: contender(work, n_steps).fit_seconds


def exponents(sizes: np.ndarray, seconds: np.ndarray) -> list[str]:
    """Return the slopes of seconds, and of what is on top of the first, by size."""
    grown, on_top = sizes[1:] - sizes[0], seconds[1:] - seconds[0]
    of_growth = slope(grown, on_top) if (on_top > 0).all() else "none"
    return [slope(sizes, seconds), of_growth]


def slope(sizes: np.ndarray, seconds: np.ndarray) -> str:
    """Return the slope of seconds by size, both in logarithms."""
    return f"{np.polyfit(np.log(sizes), np.log(seconds), 1)[0]:.2f}"


SECTIONS: dict[str, Callable[[argparse.Namespace], Section]] = {
    "steps": steps,
    "forecasts": forecasts,
    "many": many_series,
    "memory": peak_memory,
    "growth": growth,
    "bfloat16": bfloat16,
}


# -- the report -------------------------------------------------------------------


def environment(options: argparse.Namespace) -> dict[str, str]:
    """Return what the figures depend on beside the code."""
    versions = {name: version(name) for name in PACKAGES}
    only = f" --only {' '.join(options.only)}" if options.only != list(SECTIONS) else ""
    return {
        "date": date.today().isoformat(),
        "command": "python examples/benchmarks/speed.py"
        f" --runs {options.runs} --seconds {options.seconds:g}{only}",
        "processor": f"{processor()}, {os.cpu_count()} cores, one thread used, "
        f"{torch.backends.cpu.get_cpu_capability()}",
        "load at the start": f"{os.getloadavg()[0]:.1f} processes",
        "python": platform.python_version(),
        **{name: found for name, found in versions.items() if found},
    }


def processor() -> str:
    """Return the name of the processor, as Linux has it where it can be read."""
    information = Path("/proc/cpuinfo")
    text = information.read_text() if information.exists() else ""
    found = re.search(r"model name\s*:\s*(.+)", text)
    return found[1] if found else platform.processor() or platform.machine()


def version(package: str) -> str:
    """Return the version of a package, nothing where it is not installed."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""


def be_quiet() -> None:
    """Keep to one thread, and leave out what libraries say about themselves."""
    torch.set_num_threads(1)
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")


def write(
    folder: Path,
    facts: dict[str, str],
    tables: list[Table],
    figures: dict[str, Any],
    document: Path | None,
) -> None:
    """Write the report and the figures so far; the report into a document, too."""
    lines = "\n".join(f"- {key}: {value}" for key, value in facts.items())
    report = "\n\n".join(["# Speed", lines, METHOD, *map(str, tables)])
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "speed.md").write_text(report + "\n")
    if document is not None:
        put_part(document, report)
    contents = {"environment": facts, **figures}
    (folder / "speed.json").write_text(json.dumps(contents, indent=1) + "\n")


def main() -> None:
    """Run the sections, and print and write their tables."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--runs", type=int, default=5, help="rounds of each section")
    parser.add_argument("--seconds", type=float, default=1.5, help="of each run")
    parser.add_argument("--only", nargs="+", default=list(SECTIONS), choices=SECTIONS)
    parser.add_argument("--output", type=Path, default=Path("benchmark-results"))
    parser.add_argument(
        "--document", type=Path, help="a Markdown file to put the report into, too"
    )
    options = parser.parse_args()
    be_quiet()
    facts, tables = environment(options), []
    figures: dict[str, Any] = {}
    for name in options.only:
        found, figures[name] = SECTIONS[name](options)
        tables += found
        print(*found, sep="\n\n", end="\n\n", flush=True)
        write(options.output, facts, tables, figures, options.document)


if __name__ == "__main__":
    main()
