"""The faults that ``reliability.py`` puts to every library, and how it judges them.

A case is a function of a ``Library`` that returns an ``Outcome`` or lets the library's
error through, which ``judged`` turns into one. ``KINDS`` are the rules.
"""

from __future__ import annotations

import contextlib
import copy
import functools
import os
import pickle
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import torch
from reliability_libraries import HORIZON, Library, NotOfferedError

KINDS = {
    "works": "forecasts that are finite and, within twice the range of the series, "
    "those of the unharmed input; or the property named by the case holds",
    "clear error": "a ValueError, TypeError or NotImplementedError (sktime's "
    "NotFittedError is one) before any gradient is taken, whose message names what "
    "is wrong with the input, by one of the words that the case lists; in a forked "
    "process, any error that names the fork",
    "poor error": "such an error without these words or after training began, or "
    "another kind of exception with these words",
    "cryptic error": "any other exception, SystemExit among them",
    "silent nonsense": "no error, but forecasts that are NaN, infinite, or further "
    "away than that",
    "fails": "the property named by the case does not hold; the cell says how",
    "executes code": "the code hidden in a file was run",
    "hang": "no answer within the time limit",
    "crash": "the process died",
    "not offered": "the library has nothing of the kind",
    "not installed": "the library could not be imported",
}
"""What an outcome can be, and the rule for it."""
GOOD = ("works", "clear error")

FAR = 2.0  # ranges of the series between a forecast and that of the unharmed input
FORK_SECONDS = 30
KILL_AT, INTERRUPT_AT = 40, 20  # gradients
LONGEST_DETAIL = 60


@dataclass(frozen=True)
class Outcome:
    """What came of a case."""

    kind: str
    detail: str = ""


@dataclass(frozen=True)
class Case:
    """A fault: its row in the table, and what a clear error of it speaks of."""

    row: str
    title: str
    run: Callable[[Library], Outcome]
    words: str = r"(?!)"  # no error is expected


CASES: dict[str, Case] = {}
"""All cases by their rows."""


def case(row: str, title: str, words: str = r"(?!)") -> Callable[..., Any]:
    """Take note of a case."""

    def note(run: Callable[[Library], Outcome]) -> Callable[[Library], Outcome]:
        CASES[row] = Case(row, title, run, words)
        return run

    return note


# -- judging ------------------------------------------------------------------------


