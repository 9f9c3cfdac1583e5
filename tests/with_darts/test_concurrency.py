"""Threads and processes forecast what one thread forecasts, or say that they cannot."""

import inspect
from concurrent.futures import ThreadPoolExecutor

import joblib
import pytest
from numpy.testing import assert_array_equal

from lstm_forecasters.darts import StackedLSTMModel
from lstm_forecasters.darts.module import LSTMModule
from tests.processes import FORKING, answer_of

WAYS = [
    {"n": 9},
    {"n": 9, "num_samples": 5, "random_state": 1},
    {"n": 4, "predict_likelihood_parameters": True},
    {"n": 4, "mc_dropout": True, "random_state": 1},
]


@pytest.mark.parametrize("likelihood", ["quantile", "normal"])
def test_sixteen_threads_forecast_with_one_model(
    make, model_class, monthly, likelihood
):
    """Each in its own way and to its own horizon, while others do otherwise."""
    settings = {"likelihood": likelihood}
    if "dropout" in inspect.signature(model_class).parameters:
        settings["dropout"] = 0.3
    model = make(**settings).fit(monthly())

    def forecast(way):
        return model.predict(**way).all_values()

    expected = [forecast(way) for way in WAYS]
    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(forecast, 16 * WAYS))
    for number, values in enumerate(found):
        assert_array_equal(values, expected[number % len(WAYS)])


@pytest.mark.parametrize("outer", range(len(WAYS)))
@pytest.mark.parametrize("inner", range(len(WAYS)))
def test_a_forecast_amid_another_changes_neither(
    small, monthly, monkeypatch, outer, inner
):
    settings = {**small, "num_layers": 2, "dropout": 0.3, "likelihood": "quantile"}
    model = StackedLSTMModel(**settings).fit(monthly())
    expected = [model.predict(**WAYS[way]).all_values() for way in (inner, outer)]
    found, predict_step = [], LSTMModule.predict_step

    def interrupted(self, *args):
        monkeypatch.setattr(LSTMModule, "predict_step", predict_step)
        found.append(model.predict(**WAYS[inner]).all_values())
        return predict_step(self, *args)

    monkeypatch.setattr(LSTMModule, "predict_step", interrupted)
    found.append(model.predict(**WAYS[outer]).all_values())
    for one, other in zip(found, expected, strict=True):
        assert_array_equal(one, other)


def test_loky_processes_fit_and_forecast_the_same(make, monthly):
    """Several at once, and models that were fitted in another process."""
    series = monthly()
    untrained = [make(random_state=seed) for seed in (1, 2)]
    parallel = joblib.Parallel(n_jobs=2, backend="loky")
    fitted = parallel(joblib.delayed(one.fit)(series) for one in untrained)
    there = parallel(joblib.delayed(one.predict)(9) for one in fitted)
    for one, found in zip(untrained, there, strict=True):
        assert_array_equal(found.values(), one.fit(series).predict(9).values())


FORKS = """
import json
import numpy as np
import torch
from darts import TimeSeries
from lstm_forecasters.darts import VanillaLSTMModel

series = TimeSeries.from_values(np.random.default_rng(0).normal(size=60).cumsum())

def fit():
    settings = {"hidden_size": 4, "n_epochs": 1, "batch_size": 8, "random_state": 0}
    return VanillaLSTMModel(12, 6, **settings).fit(series)

def predict():
    return model.predict(9).values()[:, 0].tolist()

def fit_and_predict():
    return fit().predict(9).values()[:, 0].tolist()

def fit_on():
    return model.fit(series, epochs=1).epochs_trained

def forecast_the_past():
    return len(model.historical_forecasts(series, retrain=False))

def predict_on_one_thread():
    torch.set_num_threads(1)
    return predict()

def predict_on_two_threads():
    torch.set_num_threads(2)
    return predict()

tasks = [predict, fit_and_predict, fit_on, forecast_the_past, predict_on_one_thread]
torch.set_num_threads(1)
model = fit()
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
