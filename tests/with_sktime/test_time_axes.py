"""Time axes: every kind of index gives the same numbers, and its own labels."""

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_array_equal
from pandas.tseries.frequencies import to_offset
from sktime.forecasting.base import ForecastingHorizon

from lstm_forecasters.seasons import season_of
from lstm_forecasters.sktime import VanillaLSTMForecaster
from lstm_forecasters.sktime.timegrid import TimeGrid


@pytest.fixture
def make(make_any):
    """Return a function that constructs a small forecaster, pretrained ones too."""
    return make_any


STEPS = [-30, -2, 0, 1, 2, 5, 20]
FREQUENCIES = ["Q-NOV", "Y-MAR", "W-WED", "2M", "15min", "90min", "ms", "us", "ns"]
INDEXES = {
    "months": lambda n: pd.period_range("1999-11", periods=n, freq="M"),
    "quarters": lambda n: pd.period_range("1990Q3", periods=n, freq="Q"),
    "weeks": lambda n: pd.period_range("2001-01-05", periods=n, freq="W"),
    "days as periods": lambda n: pd.period_range("2000-02-27", periods=n, freq="D"),
    "hours as periods": lambda n: pd.period_range(
        "2000-02-28 22:00", periods=n, freq="h"
    ),
    "minutes as periods": lambda n: pd.period_range(
        "2000-02-28 23:30", periods=n, freq="min"
    ),
    "seconds as periods": lambda n: pd.period_range(
        "2000-02-28 23:59:30", periods=n, freq="s"
    ),
    "month starts": lambda n: pd.date_range("1999-11-01", periods=n, freq="MS"),
    "month ends": lambda n: pd.date_range("1999-11-30", periods=n, freq="ME"),
    "days": lambda n: pd.date_range("2000-02-27", periods=n, freq="D"),
    "business days": lambda n: pd.bdate_range("2000-02-25", periods=n),
    "half hours": lambda n: pd.date_range("2000-02-28 22:30", periods=n, freq="30min"),
    "hours over a clock change": lambda n: pd.date_range(
        "2024-03-30 12:00", periods=n, freq="h", tz="Europe/Berlin"
    ),
    "days over a clock change": lambda n: pd.date_range(
        "2024-02-25", periods=n, freq="D", tz="US/Eastern"
    ),
    "milliseconds": lambda n: pd.date_range("2000-01-01", periods=n, freq="10ms"),
    "years": lambda n: pd.period_range("1900", periods=n, freq="Y"),
    "range": lambda n: pd.RangeIndex(n),
    "integers": lambda n: pd.Index(np.arange(n) + 1000),
    "negative integers": lambda n: pd.RangeIndex(-50, n - 50),
    **{
        f"periods of {freq}": lambda n, freq=freq: pd.period_range(
            "2000-01-05", periods=n, freq=freq
        )
        for freq in FREQUENCIES
    },
}
"""From a number of time steps to an index."""


@pytest.fixture
def values(y):
    """The numbers of the series, and more for after its end."""
    generator = np.random.default_rng(3)
    return np.r_[y.to_numpy(), y.to_numpy()[-12:] + generator.normal(size=12)]


FOR_ALL = ["months", "month ends", "hours over a clock change", "integers"]
"""Kinds that are tried with every forecaster; the others share one code."""


@pytest.mark.parametrize("kind", INDEXES)
def test_every_index_gives_the_same_numbers_and_its_own_labels(small, values, kind):
    """The season is given: the numbers are the same then."""
    check_index(VanillaLSTMForecaster(**small, sp=12, horizon=6), values, kind)


@pytest.mark.parametrize("kind", FOR_ALL)
def test_indexes_of_each_kind_do_so_for_every_forecaster(make, values, kind):
    check_index(make(sp=12, horizon=6), values, kind)


def check_index(unfitted, values, kind):
    """Compare forecasts on an index of a kind with those on plain numbers."""
    index = INDEXES[kind](len(values) + 20)
    series = pd.Series(values, index=index[: len(values)])
    plain = pd.Series(values)
    expected = unfitted.clone().fit(plain[:72], fh=STEPS)
    forecaster = unfitted.clone().fit(series[:72], fh=STEPS)
    forecast = forecaster.predict()
    assert_array_equal(forecast, expected.predict())
    times = [index[71 + step] for step in STEPS]
    assert list(forecast.index) == times
    absolute = ForecastingHorizon(index[[71 + step for step in STEPS]], False)
    assert_array_equal(forecaster.predict(fh=absolute), expected.predict())
    quantiles = forecaster.predict_quantiles(alpha=[0.1])
    assert_array_equal(quantiles, expected.predict_quantiles(alpha=[0.1]))
    forecaster.update(series[72:], update_params=False)
    expected.update(plain[72:], update_params=False)
    forecast = forecaster.predict(fh=[1, 3])
    assert_array_equal(forecast, expected.predict(fh=[1, 3]))
    assert list(forecast.index) == [index[84], index[86]]