class Steps:
    """Counts the gradients taken in this process, and calls back at one of them."""

    def __init__(self) -> None:
        self.taken = 0
        self.at: int | None = None
        self.call: Callable[[], None] = lambda: None
        torch.autograd.grad = self._counted(torch.autograd.grad)
        torch.autograd.backward = self._counted(torch.autograd.backward)

    def _counted(self, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def counted(*args: Any, **kwargs: Any) -> Any:
            self.taken += 1
            if self.taken == self.at:
                self.call()
            return function(*args, **kwargs)

        return counted

    def start(
        self, at: int | None = None, call: Callable[[], None] | None = None
    ) -> None:
        """Count from here on."""
        self.taken, self.at, self.call = 0, at, call or (lambda: None)


STEPS = Steps()


def shortened(text: str) -> str:
    """Return a text on one line of a table, cut where it is long."""
    text = " ".join(text.replace("|", "/").split())
    if len(text) <= LONGEST_DETAIL:
        return text
    return text[: LONGEST_DETAIL - 1] + "…"


def judged(one: Case, library: Library) -> Outcome:
    """Run a case and judge what comes of it."""
    STEPS.start()
    try:
        return one.run(library)
    except NotOfferedError as error:
        return Outcome("not offered", str(error))
    except BaseException as error:  # whatever a library raises is its result
        text = shortened(f"{type(error).__name__}: {error}")
        expected = isinstance(error, (ValueError, TypeError, NotImplementedError))
        named = re.search(one.words, str(error), re.IGNORECASE) is not None
        if expected and named and STEPS.taken == 0:
            return Outcome("clear error", text)
        return Outcome("poor error" if expected or named else "cryptic error", text)


def compared(found: Any, expected: Any, spread: float) -> Outcome:
    """Judge a forecast by that of the unharmed input."""
    found = np.asarray(found, dtype=float)
    if not np.isfinite(found).all():
        return Outcome("silent nonsense", "NaN or infinite")
    distance = np.abs(found - expected).max() / spread
    if distance > FAR:
        return Outcome("silent nonsense", f"{distance:.2g} ranges away")
    return Outcome("works")


def holds(condition: bool, otherwise: str) -> Outcome:
    """Judge a property."""
    return Outcome("works") if condition else Outcome("fails", otherwise)


# -- data ---------------------------------------------------------------------------


def wave(n_steps: int = 60) -> pd.Series:
    """Return a season of 12 months with some noise, around 3 and always above 0."""
    step = np.arange(n_steps)
    noise = 0.1 * np.random.default_rng(0).normal(size=n_steps)
    index = pd.date_range("2015-01-01", periods=n_steps, freq="MS")
    return pd.Series(3 + np.sin(2 * np.pi * step / 12) + noise, index=index, name="y")


def known(n_steps: int = 72) -> pd.DataFrame:
    """Return two covariates, a year longer than the series."""
    index = pd.date_range("2015-01-01", periods=n_steps, freq="MS")
    values = np.random.default_rng(1).normal(size=(n_steps, 2)) * [1.0, 100.0]
    return pd.DataFrame(values, index=index, columns=["a", "b"])


RANGE = float(np.ptp(wave()))
_CLEAN: dict[tuple[int, int], np.ndarray] = {}


def clean(library: Library, n: int = HORIZON) -> np.ndarray:
    """Return the forecast of the unharmed series."""
    key = id(library), n
    if key not in _CLEAN:
        model = library.fit(wave())
        _CLEAN[key] = np.asarray(library.predict(model, n), dtype=float)
        STEPS.start()
    return _CLEAN[key]


def with_values(steps: Any, value: float) -> pd.Series:
    """Return the series with another value at some steps."""
    y = wave()
    y.iloc[steps] = value
    return y


def of_series(
    y: Any, scale: float = 1.0, shift: float = 0.0, constant: float | None = None
) -> Callable[..., Outcome]:
    """Return a case: fit and forecast a series that has other units, or is constant."""

    def run(library: Library) -> Outcome:
        expected = shift + scale * clean(library) if constant is None else constant
        return compared(library.predict(library.fit(y)), expected, scale * RANGE)

    return run


def add(row: str, title: str, y: Any, words: str = r"(?!)", **units: float) -> None:
    """Take note of a case that fits and forecasts a series."""
    case(row, title, words)(of_series(y, **units))


# -- series -------------------------------------------------------------------------

MISSING = r"nan|missing|null"
SHORT = r"short|length|empty|at least|longer|too few"
TYPES = r"numeric|dtype|object|categorical|string|float"
TIMES = r"gap|freq|regular|missing"

add("1", "NaN in the target", with_values([20, 21, 40], np.nan), MISSING)
add("1b", "NaN at the cutoff", with_values(-1, np.nan), MISSING)
add("1c", "nothing but NaN", with_values(slice(None), np.nan), MISSING)
add("2", "infinite value", with_values(30, np.inf), "inf|nan")
add("3", "shorter than the window", wave(8), SHORT)
add("4a", "a single point", wave(1), SHORT)
add("4b", "an empty series", wave()[:0], SHORT)
add("5a", "constant", wave() * 0 + 3, constant=3.0)
add("5b", "all zero", wave() * 0, constant=0.0)
for _row, _level in (("6a", 1e10), ("6b", 1e-9), ("6c", 1e30)):
    _units = {"scale": 0.1 * _level, "shift": 0.7 * _level}
    add(_row, f"level {_level:g}", _level * (0.7 + 0.1 * wave()), **_units)
add("7a", "integers", (10 * wave()).round().astype("int64"), TYPES, scale=10.0)
add("7b", "float32", wave().astype("float32"), TYPES)
add("7c", "object", wave().astype(object), TYPES)
add("7d", "truth values", wave() > 3, TYPES, shift=-2.5)


def of_times(order: Any) -> Callable[..., Outcome]:
    """Return a case: rows are missing or double, which must not pass unseen."""

    def run(library: Library) -> Outcome:
        y = wave().iloc[order]
        expected = clean(library)
        found = library.predict(library.fit(y))
        index = pd.date_range(y.index[0], periods=len(y), freq="MS")
        closed = library.predict(library.fit(y.set_axis(index)))
        if np.array_equal(found, closed):
            return Outcome("silent nonsense", "read as if one month followed another")
        return compared(found, expected, RANGE)

    return run


case("8", "missing time stamps", TIMES)(of_times(np.r_[:20, 22:60]))
case("9", "duplicate time stamps", r"duplicat|twice|unique")(
    of_times(np.r_[:21, 20:60])
)
add("10", "unsorted time stamps", wave()[::-1], "sort|order|monoton|increas")
KINDS_OF_INDEX = r"index|tz|time ?zone|DatetimeIndex"
add("11a", "time zone", wave().tz_localize("Europe/Berlin"), KINDS_OF_INDEX)
add("11b", "PeriodIndex", wave().to_period("M"), "PeriodIndex|DatetimeIndex|timestamps")
add("11c", "RangeIndex", wave().reset_index(drop=True), KINDS_OF_INDEX)


# -- covariates ---------------------------------------------------------------------


def needs_covariates(library: Library) -> None:
    """Leave out a library without covariates."""
    if not library.takes_covariates:
        raise NotOfferedError("takes no covariates")


def with_covariates(library: Library, ahead: pd.DataFrame) -> Outcome:
    """Fit with covariates, and forecast with others."""
    needs_covariates(library)
    model = library.fit(wave(), known())
    expected = library.predict(model, X=known())
    STEPS.start()
    found = library.predict(model, X=ahead)
    if np.array_equal(found, expected):
        return Outcome("works")
    difference = np.abs(np.asarray(found) - expected).max()
    return Outcome("silent nonsense", f"forecasts differ by {difference:.2g}")


@case("12", "covariates too short", r"covariate|exog|futr|\bX\b")
def covariates_too_short(library: Library) -> Outcome:
    """They end a month after the series."""
    needs_covariates(library)
    model = library.fit(wave(), known())
    STEPS.start()
    forecast = library.predict(model, 4 * HORIZON, X=known(61))
    return Outcome("silent nonsense", f"{len(forecast)} forecasts without them")


@case("13", "NaN in a covariate", MISSING)
def nan_in_a_covariate(library: Library) -> Outcome:
    """In the past, where a fit reads it."""
    needs_covariates(library)
    X = known()
    X.iloc[[20, 59], 0] = np.nan
    model = library.fit(wave(), X)
    return compared(library.predict(model, X=X), clean(library), RANGE)


@case("14a", "columns of covariates in another order")
def columns_reordered(library: Library) -> Outcome:
    """Of other units, so that it shows."""
    return with_covariates(library, known()[["b", "a"]])


@case("14b", "columns of covariates renamed", "column|name|covariate|missing|lack")
def columns_renamed(library: Library) -> Outcome:
    """Rename the first one."""
    needs_covariates(library)
    model = library.fit(wave(), known())
    STEPS.start()
    library.predict(model, X=known().rename(columns={"a": "z"}))
    return Outcome("silent nonsense", "takes another column's place")


# -- horizons -----------------------------------------------------------------------


@case("15", "predict before fit", r"\bfit|train")
def predict_before_fit(library: Library) -> Outcome:
    """Of a forecaster as it was made."""
    library.predict(library.new())
    return Outcome("silent nonsense", "a forecast of nothing")


@case("16", "three times the trained horizon", "horizon|fh|pred_len|length")
def beyond_the_horizon(library: Library) -> Outcome:
    """Forecast further than trained; nothing may run away."""
    model = library.fit(wave())
    expected = library.predict(model)
    STEPS.start()
    found = library.predict(model, 3 * HORIZON)
    return compared(found, np.resize(expected, len(found)), RANGE)


def of_horizon(n: Any) -> Callable[..., Outcome]:
    """Return a case: a horizon that makes no sense, or lies in the past."""

    def run(library: Library) -> Outcome:
        model = library.fit(wave())
        STEPS.start()
        found = np.asarray(library.predict_raw(model, n), dtype=float)
        is_fitted_value = library.has_fitted_values and isinstance(n, int)
        if is_fitted_value and len(found) == 1 and np.isfinite(found).all():
            return Outcome("works")
        return Outcome("silent nonsense", f"{len(found)} forecasts")

    return run


for _row, _n in (("17a", 0), ("17b", -2), ("17c", 2.5)):
    words = r"horizon|\bfh\b|\bn\b|\bh\b"
    case(_row, f"horizon {_n}", words)(of_horizon(_n))


# -- randomness ---------------------------------------------------------------------


@case("18a", "the same seed, bit for bit")
def same_seed(library: Library) -> Outcome:
    """Two new forecasters."""
    first, second = (library.predict(library.fit(wave(), seed=7)) for _ in range(2))
    return holds(np.array_equal(first, second), "forecasts differ")


@case("18b", "global random state untouched")
def global_state(library: Library) -> Outcome:
    """Of torch, numpy and Python, through fit and predict."""

    def states() -> list[Any]:
        numpy_state = np.random.get_state()  # noqa: NPY002  # is looked at
        return [torch.get_rng_state().tolist(), str(numpy_state), random.getstate()]

    torch.manual_seed(123)
    before = states()
    library.predict(library.fit(wave()))
    names = zip(["torch", "numpy", "random"], before, states(), strict=True)
    moved = [name for name, old, new in names if old != new]
    return holds(not moved, ", ".join(moved))


@case("20", "fit twice gives the same")
def fit_twice(library: Library) -> Outcome:
    """Fit the same object on the same series."""
    if library.fit_goes_on:
        raise NotOfferedError("a second fit goes on from the first, as documented")
    model = library.fit(wave())
    first = library.predict(model)
    library.train(model, wave())
    return holds(np.array_equal(first, library.predict(model)), "forecasts differ")


# -- copies and files ---------------------------------------------------------------


def by_joblib(model: Any) -> Any:
    """Return a copy by joblib."""
    with tempfile.TemporaryDirectory() as folder:
        joblib.dump(model, f"{folder}/model")
        return joblib.load(f"{folder}/model")


COPIES: dict[str, Callable[[Any], Any]] = {
    "pickle": lambda model: pickle.loads(pickle.dumps(model)),
    "deepcopy": copy.deepcopy,
    "joblib": by_joblib,
}


def of_copy(way: Callable[[Any], Any]) -> Callable[..., Outcome]:
    """Return a case: a copy forecasts the same."""

    def run(library: Library) -> Outcome:
        model = library.fit(wave())
        expected = library.predict(model)
        found = library.predict(way(model))
        return holds(np.array_equal(found, expected), "forecasts differ")

    return run


for _row, (_name, _way) in zip(("21a", "21b", "21c"), COPIES.items(), strict=True):
    case(_row, _name)(of_copy(_way))


class Payload:
    """Makes a folder when it is unpickled."""

    def __init__(self, folder: Path) -> None:
        self.folder = str(folder)

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (self.folder,)


@case("23", "a hostile file", "")
def hostile_file(library: Library) -> Outcome:
    """Save, poison, and load as the documentation says."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = library.save(library.fit(wave()), folder)
        library.poison(path, pickle.dumps(Payload(folder / "trace")))
        with contextlib.suppress(Exception):
            library.load(path)
        if (folder / "trace").exists():
            return Outcome("executes code")
    return Outcome("works", "nothing is run")


def of_damage(damages: list[Callable[[bytes], bytes]]) -> Callable[..., Outcome]:
    """Return a case: each saved file is damaged, in one way after the other."""

    def run(library: Library) -> Outcome:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            model = library.fit(wave())
            expected = library.predict(model)
            path = library.save(model, folder)
            files = [one for one in folder.rglob("*") if one.is_file()]
            files = [one for one in files if one.stat().st_size > 0]
            errors, altered, total = [], 0, 0
            STEPS.start()
            for file in files:
                data = file.read_bytes()
                for damage in damages:
                    file.write_bytes(damage(data))
                    total += 1
                    try:
                        found = library.predict(library.load(path))
                    except Exception as error:  # which is what should happen
                        errors.append(error)
                    else:
                        altered += not np.array_equal(found, expected)
                file.write_bytes(data)
        if altered:
            said = f"forecasts otherwise, {altered} of {total} times"
            return Outcome("silent nonsense", said)
        if errors:
            raise max(errors, key=badness)
        return Outcome("works", "what was damaged is not read")

    return run


def badness(error: Exception) -> bool:
    """Return whether an error does not speak of damage."""
    return re.search(DAMAGE, str(error), re.IGNORECASE) is None


def flipped(part: int) -> Callable[[bytes], bytes]:
    """Return a damage: a byte changed, so many tenths of the way in."""

    def damage(data: bytes) -> bytes:
        at = len(data) * part // 10
        return data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1 :]

    return damage


DAMAGE = r"damaged|corrupt|truncat|digest|checksum|crc|incomplete|not a .*file|format"
halved = of_damage([lambda data: data[: len(data) // 2]])
case("24a", "a file cut in half", DAMAGE)(halved)
flips = of_damage([flipped(part) for part in range(1, 10)])
case("24b", "one byte of a file changed, at 9 places of each", DAMAGE)(flips)


# -- interruptions ------------------------------------------------------------------


def victim(library: Library, folder: Path) -> None:
    """Fit with checkpoints, and be killed."""
    STEPS.start(KILL_AT, lambda: os.kill(os.getpid(), signal.SIGKILL))
    library.train_with_checkpoints(wave(), folder)


@case("25", "kill -9, then resume")
def kill_and_resume(library: Library) -> Outcome:
    """Kill a process that fits, and end where an undisturbed fit does."""
    with tempfile.TemporaryDirectory() as name, tempfile.TemporaryDirectory() as other:
        expected = library.predict(library.train_with_checkpoints(wave(), Path(other)))
        command = [sys.executable, *sys.argv, "--victim", name]
        code = subprocess.run(command, capture_output=True, check=False).returncode
        if code != -signal.SIGKILL:
            return Outcome("fails", f"the victim ended with code {code}")
        found = library.predict(library.resume(wave(), Path(name)))
    distance = np.abs(found - expected).max()
    return holds(distance < 1e-4, f"ends elsewhere, by {distance:.2g}")


@case("26", "Ctrl-C in a fit")
def interrupt(library: Library) -> Outcome:
    """Raise a KeyboardInterrupt, and leave a forecaster that forecasts."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored by some shells
    model, raised = library.new(), ""
    STEPS.start(INTERRUPT_AT, lambda: signal.raise_signal(signal.SIGINT))
    try:
        library.train(model, wave())
    except BaseException as error:  # SystemExit among them
        raised = type(error).__name__
    STEPS.start()
    try:
        usable = bool(np.isfinite(library.predict(model)).all())
    except Exception:  # whatever it is, it is not usable
        usable = False
    said = f"{raised or 'no exception'}, {'usable' if usable else 'unusable'} after it"
    return holds(raised == "KeyboardInterrupt" and usable, said)


# -- threads and processes ----------------------------------------------------------


@case("27a", "seeded fits in 8 threads")
def threads_fit(library: Library) -> Outcome:
    """Each equals the serial one with its seed."""
    serial = [library.predict(library.fit(wave(), seed=seed)) for seed in range(8)]
    with ThreadPoolExecutor(8) as pool:
        found = list(
            pool.map(
                lambda seed: library.predict(library.fit(wave(), seed=seed)), range(8)
            )
        )
    equal = sum(map(np.array_equal, serial, found))
    return holds(equal == 8, f"{equal} of 8 equal")


@case("27b", "one forecaster in 8 threads")
def threads_predict(library: Library) -> Outcome:
    """All forecasts are equal."""
    model = library.fit(wave())
    expected = library.predict(model)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: library.predict(model), range(16)))
    equal = sum(np.array_equal(one, expected) for one in found)
    return holds(equal == 16, f"{equal} of 16 equal")


