"""Forecasts without a Lightning trainer are those with one, wherever it matters."""

import copy

import pytest
import pytorch_lightning as pl
import torch
from numpy.testing import assert_allclose, assert_array_equal
from pytorch_lightning import Callback

from lstm_forecasters.darts import StackedLSTMModel, VanillaLSTMModel
from lstm_forecasters.darts.predicting import PlainPredictor, needs_no_trainer


@pytest.fixture
def make(make_any):
    """Return a function that constructs a small model, pretrained ones too."""
    return make_any


WAYS = {
    "points": {"n": 15},
    "samples": {"n": 15, "num_samples": 7, "random_state": 1},
    "parameters": {"n": 5, "predict_likelihood_parameters": True},
    "dropout": {"n": 15, "num_samples": 7, "random_state": 1, "mc_dropout": True},
    "one dropout": {"n": 4, "random_state": 1, "mc_dropout": True},
}


@pytest.fixture
def plain(monkeypatch):
    """The modules that have forecast without a trainer."""
    found, predict = [], PlainPredictor.predict

    def noted(self, model, datamodule):
        found.append(model)
        return predict(self, model, datamodule)

    monkeypatch.setattr(PlainPredictor, "predict", noted)
    return found


def lightning():
    """Return a trainer that is as quiet."""
    return pl.Trainer(
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )


@pytest.mark.parametrize("way", WAYS)
def test_forecasts_equal_those_of_a_trainer(small, monthly, plain, way):
    settings = {**small, "num_layers": 2, "dropout": 0.4, "likelihood": "quantile"}
    model = StackedLSTMModel(**settings).fit(monthly())
    series = [monthly(50, seed=1).astype("float32"), monthly(40, seed=2)]
    found = model.predict(series=series, **WAYS[way])
    assert len(plain) == 1
    expected = model.predict(series=series, trainer=lightning(), **WAYS[way])
    assert len(plain) == 1
    for one, other in zip(found, expected, strict=True):
        assert_array_equal(one.all_values(), other.all_values())
        assert one.dtype == other.dtype
        assert one.time_index.equals(other.time_index)
        assert one.components.equals(other.components)


@pytest.mark.parametrize("batch_size", [2, 16])
def test_no_series_is_dropped(small, monthly, plain, batch_size):
    model = VanillaLSTMModel(**small).fit(monthly())
    series = [monthly(50, seed=seed) for seed in range(3)]
    kwargs = {"batch_size": batch_size, "drop_last": True}
    found = model.predict(3, series, dataloader_kwargs=kwargs)
    assert len(plain) == 1
    for one, other in zip(found, model.predict(3, series), strict=True):
        assert_allclose(one.values(), other.values(), rtol=1e-6)


def test_a_fit_without_settings_needs_no_trainer_in_forecasts(small, monthly, plain):
    VanillaLSTMModel(**small).fit(monthly()).predict(3)
    assert len(plain) == 1


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"accelerator": "cpu"},
        {"gradient_clip_val": 0.5, "max_steps": 7, "logger": True},
        {"callbacks": [], "plugins": None, "enable_progress_bar": False},
    ],
)
def test_settings_of_training_ask_for_no_trainer(settings):
    assert needs_no_trainer({"accelerator": "cpu", **settings}, None)
    assert needs_no_trainer({"accelerator": "cpu", **settings}, False)


@pytest.mark.parametrize(
    ("settings", "verbose"),
    [
        ({"callbacks": [Callback()]}, None),
        ({"plugins": ["any"]}, None),
        ({"precision": "64-true"}, None),
        ({"strategy": "ddp"}, None),
        ({"devices": 2}, None),
        ({"limit_predict_batches": 1}, None),
        ({"accelerator": "gpu"}, None),
        ({"accelerator": "mps"}, None),
        ({"enable_progress_bar": True}, None),
        ({}, True),
    ],
)
def test_what_a_trainer_would_do_asks_for_one(settings, verbose):
    assert not needs_no_trainer({"accelerator": "cpu", **settings}, verbose)


def test_where_there_is_a_gpu_lightning_chooses_it(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert not needs_no_trainer({}, None)
    assert not needs_no_trainer({"accelerator": "auto"}, None)
    assert needs_no_trainer({"accelerator": "cpu"}, None)


def test_callbacks_are_called_in_forecasts(small, monthly, plain):
    class Counter(Callback):
        started = 0

        def on_predict_start(self, trainer, pl_module):
            self.started += 1

    counter = Counter()
    kwargs = {"pl_trainer_kwargs": {"callbacks": [counter]}}
    VanillaLSTMModel(**small, **kwargs).fit(monthly()).predict(3)
    assert counter.started == 1
    assert plain == []


def test_a_forecast_leaves_the_trainer_of_the_fit(small, monthly, tmp_path):
    model = VanillaLSTMModel(**small).fit(monthly())
    trainer = model.trainer
    before = copy.deepcopy(model.model.state_dict())
    expected = model.predict(3).values()
    assert model.trainer is trainer
    assert trainer.global_step == 6
    for name, values in model.model.state_dict().items():
        assert torch.equal(values, before[name])
    model.save(str(tmp_path / "model.pt"))
    loaded = VanillaLSTMModel.load(str(tmp_path / "model.pt"))
    assert_array_equal(loaded.predict(3).values(), expected)
    # and once more, from a model that has forecast but has no trainer of a fit
    loaded.save(str(tmp_path / "again.pt"))
    again = VanillaLSTMModel.load(str(tmp_path / "again.pt"))
    assert_array_equal(again.predict(3).values(), expected)
    assert model.fit(monthly()).epochs_trained == 4


def test_a_forecast_on_the_cpu_moves_no_weights(small, monthly, monkeypatch):
    """Moving them, even to where they are, breaks forecasts in other threads."""
    model = VanillaLSTMModel(**small).fit(monthly())
    expected = model.predict(9)
    monkeypatch.setattr(torch.nn.LSTM, "_apply", None)
    assert model.predict(9) == expected


def test_dropout_is_off_again_after_a_forecast_with_it(small, monthly):
    settings = {**small, "num_layers": 2, "dropout": 0.4}
    model = StackedLSTMModel(**settings).fit(monthly())
    expected = model.predict(3).values()
    dropped = model.predict(3, mc_dropout=True).values()
    assert abs(dropped - expected).max() > 1e-3
    assert not any(one.training for one in model.model.modules())
    assert_array_equal(model.predict(3).values(), expected)
