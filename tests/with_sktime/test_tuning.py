"""The learning rate, found on a small network."""

import numpy as np
import pandas as pd
import pytest
from sktime.forecasting.model_selection import ForecastingGridSearchCV
from sktime.forecasting.naive import NaiveForecaster
from sktime.split import SingleWindowSplitter

from lstm_forecasters.errors import ParameterTypeError
from lstm_forecasters.sktime import (
    PretrainedLSTMForecaster,
    VanillaLSTMForecaster,
    tune_learning_rate,
)

RATES = [1e-6, 1e-3, 3e-2]
FH = [1, 2, 3, 4, 5, 6]


@pytest.fixture(scope="module")
def y():
    index = pd.period_range("2000-01", periods=90, freq="M")
    steps = np.arange(90)
    noise = np.random.default_rng(0).normal(size=90)
    return pd.Series(10 * np.sin(steps / 2) + steps + noise, index=index)


def forecaster(**settings):
    return VanillaLSTMForecaster(max_steps=30, random_state=0, **settings)


def held_out_error(y, **settings):
    fitted = forecaster(**settings).fit(y[:-6], fh=FH)
    return np.abs(fitted.predict() - y[-6:]).mean()


def test_the_rate_is_the_best_one_of_a_small_network_on_what_was_held_out(y):
    errors = [held_out_error(y, learning_rate=rate, hidden_size=16) for rate in RATES]
    tuned = tune_learning_rate(forecaster(hidden_size=40), y, FH, rates=RATES)
    assert tuned.learning_rate == RATES[int(np.argmin(errors))]
    assert np.argmin(errors) != 0  # the first one would come from no search, too


def test_the_rest_of_the_forecaster_stays_and_the_one_given_is_not_touched(y):
    given = forecaster(hidden_size=40, sp=12)
    before = given.get_params()
    tuned = tune_learning_rate(given, y, FH, rates=[1e-4, 1e-2])
    assert given.get_params() == before
    assert not tuned.is_fitted
    assert {**tuned.get_params(), "learning_rate": 5e-3} == before


def test_what_comes_back_goes_on_into_a_grid_search(y):
    tuned = tune_learning_rate(forecaster(), y, FH, rates=[1e-3])
    grid = {"hidden_size": [4, 8]}
    search = ForecastingGridSearchCV(tuned, SingleWindowSplitter(FH), grid)
    best = search.fit(y, fh=FH).best_forecaster_
    assert best.learning_rate == 1e-3


def test_other_forecasters_are_refused(y):
    with pytest.raises(ParameterTypeError, match="got NaiveForecaster"):
        tune_learning_rate(NaiveForecaster(), y, FH)


def test_a_pretrained_forecaster_is_refused_and_what_is_advised_works(y):
    given = PretrainedLSTMForecaster(
        fine_tune_steps=1, window_length=12, batch_size=4, random_state=0
    )
    with pytest.raises(ParameterTypeError, match=r"got PretrainedLSTMF.*GridSear"):
        tune_learning_rate(given, y, FH)
    grid = {"learning_rate": [100.0, 1e-3]}
    search = ForecastingGridSearchCV(given, SingleWindowSplitter(FH), grid)
    assert search.fit(y, fh=FH).best_params_ == {"learning_rate": 1e-3}
