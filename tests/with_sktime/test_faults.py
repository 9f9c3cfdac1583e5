"""Series as they come: odd levels, gaps, sizes, names and containers, value by value.

What is refused stands in ``test_bad_input``; here is what has to work.
"""

import copy
import re
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from lstm_forecasters.errors import DataError
from lstm_forecasters.sktime import VanillaLSTMForecaster


@pytest.fixture
def make(make_any):
    """Return a function that constructs a small forecaster, pretrained ones too."""
    return make_any


LEVELS = [0.05, 0.5, 0.9]


def assert_finite(*forecasts):
    """Assert that no value of some forecasts is missing or infinite."""
    for forecast in forecasts:
        assert np.isfinite(np.asarray(forecast, dtype=float)).all()


# -- values -------------------------------------------------------------------------


@pytest.mark.parametrize("likelihood", [None, "quantile", "normal", "student_t"])
@pytest.mark.parametrize("level", [1e-12, 1e12, 1e30, 1e100])
def test_a_level_multiplies_the_forecast_and_nothing_else(make, y, likelihood, level):
    """Within and beyond the trained horizon, in quantiles and in variances."""
    plain, moved = (
        make(likelihood=likelihood, horizon=6).fit(series) for series in (y, level * y)
    )
    for fh in ([1, 3, 6], [1, 20], [-30, 0]):
        expected = plain.predict(fh=fh)
        assert_allclose(moved.predict(fh=fh) / level, expected, rtol=1e-4)
        if likelihood is not None:
            expected = plain.predict_quantiles(fh=fh, alpha=LEVELS)
            found = moved.predict_quantiles(fh=fh, alpha=LEVELS)
            assert_allclose(found / level, expected, rtol=1e-4)
            expected = plain.predict_var(fh=fh)
            assert_allclose(moved.predict_var(fh=fh) / level**2, expected, rtol=1e-4)


@pytest.mark.parametrize("likelihood", ["quantile", "normal", "student_t"])
def test_variances_beyond_float64_are_refused(make, y, likelihood):
    """They used to be infinite; all else goes on as ever."""
    plain, large = (
        make(likelihood=likelihood, horizon=6).fit(series) for series in (y, 1e200 * y)
    )
    for fh in ([1, 6], [1, 20], [-30, 0]):
        with pytest.raises(DataError, match=r"beyond float64.*Divide y.*interval"):
            large.predict_var(fh=fh)
        expected = plain.predict_quantiles(fh=fh, alpha=LEVELS)
        found = large.predict_quantiles(fh=fh, alpha=LEVELS)
        assert_allclose(found / 1e200, expected, rtol=1e-4)
    mean = large.predict_proba(fh=[1]).mean() / 1e200
    assert_allclose(mean, plain.predict_proba(fh=[1]).mean(), rtol=1e-4)


def test_a_series_that_becomes_constant_is_forecast_as_that_constant(make, y):
    """Three years of seasons, then three years in which nothing moves."""
    moved = y.iloc[:36].std()
    y.iloc[36:] = y.iloc[36]
    forecaster = make(sp=1).fit(y, fh=range(1, 15))
    assert_allclose(forecaster.predict(), y.iloc[-1], atol=0.1 * moved)
    quantiles = forecaster.predict_quantiles(alpha=LEVELS).to_numpy()
    assert_finite(quantiles)
    assert (np.diff(quantiles, axis=1) >= 0).all()
    assert_allclose(quantiles, y.iloc[-1], atol=10)


def test_truth_values_are_read_as_zeros_and_ones(make, y):
    above = y > y.median()
    forecast = make().fit(above, fh=[1, 2, 3]).predict()
    assert_array_equal(
        forecast, make().fit(above.astype(float), fh=[1, 2, 3]).predict()
    )


# -- missing values -----------------------------------------------------------------


