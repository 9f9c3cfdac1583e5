"""The defaults, as functions of what there is to learn from."""

import numpy as np
import pytest

from lstm_forecasters.backend.recipe import (
    RATES_TO_TRY,
    Recipe,
    default_batch_size,
    default_lookback,
    default_references,
    default_steps,
    default_weight_decay,
    spread_correction,
    weight_decay_of_steps,
)
from lstm_forecasters.backend.windows import Layout
from lstm_forecasters.specs import VanillaLSTM
from tests.backend.series import make_model


def test_steps_and_batches_grow_with_the_data():
    steps = [default_steps(10**power) for power in range(1, 8)]
    assert steps == sorted(steps)
    assert (steps[0], steps[-1]) == (300, 4000)
    assert default_steps(150) == 300
    assert default_steps(150 * 2**6) == int(300 * 2 ** (6 * 0.35))
    assert [default_batch_size(n) for n in (10, 240, 9999)] == [16, 30, 64]
    # channels that are forecast alone are windows of their own
    assert [default_batch_size(n, 4) for n in (10, 60, 9999)] == [4, 7, 16]
    assert default_batch_size(9999, 100) == 1


def test_lookback_and_references_grow_with_the_data():
    assert [default_lookback(12, 24, n, 80) for n in (999, 1000)] == [24, 36]
    assert [default_lookback(24, 48, 9999, n) for n in (2399, 2400)] == [168, 336]
    assert default_lookback(1, 20, 500, 500) == 40
    assert default_lookback(1, 2, 500, 500) == 24
    assert [default_references(24, n) for n in (335, 336)] == [(1,), (1, 7)]
    assert default_references(23, 9999) == (1,)


def test_rates_to_try_lie_closely_around_the_default():
    ratios = np.divide(RATES_TO_TRY[1:], RATES_TO_TRY[:-1])
    assert ((ratios > 1.5) & (ratios < 3)).all()
    assert RATES_TO_TRY[2] == Recipe().learning_rate


def test_fewer_windows_decay_more():
    decays = [default_weight_decay(5000, n) for n in (1, 200, 400, 10**6)]
    np.testing.assert_allclose(decays, [3.0, 1.25, 0.625, 2.5e-4])


def test_no_step_decays_by_more_than_a_tenth():
    assert weight_decay_of_steps(2.0, 5e-3, 400) == pytest.approx(2.0)
    assert weight_decay_of_steps(10.0, 5e-3, 2) * 5e-3 == pytest.approx(0.1)


def test_spreads_grow_where_few_horizons_were_seen():
    factors = [spread_correction(n_values, 10) for n_values in (20, 100, 10**6)]
    np.testing.assert_allclose(factors, [2.0, 1.2, 1.00002])


def test_weights_are_counted_for_one_member():
    layout = Layout(lookback=6, horizon=3)
    one, three = (
        make_model(layout, VanillaLSTM(hidden_size=6, linear_path=False, n_members=n))
        for n in (1, 3)
    )
    assert one.n_weights == sum(p.numel() for p in one.parameters())
    assert three.n_weights == one.n_weights
