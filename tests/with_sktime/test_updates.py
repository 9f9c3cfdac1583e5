"""Update and pretraining: what they change and what they leave as it was."""

import copy

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sktime.split import ExpandingWindowSplitter

from lstm_forecasters.backend.recipe import (
    default_weight_decay,
    spread_correction,
    weight_decay_of_steps,
)
from lstm_forecasters.backend.training import Trainer
from lstm_forecasters.errors import CovariateError
from lstm_forecasters.sktime import VanillaLSTMForecaster

FH = [-20, -2, 0, 1, 3, 8]


def weights_of(network):
    """Return copies of all tensors of a network."""
    return {name: value.clone() for name, value in network.state_dict().items()}


def assert_same_weights(network, weights):
    for name, value in network.state_dict().items():
        assert_array_equal(value, weights[name], err_msg=name)


def largest_change(network, weights):
    """Return the largest absolute difference of any weight."""
    return max(
        float((value - weights[name]).abs().max())
        for name, value in network.state_dict().items()
        if value.numel()
    )


# -- update -------------------------------------------------------------------------


@pytest.mark.parametrize("with_X", [False, True])
def test_update_without_parameters_only_extends_the_context(make, y, X, panel, with_X):
    """It forecasts what the same network forecasts from the longer series."""
    start, rest, ahead = (X[:50], X[50:72], X[72:]) if with_X else (None, None, None)
    values = np.random.default_rng(0).normal(size=(len(panel), 2))
    panel_X = pd.DataFrame(values, index=panel.index, columns=X.columns)
    pretrained = make(horizon=6).pretrain(panel, X=panel_X if with_X else None)
    forecaster = pretrained.clone().fit(y[:50], start)
    weights = weights_of(forecaster.network_)
    old = forecaster.predict(fh=[1, 2], X=rest)
    forecaster.update(y[50:], rest, update_params=False)
    assert_same_weights(forecaster.network_, weights)
    assert list(forecaster.cutoff) == [y.index[-1]]
    forecast = forecaster.predict(fh=FH, X=ahead)
    assert list(forecast.index) == [y.index[-1] + step for step in FH]
    whole = pretrained.clone().fit(y, X[:72] if with_X else None)
    assert_array_equal(forecast, whole.predict(fh=FH, X=ahead))
    assert np.abs(old.to_numpy() - forecast[3:5].to_numpy()).min() > 0


def test_update_with_parameters_trains_on_a_little(make, y):
    forecaster = make(horizon=6, max_steps=50).fit(y[:60])
    weights = weights_of(forecaster.network_)
    context_only = copy.deepcopy(forecaster).update(y[60:], update_params=False)
    forecaster.update(y[60:])
    change = largest_change(forecaster.network_, weights)
    trained = make(horizon=6, max_steps=50).fit(y)
    fresh = largest_change(trained.network_, weights)
    assert 0 < change < 0.3 * fresh
    forecasts = [one.predict(fh=range(1, 7)) for one in (forecaster, context_only)]
    assert 0 < np.abs(forecasts[0] - forecasts[1]).max() < y.std()


def test_update_trains_on_the_new_data(make, y):
    """Other values in the update, though alike as context, give other weights."""
    networks = []
    for factor in (1.0, -1.0):
        forecaster = make(horizon=6).fit(y[:60])
        later = y[60:] + factor * 20 * np.sin(np.arange(12))
        networks.append(forecaster.update(later).network_)
    assert largest_change(networks[0], weights_of(networks[1])) > 0


def test_update_is_reproducible_and_leaves_copies_alone(make, y):
    forecaster = make(horizon=6).fit(y[:60])
    twin, kept = copy.deepcopy(forecaster), copy.deepcopy(forecaster)
    before = kept.predict(fh=FH)
    forecaster.update(y[60:])
    twin.update(y[60:])
    assert_array_equal(forecaster.predict(fh=FH), twin.predict(fh=FH))
    assert_array_equal(kept.predict(fh=FH), before)


def test_newer_values_replace_older_ones_where_they_overlap(make, y):
    corrected = y.copy()
    corrected[50:60] += 5
    forecaster = make(horizon=6).fit(y[:60])
    at_once = copy.deepcopy(forecaster).update(corrected, update_params=False)
    forecaster.update(corrected[50:], update_params=False)
    assert_array_equal(forecaster.predict(fh=FH), at_once.predict(fh=FH))
    uncorrected = copy.deepcopy(forecaster).update(y, update_params=False)
    assert np.abs(uncorrected.predict(fh=[1]) - at_once.predict(fh=[1])).max() > 0


