"""Bad input: a clear error before any training, and nothing lost by it."""

import re

import numpy as np
import pandas as pd
import pytest
from sktime.exceptions import NotFittedError
from sktime.forecasting.base import ForecastingHorizon

from lstm_forecasters.backend.training import Trainer
from lstm_forecasters.errors import (
    CovariateError,
    DataError,
    LSTMForecastersError,
    ParameterError,
    ParameterTypeError,
    TrainingError,
    TrainingWarning,
)
from lstm_forecasters.sktime import (
    EncoderDecoderLSTMForecaster,
    StackedLSTMForecaster,
    VanillaLSTMForecaster,
)

pytest.register_assert_rewrite("tests.with_sktime.conformance")

from tests.with_sktime.conformance import (  # noqa: E402  # is rewritten
    replaced,
    without,
)


@pytest.fixture
def make(make_any):
    """Return a function that constructs a small forecaster, pretrained ones too."""
    return make_any


@pytest.fixture
def no_training(monkeypatch):
    """Let every step of training fail the test."""

    def train(self):
        pytest.fail("training began")

    monkeypatch.setattr(Trainer, "run", train)


@pytest.fixture
def new(no_training, make):
    """Return a function that constructs a forecaster that must not train."""
    return make


@pytest.fixture
def stamps(y):
    """The series on time stamps that carry a frequency."""
    return y.to_timestamp()


def repeated(series, position):
    """Return a copy that has one time stamp twice."""
    order = np.r_[: position + 1, position : len(series)]
    return series.iloc[order]


# -- series -------------------------------------------------------------------------


def test_infinite_values_are_refused_and_named(new, y, X):
    message = r"y is infinite at Period\('2000-06', 'M'\) in column 'sales'.*NaN"
    for value in (np.inf, -np.inf):
        with pytest.raises(DataError, match=message):
            new().fit(replaced(y, 5, value))
    message = r"X is infinite at Period\('2000-04', 'M'\) in column 'ads'.*NaN"
    with pytest.raises(DataError, match=message):
        new().fit(y, X[: len(y)].assign(ads=replaced(X["ads"], 3, np.inf)))


def test_values_that_add_up_to_infinity_are_refused(new, y):
    message = r"y is -1e\+305 at Period\('2000-06', 'M'\).* at most 1e\+300"
    with pytest.raises(DataError, match=message):
        new().fit(replaced(y, 5, -1e305))


def test_gaps_in_the_index_are_refused(new, y, stamps):
    message = r"gap: it steps from 2000-10 to 2000-12\. Fill .* NaN"
    with pytest.raises(DataError, match=message):
        new().fit(without(y, 10))
    with pytest.raises(DataError, match=r"gap: it steps from 9 to 11\..* NaN"):
        new().fit(without(y.reset_index(drop=True), 10))
    message = r"not regular: it steps from 2000-10-01 .* to 2000-12-01 .* NaN"
    with pytest.raises(DataError, match=message):
        new().fit(without(stamps, 10))


def test_a_gap_in_one_series_of_a_panel_is_refused(new, panel):
    with pytest.raises(DataError, match=r"gap: it steps from 2000-07 to 2000-09"):
        new().fit(panel.drop(("c", pd.Period("2000-08", "M"))))


def test_repeated_time_stamps_are_refused(new, y, stamps):
    for series in (y, y.reset_index(drop=True), stamps):
        with pytest.raises((DataError, TypeError), match=r"twice|duplicate") as caught:
            new().fit(repeated(series, 5))
        assert "asfreq" not in str(caught.value)


def test_irregular_time_stamps_are_refused(new, stamps):
    odd = stamps.index[:-1].append(pd.DatetimeIndex(["2010-03-05"]))
    with pytest.raises(DataError, match=r"not regular: .* to 2010-03-05.*NaN"):
        new().fit(stamps.set_axis(odd))


def test_two_time_stamps_without_a_frequency_are_refused(new):
    index = pd.DatetimeIndex(["2000-01-01", "2000-02-01"])
    with pytest.raises(DataError, match=r"2 time stamps and no frequency.*PeriodIndex"):
        new().fit(pd.Series([1.0, 2.0], index=index))


