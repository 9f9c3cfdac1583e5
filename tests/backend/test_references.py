"""References count by what they were worth so far, and nothing after a cutoff does."""

import dataclasses

import numpy as np
import pytest
import torch

from lstm_forecasters.backend.forecasting import forecast
from lstm_forecasters.backend.references import (
    Reference,
    errors_so_far,
    shares_of,
    window_errors,
)
from lstm_forecasters.backend.windows import Layout, Windows
from tests.backend.series import make_model, make_panel

RANDOM = np.random.default_rng(11)
LAYOUT = Layout(lookback=6, horizon=5, period=3, references=(1, 2))
DAY, WEEK = 24, 7 * 24
HOURLY = Layout(lookback=WEEK, horizon=DAY, period=DAY, references=(1, 7))


def gathered(windows, series, steps):
    return windows.gather(torch.tensor(series), torch.tensor(steps))


def shares_at(windows, series, steps):
    return shares_of(gathered(windows, series, steps).reference_errors).numpy()


def turns(lag, horizon):
    """Return which turn of a lag each step of a horizon falls in."""
    return [1 + step // lag for step in range(horizon)]


def mean_error(values, lags, evidence):
    """Return the mean error of forecasting each value by one some lags before."""
    errors = []
    for lag in lags:
        changes = np.abs([values[t] - values[t - lag] for t in evidence if t >= lag])
        known = changes[~np.isnan(changes)]
        errors.append((known.mean() if len(known) else np.inf, len(known)))
    return errors


def test_shares_follow_inverse_errors_to_the_fourth_power():
    errors = RANDOM.uniform(0.1, 3, size=(4, 2, 3)) * 10.0 ** RANDOM.integers(
        -12, 12, size=(4, 1, 1)
    )
    expected = errors**-4.0
    expected /= expected.sum(-1, keepdims=True)
    shares = shares_of(torch.from_numpy(errors)).numpy()
    np.testing.assert_allclose(shares, expected, rtol=1e-9)
    np.testing.assert_allclose(shares.sum(-1), np.ones((4, 2)))


def test_unknown_errors_do_not_count_and_without_any_the_first_reference_does():
    inf = torch.inf
    errors = torch.tensor([[inf, inf, inf], [inf, 2, 2], [3, inf, inf], [0, 0, 1]])
    expected = [[1, 0, 0], [0, 0.5, 0.5], [1, 0, 0], [0.5, 0.5, 0]]
    np.testing.assert_allclose(shares_of(errors.double()), expected)


def test_a_series_with_a_week_and_one_without_share_a_panel():
    hour = np.arange(6 * WEEK)
    noise = 0.1 * RANDOM.normal(size=(2, len(hour)))
    weekly = np.tile(RANDOM.normal(size=WEEK), 6) + noise[0]
    daily = np.sin(2 * np.pi * hour / DAY) + noise[1].cumsum()
    windows = Windows(make_panel(weekly, daily), HOURLY)
    ends = shares_at(windows, [0, 1], [len(hour)] * 2)[:, 0, 1]
    assert ends[0] > 0.99
    assert ends[1] < 0.5
    # before the second week has come, nothing tells them apart
    assert shares_at(windows, [0, 1], [WEEK] * 2)[:, 0].tolist() == [[1, 0], [1, 0]]


@pytest.mark.parametrize("self_contained", [False, True])
def test_nothing_after_the_cutoff_changes_shares_path_lag_or_forecast(self_contained):
    layout = dataclasses.replace(
        LAYOUT, lookback=20, references=(1, 3), self_contained=self_contained
    )
    values = RANDOM.normal(size=(60, 2))
    values[[4, 17, 33]] = np.nan
    before = RANDOM.normal(size=(15, 2))
    model = make_model(layout, likelihood="quantile")
    seen = []
    for cutoff in (1, 9, 25, 44):
        changed = values.copy()
        changed[cutoff:] = 1e3 * RANDOM.normal(size=(60 - cutoff, 2))
        found = []
        for one in (values, changed):
            windows = Windows(make_panel(before, one), layout)
            batch = gathered(windows, [1], [cutoff])
            columns = model.prepare(batch)
            where = np.array([1]), np.array([cutoff])
            found.append(
                [
                    shares_of(batch.reference_errors).numpy(),
                    columns.frame.path.numpy(),
                    columns.history[..., 2:4].numpy(),
                    forecast(model, windows, *where, 5).parameters(),
                ]
            )
        for one, other in zip(*found, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-6, atol=1e-9)
        seen.append(found[0][0][0, :, 1])
    assert ((seen[-1] > 0.01) & (seen[-1] < 0.99)).all()  # both references count


@pytest.mark.parametrize(
    ("periods", "horizon"), [((3, 3, 3), 8), ((3, 2, 3), 2), ((1, 1, 1), 4)]
)
def test_errors_so_far_equal_a_plain_loop(periods, horizon):
    lengths, seasons = (40, 33, 5), (1, 3)
    series = [RANDOM.normal(size=(length, 2)).cumsum(0) for length in lengths]
    series[0][:4, 1] = np.nan  # not yet observed
    spreads = RANDOM.uniform(1, 9, size=(3, 2))
    starts = np.cumsum(lengths) - lengths
    found = errors_so_far(
        np.concatenate(series),
        np.repeat(spreads, lengths, axis=0),
        np.repeat(starts, lengths),
        np.concatenate([np.arange(length) for length in lengths]),
        np.repeat(periods, lengths),
        seasons,
        max(periods),
        horizon,
    )
    for number, (values, period) in enumerate(zip(series, periods, strict=True)):
        for step, channel, which in np.ndindex(len(values), 2, 2):
            lag = period * seasons[which]
            evidence = range(period * max(seasons), step + 1)
            lags = [lag * turn for turn in turns(lag, horizon)]
            errors = mean_error(values[:, channel], lags, evidence)
            enough = max(8, period)
            expected = np.mean([e if n >= enough else np.inf for e, n in errors])
            np.testing.assert_allclose(
                found[starts[number] + step, channel, which],
                expected / spreads[number, channel],
                err_msg=f"{number}, {step}, {channel}, {which}",
            )
    assert np.isfinite(found[starts[1] - 1]).all()
    assert np.isinf(found[-1]).all()


def test_windows_hold_the_errors_of_each_filled_series_in_its_own_season():
    layout = dataclasses.replace(LAYOUT, lookback=40, horizon=8)
    series = np.random.default_rng(4).normal(5, 1, size=(2, 40))
    series[:, [17, 30]] = np.nan
    windows = Windows(make_panel(*series), layout, np.array([2, 3]))
    batch = gathered(windows, [0, 1], [40, 40])
    for row, period in enumerate((2, 3)):
        expected = errors_so_far(
            batch.history[row, -40:].numpy(),
            np.full((40, 1), batch.spread[row].item()),
            np.zeros(40, dtype=int),
            np.arange(40),
            np.full(40, period),
            seasons=(1, 2),
            longest=3,
            horizon=8,
        )
        np.testing.assert_allclose(batch.reference_errors[row], expected[-1])


@pytest.mark.parametrize("horizon", [2, 8])
@pytest.mark.parametrize("lookback", [12, 40])
def test_errors_of_a_self_contained_window_equal_a_plain_loop(lookback, horizon):
    layout = dataclasses.replace(
        LAYOUT,
        lookback=lookback,
        horizon=horizon,
        references=(1, 3),
        self_contained=True,
    )
    series = [RANDOM.normal(size=(length, 2)).cumsum(0) for length in (50, 50, 18)]
    series[1][-lookback + 2, 0] = np.nan
    windows = Windows(make_panel(*series), layout)
    batch = gathered(windows, [0, 1, 2], [50, 45, 18])
    found = batch.reference_errors
    again = window_errors(batch.history, 3, (1, 3), horizon)
    np.testing.assert_array_equal(found, again)
    evidence = lookback - 9
    for row, channel, which in np.ndindex(3, 2, 2):
        values = batch.history[row, :, channel].numpy()
        lag = 3 * layout.references[which]
        lags = [lag * turn for turn in turns(lag, horizon) if lag * turn < lookback]
        errors = mean_error(values, lags, range(lookback - evidence, lookback))
        enough = min(evidence, max(8, 3))
        expected = np.mean([e if n >= enough else np.inf for e, n in errors])
        np.testing.assert_allclose(found[row, channel, which], expected)
    if lookback == 40:
        assert found[:2].isfinite().all()


def test_small_series_after_large_ones_get_the_shares_that_they_have_alone():
    small = 1e-9 * (1 + RANDOM.normal(size=80))
    large = 1e12 * (1 + RANDOM.normal(size=70))
    steps = list(range(81))
    alone = Windows(make_panel(small), LAYOUT)
    together = Windows(make_panel(large, small), LAYOUT)
    expected = shares_at(alone, [0] * 81, steps)
    found = shares_at(together, [1] * 81, steps)
    np.testing.assert_allclose(found, expected, rtol=1e-9)
    assert (np.diff(expected[20:, 0, 0]) != 0).all()


@pytest.mark.parametrize("shift", [0, 2])
def test_the_path_blends_seasonal_naive_forecasts_and_repeats_them(shift):
    values = RANDOM.normal(size=(2, 12, 1))
    shares = np.array([[0.25, 0.75], [0.6, 0.4]])
    reference = Reference(
        lags=torch.tensor([[2, 6], [3, 9]]), shares=torch.from_numpy(shares)[:, None]
    )
    steps = torch.arange(shift, shift + 11)
    found = reference.at(steps, torch.from_numpy(values), 0)[..., 0].numpy()
    for row, (short, long) in enumerate([(2, 6), (3, 9)]):
        naive = [
            np.resize(values[row, -lag:, 0], 13)[shift : shift + 11]
            for lag in (short, long)
        ]
        expected = shares[row] @ np.stack(naive)
        np.testing.assert_allclose(found[row], expected)


def test_what_one_reference_has_not_seen_the_others_say():
    values = torch.arange(1.0, 7.0).double()[None, :, None]
    values[0, :2] = torch.nan
    reference = Reference(
        lags=torch.tensor([[1, 5]]), shares=torch.tensor([[[0.5, 0.5]]]).double()
    )
    said = reference.at(torch.arange(-6, 2), values, 6 + 5)[0, :, 0]
    expected = [np.nan, np.nan, np.nan, 3, 4, 5, 6, (6 + 3) / 2]
    np.testing.assert_allclose(said, expected)


def test_the_lookback_is_met_by_what_the_references_said_of_it():
    values = RANDOM.normal(size=60)
    windows = Windows(make_panel(values), LAYOUT)
    batch = gathered(windows, [0], [60])
    columns = make_model(LAYOUT).prepare(batch)
    share = shares_of(batch.reference_errors)[0, 0, 1].item()
    said = (1 - share) * values[51:57] + share * values[48:54]
    center, scale = columns.frame.center.item(), columns.frame.scale.item()
    expected = (said - center) / scale
    np.testing.assert_allclose(columns.history[0, :, 2], expected, rtol=1e-5)


def test_changes_of_covariates_are_blended_by_the_same_shares():
    layout = dataclasses.replace(LAYOUT, future_covariates=("q",))
    values, covariate = RANDOM.normal(size=60), RANDOM.normal(size=65)
    covariate[61] = covariate[55] = np.nan  # ahead, and at a repeated step
    panel = make_panel(values, future_covariates=covariate[:60, None])
    model = make_model(layout)
    model.measure(panel)
    ahead = torch.from_numpy(covariate[None, 60:, None])
    batch = Windows(panel, layout).gather(
        torch.tensor([0]), torch.tensor([60]), ahead=ahead
    )
    shares = shares_of(batch.reference_errors)[0, 0].numpy()
    standard = (covariate - np.nanmean(covariate[:60])) / np.nanstd(covariate[:60])
    expected = [
        sum(
            share * np.nan_to_num(standard[60 + h] - standard[60 - lag + h % lag])
            for share, lag in zip(shares, (3, 6), strict=True)
        )
        for h in range(5)
    ]
    found = model.prepare(batch).horizon[0, :, 3]
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-7)