def test_one_value_missing_at_the_cutoff_is_forecast_over(make, seasonal):
    """The steps count from the missing one, and follow the season all the same."""
    series = seasonal(noise=0.1)
    expected = make(horizon=6).fit(series).predict(fh=range(1, 12))
    series.iloc[-1] = np.nan
    forecaster = make(horizon=6).fit(series)
    forecast = forecaster.predict(fh=range(1, 12))
    assert list(forecast.index) == [series.index[-1] + step for step in range(1, 12)]
    assert_allclose(forecast, expected, atol=2)
    assert_finite(forecaster.predict_quantiles(fh=[-1, 0, 1, 20], alpha=LEVELS))


@pytest.mark.parametrize("n_missing", [12, 13, 40, 71])
def test_a_window_of_nothing_is_forecast_from_what_was_seen_before(make, y, n_missing):
    """One window and more are missing at the end, up to all but a single value."""
    y.iloc[-n_missing:] = np.nan
    forecaster = make(window_length=12, horizon=6).fit(y)
    forecast = forecaster.predict(fh=range(1, 15))
    assert_allclose(forecast, y.mean(), atol=40)
    assert_finite(forecaster.predict_quantiles(fh=[-1, 0, 1, 20], alpha=LEVELS))


@pytest.mark.parametrize("where", ["scattered", "last row", "a column", "ahead"])
def test_values_missing_in_X_are_masked(make, y, X, where):
    """Forecasts stay finite, and close to those without any X."""
    rows = {
        "scattered": np.arange(5, 96, 7),
        "last row": [71],
        "a column": np.arange(96),
        "ahead": np.arange(72, 96),
    }[where]
    X.iloc[rows, 0] = np.nan
    forecaster = make(horizon=6).fit(y, X[:72])
    forecast = forecaster.predict(fh=range(1, 15), X=X[72:])
    without = make(horizon=6).fit(y).predict(fh=range(1, 15))
    assert_allclose(forecast, without, atol=25)
    assert_finite(forecaster.predict_quantiles(fh=[1, 20], X=X[72:], alpha=LEVELS))
    assert_finite(forecaster.predict(fh=np.arange(-71, 1), X=X[:72]))


def test_covariates_far_from_those_of_the_fit_leave_forecasts_finite(make, y, X):
    forecaster = make(horizon=6).fit(y, X[:72].assign(price=1e-300))
    far = X[72:].assign(price=[1e300, -1e300] * 12)
    assert_finite(forecaster.predict(fh=range(1, 25), X=far))
    assert_finite(forecaster.predict_quantiles(fh=[1, 20], X=far, alpha=LEVELS))


# -- sizes --------------------------------------------------------------------------


@pytest.mark.parametrize("likelihood", [None, "quantile"])
def test_ten_times_the_trained_horizon_begins_like_the_trained_one(make, y, likelihood):
    forecaster = make(horizon=3, likelihood=likelihood).fit(y)
    long = forecaster.predict(fh=range(1, 31))
    assert_array_equal(long[:3], forecaster.predict(fh=[1, 2, 3]))
    assert_allclose(long, y[-12:].mean(), atol=5 * y.std())
    if likelihood is not None:
        long = forecaster.predict_quantiles(fh=range(1, 31), alpha=LEVELS)
        short = forecaster.predict_quantiles(fh=[1, 2, 3], alpha=LEVELS)
        assert_array_equal(long[:3], short)
        assert_finite(long)


def test_ten_times_the_window_stays_at_the_level_of_the_series(make, y):
    """Medians do, and in its season; quantiles spread, and not without bounds."""
    forecaster = make(window_length=12, horizon=6).fit(y)
    fh = range(1, 121)
    forecast = forecaster.predict(fh=fh)
    assert_allclose(forecast, y[-12:].mean(), atol=50)
    assert np.corrcoef(forecast[-12:], y[-12:])[0, 1] > 0.7
    low, medians, high = forecaster.predict_quantiles(fh=fh, alpha=LEVELS).to_numpy().T
    assert_allclose(medians, y[-12:].mean(), atol=50)
    for outer in (low, high):
        assert_allclose(outer, y[-12:].mean(), atol=200)
        assert (
            np.abs(outer - medians)[-12:].mean() > np.abs(outer - medians)[:12].mean()
        )