def test_series_that_run_backwards_are_refused(new, y, stamps):
    """sktime's own check speaks first."""
    for series in (y, stamps, y.reset_index(drop=True)):
        with pytest.raises(TypeError, match=r"monotonic|compatible format"):
            new().fit(series[::-1])


def test_nothing_to_learn_from_is_refused(new, y):
    with pytest.raises(DataError, match="every value of y is missing"):
        new().fit(y * np.nan)
    with pytest.raises(DataError, match="y is empty"):
        new().fit(y[:0])
    with pytest.raises(DataError, match="y has no columns"):
        new().fit(y.to_frame()[[]])
    half = pd.DataFrame({"seen": y, "unseen": np.nan})
    with pytest.raises(DataError, match="every value of y in column 'unseen' is miss"):
        new().fit(half)
    with pytest.raises(DataError, match="y of series 'b' in column 'unseen' is miss"):
        new().fit(pd.concat({"a": half.fillna(1.0), "b": half}))


def test_too_little_to_train_on_is_refused(new, y):
    with pytest.raises(TrainingError, match=r"longest series has 1 time steps"):
        new().fit(y[:1], fh=[1])
    with pytest.raises(TrainingError, match=r"validation_fraction is 0\.9"):
        new(validation_fraction=0.9).fit(y[:10], fh=[1, 2, 3])


def test_one_series_of_a_panel_without_values_is_refused(new, panel):
    panel.loc[["c"]] = np.nan
    with pytest.raises(DataError, match=r"every value of y of series 'c' is missing"):
        new().fit(panel)


NO_CONTAINER = r"Unsupported input data type.*in an sktime compatible format"
NO_NUMBERS = "Forecasters do not support categorical features"
NO_TIMES = rf"{NO_CONTAINER}(.|\n)*pd.Series: <class 'pandas.*Index'> is not supported"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ([1.0, 2.0, 3.0], rf"{NO_CONTAINER}(.|\n)*found <class 'list'>"),
        ("a file", NO_CONTAINER),
        ({"a": [1, 2]}, NO_CONTAINER),
        (pd.Series(["1", "2", "3", "4"]), NO_NUMBERS),
        (pd.Series([1.0, 2.0, "x", 4.0], dtype=object), NO_NUMBERS),
        (pd.Series([1j, 2j, 3j, 4j]), "Found dtype: complex128"),
        (pd.Series(pd.Categorical(["a", "b", "a", "b"])), NO_NUMBERS),
        (pd.Series(pd.date_range("2000-01-01", periods=4)), NO_NUMBERS),
        (pd.Series([1.0, 2.0, 3.0], index=[0.5, 1.0, 1.5]), NO_TIMES),
        (pd.Series([1.0, 2.0, 3.0], index=["a", "b", "c"]), NO_TIMES),
        (
            pd.DataFrame([[1.0, 2.0], [3.0, 4.0]], columns=["a", "a"]),
            rf"{NO_CONTAINER}(.|\n)*must have unique column indices.*'a', 'a'",
        ),
    ],
    ids=lambda data: f"{type(data).__name__} {getattr(data, 'dtype', '')}",
)
def test_what_is_no_numeric_series_is_refused(new, data, message):
    """By sktime's own checks."""
    with pytest.raises(TypeError, match=message):
        new().fit(data)


@pytest.mark.parametrize("kind", [object, str, complex, "datetime64[D]"])
@pytest.mark.parametrize("shape", [(12,), (12, 2), (3, 1, 12)])
def test_arrays_of_no_real_numbers_are_refused(new, kind, shape):
    """Though words could be read as numbers, and complex numbers by half."""
    values = np.arange(np.prod(shape)).reshape(shape).astype(kind)
    with pytest.raises(DataError, match=r"y must be numeric, got columns of dtype"):
        new().fit(values, fh=[1])


