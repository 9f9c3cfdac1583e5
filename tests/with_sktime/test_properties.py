"""Whatever is passed: finite forecasts of the right form, or an error that says why.

``pytest --hypothesis-profile=long`` searches through more examples.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from hypothesis import event, given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from sktime.exceptions import NotFittedError
from sktime.forecasting.base import ForecastingHorizon

from lstm_forecasters.sktime import (
    BidirectionalLSTMForecaster,
    EncoderDecoderLSTMForecaster,
    PretrainedLSTMForecaster,
    StackedLSTMForecaster,
    VanillaLSTMForecaster,
)
from tests.properties import GAPS, check_documented, values

SKTIMES_OWN = (
    TypeError,  # containers, types of columns and indexes that sktime does not take
    ValueError,  # horizons that are none, X that does not cover y
    NotFittedError,  # predict before fit, and after a fit that was refused
)
FORECASTERS = [
    VanillaLSTMForecaster,
    StackedLSTMForecaster,
    BidirectionalLSTMForecaster,
    EncoderDecoderLSTMForecaster,
    PretrainedLSTMForecaster,
]
AHEAD = 25
"""Time steps of the axis after the longest series."""

AXES = {
    "months": lambda n: pd.period_range("2000-01", periods=n, freq="M"),
    "quarters": lambda n: pd.period_range("2000Q1", periods=n, freq="Q"),
    "days": lambda n: pd.date_range("2000-02-20", periods=n, freq="D"),
    "month ends": lambda n: pd.date_range("2000-01-31", periods=n, freq="ME"),
    "weeks": lambda n: pd.date_range("2000-01-02", periods=n, freq="W"),
    "hours": lambda n: pd.date_range("2000-01-01", periods=n, freq="h", tz="UTC"),
    "without frequency": lambda n: pd.DatetimeIndex(
        pd.date_range("2000-01-01", periods=n, freq="D").to_list()
    ),
    "integers": lambda n: pd.RangeIndex(n),
    "later integers": lambda n: pd.Index(np.arange(7, 7 + n)),
}
VALID = {
    "window_length": st.none() | st.integers(1, 30),
    "horizon": st.none() | st.integers(1, 13),
    "sp": st.none() | st.integers(1, 13),
    "likelihood": st.sampled_from([None, "quantile", "normal", "student_t"]),
    "hidden_size": st.integers(1, 6),
    "segment_length": st.none() | st.integers(1, 13),
    "linear_path": st.booleans(),
    "joint_channels": st.booleans(),
    "n_members": st.integers(1, 3),
    "max_steps": st.integers(1, 3),
    "fine_tune_steps": st.integers(0, 2),
    "batch_size": st.none() | st.integers(1, 20),
    "validation_fraction": st.sampled_from([0.0, 0.0, 0.2, 0.9]),
    "random_state": st.integers(0, 9),
}
INVALID = [
    ("window_length", 0),
    ("window_length", 3.0),
    ("horizon", -1),
    ("horizon", "12"),
    ("sp", 0),
    ("likelihood", "gamma"),
    ("hidden_size", 0),
    ("hidden_size", None),
    ("segment_length", 0),
    ("joint_channels", "no"),
    ("n_members", 0),
    ("max_steps", 0),
    ("validation_fraction", 1.0),
    ("validation_fraction", np.nan),
    ("learning_rate", np.inf),
    ("random_state", -1),
    ("past_covariates", "x0"),
    ("device", "abacus"),
]

HORIZONS = [[], [1.5], ["a"], [1, 1], 0, 3, [-100], 2.0, [True], None, pd.Index([5, 2])]
BREAKS = {
    "gap": lambda y: y.drop(index=y.index[len(y) // 2]),
    "twice": lambda y: y.iloc[[*range(len(y)), -1]],
    "backwards": lambda y: y.iloc[::-1],
    "infinite": lambda y: y.where(y.isna() | (y < y.max()), np.inf),
    "words": lambda y: y.astype(str),
    "objects": lambda y: y.astype(object),
    "flags": lambda y: y > 0,
    "complex": lambda y: y.astype(complex),
    "empty": lambda y: y.iloc[:0],
    "no columns": lambda y: y.iloc[:, :0],
    "equal names": lambda y: y.iloc[:, [0, 0]],
    "numbers for times": lambda y: y.set_axis(np.linspace(0, 1, len(y))),
    "words for times": lambda y: y.set_axis([str(row) for row in range(len(y))]),
    "an array": lambda y: y.to_numpy(),
    "a list": lambda y: y.to_numpy().tolist(),
}
"""What no series is: refused, or else forecast."""


ODD_X = ["short", "none", "renamed", "words", "missing", "far", "twice", "twice ahead"]


@dataclass
class Case:
    """What is passed, and what is to come back if it is not refused."""

    y: Any
    X: pd.DataFrame | None
    X_ahead: pd.DataFrame | None
    fh: Any
    index: pd.Index | None
    later: Any
    later_X: pd.DataFrame | None
    forecaster: Any
    fh_in_fit: bool
    is_sound: bool


@st.composite
def cases(draw):
    """Return a forecaster, a series or a panel, covariates and a horizon."""
    forecaster_class = draw(st.sampled_from(FORECASTERS))
    n_series = draw(st.sampled_from([0, 0, 0, 1, 2, 3]))  # 0 is no panel
    n_columns = draw(st.integers(1, 3))
    lengths = [draw(st.integers(1, 60)) for _ in range(n_series or 1)]
    first = [draw(st.integers(0, 5)) * (n_series > 0) for _ in lengths]
    axis = AXES[draw(st.sampled_from(list(AXES)))](max(lengths) + 5 + AHEAD)
    names = draw(st.sampled_from([["a", "b", "c"], [2, 0, 1], ["a", 1, "c"]]))
    columns = names[:n_columns]

    def frame(rows, names, gaps):
        data = [draw(values(len(one), len(names), gaps or GAPS)) for one in rows]
        found = [
            pd.DataFrame(one, index=axis[where], columns=names)
            for one, where in zip(data, rows, strict=True)
        ]
        if not n_series:
            return found[0]
        keys = ["b", "a", "c"][:n_series]
        return pd.concat(found, keys=keys, names=["series", "time"])

    seen = [
        range(start, start + length)
        for start, length in zip(first, lengths, strict=True)
    ]
    gaps = draw(st.sampled_from([["none"], ["none", "some", "most"], None]))
    y = frame(seen, columns, gaps or ["start", "end", "all"])
    dtype = draw(st.sampled_from(["float64", "float64", "float32", "int64", "Float64"]))
    whole = y.notna().all(axis=None) and (y == y.round()).all(axis=None)
    if dtype != "int64" or whole:
        y = y.astype(dtype)
    is_sound = gaps is not None and min(lengths) >= 30

    steps = draw(st.lists(st.integers(-4, 20), min_size=1, max_size=4, unique=True))
    ordered = np.sort(steps)
    ends = [rows[-1] for rows in seen]
    is_sound &= ordered[0] > -4
    absolute = draw(st.booleans()) and not n_series and ends[0] + ordered[0] >= 0
    fh = ForecastingHorizon(axis[ends[0] + np.array(steps)], is_relative=False)
    fh = fh if absolute else steps
    times = [axis[end + ordered] if end + ordered[0] >= 0 else axis[:0] for end in ends]
    index = times[0]
    if n_series:
        keys = y.index.get_level_values(0).unique()
        found = [
            (key, time) for key, part in zip(keys, times, strict=True) for time in part
        ]
        index = pd.MultiIndex.from_tuples(found, names=y.index.names) if found else None

    settings = draw(st.fixed_dictionaries({}, optional=VALID))
    settings = {"hidden_size": 2, "max_steps": 1, **settings}
    X = X_ahead = None
    kind = draw(st.sampled_from(["none", "none", "whole", "ahead", "odd", "odd"]))
    if kind != "none":
        covered = [
            range(start, end + 21) for start, end in zip(first, ends, strict=True)
        ]
        whole_X = frame(covered, ["x0", "x1"], ["none", "some", "end"])
        X, X_ahead = whole_X.loc[y.index], whole_X
        if kind == "ahead":
            X_ahead = whole_X.drop(index=y.index)[["x1", "x0"]].assign(more=1.0)
        if draw(st.booleans()):
            settings["past_covariates"] = draw(st.sampled_from([["x1"], ["x1", "x0"]]))
    if kind == "odd":
        is_sound = False
        broken = draw(st.sampled_from(ODD_X))
        if broken == "short":
            X_ahead = X_ahead.iloc[: len(X_ahead) - draw(st.integers(1, 20))]
        elif broken == "none":
            X_ahead = None
        elif broken == "renamed":
            X_ahead = X_ahead.rename(columns={"x0": "x9"})
        elif broken == "words":
            X = X.assign(x0="word")
        elif broken == "far":
            X_ahead = X_ahead * 1e250
        elif broken == "twice":
            X = X.iloc[[*range(len(X)), -1]]
        elif broken == "twice ahead":
            X_ahead = X_ahead.iloc[[*range(len(X_ahead)), -1]]
        else:
            X = X.iloc[1:]
    if draw(st.sampled_from([False] * 4 + [True])):
        name, value = draw(st.sampled_from(INVALID))
        settings[name] = value
        is_sound = False
    is_sound &= settings.get("validation_fraction", 0.0) == 0
    fh_in_fit = draw(st.booleans())
    later = later_X = None
    if draw(st.booleans()):
        later = frame([range(end + 1, end + 4) for end in ends], columns, None)
        later_X = None if X is None else whole_X.loc[later.index]
    if n_columns == 1 and not n_series and draw(st.booleans()):
        name = draw(st.sampled_from(["a", None, 3]))
        y = y.iloc[:, 0].rename(name)
        later = None if later is None else later.iloc[:, 0].rename(name)
    if draw(st.sampled_from([False] * 7 + [True])):
        fh, is_sound = draw(st.sampled_from(HORIZONS)), False
        index = None
    if X is None and isinstance(y, pd.DataFrame) and draw(st.integers(0, 2)) == 2:
        y = BREAKS[draw(st.sampled_from(list(BREAKS)))](y)
        index, later, is_sound = None, None, False
    known = forecaster_class.get_param_names()
    forecaster = forecaster_class(
        **{name: value for name, value in settings.items() if name in known}
    )
    return Case(
        y, X, X_ahead, fh, index, later, later_X, forecaster, fh_in_fit, is_sound
    )


def check_form(forecast, case):
    """Check that a forecast has a row for each step, a column for each of y."""
    assert np.isfinite(np.asarray(forecast, dtype=float)).all()
    if case.index is None:
        return
    assert type(forecast) is type(case.y)
    assert forecast.index.equals(case.index)
    assert forecast.index.names == case.y.index.names
    if isinstance(case.y, pd.Series):
        assert forecast.name == case.y.name
    else:
        assert list(forecast.columns) == list(case.y.columns)


ALPHA = [0.9, 0.001, 0.5, 0.25, 0.999, 0.1]


@given(cases())
def test_forecasts_are_finite_and_in_form_or_refused(case):
    forecaster = case.forecaster
    try:
        forecaster.fit(case.y, case.X, fh=case.fh if case.fh_in_fit else None)
        fh = None if case.fh_in_fit else case.fh
        forecast = forecaster.predict(fh=fh, X=case.X_ahead)
        quantiles = None
        if forecaster.likelihood is not None:
            quantiles = forecaster.predict_quantiles(X=case.X_ahead, alpha=ALPHA)
            interval = forecaster.predict_interval(X=case.X_ahead, coverage=[0.9, 0.5])
            variance = forecaster.predict_var(X=case.X_ahead)
            distribution = forecaster.predict_proba(X=case.X_ahead)
        if case.later is not None:
            forecaster.update(case.later, case.later_X, update_params=case.fh_in_fit)
            updated = forecaster.predict(fh=[1, 2], X=case.X_ahead)
    except Exception as error:
        if case.is_sound:
            raise
        event(type(error).__name__)
        check_documented(error, SKTIMES_OWN)
        return
    event("forecasts")
    check_form(forecast, case)
    if case.later is not None:
        last = case.later.index.get_level_values(-1).max()
        assert updated.index.get_level_values(-1).max() > last
        assert len(updated) == 2 * len(case.later) // 3
        assert np.isfinite(updated.to_numpy()).all()
    if quantiles is None:
        return
    n_columns = np.shape(forecast)[1] if np.ndim(forecast) == 2 else 1
    found = quantiles.to_numpy().reshape(len(forecast), n_columns, len(ALPHA))
    assert case.index is None or quantiles.index.equals(case.index)
    assert list(quantiles.columns.get_level_values(1)) == ALPHA * n_columns
    assert np.isfinite(found).all()
    assert (np.diff(found[..., np.argsort(ALPHA)], axis=-1) >= 0).all()
    wide_low, wide_high, low, high = np.moveaxis(
        interval.to_numpy().reshape(len(forecast), n_columns, 4), -1, 0
    )
    for inner, outer in ((low, wide_low), (high, low), (wide_high, high)):
        assert (inner >= outer).all()
    assert np.isfinite(variance.to_numpy()).all()
    assert (variance.to_numpy() >= 0).all()
    assert case.index is None or distribution.index.equals(case.index)
    assert np.isfinite(distribution.mean().to_numpy()).all()
    assert_array_equal(distribution.var(), variance)