@pytest.mark.parametrize("joint", [False, True])
def test_two_hundred_columns_are_forecast_each_at_its_level(make, joint):
    levels = 1000 * np.arange(200.0)
    noise = np.random.default_rng(0).normal(size=(72, 200))
    wide = pd.DataFrame(levels + 5 * noise)
    forecaster = make(joint_channels=joint, max_steps=3).fit(wide, fh=[1, 2, 15])
    forecast = forecaster.predict()
    assert list(forecast.columns) == list(wide.columns)
    assert_allclose(forecast - levels, 0, atol=40)


def test_five_thousand_short_series_are_forecast_each_at_its_level(make):
    levels = 1000 * np.arange(5000.0)
    walks = np.random.default_rng(0).normal(size=(5000, 8)).cumsum(1)
    months = pd.period_range("2000-01", periods=8, freq="M")
    index = pd.MultiIndex.from_product([range(5000), months], names=["shop", "month"])
    panel = pd.DataFrame({"sales": (walks + levels[:, None]).ravel()}, index=index)
    forecast = make(max_steps=3).fit(panel, fh=[1, 2]).predict()
    assert forecast.shape == (10_000, 1)
    values = forecast.to_numpy().reshape(5000, 2)
    assert_allclose(values, (walks[:, -1] + levels)[:, None] * [1, 1], atol=25)
    assert list(forecast.loc[4999].index) == [months[-1] + 1, months[-1] + 2]


# -- names --------------------------------------------------------------------------

NAMES = {
    "integers": pd.Index([7, 0]),
    "tuples": pd.Index([("a", 1), ("b", 2)], tupleize_cols=False),
    "two levels": pd.MultiIndex.from_tuples([("a", 1), ("a", 2)]),
    "mixed": pd.Index(["a", 1], dtype=object),
    "dates": pd.date_range("2000-01-01", periods=2),
    "truth values": pd.Index([True, False]),
}


@pytest.mark.parametrize("names", NAMES.values(), ids=NAMES)
def test_names_need_not_be_strings(make, y, X, names):
    """The same numbers under the names that were given."""
    both = pd.DataFrame({"first": y, "second": 1000 - y})
    forecasts = []
    for columns, known in ((both.columns, X.columns), (names, names)):
        series, covariates = both.set_axis(columns, axis=1), X.set_axis(known, axis=1)
        forecaster = make(horizon=3).fit(series[:60], covariates[:60])
        forecaster.update(series[60:], covariates[60:72], update_params=False)
        forecasts.append(forecaster.predict(fh=[1, 5], X=covariates[72:]))
        assert forecasts[-1].columns.equals(columns)
        quantiles = forecaster.predict_quantiles(fh=[1], X=covariates[72:], alpha=0.1)
        assert_finite(quantiles)
    assert_array_equal(*forecasts)


def vanilla(**settings):
    """Return a small forecaster: distributions are made in the same way by all."""
    return VanillaLSTMForecaster(
        hidden_size=4, max_steps=5, horizon=3, random_state=3, **settings
    )


@pytest.mark.parametrize("kind", sorted(NAMES.keys() - {"tuples", "two levels"}))
def test_distributions_have_the_names_of_y(y, kind):
    """Not those of two levels, whose quantiles skpro cannot arrange."""
    both = pd.DataFrame({"first": y, "second": 1000 - y})
    quantiles = []
    for columns in (both.columns, NAMES[kind]):
        forecaster = vanilla().fit(both.set_axis(columns, axis=1))
        found = forecaster.predict_proba(fh=[1, 5]).quantile([0.1, 0.5, 0.9])
        assert list(found.columns.get_level_values(0).unique()) == list(columns)
        quantiles.append(found)
    assert_finite(quantiles[0])
    assert_array_equal(*quantiles)


ODD_NAMES = {
    "tuples": (NAMES["tuples"], "[('a', 1), ('b', 2)]"),
    "truth values and others": (pd.Index([True, "a"], dtype=object), "[True]"),
    "truth values as objects": (pd.Index([True, False], dtype=object), "[True, False]"),
}


