"""Small forecasters and series that the tests share."""

import functools

import numpy as np
import pandas as pd
import pytest

from lstm_forecasters.sktime import (
    BidirectionalLSTMForecaster,
    EncoderDecoderLSTMForecaster,
    PretrainedLSTMForecaster,
    StackedLSTMForecaster,
    VanillaLSTMForecaster,
)

FORECASTERS = [
    VanillaLSTMForecaster,
    StackedLSTMForecaster,
    BidirectionalLSTMForecaster,
    EncoderDecoderLSTMForecaster,
]
FEW_STEPS = 5
SMALL = {"hidden_size": 8, "max_steps": 25, "batch_size": 16, "random_state": 3}


def _short_name(one):
    return getattr(one, "__name__", one).removesuffix("LSTMForecaster")


@pytest.fixture(params=FORECASTERS, ids=_short_name)
def forecaster_class(request):
    """Each of the four forecasters."""
    return request.param


@pytest.fixture
def forecasters():
    """All four forecasters at once."""
    return FORECASTERS


NEEDS_TRAINING = {
    "a_known_covariate_improves_the_forecast",
    "the_effect_of_a_covariate_has_its_sign_and_size",
    "columns_are_matched_by_name_and_not_by_place",
    "rows_are_matched_by_time_and_not_by_place",
    "a_missing_covariate_is_masked_and_not_taken_for_what_fills_it",
    "covariates_of_each_series_of_a_panel_are_its_own",
    "update_with_parameters_trains_on_a_little",
    "update_trains_on_the_new_data",
    "fit_after_pretraining_takes_the_series_as_context_only",
    "the_same_seed_gives_the_same_forecast",
    "a_random_state_is_a_seed_as_well",
    "silent_by_default_and_no_files",
    "too_little_to_train_on_is_refused",
    "a_network_that_diverges_twice_is_refused",
    "an_interrupted_fit_leaves_a_usable_forecaster",
    "fit_goes_on_where_it_was_interrupted",
    "another_fit_does_not_go_on_from_it",
    "every_training_has_its_checkpoint_and_deletes_it",
    "pretraining_further_goes_on_from_the_network_so_far",
}
"""Tests of what training does: of covariates, updates, seeds and interruptions."""

NEEDS_ONE_NETWORK = {
    "update_without_parameters_only_extends_the_context",
    "fit_after_pretraining_takes_the_series_as_context_only",
    "independent_channels_are_forecast_as_if_they_were_alone",
    "each_series_is_forecast_from_its_own_cutoff",
    "absolute_times_are_the_same_for_all_series",
    "series_keep_their_order",
    "a_hierarchy_is_forecast_series_by_series",
    "update_moves_each_cutoff_by_itself",
    "leading_missing_values_equal_a_later_start",
    "a_file_without_context_is_a_pretrained_network",
}
"""Tests that compare fits which use one network and do not train it."""


LEARNS_MORE = {
    "a_past_covariate_improves_the_forecast_of_what_follows_it": (
        "a covariate that is new to the pretrained encoder takes hundreds of steps"
    ),
    "one_network_learns_from_all_series": "it has learnt from many series before",
    "pretraining_pays_on_a_short_series": "it has learnt from many series before",
    "ten_times_the_window_stays_at_the_level_of_the_series": (
        "in a window of one season, a season looks like any swing (test_pretrained.py)"
    ),
}
"""Tests of what a network that is trained from the beginning does better."""


@pytest.fixture(params=FORECASTERS, ids=_short_name)
def make(request):
    """Return a function that constructs a small forecaster of a class."""
    return _maker(request.param)


