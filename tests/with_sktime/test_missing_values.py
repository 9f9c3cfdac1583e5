"""Missing values and short series: forecasts close to those of complete series."""

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_array_equal

MISSING = {
    "scattered": lambda n: np.random.default_rng(1).permutation(n)[: n // 6],
    "leading": lambda n: np.arange(15),
    "a whole season": lambda n: np.arange(30, 42),
    "at the cutoff": lambda n: np.arange(n - 3, n),
    "leading and at the cutoff": lambda n: np.r_[np.arange(10), n - 1],
}


@pytest.fixture
def complete(seasonal):
    """A seasonal series with little noise, and two seasons after its end."""
    return seasonal(120, noise=0.3)


@pytest.mark.parametrize("where", MISSING)
@pytest.mark.parametrize("likelihood", [None, "quantile"])
def test_forecasts_are_close_to_those_of_the_complete_series(
    make, complete, where, likelihood
):
    history = complete[:96]
    holes = history.copy()
    holes.iloc[MISSING[where](len(holes))] = np.nan
    settings = {"max_steps": 60, "horizon": 6, "likelihood": likelihood}
    settings["window_length"] = 24
    fh = np.arange(1, 19)
    truth = complete[96:114]
    best = np.abs(make(**settings).fit(history).predict(fh=fh) - truth).mean()
    forecaster = make(**settings).fit(holes)
    forecast = forecaster.predict(fh=fh)
    assert np.isfinite(forecast).all()
    assert np.abs(forecast - truth).mean() < best + 0.2 * complete.std()
    fitted = forecaster.predict(fh=np.arange(-95, 1))
    assert np.isfinite(fitted).all()
    assert np.abs(fitted[48:] - history[48:]).mean() < 0.4 * complete.std()
    if likelihood is not None:
        quantiles = forecaster.predict_quantiles(fh=fh, alpha=[0.1, 0.9])
        assert np.isfinite(quantiles).all(axis=None)


def test_what_is_missing_is_no_target_and_no_zero(make, complete):
    """Weights and forecasts differ from those of a series with zeros instead."""
    holes = complete.copy()
    holes.iloc[MISSING["scattered"](len(holes))] = np.nan
    of_holes = make(horizon=6).fit(holes).predict(fh=range(1, 7))
    of_zeros = make(horizon=6).fit(holes.fillna(0.0)).predict(fh=range(1, 7))
    assert np.abs(of_holes - of_zeros).max() > 0.01


def test_a_gap_is_masked_and_not_taken_for_what_fills_it(make, complete):
    """The network is told which values were filled in: it forecasts another thing."""
    holes = complete[:60].copy()
    holes.iloc[50:54] = np.nan
    forecaster = make(horizon=6, sp=1).fit(complete)
    filled = holes.ffill()
    seen = [
        forecaster.update(series, update_params=False).predict(fh=range(1, 7))
        for series in (holes, filled)
    ]
    assert np.abs(seen[0] - seen[1]).max() > 0


@pytest.mark.parametrize("n_steps", [3, 5, 10])
def test_a_series_shorter_than_the_window_is_forecast(make, seasonal, n_steps):
    """Padding on the left is masked: it is not read as values."""
    short = seasonal(n_steps)
    forecaster = make(window_length=24).fit(short, fh=range(1, 4))
    forecast = forecaster.predict(fh=range(1, 7))
    assert np.isfinite(forecast).all()
    reach = 3 * (short.max() - short.min())
    assert np.abs(forecast - short.iloc[-1]).max() < reach
    fitted = forecaster.predict(fh=np.arange(1 - n_steps, 1))
    assert np.isfinite(fitted).all()


def test_leading_missing_values_equal_a_later_start(make, seasonal):
    """The same window, whether padded or missing, gives the same forecast."""
    series = seasonal(60)
    forecaster = make(window_length=36, horizon=6).fit(series)
    late = series[40:]
    holes = series.copy()
    holes[:40] = np.nan
    forecasts = [
        forecaster.update(one, update_params=False).predict(fh=range(1, 7))
        for one in (pd.concat([holes]), late)
    ]
    assert_array_equal(*forecasts)


def test_one_series_of_a_panel_with_gaps_leaves_the_others_alone(make, panel):
    """Given the same weights, a gap in one series changes only its own forecast."""
    forecaster = make(horizon=6).fit(panel)
    before = forecaster.predict(fh=range(1, 7))
    holes = panel.copy()
    holes.iloc[60 + 38 : 60 + 40] = np.nan
    after = forecaster.update(holes, update_params=False).predict(fh=range(1, 7))
    assert np.isfinite(after).all(axis=None)
    assert_array_equal(before.loc[["b", "a"]], after.loc[["b", "a"]])
    assert np.abs(before.loc["c"] - after.loc["c"]).to_numpy().max() > 0