@pytest.mark.parametrize(
    "kind",
    ["month starts", "month ends", "days", "half hours", "days over a clock change"],
)
def test_time_stamps_without_a_frequency_follow_the_one_they_show(make, values, kind):
    index = INDEXES[kind](len(values) + 20)
    with_freq = pd.Series(values, index=index[: len(values)])
    bare = with_freq.copy()
    bare.index = pd.DatetimeIndex(index[: len(values)], freq=None)
    forecasts = []
    for series in (with_freq, bare):
        forecaster = make(horizon=6).fit(series[:72])
        forecasts.append(forecaster.predict(fh=STEPS))
        forecaster.update(series[72:], update_params=False)
        forecasts.append(forecaster.predict(fh=STEPS))
    for one, other in ((0, 2), (1, 3)):
        assert_array_equal(forecasts[one], forecasts[other])
        assert list(forecasts[one].index) == list(forecasts[other].index)


@pytest.mark.parametrize(
    ("freq", "n_steps", "season"),
    [
        ("M", 60, 12),
        ("2M", 60, 6),
        ("5M", 60, 1),
        ("Q", 40, 4),
        ("D", 60, 7),
        ("B", 60, 5),
        ("W", 120, 52),
        ("W", 60, 1),  # barely more than a year of weeks
        ("h", 100, 24),
        ("h", 40, 1),  # less than two days
        ("6h", 40, 4),
        ("30min", 120, 48),
        ("15min", 200, 96),
        ("min", 200, 60),
        ("Y", 60, 1),
        (None, 60, 1),
    ],
)
def test_the_season_follows_the_frequency(small, seasonal, freq, n_steps, season):
    series = seasonal(n_steps).reset_index(drop=True)
    if freq == "B":
        series.index = pd.bdate_range("2000-01-03", periods=n_steps)
    elif freq is not None:
        series.index = pd.period_range("2000-01-01", periods=n_steps, freq=freq)
    settings = {**small, "max_steps": 1}
    forecaster = VanillaLSTMForecaster(**settings).fit(series)
    assert forecaster.network_.layout.period == season
    given = VanillaLSTMForecaster(**settings, sp=3).fit(series)
    assert given.network_.layout.period == 3
    if season > 1:
        given = VanillaLSTMForecaster(**settings, sp=season, horizon=6).fit(series)
        inferred = VanillaLSTMForecaster(**settings, horizon=6).fit(series)
        assert_array_equal(given.predict(fh=STEPS[1:]), inferred.predict(fh=STEPS[1:]))


@pytest.mark.parametrize(
    ("freq", "season"),
    [
        ("W-SUN", 52),
        ("7D", 52),
        ("168h", 52),
        ("2W", 26),
        ("D", 7),
        ("24h", 7),
        ("1440min", 7),
        ("86400s", 7),
        ("2D", 1),
        ("2880min", 1),
        ("1500min", 1),
        ("60min", 24),
        ("3600s", 24),
        ("360min", 4),
        ("5h", 1),
        ("2min", 720),
        ("90min", 16),
        ("7min", 1),
        ("60s", 60),
        ("120s", 720),
        ("30s", 2),
        ("7s", 1),
        ("bh", 8),
        ("cbh", 8),
        ("2bh", 4),
        ("C", 5),
        ("3MS", 4),
        ("12ME", 1),
        ("10ms", 1),
    ],
)
def test_frequencies_of_one_length_have_the_season_of_that_length(freq, season):
    """In whole time steps, or none."""
    offset = to_offset(freq)
    assert season_of(offset.rule_code, offset.n) == season


@pytest.mark.parametrize("freq", ["1500min", "2880min"])
def test_time_steps_beyond_a_day_are_forecast(make, y, freq):
    series = y.set_axis(pd.date_range("2000", periods=len(y), freq=freq))
    forecaster = make(horizon=3).fit(series, fh=[1, 5])
    assert forecaster.network_.layout.period == 1
    assert np.isfinite(forecaster.predict()).all()


