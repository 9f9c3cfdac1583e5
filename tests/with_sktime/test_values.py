"""Forecasts compared by value: leakage, scale, horizons, feedback, distributions."""

import copy

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import stats

from lstm_forecasters.sktime import EncoderDecoderLSTMForecaster

LEVELS = [0.05, 0.1, 0.5, 0.8, 0.95]
SEGMENTS = [1, 3]


def seen(forecaster, y, X=None):
    """Return a copy of a fitted forecaster, of the same weights, that saw y instead."""
    return copy.deepcopy(forecaster).update(y, X, update_params=False)


# -- leakage ------------------------------------------------------------------------


def test_forecasts_depend_on_nothing_after_the_cutoff(make, y, X):
    """A series that goes on differently after the cutoff is the same up to there."""
    changed, changed_X = y.copy(), X.copy()
    changed.iloc[60:] = 1e6
    changed_X.iloc[60 + 6 :] = -1e6
    forecasts = []
    for series, covariates in ((y, X), (changed, changed_X)):
        forecaster = make(horizon=6).fit(series[:60], covariates)
        forecasts.append(forecaster.predict(fh=range(1, 7), X=covariates))
    assert_array_equal(*forecasts)


def test_known_future_covariates_beyond_the_steps_asked_for_change_nothing(make, y, X):
    forecaster = make(horizon=6).fit(y[:60], X)
    for steps in ([1, 2, 3], [1, 2, 3, 4, 5, 6, 7, 8]):
        changed = X.copy()
        changed.iloc[60 + max(steps) :] = 1e6
        few = forecaster.predict(fh=steps, X=X[60 : 60 + max(steps)])
        assert_array_equal(few, forecaster.predict(fh=steps, X=X))
        assert_array_equal(few, forecaster.predict(fh=steps, X=changed))


def test_past_covariates_after_the_cutoff_change_nothing_and_are_not_needed(make, y, X):
    names = ["price", "ads"]
    changed = X.copy()
    changed.iloc[60:] = 1e6
    forecasts = []
    for covariates in (X[:60], X, changed):
        forecaster = make(horizon=6, past_covariates=names).fit(y[:60], covariates)
        forecasts.append(forecaster.predict(fh=range(1, 9)))
        forecasts.append(forecaster.predict(fh=range(1, 9), X=covariates))
    for other in forecasts[1:]:
        assert_array_equal(forecasts[0], other)


@pytest.mark.parametrize("likelihood", [None, "quantile", "normal"])
def test_in_sample_forecasts_depend_on_the_data_before_each_point_only(
    make, y, X, likelihood
):
    """The weights stay the same; the first point has no past and is left out."""
    forecaster = make(likelihood=likelihood).fit(y, X[: len(y)])
    changed = y.copy()
    changed.iloc[30:] = changed.iloc[30:] * -3 + 1000
    fh = np.arange(1 - len(y), 1)
    other = seen(forecaster, changed, X[: len(y)])
    before, after = forecaster.predict(fh=fh), other.predict(fh=fh)
    assert_array_equal(before[1:31], after[1:31])
    assert np.abs(before[31:] - after[31:]).min() > 0
    if likelihood is not None:
        before = forecaster.predict_quantiles(fh=fh, alpha=LEVELS)
        after = other.predict_quantiles(fh=fh, alpha=LEVELS)
        assert_array_equal(before[1:31], after[1:31])


def test_in_sample_forecasts_are_one_step_forecasts(make, y, X):
    """Each equals the first forecast of the same network from the point before."""
    forecaster = make(horizon=4).fit(y, X[: len(y)])
    fitted = forecaster.predict(fh=[-40, -20, -1, 0])
    for time, value in fitted.items():
        at = y.index.get_loc(time)
        earlier = seen(forecaster, y[:at], X[:at])
        one_step = earlier.predict(fh=[1], X=X[at : at + 1])
        assert one_step.index[0] == time
        assert_allclose(one_step.iloc[0], value, rtol=1e-6)


# -- level and scale ----------------------------------------------------------------


