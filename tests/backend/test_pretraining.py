"""Synthetic series are what their description says, and training on them resumes."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from lstm_forecasters.backend import checkpoints
from lstm_forecasters.backend.files import read_archive
from lstm_forecasters.backend.forecasting import forecast
from lstm_forecasters.backend.pretrained import layout_of
from lstm_forecasters.backend.windows import Panel, Windows

FOLDER = Path(__file__).parents[2] / "examples" / "pretraining"


@pytest.fixture(scope="module")
def scripts():
    """The two scripts, which import one another by their plain names."""
    loaded = {}
    for name in ("synthetic", "train"):
        spec = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
        loaded[name] = sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(loaded[name])
    yield loaded
    for name in loaded:
        del sys.modules[name]


def pace(n_series, n_steps):
    """The same pace for all series."""
    return np.full((n_series, 1), float(n_steps))


@pytest.fixture(scope="module")
def synthetic(scripts):
    return scripts["synthetic"]


@pytest.fixture(scope="module")
def drawn(synthetic):
    """Four thousand series and their periods."""
    return synthetic.draw_series(np.random.default_rng(0), 4000, 200)


def test_the_same_seed_draws_the_same_series(synthetic):
    first, again, other = (
        synthetic.draw_series(np.random.default_rng(seed), 50, 80)[0]
        for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other, equal_nan=True)


def test_values_are_finite_or_missing_and_series_differ(drawn):
    values, _ = drawn
    assert not np.isinf(values).any()
    assert np.nanmax(np.abs(values)) < 1e6
    assert (np.nanstd(values, axis=1) > 0).mean() > 0.999
    assert len(np.unique(values[:, 0])) > 3000


def test_periods_are_as_frequent_as_said(synthetic, drawn):
    _, periods = drawn
    assert periods.min() >= 1
    assert periods.max() == 168
    rest = (1 - sum(synthetic.PERIODS.values())) / 59  # any from 2 to 60
    for period, share in synthetic.PERIODS.items():
        expected = share + (rest if 1 < period <= 60 else 0)
        assert np.mean(periods == period) == pytest.approx(expected, abs=0.02)


def test_parts_have_the_shares_that_are_said(drawn):
    values, _ = drawn
    missing = np.isnan(values).any(1)
    assert missing.mean() == pytest.approx(0.184, abs=0.02)
    whole = (np.nan_to_num(values) % 1 == 0).all(1)
    assert whole.mean() == pytest.approx(0.12, abs=0.03)
    often_zero = (values == 0).mean(1) > 0.3
    assert 0.03 < often_zero.mean() < 0.12


@pytest.mark.parametrize("period", [4, 7, 12, 24, 52])
def test_profiles_have_mean_0_and_deviation_1(synthetic, period):
    profiles = synthetic._profiles(np.random.default_rng(0), 500, period)
    assert profiles.shape == (500, period)
    np.testing.assert_allclose(profiles.mean(1), 0, atol=1e-12)
    np.testing.assert_allclose(profiles.std(1), 1, rtol=1e-9)


def test_seasons_repeat_in_their_period_where_they_do_not_change(synthetic):
    periods = np.array([4, 12, 30, 52] * 100)
    season = synthetic._season(np.random.default_rng(0), periods, pace(400, 800), 400)
    is_flat = (season == 0).all(1)
    assert is_flat.mean() == pytest.approx(0.12, abs=0.05)
    repeats, equals = [], []
    for period in (4, 12, 30, 52):
        rows = season[(periods == period) & ~is_flat]
        ratio = np.abs(rows[:, period:] / rows[:, :-period])
        growth = 2.5 ** (period / 800)
        repeats += list(
            (ratio.min(1) > 1 / growth - 1e-9) & (ratio.max(1) < growth + 1e-9)
        )
        equals += list(np.isclose(ratio, 1).all(1))
    assert np.mean(repeats) == pytest.approx(0.7, abs=0.08)
    assert np.mean(equals) == pytest.approx(0.35, abs=0.08)


def test_weeks_and_years_stand_above_days(synthetic):
    periods = np.repeat([24, 7], 100)
    n_steps = 24 * 7 * 6
    random = np.random.default_rng(0)
    season = synthetic._season(random, periods, pace(200, n_steps), n_steps)
    season = season[:, :] / np.maximum(season.std(1, keepdims=True), 1e-9)
    hours, days = season[:100], season[100:]
    changes = {
        lag: np.abs(rows[:, lag:] - rows[:, :-lag]).mean(1)
        for rows, lag in ((hours, 24), (hours, 168), (days, 7), (days, 365))
    }
    assert np.quantile(changes[168], 0.4) < 0.1 < np.quantile(changes[24], 0.75)
    assert np.quantile(changes[7], 0.75) > 0.01


def test_slopes_and_cycles_have_their_shares_and_are_smooth(synthetic):
    random = np.random.default_rng(0)
    for drawn, share in (
        (synthetic._wandering(random, pace(2000, 200), 200), 0.35),
        (synthetic._cycle(random, 2000, 200, 0.2), 0.2),
    ):
        is_there = drawn.any(1)
        assert is_there.mean() == pytest.approx(share, abs=0.03)
        jumps = np.abs(np.diff(drawn[is_there], axis=1)).max(1)
        assert np.median(jumps / np.ptp(drawn[is_there], axis=1)) < 0.3


PARTS = [
    "season",
    "trend",
    "wandering",
    "cycle",
    "swings",
    "random_walk",
    "autoregression",
    "level_shifts",
    "calmed",
    "noise",
    "shocks",
    "holidays",
    "grown",
    "by_calendar",
    "counted",
    "intermittent",
    "with_outliers",
    "with_gaps",
]


CHANGES = ["calmed", *PARTS[PARTS.index("grown") :]]
"""Parts that change what is there, in place of adding to it."""


@pytest.mark.parametrize("part", PARTS)
def test_every_part_is_in_the_series(synthetic, monkeypatch, part):
    whole, _ = synthetic.draw_series(np.random.default_rng(0), 1000, 60)
    drawn = getattr(synthetic, f"_{part}")

    def without(random, *given):
        values = drawn(random, *given)
        first = given[0]
        return first if np.shape(first) == values.shape else np.zeros_like(values)

    monkeypatch.setattr(synthetic, f"_{part}", without)
    rest, _ = synthetic.draw_series(np.random.default_rng(0), 1000, 60)
    assert not np.array_equal(whole, rest, equal_nan=True)


def test_cycles_lean_to_both_sides_and_are_sharper_above_or_below(synthetic):
    cycles = synthetic._cycle(np.random.default_rng(0), 4000, 400, 0.2)
    cycles = cycles[cycles.any(1)]
    rising = (np.diff(cycles, axis=1) > 0).mean(1)
    assert np.quantile(rising, 0.15) < 0.4
    assert np.quantile(rising, 0.85) > 0.6
    centred = (cycles - cycles.mean(1, keepdims=True)) / cycles.std(1, keepdims=True)
    skewness = (centred**3).mean(1)
    assert np.quantile(skewness, 0.15) < -0.5
    assert np.quantile(skewness, 0.85) > 0.5


def test_autoregressions_turn_and_fade_as_they_are_told(synthetic):
    length, memory, n_steps = 20, 40, 4000
    turn = np.exp(2j * np.pi / length - 1 / memory)
    swings = synthetic._remembered(
        np.random.default_rng(0), np.full(200, turn), n_steps
    ).real
    assert swings.std() == pytest.approx(1, abs=0.02)
    for lag, sign in ((length // 2, -1), (length, 1), (3 * length, 1)):
        memorized = (swings[:, lag:] * swings[:, :-lag]).mean()
        assert memorized == pytest.approx(sign * np.exp(-lag / memory), abs=0.03)


def test_swings_have_lengths_and_sizes_as_said(synthetic, monkeypatch):
    monkeypatch.setattr(synthetic, "_cycle", lambda _, *shape: np.zeros(shape[:2]))
    swings = synthetic._swings(np.random.default_rng(0), 2000, 4000)
    is_there = swings.any(1)
    assert is_there.mean() == pytest.approx(0.7, abs=0.03)
    swings = swings[is_there]
    assert np.median(swings.std(1)) == pytest.approx(2, rel=0.1)
    spectrum = (np.abs(np.fft.rfft(swings, axis=1)) ** 2).sum(0)
    assert spectrum[4000 // 300 : 4000 // 5].sum() > 0.9 * spectrum.sum()
    length = 2 * 4000 / (np.diff(np.sign(swings), axis=1) != 0).sum(1)
    assert np.median(length) < np.sqrt(6 * 200)  # noise crosses zero more often
    assert np.quantile(length, 0.95) == pytest.approx(100, rel=0.4)


def test_a_fifth_of_the_series_swing_and_have_no_season(synthetic, monkeypatch):
    added = {"season": 1.0, "cycle": 10.0, "swings": 100.0}
    for part in PARTS:

        def drawn(random, first, *given, part=part):
            if part in CHANGES:
                return first
            n_series = first if np.ndim(first) == 0 else len(first)
            return np.full((n_series, 60), added.get(part, 0.0))

        monkeypatch.setattr(synthetic, f"_{part}", drawn)
    values, _ = synthetic.draw_series(np.random.default_rng(0), 2000, 60)
    np.testing.assert_array_equal(np.unique(values), [11, 110])
    assert (values[:, 0] == 110).mean() == pytest.approx(0.2, abs=0.03)


def test_cycles_of_swings_are_larger(synthetic, monkeypatch):
    """Six times, and in three fifths of them."""
    monkeypatch.setattr(
        synthetic, "_remembered", lambda _, phi, n: np.zeros((len(phi), n), phi.dtype)
    )
    swings = synthetic._swings(np.random.default_rng(0), 4000, 100)
    cycles = synthetic._cycle(np.random.default_rng(0), 4000, 100, 0.6)
    sizes = [np.ptp(one[one.any(1)], axis=1) for one in (swings, cycles)]
    assert swings.any(1).mean() == pytest.approx(0.6, abs=0.03)
    assert np.median(sizes[0]) == pytest.approx(6 * np.median(sizes[1]), rel=0.15)


def test_slopes_of_half_of_the_trends_never_change(synthetic):
    trend = synthetic._trend(np.random.default_rng(0), pace(4000, 100), 200)
    trend = trend[trend.any(1)]
    assert len(trend) / 4000 == pytest.approx(0.7, abs=0.03)
    bends = ~np.isclose(np.diff(trend, 2, axis=1), 0, atol=1e-9)
    changing = bends.any(1)
    assert changing.mean() == pytest.approx(0.5 * (1 - np.exp(-6)), abs=0.03)
    assert bends[changing].sum(1).mean() == pytest.approx(6, abs=0.3)


def test_slopes_are_as_steep_as_said(synthetic):
    trend = synthetic._trend(np.random.default_rng(0), pace(20_000, 50), 30)
    rises = np.abs(trend[trend.any(1), 1] - trend[trend.any(1), 0]) * 50
    random = np.random.default_rng(1)
    size = np.exp(0.8 * random.normal(size=100_000))
    said = np.abs(random.standard_t(3, 100_000)) * size
    levels = [0.1, 0.5, 0.9, 0.99]
    found, expected = np.quantile(rises, levels), np.quantile(said, levels)
    np.testing.assert_allclose(found, expected, rtol=0.12)


def test_what_wanders_has_its_size_within_a_while(synthetic):
    random = np.random.default_rng(0)
    for n_steps in (60, 500):  # shorter and longer than the while
        curve = synthetic._wandering(random, pace(4000, 60), n_steps)
        size = curve[curve.any(1), :60].std(1)
        assert np.median(size) == pytest.approx(0.7, rel=0.1)
        assert np.log(size).std() == pytest.approx(1.0, rel=0.1)


def test_shocks_fade_and_shifts_of_level_stay(synthetic):
    shifts = synthetic._level_shifts(np.random.default_rng(0), pace(8000, 100), 400)
    shocks = synthetic._shocks(np.random.default_rng(0), pace(8000, 100), 400)
    for drawn, share in ((shifts, 0.3), (shocks, 0.35)):
        has_some = drawn.any(1)
        assert has_some.mean() == pytest.approx(share * (1 - np.exp(-4)), abs=0.02)
    stays = np.diff(shifts[shifts.any(1)], axis=1) == 0
    assert 400 * (1 - stays.mean()) == pytest.approx(4, abs=0.2)
    first = (shifts != 0).argmax(1)
    assert np.std(shifts[np.arange(8000), first][first > 0]) == pytest.approx(
        2, abs=0.1
    )
    ratio = shocks[:, 1:] / np.where(shocks[:, :-1] == 0, np.nan, shocks[:, :-1])
    kept = np.nanmedian(ratio[shocks[:, :200].any(1)], axis=1)
    memory = -1 / np.log(kept)
    expected = [np.exp(np.log(2) + share * np.log(15)) for share in (0.0, 0.5, 1.0)]
    found = [memory.min(), np.median(memory), memory.max()]
    assert found == pytest.approx(expected, rel=0.1)


def test_seasons_turn_by_an_angle_of_1_in_a_while(synthetic):
    angle = synthetic._turns(np.random.default_rng(0), pace(8000, 100), 300)
    is_straight = np.isclose(np.diff(angle, 2, axis=1), 0, atol=1e-9).all(1)
    assert is_straight.mean() == pytest.approx(0.5, abs=0.03)
    for rows in (is_straight, ~is_straight):
        turned = angle[rows, 200] - angle[rows, 100]
        assert turned.std() == pytest.approx(1, abs=0.05)


def test_paces_are_log_uniform_and_those_of_their_series(synthetic, monkeypatch):
    paces = {}
    for part in ("wandering", "level_shifts", "shocks", "season", "trend"):
        draw = getattr(synthetic, f"_{part}")

        def noted(*given, part=part, draw=draw):
            paces[part] = given[-2]
            return draw(*given)

        monkeypatch.setattr(synthetic, f"_{part}", noted)
    synthetic.draw_series(np.random.default_rng(0), 4000, 30)
    for found in paces.values():
        np.testing.assert_array_equal(found, paces["trend"])
    levels = np.quantile(np.log(paces["trend"]), [0, 0.25, 0.5, 0.75, 1])
    expected = np.linspace(np.log(36), np.log(384), 5)
    np.testing.assert_allclose(levels, expected, atol=0.06)


def test_what_grows_rises_more_often(synthetic):
    line = np.linspace(-1, 1, 50)
    lines = np.repeat([line, -line], 4000, axis=0)
    grown = synthetic._grown(np.random.default_rng(0), lines)
    has_grown = np.abs(grown - lines).max(1) > 0
    assert has_grown.mean() == pytest.approx(0.35, abs=0.02)
    rises = grown[:, -1] > grown[:, 0]
    assert rises[:4000].all()
    falling = rises[4000:][has_grown[4000:]]
    assert falling.mean() == pytest.approx(0.6, abs=0.04)
    assert not rises[4000:][~has_grown[4000:]].any()


def test_calm_series_wander_less(synthetic):
    calmed = synthetic._calmed(np.random.default_rng(0), np.ones((2000, 3)))
    is_calm = calmed[:, 0] < 1
    assert is_calm.mean() == pytest.approx(0.3, abs=0.03)
    factors = calmed[is_calm]
    assert (factors == factors[:, :1]).all()
    assert (factors.min(), factors.max()) == pytest.approx((0.05, 0.5), abs=0.01)


def test_half_of_the_series_have_noise_without_a_memory(synthetic):
    noise = synthetic._noise(np.random.default_rng(0), 4000, 200)
    noise = noise[noise.any(1)]
    assert len(noise) / 4000 == pytest.approx(0.5, abs=0.03)
    spread = noise.std(1)
    assert np.median(spread) == pytest.approx(0.3, rel=0.05)
    assert np.log(spread).std() == pytest.approx(0.8, rel=0.05)
    memory = (noise[:, 1:] * noise[:, :-1]).mean(1) / spread**2
    assert np.median(memory) == pytest.approx(0, abs=0.02)


def test_gaps_are_stretches_or_scattered(synthetic):
    values = synthetic._with_gaps(np.random.default_rng(0), np.ones((4000, 200)))
    missing = np.isnan(values)
    ends = (missing[:, 1:] != missing[:, :-1]).sum(1)
    scattered = ends > 6  # more than three stretches have
    assert scattered.mean() == pytest.approx(0.2 * 0.5 * 0.96, abs=0.02)
    assert missing[scattered].mean(1).max() > 0.45
    assert missing[~scattered].mean(1).max() < 0.35


def test_steps_of_a_year_wander_further_than_those_of_an_hour(synthetic):
    periods = np.repeat([1, 24], 2000)
    walk = synthetic._random_walk(np.random.default_rng(0), periods, 100)
    assert (walk != 0).any(1).mean() == pytest.approx(0.5, abs=0.03)
    steps = np.median(np.abs(np.diff(walk)), axis=1)
    years, hours = (np.median(one[one > 0]) for one in (steps[:2000], steps[2000:]))
    assert years / hours == pytest.approx(2 * np.sqrt(2), rel=0.2)


def test_noise_has_the_memory_of_its_coefficient(synthetic):
    noise = synthetic._autoregression(np.random.default_rng(0), 2000, 400)
    noise = noise / noise.std(1, keepdims=True)
    memory = (noise[:, 1:] * noise[:, :-1]).mean(1)
    assert np.median(memory) == pytest.approx((-0.3 + 0.98) / 2, abs=0.05)
    assert np.quantile(memory, 0.99) > 0.9
    assert np.quantile(memory, 0.01) < -0.2


def test_histories_have_all_lengths(scripts):
    train = scripts["train"]
    found = [train.draw([0, number], 50) for number in range(40)]
    lookbacks = [one.windows.layout.lookback for one in found]
    assert set(lookbacks) == set(train.SHARES_OF_LENGTHS)
    history = np.concatenate([one.steps.numpy() for one in found])
    assert history.min() == train.SHORTEST_HISTORY
    assert history.max() == train.LAYOUT.lookback
    for one in found:
        last = np.zeros(50)
        np.maximum.at(last, one.series.numpy(), one.steps.numpy())
        assert (last + train.LAYOUT.horizon == one.windows.lengths).all()


@pytest.mark.parametrize("length", [48, 96, 120, 168, 336])
def test_windows_are_those_that_a_forecast_reads(scripts, length):
    """Each as if it were alone, in windows of its own season, gaps and all."""
    train = scripts["train"]
    model = train.new_model(train.PretrainedLSTM(hidden_size=4), 0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.uniform_(-0.3, 0.3)
    drawn = train.draw([0, 1], 30, length)
    series, steps = drawn.series.numpy(), drawn.steps.numpy()
    starts, periods = drawn.panel.starts, drawn.windows._periods
    assert np.isnan(drawn.panel.values).any()
    assert (periods == 24).any()  # whose week counts, too, where it is known
    model.layout = drawn.windows.layout
    found = forecast(model, drawn.windows, series, steps, 48).points()
    for row, (number, step) in enumerate(zip(series, steps, strict=True)):
        past = drawn.panel.values[starts[number] : starts[number] + step]
        model.layout = layout_of(int(periods[number]))
        windows = Windows(Panel(values=past, lengths=np.array([step])), model.layout)
        alone = forecast(model, windows, *windows.cutoffs(), 48).points()
        np.testing.assert_allclose(found[row], alone[0], rtol=1e-5, atol=1e-5)


def run(train, monkeypatch, file, *arguments):
    monkeypatch.setattr(sys, "argv", ["train", str(file), *map(str, arguments)])
    train.main()


def test_training_is_resumed_and_ends_at_the_same_file(scripts, monkeypatch, tmp_path):
    train = scripts["train"]
    small = ["--steps", 6, "--batch-size", 8, "--hidden-size", 4, "--every", 4]
    monkeypatch.setattr(checkpoints, "SECONDS_BETWEEN", 0.0)
    monkeypatch.setattr(train, "HELD_OUT", 20)
    run(train, monkeypatch, tmp_path / "whole.net", *small)
    step, steps = train.SyntheticTrainer.step, []

    def stepping(self, *args):
        steps.append(self.n_done)
        if len(steps) == 4:
            raise KeyboardInterrupt
        return step(self, *args)

    monkeypatch.setattr(train.SyntheticTrainer, "step", stepping)
    with pytest.raises(KeyboardInterrupt):
        run(train, monkeypatch, tmp_path / "resumed.net", *small)
    run(train, monkeypatch, tmp_path / "resumed.net", *small)
    assert steps == [0, 1, 2, 3, 3, 4, 5]
    whole, resumed = (tmp_path / f"{name}.net" for name in ("whole", "resumed"))
    assert whole.read_bytes() == resumed.read_bytes()
    assert sorted(tmp_path.iterdir()) == [resumed, whole]
    assert read_archive(whole).models[0].layout == train.LAYOUT


def test_batches_that_are_drawn_ahead_are_the_same(scripts, monkeypatch, tmp_path):
    train = scripts["train"]
    small = ["--steps", 6, "--batch-size", 8, "--hidden-size", 4, "--every", 4]
    monkeypatch.setattr(train, "HELD_OUT", 20)
    draw, drawn = train.draw, []

    def drawing(seed, *args):
        drawn.append(seed)
        return draw(seed, *args)

    monkeypatch.setattr(train, "draw", drawing)
    for n_workers in (0, 1):
        file = tmp_path / f"{n_workers}.net"
        run(train, monkeypatch, file, *small, "--workers", n_workers)
    assert drawn.count([0, 5]) == 1  # the worker draws elsewhere
    assert (tmp_path / "0.net").read_bytes() == (tmp_path / "1.net").read_bytes()