def test_rows_of_a_panel_that_do_not_stand_together_are_refused(new, panel):
    mixed = panel.iloc[np.r_[:30, 60:100, 30:60, 100 : len(panel)]]
    with pytest.raises((DataError, TypeError), match=r"together|compatible format"):
        new().fit(mixed)


# -- covariates ---------------------------------------------------------------------


@pytest.fixture
def with_X(make, y, X):
    """A forecaster fitted with covariates on all of y."""
    return make(horizon=6).fit(y, X[: len(y)])


def test_missing_covariates_are_refused(with_X, X):
    with pytest.raises(CovariateError, match=r"\['price', 'ads'\], but X is None"):
        with_X.predict(fh=[1, 2])
    with pytest.raises(CovariateError, match=r"X is None"):
        with_X.predict_interval(fh=[1, 2])
    with pytest.raises(CovariateError, match=r"no row for 2006-02.*forecast"):
        with_X.predict(fh=[1, 2], X=X[72:73])
    with pytest.raises(CovariateError, match=r"no row for 2006-05.*forecast"):
        with_X.predict(fh=[2, 5], X=X[72:76])
    match = r"no row for 2006-01.*index, .*from 2000-01 to 2005-12.*of the horizon\.$"
    with pytest.raises(CovariateError, match=match):
        with_X.predict(fh=[1], X=X[:72])


def test_an_array_of_covariates_counts_from_the_first_time_step(make, y, X):
    """As y does: one for the horizon alone is refused."""
    y, X = y.to_numpy(), X.to_numpy()
    forecaster = make(horizon=6).fit(y, X[:72])
    match = r"no row for 72, .*from 0 to 1\. .*An array counts from 0: pass it from"
    with pytest.raises(CovariateError, match=match):
        forecaster.predict(fh=[1, 2], X=X[72:74])
    assert np.isfinite(forecaster.predict(fh=[1, 2], X=X[:74])).all()


def test_covariates_on_another_time_axis_are_refused(with_X, X):
    for ahead in (X[72:].reset_index(drop=True), X[72:].set_axis(range(500, 524))):
        with pytest.raises(DataError, match=r"does not lie on the time axis.*2000-01"):
            with_X.predict(fh=[1], X=ahead)


def test_covariates_that_are_infinite_ahead_are_refused(with_X, X):
    X.iloc[73, 0] = np.inf
    with pytest.raises(DataError, match=r"X is infinite at Period\('2006-02'"):
        with_X.predict(fh=[1, 2], X=X[72:])


SEVERAL_ROWS = r"X has several rows for Period\('{}', 'M'\).*~X\.index\.duplicated"


def test_covariates_with_several_rows_for_a_time_step_are_refused(new, y, X):
    with pytest.raises(CovariateError, match=SEVERAL_ROWS.format("2005-10")):
        new().fit(y, repeated(X[:72], 69))


def test_several_rows_of_covariates_ahead_are_refused(with_X, y, X):
    before = with_X.predict(fh=[1, 2], X=X[72:])
    with pytest.raises(CovariateError, match=SEVERAL_ROWS.format("2006-01")):
        with_X.predict(fh=[1, 2], X=repeated(X[72:], 0))
    more = y[-12:].set_axis(X.index[72:84])
    with pytest.raises(CovariateError, match=SEVERAL_ROWS.format("2006-04")):
        with_X.update(more, repeated(X[72:84], 3), update_params=False)
    np.testing.assert_array_equal(with_X.predict(fh=[1, 2], X=X[72:]), before)
    with pytest.raises(CovariateError, match=r"no row for 2006-01, .*index, which is"):
        with_X.predict(fh=[1], X=X[:0])


def test_covariates_of_fit_must_cover_y(new, y, X):
    with pytest.raises(ValueError, match=r"2005-12|no row for"):
        new().fit(y, X[:71])


def test_covariates_that_are_no_numbers_are_refused(new, y, X):
    for values in (["x"] * 72, pd.Categorical(["x"] * 72)):
        with pytest.raises(TypeError, match="categorical"):
            new().fit(y, X[:72].assign(price=values))
    doubled = pd.concat([X["ads"], X["ads"]], axis=1)[:72]
    with pytest.raises(TypeError, match=r"compatible format|unique"):
        new().fit(y, doubled)