@pytest.mark.parametrize("likelihood", ["quantile", "normal", "student_t"])
@pytest.mark.parametrize(
    ("factor", "shift"),
    [(1e-6, 0.0), (1.0, 1e6), (1e6, 0.0), (1e-9, 3e-4), (1e9, -1e12), (0.1, -42.0)],
)
def test_forecasts_are_equal_at_any_level_and_scale(make, y, likelihood, factor, shift):
    settings = {"likelihood": likelihood, "horizon": 6, "sp": 12}
    plain = make(**settings).fit(y)
    moved = make(**settings).fit(factor * y + shift)
    fh = [-30, -2, 0, 1, 3, 6, 10]
    spread = y.std()
    expected = plain.predict(fh=fh)
    assert_allclose(
        (moved.predict(fh=fh) - shift) / factor, expected, rtol=0, atol=1e-4 * spread
    )
    expected = plain.predict_quantiles(fh=fh, alpha=LEVELS)
    found = (moved.predict_quantiles(fh=fh, alpha=LEVELS) - shift) / factor
    assert_allclose(found, expected, rtol=0, atol=1e-3 * spread)
    variance = moved.predict_var(fh=[1, 4]) / factor**2
    assert_allclose(variance, plain.predict_var(fh=[1, 4]), rtol=1e-3)


def test_each_channel_is_read_at_its_own_scale(make, y):
    both = pd.DataFrame({"small": 1e-6 * y, "large": 1e6 * y + 1e9})
    forecast = make(joint_channels=True, sp=12).fit(both, fh=range(1, 7)).predict()
    values = pd.DataFrame(
        {"small": forecast["small"] * 1e6, "large": (forecast["large"] - 1e9) / 1e6}
    )
    assert (values > y.min() - 20).all(axis=None)
    assert (values < y.max() + 20).all(axis=None)


def test_a_constant_series_is_forecast_as_constant(make, y):
    for level in (0.0, 7.0, -1e12, 1e-9):
        constant = pd.Series(level, index=y.index)
        forecaster = make().fit(constant, fh=range(1, 30))
        assert_allclose(forecaster.predict(), level, rtol=1e-6, atol=1e-300)


@pytest.mark.parametrize("likelihood", [None, "quantile", "normal", "student_t"])
@pytest.mark.parametrize("level", [0.0, 100.0])
def test_a_series_that_stands_still_and_then_moves_is_learnt(make, likelihood, level):
    """Windows without any spread, before the first sale, say."""
    sales = np.random.default_rng(1).normal(5.0, 1.0, 40)
    index = pd.period_range("2000-01", periods=80, freq="M")
    series = pd.Series(level + np.r_[np.zeros(40), sales], index=index)
    forecaster = make(likelihood=likelihood, max_steps=60, window_length=24, sp=1)
    forecast = forecaster.fit(series).predict(fh=np.arange(1, 13))
    assert_allclose(forecast - level, 5.0, atol=3.0)
    fitted = forecaster.predict(fh=np.arange(-79, 1))
    assert np.isfinite(fitted).all()


# -- horizons -----------------------------------------------------------------------


@pytest.mark.parametrize("segment_length", SEGMENTS)
@pytest.mark.parametrize("with_X", [False, True])
def test_a_step_is_forecast_alike_whatever_other_steps_are_asked_for(
    make, y, X, segment_length, with_X
):
    """Also beyond the trained horizon of 5, and for quantiles."""
    forecaster = make(horizon=5, segment_length=segment_length)
    forecaster.fit(y, X[: len(y)] if with_X else None)

    def ahead(n_steps):
        return X[len(y) : len(y) + n_steps] if with_X else None

    together = forecaster.predict(fh=range(1, 13), X=ahead(12))
    quantiles = forecaster.predict_quantiles(fh=range(1, 13), X=ahead(12), alpha=LEVELS)
    for steps in ([1], [3], [5], [7], [2, 12], [12], [-3, 4]):
        alone = forecaster.predict(fh=steps, X=ahead(max(steps)))
        of_alone = forecaster.predict_quantiles(
            fh=steps, X=ahead(max(steps)), alpha=LEVELS
        )
        future = [step for step in steps if step > 0]
        times = [y.index[-1] + step for step in future]
        assert_array_equal(alone[times], together[times])
        assert_array_equal(of_alone.loc[times], quantiles.loc[times])


def test_the_horizon_of_fit_is_trained_and_any_other_can_be_forecast(make, y):
    """``fh`` decides in fit, ``horizon`` overrules it, else it is one season."""
    for settings, fh, trained in (
        ({}, [2, 5], 5),
        ({}, [-3, 0], 12),
        ({}, None, 12),
        ({"sp": 4}, None, 4),
        ({"sp": 1}, None, 12),
        ({"horizon": 3}, [2, 5], 3),
    ):
        forecaster = make(**settings).fit(y, fh=fh)
        assert forecaster.network_.layout.horizon == trained
        later = forecaster.predict(fh=[1, 40])
        assert list(later.index) == [y.index[-1] + 1, y.index[-1] + 40]
        assert np.isfinite(later).all()


