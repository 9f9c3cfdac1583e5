"""Windows that take everything from their lookback alone, as darts cuts them."""

import dataclasses

import numpy as np
import pytest
import torch

from lstm_forecasters.backend.features import assemble, fold_channels
from lstm_forecasters.backend.forecasting import forecast, walk
from lstm_forecasters.backend.likelihoods import make_likelihood
from lstm_forecasters.backend.windows import Layout, Windows, window_batch
from lstm_forecasters.specs import ARCHITECTURES
from tests.backend.series import all_windows, make_model, make_panel

RANDOM = np.random.default_rng(6)
LAYOUT = Layout(
    lookback=6,
    horizon=3,
    period=4,
    past_covariates=("p",),
    future_covariates=("q",),
    static_covariates=("s", "t"),
    self_contained=True,
)


def cut(values, start, stop):
    """Return rows start to stop of an array, NaN where there are none."""
    rows = np.full((stop - start, values.shape[1]), np.nan)
    low, high = max(start, 0), min(stop, len(values))
    if high > low:
        rows[low - start : high - start] = values[low:high]
    return torch.from_numpy(rows)


def with_gaps(*lengths, n_channels=2, share=0.3):
    """Return random series of some lengths, a share of the values missing."""
    series = [5 + RANDOM.normal(size=(length, n_channels)) for length in lengths]
    for values in series:
        values[RANDOM.random(values.shape) < share] = np.nan
    return series


def plain(lookback=4, horizon=2, **settings):
    """Return a self-contained layout without covariates."""
    return Layout(lookback=lookback, horizon=horizon, self_contained=True, **settings)


def at_the_end(windows):
    """Return the batch of the windows at the ends of the series."""
    return windows.gather(*map(torch.from_numpy, windows.cutoffs()))


# -- what a window holds ------------------------------------------------------------


def test_a_window_is_as_long_as_its_lookback():
    assert LAYOUT.context == 6
    assert dataclasses.replace(LAYOUT, self_contained=False).context == 10


@pytest.mark.parametrize("shift", [0, 2])
@pytest.mark.parametrize("static_shape", [(3, 2), (3, 2, 2)])
def test_every_window_equals_one_cut_by_hand(shift, static_shape):
    """Whoever cuts the arrays, darts' datasets, say, gets the same windows."""
    lengths = (15, 1, 7)
    series = with_gaps(*lengths)
    covariates = with_gaps(*lengths)
    weights = [RANDOM.random((length, 2)) for length in lengths]
    static = RANDOM.normal(size=static_shape)
    layout = dataclasses.replace(LAYOUT, output_shift=shift)
    known = np.concatenate(covariates)
    panel = make_panel(
        *series,
        past_covariates=known[:, :1],
        future_covariates=known[:, 1:],
        static_covariates=static,
        weights=np.concatenate(weights),
    )
    windows = Windows(panel, layout)
    numbers, steps = all_windows(windows)
    found = windows.gather(
        torch.from_numpy(numbers), torch.from_numpy(steps), with_target=True
    )
    for row, (number, step) in enumerate(zip(numbers, steps, strict=True)):
        values, columns = series[number], covariates[number]
        first = step + shift
        expected = window_batch(
            layout,
            history=cut(values, step - 6, step)[None],
            past_covariates=cut(columns[:, :1], step - 6, step)[None],
            future_covariates=cut(columns[:, 1:], step - 6, step + layout.reach)[None],
            static_covariates=torch.from_numpy(static[number])[None],
            target=cut(values, first, first + 3)[None],
            weight=cut(weights[number], first, first + 3)[None].nan_to_num().float(),
        )
        for name, wanted in vars(expected).items():
            if name in ("level", "spread"):  # stand in where nothing was observed
                continue
            one = getattr(found, name)[row]
            np.testing.assert_array_equal(one, wanted[0], err_msg=f"{name}, {row}")
            assert one.dtype == wanted.dtype, name


