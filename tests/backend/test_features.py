"""The network's columns hold what they are named after."""

import numpy as np
import torch

from lstm_forecasters.backend.features import history_columns, horizon_columns
from lstm_forecasters.backend.windows import Layout, Windows
from tests.backend.series import make_model, make_panel

RANDOM = np.random.default_rng(5)


def test_columns_of_a_window_with_covariates():
    values = np.array([2.0, 1, 4, 3, 6, 5, 8, 7])
    values[4] = np.nan
    past, future = np.arange(8.0)[:, None], RANDOM.normal(size=(10, 1))
    future[5] = np.nan
    panel = make_panel(values, past_covariates=past, future_covariates=future[:8])
    layout = Layout(
        lookback=3,
        horizon=2,
        period=2,
        past_covariates=("past",),
        future_covariates=("future",),
    )
    model = make_model(layout)
    model.measure(panel)
    ahead = torch.from_numpy(future[None, 8:])
    batch = Windows(panel, layout).gather(
        torch.tensor([0]), torch.tensor([8]), ahead=ahead
    )
    columns = model.prepare(batch)
    assert columns.history.shape == (1, 3, history_columns(layout))
    assert columns.horizon.shape == (1, 2, horizon_columns(layout))

    seen = values[-3:]
    scale = np.abs(seen - seen.mean()).mean()
    standard = (future - np.nanmean(future[:8])) / np.nanstd(future[:8])
    history = columns.history[0].numpy()
    np.testing.assert_allclose(history[:, 0], (values[-3:] - 7) / scale, rtol=1e-6)
    np.testing.assert_array_equal(history[:, 1], [1, 1, 1])
    np.testing.assert_allclose(history[:, 2], (np.array([3, 4, 5]) - 7) / scale)
    np.testing.assert_array_equal(history[:, 3], [1, 1, 1])
    standard_past = (past[-3:, 0] - past.mean()) / past.std()
    np.testing.assert_allclose(history[:, 4], standard_past, rtol=1e-6)
    np.testing.assert_array_equal(history[:, 5], [1, 1, 1])
    known = np.nan_to_num(standard[5:8, 0])
    np.testing.assert_allclose(history[:, 6], known, rtol=1e-5, atol=1e-7)
    np.testing.assert_array_equal(history[:, 7], [0, 1, 1])

    horizon = columns.horizon[0].numpy()
    np.testing.assert_allclose(horizon[:, 0], [(8 - 7) / scale, 0], rtol=1e-6)
    np.testing.assert_allclose(horizon[:, 1], [1 / 3, 1 / 2])
    np.testing.assert_allclose(horizon[:, 2], standard[8:, 0], rtol=1e-5)
    change = standard[8:, 0] - standard[6:8, 0]
    np.testing.assert_allclose(horizon[:, 3], change, rtol=1e-5, atol=1e-7)
    np.testing.assert_array_equal(horizon[:, 4], [1, 1])


def test_covariates_far_from_the_training_data_are_bounded():
    panel = make_panel(np.arange(8.0), future_covariates=np.full((8, 1), 1e-300))
    layout = Layout(lookback=3, horizon=2, future_covariates=("future",))
    model = make_model(layout)
    model.measure(panel)
    ahead = torch.tensor([[[1e300], [-1e300]]], dtype=torch.float64)
    batch = Windows(panel, layout).gather(
        torch.tensor([0]), torch.tensor([8]), ahead=ahead
    )
    columns = model.prepare(batch)
    np.testing.assert_array_equal(columns.horizon[0, :, 2], [1e6, -1e6])
    assert model.forecast(batch).isfinite().all()


def test_channels_are_windows_of_their_own_unless_joint():
    values = RANDOM.normal(size=(9, 3))
    weights = RANDOM.uniform(size=(9, 3))
    layout = Layout(lookback=4, horizon=2, period=2)
    model = make_model(layout)
    both = Windows(make_panel(values, weights=weights), layout)
    where = torch.tensor([0, 0]), torch.tensor([5, 7])
    together = model.prepare(both.gather(*where, with_target=True))
    for channel in range(3):
        one = slice(channel, channel + 1)
        alone = Windows(make_panel(values[:, one], weights=weights[:, one]), layout)
        single = model.prepare(alone.gather(*where, with_target=True))
        for name in ("history", "horizon", "target", "weight"):
            np.testing.assert_array_equal(
                getattr(together, name)[channel::3], getattr(single, name)
            )
    joint = Layout(lookback=4, horizon=2, period=2, n_channels=3)
    columns = make_model(joint).prepare(
        Windows(make_panel(values), joint).gather(*where, with_target=True)
    )
    assert columns.history.shape == (2, 4, 12)
    np.testing.assert_array_equal(
        columns.history[:, :, :3].permute(0, 2, 1).flatten(0, 1),
        together.history[:, :, 0],
    )


def test_split_keeps_every_column_with_its_window():
    layout = Layout(lookback=3, horizon=2)
    windows = Windows(make_panel(RANDOM.normal(size=20)), layout)
    batch = windows.gather(
        torch.zeros(7, dtype=torch.int64), torch.arange(5, 12), with_target=True
    )
    whole = make_model(layout).prepare(batch)
    parts = whole.split(3)
    assert [len(part.history) for part in parts] == [3, 3, 1]
    for name in ("history", "horizon", "static", "target", "weight"):
        joined = torch.cat([getattr(part, name) for part in parts])
        assert torch.equal(joined, getattr(whole, name))
    for name in ("center", "scale", "path"):
        joined = torch.cat([getattr(part.frame, name) for part in parts])
        assert torch.equal(joined, getattr(whole.frame, name))