def test_steps_are_labelled_as_what_they_are(make, y):
    """Forecasts of a noiseless season: each step has the value of its own month."""
    exact = np.tile([70.0, 10, 90, 30, 110, 50, 0, 80, 20, 100, 40, 60], 9)
    index = pd.period_range(y.index[0], periods=len(exact), freq="M")
    truth = pd.Series(exact, index=index)
    forecaster = make(max_steps=10).fit(truth[: len(y)], fh=[2, 5])
    for steps in ([2, 5], [1], [4, 9, 36], [-20, -7, 0]):
        forecast = forecaster.predict(fh=steps)
        times = y.index[-1] + pd.Index(steps)
        assert list(forecast.index) == list(times)
        assert_allclose(
            forecast, truth[times], atol=15
        )  # neighbours differ by up to 80


def test_absolute_and_relative_horizons_agree(make, y):
    forecaster = make().fit(y, fh=[1, 2, 4])
    times = pd.PeriodIndex([y.index[-1] + step for step in (-7, 1, 4, 20)])
    assert_array_equal(
        forecaster.predict(fh=times), forecaster.predict(fh=[-7, 1, 4, 20])
    )


@pytest.mark.parametrize("likelihood", [None, "quantile", "normal"])
def test_beyond_its_horizon_a_direct_network_reads_its_own_medians(
    direct_class, small, y, likelihood
):
    """As if every block of forecasts were observed and the next one asked for."""
    forecaster = direct_class(**small, likelihood=likelihood).fit(y, fh=range(1, 6))
    at_once = forecaster.predict(fh=range(1, 14))
    by_hand, blocks = copy.deepcopy(forecaster), []
    for _ in range(3):
        blocks.append(by_hand.predict(fh=range(1, 6)))
        by_hand.update(blocks[-1], update_params=False)
    assert_allclose(at_once, pd.concat(blocks)[:13], rtol=1e-9)


def test_beyond_its_horizon_the_encoder_decoder_decodes_on(small, y):
    """It has a state to go on from, which a new start from the medians lacks."""
    forecaster = EncoderDecoderLSTMForecaster(**small).fit(y, fh=range(1, 6))
    at_once = forecaster.predict(fh=range(1, 11))
    restarted = seen(forecaster, at_once[:5]).predict(fh=range(1, 6))
    difference = np.abs(at_once[5:] - restarted)
    assert 1e-6 < difference.max() < 3 * y.std()


@pytest.mark.parametrize("likelihood", ["quantile", "normal", "student_t"])
def test_fed_back_distributions_stay_centred_and_do_not_narrow(make, y, likelihood):
    """Sampled paths spread around the medians, and errors add up over the blocks."""
    forecaster = make(likelihood=likelihood, max_steps=60).fit(y, fh=range(1, 7))
    fh = range(1, 37)
    medians = forecaster.predict_quantiles(fh=fh, alpha=[0.5]).to_numpy()[:, 0]
    assert_allclose(medians, forecaster.predict(fh=fh), atol=0.5 * y.std())
    interval = forecaster.predict_interval(fh=fh, coverage=0.8).to_numpy()
    width = interval[:, 1] - interval[:, 0]
    assert width[24:].mean() > 0.8 * width[:6].mean()


def walks(n_series, n_steps, seed):
    """Return random walks as a panel."""
    generator = np.random.default_rng(seed)
    steps = generator.normal(size=(n_series, n_steps))
    index = pd.MultiIndex.from_product([range(n_series), range(n_steps)])
    return pd.DataFrame({"walk": steps.cumsum(1).ravel()}, index=index)