@pytest.mark.parametrize("with_X", [False, True])
def test_months_between_fit_and_update_are_masked(make, y, X, with_X):
    """As if they had been passed as missing."""
    start, rest, late, ahead = (
        (X[:60], X[60:72], X[66:72], X[72:]) if with_X else (None,) * 4
    )
    missing = y[60:].copy()
    missing[:6] = np.nan
    if with_X:
        rest = rest.copy()
        rest[:6] = np.nan
    forecaster = make(horizon=6).fit(y[:60], start)
    by_mask = copy.deepcopy(forecaster).update(missing, rest, update_params=False)
    forecaster.update(y[66:], late, update_params=False)
    assert_array_equal(
        forecaster.predict(fh=FH, X=ahead), by_mask.predict(fh=FH, X=ahead)
    )


def test_update_predict_equals_updates_by_hand(make, y):
    """sktime's rolling evaluation of a fitted forecaster."""
    forecaster = make(horizon=3).fit(y[:60])
    splitter = ExpandingWindowSplitter(fh=[1], initial_window=1, step_length=1)
    rolled = forecaster.update_predict(y[60:66], cv=splitter, update_params=False)
    expected = []
    for at in range(61, 67):
        seen = copy.deepcopy(forecaster).update(y[60:at], update_params=False)
        expected.append(seen.predict(fh=[1]))
    expected = pd.concat(expected)
    common = rolled.index.intersection(expected.index)
    assert len(common) >= 5
    assert_allclose(rolled[common], expected[common], rtol=1e-9)


def test_refit_starts_anew(make, y, seasonal):
    """A second fit equals the first fit of a fresh forecaster."""
    other = seasonal(60, seed=9)
    refitted = make(horizon=6).fit(other).update(other).fit(y)
    assert_array_equal(refitted.predict(fh=FH), make(horizon=6).fit(y).predict(fh=FH))


# -- pretraining --------------------------------------------------------------------


@pytest.mark.parametrize("fine_tune_steps", [0, 5])
def test_fit_leaves_the_pretrained_network_as_it_was(
    make, panel, y, seasonal, fine_tune_steps
):
    """A fit never leaks into the next one."""
    forecaster = make(horizon=6, fine_tune_steps=fine_tune_steps).pretrain(panel)
    weights = weights_of(forecaster.pretrained_network_)
    first = forecaster.clone().fit(y).predict(fh=FH)
    forecaster.fit(seasonal(seed=20))
    forecaster.update(seasonal(76, seed=20)[72:])
    assert_same_weights(forecaster.pretrained_network_, weights)
    assert_array_equal(forecaster.fit(y).predict(fh=FH), first)
    change = largest_change(forecaster.network_, weights)
    assert (change > 0) == (fine_tune_steps > 0)


def test_fit_after_pretraining_takes_the_series_as_context_only(make, panel, y):
    """The network of the panel forecasts a series that it has never seen."""
    pretrained = make(horizon=6).pretrain(panel)
    forecast = pretrained.clone().fit(y).predict(fh=FH)
    on_panel = make(horizon=6).fit(panel)
    one = pd.concat({"new": y.to_frame("sales")}, names=["shop", "month"])
    on_panel.update(one, update_params=False)
    expected = on_panel.predict(fh=FH).loc["new"]["sales"]
    assert_allclose(forecast, expected, rtol=1e-6)
    assert np.abs(forecast - make(horizon=6).fit(y).predict(fh=FH)).max() > 0


@pytest.mark.parametrize("copied", ["clone", "deepcopy"])
def test_pretraining_survives_copies(make, panel, y, copied):
    pretrained = make(horizon=6).pretrain(panel)
    weights = weights_of(pretrained.pretrained_network_)
    copy_of = {"clone": lambda one: one.clone(), "deepcopy": copy.deepcopy}[copied]
    twin = copy_of(pretrained)
    assert_same_weights(twin.pretrained_network_, weights)
    assert twin.pretrained_network_ is not pretrained.pretrained_network_
    expected = pretrained.fit(y).predict(fh=FH)
    assert_array_equal(twin.fit(y).predict(fh=FH), expected)
    assert_array_equal(copy_of(pretrained).fit(y).predict(fh=FH), expected)


def test_pretraining_pays_on_a_short_series(make, seasonal):
    """A year and a bit of a series like those of the panel."""
    many = pd.concat(
        [seasonal(96, seed=seed).to_frame("sales") for seed in range(6)],
        keys=range(6),
        names=["shop", "month"],
    )
    short = seasonal(30, seed=40)
    settings = {"sp": 12, "horizon": 4, "window_length": 15, "max_steps": 100}
    settings |= {"batch_size": 64, "learning_rate": 0.01}
    fh = range(1, 5)
    pretrained = make(**settings).pretrain(many).fit(short[:18]).predict(fh=fh)
    from_scratch = make(**settings).fit(short[:18]).predict(fh=fh)
    truth = short[18:22]
    assert np.abs(pretrained - truth).mean() < np.abs(from_scratch - truth).mean()


