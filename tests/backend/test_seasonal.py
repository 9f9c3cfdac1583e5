"""What the seasons so far tell of the next one."""

import numpy as np
import pandas as pd
import pytest
import torch

from lstm_forecasters.backend.seasonal import change_of_profile, deviations

PERIODS = torch.tensor([4, 7])


@pytest.fixture
def values():
    """Two series of 50 steps, the second of which begins at step 9."""
    drawn = np.random.default_rng(0).normal(size=(2, 50)).cumsum(1)
    drawn[1, :9] = np.nan
    return drawn


@pytest.fixture
def observed(values):
    """Where they are observed."""
    seen = ~np.isnan(values)
    seen[0, [20, 33, 46]] = False
    return seen


def _deviations(values, observed):
    columns = (torch.from_numpy(one)[:, :, None] for one in (values, observed))
    return deviations(*columns, PERIODS)[:, :, 0].numpy()


def test_deviations_are_from_the_mean_of_the_season_that_ends_there(values, observed):
    expected = [
        pd.Series(one) - pd.Series(one).rolling(period).mean()
        for one, period in zip(values, PERIODS.tolist(), strict=True)
    ]
    expected = np.where(observed, expected, np.nan)
    np.testing.assert_allclose(_deviations(values, observed), expected, atol=1e-12)


@pytest.mark.parametrize("n_channels", [1, 3])
def test_the_mean_profile_is_of_what_was_observed(values, observed, n_channels):
    """Steps that lie more than a season ahead repeat what is known of the season."""
    found = _deviations(values, observed)
    ahead = torch.arange(9)
    columns = torch.from_numpy(found)[:, :, None] * torch.arange(1, 1 + n_channels)
    change = change_of_profile(columns, PERIODS, ahead)
    assert change.shape == (2, 9, n_channels)
    for series, period in enumerate(PERIODS.tolist()):
        for step in ahead.tolist():
            phase = step % period
            past = found[series][50 - period + phase :: -period][:10]
            expected = np.nanmean(past) - past[~np.isnan(past)][0]
            for channel in range(n_channels):
                np.testing.assert_allclose(
                    change[series, step, channel],
                    (1 + channel) * expected,
                    atol=1e-12,
                )


def test_a_season_that_stays_has_no_change_of_profile():
    """Nor has one with a trend, whatever its slope."""
    step = np.arange(60.0)
    wave = np.sin(2 * np.pi * step / 12) * np.array([[1.0], [5.0]])
    series = torch.from_numpy(wave + step * np.array([[0.0], [2.0]]))[:, :, None]
    period = torch.tensor([12, 12])
    deviation = deviations(series, torch.ones_like(series), period)
    change = change_of_profile(deviation, period, torch.arange(18))
    np.testing.assert_allclose(change, 0, atol=1e-12)


def test_noise_in_the_last_season_leaves_by_the_mean_profile():
    """A tenth of it stays, since ten seasons have a mean."""
    series = torch.zeros(1, 150, 1, dtype=torch.float64)
    series[0, -5] = 1.2  # of seasons of 12 steps, so that their mean moves by 0.1
    period = torch.tensor([12])
    deviation = deviations(series, torch.ones_like(series), period)
    change = change_of_profile(deviation, period, torch.arange(12))[0, :, 0]
    assert change[7] == pytest.approx(-0.9 * 1.1)
    np.testing.assert_allclose(change[:7], 0, atol=1e-12)
    np.testing.assert_allclose(change[8:], 0.9 * 0.1)