def test_the_lag_of_the_first_season_is_masked():
    """What lies a season before the window is not known to it."""
    layout = plain(lookback=6, period=4)
    windows = Windows(make_panel(np.arange(20.0) ** 2), layout)
    batch = at_the_end(windows)
    nothing = torch.empty(0, dtype=torch.float64)
    columns = assemble(batch, layout, nothing, nothing)
    value, observed, lagged, is_known = columns.history[0].T
    assert is_known.tolist() == [0, 0, 0, 0, 1, 1]
    assert lagged[:4].tolist() == [0, 0, 0, 0]
    np.testing.assert_array_equal(lagged[4:], value[:2])
    assert observed.tolist() == [1] * 6
    # else the season before the lookback would be known
    wide = dataclasses.replace(layout, self_contained=False)
    batch = at_the_end(Windows(make_panel(np.arange(20.0) ** 2), wide))
    assert assemble(batch, wide, nothing, nothing).history[0, :, 3].tolist() == [1] * 6


# -- nothing from before the window -------------------------------------------------


@pytest.mark.parametrize("spec", ARCHITECTURES.values())
@pytest.mark.parametrize("likelihood", [None, "normal"])
def test_forecasts_depend_on_the_window_alone(spec, likelihood):
    layout = plain(lookback=6, horizon=3, period=4)
    model = make_model(layout, spec(hidden_size=6), likelihood)
    values = with_gaps(14, share=0.2)[0]
    values[-1] = 1.0
    other = np.r_[1e6 * RANDOM.normal(size=(30, 2)), values[-6:]]
    constant = np.r_[np.zeros((9, 2)), values[-6:]]
    found = []
    for one in (values, values[-6:], other, constant):
        windows = Windows(make_panel(one), layout)
        found.append(forecast(model, windows, *windows.cutoffs(), 7).parameters())
    for one in found[1:]:
        np.testing.assert_array_equal(one, found[0])


def test_other_layouts_do_look_back():
    """So the test above can fail."""
    layout = dataclasses.replace(plain(lookback=6, period=4), self_contained=False)
    model = make_model(layout)
    values = np.random.default_rng(0).normal(size=(14, 1))  # in any order of tests
    found = []
    for one in (values, values[-6:]):
        windows = Windows(make_panel(one), layout)
        found.append(forecast(model, windows, *windows.cutoffs(), 2).points())
    assert np.abs(found[0] - found[1]).max() > 1e-3


def test_a_short_series_equals_one_that_begins_with_gaps():
    layout = plain(lookback=6, horizon=3, period=4)
    model = make_model(layout)
    values = RANDOM.normal(size=4)
    found = []
    for one in (values, np.r_[np.nan, np.nan, values], np.r_[[np.nan] * 9, values]):
        windows = Windows(make_panel(one), layout)
        found.append(forecast(model, windows, *windows.cutoffs(), 3).points())
    np.testing.assert_array_equal(found[1], found[0])
    np.testing.assert_array_equal(found[2], found[0])


@pytest.mark.parametrize("least_scale", [0.0, 1.0, 50.0])
def test_the_scale_is_at_least_the_least_one(least_scale):
    layout = plain(least_scale=least_scale)
    series = [np.full(4, 7.0), [7.0, 7.2, 6.8, 7.0], [0.0, 100.0, 0.0, 100.0]]
    batch = at_the_end(Windows(make_panel(*series), layout))
    nothing = torch.empty(0, dtype=torch.float64)
    scale = assemble(batch, layout, nothing, nothing).frame.scale[:, 0].numpy()
    np.testing.assert_allclose(scale[1:], np.maximum([0.1, 50.0], least_scale))
    assert scale[0] > 0
    if least_scale:
        assert scale[0] == least_scale