@pytest.mark.parametrize(("names", "odd"), ODD_NAMES.values(), ids=ODD_NAMES)
def test_names_that_skpro_cannot_look_up(y, names, odd):
    """They are refused where it would have to, and nowhere else."""
    both = pd.DataFrame({"first": y, "second": 1000 - y})
    series = both.set_axis(names, axis=1)
    empirical, normal = (
        vanilla(likelihood=likelihood).fit(series)
        for likelihood in ("quantile", "normal")
    )
    message = rf"named {re.escape(odd)}, but skpro.*strings.*predict_quantiles"
    for forecaster, fh in ((empirical, [1]), (normal, [1, 5])):
        assert_finite(forecaster.predict_interval(fh=fh))
        for method in (forecaster.predict_proba, forecaster.predict_var):
            with pytest.raises(DataError, match=message):
                method(fh=fh)
    found = normal.predict_proba(fh=[1, 2])
    expected = vanilla(likelihood="normal").fit(both).predict_proba(fh=[1, 2])
    assert found.columns.equals(names)
    assert_array_equal(found.mean(), expected.mean())
    assert_array_equal(found.var(), expected.var())


def test_an_update_with_as_many_rows_as_columns_keeps_the_rows(make, y):
    """A list of truth values as a key would be pandas' mask of the rows."""
    both = pd.DataFrame({"first": y, "second": 1000 - y})
    forecasts = []
    for columns in (both.columns, pd.Index([True, False])):
        series = both.set_axis(columns, axis=1)
        forecaster = make(horizon=3).fit(series[:70])
        forecaster.update(series[70:], update_params=False)
        forecasts.append(forecaster.predict(fh=[1, 2]))
        assert forecasts[-1].columns.equals(columns)
    assert_array_equal(*forecasts)
    assert list(forecasts[-1].index) == [y.index[-1] + 1, y.index[-1] + 2]


# -- covariates ---------------------------------------------------------------------


def test_columns_of_X_that_fit_did_not_have_change_nothing(make, y, X):
    forecaster = make(horizon=3).fit(y, X[:72])
    expected = forecaster.predict(fh=[1, 2, 5], X=X[72:])
    more = X.assign(more=np.inf)[["more", "ads", "price"]]
    assert_array_equal(forecaster.predict(fh=[1, 2, 5], X=more[72:]), expected)


def test_covariates_of_another_frequency_are_refused(make, y, X):
    forecaster = make(horizon=3).fit(y, X[:72])
    for freq in ("D", "Q"):
        ahead = X[72:].set_axis(pd.period_range("2006-01", periods=24, freq=freq))
        with pytest.raises(DataError, match=r"time stamp Period\('2006.*M.*frequency"):
            forecaster.predict(fh=[1, 2], X=ahead)
    days = X.set_axis(pd.period_range("2000-01", periods=96, freq="D"))
    with pytest.raises(ValueError, match=r"extra indices are.*'2000-02'|no row for"):
        make(horizon=3).fit(y, days)
    stamps, known = y.to_timestamp(), X.to_timestamp()
    forecaster = make(horizon=3).fit(stamps, known[:72])
    with pytest.raises(DataError, match=r"2006-01-02 .*frequency MS\. Pass an index"):
        forecaster.predict(fh=[1, 2], X=known[72:].resample("D").ffill())


# -- containers ---------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:Period with BDay:FutureWarning")
@pytest.mark.filterwarnings("ignore:PeriodDtype.B.:FutureWarning")
def test_periods_of_business_days_are_forecast(make, y):
    """As long as pandas has them; five of them are a season."""
    index = pd.period_range("2000-02-25", periods=80, freq="B")
    forecaster = make(horizon=3).fit(y.set_axis(index[:72]))
    forecast = forecaster.predict(fh=[1, 8])
    expected = make(horizon=3, sp=5).fit(y.reset_index(drop=True)).predict(fh=[1, 8])
    assert_array_equal(forecast, expected)
    assert list(forecast.index) == [index[72], index[79]]