def test_past_covariates_must_be_columns_of_X(new, y, X):
    with pytest.raises(
        CovariateError, match=r"\['cost'\] are no columns of X.*'price'"
    ):
        new(past_covariates=["price", "cost"]).fit(y, X[:72])
    with pytest.raises(CovariateError, match=r"\['price'\] were named, but X is None"):
        new(past_covariates=["price"]).fit(y)


def test_names_of_an_upper_level_are_no_columns_of_X(new, y, X):
    two_levels = X.set_axis(pd.MultiIndex.from_product([["price"], [1, 2]]), axis=1)
    with pytest.raises(CovariateError, match=r"\['price'\] are no columns of X"):
        new(past_covariates=["price"]).fit(y, two_levels[:72])


def test_forecasts_take_no_name_of_an_upper_level_for_a_column(with_X, X):
    columns = pd.MultiIndex.from_tuples([(name, 1) for name in X.columns])
    with pytest.raises(CovariateError, match=r"lacks the known-future.*'price', 'ads'"):
        with_X.predict(fh=[1], X=X[72:].set_axis(columns, axis=1))


def test_covariates_of_one_series_of_a_panel_must_not_lack(make, panel):
    X = pd.DataFrame({"price": np.arange(len(panel)) % 7.0}, index=panel.index)
    forecaster = make(horizon=6).fit(panel, X)
    ahead = pd.concat(
        {
            key: pd.DataFrame(
                {"price": 1.0},
                index=pd.period_range(
                    panel.loc[key].index[-1] + 1, periods=2, freq="M", name="month"
                ),
            )
            for key in ("b", "c")
        },
        names=["shop"],
    )
    with pytest.raises(CovariateError, match=r"no row for 2004-01 of series 'a'"):
        forecaster.predict(fh=[1], X=ahead)


# -- horizons -----------------------------------------------------------------------


@pytest.mark.parametrize("fh", [0.5, [0.5], "3", ["3"], [1, 1], [], {"a": 1}])
def test_horizons_that_are_none_are_refused(new, make, y, fh):
    """By sktime itself."""
    with pytest.raises((TypeError, ValueError), match="fh"):
        new().fit(y, fh=fh)


def test_horizons_off_the_time_axis_are_refused(make, y, stamps):
    forecaster = make(horizon=6).fit(y)
    with pytest.raises(DataError, match="does not lie on the time axis"):
        forecaster.predict(fh=ForecastingHorizon([100], is_relative=False))
    forecaster = make(horizon=6).fit(stamps)
    times = pd.DatetimeIndex(["2006-01-15"])
    with pytest.raises((DataError, ValueError), match=r"2006-01-15"):
        forecaster.predict(fh=times)


@pytest.mark.parametrize(
    ("freq", "days", "received"),
    [
        ("D", 1.5, r"2000-03-13 12:00.*frequency D\."),
        ("MS", 20, r"2005-12-21 .*frequency MS\."),
        ("M", 31, r"Timedelta\('31 days.*frequency ME?\."),
        ("2D", 1, r"Period\('2000-05-23'.*frequency 2D\."),
        (None, 1, r"Timedelta\('1 days.*has integers\."),
    ],
)
def test_timedeltas_off_the_time_axis_are_refused(make, y, freq, days, received):
    if freq in ("D", "MS"):
        y = y.set_axis(pd.date_range("2000-01-01", periods=72, freq=freq))
    elif freq is None:
        y = y.reset_index(drop=True)
    else:
        y = y.set_axis(pd.period_range("2000-01-01", periods=72, freq=freq))
    delays = pd.to_timedelta([days], unit="D")
    forecaster = make(horizon=6).fit(y)
    with pytest.raises(DataError, match=received):
        forecaster.predict(fh=delays)
    with pytest.raises(DataError, match="does not lie on the time axis"):
        make().fit(y, fh=delays)


