"""Panels and hierarchies: one network, each series from its own cutoff."""

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal

KEYS = ["b", "c", "a"]
STEPS = [-30, -1, 0, 1, 3, 6, 9]


@pytest.fixture
def hierarchy(seasonal):
    """Two regions with two shops each, of unequal length."""
    lengths = {("n", "x"): 48, ("n", "y"): 60, ("m", "x"): 52, ("m", "y"): 44}
    series = {
        key: seasonal(length, seed=number).to_frame("sales")
        for number, (key, length) in enumerate(lengths.items())
    }
    return pd.concat(series, names=["region", "shop", "month"])


def rows_of(data, key):
    """Return one series of a panel or hierarchy."""
    instances = data.index.droplevel(-1)
    rows = data[[instance == key for instance in instances]]
    return rows.droplevel(list(range(data.index.nlevels - 1)))


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


def test_each_series_is_forecast_from_its_own_cutoff(make, panel):
    forecaster = make(horizon=6).pretrain(panel)
    assert_equal_to_each_alone(forecaster, panel, STEPS)
    alpha = {"alpha": [0.1, 0.5, 0.8]}
    assert_equal_to_each_alone(forecaster, panel, STEPS, "predict_quantiles", **alpha)
    assert_equal_to_each_alone(forecaster, panel, [2, 7], "predict_var")


def test_relative_steps_follow_each_cutoff(make, panel):
    forecast = make().fit(panel, fh=[1, 3]).predict()
    for key in KEYS:
        last = panel.loc[key].index[-1]
        assert list(forecast.loc[key].index) == [last + 1, last + 3]


def test_absolute_times_are_the_same_for_all_series(make, panel):
    """In-sample for the longest series, further ahead for the shorter ones."""
    times = pd.PeriodIndex(["2004-12", "2005-02"], freq="M")
    forecaster = make(horizon=6).pretrain(panel)
    together = forecaster.clone().fit(panel).predict(fh=times)
    for key in KEYS:
        assert list(together.loc[key].index) == list(times)
        alone = forecaster.clone().fit(panel.loc[key]).predict(fh=times)
        assert_allclose(together.loc[key], alone, rtol=1e-6)


def test_series_keep_their_order(make, panel):
    """Sorting the keys would put the forecasts of one beside the name of another."""
    by_name = make(horizon=6).pretrain(panel)
    forecast = by_name.clone().fit(panel).predict(fh=[1, 2])
    assert list(forecast.index.get_level_values(0)) == ["b", "b", "c", "c", "a", "a"]
    turned = by_name.clone().fit(panel.loc[["a", "b", "c"]]).predict(fh=[1, 2])
    assert list(turned.index.get_level_values(0).unique()) == ["a", "b", "c"]
    for key in KEYS:
        assert_allclose(forecast.loc[key], turned.loc[key], rtol=1e-6)


def test_forecasts_of_a_series_do_not_depend_on_its_neighbours(make, panel):
    """Given the same weights, also where paths are sampled."""
    forecaster = make(horizon=6).fit(panel)
    before = forecaster.predict_quantiles(fh=range(1, 14), alpha=[0.1, 0.9])
    changed = panel.copy()
    changed.loc["c"] = -7.0 * changed.loc["c"].to_numpy()
    forecaster.update(changed, update_params=False)
    after = forecaster.predict_quantiles(fh=range(1, 14), alpha=[0.1, 0.9])
    assert_array_equal(before.loc[["b", "a"]], after.loc[["b", "a"]])


def test_one_network_learns_from_all_series(make, seasonal):
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


def test_a_hierarchy_is_forecast_series_by_series(make, hierarchy):
    forecaster = make(horizon=6).pretrain(hierarchy)
    assert_equal_to_each_alone(forecaster, hierarchy, STEPS)
    alpha = {"alpha": [0.2, 0.9]}
    assert_equal_to_each_alone(
        forecaster, hierarchy, STEPS, "predict_quantiles", **alpha
    )


def test_distributions_of_a_panel_stand_in_the_rows_of_the_forecast(make, panel):
    for likelihood in ("quantile", "normal"):
        forecaster = make(likelihood=likelihood).fit(panel, fh=[1, 2, 3])
        distribution = forecaster.predict_proba()
        assert list(distribution.index) == list(forecaster.predict().index)
        quantiles = forecaster.predict_quantiles(alpha=[0.8])
        spread = forecaster.predict_var().to_numpy() ** 0.5
        gap = np.abs(distribution.ppf(0.8).to_numpy() - quantiles.to_numpy()) / spread
        assert gap.max() < 0.05


def test_update_moves_each_cutoff_by_itself(make, panel, seasonal):
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
