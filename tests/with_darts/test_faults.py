"""Series as they come: odd levels, gaps, sizes, names and containers, value by value.

What is refused stands in ``test_bad_input``; here is what has to work, and what darts
itself refuses before a model sees it.
"""

import copy

import numpy as np
import pandas as pd
import pytest
from darts import TimeSeries, concatenate
from numpy.testing import assert_allclose, assert_array_equal

from lstm_forecasters.errors import CovariateError, DataError


@pytest.fixture
def make(make_any):
    """Return a function that constructs a small model, pretrained ones too."""
    return make_any


FEW_STEPS = {"n_epochs": None, "pl_trainer_kwargs": {"max_steps": 3}}


def values_of(forecast):
    """Return the values of a forecast of one component."""
    return forecast.values()[:, 0]


def assert_finite(forecast):
    """Assert that no value of a forecast is missing or infinite."""
    assert np.isfinite(forecast.all_values()).all()


def changed(series, steps, value):
    """Return a series with another value at some steps."""
    values = series.values(copy=True)
    values[steps] = value
    return series.with_values(values)


# -- values -------------------------------------------------------------------------


@pytest.mark.parametrize("likelihood", [None, "quantile", "normal", "student_t"])
@pytest.mark.parametrize("level", [1e-12, 1e12, 1e30, 1e100])
def test_a_level_multiplies_the_forecast_and_nothing_else(
    make, monthly, likelihood, level
):
    """Points and samples, within the trained horizon and beyond it."""
    plain, moved = (
        make(likelihood=likelihood).fit(monthly() * factor) for factor in (1.0, level)
    )
    for n in (6, 15):
        expected = plain.predict(n).values()
        assert_allclose(moved.predict(n).values() / level, expected, rtol=1e-4)
        if likelihood is not None:
            samples = {"num_samples": 5, "random_state": 1}
            expected = plain.predict(n, **samples).all_values()
            found = moved.predict(n, **samples).all_values()
            assert_allclose(found / level, expected, rtol=1e-4)


def test_a_series_that_becomes_constant_is_forecast_as_that_constant(make, monthly):
    """Three years of seasons, then two years in which nothing moves."""
    series = changed(monthly(), slice(36, None), 110.0)
    model = make(likelihood="quantile", season_length=1).fit(series)
    assert_allclose(values_of(model.predict(15)), 110, atol=0.5)
    samples = model.predict(15, num_samples=20, random_state=1)
    assert_allclose(samples.all_values(), 110, atol=10)


def test_forecasts_beyond_the_type_of_the_series_are_refused(make):
    """They used to be infinite; float64 holds them, in the same model."""
    ramp = np.linspace(0.1, 1, 60, dtype="float32")
    series = TimeSeries.from_values(ramp * np.float32(3.3e38))
    model = make(likelihood="quantile").fit(series)
    expected = make(likelihood="quantile").fit(TimeSeries.from_values(ramp))
    message = r"reaches [3-9]\.\d+e\+38.* float32, which ends at 3\.4e\+38.*float64"
    for asked in (
        {"predict_likelihood_parameters": True},
        {"num_samples": 20, "random_state": 1},
    ):
        with pytest.raises(DataError, match=message):
            model.predict(6, **asked)
        found = model.predict(6, series.astype("float64"), **asked).all_values()
        assert found.max() > np.finfo("float32").max
        level = expected.predict(6, **asked).all_values()
        assert_allclose(found / 3.3e38, level, rtol=1e-4)


@pytest.mark.parametrize("dtype", [bool, "int64", "float32", object])
def test_values_of_other_types_are_read_as_numbers(make, monthly, dtype):
    """By darts, which makes floats of them."""
    whole = (monthly().values() > 110) * 1.0
    times = monthly().time_index
    series = TimeSeries.from_times_and_values(times, whole.astype(dtype))
    expected = make().fit(monthly().with_values(whole)).predict(9)
    assert_allclose(make().fit(series).predict(9).values(), expected.values(), 1e-5)


# -- missing values -----------------------------------------------------------------


def test_one_value_missing_at_the_cutoff_is_forecast_over(make, monthly):
    """The steps count from the missing one, and follow the season all the same.

    A step too many or too few is further away.
    """
    series = monthly(72)
    expected = make().fit(series).predict(11)
    forecast = make().fit(changed(series, -1, np.nan)).predict(11)
    assert forecast.start_time() == series.end_time() + series.freq
    assert_allclose(forecast.values(), expected.values(), atol=4.5)


@pytest.mark.parametrize("where", ["scattered", "last row", "a component", "ahead"])
@pytest.mark.parametrize("kind", ["past_covariates", "future_covariates"])
def test_values_missing_in_covariates_are_masked(make, monthly, kind, where):
    """Forecasts stay finite, and close to those without any covariates."""
    steps = {
        "scattered": slice(5, 84, 7),
        "last row": slice(59, 60),
        "a component": slice(0, 84),
        "ahead": slice(60, 84),
    }[where]
    both = concatenate(
        [changed(monthly(84, 0, 1), steps, np.nan), monthly(84, 0, 2)], axis=1
    )
    model = make().fit(monthly(), **{kind: both})
    forecast = model.predict(14, **{kind: both})
    assert_allclose(forecast.values(), make().fit(monthly()).predict(14).values(), 0.2)


