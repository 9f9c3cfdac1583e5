"""The pretrained forecaster: what it is told, what training adds, what it documents."""

import inspect
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from lstm_forecasters.backend.pretrained import FINE_TUNING_RATE, pretrained_network
from lstm_forecasters.backend.recipe import spread_correction
from lstm_forecasters.backend.training import Trainer
from lstm_forecasters.sktime import PretrainedLSTMForecaster
from tests.with_sktime.test_signatures import (
    default_in,
    parameter_texts,
    parameters_of,
)

FH = range(1, 13)
IMPORTS = """
import lstm_forecasters.sktime
from lstm_forecasters.backend.pretrained import pretrained_network
lstm_forecasters.sktime.PretrainedLSTMForecaster()
assert pretrained_network.cache_info().currsize == 0
"""


def test_a_seasonal_series_is_forecast_better_than_repeated(seasonal):
    y = seasonal(120, noise=2.0)
    forecast = PretrainedLSTMForecaster().fit(y[:-24], fh=range(1, 25)).predict()
    naive = np.tile(y[-36:-24], 2)
    error, of_naive = (np.abs(one - y[-24:]).mean() for one in (forecast, naive))
    assert error < 0.6 * of_naive


def test_importing_the_package_reads_no_weights():
    command = [sys.executable, "-W", "error::UserWarning", "-c", IMPORTS]
    subprocess.run(command, check=True)


def test_the_horizon_is_that_of_fit_and_48_at_most(y):
    for fh, horizon in ((None, 48), ([3, 7], 7), ([-3], 48), (range(1, 90), 48)):
        forecaster = PretrainedLSTMForecaster().fit(y, fh=fh)
        assert forecaster.network_.layout.horizon == horizon


def test_the_season_is_inferred_or_given(y):
    inferred = PretrainedLSTMForecaster().fit(y).predict(fh=FH)
    given = PretrainedLSTMForecaster(sp=12).fit(y.to_numpy()).predict(fh=FH)
    assert_array_equal(inferred.to_numpy(), given.ravel())
    other = PretrainedLSTMForecaster(sp=5).fit(y).predict(fh=FH)
    assert np.abs(inferred - other).max() > 1


@pytest.mark.parametrize("period", [2, 53, 168, 365, 1440])
def test_a_season_of_any_length_is_forecast(period):
    step = np.arange(4 * period)
    wave = 10 * np.sin(2 * np.pi * step / period)
    forecaster = PretrainedLSTMForecaster(sp=period).fit(wave[: 3 * period])
    forecast = forecaster.predict(fh=range(1, 49)).ravel()
    truth = 10 * np.sin(2 * np.pi * (3 * period + np.arange(48)) / period)
    assert np.abs(forecast - truth).mean() < 2
    assert forecaster.network_.layout.lookback == max(2 * period, 336)


@pytest.mark.parametrize("period", [1, 12, 24, 168])
@pytest.mark.parametrize(("window_length", "lookback"), [(None, 336), (170, 170)])
def test_how_much_of_the_past_is_read(period, window_length, lookback):
    forecaster = PretrainedLSTMForecaster(sp=period, window_length=window_length)
    long = np.random.default_rng(0).normal(size=400).cumsum()
    forecast, latest, fewer = (
        forecaster.fit(long[-known:]).predict(fh=range(1, 13))
        for known in (400, lookback, lookback - 1)
    )
    assert_allclose(latest, forecast, rtol=1e-6)
    assert not np.allclose(fewer, forecast, rtol=1e-6)


@pytest.mark.parametrize("fine_tune_steps", [0, 6])
def test_far_ahead_a_series_stays_at_its_level_and_in_its_season(y, fine_tune_steps):
    forecaster = PretrainedLSTMForecaster(
        window_length=24, horizon=6, fine_tune_steps=fine_tune_steps, random_state=0
    )
    fh = range(1, 121)
    forecast = forecaster.fit(y).predict(fh=fh)
    assert_allclose(forecast, y[-12:].mean(), atol=50)
    assert np.corrcoef(forecast[-12:], y[-12:])[0, 1] > 0.9
    outer = forecaster.predict_quantiles(fh=fh, alpha=[0.1, 0.9]).to_numpy()
    assert_allclose(outer, y[-12:].mean(), atol=200)
    width = outer[:, 1] - outer[:, 0]
    assert width[-12:].mean() > width[:12].mean()


def test_X_has_no_effect_without_fine_tuning_and_one_with_it(y, X):
    plain = PretrainedLSTMForecaster().fit(y, fh=FH).predict()
    ignored = PretrainedLSTMForecaster(past_covariates=["ads"]).fit(y, X, fh=FH)
    ahead = X[["price"]][len(y) :]
    assert_allclose(ignored.predict(X=ahead), plain, rtol=1e-6)
    tuned = PretrainedLSTMForecaster(fine_tune_steps=10, random_state=0)
    tuned.fit(y, X, fh=FH)
    change = tuned.predict(X=X[len(y) :]) - tuned.predict(X=X[len(y) :] + 1)
    assert np.abs(change).min() > 0


def test_every_fit_starts_from_the_weights_of_the_package(y):
    forecaster = PretrainedLSTMForecaster(fine_tune_steps=3, random_state=0)
    before = {
        key: one.clone() for key, one in pretrained_network().state_dict().items()
    }
    first = forecaster.fit(y, fh=FH).predict()
    assert_array_equal(first, forecaster.fit(y, fh=FH).predict())
    assert np.abs(first - PretrainedLSTMForecaster().fit(y, fh=FH).predict()).max() > 0
    for key, one in pretrained_network().state_dict().items():
        assert_array_equal(one, before[key])


@pytest.mark.parametrize(("n_values", "share"), [(100, 0.008), (2500, 1), (4000, 1)])
def test_short_series_are_learnt_from_slowly(monkeypatch, n_values, share):
    rates = []
    monkeypatch.setattr(
        Trainer, "run", lambda self: rates.append(self.rate) or self.model.eval()
    )
    y = pd.Series(np.random.default_rng(0).normal(size=n_values))
    PretrainedLSTMForecaster(fine_tune_steps=1).fit(y)
    X = pd.DataFrame({"x": y})
    PretrainedLSTMForecaster(fine_tune_steps=1).fit(y, X)
    assert rates == pytest.approx([FINE_TUNING_RATE * share, FINE_TUNING_RATE])


def test_intervals_are_widened_where_little_is_fine_tuned_on(y):
    as_it_is, tuned = (
        PretrainedLSTMForecaster(fine_tune_steps=steps).fit(y, fh=FH).network_.widening
        for steps in (0, 1)
    )
    assert as_it_is == 1
    assert tuned == spread_correction(len(y), horizon=12) > 1.1


def test_every_parameter_is_documented_with_its_default():
    texts = parameter_texts(PretrainedLSTMForecaster)
    parameters = parameters_of(PretrainedLSTMForecaster)
    assert list(texts) == list(parameters)
    for name, parameter in parameters.items():
        stated = default_in(texts[name])
        if isinstance(parameter.default, float):
            assert float(stated) == parameter.default, name
        else:
            assert stated.strip('"') == str(parameter.default), name
    assert "docs/pretrained.md" in inspect.getdoc(PretrainedLSTMForecaster)
