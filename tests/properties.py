"""What the searches for examples share: values of series, and whose an error is."""

import traceback
from pathlib import Path

import numpy as np
from hypothesis import strategies as st

import lstm_forecasters
from lstm_forecasters.errors import LSTMForecastersError

PACKAGE = Path(lstm_forecasters.__file__).parent
SHAPES = ["noise", "walk", "season", "constant", "zeros", "steps"]
GAPS = ["none", "some", "most", "start", "end", "all"]


@st.composite
def values(draw, n_steps, n_columns, gaps=GAPS):
    """Return numbers (n_steps, n_columns) of any level, with missing ones, as NaN."""
    generator = np.random.default_rng(draw(st.integers(0, 99), label="seed"))
    shape = draw(st.sampled_from(SHAPES), label="shape")
    level = 10.0 ** draw(st.integers(-12, 12), label="level")
    step = np.arange(n_steps)[:, None]
    noise = generator.normal(size=(n_steps, n_columns))
    columns = {
        "noise": noise,
        "walk": noise.cumsum(axis=0),
        "season": np.sin(step * np.pi / 3) + 0.1 * noise,
        "constant": np.ones_like(noise),
        "zeros": np.zeros_like(noise),
        "steps": np.floor(step / 7) * np.ones(n_columns),
    }[shape]
    columns = level * (columns + draw(st.sampled_from([0.0, 10.0, -1000.0])))
    pattern = draw(st.sampled_from(gaps), label="gaps")
    share = {"some": 0.3, "most": 0.9}.get(pattern, 0.0)
    columns[generator.random(columns.shape) < share] = np.nan
    edge = n_steps // 3 + 1
    if pattern == "start":
        columns[:edge] = np.nan
    elif pattern == "end":
        columns[-edge:, : draw(st.integers(1, n_columns))] = np.nan
    elif pattern == "all":
        columns[:, draw(st.integers(0, n_columns - 1))] = np.nan
    return columns


def check_documented(error, ecosystems_own):
    """Raise an error again, unless it is one that the documentation names.

    Errors of an ecosystem count where it raised them itself: through the function that
    darts has for it, or before any module of this package stood in the traceback,
    save wrappers of the ecosystem's methods.
    """
    if isinstance(error, LSTMForecastersError):
        return
    frames = traceback.extract_tb(error.__traceback__)
    within = [
        frame
        for frame in frames
        if Path(frame.filename).is_relative_to(PACKAGE)
        and frame.name not in ("kept", "checked")
    ]
    is_theirs = frames[-1].name == "raise_log" or not within
    if not (is_theirs and isinstance(error, ecosystems_own)):
        raise error
