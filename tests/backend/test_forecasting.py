"""Forecasts to any horizon: one rule of feedback, and no look ahead."""

import dataclasses

import numpy as np
import pytest
import torch

from lstm_forecasters.backend.features import assemble
from lstm_forecasters.backend.forecasting import forecast
from lstm_forecasters.backend.recipe import spread_correction
from lstm_forecasters.backend.windows import Layout, Windows
from lstm_forecasters.errors import ParameterError
from lstm_forecasters.specs import ARCHITECTURES
from tests.backend.series import all_windows, make_model, make_panel

RANDOM = np.random.default_rng(8)
LAYOUT = Layout(
    lookback=5, horizon=3, period=2, past_covariates=("p",), future_covariates=("q",)
)


def covered_panel(values, covariates):
    n_steps = len(values)
    return make_panel(
        values,
        past_covariates=covariates[:n_steps, :1],
        future_covariates=covariates[:n_steps, 1:],
    )


def at_the_end(windows):
    return windows.cutoffs()


@pytest.mark.parametrize("spec", ARCHITECTURES.values())
@pytest.mark.parametrize("likelihood", [None, "quantile", "normal", "student_t"])
def test_a_longer_horizon_begins_with_the_shorter_one(spec, likelihood):
    values, covariates = RANDOM.normal(size=(20, 2)), RANDOM.normal(size=(40, 2))
    windows = Windows(covered_panel(values, covariates), LAYOUT)
    model = make_model(LAYOUT, spec(hidden_size=6), likelihood)
    found = [
        forecast(
            model,
            windows,
            *at_the_end(windows),
            horizon,
            ahead=covariates[None, 20 : 20 + horizon, 1:],
            sample_paths=likelihood is not None,
        )
        for horizon in (2, 3, 9, 10)
    ]
    whole = found[-1].points()
    assert whole.shape == (1, 10, 2)
    for shorter in found[:-1]:
        points = shorter.points()
        np.testing.assert_allclose(points, whole[:, : points.shape[1]], rtol=1e-6)
        if likelihood is not None:
            some, every = (
                f.quantiles(np.array([0.1, 0.9])) for f in (shorter, found[-1])
            )
            np.testing.assert_allclose(some, every[:, : some.shape[1]], rtol=1e-5)


@pytest.mark.parametrize("spec", ARCHITECTURES.values())
def test_points_feed_back_as_if_they_had_been_observed(spec):
    values, covariates = RANDOM.normal(size=20), RANDOM.normal(size=(40, 2))
    model = make_model(LAYOUT, spec(hidden_size=6), "quantile")
    windows = Windows(covered_panel(values, covariates), LAYOUT)
    ahead = covariates[None, 20:26, 1:]
    found = forecast(model, windows, *at_the_end(windows), 6, ahead=ahead).points()
    extended = np.r_[values, found[0, :3, 0]]
    known = covariates.copy()
    known[20:, 0] = np.nan  # past covariates end at the cutoff
    longer = Windows(covered_panel(extended, known), LAYOUT)
    # the floor of the scale stays that of the observed series
    longer._floor[:] = windows._floor[windows._starts[0] + 20]
    again = forecast(model, longer, *at_the_end(longer), 3, ahead=ahead[:, 3:]).points()
    np.testing.assert_allclose(found[:, 3:], again, rtol=1e-6)


def test_paths_spread_beyond_the_trained_horizon():
    layout = Layout(lookback=8, horizon=2)
    model = make_model(layout, likelihood="normal", trained=False)
    values = np.cumsum(np.tile([1.0, -1.0], 20))
    windows = Windows(make_panel(values), layout)
    found = forecast(model, windows, *at_the_end(windows), 8, sample_paths=True)
    spread = np.diff(found.quantiles(np.array([0.1, 0.9])))[0, :, 0, 0]
    blocks = spread.reshape(4, 2)
    np.testing.assert_allclose(blocks[:, 0], blocks[:, 1], rtol=1e-5)
    growth = blocks[1:, 0] / blocks[0, 0]
    assert growth[0] == pytest.approx(np.sqrt(2), rel=0.25)
    assert (growth > 1.15).all()


@pytest.mark.parametrize("likelihood", ["quantile", "normal", "student_t"])
def test_where_paths_agree_their_quantiles_are_those_of_the_network(likelihood):
    """At all levels: of white noise, say, of which every block is forecast alike."""
    layout = Layout(lookback=8, horizon=2)
    model = make_model(layout, likelihood=likelihood)
    windows = Windows(make_panel(*RANDOM.normal(size=(3, 20))), layout)
    parameters = model.likelihood.parameters(
        torch.zeros(1, 2, 1, model.likelihood.n_parameters), torch.zeros(1, 2, 1)
    )

    def alike(batch, generator):
        return parameters.double().repeat(len(batch.history), 1, 1, 1)

    model.forecast = alike
    found = forecast(model, windows, *at_the_end(windows), 6, sample_paths=True)
    levels = np.array([0.005, 0.025, 0.05, 0.1, 0.3, 0.5, 0.7, 0.9, 0.95, 0.975, 0.995])
    quantiles = found.quantiles(levels)[:, :, 0]
    expected = np.broadcast_to(quantiles[:, :1], quantiles[:, 2:].shape)
    np.testing.assert_allclose(quantiles[:, 2:], expected, rtol=0.03, atol=0.01)