@pytest.fixture(params=[*FORECASTERS, "zero-shot", "fine-tuned"], ids=_short_name)
def make_any(request):
    """Return such a function, of pretrained forecasters too.

    They forecast as they are, or after a few steps.
    """
    if not isinstance(request.param, str):
        return _maker(request.param)
    name = request.node.originalname.removeprefix("test_")
    if request.param == "zero-shot" and name in NEEDS_TRAINING:
        pytest.skip("it does not learn without fine-tuning")
    if request.param == "fine-tuned" and name in NEEDS_ONE_NETWORK:
        pytest.skip("each of its fits trains a network of its own")
    if name in LEARNS_MORE:
        pytest.skip(LEARNS_MORE[name])
    return functools.partial(make_pretrained, request.param == "fine-tuned")


def _maker(forecaster_class):
    """Return a function that constructs a small forecaster of a class."""

    def make_small(**settings):
        return forecaster_class(**{**SMALL, **settings})

    return make_small


def make_pretrained(is_trained, **settings):
    """Return a pretrained forecaster with those settings that it has."""
    fixed = {"likelihood": "quantile", "n_members": 1, "joint_channels": False}
    for name, value in settings.items():
        if name in fixed and value != fixed[name]:
            pytest.skip(f"the pretrained network has {name}={fixed[name]!r}")
    if is_trained:
        steps = settings.get("max_steps", FEW_STEPS)
        settings = {"fine_tune_steps": steps, "batch_size": 8, **settings}
    known = PretrainedLSTMForecaster.get_param_names()
    given = {name: value for name, value in settings.items() if name in known}
    return PretrainedLSTMForecaster(**{"random_state": 3, **given})


@pytest.fixture
def small():
    """Arguments of a small network that learns for some steps."""
    return dict(SMALL)


@pytest.fixture
def seasonal():
    """Return a function that draws monthly series: trend, season and noise."""

    def draw(n_steps=72, seed=0, noise=1.0, start="2000-01"):
        generator = np.random.default_rng(seed)
        step = np.arange(n_steps)
        phase = generator.uniform(0, 2 * np.pi)
        values = 100 + 0.3 * step + 10 * np.sin(2 * np.pi * step / 12 + phase)
        values += noise * generator.normal(size=n_steps)
        index = pd.period_range(start, periods=n_steps, freq="M")
        return pd.Series(values, index=index, name="sales")

    return draw


@pytest.fixture
def y(seasonal):
    """Six years of months."""
    return seasonal()


@pytest.fixture
def X(y):
    """Two covariates that cover the series and two years more."""
    generator = np.random.default_rng(5)
    index = pd.period_range(y.index[0], periods=len(y) + 24, freq="M")
    return pd.DataFrame(
        generator.normal(size=(len(index), 2)), index=index, columns=["price", "ads"]
    )


@pytest.fixture
def panel(seasonal):
    """Three series of unequal length, start and end, their keys not in sorted order."""
    series = {
        "b": seasonal(60, seed=1),
        "c": seasonal(40, seed=2),
        "a": seasonal(52, seed=3, start="1999-09"),
    }
    frames = [one.to_frame("sales") for one in series.values()]
    return pd.concat(frames, keys=list(series), names=["shop", "month"])


@pytest.fixture
def hierarchy(seasonal):
    """Two regions with two shops each, of unequal length."""
    lengths = {("n", "x"): 48, ("n", "y"): 60, ("m", "x"): 52, ("m", "y"): 44}
    series = {
        key: seasonal(length, seed=number).to_frame("sales")
        for number, (key, length) in enumerate(lengths.items())
    }
    return pd.concat(series, names=["region", "shop", "month"])


@pytest.fixture
def complete(seasonal):
    """A seasonal series with little noise, and two seasons after its end."""
    return seasonal(120, noise=0.3)


@pytest.fixture
def driven():
    """A series that is mostly one of its covariates, and covariates of a year more."""
    generator = np.random.default_rng(4)
    index = pd.period_range("2000-01", periods=172, freq="M")
    X = pd.DataFrame(
        generator.normal(size=(len(index), 2)), index=index, columns=["driver", "idle"]
    )
    y = 50 + 4 * X["driver"] + 0.2 * generator.normal(size=len(index))
    return y.rename("sales"), X
