"""Forecasts compared by value: scale, horizons, feedback, precision, distributions."""

import copy

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from scipy import stats

pytest.register_assert_rewrite("tests.with_sktime.conformance")


# -- level and scale ----------------------------------------------------------------


def test_each_channel_is_read_at_its_own_scale(make, y):
    both = pd.DataFrame({"small": 1e-6 * y, "large": 1e6 * y + 1e9})
    forecast = make(joint_channels=True, sp=12).fit(both, fh=range(1, 7)).predict()
    values = pd.DataFrame(
        {"small": forecast["small"] * 1e6, "large": (forecast["large"] - 1e9) / 1e6}
    )
    assert (values > y.min() - 20).all(axis=None)
    assert (values < y.max() + 20).all(axis=None)


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


@pytest.mark.parametrize("likelihood", [None, "quantile", "normal"])
def test_beyond_its_horizon_a_direct_network_reads_its_own_medians(
    forecaster_class, small, y, likelihood
):
    """As if every block of forecasts were observed and the next one asked for."""
    forecaster = forecaster_class(**small, likelihood=likelihood)
    forecaster.fit(y, fh=range(1, 6))
    at_once = forecaster.predict(fh=range(1, 14))
    by_hand, blocks = copy.deepcopy(forecaster), []
    for _ in range(3):
        blocks.append(by_hand.predict(fh=range(1, 6)))
        by_hand.update(blocks[-1], update_params=False)
    assert_allclose(at_once, pd.concat(blocks)[:13], rtol=1e-9)


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
    relative = width / (2.56 * np.sqrt(steps))
    assert relative[0] == pytest.approx(1.0, abs=0.4)
    growth = relative[1:] / relative[0]
    assert (growth > 0.85).all()
    assert (growth < 1.4).all()


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


def test_quantile_forecasts_become_199_evenly_spaced_quantiles(make, y):
    forecaster = make().fit(y, fh=[1, 2])
    values = forecaster.predict_proba().spl.to_numpy().reshape(199, 2)
    levels = list((np.arange(199) + 0.5) / 199)
    expected = forecaster.predict_quantiles(alpha=levels)
    assert_allclose(np.sort(values, axis=0).T, expected)


def test_samples_of_two_columns_do_not_go_together(make, y):
    both = pd.DataFrame({"first": y, "second": y**2})
    distribution = make().fit(both, fh=[1, 2]).predict_proba()
    samples = distribution.spl.to_numpy().reshape(199, 2, 2)  # (sample, step, column)
    for step in samples.swapaxes(0, 1):
        assert abs(np.corrcoef(step.T)[0, 1]) < 0.2


def test_points_only_give_no_intervals(make, y):
    forecaster = make(likelihood=None).fit(y, fh=[1, 2])
    assert not forecaster.get_tag("capability:pred_int")
    with pytest.raises(NotImplementedError, match="prediction intervals"):
        forecaster.predict_interval()


# -- multivariate targets -----------------------------------------------------------


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
