"""Covariates: that they matter, and are matched by name and by time."""

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from lstm_forecasters.errors import CovariateError

AHEAD = 12
LEARNING = {
    "hidden_size": 16,
    "max_steps": 150,
    "learning_rate": 0.01,
    "batch_size": 64,
    "window_length": 8,
    "sp": 1,
    "horizon": 6,
}


@pytest.fixture
def driven():
    """A series that is mostly one of its covariates, and the covariates."""
    generator = np.random.default_rng(4)
    index = pd.period_range("2000-01", periods=160 + AHEAD, freq="M")
    X = pd.DataFrame(
        generator.normal(size=(len(index), 2)), index=index, columns=["driver", "idle"]
    )
    y = 50 + 4 * X["driver"] + 0.2 * generator.normal(size=len(index))
    return y.rename("sales"), X


def error(forecast, truth):
    """Return the mean absolute error over the forecast time steps."""
    return np.abs(forecast - truth[forecast.index]).mean()


def test_a_known_covariate_improves_the_forecast(make, driven):
    y, X = driven
    fh = range(1, AHEAD + 1)
    without = make(**LEARNING).fit(y[:160]).predict(fh=fh)
    forecaster = make(**LEARNING).fit(y[:160], X[:160])
    known = forecaster.predict(fh=fh, X=X[160:])
    assert error(known, y) < 0.4 * error(without, y)
    fitted = forecaster.predict(fh=np.arange(-100, 1))
    assert error(fitted, y) < 0.4 * np.abs(y - y.mean()).mean()


def test_the_effect_of_a_covariate_has_its_sign_and_size(make, driven):
    """The slope is 4, whatever the level of the covariate."""
    y, X = driven
    forecaster = make(**LEARNING)
    forecaster.fit(y[:160], X[:160])
    higher = X[160:].copy()
    higher["driver"] += 1.0
    fh = range(1, 7)
    effect = forecaster.predict(fh=fh, X=higher) - forecaster.predict(fh=fh, X=X[160:])
    assert effect.mean() == pytest.approx(4, rel=0.3)


def test_a_past_covariate_improves_the_forecast_of_what_follows_it(make):
    """The series repeats the covariate a step later: known at the cutoff."""
    generator = np.random.default_rng(6)
    X = pd.DataFrame({"leader": generator.normal(size=300)})
    y = pd.Series(np.r_[0.0, X["leader"][:-1]], name="follower")
    settings = {**LEARNING, "window_length": 16, "hidden_size": 32, "horizon": 1}
    forecaster = make(past_covariates=["leader"], **settings)
    forecaster.fit(y[:250], X[:250])
    forecaster.update(y[250:], X[250:], update_params=False)
    fitted = forecaster.predict(fh=np.arange(-49, 1))
    assert error(fitted, y) < 0.35 * np.abs(y[250:]).mean()


def test_columns_are_matched_by_name_and_not_by_place(make, y, X):
    forecaster = make(horizon=6).fit(y[:60], X[:60])
    fh = [-5, 0, 1, 4, 8]
    expected = forecaster.predict(fh=fh, X=X[60:])
    turned = X[["ads", "price"]]
    assert_array_equal(expected, forecaster.predict(fh=fh, X=turned[60:]))
    more = turned.assign(other=1e9)
    assert_array_equal(expected, forecaster.predict(fh=fh, X=more[60:]))
    renamed = X.rename(columns={"price": "ads", "ads": "price"})
    assert np.abs(expected - forecaster.predict(fh=fh, X=renamed[60:]))[2:].min() > 0
    by_update = []
    for covariates in (X, turned):
        by_update.append(make(horizon=6).fit(y[:60], X[:60]))
        by_update[-1].update(y[60:], covariates[60:72])
    assert_array_equal(*[one.predict(fh=fh, X=X[72:]) for one in by_update])


def test_a_renamed_column_is_refused(make, y, X):
    forecaster = make(horizon=6).fit(y[:60], X[:60])
    renamed = X.rename(columns={"price": "cost"})
    with pytest.raises(CovariateError, match=r"lacks .*'price'.*'cost'.*by name"):
        forecaster.predict(fh=[1], X=renamed[60:])
    with pytest.raises(CovariateError, match=r"lacks .*'price'"):
        forecaster.update(y[60:], renamed[60:72])


