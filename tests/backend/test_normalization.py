"""Windows in their own units: reference, scale, floors, and back."""

import numpy as np
import pytest
import torch

from lstm_forecasters.backend.normalization import frame_windows
from lstm_forecasters.backend.references import Reference, lags_of, shares_of
from lstm_forecasters.backend.windows import Layout, Windows
from tests.backend.series import make_panel

SEASONAL = np.array([3.0, 1.0, 4.0, 1.0, 5.0, 9.0, 2.0, 6.0, 5.0, 3.0, 5.0, 8.0])


def frame_of(values, step=None, *, lookback=6, steps=5, period=3, shift=0):
    layout = Layout(lookback=lookback, horizon=1, period=period)
    step = len(values) if step is None else step
    batch = Windows(make_panel(values), layout).gather(
        torch.tensor([0]), torch.tensor([step])
    )
    reference = Reference(
        lags=lags_of(batch.period, layout.references),
        shares=shares_of(batch.reference_errors),
    )
    return frame_windows(
        batch.history,
        batch.observed,
        reference.at(torch.arange(shift, shift + steps), batch.history, 0),
        batch.scale_floor,
        batch.level,
        batch.spread,
        lookback=lookback,
    )


@pytest.mark.parametrize("shift", [0, 1, 4])
def test_path_is_the_seasonal_naive_forecast(shift):
    frame = frame_of(SEASONAL, shift=shift)
    expected = np.resize(SEASONAL[-3:], 10)[shift : shift + 5]
    np.testing.assert_allclose(frame.restore(frame.path)[0, :, 0], expected, rtol=1e-6)


def test_path_without_season_is_the_last_value():
    frame = frame_of(SEASONAL, period=1)
    np.testing.assert_array_equal(frame.path, np.zeros((1, 5, 1)))
    assert frame.center.item() == SEASONAL[-1]


def test_scale_is_the_mean_absolute_deviation_of_what_was_observed():
    values = SEASONAL.copy()
    values[-2] = np.nan
    seen = values[-6:][~np.isnan(values[-6:])]
    expected = np.abs(seen - seen.mean()).mean()
    assert frame_of(values).scale.item() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(("slope", "offset"), [(1e-9, 0), (1e9, -5e9), (4.0, 1e6)])
def test_affine_series_look_alike(slope, offset):
    frame, other = frame_of(SEASONAL), frame_of(slope * SEASONAL + offset)
    values = torch.from_numpy(SEASONAL)[None, :, None]
    np.testing.assert_allclose(
        frame.normalise(values), other.normalise(slope * values + offset), atol=1e-9
    )
    np.testing.assert_allclose(frame.path, other.path, atol=1e-6)


def test_a_small_movement_on_a_large_level_survives():
    frame = frame_of(1e12 + 0.5 * SEASONAL)
    expected = 0.5 * frame_of(SEASONAL).scale.item()
    assert frame.scale.item() == pytest.approx(expected, rel=1e-4)  # 1e12 has 1e-4


@pytest.mark.parametrize("level", [0.0, 1e-300, 7.0, 1e30])
def test_constants_have_a_finite_frame_and_come_back(level):
    frame = frame_of(np.full(12, level))
    normalised = frame.normalise(torch.full((1, 4, 1), level, dtype=torch.float64))
    np.testing.assert_array_equal(normalised, np.zeros((1, 4, 1)))
    np.testing.assert_array_equal(frame.restore(normalised), np.full((1, 4, 1), level))


def test_a_flat_window_keeps_a_share_of_the_series_own_change():
    frame = frame_of(np.r_[SEASONAL, np.full(9, 8.0)])
    change = np.abs(np.diff(np.r_[SEASONAL, np.full(9, 8.0)])).mean()
    assert frame.scale.item() == pytest.approx(0.1 * change)


def test_without_a_past_the_whole_series_gives_level_and_spread():
    frame = frame_of(SEASONAL, 0, lookback=4, steps=2, period=1)
    assert frame.center.item() == pytest.approx(SEASONAL.mean())
    deviation = np.abs(SEASONAL - SEASONAL.mean()).mean()
    assert frame.scale.item() == pytest.approx(deviation)
    np.testing.assert_array_equal(frame.path, np.zeros((1, 2, 1)))