def test_sampled_paths_do_not_depend_on_the_neighbours():
    series = [RANDOM.normal(size=n) for n in (20, 25, 18)]
    layout = Layout(lookback=5, horizon=3)
    model = make_model(layout, likelihood="quantile")
    together = Windows(make_panel(*series), layout)
    every = forecast(model, together, *at_the_end(together), 8, sample_paths=True)
    levels = np.array([0.05, 0.5, 0.95])
    for number, values in enumerate(series):
        alone = Windows(make_panel(values), layout)
        one = forecast(model, alone, *at_the_end(alone), 8, sample_paths=True)
        np.testing.assert_allclose(
            one.quantiles(levels)[0], every.quantiles(levels)[number], rtol=1e-5
        )


@pytest.mark.parametrize("spec", ARCHITECTURES.values())
def test_nothing_after_the_cutoff_reaches_a_forecast(spec):
    values, covariates = RANDOM.normal(size=20), RANDOM.normal(size=(20, 2))
    changed, changed_covariates = values.copy(), covariates.copy()
    changed[12:], changed_covariates[12:, 0] = 1e3, -1e3
    model = make_model(LAYOUT, spec(hidden_size=6), "quantile")
    forecasts = []
    for one, known in ((values, covariates), (changed, changed_covariates)):
        windows = Windows(covered_panel(one, known), LAYOUT)
        for step in range(1, 13):
            where = np.array([0]), np.array([step])
            forecasts.append(forecast(model, windows, *where, 1).parameters())
    for before, after in zip(forecasts[:12], forecasts[12:], strict=True):
        np.testing.assert_array_equal(before, after)


def test_series_without_any_past_still_get_a_finite_forecast():
    values = RANDOM.normal(size=(15, 1))
    values[3:7] = np.nan
    windows = Windows(covered_panel(values, RANDOM.normal(size=(15, 2))), LAYOUT)
    series, steps = all_windows(windows)
    model = make_model(LAYOUT, likelihood="student_t")
    found = forecast(model, windows, series, steps, 3)
    assert np.isfinite(found.parameters()).all()


def test_many_windows_are_forecast_in_chunks(monkeypatch):
    values = RANDOM.normal(size=40)
    layout = Layout(lookback=5, horizon=3)
    windows = Windows(make_panel(values), layout)
    model = make_model(layout)
    series, steps = all_windows(windows)
    whole = forecast(model, windows, series, steps, 5).points()
    monkeypatch.setattr("lstm_forecasters.backend.forecasting.WINDOWS_AT_A_TIME", 7)
    parts = forecast(model, windows, series, steps, 5).points()
    np.testing.assert_allclose(whole, parts, rtol=1e-5, atol=1e-6)


def test_a_shifted_output_has_one_horizon_only():
    layout = dataclasses.replace(Layout(lookback=4, horizon=3), output_shift=2)
    windows = Windows(make_panel(RANDOM.normal(size=12)), layout)
    model = make_model(layout)
    assert forecast(model, windows, *at_the_end(windows), 3).points().shape[1] == 3
    with pytest.raises(ParameterError, match="trained horizon of 3 steps, got 4"):
        forecast(model, windows, *at_the_end(windows), 4)


def test_forecast_is_the_network_in_the_users_units():
    values = 50 + 7 * RANDOM.normal(size=(20, 2))
    layout = Layout(lookback=5, horizon=3, period=2)
    windows = Windows(make_panel(values), layout)
    model = make_model(layout, likelihood="normal")
    batch = windows.gather(torch.tensor([0]), torch.tensor([20]))
    columns = assemble(batch, layout, model.covariate_means, model.covariate_scales)
    raw = model.network(columns.history, columns.horizon, columns.static)
    scale = columns.frame.scale[:, None].numpy()
    location = (raw[..., 0] + columns.frame.path).detach().numpy()
    location = location * scale + columns.frame.center[:, None].numpy()
    found = forecast(model, windows, *at_the_end(windows), 3).parameters()
    np.testing.assert_allclose(found[0, :, :, 0].T, location[:, :, 0], rtol=1e-6)
    assert (found[..., 1] > 0).all()


@pytest.mark.parametrize("likelihood", [None, "quantile", "normal", "student_t"])
def test_forecasts_are_wider_than_in_training_by_what_was_measured(likelihood):
    values = 50 + 7 * RANDOM.normal(size=(20, 2))
    values[4:7] = np.nan
    layout = Layout(lookback=5, horizon=3, period=2)
    model = make_model(layout, likelihood=likelihood)
    windows = Windows(make_panel(values), layout)
    found = []
    for _ in range(2):
        found.append(forecast(model, windows, *at_the_end(windows), 3))
        model.measure(make_panel(values))
    factor = spread_correction(34, 3)  # 34 of the 40 values are observed
    assert model.widening.item() == pytest.approx(factor, rel=1e-12)
    before, after = (one.points() for one in found)
    np.testing.assert_array_equal(before, after)
    if likelihood is not None:
        levels = np.array([0.05, 0.3, 0.9])
        plain, wide = (one.quantiles(levels) - before[..., None] for one in found)
        np.testing.assert_allclose(wide, factor * plain, rtol=1e-9)


def test_nothing_observed_widens_nothing():
    model = make_model(Layout(lookback=5, horizon=3))
    model.measure(make_panel(np.full(4, np.nan)))
    assert model.widening == 1