@pytest.mark.parametrize("likelihood", ["quantile", "normal"])
def test_intervals_of_random_walks_cover_far_beyond_the_trained_horizon(
    make, likelihood
):
    """Errors add up, as the root of the steps; fed with medians they would not."""
    forecaster = make(
        likelihood=likelihood,
        sp=1,
        window_length=12,
        horizon=3,
        max_steps=150,
        batch_size=64,
        learning_rate=0.01,
    )
    forecaster.pretrain(walks(20, 80, seed=0))
    seen = walks(100, 60, seed=1)
    times = seen.index.get_level_values(1)
    forecaster.fit(seen[times < 30])
    steps = np.array([2, 12, 27])
    interval = forecaster.predict_interval(fh=steps, coverage=0.8).to_numpy()
    truth = seen["walk"][np.isin(times, 29 + steps)]
    inside = (interval[:, 0] < truth) & (truth < interval[:, 1])
    assert_allclose(inside.to_numpy().reshape(100, 3).mean(0), 0.8, atol=0.17)
    width = (interval[:, 1] - interval[:, 0]).reshape(100, 3).mean(0)
    # A decoder that goes on for nine times what it was trained for becomes unsure.
    decodes_on = isinstance(forecaster, EncoderDecoderLSTMForecaster)
    too_wide = 3.0 if decodes_on else 1.4
    relative = width / (2.56 * np.sqrt(steps))
    assert (relative > 0.6).all()
    assert (relative < too_wide).all()


# -- precision ----------------------------------------------------------------------


@pytest.mark.parametrize("n_members", [1, 2])
@pytest.mark.parametrize("likelihood", [None, "quantile", "normal", "student_t"])
def test_training_in_half_precision_forecasts_nearly_the_same(
    make, y, likelihood, n_members
):
    """Within a fifth of the noise, and in float64 from float32 weights, as ever."""
    settings = {"likelihood": likelihood, "n_members": n_members}
    exact, half = (
        make(precision=precision, **settings).fit(y, fh=range(1, 19))
        for precision in ("float32", "bf16")
    )
    expected, found = exact.predict(), half.predict()
    assert 0 < np.abs(found - expected).max() < 0.2
    assert found.dtype == expected.dtype == np.float64
    assert {str(one.dtype) for one in half.network_.parameters()} == {"torch.float32"}
    if likelihood is not None:
        widths = [
            np.diff(one.predict_interval(coverage=0.8).to_numpy())
            for one in (exact, half)
        ]
        assert_allclose(widths[1], widths[0], rtol=0.1)


# -- distributions ------------------------------------------------------------------


@pytest.mark.parametrize("likelihood", ["quantile", "normal", "student_t"])
def test_quantiles_increase_with_their_level(make, y, likelihood):
    forecaster = make(likelihood=likelihood, max_steps=60).fit(y, fh=range(1, 7))
    alpha = np.linspace(0.01, 0.99, 33)
    fh = np.arange(-len(y) + 1, 20)
    quantiles = forecaster.predict_quantiles(fh=fh, alpha=list(alpha))
    assert (np.diff(quantiles, axis=1) > 0).all()


@pytest.mark.parametrize("likelihood", ["quantile", "normal", "student_t"])
def test_the_median_is_the_point_forecast(make, y, likelihood):
    forecaster = make(likelihood=likelihood).fit(y, fh=range(1, 7))
    fh = np.arange(-20, 7)
    median = forecaster.predict_quantiles(fh=fh, alpha=0.5).to_numpy()[:, 0]
    assert_allclose(median, forecaster.predict(fh=fh), rtol=1e-9)


@pytest.mark.parametrize("likelihood", ["quantile", "normal", "student_t"])
@pytest.mark.parametrize("fh", [[-9, 0, 1, 4], [2, 15]])
def test_intervals_are_the_quantiles_at_their_ends(make, y, likelihood, fh):
    forecaster = make(likelihood=likelihood).fit(y, fh=range(1, 7))
    interval = forecaster.predict_interval(fh=fh, coverage=[0.8, 0.5])
    quantiles = forecaster.predict_quantiles(fh=fh, alpha=[0.1, 0.25, 0.75, 0.9])
    for coverage, ends in ((0.8, [0.1, 0.9]), (0.5, [0.25, 0.75])):
        for side, level in zip(["lower", "upper"], ends, strict=True):
            assert_allclose(
                interval["sales", coverage, side], quantiles["sales", level], rtol=1e-9
            )