# -- sizes --------------------------------------------------------------------------


@pytest.mark.parametrize("likelihood", [None, "quantile"])
def test_ten_times_the_chunk_begins_like_the_chunk(make, monthly, likelihood):
    model = make(output_chunk_length=3, likelihood=likelihood).fit(monthly())
    long = model.predict(30)
    assert_allclose(long.values()[:3], model.predict(3).values(), rtol=1e-9)
    assert_allclose(long.values(), monthly().values()[-12:].mean(), atol=60)
    if likelihood is not None:
        samples = {"num_samples": 5, "random_state": 1}
        long, short = model.predict(30, **samples), model.predict(3, **samples)
        assert_allclose(long.all_values()[:3], short.all_values(), rtol=1e-9)
        assert_finite(long)


def test_ten_times_the_window_stays_at_the_level_of_the_series(make, monthly):
    """Points do, in its season, and medians of samples; the samples spread."""
    model = make(likelihood="quantile").fit(monthly())
    season = values_of(monthly())[-12:]
    level = season.mean()
    points = values_of(model.predict(120))
    assert_allclose(points, level, atol=25)
    assert np.corrcoef(points[-12:], season)[0, 1] > 0.7
    samples = model.predict(120, num_samples=50, random_state=1).all_values()[:, 0]
    assert_allclose(np.median(samples, axis=1), level, atol=25)
    outer = np.quantile(samples, [0.1, 0.9], axis=1)
    assert_allclose(outer, level, atol=200)
    assert samples[-12:].std(axis=1).mean() > samples[:12].std(axis=1).mean()


@pytest.mark.parametrize("joint", [False, True])
def test_two_hundred_components_are_forecast_each_at_its_level(make, joint):
    levels = 1000 * np.arange(200.0)
    names = [f"shop {number}" for number in range(200)]
    values = levels + 5 * np.random.default_rng(0).normal(size=(60, 200))
    wide = TimeSeries.from_values(values, columns=names)
    forecast = make(joint_channels=joint, **FEW_STEPS).fit(wide).predict(9)
    assert list(forecast.components) == names
    assert_allclose(forecast.values() - levels, 0, atol=40)


def test_five_thousand_short_series_are_forecast_each_at_its_level(make):
    levels = 1000 * np.arange(5000.0)
    walks = np.random.default_rng(0).normal(size=(5000, 8)).cumsum(1)
    series = [
        TimeSeries.from_values(walk + level)
        for walk, level in zip(walks, levels, strict=True)
    ]
    forecasts = make(**FEW_STEPS).fit(series).predict(2, series)
    values = np.stack([values_of(one) for one in forecasts])
    assert_allclose(values, (walks[:, -1] + levels)[:, None] * [1, 1], atol=25)
    assert forecasts[-1].start_time() == 8


# -- names --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("names", "kept"),
    [
        ([7, 0], ["7", "0"]),
        (pd.MultiIndex.from_tuples([("a", 1), ("a", 2)]), ["('a', 1)", "('a', 2)"]),
        (["a", "a"], ["a", "a_1"]),
    ],
    ids=["integers", "tuples", "doubled"],
)
def test_names_become_unlike_strings(make, monthly, names, kept):
    """By darts, under whose names the same numbers come back."""
    values = np.c_[monthly().values(), 1000 - monthly().values()]
    frame = pd.DataFrame(values, index=monthly().time_index, columns=names)
    plain = (
        monthly().with_values(values[:, :1]).stack(monthly().with_values(values[:, 1:]))
    )
    named = plain.with_columns_renamed(list(plain.components), kept)
    series = (
        TimeSeries.from_dataframe(frame)
        if frame.columns.is_unique
        else TimeSeries.from_times_and_values(frame.index, values, columns=names)
    )
    assert list(series.components) == kept
    forecast = make().fit(series, past_covariates=series).predict(6)
    assert list(forecast.components) == kept
    expected = make().fit(named, past_covariates=named).predict(6)
    assert_array_equal(forecast.values(), expected.values())


# -- covariates ---------------------------------------------------------------------


def test_components_that_the_fit_did_not_have_are_refused(make, monthly):
    """They are not guessed from their places."""
    known = monthly(84, columns=["q"])
    model = make().fit(monthly(), future_covariates=known)
    more = known.stack(monthly(84, columns=["more"]))
    message = r"trained with the future_covariates \['q'\], but got \['q', 'more'\]"
    with pytest.raises(CovariateError, match=message):
        model.predict(6, future_covariates=more)
    assert_finite(model.predict(6, future_covariates=more["q"]))


# -- containers ---------------------------------------------------------------------

FREQUENCIES = ["YS", "YE", "QS", "QE-NOV", "MS", "ME", "BME", "W-WED", "D", "B", "h"]
FREQUENCIES += ["15min", "min", "s", "ms"]