def test_static_covariates_may_belong_to_every_channel():
    layout = plain(static_covariates=("s", "t"))
    model = make_model(layout)
    values = RANDOM.normal(size=(9, 3))
    static = RANDOM.normal(size=(1, 3, 2))
    windows = Windows(make_panel(values, static_covariates=static), layout)
    batch = at_the_end(windows)
    assert batch.static_covariates.shape == (1, 3, 2)
    folded = fold_channels(batch)
    np.testing.assert_array_equal(folded.static_covariates, static[0])
    together = forecast(model, windows, *windows.cutoffs(), 2).points()
    for channel in range(3):
        alone = Windows(
            make_panel(values[:, channel], static_covariates=static[:, channel]), layout
        )
        found = forecast(model, alone, *alone.cutoffs(), 2).points()
        np.testing.assert_allclose(found[..., 0], together[..., channel], rtol=1e-6)
    # of the series as a whole, each channel has them
    shared = Windows(make_panel(values, static_covariates=static[:, 0]), layout)
    folded = fold_channels(at_the_end(shared))
    np.testing.assert_array_equal(folded.static_covariates, static[0, [0, 0, 0]])


# -- reach --------------------------------------------------------------------------


@pytest.mark.parametrize("reach", [None, 3, 8])
def test_reach_covers_past_covariates_beyond_the_cutoff(reach):
    layout = plain(past_covariates=("p",), future_covariates=("q",))
    covariates = RANDOM.normal(size=(20, 2))
    panel = make_panel(
        RANDOM.normal(size=20),
        past_covariates=covariates[:, :1],
        future_covariates=covariates[:, 1:],
    )
    windows = Windows(panel, layout, reach=reach)
    for step in (2, 10, 18):
        batch = windows.gather(torch.tensor([0]), torch.tensor([step]))
        ends = step if reach is None else step + reach
        past = cut(covariates[:, :1], step - 4, ends)
        np.testing.assert_array_equal(batch.past_covariates[0], past)
        future = cut(covariates[:, 1:], step - 4, step + (reach or layout.horizon))
        np.testing.assert_array_equal(batch.future_covariates[0], future)


@pytest.mark.parametrize("spec", ARCHITECTURES.values())
def test_past_covariates_beyond_the_cutoff_count_from_the_second_block_on(spec):
    layout = plain(lookback=5, past_covariates=("p",))
    model = make_model(layout, spec(hidden_size=6))
    covariates = RANDOM.normal(size=(30, 1))
    points = []
    for known in (20, 22, 23):
        seen = covariates.copy()
        seen[known:] = np.nan
        panel = make_panel(np.sin(np.arange(30.0)), past_covariates=seen)
        batch = Windows(panel, layout, reach=10).gather(
            torch.tensor([0]), torch.tensor([20])
        )
        blocks = list(walk(model, batch, 3))
        points.append(torch.cat([values for _, values in blocks], 1).detach()[0, :, 0])
    none, one_block, more = points
    assert torch.equal(none[:2], one_block[:2])
    assert not torch.equal(none[2:4], one_block[2:4])
    assert torch.equal(one_block[2:4], more[2:4])
    assert not torch.equal(one_block[4:], more[4:])


# -- walk ---------------------------------------------------------------------------


def batch_of(layout, *series):
    return at_the_end(Windows(make_panel(*series), layout, reach=20))


@pytest.mark.parametrize("spec", ARCHITECTURES.values())
@pytest.mark.parametrize("likelihood", [None, "quantile", "normal", "student_t"])
def test_one_path_follows_the_medians(spec, likelihood):
    layout = plain(lookback=6, period=4)
    model = make_model(layout, spec(hidden_size=6), likelihood)
    series = RANDOM.normal(size=(3, 12, 2))
    windows = Windows(make_panel(*series), layout)
    expected = forecast(model, windows, *windows.cutoffs(), 6).points()
    values = [one.detach() for _, one in walk(model, batch_of(layout, *series), 3)]
    np.testing.assert_allclose(torch.cat(values, 1), expected, rtol=1e-6, atol=1e-6)


def test_the_first_block_is_forecast_once_for_all_paths():
    layout = plain()
    model = make_model(layout, likelihood="normal")
    series = RANDOM.normal(size=(3, 12, 2))
    batch = batch_of(layout, *series)
    generator = torch.Generator().manual_seed(0)
    blocks = list(walk(model, batch, 2, n_paths=5, generator=generator))
    shapes = [(tuple(given.shape), tuple(values.shape)) for given, values in blocks]
    assert shapes == [((3, 2, 2, 2), (15, 2, 2)), ((15, 2, 2, 2), (15, 2, 2))]
    assert torch.equal(blocks[0][0], model.forecast(batch))


