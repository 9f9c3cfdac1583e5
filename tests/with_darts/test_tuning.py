"""The learning rate, found on a small network."""

import numpy as np
import pytest
from darts import TimeSeries
from darts.metrics import mae
from darts.models import BlockRNNModel

from lstm_forecasters.darts import (
    PretrainedLSTMModel,
    VanillaLSTMModel,
    tune_learning_rate,
)
from lstm_forecasters.errors import ParameterTypeError

RATES = [1e-6, 1e-3, 3e-2]
STEPS = np.arange(90)
NOISE = np.random.default_rng(0).normal(size=90)
SERIES = TimeSeries.from_values(10 * np.sin(STEPS / 2) + STEPS + NOISE)
TRAIN, HELD_OUT = SERIES[:-6], SERIES[-6:]
GIVEN = {
    "input_chunk_length": 12,
    "output_chunk_length": 6,
    "hidden_size": 40,
    "n_epochs": 6,
    "random_state": 0,
    "optimizer_kwargs": {"eps": 1e-7},
}


def held_out_error(rate):
    settings = {
        **GIVEN,
        "hidden_size": 16,
        "optimizer_kwargs": {"eps": 1e-7, "lr": rate},
    }
    return mae(HELD_OUT, VanillaLSTMModel(**settings).fit(TRAIN).predict(6))


def test_the_rate_is_the_best_one_of_a_small_network_on_what_was_held_out():
    errors = [held_out_error(rate) for rate in RATES]
    before = {**GIVEN, "optimizer_kwargs": dict(GIVEN["optimizer_kwargs"])}
    found = tune_learning_rate(VanillaLSTMModel, GIVEN, TRAIN, HELD_OUT, rates=RATES)
    best = RATES[int(np.argmin(errors))]
    assert found == {**GIVEN, "optimizer_kwargs": {"eps": 1e-7, "lr": best}}
    assert before == GIVEN
    assert np.argmin(errors) != 0  # the first one would come from no search, too


def test_what_comes_back_goes_on_into_a_grid_search():
    found = tune_learning_rate(VanillaLSTMModel, GIVEN, TRAIN, HELD_OUT, rates=[1e-3])
    grid = {name: [value] for name, value in found.items()} | {"hidden_size": [4, 8]}
    _, best, _ = VanillaLSTMModel.gridsearch(grid, TRAIN, val_series=HELD_OUT)
    assert best["optimizer_kwargs"]["lr"] == 1e-3


@pytest.mark.parametrize("kind", [BlockRNNModel, VanillaLSTMModel(12, 6)])
def test_other_classes_are_refused(kind):
    with pytest.raises(ParameterTypeError, match="must be a class of"):
        tune_learning_rate(kind, GIVEN, TRAIN, HELD_OUT)


def test_the_pretrained_model_is_refused_and_what_is_advised_works():
    given = {
        "input_chunk_length": 12,
        "output_chunk_length": 6,
        "fine_tune_steps": 2,
        "batch_size": 8,
        "random_state": 0,
    }
    with pytest.raises(
        ParameterTypeError, match=r"got PretrainedLSTMModel.*gridsearch"
    ):
        tune_learning_rate(PretrainedLSTMModel, given, TRAIN, HELD_OUT)
    grid = {name: [value] for name, value in given.items()}
    grid["optimizer_kwargs"] = [{"lr": 1.0}, {"lr": 1e-4}]
    _, best, _ = PretrainedLSTMModel.gridsearch(grid, TRAIN, val_series=HELD_OUT)
    assert best["optimizer_kwargs"] == {"lr": 1e-4}
