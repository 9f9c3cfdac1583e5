"""Pretraining and what follows it: what it is good for, and what it fixes."""

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_array_equal

from lstm_forecasters.backend.recipe import (
    default_weight_decay,
    spread_correction,
    weight_decay_of_steps,
)
from lstm_forecasters.backend.training import Trainer
from lstm_forecasters.errors import CovariateError
from lstm_forecasters.sktime import VanillaLSTMForecaster

pytest.register_assert_rewrite("tests.with_sktime.conformance")

from tests.with_sktime.conformance import (  # noqa: E402  # is rewritten
    largest_change,
    weights_of,
)


@pytest.fixture
def make(make_any):
    """Return a function that constructs a small forecaster, pretrained ones too."""
    return make_any


FH = [-20, -2, 0, 1, 3, 8]


# -- pretraining --------------------------------------------------------------------


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
