"""Small models and series that the tests share."""

import numpy as np
import pandas as pd
import pytest
import torch
from darts import TimeSeries

from lstm_forecasters.darts import (
    BidirectionalLSTMModel,
    EncoderDecoderLSTMModel,
    StackedLSTMModel,
    VanillaLSTMModel,
)
from lstm_forecasters.darts.module import LSTMModule
from tests.with_darts.pretrained import make_pretrained

MODELS = [
    VanillaLSTMModel,
    StackedLSTMModel,
    BidirectionalLSTMModel,
    EncoderDecoderLSTMModel,
]
SMALL = {
    "input_chunk_length": 12,
    "output_chunk_length": 6,
    "hidden_size": 8,
    "batch_size": 16,
    "n_epochs": 2,
    "random_state": 3,
}


def _short_name(one):
    return getattr(one, "__name__", one).removesuffix("LSTMModel")


@pytest.fixture(params=MODELS, ids=_short_name)
def model_class(request):
    """Each of the four models."""
    return request.param


@pytest.fixture
def make(model_class):
    """Return a function that constructs a small model of the class."""

    def make_small(**settings):
        return model_class(**{**SMALL, **settings})

    return make_small


NEEDS_TRAINING = {
    "callbacks_see_the_losses_of_every_epoch",
    "ctrl_c_is_raised_and_keeps_the_network",
    "training_that_diverges_begins_again_at_a_tenth_of_the_rate",
    "divergence_is_an_error_and_gives_no_forecast",
}
"""Tests of what happens in training."""

LEARNS_ON = {
    "n_epochs_is_respected",
    "a_model_from_a_file_learns_on",
    "a_failed_second_fit_leaves_the_first[zero-shot-renamed]",
    "a_failed_second_fit_leaves_the_first[fine-tuned-renamed]",
}
"""Tests of fits that go on from the network so far."""


@pytest.fixture(params=[*MODELS, "zero-shot", "fine-tuned"], ids=_short_name)
def make_any(request):
    """Return such a function, of pretrained models too.

    They forecast as they are, or after a few steps.
    """
    name = request.node.originalname.removeprefix("test_")
    if request.param == "zero-shot" and name in NEEDS_TRAINING:
        pytest.skip("it does not learn without fine-tuning")
    is_pretrained = isinstance(request.param, str)
    if is_pretrained and {name, request.node.name.removeprefix("test_")} & LEARNS_ON:
        pytest.skip("each of its fits begins with the weights of the package")

    def make_small(**settings):
        given = {**SMALL, **settings}
        if is_pretrained:
            return make_pretrained(request.param == "fine-tuned", **given)
        return request.param(**given)

    return make_small


@pytest.fixture
def small():
    """Arguments of a small model that learns for two epochs."""
    return dict(SMALL)


@pytest.fixture
def diverge_above(monkeypatch):
    """Return a function that lets trainings at rates above one end in no weights."""
    plan = LSTMModule.configure_optimizers

    def diverge(rate):
        def planned(self):
            found = plan(self)
            if self.optimizer_kwargs["lr"] > rate:
                with torch.no_grad():
                    next(self.network.parameters()).fill_(torch.nan)
            return found

        monkeypatch.setattr(LSTMModule, "configure_optimizers", planned)

    return diverge


@pytest.fixture
def monthly():
    """Return a function that makes a monthly series with a trend and a season."""

    def make_series(n_steps=60, level=100.0, seed=0, columns=None):
        step = np.arange(n_steps)
        season = 10 * np.sin(2 * np.pi * step / 12)
        noise = np.random.default_rng(seed).normal(size=n_steps)
        values = level + 0.5 * step + season + noise
        times = pd.date_range("2015-01-01", periods=n_steps, freq="MS")
        return TimeSeries.from_times_and_values(times, values, columns=columns)

    return make_series
