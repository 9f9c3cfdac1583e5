"""Gaps of windows are filled by the seasons around them, and told from the rest."""

import numpy as np
import pytest
import torch

from lstm_forecasters.backend.gaps import fill_gaps
from tests.backend.series import filled_by_hand

RANDOM = np.random.default_rng(6)


@pytest.mark.parametrize("period", [1, 2, 3, 4, 7, 20])
@pytest.mark.parametrize("share", [0.0, 0.1, 0.3, 0.8, 1.0])
def test_gaps_are_filled_by_the_seasons_around_else_before_else_by_the_last_value(
    period, share
):
    windows = RANDOM.normal(size=(20, 15, 2))
    windows[RANDOM.random(windows.shape) < share] = np.nan
    found = [one.numpy() for one in fill_gaps(torch.from_numpy(windows), period)]
    for window, filled, is_known in zip(windows, *found, strict=True):
        for channel in range(2):
            expected = filled_by_hand(window[:, channel], period)
            np.testing.assert_allclose(filled[:, channel], expected[0], rtol=1e-12)
            np.testing.assert_array_equal(is_known[:, channel], expected[1])


def test_a_season_with_a_trend_is_restored():
    values = np.tile([5.0, 1.0, 9.0, -2.0], 4) + 0.5 * np.arange(16)
    holes = values.copy()
    holes[[3, 6, 9, 15]] = np.nan
    filled, is_known = fill_gaps(torch.from_numpy(holes)[None, :, None], 4)
    np.testing.assert_allclose(filled[0, :, 0], values, rtol=1e-12)
    assert is_known.all()


def test_what_comes_before_the_first_observation_stays_missing():
    values = torch.tensor([torch.nan, torch.nan, 3.0, torch.nan, 5.0, torch.nan])
    filled, is_known = (one[0, :, 0] for one in fill_gaps(values[None, :, None], 2))
    np.testing.assert_array_equal(filled, [np.nan, np.nan, 3, 3, 5, 5])
    assert is_known.tolist() == [0, 0, 1, 0, 1, 0]


@pytest.mark.filterwarnings("ignore::DeprecationWarning:torch.*")
@pytest.mark.filterwarnings("ignore::DeprecationWarning:copyreg")
def test_a_graph_of_windows_without_gaps_fills_those_of_others():
    """As exporters make it, which follow one way through the code."""

    class Filling(torch.nn.Module):
        def forward(self, history):
            return fill_gaps(history, 3)

    whole = torch.arange(9.0).view(1, 9, 1)
    graph = torch.export.export(Filling(), (whole,)).module()
    holes = whole.clone()
    holes[0, [0, 5, 8]] = torch.nan
    for found, expected in zip(graph(holes), fill_gaps(holes, 3), strict=True):
        np.testing.assert_array_equal(found, expected)
