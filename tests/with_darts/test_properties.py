"""Whatever is passed: finite forecasts of the right form, or an error that says why.

``pytest --hypothesis-profile=long`` searches through more examples.
"""

import inspect
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from darts import TimeSeries, concatenate
from darts.utils.likelihood_models.torch import CauchyLikelihood, LaplaceLikelihood
from hypothesis import event, given
from hypothesis import strategies as st

from lstm_forecasters.darts import (
    BidirectionalLSTMModel,
    EncoderDecoderLSTMModel,
    PretrainedLSTMModel,
    StackedLSTMModel,
    VanillaLSTMModel,
)
from tests.properties import GAPS, check_documented, values

DARTS_OWN = (
    ValueError,  # series and covariates that are too short, too few, or of other widths
)
MODELS = [
    VanillaLSTMModel,
    StackedLSTMModel,
    BidirectionalLSTMModel,
    EncoderDecoderLSTMModel,
    PretrainedLSTMModel,
]
AHEAD = 30
"""Time steps of the axis after the longest series."""

AXES = {
    "months": lambda n: pd.date_range("2000-01-01", periods=n, freq="MS"),
    "days": lambda n: pd.date_range("2000-02-20", periods=n, freq="D"),
    "weeks": lambda n: pd.date_range("2000-01-02", periods=n, freq="W"),
    "business days": lambda n: pd.bdate_range("2000-01-03", periods=n),
    "quarters of an hour": lambda n: pd.date_range("2000", periods=n, freq="15min"),
    "integers": lambda n: pd.RangeIndex(n),
    "every third integer": lambda n: pd.RangeIndex(7, 7 + 3 * n, 3),
}
VALID = {
    "input_chunk_length": st.integers(1, 30),
    "output_chunk_length": st.integers(1, 13),
    "output_chunk_shift": st.sampled_from([0, 0, 0, 1, 5]),
    "season_length": st.none() | st.integers(1, 13),
    "likelihood": st.sampled_from(
        [
            None,
            "quantile",
            "normal",
            "student_t",
            LaplaceLikelihood(),
            CauchyLikelihood(),
        ]
    ),
    "hidden_size": st.integers(1, 6),
    "segment_length": st.none() | st.integers(1, 13),
    "linear_path": st.booleans(),
    "joint_channels": st.booleans(),
    "n_members": st.integers(1, 3),
    "batch_size": st.none() | st.integers(1, 20),
    "use_static_covariates": st.booleans(),
    "fine_tune_steps": st.integers(0, 2),
}
INVALID = [
    ("input_chunk_length", 0),
    ("output_chunk_length", 2.5),
    ("output_chunk_shift", -1),
    ("season_length", 0),
    ("season_length", 99),
    ("likelihood", "gamma"),
    ("hidden_size", 0),
    ("hidden_size", None),
    ("segment_length", "season"),
    ("joint_channels", 1),
    ("n_members", 0),
    ("batch_size", 0),
    ("n_epochs", 0),
    ("loss_fn", "mse"),
]


def renamed(series):
    """Return a series with other names of its columns."""
    names = list(series.components)
    return series.with_columns_renamed(names, [f"other_{name}" for name in names])


def wider(series):
    """Return a series with all columns once more, under other names."""
    bare = series.with_static_covariates(None)  # which darts may not be able to join
    return bare.stack(renamed(bare))


def infinite(series):
    """Return a series of nothing but infinite values."""
    return series.with_values(np.full_like(series.all_values(), np.inf))


def every(function):
    """Return a function of one series or several."""

    def applied(series):
        many = isinstance(series, list)
        return [function(one) for one in series] if many else function(series)

    return applied