@pytest.mark.parametrize("likelihood", ["quantile", "normal", "student_t"])
@pytest.mark.parametrize("fh", [[-9, 0, 1, 4], [2, 15]])
def test_distributions_agree_with_quantiles_variance_and_points(
    make, y, likelihood, fh
):
    """15 lies beyond the trained horizon, where all of it comes from paths."""
    forecaster = make(likelihood=likelihood).fit(y, fh=range(1, 7))
    distribution = forecaster.predict_proba(fh=fh)
    quantiles = forecaster.predict_quantiles(fh=fh, alpha=LEVELS)
    closed = likelihood != "quantile" and max(fh) <= 6
    width = (quantiles.iloc[:, -1] - quantiles.iloc[:, 0]).to_numpy()
    for level in LEVELS:
        found = distribution.ppf(level)
        assert list(found.index) == list(quantiles.index)
        gap = np.abs(found["sales"] - quantiles["sales", level]) / width
        assert gap.max() < (1e-9 if closed else 0.02)
    assert_allclose(
        distribution.var().to_numpy(), forecaster.predict_var(fh=fh), rtol=1e-9
    )
    gap = np.abs(distribution.mean()["sales"] - forecaster.predict(fh=fh)) / width
    assert gap.max() < (1e-9 if closed else 0.5)


@pytest.mark.parametrize(
    ("likelihood", "family"), [("normal", "Normal"), ("student_t", "TDistribution")]
)
def test_likelihoods_give_their_own_distribution(make, y, likelihood, family):
    forecaster = make(likelihood=likelihood).fit(y, fh=[1, 2])
    distribution = forecaster.predict_proba()
    assert type(distribution).__name__ == family
    quantiles = forecaster.predict_quantiles(alpha=[0.05, 0.5, 0.9]).to_numpy()
    if likelihood == "normal":
        by_hand = stats.norm(distribution.mu, distribution.sigma)
    else:
        assert (np.asarray(distribution.df) > 2).all()
        by_hand = stats.t(distribution.df, distribution.mu, distribution.sigma)
    expected = [by_hand.ppf(level).ravel() for level in (0.05, 0.5, 0.9)]
    assert_allclose(quantiles, np.array(expected).T, rtol=1e-6)


def test_intervals_cover_what_they_say(make):
    """A seasonal series with plain normal noise, and all of its one-step forecasts."""
    generator = np.random.default_rng(1)
    index = pd.period_range("1990-01", periods=400, freq="M")
    values = 10 * np.sin(2 * np.pi * np.arange(400) / 12) + generator.normal(size=400)
    series = pd.Series(values, index=index)
    forecaster = make(max_steps=200, batch_size=64).fit(series[:250], fh=range(1, 4))
    forecaster.update(series[250:], update_params=False)
    fh = np.arange(-149, 1)
    for coverage in (0.5, 0.8, 0.95):
        interval = forecaster.predict_interval(fh=fh, coverage=coverage).to_numpy()
        inside = (interval[:, 0] < series[250:]) & (series[250:] < interval[:, 1])
        assert inside.mean() == pytest.approx(coverage, abs=0.15)


def test_points_only_give_no_intervals(make, y):
    forecaster = make(likelihood=None).fit(y, fh=[1, 2])
    assert not forecaster.get_tag("capability:pred_int")
    with pytest.raises(NotImplementedError, match="prediction intervals"):
        forecaster.predict_interval()


# -- multivariate targets -----------------------------------------------------------


def test_independent_channels_are_forecast_as_if_they_were_alone(make, seasonal, panel):
    """The same network forecasts each column by itself."""
    forecaster = make(horizon=6).pretrain(panel)
    both = pd.DataFrame({"first": seasonal(seed=8), "second": 1e4 * seasonal(seed=9)})
    fh = [-50, -3, 0, 1, 6, 9]
    together = forecaster.clone().fit(both).predict(fh=fh)
    quantiles = forecaster.clone().fit(both).predict_quantiles(fh=fh, alpha=LEVELS)
    for name in both:
        alone = forecaster.clone().fit(both[[name]])
        assert_allclose(alone.predict(fh=fh)[name], together[name], rtol=1e-5)
        assert_allclose(
            alone.predict_quantiles(fh=fh, alpha=LEVELS)[name],
            quantiles[name],
            rtol=1e-5,
        )


def test_only_joint_channels_learn_from_each_other(make):
    """The second column repeats the first one, a noise, a step later."""
    generator = np.random.default_rng(2)
    leader = generator.normal(size=201)
    both = pd.DataFrame({"leader": leader[1:], "follower": leader[:-1]})
    mae = {}
    for joint in (False, True):
        forecaster = make(
            joint_channels=joint, max_steps=150, sp=1, window_length=4, batch_size=64
        )
        forecaster.fit(both[:150], fh=[1]).update(both[150:], update_params=False)
        fitted = forecaster.predict(fh=np.arange(-49, 1))
        mae[joint] = np.abs(fitted["follower"] - both["follower"][150:]).mean()
    assert mae[True] < 0.35 * mae[False]