def test_levels_of_the_paths_are_evenly_spread():
    layout = plain()
    model = make_model(layout, likelihood="normal")
    batch = batch_of(layout, *RANDOM.normal(size=(3, 12, 2)))
    generator = torch.Generator().manual_seed(0)
    parameters, values = next(walk(model, batch, 1, n_paths=9, generator=generator))
    values = values.unflatten(0, (3, 9)).sort(1).values  # at every step
    wanted = (torch.arange(9.0) + 0.5).double() / 9
    expected = make_likelihood("normal").quantiles(parameters, wanted).movedim(-1, 1)
    torch.testing.assert_close(values, expected)


def test_levels_of_a_path_walk_through_a_block_and_windows_share_them():
    layout = plain(horizon=16)
    model = make_model(layout, likelihood="normal")
    batch = batch_of(layout, *RANDOM.normal(size=(3, 12, 2)))
    generator = torch.Generator().manual_seed(0)
    scores = []
    for parameters, values in walk(model, batch, 2, n_paths=500, generator=generator):
        mean, deviation = (one.unflatten(0, (3, -1)) for one in parameters.unbind(-1))
        score = (values.unflatten(0, (3, 500)) - mean) / deviation
        torch.testing.assert_close(score, score[:1].expand_as(score))
        scores.append(score[0].detach())

    def correlation(one, other):
        return np.corrcoef(one, other)[0, 1]

    first, second = scores
    for early, late in ((0, 3), (3, 15), (0, 15)):  # of walks: the root of their ratio
        expected = np.sqrt((early + 1) / (late + 1))
        found = correlation(first[:, early, 0], first[:, late, 0])
        assert found == pytest.approx(expected, abs=0.1)
    assert abs(correlation(first[:, 15, 0], second[:, 0, 0])) < 0.15  # each block
    assert abs(correlation(first[:, 0, 0], first[:, 0, 1])) < 0.15  # each channel


@pytest.mark.parametrize("spec", ARCHITECTURES.values())
def test_rolling_by_less_forecasts_anew(spec):
    """Each block starts from the first values of the one before."""
    layout = plain(lookback=6, horizon=3, period=2)
    model = make_model(layout, spec(hidden_size=6))
    series = RANDOM.normal(size=12)
    blocks = walk(model, batch_of(layout, series), 3, roll=1)
    known = list(series)
    for _, values in blocks:
        windows = Windows(make_panel(known), layout)
        expected = forecast(model, windows, *windows.cutoffs(), 3).points()
        np.testing.assert_allclose(values.detach(), expected, rtol=1e-6, atol=1e-6)
        known.append(values[0, 0, 0].item())


def test_paths_alone_have_a_first_block_of_their_own():
    layout = plain()
    model = make_model(layout, likelihood="normal")
    batch = batch_of(layout, *RANDOM.normal(size=(3, 12)))
    given = {"n_paths": 4, "each_path_alone": True}
    generator = torch.Generator().manual_seed(0)
    parameters, values = next(walk(model, batch, 1, generator=generator, **given))
    assert parameters.shape == (12, 2, 1, 2)
    assert values.shape == (12, 2, 1)
    torch.testing.assert_close(parameters[0], parameters[3])


def test_same_generator_same_paths():
    layout = plain()
    model = make_model(layout, likelihood="quantile")
    batch = batch_of(layout, RANDOM.normal(size=12))
    runs = []
    for seed in (1, 1, 2):
        generator = torch.Generator().manual_seed(seed)
        blocks = walk(model, batch, 3, n_paths=6, generator=generator)
        runs.append(torch.cat([values for _, values in blocks], 1))
    assert torch.equal(runs[0], runs[1])
    assert not torch.equal(runs[0], runs[2])