def test_pretraining_further_goes_on_from_the_network_so_far(make, panel, seasonal):
    more = pd.concat(
        {"z": seasonal(60, seed=30).to_frame("sales")}, names=["shop", "m"]
    )
    forecaster = make(horizon=6).pretrain(panel)
    first = weights_of(forecaster.pretrained_network_)
    forecaster.pretrain(more)
    further = largest_change(forecaster.pretrained_network_, first)
    fresh = largest_change(make(horizon=6).pretrain(more).pretrained_network_, first)
    assert further > 0
    assert further != fresh


def test_the_number_of_channels_need_not_be_that_of_pretraining(make, panel, y):
    pretrained = make(horizon=6).pretrain(panel)
    both = pd.DataFrame({"first": y, "second": -y})
    forecast = pretrained.fit(both).predict(fh=[1, 2])
    assert list(forecast.columns) == ["first", "second"]
    assert np.isfinite(forecast).all(axis=None)


def test_the_season_of_pretraining_stays(make, panel, y):
    """The fit's series may be too short to show it, or have another index."""
    pretrained = make(horizon=6).pretrain(panel)
    assert pretrained.pretrained_network_.layout.period == 12
    numbers = y[:14].reset_index(drop=True)
    by_month = pretrained.clone().fit(y[:14]).predict(fh=range(1, 7))
    by_number = pretrained.clone().fit(numbers).predict(fh=range(1, 7))
    assert_array_equal(by_month, by_number)


def test_covariates_of_fit_must_be_those_of_pretraining(make, panel, y, X):
    values = np.random.default_rng(0).normal(size=(len(panel), 2))
    panel_X = pd.DataFrame(values, index=panel.index, columns=["price", "ads"])
    pretrained = make(horizon=6).pretrain(panel, X=panel_X)
    for wrong in (None, X[["price"]], X.rename(columns={"ads": "other"})):
        given = None if wrong is None else wrong[:72]
        with pytest.raises(CovariateError, match=r"pretrained .*'price', 'ads'"):
            pretrained.clone().fit(y, given)
    with pytest.raises(CovariateError, match="pretrained"):
        make(horizon=6).pretrain(panel).fit(y, X[:72])
    straight = pretrained.clone().fit(y, X[:72]).predict(fh=[1, 2], X=X[72:])
    turned = X[["ads", "price"]]
    other = pretrained.clone().fit(y, turned[:72]).predict(fh=[1, 2], X=turned[72:])
    assert_array_equal(straight, other)


def test_changed_parameters_forget_the_pretraining(make, panel, y):
    """As sktime has it: set_params resets."""
    changed = make(horizon=6).pretrain(panel).set_params(horizon=4)
    fresh = make(horizon=4).fit(y)
    assert_array_equal(changed.fit(y).predict(fh=FH), fresh.predict(fh=FH))


# -- what is taken from the first data alone ----------------------------------------


@pytest.fixture
def decays(monkeypatch):
    """Weight decays of all trainings, in AdamW's units."""
    found, run = [], Trainer.run

    def noted(self):
        found.append(self.weight_decay)
        return run(self)

    monkeypatch.setattr(Trainer, "run", noted)
    return found


def test_weights_decay_in_a_first_fit_and_are_kept_in_any_other(
    small, panel, y, decays
):
    settings = {**small, "horizon": 6, "window_length": 12, "fine_tune_steps": 5}
    forecaster = VanillaLSTMForecaster(**settings)
    forecaster.fit(y[:60]).update(y[60:])
    n_windows = 60 - 12  # of which the last ones reach beyond the end
    expected = default_weight_decay(forecaster.network_.n_weights, n_windows)
    expected = weight_decay_of_steps(expected, 5e-3, small["max_steps"])
    assert decays == [pytest.approx(expected), 0.0]
    decays.clear()
    pretrained = VanillaLSTMForecaster(**settings).pretrain(panel)
    pretrained.fit(y)
    of_panel, of_fine_tuning = decays
    assert 0 < of_panel < expected  # there are more windows
    assert of_fine_tuning == 0


def test_spreads_stay_as_wide_as_the_first_data_ask_for(small, panel, y):
    settings = {**small, "horizon": 6, "window_length": 12, "fine_tune_steps": 5}
    missing = y[:60].copy()
    missing[3:8] = np.nan
    forecaster = VanillaLSTMForecaster(**settings).fit(missing)
    expected = pytest.approx(spread_correction(60 - 5, 6))
    assert forecaster.network_.widening.item() == expected
    forecaster.update(y[60:])
    assert forecaster.network_.widening.item() == expected
    pretrained = VanillaLSTMForecaster(**settings).pretrain(panel)
    pretrained.fit(y)
    expected = spread_correction(len(panel), 6)
    assert pretrained.network_.widening.item() == pytest.approx(expected)
