"""Threads and processes forecast what one thread forecasts, or say that they cannot."""

from concurrent.futures import ThreadPoolExecutor

import joblib
import pytest
from numpy.testing import assert_array_equal

from tests.processes import FORKING, answer_of

FH = [1, 4, 9]


@pytest.fixture
def make(make_any):
    """Return a function that constructs a small forecaster, pretrained ones too."""
    return make_any


@pytest.mark.parametrize("likelihood", ["quantile", "normal"])
def test_sixteen_threads_forecast_with_one_forecaster(make, y, likelihood):
    """Up to the trained horizon, and beyond it by sampled paths."""
    forecaster = make(horizon=6, likelihood=likelihood).fit(y)

    def forecast(_):
        points = forecaster.predict(fh=FH)
        return points, forecaster.predict_quantiles(fh=FH, alpha=[0.1, 0.9])

    points, quantiles = forecast(0)
    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(forecast, range(32)))
    for one, several in found:
        assert_array_equal(one, points)
        assert_array_equal(several, quantiles)


def test_loky_processes_fit_and_forecast_the_same(small, y, forecasters):
    unfitted = [each(**small, horizon=6) for each in forecasters]
    parallel = joblib.Parallel(n_jobs=2, backend="loky")
    fitted = parallel(joblib.delayed(one.fit)(y) for one in unfitted)
    there = parallel(joblib.delayed(one.predict)(fh=FH) for one in fitted)
    for one, found in zip(unfitted, there, strict=True):
        assert_array_equal(found, one.fit(y).predict(fh=FH))


FORKS = """
import json
import numpy as np
import pandas as pd
import torch
from lstm_forecasters.sktime import VanillaLSTMForecaster

y = pd.Series(np.random.default_rng(0).normal(size=80).cumsum())
settings = {"hidden_size": 4, "max_steps": 3, "batch_size": 8, "random_state": 0}

def fit():
    return VanillaLSTMForecaster(**settings).fit(y[:60], fh=[1, 2])

def predict():
    return forecaster.predict().tolist()

def fit_and_predict():
    return fit().predict().tolist()

def update():
    return fitted.update(y[60:]).predict().tolist()

def pretrain():
    panel = pd.concat({"a": y.to_frame(), "b": y.to_frame()}, names=["series", "step"])
    return VanillaLSTMForecaster(**settings).pretrain(panel).state

def predict_on_one_thread():
    torch.set_num_threads(1)
    return predict()

def predict_on_two_threads():
    torch.set_num_threads(2)
    return predict()

tasks = [predict, fit_and_predict, update, pretrain, predict_on_one_thread]
torch.set_num_threads(1)
forecaster, fitted = fit(), fit()
expected = predict()
single = [in_fork(task) for task in [*tasks[:2], predict_on_two_threads]]
torch.set_num_threads(2)
fit()
print(json.dumps([expected, single, {task.__name__: in_fork(task) for task in tasks}]))
"""


def test_a_fork_is_refused_where_it_would_hang_and_works_elsewhere():
    """It hangs after torch has used several threads, which stay behind."""
    expected, single, several = answer_of(FORKING, FORKS)
    assert single == 3 * [expected]
    assert several.pop("predict_on_one_thread") == expected
    for task, found in several.items():
        assert found.startswith("ForkError: this process was forked from"), task
        assert "'spawn'" in found
        assert "torch.set_num_threads(1)" in found
