"""The pretrained model: what a fit takes note of, what training adds, what is said."""

import inspect

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal

from lstm_forecasters.backend.pretrained import FINE_TUNING_RATE, pretrained_network
from lstm_forecasters.backend.recipe import spread_correction
from lstm_forecasters.darts import PretrainedLSTMModel
from lstm_forecasters.errors import ParameterError


def test_a_season_with_a_trend_is_forecast(monthly):
    series = monthly(144)
    forecast = PretrainedLSTMModel(336, 24).fit(series[:-24]).predict(24)
    naive = np.tile(series.values()[-36:-24], (2, 1))
    error = np.abs(forecast.values() - series.values()[-24:]).mean()
    assert error < 0.6 * np.abs(naive - series.values()[-24:]).mean()


def test_every_fit_takes_up_the_season_of_its_series(monthly):
    model = PretrainedLSTMModel(96, 12)
    numbered = monthly(60).values()
    first = model.fit(monthly(60)).predict(12).values()
    without = model.fit(type(monthly()).from_values(numbered)).predict(12).values()
    assert np.abs(first - without).max() > 1
    assert_array_equal(model.fit(monthly(60)).predict(12).values(), first)


def test_every_fit_starts_from_the_weights_of_the_package(monthly):
    before = {
        key: one.clone() for key, one in pretrained_network().state_dict().items()
    }
    model = PretrainedLSTMModel(48, 6, fine_tune_steps=3, batch_size=8, random_state=0)
    weights = []
    for _ in range(2):
        model = model.untrained_model().fit(monthly(60))
        weights.append(model.network_.state_dict())
    for key, one in weights[0].items():
        assert_array_equal(one, weights[1][key])
        assert_array_equal(pretrained_network().state_dict()[key], before[key])
    changes = [
        (one - before[key]).abs().max()
        for key, one in weights[0].items()
        if one.numel() and key in before
    ]
    assert max(changes) > 0


def test_a_second_fit_learns_the_same(monthly):
    model = PretrainedLSTMModel(24, 6, fine_tune_steps=5, batch_size=8, random_state=0)
    model.fit(monthly(60), future_covariates=monthly(72, seed=5))
    first = model.predict(8, num_samples=3).values()
    model.fit(monthly(60, seed=1)).fit(
        monthly(60), future_covariates=monthly(72, seed=5)
    )
    assert_array_equal(model.predict(8, num_samples=3).values(), first)


def test_covariates_have_no_effect_without_fine_tuning(monthly):
    series, known = monthly(60), monthly(72, seed=5)
    plain = PretrainedLSTMModel(48, 6).fit(series).predict(6).values()
    model = PretrainedLSTMModel(48, 6).fit(series, future_covariates=known)
    forecast = model.predict(6, future_covariates=known)
    assert_allclose(forecast.values(), plain, rtol=1e-6)


@pytest.mark.parametrize(
    ("given", "rate"),
    [(None, FINE_TUNING_RATE * (60 / 2500) ** 1.5), ({"lr": 0.02}, 0.02)],
)
def test_short_series_are_learnt_from_slowly(monthly, given, rate):
    settings = {"fine_tune_steps": 1, "batch_size": 4, "optimizer_kwargs": given}
    model = PretrainedLSTMModel(24, 6, **settings).fit(monthly(60))
    assert model.model.optimizer_kwargs["lr"] == pytest.approx(rate)


def test_intervals_are_widened_where_little_is_fine_tuned_on(monthly):
    as_it_is, tuned = (
        PretrainedLSTMModel(24, 6, fine_tune_steps=steps, batch_size=4)
        .fit(monthly(60))
        .network_.widening
        for steps in (0, 1)
    )
    assert as_it_is == 1
    assert tuned == spread_correction(60, horizon=6) > 1.1


def test_patterns_say_what_is_fine_tuned(monthly):
    model = PretrainedLSTMModel(
        24,
        6,
        fine_tune_steps=2,
        batch_size=4,
        enable_finetuning={"unfreeze": ["*head*"]},
    ).fit(monthly(60))
    shared = pretrained_network().state_dict()
    for name, weights in model.network_.named_parameters():
        assert torch.equal(weights, shared[name]) == ("head" not in name), name


def test_steps_below_0_are_refused():
    with pytest.raises(ParameterError, match="fine_tune_steps must be at least 0"):
        PretrainedLSTMModel(24, 6, fine_tune_steps=-1)


def test_the_model_card_is_named():
    assert "docs/pretrained.md" in inspect.getdoc(PretrainedLSTMModel)