@pytest.mark.parametrize("freq", FREQUENCIES)
def test_every_frequency_gives_the_same_numbers_and_its_own_times(make, monthly, freq):
    times = pd.date_range("2000-02-28", periods=69, freq=freq)
    values = monthly().values()
    series = TimeSeries.from_times_and_values(times[:60], values)
    settings = {"season_length": 12}
    forecast = make(**settings).fit(series).predict(9)
    expected = make(**settings).fit(TimeSeries.from_values(values)).predict(9)
    assert_array_equal(forecast.values(), expected.values())
    assert forecast.time_index.equals(times[60:])


def test_hours_over_a_clock_change_are_forecast_in_universal_time(make, monthly):
    """darts drops time zones, and refuses the hour that is missing then."""
    times = pd.date_range("2024-03-30 12:00", periods=69, freq="h", tz="Europe/Berlin")
    local = pd.Series(values_of(monthly()), index=times[:60])
    with pytest.raises(ValueError, match=r"frequency could not be .*inferred"):
        TimeSeries.from_series(local)
    universal = local.tz_convert("UTC").tz_localize(None)
    forecast = make(season_length=12).fit(TimeSeries.from_series(universal)).predict(9)
    back = forecast.time_index.tz_localize("UTC").tz_convert("Europe/Berlin")
    assert list(back) == list(times[60:])


def test_a_time_zone_changes_nothing_and_two_are_refused(make, monthly):
    """By darts, which drops the first and knows no time stamps in the second."""
    times = pd.date_range("2024-03-02", periods=60, freq="h")
    naive = pd.Series(values_of(monthly()), index=times)
    zoned = naive.tz_localize("Europe/Berlin")
    found, expected = (
        make().fit(TimeSeries.from_series(one)).predict(9) for one in (zoned, naive)
    )
    assert found == expected
    two = zoned.index[:30].append(zoned.index[30:].tz_convert("US/Eastern"))
    with pytest.raises(ValueError, match="must be indexed either with a DatetimeIndex"):
        TimeSeries.from_series(naive.set_axis(two))


def test_time_stamps_that_are_missing_double_or_in_disorder(make, monthly):
    """darts refuses the first two, by one message, and sorts the last."""
    plain = pd.Series(values_of(monthly()), index=monthly().time_index)
    gap = plain.drop(plain.index[10])
    for series in (gap, plain.iloc[np.r_[:10, 9:60]]):
        with pytest.raises(ValueError, match=r"frequency could not be .*inferred"):
            TimeSeries.from_series(series)
    filled = TimeSeries.from_series(gap, fill_missing_dates=True, freq="MS")
    expected = make().fit(changed(monthly(), 10, np.nan)).predict(9)
    assert_array_equal(make().fit(filled).predict(9).values(), expected.values())
    turned = TimeSeries.from_series(plain[::-1])
    expected = make().fit(monthly()).predict(9)
    assert_array_equal(make().fit(turned).predict(9).values(), expected.values())


def frozen(series):
    """Return a copy of a series whose values cannot be written."""
    values = series.all_values(copy=True)
    values.flags.writeable = False
    static = series.static_covariates
    return TimeSeries(
        series.time_index,
        values,
        components=series.components,
        static_covariates=static,
        copy=False,
    )


def test_arrays_that_cannot_be_written_are_read(make, monthly):
    static = pd.DataFrame({"size": [2.0]})
    series = changed(monthly(), 5, np.nan).with_static_covariates(static)
    known = monthly(84, columns=["q"])
    forecasts = []
    for of in (copy.copy, frozen):
        given = {"past_covariates": of(known), "future_covariates": of(known)}
        model = make().fit(of(series), sample_weight=of(monthly()), **given)
        forecasts.append(model.predict(15, of(series), **given).values())
        past = model.historical_forecasts(of(series), retrain=False, **given)
        forecasts.append(past.values())
    assert not frozen(series).all_values(copy=False).flags.writeable
    assert_array_equal(forecasts[0], forecasts[2])
    assert_array_equal(forecasts[1], forecasts[3])


def test_what_was_passed_stays_as_it_was(make, monthly):
    """Values, types, names, times and notes, whatever is called."""
    static = pd.DataFrame({"size": [2], "share": [0.5]})
    series = changed(monthly(columns=["sales"]), 3, np.nan).astype(np.float32)
    series = series.with_static_covariates(static).with_metadata({"source": "till"})
    given = {"series": series, "future_covariates": monthly(84, columns=["q"])}
    before = copy.deepcopy(given)
    model = make().fit(
        **given, val_series=series, val_future_covariates=given["future_covariates"]
    )
    model.predict(9, **given)
    model.historical_forecasts(**given, retrain=False)
    for name, kept in before.items():
        found = given[name]
        assert_array_equal(found.all_values(), kept.all_values())
        assert found.dtype == kept.dtype
        assert found.time_index.identical(kept.time_index)
        assert list(found.components) == list(kept.components)
        assert found.metadata == kept.metadata
    found, kept = (one["series"].static_covariates for one in (given, before))
    pd.testing.assert_frame_equal(found, kept)