BREAKS = [
    every(infinite),
    every(wider),
    every(lambda one: one[list(one.components[:1])]),
    every(lambda one: one[: max(1, len(one) // 2)]),
    every(renamed),
    every(lambda one: one.with_static_covariates(None)),
    every(lambda one: concatenate([one, one + 1], axis=2)),
    every(lambda one: one.values()),
    every(lambda one: one[:0]),
    lambda series: [],
    lambda series: [series],
    lambda series: None,
    lambda series: series[0] if isinstance(series, list) else [series, renamed(series)],
]
"""What a model cannot forecast, or takes as another series than that of the fit."""


@dataclass
class Case:
    """What is passed, and what is to come back if it is not refused."""

    model_class: Any
    settings: dict[str, Any]
    likelihood: Any
    series: Any
    series_ahead: Any
    covariates: dict[str, Any]
    covariates_ahead: dict[str, Any]
    n: Any
    num_samples: int
    is_sound: bool


@st.composite
def cases(draw):
    """Return a model, one series or several, covariates and a horizon."""
    n_series = draw(st.sampled_from([0, 0, 0, 1, 2, 3]))  # 0 is no list
    n_columns = draw(st.integers(1, 3))
    lengths = [draw(st.integers(1, 60)) for _ in range(n_series or 1)]
    first = [draw(st.integers(0, 5)) * (n_series > 0) for _ in lengths]
    axis = AXES[draw(st.sampled_from(list(AXES)))](max(lengths) + 5 + AHEAD)
    dtype = draw(st.sampled_from([np.float64, np.float64, np.float32]))

    def listed(rows, names, gaps):
        found = [
            TimeSeries.from_times_and_values(
                axis[one.start : one.stop],
                draw(values(len(one), len(names), gaps)).astype(dtype),
                columns=names,
                freq=axis.freq if isinstance(axis, pd.DatetimeIndex) else axis.step,
            )
            for one in rows
        ]
        return found if n_series else found[0]

    def each(function, series):
        return [*map(function, series)] if n_series else function(series)

    seen = [
        range(start, start + length)
        for start, length in zip(first, lengths, strict=True)
    ]
    gaps = draw(st.sampled_from([["none"], ["none", "some", "most"], None]))
    series = listed(seen, ["a", "b", "c"][:n_columns], gaps or GAPS)
    settings = draw(st.fixed_dictionaries({}, optional=VALID))
    settings = {
        "input_chunk_length": 6,
        "output_chunk_length": 3,
        "hidden_size": 2,
        "n_epochs": 1,
        "random_state": 1,
        "pl_trainer_kwargs": {"limit_train_batches": draw(st.integers(1, 2))},
        **settings,
    }
    model_class = draw(st.sampled_from(MODELS))
    known = inspect.signature(model_class.__init__).parameters
    settings = {name: value for name, value in settings.items() if name in known}
    shift, chunk = (
        settings.get("output_chunk_shift", 0),
        settings["output_chunk_length"],
    )
    n = draw(st.integers(1, chunk if shift else 20))
    is_sound = gaps == ["none"] and min(lengths) >= 20
    if draw(st.sampled_from([False] * 9 + [True])):
        n, is_sound = draw(st.sampled_from([0, -2, 2.5, None, "3"])), False
    if model_class is PretrainedLSTMModel:
        likelihood = "quantile"
    else:
        likelihood = settings.get("likelihood")
    num_samples = 1 if likelihood is None else draw(st.integers(1, 3))

    static = draw(st.sampled_from([None, None, "shared", "each"]))
    if static is not None:
        n_rows = n_columns if static == "each" else 1
        table = pd.DataFrame({"size": np.arange(n_rows) + 0.5})
        series = each(lambda one: one.with_static_covariates(table), series)
    covariates = {}
    for kind, more in (("past_covariates", 0), ("future_covariates", AHEAD)):
        if draw(st.sampled_from([False, False, True])):
            rows = [range(one.start, one.stop + more) for one in seen]
            names = [f"{kind}{number}" for number in range(draw(st.integers(1, 2)))]
            covariates[kind] = listed(rows, names, ["none", "some", "end"])
    ahead = dict(covariates)
    if covariates and draw(st.sampled_from([False, False, True])):
        kind = draw(st.sampled_from(list(covariates)))
        cut = draw(st.integers(1, 40))
        ways = {
            "short": lambda one: one[: max(1, len(one) - cut)],
            "late": lambda one: one[min(cut, len(one) - 1) :],
            "renamed": renamed,
            "reordered": lambda one: one[list(one.components[::-1])],
            "wider": wider,
            "infinite": infinite,
        }
        broken = draw(st.sampled_from(["none", *ways]))
        is_sound = False
        if broken == "none":
            del ahead[kind]
        else:
            ahead[kind] = each(ways[broken], ahead[kind])
    if "past_covariates" in covariates and not isinstance(n, str | None) and n > chunk:
        is_sound = False  # they end at the cutoff, and darts wants them beyond it
    if draw(st.sampled_from([False] * 5 + [True])):
        name, value = draw(st.sampled_from([one for one in INVALID if one[0] in known]))
        settings[name] = value
        is_sound = False
    if (settings.get("season_length") or 1) > (settings["input_chunk_length"] or 1):
        is_sound = False
    series_ahead = series
    if draw(st.integers(0, 4)) == 4:
        series_ahead, is_sound = draw(st.sampled_from(BREAKS))(series), False
        series = series_ahead if draw(st.booleans()) else series
    return Case(
        model_class,
        settings,
        likelihood,
        series,
        series_ahead,
        covariates,
        ahead,
        n,
        num_samples,
        is_sound,
    )


def check_form(forecast, series, case):
    """Check that a forecast begins after its series and has its columns."""
    shift = case.settings.get("output_chunk_shift", 0)
    assert forecast.start_time() == series.end_time() + (1 + shift) * series.freq
    assert forecast.freq == series.freq
    assert len(forecast) == case.n
    assert list(forecast.components) == list(series.components)
    assert forecast.n_samples == case.num_samples
    assert forecast.dtype == series.dtype
    assert np.isfinite(forecast.all_values()).all()


@given(cases())
def test_forecasts_are_finite_and_in_form_or_refused(case):
    try:
        model = case.model_class(**case.settings)
        model.fit(case.series, **case.covariates)
        given_series = {"series": case.series_ahead, **case.covariates_ahead}
        forecast = model.predict(case.n, **given_series, num_samples=case.num_samples)
        parameters = None
        if case.likelihood and case.n <= model.output_chunk_length:
            parameters = model.predict(
                case.n, **given_series, predict_likelihood_parameters=True
            )
    except Exception as error:
        if case.is_sound:
            raise
        event(type(error).__name__)
        check_documented(error, DARTS_OWN)
        return
    event("forecasts")
    is_list = isinstance(case.series_ahead, list)
    assert isinstance(forecast, list) == is_list
    for one, series in zip(
        forecast if is_list else [forecast],
        case.series_ahead if is_list else [case.series_ahead],
        strict=True,
    ):
        check_form(one, series, case)
    if parameters is None:
        return
    for one in parameters if is_list else [parameters]:
        found = one.values()
        assert np.isfinite(found).all()
        if case.likelihood == "quantile":
            n_levels = len(model.network_.likelihood.levels)
            levels = found.reshape(len(found), -1, n_levels)
            assert (np.diff(levels, axis=-1) >= 0).all()