def test_rows_are_matched_by_time_and_not_by_place(make, y, X):
    forecaster = make(horizon=6).fit(y[:60], X[:60])
    fh = [1, 2, 3, 4]
    expected = forecaster.predict(fh=fh, X=X[60:64])
    assert_array_equal(expected, forecaster.predict(fh=fh, X=X))
    assert_array_equal(expected, forecaster.predict(fh=fh, X=X[50:70]))
    assert_array_equal(make(horizon=6).fit(y[:60], X).predict(fh=fh, X=X), expected)
    later = X[61:65].set_axis(X.index[60:64])
    assert np.abs(expected - forecaster.predict(fh=fh, X=later)).min() > 0


@pytest.mark.parametrize("steps", [[2, 5], [3], [4, 11]])
def test_covariates_of_steps_between_may_be_missing_and_are_masked(make, y, X, steps):
    """As if they were NaN; 11 lies beyond the trained horizon."""
    forecaster = make(horizon=6).fit(y[:60], X[:60])
    rows = [59 + step for step in steps]
    masked = X[60 : 60 + max(steps)].copy()
    masked.loc[~masked.index.isin(X.index[rows])] = np.nan
    only = forecaster.predict(fh=steps, X=X.iloc[rows])
    assert_array_equal(only, forecaster.predict(fh=steps, X=masked))
    assert np.isfinite(only).all()


def test_missing_covariates_are_not_read_as_numbers(make, driven):
    """A few NaN in X do not spoil the effect of the rest."""
    y, X = driven
    holes = X.copy()
    holes.iloc[np.random.default_rng(0).integers(0, 160, 16), 0] = np.nan
    complete = make(**LEARNING).fit(y[:160], X[:160])
    partial = make(**LEARNING).fit(y[:160], holes[:160])
    fh = range(1, AHEAD + 1)
    best = error(complete.predict(fh=fh, X=X[160:]), y)
    assert error(partial.predict(fh=fh, X=X[160:]), y) < 2 * best + 0.3
    holes.iloc[162, 0] = np.nan
    forecast = partial.predict(fh=fh, X=holes[160:])
    assert np.isfinite(forecast).all()
    rest = forecast.drop(forecast.index[2])
    assert error(rest, y) < 2 * best + 0.3


def test_covariates_at_any_level_and_scale_are_equal(make, y, X):
    forecasts = []
    for factor, shift in ((1, 0), (1e-6, 5), (1e6, 1e9)):
        moved = factor * X + shift
        forecaster = make(horizon=6).fit(y[:60], moved[:60])
        forecasts.append(forecaster.predict(fh=range(1, 9), X=moved[60:]))
    for other in forecasts[1:]:
        assert_allclose(other, forecasts[0], atol=1e-3 * y.std())


def test_a_constant_column_is_harmless(make, y, X):
    constant = X.assign(price=3.0)
    forecaster = make(horizon=6).fit(y[:60], constant[:60])
    forecast = forecaster.predict(fh=range(1, 9), X=constant[60:])
    assert np.abs(forecast - y[60:68]).max() < 4 * y.std()


def test_covariates_of_each_series_of_a_panel_are_its_own(make, panel):
    """X of one series changes the forecasts of that one only."""
    generator = np.random.default_rng(0)
    X = pd.DataFrame({"price": generator.normal(size=len(panel))}, index=panel.index)
    ahead = pd.concat(
        {
            key: pd.DataFrame(
                {"price": generator.normal(size=6)},
                index=pd.period_range(
                    panel.loc[key].index[-1] + 1, periods=6, freq="M", name="month"
                ),
            )
            for key in ("b", "c", "a")
        },
        names=["shop"],
    )
    forecaster = make(horizon=6).fit(panel, X)
    forecast = forecaster.predict(fh=range(1, 7), X=ahead)
    turned = ahead.loc[["a", "b", "c"]]
    assert_array_equal(forecast, forecaster.predict(fh=range(1, 7), X=turned))
    changed = ahead.copy()
    changed.loc["c"] = -ahead.loc["c"].to_numpy()
    other = forecaster.predict(fh=range(1, 7), X=changed)
    assert_array_equal(forecast.loc["b"], other.loc["b"])
    assert_array_equal(forecast.loc["a"], other.loc["a"])
    assert np.abs(forecast.loc["c"] - other.loc["c"]).to_numpy().min() > 0