@case("28", "files left in the working directory")
def files_left(library: Library) -> Outcome:
    """After a fit and a forecast in an empty folder."""
    home = Path.cwd()
    with tempfile.TemporaryDirectory() as name:
        os.chdir(name)
        try:
            library.predict(library.fit(wave()))
            left = sorted(one.name for one in Path(name).iterdir())
        finally:
            os.chdir(home)
    return holds(not left, ", ".join(left))


@contextlib.contextmanager
def printed(into: Path) -> Iterator[None]:
    """Send what the process prints to a file."""
    sys.stdout.flush()
    sys.stderr.flush()
    kept = os.dup(1), os.dup(2)
    with into.open("wb") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    try:
        yield
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        for number, one in zip((1, 2), kept, strict=True):
            os.dup2(one, number)
            os.close(one)


@case("29", "lines printed by fit and predict")
def lines_printed(library: Library) -> Outcome:
    """To the standard output and the standard error, bars redrawn among them."""
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "printed"
        with printed(path):
            library.predict(library.fit(wave()))
        lines = re.split(r"[\r\n]+", path.read_text(errors="replace"))
    count = sum(bool(line.strip()) for line in lines)
    return holds(count == 0, f"{count} lines")


@case("31a", "a fitted forecaster in joblib's loky processes")
def loky(library: Library) -> Outcome:
    """Sent to two processes, after torch was used here."""
    model = library.fit(wave())
    expected = library.predict(model)
    work = joblib.delayed(type(library).predict)
    found = joblib.Parallel(n_jobs=2)(work(library, model) for _ in range(2))
    equal = all(np.array_equal(one, expected) for one in found)
    return holds(equal, "forecasts differ")


@case("31b", "fit and predict in a forked process")
def fork(library: Library) -> Outcome:
    """After torch was used here."""
    torch.set_num_threads(2)  # as where there is more than one core
    expected = library.predict(library.fit(wave()))
    ours, theirs = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            found = library.predict(library.fit(wave()))
            code = 0 if np.allclose(found, expected, atol=0.1) else 3
        except BaseException as error:  # whatever a library raises is its result
            os.write(theirs, shortened(f"{type(error).__name__}: {error}").encode())
            code = 4
        os._exit(code)
    deadline = time.monotonic() + FORK_SECONDS
    while time.monotonic() < deadline:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            code = os.waitstatus_to_exitcode(status)
            if code == 4:
                text = os.read(ours, 1000).decode()
                named = re.search("fork", text, re.IGNORECASE)
                return Outcome("clear error" if named else "cryptic error", text)
            codes = {0: "", 3: "forecasts differ"}
            return holds(code == 0, codes.get(code, f"died with code {code}"))
        time.sleep(0.1)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return Outcome("hang", f"after {FORK_SECONDS} s")