def test_each_series_of_a_panel_repeats_its_own_season():
    layout = dataclasses.replace(LAYOUT, period=4)
    series = RANDOM.normal(size=(2, 50))
    windows = Windows(make_panel(*series), layout, np.array([2, 4]))
    batch = gathered(windows, [0, 1], [50, 50])
    frame = make_model(layout).prepare(batch).frame
    path = frame.restore(frame.path)[..., 0]
    shares = shares_of(batch.reference_errors)[:, 0].numpy()
    for row, period in enumerate((2, 4)):
        naive = [np.resize(series[row, -lag:], 5) for lag in (period, 2 * period)]
        expected = shares[row] @ np.stack(naive)
        np.testing.assert_allclose(path[row], expected, rtol=1e-5)


def test_beyond_the_trained_horizon_the_shares_stay():
    values = RANDOM.normal(size=60)
    layout = dataclasses.replace(LAYOUT, horizon=3)
    model = make_model(layout, trained=False)
    windows = Windows(make_panel(values), layout)
    found = forecast(model, windows, *windows.cutoffs(), 6).points()[0, :, 0]
    share = shares_at(windows, [0], [60])[0, 0, 1]
    first = (1 - share) * values[-3:] + share * values[-6:-3]
    second = (1 - share) * first + share * values[-3:]
    np.testing.assert_allclose(found, np.r_[first, second], rtol=1e-5)
