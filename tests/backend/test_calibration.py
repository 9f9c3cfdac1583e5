"""Intervals of a network that knows its training windows by heart are widened."""

import numpy as np
import pytest
import torch

from lstm_forecasters.backend import calibration
from lstm_forecasters.backend.calibration import rehearse_spread
from lstm_forecasters.backend.forecasting import forecast
from lstm_forecasters.backend.recipe import Recipe
from lstm_forecasters.backend.training import Trainer
from lstm_forecasters.backend.windows import Layout, Windows
from lstm_forecasters.specs import VanillaLSTM
from tests.backend.series import make_model, make_panel

LAYOUT = Layout(lookback=8, horizon=4)


def walks(n_series, n_steps=30, seed=0):
    """Return random walks, of which there is nothing to know."""
    draws = np.random.default_rng(seed).normal(size=(n_series, n_steps))
    return list(draws.cumsum(1))


def rehearsed(series, likelihood="quantile", layout=LAYOUT, **recipe):
    """Return an untrained model after its rehearsal, its windows and its recipe."""
    model = make_model(layout, VanillaLSTM(hidden_size=64), likelihood, trained=False)
    windows = Windows(make_panel(*series), layout)
    recipe = Recipe(**{"max_steps": 900, "batch_size": 32, "weight_decay": 0, **recipe})
    before = {name: one.clone() for name, one in model.state_dict().items()}
    rehearse_spread(model, windows, recipe, torch.Generator().manual_seed(1))
    after = model.state_dict()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed <= {"widening"}
    return model, windows, recipe


@pytest.mark.parametrize("likelihood", ["quantile", "normal", "student_t"])
def test_factors_are_averaged_between_bounds_and_drawn_to_one(likelihood, monkeypatch):
    factors = iter([0.5, 2.0, 10.0])
    monkeypatch.setattr(calibration, "_needed_factor", lambda *_: next(factors))
    model, *_ = rehearsed(walks(30), likelihood, max_steps=200)
    factor = (1.0 * 2.0 * 3.0) ** (1 / 3)
    assert float(model.widening) == pytest.approx(1 + (factor - 1) * 30 / 50)
    assert next(factors, None) is None


def test_the_spread_is_looked_at_while_a_fifth_to_two_fifths_are_done(monkeypatch):
    steps, looks = [], []
    step = Trainer.step
    monkeypatch.setattr(
        Trainer, "step", lambda *args: (steps.append(1), step(*args))[1]
    )
    monkeypatch.setattr(
        calibration, "_needed_factor", lambda *_: looks.append(len(steps)) or 1.0
    )
    rehearsed(walks(12), max_steps=200)
    assert looks == [40, 60, 80]


def test_the_correction_for_short_series_stays(monkeypatch):
    monkeypatch.setattr(calibration, "_needed_factor", lambda *_: 2.0)
    series = walks(30)
    model = make_model(LAYOUT, likelihood="quantile", trained=False)
    model.widening.fill_(1.3)
    windows = Windows(make_panel(*series), LAYOUT)
    rehearse_spread(model, windows, Recipe(), torch.Generator().manual_seed(1))
    assert float(model.widening) == pytest.approx(1.3 * (1 + 30 / 50))


def test_the_factor_is_what_holds_80_percent():
    series = walks(60)
    model = make_model(LAYOUT, likelihood="normal", trained=False)
    windows = Windows(make_panel(*series), LAYOUT)
    numbers, steps = np.arange(60), np.full(60, 26)
    found = forecast(model, windows, numbers, steps, 4).quantiles(
        np.array([0.1, 0.5, 0.9])
    )[:, :, 0]
    target = np.array(series)[:, 26:]
    factor = calibration._needed_factor(model, windows, numbers, steps)
    distance = np.abs(target - found[..., 1])
    held = distance <= factor * (found[..., 2] - found[..., 1])
    assert abs(held.mean() - 0.8) <= 1 / 240


def test_the_last_horizon_is_not_seen_in_rehearsal(monkeypatch):
    seen = []
    gather = Windows.gather

    def noted(self, series, steps, **kwargs):
        if torch.is_grad_enabled() is False and kwargs.get("channels") is None:
            seen.append((series, steps))
        return gather(self, series, steps, **kwargs)

    monkeypatch.setattr(Windows, "gather", noted)
    monkeypatch.setattr(calibration, "_needed_factor", lambda *_: 1.0)
    rehearsed(walks(12), max_steps=200)
    assert max(int(steps.max()) for _, steps in seen) + LAYOUT.reach == 30 - 4


@pytest.mark.parametrize(
    ("series", "settings"),
    [
        (walks(9), {}),
        (walks(30), {"max_steps": 100}),
        (walks(30), {"likelihood": None}),
        (walks(30, 8), {}),
    ],
    ids=["few series", "few epochs", "points", "nothing to hold out"],
)
def test_where_nothing_can_be_measured_nothing_is_widened(series, settings):
    model, *_ = rehearsed(series, **settings)
    assert float(model.widening) == 1.0


def test_what_is_known_by_heart_is_widened_and_channels_count_as_series():
    frame = np.array(walks(12)).T
    assert float(rehearsed([frame])[0].widening) > 1.1
    joint = Layout(lookback=8, horizon=4, n_channels=12)
    assert float(rehearsed([frame], layout=joint)[0].widening) == 1.0


def test_the_same_seed_measures_the_same_and_draws_nothing():
    model, windows, recipe = rehearsed(walks(12))
    again = make_model(LAYOUT, VanillaLSTM(hidden_size=64), "quantile", trained=False)
    generator = torch.Generator().manual_seed(1)
    before = generator.get_state()
    rehearse_spread(again, windows, recipe, generator)
    assert float(again.widening) == float(model.widening)
    assert torch.equal(generator.get_state(), before)


def test_last_horizons_without_values_tell_nothing():
    series = walks(12)
    for one in series:
        one[-4:] = np.nan
    model, *_ = rehearsed(series, max_steps=200)
    assert float(model.widening) == 1.0


def test_a_rehearsal_that_diverges_tells_nothing():
    model, *_ = rehearsed(walks(12), max_steps=200, learning_rate=1e38)
    assert float(model.widening) == 1.0