def test_periods_between_time_steps_of_several_are_refused(make, y):
    y = y.set_axis(pd.period_range("2000-01-01", periods=72, freq="2D"))
    forecaster = make(horizon=6).fit(y)
    between = pd.PeriodIndex(["2000-05-24", "2000-05-27"], freq="2D")
    with pytest.raises(
        DataError, match=r"Period\('2000-05-2.*not lie on the time axis"
    ):
        forecaster.predict(fh=between)


def test_horizons_before_the_series_are_refused(make, y):
    forecaster = make(horizon=6).fit(y)
    assert np.isfinite(forecaster.predict(fh=[-71])).all()
    with pytest.raises(DataError, match=r"72 steps before .* 72 time steps.*first one"):
        forecaster.predict(fh=[-72, 1])


def test_predict_before_fit_raises_sktimes_own_error(new, y):
    for call in (
        lambda one: one.predict(fh=[1]),
        lambda one: one.predict_interval(fh=[1]),
        lambda one: one.predict_proba(fh=[1]),
        lambda one: one.update(y),
    ):
        with pytest.raises(NotFittedError):
            call(new())


# -- parameters ---------------------------------------------------------------------

WRONG = {
    "window_length": [0, -1, 1.5, "a", True],
    "horizon": [0, 2.0, "x"],
    "sp": [0, -2, 1.5, "a", True, [12]],
    "past_covariates": ["price", 5],
    "likelihood": ["x", 5, ["normal"]],
    "hidden_size": [0, 1.5, "8", None],
    "segment_length": [0, "a", 2.5],
    "linear_path": [1, "yes", None],
    "joint_channels": [0, "no"],
    "n_members": [0, 1.5, "a", None],
    "num_layers": [0, 1.5, None],
    "dropout": [1, -0.1, "a", None],
    "reverse_lookback": [1, None],
    "max_steps": [0, -1, 2.5, "a"],
    "batch_size": [0, 1.5, "a"],
    "learning_rate": [0, -1, np.inf, np.nan, "a", None],
    "validation_fraction": [1, -0.1, "a", None],
    "patience": [0, 1.5, None],
    "fine_tune_steps": [-1, 1.5, None],
    "random_state": [-1, 1.5, "a", 2**70],
    "precision": ["bf32", "float16", 16, None],
    "device": ["gpu", "cpu0", 1.5, None],
    "verbose": [1, "a", None],
    "checkpoint": [3, "no/such/folder/state", b"state"],
}
"""Values of every parameter that cannot work."""

OWNERS = {
    "num_layers": StackedLSTMForecaster,
    "dropout": StackedLSTMForecaster,
    "reverse_lookback": EncoderDecoderLSTMForecaster,
}


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name in WRONG for value in WRONG[name]]
)
def test_parameters_that_cannot_work_are_refused_by_name(
    no_training, small, y, X, name, value
):
    """The message names the parameter and repeats what was received."""
    owner = OWNERS.get(name, VanillaLSTMForecaster)
    forecaster = owner(**{**small, name: value})
    received = re.escape(str(value))
    with pytest.raises((ParameterError, ParameterTypeError), match=received) as caught:
        forecaster.fit(y, X[: len(y)] if name == "past_covariates" else None)
    assert name in str(caught.value)


def test_every_parameter_has_a_wrong_value_here(forecaster_class):
    assert set(forecaster_class.get_param_names()) <= WRONG.keys()


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("normall", "normal"),
        ("gaussian", None),
        ("quantiles", "quantile"),
        ("Quantile", "quantile"),
        ("studentt", "student_t"),
        ("student-t", "student_t"),
    ],
)
def test_a_mistyped_likelihood_is_answered_with_the_nearest_one(new, y, typed, meant):
    with pytest.raises(ParameterError, match=re.escape(repr(typed))) as caught:
        new(likelihood=typed).fit(y)
    message = str(caught.value)
    if meant is not None:
        assert f"Did you mean {meant!r}?" in message
    assert "Valid values: None, 'quantile', 'normal', 'student_t'." in message


