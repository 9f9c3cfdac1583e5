"""Windows hold what slicing by hand gives, and nothing of other series."""

import numpy as np
import pytest
import torch

from lstm_forecasters.backend import windows as windows_module
from lstm_forecasters.backend.features import fold_channels
from lstm_forecasters.backend.windows import Layout, Windows
from tests.backend.series import all_windows, make_panel

RANDOM = np.random.default_rng(3)
LAYOUT = Layout(
    lookback=4, horizon=3, period=2, past_covariates=("p",), future_covariates=("q",)
)


def padded_slice(values, start, stop):
    """Return rows start to stop of an array, NaN where there are none."""
    rows = np.full((stop - start, values.shape[1]), np.nan)
    low, high = max(start, 0), min(stop, len(values))
    if high > low:
        rows[low - start : high - start] = values[low:high]
    return rows


@pytest.mark.parametrize("shift", [0, 2])
def test_every_window_equals_a_slice_by_hand(shift):
    series = [RANDOM.normal(size=(length, 2)) for length in (9, 1, 5)]
    covariates = [RANDOM.normal(size=(length, 2)) for length in (9, 1, 5)]
    stacked = np.concatenate(covariates)
    panel = make_panel(
        *series,
        past_covariates=stacked[:, :1],
        future_covariates=stacked[:, 1:],
        static_covariates=np.arange(3.0)[:, None],
    )
    layout = Layout(**{**vars(LAYOUT), "output_shift": shift})
    windows = Windows(panel, layout)
    numbers, steps = all_windows(windows)
    batch = windows.gather(
        torch.from_numpy(numbers), torch.from_numpy(steps), with_target=True
    )
    for row, (number, step) in enumerate(zip(numbers, steps, strict=True)):
        values, known = series[number], covariates[number]
        past = slice(step - layout.context, step)
        history = padded_slice(values, past.start, past.stop)
        target = padded_slice(values, step + shift, step + shift + 3)
        expected = {
            "history": history,
            "observed": ~np.isnan(history),
            "past_covariates": padded_slice(known[:, :1], past.start, past.stop),
            "future_covariates": padded_slice(
                known[:, 1:], past.start, step + layout.reach
            ),
            "static_covariates": [float(number)],
            "target": np.nan_to_num(target),
            "weight": ~np.isnan(target),
        }
        for name, wanted in expected.items():
            found = getattr(batch, name)[row].numpy()
            np.testing.assert_array_equal(found, wanted, err_msg=f"{name}, row {row}")


def test_given_covariates_replace_those_ahead():
    panel = make_panel(
        np.arange(6.0),
        past_covariates=np.zeros((6, 1)),
        future_covariates=np.arange(6.0)[:, None],
    )
    ahead = torch.full((1, 5, 1), 7.0, dtype=torch.float64)
    batch = Windows(panel, LAYOUT).gather(
        torch.tensor([0]), torch.tensor([4]), ahead=ahead
    )
    expected = [np.nan, np.nan, 0, 1, 2, 3, 7, 7, 7, 7, 7]
    np.testing.assert_array_equal(batch.future_covariates[0, :, 0], expected)


def test_gaps_are_filled_by_the_season_then_by_the_last_value():
    gaps = [1.0, 2, np.nan, np.nan, 5, np.nan, np.nan]
    windows = Windows(
        make_panel([np.nan, np.nan, 3, np.nan, np.nan], gaps),
        Layout(lookback=7, horizon=1, period=3),
    )
    batch = windows.gather(torch.tensor([0, 1]), torch.tensor([5, 7]))
    first, second = batch.history[:, -7:, 0].numpy()
    np.testing.assert_array_equal(first, [np.nan, np.nan, np.nan, np.nan, 3, 3, 3])
    np.testing.assert_array_equal(second, [1, 2, 2, 1, 5, 5, 1])
    np.testing.assert_array_equal(batch.observed[1, -7:, 0], [1, 1, 0, 0, 1, 0, 0])


def test_missing_targets_weigh_nothing_and_given_weights_multiply():
    values = np.array([1.0, np.nan, 3.0, 4.0])
    panel = make_panel(values, weights=np.array([[2.0], [2.0], [0.5], [0.0]]))
    windows = Windows(panel, Layout(lookback=2, horizon=4))
    batch = windows.gather(torch.tensor([0]), torch.tensor([0]), with_target=True)
    np.testing.assert_array_equal(batch.weight[0, :, 0], [2.0, 0.0, 0.5, 0.0])


def test_scale_floor_is_the_mean_change_before_the_cutoff_only():
    values = np.array([1.0, 3.0, 2.0, 10.0, 10.0])
    windows = Windows(make_panel([5.0, 50.0], values), Layout(lookback=2, horizon=1))
    batch = windows.gather(torch.full((6,), 1), torch.arange(6))
    expected = [0.0, 0.0, 2.0, 1.5, 11 / 3, 11 / 4]
    np.testing.assert_allclose(batch.scale_floor[:, 0], expected)


