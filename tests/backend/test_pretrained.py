"""The pretrained network: what it reads, and how it is adapted to other windows."""

import dataclasses
import subprocess
import sys
from importlib.resources import files

import numpy as np
import pandas as pd
import pytest
import torch

from lstm_forecasters.backend.forecasting import forecast
from lstm_forecasters.backend.likelihoods import QuantileLikelihood
from lstm_forecasters.backend.model import ForecastModel
from lstm_forecasters.backend.networks import PretrainedSeq2SeqLSTM
from lstm_forecasters.backend.networks.layers import NetworkSizes
from lstm_forecasters.backend.pretrained import (
    adapted,
    layout_of,
    pretrained_network,
    references_of,
)
from lstm_forecasters.backend.windows import Panel, Windows
from lstm_forecasters.specs import PretrainedLSTM
from tests.backend.series import filled_by_hand

MEGABYTE = 2**20
SPEC = PretrainedLSTM(hidden_size=8, num_layers=2, segment_length=6, linear_path=False)
IMPORTS = """
from unittest.mock import patch
import lstm_forecasters.backend.pretrained as module
with patch.object(module, "unpack", wraps=module.unpack) as unpack:
    assert module.pretrained_network() is module.pretrained_network()
    assert unpack.call_count == 1
"""


def season_and_trend(n_steps, seed=0, period=12):
    step = np.arange(n_steps)
    noise = np.random.default_rng(seed).normal(size=n_steps)
    return 100 + 0.5 * step + 10 * np.sin(2 * np.pi * step / period) + noise


def forecasts(model, series, horizon=24, **covariates):
    values = np.concatenate(series)[:, None]
    lengths = np.array([len(one) for one in series])
    panel = Panel(values=values, lengths=lengths, **covariates)
    windows = Windows(panel, model.layout)
    return forecast(model, windows, *windows.cutoffs(), horizon).points()[..., 0]


def fresh(seed=0):
    return torch.Generator().manual_seed(seed)


def prepared(layout, series):
    """Return an untrained network and what it reads of a series."""
    likelihood = QuantileLikelihood((0.2, 0.5, 0.8))
    model = ForecastModel.create(SPEC, layout, likelihood, fresh()).eval()
    panel = Panel(values=series[:, None], lengths=np.array([len(series)]))
    windows = Windows(panel, layout)
    rows, steps = (torch.from_numpy(one) for one in windows.cutoffs())
    return model, model.prepare(windows.gather(rows, steps))


def in_units(columns, values):
    """Return normalised values in the units of the series."""
    return (values * columns.frame.scale + columns.frame.center).numpy()


@pytest.fixture(scope="module")
def monthly():
    """The network for series of months."""
    return adapted(pretrained_network(), layout_of(12), fresh())


def test_the_weights_take_at_most_three_megabytes():
    folder = files("lstm_forecasters") / "weights"
    assert [one.name for one in folder.iterdir()] == ["pretrained.safetensors"]
    size = len((folder / "pretrained.safetensors").read_bytes())
    assert 1 * MEGABYTE < size < 3 * MEGABYTE


def test_the_weights_are_read_at_the_first_use_and_once():
    subprocess.run([sys.executable, "-c", IMPORTS], check=True)


def test_the_file_says_what_the_windows_of_hours_hold():
    assert pretrained_network().layout == layout_of(24)


def test_fine_tuning_starts_where_two_seasons_are_known():
    """Or where the last horizon begins, in series that are shorter than both."""
    layout = layout_of(12, horizon=6)
    first, n_origins = layout.training_origins(np.array([400, 60, 28, 10]))
    np.testing.assert_array_equal(first, [24, 24, 22, 4])
    np.testing.assert_array_equal(first + n_origins, [400, 60, 28, 10])
    first, _ = layout_of(1, horizon=6).training_origins(np.array([60]))
    assert first == 12


def test_a_trend_with_a_season_is_forecast(monthly):
    truth = season_and_trend(144)
    found = forecasts(monthly, [truth[:120]])[0]
    assert np.abs(found - truth[120:]).mean() < 2
    naive = truth[108:120].tolist() * 2
    assert np.abs(found - truth[120:]).mean() < 0.3 * np.abs(naive - truth[120:]).mean()


@pytest.mark.parametrize("n_steps", [1, 5, 47, 48, 49, 96, 100, 168, 200, 336, 500])
def test_a_series_is_forecast_alike_alone_and_among_others(monthly, n_steps):
    lengths = (160, 400, 3, 330, 48, 90)
    others = [season_and_trend(length, seed=length) for length in lengths]
    series = season_and_trend(n_steps, seed=7)
    together = forecasts(monthly, [*others[:3], series, *others[3:]])[3]
    np.testing.assert_allclose(together, forecasts(monthly, [series])[0], rtol=1e-6)


