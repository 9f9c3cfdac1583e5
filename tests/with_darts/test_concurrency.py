"""Threads and processes forecast what one thread forecasts, or say that they cannot."""

from concurrent.futures import ThreadPoolExecutor

import joblib
import pytest
from numpy.testing import assert_array_equal

from lstm_forecasters.darts import StackedLSTMModel
from lstm_forecasters.darts.module import LSTMModule
from tests.processes import FORKING, answer_of


@pytest.fixture
def make(make_any):
    """Return a function that constructs a small model, pretrained ones too."""
    return make_any


WAYS = [
    {"n": 9},
    {"n": 9, "num_samples": 5, "random_state": 1},
    {"n": 4, "predict_likelihood_parameters": True},
    {"n": 4, "mc_dropout": True, "random_state": 1},
]


@pytest.mark.parametrize("likelihood", ["quantile", "normal"])
def test_sixteen_threads_forecast_with_one_model(make, monthly, likelihood):
    """Each in its own way and to its own horizon, while others do otherwise."""
    settings = {"likelihood": likelihood}
    if "dropout" in make().model_params:
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
from lstm_forecasters.darts import EncoderDecoderLSTMModel, VanillaLSTMModel

series = TimeSeries.from_values(np.random.default_rng(0).normal(size=60).cumsum())

def fit(kind=VanillaLSTMModel, **others):
    settings = {"hidden_size": 4, "n_epochs": 1, "batch_size": 8, "random_state": 0}
    return kind(12, 6, **settings | others).fit(series)

def predict():
    return model.predict(9).values()[:, 0].tolist()

def fit_and_predict():
    return fit().predict(9).values()[:, 0].tolist()

def decode():
    return decoder.predict(9).values()[:, 0].tolist()

def fit_and_decode():
    return fit(EncoderDecoderLSTMModel).predict(9).values()[:, 0].tolist()

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

def load():
    return VanillaLSTMModel.load(file).predict(9).values()[:, 0].tolist()

def load_weights():
    loaded = VanillaLSTMModel(12, 6, hidden_size=128)
    loaded.load_weights(file)
    return loaded.predict(9, series).values()[:, 0].tolist()

def read():
    loaded = VanillaLSTMModel.from_file(file + ".safetensors")
    return loaded.predict(9, series).values()[:, 0].tolist()

def adopt():
    adopted = VanillaLSTMModel.from_network(large.network_)
    return adopted.predict(9, series).values()[:, 0].tolist()

tasks = [predict, fit_and_predict, decode, fit_and_decode]
tasks += [fit_on, forecast_the_past]
tasks += [load, load_weights, read, adopt]
tasks += [predict_on_one_thread, predict_on_two_threads]
torch.set_num_threads(1)
model, large = fit(), fit(hidden_size=128)
decoder = fit(EncoderDecoderLSTMModel)
large.save(file)
large.to_file(file + ".safetensors")
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