def test_a_time_zone_is_known_by_its_name(make, y, X):
    """Not by its object, of which pytz has several for one zone."""
    forecasts = []
    for zone in (ZoneInfo("Europe/Berlin"), ZoneInfo.no_cache("Europe/Berlin")):
        index = pd.date_range("2024-03-30 12:00", periods=96, freq="h", tz=zone)
        known = X.set_axis(index)
        series = y.set_axis(index[:72].tz_convert(ZoneInfo("Europe/Berlin")))
        forecaster = make(horizon=3).fit(series[:60], known.loc[series.index[:60]])
        later = y[60:].set_axis(index[60:72])
        forecaster.update(later, known[60:72], update_params=False)
        forecasts.append(forecaster.predict(fh=[1, 5], X=known[72:]))
        assert list(forecasts[-1].index) == [index[72], index[76]]
    assert_array_equal(*forecasts)
    with pytest.raises(DataError, match=r"Europe/Berlin.*time zone"):
        forecaster.predict(fh=[1], X=known[72:].tz_convert("US/Eastern"))
    with pytest.raises(DataError, match=r"Europe/Berlin.*time zone"):
        forecaster.update(later.tz_convert("US/Eastern"), known[60:72])
    two = series.index[:30].append(series.index[30:].tz_convert("US/Eastern"))
    with pytest.raises(TypeError, match=r"Index'> is not supported.*DatetimeIndex"):
        make().fit(y.set_axis(two))


def frozen(data):
    """Return a copy of a series or frame whose values cannot be written."""
    values = data.to_numpy(copy=True)
    values.flags.writeable = False
    if isinstance(data, pd.Series):
        return pd.Series(values, data.index, name=data.name, copy=False)
    return pd.DataFrame(values, data.index, data.columns, copy=False)


def test_arrays_that_cannot_be_written_are_read(make, y, X):
    y.iloc[5] = np.nan
    forecasts = []
    for of in (copy.copy, frozen):
        forecaster = make(horizon=3).fit(of(y[:60]), of(X[:60]))
        forecaster.update(of(y[60:]), of(X[60:72]))
        forecasts.append(forecaster.predict(fh=[-2, 1, 5], X=of(X[72:])))
    assert_array_equal(*forecasts)
    plain = y.to_numpy()
    plain.flags.writeable = False
    assert_finite(make(sp=12).fit(plain, fh=[1, 2]).predict())


def test_what_was_passed_stays_as_it_was(make, panel):
    """Values, types, names and notes of y and X, whatever is called."""
    y = panel.copy()
    y.iloc[3, 0] = np.nan
    X = pd.DataFrame({"whole": np.arange(len(y)), "flag": True}, index=y.index)
    given = [y, X]
    for data in given:
        data.attrs["source"] = ["till", 3]
        data.columns.name = "what"
    before = [copy.deepcopy(data) for data in given]
    forecaster = make(horizon=2, past_covariates=["whole", "flag"]).pretrain(y, X)
    forecaster.fit(y, X)
    forecaster.predict(fh=[-1, 1, 5])
    forecaster.predict_proba(fh=[-1, 1, 5])
    forecaster.update(y, X)
    for data, kept in zip(given, before, strict=True):
        pd.testing.assert_frame_equal(data, kept, check_exact=True)
        assert data.attrs == kept.attrs
        assert data.index.identical(kept.index)
        assert data.columns.identical(kept.columns)


@pytest.mark.parametrize("container", ["numpy2D", "numpy3D", "df-list"])
def test_arrays_and_lists_that_were_passed_stay_as_they_were(make, container):
    values = np.random.default_rng(0).normal(size=(2, 1, 40))
    values[..., 5] = np.nan
    y = {
        "numpy2D": values[0].T,
        "numpy3D": values,
        "df-list": [pd.DataFrame(one.T) for one in values],
    }[container]
    before = copy.deepcopy(y)
    forecaster = make(horizon=2).fit(y)
    for call in (
        lambda: None,
        lambda: forecaster.predict(fh=[-1, 1, 5]),
        lambda: forecaster.predict_quantiles(fh=[-1, 1, 5], alpha=LEVELS),
        lambda: forecaster.update(y),
    ):
        call()
        for one, kept in zip(y, before, strict=True):
            assert_array_equal(one, kept)