def test_scale_floor_counts_a_gap_as_no_change():
    values = np.array([1.0, 3.0, np.nan, 8.0])
    windows = Windows(make_panel(values), Layout(lookback=4, horizon=1))
    batch = windows.gather(torch.zeros(2, dtype=int), torch.tensor([3, 4]))
    np.testing.assert_allclose(batch.scale_floor[:, 0], [(2 + 0) / 2, (2 + 0 + 5) / 3])


def test_level_and_spread_are_those_of_each_whole_series():
    series = [1.0, np.nan, 3.0, 8.0], [10.0, 10.0, 40.0]
    windows = Windows(make_panel(*series), Layout(lookback=2, horizon=1))
    batch = windows.gather(torch.tensor([0, 1]), torch.tensor([1, 1]))
    np.testing.assert_allclose(batch.level[:, 0], [4, 20])
    np.testing.assert_allclose(
        batch.spread[:, 0], [(3 + 1 + 4) / 3, (10 + 10 + 20) / 3]
    )


def test_series_may_have_seasons_of_their_own():
    """By which their gaps are filled."""
    values = np.array([1.0, 2, 3, 4, 5, 6, np.nan, np.nan])
    panel = make_panel(values, values)
    windows = Windows(panel, Layout(lookback=4, horizon=2, period=4), np.array([4, 2]))
    batch = windows.gather(torch.tensor([0, 1]), torch.tensor([8, 8]))
    assert batch.period.tolist() == [4, 2]
    assert batch.history[:, -2:, 0].tolist() == [[3, 4], [5, 6]]


@pytest.mark.parametrize("self_contained", [False, True])
def test_windows_of_a_channel_are_those_of_the_whole_series_cut_to_it(self_contained):
    layout = Layout(
        lookback=8,
        horizon=3,
        period=2,
        references=(1, 3),
        future_covariates=("q",),
        static_covariates=("s",),
        self_contained=self_contained,
    )
    series = [RANDOM.normal(size=(length, 3)) for length in (19, 12)]
    series[0][4:6, 1] = np.nan
    panel = make_panel(
        *series,
        future_covariates=RANDOM.normal(size=(31, 1)),
        static_covariates=RANDOM.normal(size=(2, 3, 1)),
        weights=RANDOM.uniform(size=(31, 3)),
    )
    windows = Windows(panel, layout)
    numbers, steps = (torch.from_numpy(one) for one in all_windows(windows))
    channels = torch.arange(len(numbers)) % 3
    alone = windows.gather(numbers, steps, channels=channels, with_target=True)
    whole = fold_channels(windows.gather(numbers, steps, with_target=True))
    rows = 3 * torch.arange(len(numbers)) + channels
    for name, values in vars(alone).items():
        expected = getattr(whole, name)[rows].numpy()
        np.testing.assert_array_equal(values.numpy(), expected, err_msg=name)


def test_parts_end_with_the_series_that_fill_so_many_steps(monkeypatch):
    monkeypatch.setattr(windows_module, "STEPS_AT_A_TIME", 4)
    lengths = np.array([3, 1, 4, 2, 9, 1, 3])
    found = [
        (lengths[part].tolist(), steps.start, steps.stop)
        for part, steps in windows_module._parts(lengths)
    ]
    assert found == [
        ([3, 1], 0, 4),
        ([4], 4, 8),
        ([2], 8, 10),
        ([9, 1], 10, 20),
        ([3], 20, 23),
    ]


@pytest.mark.parametrize("self_contained", [False, True])
def test_series_are_laid_out_in_parts_as_they_are_at_once(self_contained, monkeypatch):
    layout = Layout(
        lookback=12,
        horizon=3,
        period=3,
        references=(1, 3),
        past_covariates=("p",),
        future_covariates=("q",),
        self_contained=self_contained,
    )
    series = [RANDOM.normal(size=(length, 2)) for length in (12, 1, 19, 40, 2, 5, 11)]
    for one in series:
        one[RANDOM.random(one.shape) < 0.2] = np.nan
    panel = make_panel(
        *series,
        past_covariates=RANDOM.normal(size=(90, 1)),
        future_covariates=RANDOM.normal(size=(90, 1)),
        weights=RANDOM.uniform(size=(90, 2)),
    )
    periods = np.array([2, 3, 2, 2, 1, 3, 2])
    at_once, found = Windows(panel, layout, periods), []
    for steps_at_a_time in (1, 14, 30):
        monkeypatch.setattr(windows_module, "STEPS_AT_A_TIME", steps_at_a_time)
        found.append(Windows(panel, layout, periods))
    numbers, steps = (torch.from_numpy(one) for one in all_windows(at_once))
    expected = vars(at_once.gather(numbers, steps, with_target=True))
    assert expected["scale_floor"].std() > 0 or self_contained
    for windows in found:
        batch = vars(windows.gather(numbers, steps, with_target=True))
        for name, values in expected.items():
            np.testing.assert_allclose(batch[name], values, rtol=1e-12, err_msg=name)