@pytest.mark.parametrize(
    ("kind", "length"),
    [("days", "1D"), ("half hours", "30min"), ("hours as periods", "1h")],
)
def test_timedeltas_from_the_cutoff_are_steps(make, values, kind, length, tmp_path):
    """Before and after an update, and in a file."""
    series = pd.Series(values, index=INDEXES[kind](len(values)))
    delays = pd.Timedelta(length) * np.array(STEPS)
    by_time = make(horizon=6).fit(series[:72], fh=pd.TimedeltaIndex(delays))
    by_steps = make(horizon=6).fit(series[:72], fh=STEPS)
    for one in (by_time, by_steps):
        one.update(series[72:], update_params=False)
    by_time.to_file(tmp_path / "file", keep_context=True)
    twin = type(by_time).from_file(tmp_path / "file")
    for one in (by_time, twin):
        pd.testing.assert_series_equal(one.predict(), by_steps.predict())
    if by_time.get_tag("capability:pred_int"):
        found, expected = (one.predict_interval() for one in (by_time, by_steps))
        pd.testing.assert_frame_equal(found, expected)


def test_timedeltas_are_from_the_cutoff_of_each_series(make, y):
    days = y.set_axis(INDEXES["days"](len(y))).to_frame()
    both = pd.concat({"b": days[:60], "a": days[10:50]}, names=["shop", "day"])
    forecaster = make(horizon=3).fit(both)
    found = forecaster.predict(fh=pd.to_timedelta([-1, 2, 5], unit="D"))
    pd.testing.assert_frame_equal(found, forecaster.predict(fh=[-1, 2, 5]))


def test_containers_of_one_series_give_the_same_numbers(make, y):
    """Series, frames and arrays, each answered in kind."""
    forecasts = {}
    for name, data in {
        "series": y.reset_index(drop=True),
        "frame": y.reset_index(drop=True).to_frame(),
        "array": y.to_numpy(),
        "column": y.to_numpy()[:, None],
    }.items():
        forecasts[name] = make(sp=12).fit(data, fh=[1, 2, 3]).predict()
    assert isinstance(forecasts["series"], pd.Series)
    assert isinstance(forecasts["frame"], pd.DataFrame)
    assert isinstance(forecasts["array"], np.ndarray)
    for forecast in forecasts.values():
        found = np.asarray(forecast).ravel()
        assert_array_equal(found, forecasts["series"])


def test_whole_numbers_and_small_floats_are_read_as_they_are(make, y):
    """Integer, nullable and float32 columns forecast like float64 ones."""
    whole = y.round()
    expected = make().fit(whole, fh=[1, 2, 3]).predict()
    for dtype in ("int64", "int32", "float32", "Int64", "Float64"):
        forecast = make().fit(whole.astype(dtype), fh=[1, 2, 3]).predict()
        assert_array_equal(forecast.astype(float), expected)


def test_the_cutoff_of_a_panel_is_that_of_the_series_which_ends_last(
    small, panel, hierarchy
):
    latest = pd.Period("2004-12", "M")  # of the first series and of the second
    cut = panel[panel.index.get_level_values(1) <= pd.Period("2003-05", "M")]
    assert list(VanillaLSTMForecaster(**small).fit(cut).cutoff) == [
        pd.Period("2003-05", "M")
    ]
    for data in (panel, panel.loc[["a", "b", "c"]], hierarchy):
        assert list(VanillaLSTMForecaster(**small).fit(data).cutoff) == [latest]
    stamped = panel.copy()
    stamped.index = panel.index.set_levels(
        panel.index.levels[1].to_timestamp(), level=1
    )
    cutoff = VanillaLSTMForecaster(**small).fit(stamped).cutoff
    assert list(cutoff) == [pd.Timestamp("2004-12-01")]
    assert cutoff.freqstr == "MS"


def test_a_gap_in_a_panel_of_time_stamps_is_seen_per_series(make, seasonal):
    """Two series that interleave on the calendar stand on one grid."""
    index = pd.date_range("2000-01-01", periods=60, freq="MS")
    early = pd.DataFrame({"sales": seasonal(30).to_numpy()}, index=index[:30])
    late = pd.DataFrame({"sales": seasonal(20, seed=1).to_numpy()}, index=index[40:])
    both = pd.concat({"early": early, "late": late}, names=["shop", "month"])
    forecast = make().fit(both, fh=[1, 2]).predict()
    assert list(forecast.loc["early"].index) == list(index[30:32])
    assert list(forecast.loc["late"].index) == [
        index[-1] + pd.DateOffset(months=1),
        index[-1] + pd.DateOffset(months=2),
    ]


def test_time_stamps_before_the_first_one_have_negative_positions():
    months = pd.date_range("2000-01-31", periods=6, freq="ME")
    grid = TimeGrid.of(months[3:])
    assert grid.positions(months).tolist() == [-3, -2, -1, 0, 1, 2]
    found = grid.index(np.array([-3, 0, 2]))
    assert list(found) == [months[0], months[3], months[5]]
