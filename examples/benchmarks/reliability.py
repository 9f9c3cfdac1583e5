"""What forecasters do with faulty input, files, threads and interruptions.

Every case of ``reliability_cases.py`` is put to every library of
``reliability_libraries.py``: this package's ten classes and, where they are installed,
darts' BlockRNNModel and RNNModel, neuralforecast's LSTM and sktime's ESRNNForecaster.
The outcome is judged by the rules that stand in ``KINDS`` there.

    python examples/benchmarks/reliability.py
    python examples/benchmarks/reliability.py --document docs/reliability.md
    python examples/benchmarks/reliability.py --only "darts RNNModel" --rows 1 6a 31b

A library's cases run one after the other in a child process, which says which case it
begins; where one takes longer than ``--seconds``, the process and all that it started
are killed, that case counts as a hang, and a new process goes on with the rest. Each
outcome is one JSON file in the output folder, and is skipped if that is there: to
repeat one, remove its file. Needs Linux or macOS.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import logging
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch
from document import put_part
from reliability_cases import CASES, GOOD, KINDS, Outcome, judged, victim
from reliability_libraries import COLUMNS, LIBRARIES, library

TITLE = "Fault by fault"
STARTED, ABSENT, NOT_RUN = "started", 3, Outcome("not run")


def file_of(output: Path, name: str, row: str) -> Path:
    """Return where the outcome of a case is kept."""
    return output / f"{re.sub('[^A-Za-z]+', '-', name)}--{row}.json"


def write(path: Path, outcome: Outcome) -> None:
    """Write an outcome, whole or not at all."""
    part = path.with_suffix(".part")
    part.write_text(json.dumps(dataclasses.asdict(outcome), indent=2) + "\n")
    part.replace(path)


# -- in the child -------------------------------------------------------------------


def run_cases(name: str, rows: list[str], output: Path) -> None:
    """Run cases, and say before each that it begins."""
    warnings.simplefilter("ignore")
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    torch.set_num_threads(1)
    try:
        one = library(name)
    except ImportError as error:
        print(error, file=sys.stderr)
        sys.exit(ABSENT)
    for row in rows:
        file_of(output, name, STARTED).write_text(row)
        write(file_of(output, name, row), judged(CASES[row], one))


# -- in the parent ------------------------------------------------------------------


def command(name: str, rows: list[str], output: Path) -> list[str]:
    """Return the command of a child."""
    arguments = ["--only", name, "--output", str(output), "--rows", *rows]
    return [sys.executable, str(Path(__file__).resolve()), "--child", *arguments]


def watch(name: str, rows: list[str], output: Path, seconds: float) -> None:
    """Run a library's cases in children until each has an outcome."""
    while rows := [row for row in rows if not file_of(output, name, row).exists()]:
        started = file_of(output, name, STARTED)
        started.unlink(missing_ok=True)
        with tempfile.TemporaryDirectory() as folder:
            child = subprocess.Popen(
                command(name, rows, output),
                cwd=folder,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
            hung = follow(child, started, seconds)
            kill_group(child)
        if child.returncode == ABSENT:
            for row in rows:
                write(file_of(output, name, row), Outcome("not installed"))
            return
        row = started.read_text() if started.exists() else rows[0]
        if not file_of(output, name, row).exists():
            kind = "hang" if hung else "crash"
            detail = f"after {seconds:g} s" if hung else f"code {child.returncode}"
            write(file_of(output, name, row), Outcome(kind, detail))
        print(f"{name}: {row}", flush=True)
    file_of(output, name, STARTED).unlink(missing_ok=True)


def follow(child: subprocess.Popen[bytes], started: Path, seconds: float) -> bool:
    """Wait for a child, and say whether one of its cases took too long."""
    since = time.time()
    while child.poll() is None:
        if started.exists():
            since = started.stat().st_mtime
        if time.time() - since > seconds:
            return True
        time.sleep(0.5)
    return False


def kill_group(child: subprocess.Popen[bytes]) -> None:
    """End a child and all that it started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()


# -- report -------------------------------------------------------------------------


def cell(outcome: Outcome) -> str:
    """Return an outcome as a cell of the table, bad ones in bold."""
    kind = outcome.kind if outcome.kind in GOOD else f"**{outcome.kind}**"
    shown = outcome.detail if outcome.kind not in (*GOOD, "not installed") else ""
    return f"{kind}: {shown}" if shown else kind


def read(output: Path) -> dict[tuple[str, str], Outcome]:
    """Return all outcomes that are there, by library and row."""
    return {
        (name, row): Outcome(**json.loads(path.read_text()))
        for name in LIBRARIES
        for row in CASES
        if (path := file_of(output, name, row)).exists()
    }


def table(found: dict[tuple[str, str], Outcome]) -> str:
    """Return the outcomes of one class for each library, a row for each case."""
    names = [one for one in COLUMNS if any((one, row) in found for row in CASES)]
    lines = [["", "case", *names], ["---"] * (len(names) + 2)]
    for row, one in CASES.items():
        cells = [cell(found.get((name, row), NOT_RUN)) for name in names]
        lines.append([row, one.title, *cells])
    counts = []
    for name in names:
        kinds = [found[name, row].kind for row in CASES if (name, row) in found]
        offered = [kind for kind in kinds if not kind.startswith("not ")]
        counts.append(f"{sum(kind in GOOD for kind in kinds)} of {len(offered)}")
    lines.append(["", "works or clear error", *counts])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def other_classes(found: dict[tuple[str, str], Outcome]) -> str:
    """Say which outcomes of this package's other classes differ from those shown."""
    others = [name for name in {name for name, _ in found} if name not in COLUMNS]
    lines = []
    for name in sorted(others):
        shown = f"{name.partition(',')[0]}, Vanilla"
        rows = [row for row in CASES if (name, row) in found]
        unlike = [
            f"{row} ({cell(found[name, row])})"
            for row in rows
            if found[name, row].kind != found.get((shown, row), NOT_RUN).kind
        ]
        differences = ", ".join(unlike) if unlike else "none"
        lines.append(f"- {name}: {len(rows)} cases, unlike Vanilla: {differences}.")
    return "\n".join(["Our other classes:\n", *lines]) if lines else ""


def report(output: Path) -> str:
    """Return all outcomes that are there, in Markdown."""
    from accuracy import machine

    found, about = read(output), machine()
    rules = "\n".join(f"- **{kind}**: {rule}." for kind, rule in KINDS.items())
    parts = [
        f"# {TITLE}",
        f"Written on {about['date']} by `python examples/benchmarks/reliability.py "
        f"--document docs/reliability.md`. {about['versions']}. {about['machine']}.",
        table(found),
        other_classes(found),
        "Where darts makes no TimeSeries of a series (8, 9, 11b), our models are "
        "passed the pandas object and asked what to do; darts' own do not look into "
        "one.",
        "An outcome is one of these:",
        rules,
    ]
    return "\n\n".join(filter(None, parts))


def main() -> None:
    """Run what is not there yet, and write the report."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--output", type=Path, default=Path("reliability-results"))
    parser.add_argument("--only", nargs="+", default=list(LIBRARIES), choices=LIBRARIES)
    parser.add_argument("--rows", nargs="+", default=list(CASES), choices=CASES)
    parser.add_argument("--seconds", type=float, default=120, help="limit of a case")
    parser.add_argument("--jobs", type=int, default=2, help="libraries at a time")
    parser.add_argument(
        "--report-only", action="store_true", help="write the report from what is there"
    )
    parser.add_argument(
        "--document", type=Path, help="a Markdown file to put the report into, too"
    )
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--victim", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.victim is not None:
        victim(library(arguments.only[0]), arguments.victim)
        return
    output = arguments.output.resolve()
    if arguments.child:
        run_cases(arguments.only[0], arguments.rows, output)
        return
    output.mkdir(parents=True, exist_ok=True)
    if not arguments.report_only:
        with ThreadPoolExecutor(arguments.jobs) as pool:
            list(
                pool.map(
                    lambda name: watch(name, arguments.rows, output, arguments.seconds),
                    arguments.only,
                )
            )
    text = report(output)
    (output / "reliability.md").write_text(text + "\n")
    if arguments.document is not None:
        put_part(arguments.document, text)


if __name__ == "__main__":
    main()