def test_a_mistyped_precision_is_answered_with_the_valid_ones(new, y):
    with pytest.raises(ParameterError, match="precision='bf-16' is unknown") as caught:
        new(precision="bf-16").fit(y)
    assert "Did you mean 'bf16'?" in str(caught.value)
    assert "'float32', 'bf16'" in str(caught.value)


def test_parameters_are_checked_by_pretrain_as_well(new, panel):
    with pytest.raises(ParameterError, match="horizon"):
        new(horizon=0).pretrain(panel)


def test_a_network_that_diverges_twice_is_refused(make, y, X):
    with (
        pytest.warns(TrainingWarning, match=r"1e\+300; it begins again at 1e\+299"),
        pytest.raises(TrainingError, match=r"diverged twice.*rate below 1e\+299"),
    ):
        make(learning_rate=1e300).fit(y, X[: len(y)])


@pytest.mark.filterwarnings("ignore:training diverged:UserWarning")
def test_a_network_that_was_trained_too_fast_never_forecasts_nan(make, y):
    try:
        forecast = make(learning_rate=1e20, horizon=6).fit(y).predict(fh=range(1, 15))
    except LSTMForecastersError:
        return
    assert not forecast.isna().any()


# -- updates ------------------------------------------------------------------------


@pytest.fixture
def fitted(make, y):
    """A forecaster fitted on the first five years."""
    return make(horizon=6).fit(y[:60], fh=[1, 2, 3])


def test_updates_that_do_not_fit_are_refused(fitted, y, no_training):
    frame = y[60:].to_frame()
    for wrong, message in (
        (frame.assign(more=1.0), r"\['sales', 'more'\], but fit saw \['sales'\]"),
        (pd.concat({"a": frame}), r"kind that fit saw: a single series"),
        (y[60:].reset_index(drop=True), r"does not lie on the time axis"),
        (replaced(y[60:], 3, np.inf), r"y is infinite"),
        (without(y[60:], 3), r"gap"),
        (repeated(y[60:], 3), r"twice"),
    ):
        with pytest.raises(DataError, match=message):
            fitted.update(wrong)
        with pytest.raises(DataError, match=message):
            fitted.update(wrong, update_params=False)


def test_a_panel_is_not_updated_with_a_single_series(make, panel, y, no_training):
    forecaster = make(horizon=6, max_steps=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Trainer, "run", lambda self: self.model)
        forecaster.fit(panel)
    with pytest.raises(DataError, match="kind that fit saw: a panel"):
        forecaster.update(y[60:].to_frame())


def test_an_update_may_be_missing_altogether(fitted, y):
    """The cutoff moves on, and the step is masked."""
    missing = replaced(y[60:61], 0, np.nan)
    fitted.update(missing, update_params=False)
    forecast = fitted.predict()
    assert list(forecast.index) == [y.index[61], y.index[62], y.index[63]]
    assert np.isfinite(forecast).all()


def test_rows_without_the_name_of_their_series_are_refused(make, panel, hierarchy):
    for data, level in ((panel, 0), (hierarchy, 0), (hierarchy, 1)):
        index = data.index.to_frame()
        column = index.columns[level]
        index.loc[index[column] == index[column].iloc[0], column] = None
        nameless = data.set_index(pd.MultiIndex.from_frame(index))
        with pytest.raises(DataError, match="name of their series"):
            make(horizon=6).fit(nameless)


# -- nothing is lost ----------------------------------------------------------------


def test_an_interrupted_fit_leaves_a_usable_forecaster(make, y, monkeypatch):
    """Ctrl-C raises, and what was learnt so far forecasts."""
    steps = []
    original = Trainer.step

    def step(self, *arguments):
        steps.append(1)
        if len(steps) > 10:
            raise KeyboardInterrupt
        return original(self, *arguments)

    monkeypatch.setattr(Trainer, "step", step)
    forecaster = make(horizon=6, max_steps=25)
    with pytest.raises(KeyboardInterrupt):
        forecaster.fit(y)
    assert forecaster.is_fitted
    assert np.abs(forecaster.predict(fh=[1, 2, 3]) - y[-12:-9].to_numpy()).max() < 30
