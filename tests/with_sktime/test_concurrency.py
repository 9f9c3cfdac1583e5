"""Threads and processes forecast what one thread forecasts, or say that they cannot."""

from concurrent.futures import ThreadPoolExecutor

import joblib
import pytest
from numpy.testing import assert_array_equal

from lstm_forecasters.sktime import PretrainedLSTMForecaster
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
    unfitted += [
        PretrainedLSTMForecaster(fine_tune_steps=n, random_state=3) for n in (0, 2)
    ]
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
from lstm_forecasters.sktime import EncoderDecoderLSTMForecaster
from lstm_forecasters.sktime import VanillaLSTMForecaster

y = pd.Series(np.random.default_rng(0).normal(size=80).cumsum())
settings = {"hidden_size": 4, "max_steps": 3, "batch_size": 8, "random_state": 0}

def fit(kind=VanillaLSTMForecaster, **others):
    return kind(**settings | others).fit(y[:60], fh=[1, 2])

def predict():
    return forecaster.predict().tolist()

def fit_and_predict():
    return fit().predict().tolist()

def decode():
    return decoder.predict().tolist()

def fit_and_decode():
    return fit(EncoderDecoderLSTMForecaster).predict().tolist()

def update():
    return fitted.update(y[60:]).predict().tolist()

def update_predict():
    return large.update_predict(y[60:], update_params=False).tolist()

def pretrain():
    panel = pd.concat({"a": y.to_frame(), "b": y.to_frame()}, names=["series", "step"])
    return VanillaLSTMForecaster(**settings).pretrain(panel).state

def predict_on_one_thread():
    torch.set_num_threads(1)
    return predict()

def predict_on_two_threads():
    torch.set_num_threads(2)
    return predict()

def load():
    return VanillaLSTMForecaster.from_file(file).predict([1, 2]).tolist()

def adopt():
    adopted = VanillaLSTMForecaster.from_network(large.network_)
    return adopted.fit(y[:60]).predict([1, 2]).tolist()

tasks = [predict, fit_and_predict, decode, fit_and_decode]
tasks += [update_predict, update, pretrain, load, adopt]
tasks += [predict_on_one_thread, predict_on_two_threads]
torch.set_num_threads(1)
forecaster, fitted, large = fit(), fit(), fit(hidden_size=128)
decoder = fit(EncoderDecoderLSTMForecaster)
large.to_file(file, keep_context=True)
expected = predict(), decode()
after_one = {task.__name__: in_fork(task) for task in tasks}
torch.set_num_threads(2)
torch.ones(1_000_000) + 1
torch.nn.LSTM(64, 64)(torch.ones(24, 64, 64))[0].sum().backward()
after_others = {task.__name__: in_fork(task) for task in tasks}
fit()
after_a_fit = {task.__name__: in_fork(task) for task in tasks}
print(json.dumps([expected, after_one, after_others, after_a_fit]))
"""


@pytest.fixture(scope="module")
def forks(tmp_path_factory):
    """Return a forecast, and what forks make of tasks, by what was done before."""
    file = str(tmp_path_factory.mktemp("forks") / "large")
    return answer_of(FORKING, f"file = {file!r}", FORKS)


def test_forks_of_a_process_with_one_thread_work(forks):
    (expected, decoded), after_one, _, _ = forks
    assert after_one["predict"] == expected
    assert after_one["fit_and_predict"] == expected
    assert after_one["predict_on_two_threads"] == expected
    assert after_one["decode"] == decoded
    assert after_one["fit_and_decode"] == decoded


def test_forks_work_after_other_code_used_several_threads(forks):
    """What others did is not known, so that a fork has one thread."""
    _, after_one, after_others, _ = forks
    assert after_others == after_one


def test_forks_are_refused_after_a_fit_on_several_threads(forks):
    """They would hang, as the threads stay behind."""
    (expected, _), _, _, after_a_fit = forks
    assert after_a_fit["predict_on_one_thread"] == expected
    for task in after_a_fit.keys() - {"predict_on_one_thread"}:
        found = after_a_fit[task]
        assert found.startswith("ForkError: this process was forked from"), task
        assert "'spawn'" in found
        assert "torch.set_num_threads(1)" in found