@pytest.mark.parametrize("n_steps", [30, 90, 160])
def test_the_length_of_the_window_does_not_matter_to_a_shorter_series(monthly, n_steps):
    series = season_and_trend(n_steps)
    layout = layout_of(12, lookback=168)
    shorter = adapted(pretrained_network(), layout, fresh())
    expected = forecasts(monthly, [series])
    np.testing.assert_allclose(forecasts(shorter, [series]), expected, rtol=1e-6)


@pytest.mark.parametrize("n_steps", [30, 100, 200])
def test_the_padding_before_a_series_is_not_read(monthly, n_steps):
    series = season_and_trend(n_steps)
    padded = np.r_[np.full(60, np.nan), series]
    expected = forecasts(monthly, [series])
    np.testing.assert_allclose(forecasts(monthly, [padded]), expected, rtol=1e-6)


def test_only_the_lookback_is_read(monthly):
    series = season_and_trend(400)
    other = np.r_[np.full(64, 1e6), series[64:]]
    np.testing.assert_array_equal(
        forecasts(monthly, [series]), forecasts(monthly, [other])
    )
    other = np.r_[series[:64], [1e3], series[65:]]
    assert np.abs(forecasts(monthly, [series]) - forecasts(monthly, [other])).max() > 0


def test_the_season_is_read():
    """A wave of which two seasons have passed goes on, for whom is told its length."""
    wave = 10 * np.sin(2 * np.pi * np.arange(48) / 12)
    errors = []
    for period in (12, 7):
        model = adapted(pretrained_network(), layout_of(period), fresh())
        errors.append(np.abs(forecasts(model, [wave[:30]], 18) - wave[30:]).mean())
    assert errors[0] < 0.5 < errors[1]


def test_references_are_the_day_and_the_week_of_hours_alone():
    assert [references_of(period) for period in (1, 7, 12, 48, 168)] == [(1,)] * 5
    assert references_of(24) == (1, 7)
    assert references_of(24, lookback=100) == (1,)


def test_steps_ahead_count_alike_for_every_horizon(monthly):
    short = adapted(pretrained_network(), layout_of(12, horizon=5), fresh())
    series = season_and_trend(90)
    np.testing.assert_allclose(
        forecasts(short, [series], 5), forecasts(monthly, [series], 5), rtol=1e-6
    )


def test_beyond_the_horizon_the_window_moves_on(monthly):
    series = season_and_trend(120)
    first = forecasts(monthly, [series], 48)[0]
    moved = forecasts(monthly, [np.r_[series, first]], 48)[0]
    both = forecasts(monthly, [series], 96)[0]
    np.testing.assert_allclose(both, np.r_[first, moved], rtol=1e-6)


@pytest.fixture
def covariates():
    """Covariates of a panel of two series with 60 steps each."""
    random = np.random.default_rng(3)
    return {
        "past_covariates": random.normal(size=(120, 2)),
        "future_covariates": random.normal(size=(120, 1)),
        "static_covariates": random.normal(size=(2, 3)),
    }


def test_covariates_have_no_effect_before_training(monthly, covariates):
    names = {"past": ("a", "b"), "future": ("c",), "static": ("d", "e", "f")}
    named = {f"{kind}_covariates": of_kind for kind, of_kind in names.items()}
    model = adapted(pretrained_network(), layout_of(12, **named), fresh())
    series = [season_and_trend(60, seed=seed) for seed in (1, 2)]
    model.measure_covariates(
        Panel(values=np.zeros((120, 1)), lengths=np.array([60, 60]), **covariates)
    )
    np.testing.assert_allclose(
        forecasts(model, series, **covariates), forecasts(monthly, series), rtol=1e-6
    )
    for name, weights in model.network.named_parameters():
        assert weights.isfinite().all(), name
    gradients = _gradients(model, series, covariates)
    assert all(one.abs().max() > 0 for one in gradients.values())


def _gradients(model, series, covariates):
    """Return the gradients of the weights that read covariates."""
    panel = Panel(
        values=np.concatenate(series)[:, None], lengths=np.array([60, 60]), **covariates
    )
    windows = Windows(panel, model.layout)
    rows, steps = torch.arange(2), torch.tensor([36, 30])
    columns = model.prepare(windows.gather(rows, steps, with_target=True))
    loss = model.likelihood.loss(model(columns), columns.target).mean()
    names = ("segments.embedding.weight", "decoder.cells.0.weight_ih")
    weights = [*names, "from_static.weight", "future_effect.step_head.weight"]
    parameters = dict(model.network.named_parameters())
    found = torch.autograd.grad(loss, [parameters[name] for name in weights])
    gradients = dict(zip(weights, found, strict=True))
    gradients[names[0]] = gradients[names[0]].unflatten(1, (6, -1))[..., 4:]
    gradients[names[1]] = gradients[names[1]][:, 6 : 6 + 18]
    gradients["from_static.weight"] = gradients["from_static.weight"][:, 1:]
    return gradients


