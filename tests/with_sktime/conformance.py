"""What a good sktime forecaster does: checks of any LSTM forecaster, each of values.

A check takes ``make``, which constructs a small unfitted forecaster from the
constructor's arguments, and fixtures of pytest by their names. It names what it shows.
"""

import copy
import pickle
import random
import re
from concurrent.futures import ThreadPoolExecutor

import joblib
import numpy as np
import pandas as pd
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from sktime.base import load
from sktime.split import ExpandingWindowSplitter

from lstm_forecasters.errors import CovariateError, DataError

__all__ = [
    "CHECKS",
    "LEVELS",
    "WAYS",
    "assert_alike",
    "by_load_from_path",
    "by_pickle",
    "largest_change",
    "replaced",
    "seen",
    "weights_of",
    "without",
]

AHEAD = 12
FH = [-20, -2, 0, 1, 3, 8]
NEXT = range(1, 10)
STEPS = [-30, -1, 0, 1, 3, 6, 9]
LEVELS = [0.05, 0.1, 0.5, 0.8, 0.95]
SEGMENTS = [1, 3]
KEYS = ["b", "c", "a"]
LEARNING = {
    "hidden_size": 16,
    "max_steps": 150,
    "learning_rate": 0.01,
    "batch_size": 64,
    "window_length": 8,
    "sp": 1,
    "horizon": 6,
}
"""Settings of a forecaster that is to learn the effect of a covariate."""
MISSING = {
    "scattered": lambda n: np.random.default_rng(1).permutation(n)[: n // 6],
    "leading": lambda n: np.arange(15),
    "a whole season": lambda n: np.arange(30, 42),
    "at the cutoff": lambda n: np.arange(n - 3, n),
    "leading and at the cutoff": lambda n: np.r_[np.arange(10), n - 1],
}
"""Positions of what is missing in a series of n time steps."""

CHECKS = {}
"""All checks by their names."""


def conformance(check):
    """Take note of a check."""
    CHECKS[check.__name__.removeprefix("check_")] = check
    return check


# -- data and forecasters -----------------------------------------------------------


def replaced(series, position, value):
    """Return a copy with another value at a position."""
    changed = series.copy()
    changed.iloc[position] = value
    return changed


def without(series, position):
    """Return a copy that lacks a time stamp."""
    return series.drop(series.index[position])


def rows_of(data, key):
    """Return one series of a panel or hierarchy."""
    instances = data.index.droplevel(-1)
    rows = data[[instance == key for instance in instances]]
    return rows.droplevel(list(range(data.index.nlevels - 1)))


def seen(forecaster, y, X=None):
    """Return a copy of a fitted forecaster, of the same weights, that saw y instead."""
    return copy.deepcopy(forecaster).update(y, X, update_params=False)


def weights_of(network):
    """Return copies of all tensors of a network."""
    return {name: value.clone() for name, value in network.state_dict().items()}


# -- comparisons --------------------------------------------------------------------


def error(forecast, truth):
    """Return the mean absolute error over the forecast time steps."""
    return np.abs(forecast - truth[forecast.index]).mean()


def assert_same_weights(network, weights):
    """Assert that no tensor of a network has changed."""
    for name, value in network.state_dict().items():
        assert_array_equal(value, weights[name], err_msg=name)


def largest_change(network, weights):
    """Return the largest absolute difference of any weight."""
    return max(
        float((value - weights[name]).abs().max())
        for name, value in network.state_dict().items()
        if value.numel()
    )


def assert_equal_to_each_alone(forecaster, data, fh, method="predict", **arguments):
    """Compare forecasts of a panel with those of each series by the same network."""
    together = getattr(forecaster.clone().fit(data), method)(fh=fh, **arguments)
    keys = data.index.droplevel(-1).unique()
    assert list(together.index.droplevel(-1).unique()) == list(keys)
    for key in keys:
        fitted = forecaster.clone().fit(rows_of(data, key))
        alone = getattr(fitted, method)(fh=fh, **arguments)
        found = rows_of(together, key)
        assert list(found.index) == list(alone.index), key
        assert_allclose(found, alone, rtol=1e-6, err_msg=str(key))


# -- covariates ---------------------------------------------------------------------


@conformance
def check_a_known_covariate_improves_the_forecast(make, driven):
    y, X = driven
    fh = range(1, AHEAD + 1)
    without = make(**LEARNING).fit(y[:160]).predict(fh=fh)
    forecaster = make(**LEARNING).fit(y[:160], X[:160])
    known = forecaster.predict(fh=fh, X=X[160:])
    assert error(known, y) < 0.4 * error(without, y)
    fitted = forecaster.predict(fh=np.arange(-100, 1))
    assert error(fitted, y) < 0.4 * np.abs(y - y.mean()).mean()


@conformance
def check_the_effect_of_a_covariate_has_its_sign_and_size(make, driven):
    """The slope is 4, whatever the level of the covariate."""
    y, X = driven
    forecaster = make(**LEARNING)
    forecaster.fit(y[:160], X[:160])
    higher = X[160:].copy()
    higher["driver"] += 1.0
    fh = range(1, 7)
    effect = forecaster.predict(fh=fh, X=higher) - forecaster.predict(fh=fh, X=X[160:])
    assert effect.mean() == pytest.approx(4, rel=0.3)


@conformance
def check_a_past_covariate_improves_the_forecast_of_what_follows_it(make):
    """The series repeats the covariate a step later: known at the cutoff."""
    generator = np.random.default_rng(6)
    X = pd.DataFrame({"leader": generator.normal(size=300)})
    y = pd.Series(np.r_[0.0, X["leader"][:-1]], name="follower")
    settings = {**LEARNING, "window_length": 16, "hidden_size": 32, "horizon": 1}
    forecaster = make(past_covariates=["leader"], **settings)
    forecaster.fit(y[:250], X[:250])
    forecaster.update(y[250:], X[250:], update_params=False)
    fitted = forecaster.predict(fh=np.arange(-49, 1))
    assert error(fitted, y) < 0.35 * np.abs(y[250:]).mean()


@conformance
def check_columns_are_matched_by_name_and_not_by_place(make, y, X):
    forecaster = make(horizon=6).fit(y[:60], X[:60])
    fh = [-5, 0, 1, 4, 8]
    expected = forecaster.predict(fh=fh, X=X[60:])
    turned = X[["ads", "price"]]
    assert_array_equal(expected, forecaster.predict(fh=fh, X=turned[60:]))
    more = turned.assign(other=1e9)
    assert_array_equal(expected, forecaster.predict(fh=fh, X=more[60:]))
    renamed = X.rename(columns={"price": "ads", "ads": "price"})
    assert np.abs(expected - forecaster.predict(fh=fh, X=renamed[60:]))[2:].min() > 0
    by_update = []
    for covariates in (X, turned):
        by_update.append(make(horizon=6).fit(y[:60], X[:60]))
        by_update[-1].update(y[60:], covariates[60:72])
    assert_array_equal(*[one.predict(fh=fh, X=X[72:]) for one in by_update])


@conformance
def check_a_renamed_column_is_refused(make, y, X):
    forecaster = make(horizon=6).fit(y[:60], X[:60])
    renamed = X.rename(columns={"price": "cost"})
    with pytest.raises(CovariateError, match=r"lacks .*'price'.*'cost'.*by name"):
        forecaster.predict(fh=[1], X=renamed[60:])
    with pytest.raises(CovariateError, match=r"lacks .*'price'"):
        forecaster.update(y[60:], renamed[60:72])


@conformance
def check_rows_are_matched_by_time_and_not_by_place(make, y, X):
    forecaster = make(horizon=6).fit(y[:60], X[:60])
    fh = [1, 2, 3, 4]
    expected = forecaster.predict(fh=fh, X=X[60:64])
    assert_array_equal(expected, forecaster.predict(fh=fh, X=X))
    assert_array_equal(expected, forecaster.predict(fh=fh, X=X[50:70]))
    assert_array_equal(make(horizon=6).fit(y[:60], X).predict(fh=fh, X=X), expected)
    later = X[61:65].set_axis(X.index[60:64])
    assert np.abs(expected - forecaster.predict(fh=fh, X=later)).min() > 0


@conformance
@pytest.mark.parametrize("steps", [[2, 5], [3], [4, 11]])
def check_covariates_of_steps_between_may_be_missing_and_are_masked(make, y, X, steps):
    """As if they were NaN; 11 lies beyond the trained horizon."""
    forecaster = make(horizon=6).fit(y[:60], X[:60])
    rows = [59 + step for step in steps]
    masked = X[60 : 60 + max(steps)].copy()
    masked.loc[~masked.index.isin(X.index[rows])] = np.nan
    only = forecaster.predict(fh=steps, X=X.iloc[rows])
    assert_array_equal(only, forecaster.predict(fh=steps, X=masked))
    assert np.isfinite(only).all()


@conformance
def check_a_missing_covariate_is_masked_and_not_taken_for_what_fills_it(make, y, X):
    """The network is told that it is missing: it forecasts another thing."""
    forecaster = make(horizon=6).fit(y[:60], X[:60])
    missing = X[60:66].copy()
    missing.iloc[[1, 4]] = np.nan
    masked, filled, zero = (
        forecaster.predict(fh=range(1, 7), X=one)
        for one in (missing, missing.fillna(X[:60].mean()), missing.fillna(0.0))
    )
    assert np.isfinite(masked).all()
    assert np.abs(masked - filled).iloc[[1, 4]].min() > 0
    assert np.abs(masked - zero).iloc[[1, 4]].min() > 0


@conformance
def check_missing_covariates_are_not_read_as_numbers(make, driven):
    """A few NaN in X do not spoil the effect of the rest."""
    y, X = driven
    holes = X.copy()
    holes.iloc[np.random.default_rng(0).integers(0, 160, 16), 0] = np.nan
    complete = make(**LEARNING).fit(y[:160], X[:160])
    partial = make(**LEARNING).fit(y[:160], holes[:160])
    fh = range(1, AHEAD + 1)
    best = error(complete.predict(fh=fh, X=X[160:]), y)
    assert error(partial.predict(fh=fh, X=X[160:]), y) < 2 * best + 0.3
    holes.iloc[162, 0] = np.nan
    forecast = partial.predict(fh=fh, X=holes[160:])
    assert np.isfinite(forecast).all()
    rest = forecast.drop(forecast.index[2])
    assert error(rest, y) < 2 * best + 0.3


@conformance
def check_covariates_at_any_level_and_scale_are_equal(make, y, X):
    forecasts = []
    for factor, shift in ((1, 0), (1e-6, 5), (1e6, 1e9)):
        moved = factor * X + shift
        forecaster = make(horizon=6).fit(y[:60], moved[:60])
        forecasts.append(forecaster.predict(fh=range(1, 9), X=moved[60:]))
    for other in forecasts[1:]:
        assert_allclose(other, forecasts[0], atol=1e-3 * y.std())


@conformance
def check_a_constant_column_is_harmless(make, y, X):
    constant = X.assign(price=3.0)
    forecaster = make(horizon=6).fit(y[:60], constant[:60])
    forecast = forecaster.predict(fh=range(1, 9), X=constant[60:])
    assert np.abs(forecast - y[60:68]).max() < 4 * y.std()


@conformance
def check_covariates_of_each_series_of_a_panel_are_its_own(make, panel):
    """X of one series changes the forecasts of that one only."""
    generator = np.random.default_rng(0)
    X = pd.DataFrame({"price": generator.normal(size=len(panel))}, index=panel.index)
    ahead = pd.concat(
        {
            key: pd.DataFrame(
                {"price": generator.normal(size=6)},
                index=pd.period_range(
                    panel.loc[key].index[-1] + 1, periods=6, freq="M", name="month"
                ),
            )
            for key in ("b", "c", "a")
        },
        names=["shop"],
    )
    forecaster = make(horizon=6).fit(panel, X)
    forecast = forecaster.predict(fh=range(1, 7), X=ahead)
    turned = ahead.loc[["a", "b", "c"]]
    assert_array_equal(forecast, forecaster.predict(fh=range(1, 7), X=turned))
    changed = ahead.copy()
    changed.loc["c"] = -ahead.loc["c"].to_numpy()
    other = forecaster.predict(fh=range(1, 7), X=changed)
    assert_array_equal(forecast.loc["b"], other.loc["b"])
    assert_array_equal(forecast.loc["a"], other.loc["a"])
    assert np.abs(forecast.loc["c"] - other.loc["c"]).to_numpy().min() > 0


# -- updates ------------------------------------------------------------------------


@conformance
@pytest.mark.parametrize("with_X", [False, True])
def check_update_without_parameters_only_extends_the_context(make, y, X, panel, with_X):
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


@conformance
def check_update_with_parameters_trains_on_a_little(make, y):
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


@conformance
def check_update_trains_on_the_new_data(make, y):
    """Other values in the update, though alike as context, give other weights."""
    networks = []
    for factor in (1.0, -1.0):
        forecaster = make(horizon=6).fit(y[:60])
        later = y[60:] + factor * 20 * np.sin(np.arange(12))
        networks.append(forecaster.update(later).network_)
    assert largest_change(networks[0], weights_of(networks[1])) > 0


@conformance
def check_update_is_reproducible_and_leaves_copies_alone(make, y):
    forecaster = make(horizon=6).fit(y[:60])
    twin, kept = copy.deepcopy(forecaster), copy.deepcopy(forecaster)
    before = kept.predict(fh=FH)
    forecaster.update(y[60:])
    twin.update(y[60:])
    assert_array_equal(forecaster.predict(fh=FH), twin.predict(fh=FH))
    assert_array_equal(kept.predict(fh=FH), before)


@conformance
def check_newer_values_replace_older_ones_where_they_overlap(make, y):
    corrected = y.copy()
    corrected[50:60] += 5
    forecaster = make(horizon=6).fit(y[:60])
    at_once = copy.deepcopy(forecaster).update(corrected, update_params=False)
    forecaster.update(corrected[50:], update_params=False)
    assert_array_equal(forecaster.predict(fh=FH), at_once.predict(fh=FH))
    uncorrected = copy.deepcopy(forecaster).update(y, update_params=False)
    assert np.abs(uncorrected.predict(fh=[1]) - at_once.predict(fh=[1])).max() > 0


@conformance
@pytest.mark.parametrize("with_X", [False, True])
def check_months_between_fit_and_update_are_masked(make, y, X, with_X):
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


@conformance
def check_update_predict_equals_updates_by_hand(make, y):
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


@conformance
def check_refit_starts_anew(make, y, seasonal):
    """A second fit equals the first fit of a fresh forecaster."""
    other = seasonal(60, seed=9)
    refitted = make(horizon=6).fit(other).update(other).fit(y)
    assert_array_equal(refitted.predict(fh=FH), make(horizon=6).fit(y).predict(fh=FH))


@conformance
def check_columns_of_an_update_are_matched_by_name(make, y):
    both = pd.DataFrame({"a": y, "b": 1000 - y})
    forecaster = make(horizon=6).fit(both[:60])
    straight = copy.deepcopy(forecaster).update(both[60:], update_params=False)
    turned = copy.deepcopy(forecaster).update(
        both[["b", "a"]][60:], update_params=False
    )
    for name in both:
        assert_array_equal(
            straight.predict(fh=[1, 2])[name], turned.predict(fh=[1, 2])[name]
        )
    with pytest.raises(DataError, match=r"'a', 'b'"):
        forecaster.update(both[60:].rename(columns={"a": "z"}), update_params=False)


# -- pretraining --------------------------------------------------------------------


@conformance
@pytest.mark.parametrize("fine_tune_steps", [0, 5])
def check_fit_leaves_the_pretrained_network_as_it_was(
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


@conformance
def check_fit_after_pretraining_takes_the_series_as_context_only(make, panel, y):
    """The network of the panel forecasts a series that it has never seen."""
    pretrained = make(horizon=6).pretrain(panel)
    forecast = pretrained.clone().fit(y).predict(fh=FH)
    on_panel = make(horizon=6).fit(panel)
    one = pd.concat({"new": y.to_frame("sales")}, names=["shop", "month"])
    on_panel.update(one, update_params=False)
    expected = on_panel.predict(fh=FH).loc["new"]["sales"]
    assert_allclose(forecast, expected, rtol=1e-6)
    assert np.abs(forecast - make(horizon=6).fit(y).predict(fh=FH)).max() > 0


@conformance
@pytest.mark.parametrize("copied", ["clone", "deepcopy"])
def check_pretraining_survives_copies(make, panel, y, copied):
    pretrained = make(horizon=6).pretrain(panel)
    weights = weights_of(pretrained.pretrained_network_)
    copy_of = {"clone": lambda one: one.clone(), "deepcopy": copy.deepcopy}[copied]
    twin = copy_of(pretrained)
    expected = pretrained.fit(y).predict(fh=FH)
    assert_array_equal(twin.fit(y).predict(fh=FH), expected)
    assert_array_equal(copy_of(pretrained).fit(y).predict(fh=FH), expected)
    assert_same_weights(twin.pretrained_network_, weights)
    assert twin.pretrained_network_ is not pretrained.pretrained_network_


# -- leakage ------------------------------------------------------------------------


@conformance
def check_forecasts_depend_on_nothing_after_the_cutoff(make, y, X):
    """A series that goes on differently after the cutoff is the same up to there."""
    changed, changed_X = y.copy(), X.copy()
    changed.iloc[60:] = 1e6
    changed_X.iloc[60 + 6 :] = -1e6
    forecasts = []
    for series, covariates in ((y, X), (changed, changed_X)):
        forecaster = make(horizon=6).fit(series[:60], covariates)
        forecasts.append(forecaster.predict(fh=range(1, 7), X=covariates))
    assert_array_equal(*forecasts)


@conformance
def check_known_future_covariates_beyond_the_steps_asked_for_change_nothing(make, y, X):
    forecaster = make(horizon=6).fit(y[:60], X)
    for steps in ([1, 2, 3], [1, 2, 3, 4, 5, 6, 7, 8]):
        changed = X.copy()
        changed.iloc[60 + max(steps) :] = 1e6
        few = forecaster.predict(fh=steps, X=X[60 : 60 + max(steps)])
        assert_array_equal(few, forecaster.predict(fh=steps, X=X))
        assert_array_equal(few, forecaster.predict(fh=steps, X=changed))


@conformance
def check_past_covariates_after_the_cutoff_change_nothing_and_are_not_needed(
    make, y, X
):
    names = ["price", "ads"]
    changed = X.copy()
    changed.iloc[60:] = 1e6
    forecasts = []
    for covariates in (X[:60], X, changed):
        forecaster = make(horizon=6, past_covariates=names).fit(y[:60], covariates)
        forecasts.append(forecaster.predict(fh=range(1, 9)))
        forecasts.append(forecaster.predict(fh=range(1, 9), X=covariates))
    for other in forecasts[1:]:
        assert_array_equal(forecasts[0], other)


@conformance
@pytest.mark.parametrize("likelihood", [None, "quantile", "normal"])
def check_in_sample_forecasts_depend_on_the_data_before_each_point_only(
    make, y, X, likelihood
):
    """The weights stay the same; the first point has no past and is left out."""
    forecaster = make(likelihood=likelihood).fit(y, X[: len(y)])
    changed = y.copy()
    changed.iloc[30:] = changed.iloc[30:] * -3 + 1000
    fh = np.arange(1 - len(y), 1)
    other = seen(forecaster, changed, X[: len(y)])
    before, after = forecaster.predict(fh=fh), other.predict(fh=fh)
    assert_array_equal(before[1:31], after[1:31])
    assert np.abs(before[31:] - after[31:]).min() > 0
    if likelihood is not None:
        before = forecaster.predict_quantiles(fh=fh, alpha=LEVELS)
        after = other.predict_quantiles(fh=fh, alpha=LEVELS)
        assert_array_equal(before[1:31], after[1:31])


@conformance
def check_in_sample_forecasts_are_one_step_forecasts(make, y, X):
    """Each equals the first forecast of the same network from the point before."""
    forecaster = make(horizon=4).fit(y, X[: len(y)])
    fitted = forecaster.predict(fh=[-40, -20, -1, 0])
    for time, value in fitted.items():
        at = y.index.get_loc(time)
        earlier = seen(forecaster, y[:at], X[:at])
        one_step = earlier.predict(fh=[1], X=X[at : at + 1])
        assert one_step.index[0] == time
        assert_allclose(one_step.iloc[0], value, rtol=1e-6)


# -- level and scale ----------------------------------------------------------------


@conformance
@pytest.mark.parametrize("likelihood", ["quantile", "normal", "student_t"])
@pytest.mark.parametrize(
    ("factor", "shift"),
    [(1e-6, 0.0), (1.0, 1e6), (1e6, 0.0), (1e-9, 3e-4), (1e9, -1e12), (0.1, -42.0)],
)
def check_forecasts_are_equal_at_any_level_and_scale(
    make, y, likelihood, factor, shift
):
    settings = {"likelihood": likelihood, "horizon": 6, "sp": 12}
    plain = make(**settings).fit(y)
    moved = make(**settings).fit(factor * y + shift)
    fh = [-30, -2, 0, 1, 3, 6, 10]
    spread = y.std()
    expected = plain.predict(fh=fh)
    assert_allclose(
        (moved.predict(fh=fh) - shift) / factor, expected, rtol=0, atol=1e-4 * spread
    )
    expected = plain.predict_quantiles(fh=fh, alpha=LEVELS)
    found = (moved.predict_quantiles(fh=fh, alpha=LEVELS) - shift) / factor
    assert_allclose(found, expected, rtol=0, atol=1e-3 * spread)
    variance = moved.predict_var(fh=[1, 4]) / factor**2
    assert_allclose(variance, plain.predict_var(fh=[1, 4]), rtol=1e-3)


@conformance
def check_a_constant_series_is_forecast_as_constant(make, y):
    for level in (0.0, 7.0, -1e12, 1e-9):
        constant = pd.Series(level, index=y.index)
        forecaster = make().fit(constant, fh=range(1, 30))
        assert_allclose(forecaster.predict(), level, rtol=1e-6, atol=1e-300)


# -- horizons -----------------------------------------------------------------------


@conformance
@pytest.mark.parametrize("segment_length", SEGMENTS)
@pytest.mark.parametrize("with_X", [False, True])
def check_a_step_is_forecast_alike_whatever_other_steps_are_asked_for(
    make, y, X, segment_length, with_X
):
    """Also beyond the trained horizon of 5, and for quantiles."""
    forecaster = make(horizon=5, segment_length=segment_length)
    forecaster.fit(y, X[: len(y)] if with_X else None)

    def ahead(n_steps):
        return X[len(y) : len(y) + n_steps] if with_X else None

    together = forecaster.predict(fh=range(1, 13), X=ahead(12))
    quantiles = forecaster.predict_quantiles(fh=range(1, 13), X=ahead(12), alpha=LEVELS)
    for steps in ([1], [3], [5], [7], [2, 12], [12], [-3, 4]):
        alone = forecaster.predict(fh=steps, X=ahead(max(steps)))
        of_alone = forecaster.predict_quantiles(
            fh=steps, X=ahead(max(steps)), alpha=LEVELS
        )
        future = [step for step in steps if step > 0]
        times = [y.index[-1] + step for step in future]
        assert_array_equal(alone[times], together[times])
        assert_array_equal(of_alone.loc[times], quantiles.loc[times])


@conformance
def check_steps_are_labelled_as_what_they_are(make, y):
    """Forecasts of a noiseless season: each step has the value of its own month."""
    exact = np.tile([70.0, 10, 90, 30, 110, 50, 0, 80, 20, 100, 40, 60], 9)
    index = pd.period_range(y.index[0], periods=len(exact), freq="M")
    truth = pd.Series(exact, index=index)
    forecaster = make(max_steps=10).fit(truth[: len(y)], fh=[2, 5])
    for steps in ([2, 5], [1], [4, 9, 36], [-20, -7, 0]):
        forecast = forecaster.predict(fh=steps)
        times = y.index[-1] + pd.Index(steps)
        assert list(forecast.index) == list(times)
        assert_allclose(
            forecast, truth[times], atol=15
        )  # neighbours differ by up to 80


@conformance
def check_absolute_and_relative_horizons_agree(make, y):
    forecaster = make().fit(y, fh=[1, 2, 4])
    times = pd.PeriodIndex([y.index[-1] + step for step in (-7, 1, 4, 20)])
    assert_array_equal(
        forecaster.predict(fh=times), forecaster.predict(fh=[-7, 1, 4, 20])
    )


# -- distributions ------------------------------------------------------------------


@conformance
@pytest.mark.parametrize("likelihood", ["quantile", "normal", "student_t"])
def check_quantiles_increase_with_their_level(make, y, likelihood):
    forecaster = make(likelihood=likelihood, max_steps=60).fit(y, fh=range(1, 7))
    alpha = np.linspace(0.01, 0.99, 33)
    fh = np.arange(-len(y) + 1, 20)
    quantiles = forecaster.predict_quantiles(fh=fh, alpha=list(alpha))
    assert (np.diff(quantiles, axis=1) > 0).all()


@conformance
@pytest.mark.parametrize("likelihood", ["quantile", "normal", "student_t"])
def check_the_median_is_the_point_forecast(make, y, likelihood):
    forecaster = make(likelihood=likelihood).fit(y, fh=range(1, 7))
    fh = np.arange(-20, 7)
    median = forecaster.predict_quantiles(fh=fh, alpha=0.5).to_numpy()[:, 0]
    assert_allclose(median, forecaster.predict(fh=fh), rtol=1e-9)


@conformance
@pytest.mark.parametrize("likelihood", ["quantile", "normal", "student_t"])
@pytest.mark.parametrize("fh", [[-9, 0, 1, 4], [2, 15]])
def check_intervals_are_the_quantiles_at_their_ends(make, y, likelihood, fh):
    forecaster = make(likelihood=likelihood).fit(y, fh=range(1, 7))
    interval = forecaster.predict_interval(fh=fh, coverage=[0.8, 0.5])
    quantiles = forecaster.predict_quantiles(fh=fh, alpha=[0.1, 0.25, 0.75, 0.9])
    for coverage, ends in ((0.8, [0.1, 0.9]), (0.5, [0.25, 0.75])):
        for side, level in zip(["lower", "upper"], ends, strict=True):
            assert_allclose(
                interval["sales", coverage, side], quantiles["sales", level], rtol=1e-9
            )


@conformance
@pytest.mark.parametrize("likelihood", ["quantile", "normal", "student_t"])
@pytest.mark.parametrize("fh", [[-9, 0, 1, 4], [2, 15]])
def check_distributions_agree_with_quantiles_variance_and_points(
    make, y, likelihood, fh
):
    """15 lies beyond the trained horizon, where all of it comes from paths."""
    forecaster = make(likelihood=likelihood).fit(y, fh=range(1, 7))
    distribution = forecaster.predict_proba(fh=fh)
    quantiles = forecaster.predict_quantiles(fh=fh, alpha=LEVELS)
    closed = likelihood != "quantile" and max(fh) <= 6
    width = (quantiles.iloc[:, -1] - quantiles.iloc[:, 0]).to_numpy()
    for level in LEVELS:
        found = distribution.ppf(level)
        assert list(found.index) == list(quantiles.index)
        gap = np.abs(found["sales"] - quantiles["sales", level]) / width
        assert gap.max() < (1e-9 if closed else 0.02)
    assert_allclose(
        distribution.var().to_numpy(), forecaster.predict_var(fh=fh), rtol=1e-9
    )
    gap = np.abs(distribution.mean()["sales"] - forecaster.predict(fh=fh)) / width
    assert gap.max() < (1e-9 if closed else 0.5)


@conformance
def check_intervals_cover_what_they_say(make):
    """A seasonal series with plain normal noise, and all of its one-step forecasts."""
    generator = np.random.default_rng(1)
    index = pd.period_range("1990-01", periods=400, freq="M")
    values = 10 * np.sin(2 * np.pi * np.arange(400) / 12) + generator.normal(size=400)
    series = pd.Series(values, index=index)
    forecaster = make(max_steps=200, batch_size=64).fit(series[:250], fh=range(1, 4))
    forecaster.update(series[250:], update_params=False)
    fh = np.arange(-149, 1)
    for coverage in (0.5, 0.8, 0.95):
        interval = forecaster.predict_interval(fh=fh, coverage=coverage).to_numpy()
        inside = (interval[:, 0] < series[250:]) & (series[250:] < interval[:, 1])
        assert inside.mean() == pytest.approx(coverage, abs=0.15)


# -- several columns ----------------------------------------------------------------


@conformance
def check_independent_channels_are_forecast_as_if_they_were_alone(
    make, seasonal, panel
):
    """The same network forecasts each column by itself."""
    forecaster = make(horizon=6).pretrain(panel)
    both = pd.DataFrame({"first": seasonal(seed=8), "second": 1e4 * seasonal(seed=9)})
    fh = [-50, -3, 0, 1, 6, 9]
    together = forecaster.clone().fit(both).predict(fh=fh)
    quantiles = forecaster.clone().fit(both).predict_quantiles(fh=fh, alpha=LEVELS)
    for name in both:
        alone = forecaster.clone().fit(both[[name]])
        assert_allclose(alone.predict(fh=fh)[name], together[name], rtol=1e-5)
        assert_allclose(
            alone.predict_quantiles(fh=fh, alpha=LEVELS)[name],
            quantiles[name],
            rtol=1e-5,
        )


@conformance
def check_names_of_columns_and_index_stay(make, y):
    y.index.name = "month"
    frame = pd.DataFrame({"sales": y, 7: -y})
    forecast = make().fit(frame, fh=[1, 2]).predict()
    assert list(forecast.columns) == ["sales", 7]
    assert forecast.index.name == "month"
    assert make().fit(y, fh=[1, 2]).predict().name == "sales"


# -- panels -------------------------------------------------------------------------


@conformance
def check_each_series_is_forecast_from_its_own_cutoff(make, panel):
    forecaster = make(horizon=6).pretrain(panel)
    assert_equal_to_each_alone(forecaster, panel, STEPS)
    alpha = {"alpha": [0.1, 0.5, 0.8]}
    assert_equal_to_each_alone(forecaster, panel, STEPS, "predict_quantiles", **alpha)
    assert_equal_to_each_alone(forecaster, panel, [2, 7], "predict_var")


@conformance
def check_relative_steps_follow_each_cutoff(make, panel):
    forecast = make().fit(panel, fh=[1, 3]).predict()
    for key in KEYS:
        last = panel.loc[key].index[-1]
        assert list(forecast.loc[key].index) == [last + 1, last + 3]


@conformance
def check_absolute_times_are_the_same_for_all_series(make, panel):
    """In-sample for the longest series, further ahead for the shorter ones."""
    times = pd.PeriodIndex(["2004-12", "2005-02"], freq="M")
    forecaster = make(horizon=6).pretrain(panel)
    together = forecaster.clone().fit(panel).predict(fh=times)
    for key in KEYS:
        assert list(together.loc[key].index) == list(times)
        alone = forecaster.clone().fit(panel.loc[key]).predict(fh=times)
        assert_allclose(together.loc[key], alone, rtol=1e-6)


@conformance
def check_series_keep_their_order(make, panel):
    """Sorting the keys would put the forecasts of one beside the name of another."""
    by_name = make(horizon=6).pretrain(panel)
    forecast = by_name.clone().fit(panel).predict(fh=[1, 2])
    assert list(forecast.index.get_level_values(0)) == ["b", "b", "c", "c", "a", "a"]
    turned = by_name.clone().fit(panel.loc[["a", "b", "c"]]).predict(fh=[1, 2])
    assert list(turned.index.get_level_values(0).unique()) == ["a", "b", "c"]
    for key in KEYS:
        assert_allclose(forecast.loc[key], turned.loc[key], rtol=1e-6)


@conformance
def check_forecasts_of_a_series_do_not_depend_on_its_neighbours(make, panel):
    """Given the same weights, also where paths are sampled."""
    forecaster = make(horizon=6).fit(panel)
    before = forecaster.predict_quantiles(fh=range(1, 14), alpha=[0.1, 0.9])
    changed = panel.copy()
    changed.loc["c"] = -7.0 * changed.loc["c"].to_numpy()
    forecaster.update(changed, update_params=False)
    after = forecaster.predict_quantiles(fh=range(1, 14), alpha=[0.1, 0.9])
    assert_array_equal(before.loc[["b", "a"]], after.loc[["b", "a"]])


@conformance
def check_one_network_learns_from_all_series(make, seasonal):
    """A series too short to learn its season from profits by the others."""
    long = {key: seasonal(96, seed=number) for number, key in enumerate("abcd")}
    short = seasonal(96, seed=7)
    data = {**long, "short": short[66:-12]}
    together = pd.concat(
        [one.to_frame("sales") for one in data.values()],
        keys=list(data),
        names=["shop", "month"],
    )
    settings = {"max_steps": 100, "batch_size": 64, "sp": 12, "window_length": 15}
    settings |= {"learning_rate": 0.01}
    fh = range(1, 5)
    forecast = make(**settings).fit(together, fh=fh).predict().loc["short"]["sales"]
    alone = make(**settings).fit(short[66:-12], fh=fh).predict()
    truth = short[-12:-8]
    assert np.abs(forecast - truth).mean() < np.abs(alone - truth).mean()


@conformance
def check_a_hierarchy_is_forecast_series_by_series(make, hierarchy):
    forecaster = make(horizon=6).pretrain(hierarchy)
    assert_equal_to_each_alone(forecaster, hierarchy, STEPS)
    alpha = {"alpha": [0.2, 0.9]}
    assert_equal_to_each_alone(
        forecaster, hierarchy, STEPS, "predict_quantiles", **alpha
    )


@conformance
def check_distributions_of_a_panel_stand_in_the_rows_of_the_forecast(make, panel):
    for likelihood in ("quantile", "normal"):
        forecaster = make(likelihood=likelihood).fit(panel, fh=[1, 2, 3])
        distribution = forecaster.predict_proba()
        assert list(distribution.index) == list(forecaster.predict().index)
        quantiles = forecaster.predict_quantiles(alpha=[0.8])
        spread = forecaster.predict_var().to_numpy() ** 0.5
        gap = np.abs(distribution.ppf(0.8).to_numpy() - quantiles.to_numpy()) / spread
        assert gap.max() < 0.05


@conformance
def check_update_moves_each_cutoff_by_itself(make, panel, seasonal):
    """New months of one series, and a series that was not there before."""
    pretrained = make(horizon=6).pretrain(panel)
    forecaster = pretrained.clone().fit(panel)
    before = forecaster.predict(fh=[1, 2])
    more = seasonal(44, seed=2)[40:].to_frame("sales")
    new = seasonal(30, seed=6).to_frame("sales")
    addition = pd.concat({"c": more, "d": new}, names=["shop", "month"])
    forecaster.update(addition, update_params=False)
    after = forecaster.predict(fh=[1, 2])
    assert list(after.index.get_level_values(0).unique()) == [*KEYS, "d"]
    assert_allclose(after.loc[["b", "a"]], before.loc[["b", "a"]], rtol=1e-6)
    for key, series in (("c", pd.concat([panel.loc["c"], more])), ("d", new)):
        alone = pretrained.clone().fit(series).predict(fh=[1, 2])
        assert list(after.loc[key].index) == list(alone.index)
        assert_allclose(after.loc[key], alone, rtol=1e-6)


# -- missing values -----------------------------------------------------------------


@conformance
@pytest.mark.parametrize("where", MISSING)
@pytest.mark.parametrize("likelihood", [None, "quantile"])
def check_forecasts_are_close_to_those_of_the_complete_series(
    make, complete, where, likelihood
):
    history = complete[:96]
    holes = history.copy()
    holes.iloc[MISSING[where](len(holes))] = np.nan
    settings = {"max_steps": 60, "horizon": 6, "likelihood": likelihood}
    settings["window_length"] = 24
    fh = np.arange(1, 19)
    truth = complete[96:114]
    best = np.abs(make(**settings).fit(history).predict(fh=fh) - truth).mean()
    forecaster = make(**settings).fit(holes)
    forecast = forecaster.predict(fh=fh)
    assert np.isfinite(forecast).all()
    assert np.abs(forecast - truth).mean() < best + 0.2 * complete.std()
    fitted = forecaster.predict(fh=np.arange(-95, 1))
    assert np.isfinite(fitted).all()
    assert np.abs(fitted[48:] - history[48:]).mean() < 0.4 * complete.std()
    if likelihood is not None:
        quantiles = forecaster.predict_quantiles(fh=fh, alpha=[0.1, 0.9])
        assert np.isfinite(quantiles).all(axis=None)


@conformance
def check_what_is_missing_is_no_target_and_no_zero(make, complete):
    """Weights and forecasts differ from those of a series with zeros instead."""
    holes = complete.copy()
    holes.iloc[MISSING["scattered"](len(holes))] = np.nan
    of_holes = make(horizon=6).fit(holes).predict(fh=range(1, 7))
    of_zeros = make(horizon=6).fit(holes.fillna(0.0)).predict(fh=range(1, 7))
    assert np.abs(of_holes - of_zeros).max() > 0.01


@conformance
def check_a_gap_is_masked_and_not_taken_for_what_fills_it(make, complete):
    """The network is told which values were filled in: it forecasts another thing."""
    holes = complete[:60].copy()
    holes.iloc[50:54] = np.nan
    forecaster = make(horizon=6, sp=1).fit(complete)
    filled = holes.ffill()
    seen = [
        forecaster.update(series, update_params=False).predict(fh=range(1, 7))
        for series in (holes, filled)
    ]
    assert np.abs(seen[0] - seen[1]).max() > 0


@conformance
@pytest.mark.parametrize("n_steps", [3, 5, 10])
def check_a_series_shorter_than_the_window_is_forecast(make, seasonal, n_steps):
    """Padding on the left is masked: it is not read as values."""
    short = seasonal(n_steps)
    forecaster = make(window_length=24).fit(short, fh=range(1, 4))
    forecast = forecaster.predict(fh=range(1, 7))
    assert np.isfinite(forecast).all()
    reach = 3 * (short.max() - short.min())
    assert np.abs(forecast - short.iloc[-1]).max() < reach
    fitted = forecaster.predict(fh=np.arange(1 - n_steps, 1))
    assert np.isfinite(fitted).all()


@conformance
def check_leading_missing_values_equal_a_later_start(make, panel, y):
    """The same window, whether padded or missing, gives the same forecast."""
    pretrained = make(window_length=36, horizon=6).pretrain(panel)
    holes = y.copy()
    holes[:52] = np.nan
    forecasts = [
        pretrained.clone().fit(one).predict(fh=range(1, 7)) for one in (holes, y[52:])
    ]
    assert_array_equal(*forecasts)


@conformance
def check_one_series_of_a_panel_with_gaps_leaves_the_others_alone(make, panel):
    """Given the same weights, a gap in one series changes only its own forecast."""
    forecaster = make(horizon=6).fit(panel)
    before = forecaster.predict(fh=range(1, 7))
    holes = panel.copy()
    holes.iloc[60 + 38 : 60 + 40] = np.nan
    after = forecaster.update(holes, update_params=False).predict(fh=range(1, 7))
    assert np.isfinite(after).all(axis=None)
    assert_array_equal(before.loc[["b", "a"]], after.loc[["b", "a"]])
    assert np.abs(before.loc["c"] - after.loc["c"]).to_numpy().max() > 0


# -- randomness ---------------------------------------------------------------------


def kinds_of_forecasts(make, y, seed, **settings):
    """Fit with a seed, and return forecasts of every kind as one array."""
    forecaster = make(random_state=seed, horizon=6, **settings).fit(y[:60])
    points = forecaster.predict(fh=NEXT)
    quantiles = forecaster.predict_quantiles(fh=NEXT, alpha=[0.1, 0.9])
    updated = forecaster.update(y[60:]).predict(fh=NEXT)
    return np.c_[points, quantiles, updated]


def settings_with_dropout(make):
    """Return settings that draw random numbers in training, where there are any."""
    has_layers = "num_layers" in make().get_params()
    return {"num_layers": 2, "dropout": 0.3} if has_layers else {}


@conformance
def check_the_same_seed_gives_the_same_forecast(make, y):
    settings = settings_with_dropout(make)
    first = kinds_of_forecasts(make, y, 1, **settings)
    assert_array_equal(first, kinds_of_forecasts(make, y, 1, **settings))
    assert np.abs(first - kinds_of_forecasts(make, y, 2, **settings)).min() > 0
    assert (
        np.abs(
            kinds_of_forecasts(make, y, None, **settings)
            - kinds_of_forecasts(make, y, None, **settings)
        ).max()
        > 0
    )


@conformance
def check_ensembles_have_the_seed_of_one_network(make, y):
    settings = {**settings_with_dropout(make), "n_members": 3}
    first = kinds_of_forecasts(make, y, 1, **settings)
    assert_array_equal(first, kinds_of_forecasts(make, y, 1, **settings))
    assert np.abs(first - kinds_of_forecasts(make, y, 2, **settings)).min() > 0


@conformance
def check_a_random_state_is_a_seed_as_well(make, y):
    first, again, other = (
        kinds_of_forecasts(make, y, np.random.RandomState(seed)) for seed in (1, 1, 2)
    )
    assert_array_equal(first, again)
    assert np.abs(first - other).min() > 0


@conformance
def check_fits_in_threads_equal_the_serial_ones(make, y):
    settings = settings_with_dropout(make)
    seeds = [1, 2, 3, 4] * 2
    with ThreadPoolExecutor(8) as pool:
        parallel = list(
            pool.map(lambda seed: kinds_of_forecasts(make, y, seed, **settings), seeds)
        )
    serial = {
        seed: kinds_of_forecasts(make, y, seed, **settings) for seed in set(seeds)
    }
    for seed, found in zip(seeds, parallel, strict=True):
        assert_array_equal(found, serial[seed])


@conformance
def check_global_random_states_are_neither_read_nor_written(make, y):
    settings = settings_with_dropout(make)
    forecasts = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        np.random.seed(seed)  # noqa: NPY002  # the global state is what is tested
        random.seed(seed)
        before = torch.get_rng_state(), np.random.get_state(), random.getstate()  # noqa: NPY002
        forecasts.append(kinds_of_forecasts(make, y, 5, **settings))
        after = torch.get_rng_state(), np.random.get_state(), random.getstate()  # noqa: NPY002
        assert torch.equal(before[0], after[0])
        assert_array_equal(before[1][1], after[1][1])
        assert before[1][2:] == after[1][2:]
        assert before[2] == after[2]
    assert_array_equal(*forecasts)


@conformance
def check_no_seed_leaves_global_random_states_alone(make, y):
    before = torch.get_rng_state(), np.random.get_state()  # noqa: NPY002
    make(random_state=None, horizon=6).fit(y).predict_quantiles(fh=NEXT, alpha=[0.1])
    assert torch.equal(before[0], torch.get_rng_state())
    assert_array_equal(before[1][1], np.random.get_state()[1])  # noqa: NPY002


# -- persistence --------------------------------------------------------------------


def by_pickle(forecaster, folder):
    return pickle.loads(pickle.dumps(forecaster))


def by_joblib(forecaster, folder):
    joblib.dump(forecaster, folder / "forecaster.joblib")
    return joblib.load(folder / "forecaster.joblib")


def by_deepcopy(forecaster, folder):
    return copy.deepcopy(forecaster)


def by_save_in_memory(forecaster, folder):
    return load(forecaster.save())


def by_save_to_path(forecaster, folder):
    forecaster.save(folder / "forecaster").close()
    return load(folder / "forecaster.zip")


def by_load_from_path(forecaster, folder):
    forecaster.save(folder / "forecaster").close()
    return type(forecaster).load_from_path(folder / "forecaster.zip")


def by_file_with_context(forecaster, folder):
    forecaster.to_file(folder / "forecaster.safetensors", keep_context=True)
    return type(forecaster).from_file(folder / "forecaster.safetensors")


WAYS = [
    by_pickle,
    by_joblib,
    by_deepcopy,
    by_save_in_memory,
    by_save_to_path,
    by_load_from_path,
    by_file_with_context,
]

by_every_way = pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)


def assert_alike(twin, forecaster, more, fh=(-3, 0, 1, 4, 9), X=None, more_X=None):
    """Compare forecasts, containers and cutoffs; now, and after equal updates."""
    assert twin.get_params() == forecaster.get_params()
    assert list(twin.cutoff) == list(forecaster.cutoff)
    for update_params in (None, False, True):
        if update_params is not None:
            news = more_X if X is not None else None
            twin.update(more, news, update_params=update_params)
            forecaster.update(more, news, update_params=update_params)
        expected = forecaster.predict(fh=list(fh), X=X)
        found = twin.predict(fh=list(fh), X=X)
        assert type(found) is type(expected)
        if isinstance(expected, np.ndarray):
            assert_array_equal(found, expected)
            continue
        assert found.index.equals(expected.index)
        assert found.index.names == expected.index.names
        assert getattr(found.index, "freq", None) == getattr(
            expected.index, "freq", None
        )
        assert_array_equal(found, expected)
        if twin.get_tag("capability:pred_int"):
            expected = forecaster.predict_quantiles(fh=list(fh), X=X, alpha=[0.1, 0.9])
            found = twin.predict_quantiles(fh=list(fh), X=X, alpha=[0.1, 0.9])
            assert found.equals(expected)


@conformance
@by_every_way
@pytest.mark.parametrize("likelihood", [None, "quantile", "student_t"])
def check_every_way_gives_the_forecaster_back(make, y, way, tmp_path, likelihood):
    forecaster = make(likelihood=likelihood, horizon=6).fit(y[:60], fh=[1, 2])
    twin = way(forecaster, tmp_path)
    assert_array_equal(twin.predict(), forecaster.predict())
    assert_alike(twin, forecaster, y[60:])


@conformance
@by_every_way
def check_ensembles_and_their_widening_come_along(make, y, way, tmp_path):
    forecaster = make(likelihood="normal", horizon=6, n_members=3).fit(y[:60])
    twin = way(forecaster, tmp_path)
    assert twin.network_.widening == forecaster.network_.widening > 1.05
    assert_alike(twin, forecaster, y[60:])


@conformance
@by_every_way
def check_covariates_and_parameters_come_along(make, y, X, way, tmp_path):
    forecaster = make(
        past_covariates=["ads"], segment_length=2, validation_fraction=0.2, horizon=5
    )
    forecaster.fit(y[:60], X[:60])
    ahead = X[60:].drop(columns="ads")
    assert_alike(
        way(forecaster, tmp_path), forecaster, y[60:66], X=ahead, more_X=X[60:66]
    )


@conformance
@by_every_way
@pytest.mark.parametrize("joint", [False, True])
def check_several_columns_come_along(make, y, way, tmp_path, joint):
    both = pd.DataFrame({"first": y, 2: -y})
    forecaster = make(joint_channels=joint, horizon=6).fit(both[:60])
    assert_alike(way(forecaster, tmp_path), forecaster, both[60:])


@conformance
@by_every_way
def check_panels_come_along(make, panel, way, tmp_path):
    forecaster = make(horizon=6).fit(panel)
    assert_alike(way(forecaster, tmp_path), forecaster, panel)


@conformance
@by_every_way
def check_a_pretrained_network_comes_along(make, panel, y, way, tmp_path):
    """Before and after a fit."""
    pretrained = make(horizon=6, fine_tune_steps=2).pretrain(panel)
    expected = pretrained.clone().fit(y).predict(fh=[1, 8])
    fitted = pretrained.clone().fit(y[:50])
    twin = way(fitted, tmp_path)
    assert_array_equal(twin.predict(fh=[2]), fitted.predict(fh=[2]))
    assert_array_equal(twin.clone().fit(y).predict(fh=[1, 8]), expected)
    assert_array_equal(twin.fit(y).predict(fh=[1, 8]), expected)


# -- surroundings -------------------------------------------------------------------


@conformance
def check_predict_writes_nothing(make, y, X):
    """Beyond the horizon that sktime notes: every attribute keeps its value."""
    forecaster = make(horizon=6).fit(y[:60], X[:60], fh=[1, 2, 9])
    kept = dict(vars(forecaster))
    weights = {k: v.clone() for k, v in forecaster.network_.state_dict().items()}
    context = [one.values.copy() for one in forecaster._context.series]
    forecaster.predict(X=X[60:])
    forecaster.predict_quantiles(X=X[60:], alpha=[0.1])
    forecaster.predict_interval(X=X[60:])
    forecaster.predict_var(X=X[60:])
    forecaster.predict_proba(X=X[60:])
    now = dict(vars(forecaster))
    assert now.keys() == kept.keys()
    # sktime notes the horizon anew in each predict: an equal one.
    assert list(now.pop("_fh")) == list(kept.pop("_fh"))
    assert [name for name in kept if now[name] is not kept[name]] == []
    for name, value in forecaster.network_.state_dict().items():
        assert_array_equal(value, weights[name])
    for one, values in zip(forecaster._context.series, context, strict=True):
        assert_array_equal(one.values, values)


@conformance
def check_data_that_was_passed_is_neither_changed_nor_kept_by_reference(make, y, X):
    X[X > 2] = np.nan
    y.iloc[7] = np.nan
    whole = y.to_frame()
    values_of_y, values_of_X = (
        whole[:60].to_numpy(copy=True),
        X[:60].to_numpy(copy=True),
    )
    given_y = pd.DataFrame(values_of_y, y.index[:60], whole.columns, copy=False)
    given_X = pd.DataFrame(values_of_X, X.index[:60], X.columns, copy=False)
    ahead = X[60:].copy()
    new_y, new_X = whole[60:].copy(), X[60:72].copy()
    forecaster = make(horizon=6).fit(given_y, given_X, fh=range(1, 9))
    twin = copy.deepcopy(forecaster)
    forecaster.predict(X=ahead)
    assert given_y.equals(whole[:60])
    assert given_X.equals(X[:60])
    assert ahead.equals(X[60:])
    values_of_y[:], values_of_X[:] = -1.0, -1.0
    assert_array_equal(forecaster.predict(X=ahead), twin.predict(X=ahead))
    for one in (forecaster, twin):
        one.update(new_y, new_X, update_params=False)
    assert new_y.equals(whole[60:])
    assert new_X.equals(X[60:72])
    assert_array_equal(forecaster.predict(X=X[72:]), twin.predict(X=X[72:]))


@conformance
def check_silent_by_default_and_no_files(make, y, capfd, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make().fit(y, fh=[1, 2]).predict()
    assert capfd.readouterr() == ("", "")
    assert list(tmp_path.iterdir()) == []
    make(verbose=True).fit(y, fh=[1, 2]).predict()
    output = capfd.readouterr()
    assert output.out == ""
    assert re.search(r"(\d+)/\1 ", output.err)
    assert "loss=" in output.err


@conformance
@pytest.mark.parametrize("update_params", [False, True])
def check_update_and_predict_in_one_are_those_in_two(make, y, X, update_params):
    """In the container of y, then and later."""
    one, two = (make(horizon=6).fit(y[:60], X[:60], fh=[1, 2, 8]) for _ in range(2))
    for end in (64, 66):
        new, known = y[end - 4 : end], X[end - 4 : end + 8]
        found = one.update_predict_single(new, X=known, update_params=update_params)
        two.update(new, X=known, update_params=update_params)
        assert isinstance(found, pd.Series)
        pd.testing.assert_series_equal(found, two.predict(X=known))
        pd.testing.assert_series_equal(one.predict(X=known), found)
        assert one.cutoff.equals(two.cutoff)


REFUSED = {
    "points without X": lambda one, y, X: one.predict(fh=[4, 5]),
    "points with too few X": lambda one, y, X: one.predict(fh=[4, 5], X=X[60:61]),
    "points before the series": lambda one, y, X: one.predict(fh=[-70], X=X[60:]),
    "quantiles": lambda one, y, X: one.predict_quantiles(fh=[9], alpha=[0.3]),
    "intervals": lambda one, y, X: one.predict_interval(fh=[9], X=X[:60]),
    "variances": lambda one, y, X: one.predict_var(fh=[9]),
    "distributions": lambda one, y, X: one.predict_proba(fh=[9]),
    "an update without X": lambda one, y, X: one.update(y[60:]),
    "an update with too few X": lambda one, y, X: one.update(y[60:], X[50:60]),
    "an infinite update": lambda one, y, X: one.update(
        replaced(y[60:], 1, np.inf), X[60:72]
    ),
    "an update with a gap": lambda one, y, X: one.update(without(y[60:], 4), X[60:72]),
    "an update with a column more": lambda one, y, X: one.update(
        y[60:].to_frame().assign(more=1.0), X[60:72]
    ),
    "an infinite update before a forecast": lambda one, y, X: one.update_predict_single(
        replaced(y[60:], 1, np.inf), X=X[60:]
    ),
    "a forecast with too few X after an update": lambda one, y, X: (
        one.update_predict_single(y[60:], X=X[60:73])
    ),
    "an update on another time axis": lambda one, y, X: one.update(
        y[60:].reset_index(drop=True), X[60:72]
    ),
}
"""Calls of a forecaster with covariates that cannot be answered."""


@conformance
@pytest.mark.parametrize("refused", REFUSED)
def check_a_refused_call_leaves_the_forecaster_as_it_was(make, y, X, refused):
    forecaster = make(horizon=6).fit(y[:60], X[:60], fh=[1, 2, 3])
    points = forecaster.predict(X=X[60:])
    quantiles = forecaster.predict_quantiles(X=X[60:], alpha=[0.1])
    with pytest.raises((DataError, ValueError, TypeError)):
        REFUSED[refused](forecaster, y, X)
    assert list(forecaster.cutoff) == [y.index[59]]
    assert list(forecaster.fh) == [1, 2, 3]
    again = forecaster.predict(X=X[60:])
    assert isinstance(again, pd.Series)
    assert_array_equal(again, points)
    assert list(again.index) == list(points.index)
    assert_array_equal(forecaster.predict_quantiles(X=X[60:], alpha=[0.1]), quantiles)
    forecaster.update(y[60:], X[60:72], update_params=False)
    assert list(forecaster.predict(X=X[72:]).index) == list(
        y.index[-1] + np.arange(1, 4)
    )