def test_the_shared_network_is_not_what_is_adapted(monthly):
    shared = pretrained_network()
    before = {name: one.clone() for name, one in shared.state_dict().items()}
    with torch.no_grad():
        for weights in adapted(shared, layout_of(7), fresh()).parameters():
            weights.zero_()
    for name, one in shared.state_dict().items():
        assert torch.equal(one, before[name]), name


def test_other_seasons_are_columns_less_the_reference_path():
    """What lies one and three seasons back; a line has the profile that it had."""
    layout = dataclasses.replace(layout_of(12, horizon=14), lags=(1, 3))
    _, columns = prepared(layout, np.arange(40.0))
    path, of_lags, mean, known = columns.horizon[0].split_with_sizes([2, 2, 1, 2], 1)
    back = in_units(columns, path[:, :1] + of_lags)
    repeated = [*range(28, 40), *range(28, 34)]  # 14 steps, in three turns of six
    np.testing.assert_allclose(back[:, 0], repeated, rtol=1e-5)
    np.testing.assert_allclose(back[:, 1], range(4, 22), rtol=1e-5)
    np.testing.assert_allclose(mean, 0, atol=1e-6)
    assert (known == 1).all()
    assert float(columns.static) == pytest.approx(np.log(12))


def test_the_mean_profile_is_of_what_was_observed_before_the_cutoff():
    """Of ten seasons, from the first step that is forecast on."""
    series = season_and_trend(150)
    series[98:103] = series[129:134] = series[139:144] = np.nan
    layout = layout_of(12, horizon=12, output_shift=5)
    _, columns = prepared(layout, series)
    filled, is_known = map(pd.Series, filled_by_hand(series, 12))
    deviation = (filled - filled.rolling(12).mean()).where(is_known)
    profiles = deviation[30:].to_numpy().reshape(10, 12)
    latest = pd.DataFrame(profiles).ffill().iloc[-1]
    expected = np.roll(np.nanmean(profiles, axis=0) - latest, -5)
    found = columns.horizon[0, :, 6] * float(columns.frame.scale)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert np.isnan(profiles[-1]).sum() == 3  # there the season before was the last
    assert np.abs(expected).max() > 0.5


def test_the_network_goes_to_other_seasons_by_shares_of_the_way():
    """Every quantile moves with the median, and the last value is one of the ways."""
    model, columns = prepared(layout_of(4), np.random.default_rng(2).normal(size=40))
    with torch.no_grad():
        model.network.head.weight.normal_(generator=fresh(1))
        before = model(columns)
        model.network.recall_head.weight.normal_(generator=fresh(2))
    shares = []
    model.network.recall_head.register_forward_hook(
        lambda layer, given, share: shares.append(share.detach())
    )
    moved = (model(columns) - before).detach()[0, :, 0]
    path, _, *ways = columns.horizon[0].T[:7]
    expected = torch.stack([*ways, -path], 1) @ shares[0][0]
    assert expected.abs().max() > 0.1
    np.testing.assert_allclose(moved[:6], expected[:6, None].expand(6, 3), atol=1e-5)
    assert len(shares) == 8  # of 48 steps, six at a time
    assert (shares[1] - shares[0]).abs().max() > 0.01


def test_channels_go_to_other_seasons_each_by_the_same_shares():
    sizes = NetworkSizes(
        lookback=12,
        horizon=6,
        history_columns=8,
        horizon_columns=9,
        static_columns=1,
        recalled_columns=4,
        known_future=0,
        n_channels=2,
        n_parameters=3,
    )
    network = PretrainedSeq2SeqLSTM(SPEC, sizes)
    hidden, columns = torch.randn(5, 8), torch.randn(5, 6, 9)
    with torch.no_grad():
        network.head.weight.zero_()
        network.head.bias.zero_()
        found = network._write(hidden, columns)
        shares = network.recall_head(hidden)
    for channel in range(2):
        path, *ways = columns[:, :, [channel, 3 + channel, 5 + channel]].unbind(2)
        expected = sum(
            shares[:, number, None] * way for number, way in enumerate([*ways, -path])
        )
        np.testing.assert_allclose(found[:, :, channel, 0], expected, atol=1e-5)
    assert (found[..., 1:] == 0).all()
