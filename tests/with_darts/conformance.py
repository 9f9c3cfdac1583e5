"""What a good darts model does: checks of any torch model, each of values.

A check takes ``make``, which constructs a small untrained model from darts' common
arguments, and fixtures of pytest by their names. It names what it shows.
"""

import copy
import io
import logging
import pickle
import random
import signal
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import pytest
import pytorch_lightning as pl
import torch
from darts import TimeSeries
from darts.metrics import ae, mae
from darts.models import (
    ConformalNaiveModel,
    NaiveEnsembleModel,
    RegressionEnsembleModel,
)
from darts.utils.likelihood_models.torch import GaussianLikelihood, QuantileRegression
from darts.utils.timeseries_generation import datetime_attribute_timeseries
from numpy.testing import assert_allclose, assert_array_equal

__all__ = ["CHECKS"]

WINDOW = 12
CHUNK = 6
LEARNING = {"n_epochs": 15, "optimizer_kwargs": {"lr": 1e-2}}
"""Settings of a model that is to learn something."""
PLAIN_TRAINER = {"accelerator": "cpu", "logger": False}
"""The trainer of a model that was saved without one."""

CHECKS = {}
"""All checks by their names."""


def conformance(check):
    """Take note of a check."""
    CHECKS[check.__name__.removeprefix("check_")] = check
    return check


# -- series -------------------------------------------------------------------------


def wave(n_steps=60, seed=0, noise=0.1, period=12, **settings):
    """Return a sine with noise; its phase is that of step 0."""
    step = np.arange(n_steps)
    noises = noise * np.random.default_rng(seed).normal(size=n_steps)
    values = np.sin(2 * np.pi * step / period) + noises
    return TimeSeries.from_values(values, **settings)


def white(n_steps=60, n_columns=1, seed=0, columns=None):
    """Return standard normal noise."""
    values = np.random.default_rng(seed).normal(size=(n_steps, n_columns))
    return TimeSeries.from_values(values, columns=columns)


def dated(series, start="2015-01-01", freq="MS"):
    """Return a series on time stamps."""
    times = pd.date_range(start, periods=len(series), freq=freq)
    return TimeSeries.from_times_and_values(
        times, series.values(), columns=series.components
    )


def changed(series, steps, value):
    """Return a series with another value at some steps."""
    values = series.values(copy=True)
    values[steps] = value
    return series.with_values(values)


def lists_of_forecasts(model, series, horizon=CHUNK, first=40, **settings):
    """Return the historical forecasts from the steps from ``first`` on."""
    return model.historical_forecasts(
        series,
        start=first,
        forecast_horizon=horizon,
        retrain=False,
        last_points_only=False,
        **settings,
    )


def error_of(model, series, horizon=CHUNK, first=40, **covariates):
    """Return the mean absolute error of the forecasts from ``first`` on."""
    forecasts = lists_of_forecasts(model, series, horizon, first, **covariates)
    return np.mean([mae(series, forecast) for forecast in forecasts])


# -- comparisons --------------------------------------------------------------------


def arrays_of(forecasts):
    """Return the values of a forecast, or of all in a list."""
    if isinstance(forecasts, TimeSeries):
        return forecasts.all_values()
    return np.concatenate([one.all_values() for one in forecasts])


def assert_equal(first, second):
    """Assert that forecasts have the same values at the same times."""
    assert_array_equal(arrays_of(first), arrays_of(second))
    assert_same_times(first, second)


def assert_close(first, second, rtol=1e-5, atol=1e-6):
    """Assert that forecasts have nearly the same values at the same times."""
    assert_allclose(arrays_of(first), arrays_of(second), rtol, atol)
    assert_same_times(first, second)


def assert_same_times(first, second):
    """Assert that forecasts are for the same times."""
    if isinstance(first, TimeSeries):
        assert first.time_index.equals(second.time_index)
        return
    for one, other in zip(first, second, strict=True):
        assert_same_times(one, other)


def assert_finite(forecast):
    """Assert that no value is missing or infinite."""
    assert np.isfinite(arrays_of(forecast)).all()


def distance(first, second):
    """Return the largest distance between the values of two forecasts."""
    return np.abs(arrays_of(first) - arrays_of(second)).max()


def weights_of(model):
    """Return copies of a model's weights."""
    return {name: one.clone() for name, one in model.model.named_parameters()}


# -- covariates ---------------------------------------------------------------------


@conformance
def check_past_covariates_are_learnt(make):
    """What the covariate was one step ago, the target is."""
    lead = white(200)
    series = lead.shift(1)[:-1]
    model = make(output_chunk_length=1, **{**LEARNING, "n_epochs": 50})
    model.fit(series[:160], past_covariates=lead)
    assert error_of(model, series, 1, first=160, past_covariates=lead) < 0.45
    assert error_of(model, series, 1, first=160, past_covariates=-lead) > 1.0


@conformance
def check_future_covariates_are_learnt(make):
    series = white(120)
    known = series.with_columns_renamed(series.components[0], "known")
    model = make(**{**LEARNING, "n_epochs": 20})
    model.fit(series[:84], future_covariates=known)
    assert error_of(model, series, first=90, future_covariates=known) < 0.4
    assert error_of(model, series, first=90, future_covariates=-known) > 0.8


@conformance
def check_static_covariates_are_learnt(make):
    """Random walks drift up or down, as their static covariate says."""

    def walk(sign, seed, n_steps=40):
        steps = 0.3 * sign + np.random.default_rng(seed).normal(size=n_steps)
        static = pd.DataFrame({"sign": [float(sign)]})
        return TimeSeries.from_values(np.cumsum(steps), static_covariates=static)

    walks = [walk(sign, seed) for seed in range(8) for sign in (1, -1)]
    model = make(**{**LEARNING, "n_epochs": 8}).fit(walks)
    gains = []
    for seed in range(20, 30):
        past = walk(0, seed)
        signs = [pd.DataFrame({"sign": [sign]}) for sign in (1.0, -1.0)]
        up, down = model.predict(
            CHUNK, [past.with_static_covariates(sign) for sign in signs]
        )
        gains.append((up - down).values()[-1, 0])
    assert min(gains) > 0
    assert 0.6 < np.mean(gains) < 6


@conformance
def check_encoders_are_like_given_covariates(make):
    """A model that makes its covariates forecasts like one that is given them."""
    series = dated(wave())
    given = datetime_attribute_timeseries(
        series, "month", cyclic=True, add_length=9, dtype=series.dtype
    )
    encoders = {"cyclic": {"future": ["month"]}}
    made = make(add_encoders=encoders).fit(series)
    told = make().fit(series, future_covariates=given)
    assert_close(made.predict(9), told.predict(9, future_covariates=given))
    assert distance(made.predict(9), make().fit(series).predict(9)) > 1e-4


@conformance
def check_the_order_of_covariates_does_not_matter(make):
    series, known = wave(), white(70, 2, columns=["a", "b"])
    model = make().fit(series, future_covariates=known)
    expected = model.predict(CHUNK, future_covariates=known)
    assert_equal(model.predict(CHUNK, future_covariates=known[["b", "a"]]), expected)


@conformance
def check_the_order_of_past_covariates_does_not_matter(make):
    series, lead = wave(), white(60, 2, columns=["a", "b"])
    model = make().fit(series, past_covariates=lead)
    expected = model.predict(CHUNK, past_covariates=lead)
    assert_equal(model.predict(CHUNK, past_covariates=lead[["b", "a"]]), expected)


@conformance
def check_the_order_of_static_covariates_does_not_matter(make):
    static = pd.DataFrame({"size": [1.0], "age": [5.0]})
    series = wave().with_static_covariates(static)
    other = wave(seed=1).with_static_covariates(2 * static)
    model = make().fit([series, other])
    turned = series.with_static_covariates(static[["age", "size"]])
    assert_equal(model.predict(CHUNK, turned), model.predict(CHUNK, series))


@conformance
def check_renamed_covariates_are_refused(make):
    series, known = wave(), white(70, 2, columns=["a", "b"])
    model = make().fit(series, future_covariates=known)
    renamed = known.with_columns_renamed("b", "c")
    with pytest.raises(ValueError, match="covariates"):
        model.predict(CHUNK, future_covariates=renamed)


@conformance
def check_covariates_that_end_too_early_are_refused(make):
    series, known = wave(), white(66)
    model = make().fit(series, future_covariates=known)
    assert_finite(model.predict(CHUNK))
    with pytest.raises(ValueError, match="covariates"):
        model.predict(CHUNK, future_covariates=known[:-1])


# -- the target ---------------------------------------------------------------------


@conformance
def check_a_multivariate_target_is_forecast(make):
    series = wave(150, period=12, columns=["slow"]).stack(
        wave(150, seed=1, period=6, columns=["quick"])
    )
    model = make(**LEARNING).fit(series[:120])
    forecasts = lists_of_forecasts(model, series, first=126)
    assert list(forecasts[0].components) == ["slow", "quick"]
    errors = np.mean(
        [ae(series, one, component_reduction=None).mean(0) for one in forecasts], 0
    )
    assert (errors < 0.3).all()


@conformance
def check_a_list_is_forecast_as_one_by_one(make):
    series = [wave(60), wave(41, seed=1, noise=1.0), wave(25, seed=2) * 3]
    model = make().fit(series)
    together = model.predict(9, series)
    assert_close(together, [model.predict(9, one) for one in series])
    assert_close(together[::-1], model.predict(9, series[::-1]))
    assert distance(together[0], together[1]) > 1e-4


@conformance
def check_short_series_are_fitted_and_forecast(make):
    """In a list with a long one and by themselves, like a window without its start."""
    window = wave(WINDOW)
    for series in ([wave(60), wave(9)], [wave(14), wave(14, seed=1)]):
        model = make().fit(series)
        for n_steps in (9, 4, 1):
            forecast = model.predict(9, window[-n_steps:])
            assert forecast.start_time() == WINDOW
            assert_allclose(forecast.values(), 0, atol=4)
            masked = changed(window, slice(0, WINDOW - n_steps), np.nan)
            assert_close(forecast, model.predict(9, masked))


@conformance
def check_gaps_at_the_start_are_like_a_shorter_series(make):
    series = wave()
    model = make().fit(series)
    masked = changed(series[:WINDOW], slice(0, 5), np.nan)
    assert_finite(model.predict(CHUNK, masked))
    assert_close(model.predict(CHUNK, masked), model.predict(CHUNK, masked[5:]))


@conformance
def check_gaps_in_the_window_are_forecast_over(make):
    """Within the window and at its end; with a level, which is kept."""
    series = wave() + 100
    model = make().fit(series)
    for steps in (52, 59, slice(50, 54), slice(54, 60)):
        forecast = model.predict(CHUNK, changed(series, steps, np.nan))
        assert_allclose(forecast.values(), 100, atol=5)
    assert distance(model.predict(CHUNK), forecast) > 1e-3


@conformance
def check_gaps_in_past_covariates_are_forecast_over(make):
    series, lead = wave(), white(60)
    model = make().fit(series, past_covariates=changed(lead, slice(20, 30), np.nan))
    for steps in (52, 59, slice(0, 60)):
        gappy = changed(lead, steps, np.nan)
        assert_finite(model.predict(CHUNK, past_covariates=gappy))


@conformance
def check_gaps_in_future_covariates_are_forecast_over(make):
    series, known = wave(), white(70)
    gaps = slice(20, 30)
    model = make().fit(series, future_covariates=changed(known, gaps, np.nan))
    for steps in (52, 59, 62, slice(0, 70)):
        gappy = changed(known, steps, np.nan)
        assert_finite(model.predict(CHUNK, future_covariates=gappy))


@conformance
def check_a_series_with_gaps_is_learnt(make):
    series = wave(150)
    missing = np.random.default_rng(1).permutation(120)[:30]
    model = make(**LEARNING).fit(changed(series, missing, np.nan)[:120])
    assert all(one.isfinite().all() for one in weights_of(model).values())
    assert error_of(model, series, first=126) < 0.3


@conformance
def check_forecasts_carry_the_names_of_the_series(make):
    """Its components, its static covariates and the steps that follow."""
    static = pd.DataFrame({"size": [2.0]})
    series = wave(columns=["sales"], static_covariates=static)
    forecast = make().fit(series).predict(9)
    assert list(forecast.components) == ["sales"]
    assert forecast.static_covariates.equals(series.static_covariates)
    assert forecast.time_index.equals(pd.RangeIndex(60, 69))


@conformance
def check_the_type_of_the_values_is_kept(make):
    for dtype in (np.float32, np.float64):
        series = wave().astype(dtype)
        model = make().fit(series)
        assert model.predict(9).dtype == dtype
        assert lists_of_forecasts(model, series)[0].dtype == dtype


@conformance
def check_time_stamps_are_like_numbers(make):
    """Values are equal, and times go on by the step of the series."""
    plain = wave()
    numbered = TimeSeries.from_times_and_values(
        pd.RangeIndex(5, 185, 3), plain.values()
    )
    stamped = dated(plain, "1950-01-01", "YS")
    first, second, third = (
        make().fit(one).predict(9) for one in (plain, numbered, stamped)
    )
    assert_array_equal(second.values(), first.values())
    assert_array_equal(third.values(), first.values())
    assert second.time_index.equals(pd.RangeIndex(185, 212, 3))
    assert third.time_index.equals(pd.date_range("2010-01-01", periods=9, freq="YS"))


@conformance
def check_arguments_are_left_unchanged(make):
    static = pd.DataFrame({"size": [1.0]})
    series = [wave(static_covariates=static), wave(40, static_covariates=static)]
    future = [white(70), white(70)]
    settings = {
        "optimizer_kwargs": {"lr": 1e-3},
        "pl_trainer_kwargs": {"max_steps": 5},
        "add_encoders": {"position": {"future": ["relative"]}},
    }
    given = series, future, settings
    before = copy.deepcopy(given)
    model = make(**settings).fit(series, future_covariates=future)
    model.predict(9, series, future_covariates=future)
    lists_of_forecasts(model, series[0], future_covariates=future[0])
    assert series == before[0]
    assert future == before[1]
    assert settings == before[2]


# -- horizons -----------------------------------------------------------------------


@conformance
def check_a_horizon_beyond_the_chunk_is_forecast(make):
    series = wave(138, noise=0.02)
    forecast = make(**LEARNING).fit(series[:120]).predict(18)
    assert mae(series, forecast) < 0.3


@conformance
def check_a_longer_horizon_begins_like_a_shorter_one(make):
    series, known = wave(), white(90)
    model = make().fit(series, future_covariates=known)
    longest = model.predict(20, future_covariates=known)
    for n in (1, 4, 6, 9, 12, 15):
        assert_close(model.predict(n, future_covariates=known), longest[:n])


@conformance
def check_longer_samples_begin_like_shorter_ones(make):
    model = make(likelihood=QuantileRegression([0.1, 0.5, 0.9])).fit(wave())
    longest = model.predict(15, num_samples=20, random_state=1)
    for n in (4, 6, 9):
        samples = model.predict(n, num_samples=20, random_state=1)
        assert_close(samples, longest[:n])


@conformance
def check_a_shifted_chunk_is_forecast_at_its_time(make):
    series = wave(140, noise=0.02)
    model = make(output_chunk_shift=3, **LEARNING).fit(series[:120])
    forecast = model.predict(CHUNK)
    assert forecast.start_time() == 123
    assert mae(series, forecast) < 0.25
    assert mae(series.shift(3), forecast) > 0.6


@conformance
def check_the_chunk_after_a_ramp_goes_on_with_it(make):
    """As far as the shift says, after another level than in training."""
    ramp = TimeSeries.from_values(np.arange(80) / 10)
    for shift in (0, 4):
        model = make(output_chunk_shift=shift, **LEARNING).fit(ramp)
        forecast = model.predict(CHUNK, ramp[:40] + 50)
        assert forecast.start_time() == 40 + shift
        expected = 54 + (shift + np.arange(CHUNK)) / 10
        assert_allclose(forecast.values()[:, 0], expected, atol=0.05)


@conformance
def check_impossible_horizons_are_refused(make):
    model = make().fit(wave())
    for n in (0, -1, 1.5, True):
        with pytest.raises((ValueError, TypeError), match=r"\bn\b"):
            model.predict(n)
    assert len(model.predict(np.int64(2))) == 2


@conformance
def check_forecasts_before_fit_are_refused(make):
    with pytest.raises(ValueError, match="fit"):
        make().predict(CHUNK, wave())


# -- training -----------------------------------------------------------------------


@conformance
def check_a_part_without_weight_is_not_learnt(make):
    """Neither a whole series nor the end of one."""
    series, other = wave(), wave(seed=5)
    ones = TimeSeries.from_values(np.ones(60))

    def forecast_after(last, weight):
        lists = [series, last], [ones, weight]
        model = make().fit(lists[0], sample_weight=lists[1])
        return model.predict(CHUNK, series)

    for weight, junk in (
        (0 * ones, white(seed=7)),
        (changed(ones, slice(40, 60), 0.0), changed(other, slice(40, 60), 3.0)),
    ):
        expected = forecast_after(other, weight)
        assert_close(forecast_after(junk, weight), expected)
        assert distance(forecast_after(junk, ones), expected) > 1e-4


@conformance
def check_validation_is_logged_and_changes_nothing(make):
    train, validation = wave(), wave(seed=1)
    model = make().fit(train, val_series=validation)
    metrics = model.trainer.callback_metrics
    assert np.isfinite(float(metrics["val_loss"]))
    assert np.isfinite(float(metrics["train_loss"]))
    assert_close(model.predict(CHUNK), make().fit(train).predict(CHUNK))


@conformance
def check_training_goes_on_where_it_ended(make):
    series = wave()
    model = make(n_epochs=2).fit(series)
    assert model.epochs_trained == 2
    before, forecast = weights_of(model), model.predict(CHUNK)
    model.fit(series, epochs=3)
    after = weights_of(model)
    assert any(not torch.equal(before[name], after[name]) for name in before)
    assert all((before[name] - after[name]).abs().max() < 0.5 for name in before)
    assert distance(model.predict(CHUNK), forecast) > 1e-4
    assert model.epochs_trained == 5


@conformance
def check_an_interrupted_training_leaves_a_model(make):
    """Ctrl-C is a KeyboardInterrupt, and what was learnt until then is kept."""

    class Interrupt(pl.Callback):
        def on_train_batch_end(self, trainer, *args):
            if trainer.global_step == 4:
                raise KeyboardInterrupt

    model = make(pl_trainer_kwargs={"callbacks": [Interrupt()]})
    handler = signal.getsignal(signal.SIGINT)
    try:
        with pytest.raises(KeyboardInterrupt):
            model.fit(wave())
        assert signal.getsignal(signal.SIGINT) is handler
    finally:
        signal.signal(signal.SIGINT, handler)
    assert_finite(model.predict(CHUNK, wave()))


# -- historical forecasts -----------------------------------------------------------


def by_hand(model, series, horizon, origins, past=None, future=None):
    """Return forecasts of series that are cut at their origins."""
    return [
        model.predict(
            horizon,
            series[:step],
            past_covariates=past,
            future_covariates=future,
        )
        for step in origins
    ]


@conformance
def check_historical_forecasts_are_forecasts_of_cut_series(make):
    series = wave()
    model = make().fit(series[:40])
    assert_close(
        lists_of_forecasts(model, series), by_hand(model, series, CHUNK, range(40, 55))
    )
    strided = lists_of_forecasts(model, series, 3, stride=5)
    assert_close(strided, by_hand(model, series, 3, range(40, 58, 5)))


@conformance
def check_historical_forecasts_beyond_the_chunk(make):
    series = wave()
    model = make().fit(series[:40])
    assert_close(
        lists_of_forecasts(model, series, 15), by_hand(model, series, 15, range(40, 46))
    )


@conformance
def check_historical_forecasts_without_optimisation_are_equal(make):
    series = [wave(), wave(54, seed=1)]
    model = make().fit(series)
    quick, slow = (
        lists_of_forecasts(model, series, enable_optimization=flag)
        for flag in (True, False)
    )
    for one, other in zip(quick, slow, strict=True):
        assert_close(one, other)


@conformance
def check_historical_forecasts_of_last_points(make):
    series = wave()
    model = make().fit(series[:40])
    last = model.historical_forecasts(
        series, start=40, forecast_horizon=3, retrain=False, last_points_only=True
    )
    expected = by_hand(model, series, 3, range(40, 58))
    assert_allclose(
        last.values()[:, 0], [one.values()[-1, 0] for one in expected], atol=1e-6
    )
    assert last.time_index.equals(pd.RangeIndex(42, 60))


@conformance
def check_historical_forecasts_with_future_covariates(make):
    series, known = wave(), white(66)
    model = make().fit(series[:40], future_covariates=known)
    found = lists_of_forecasts(model, series, future_covariates=known)
    origins = range(40, 40 + len(found))
    assert_close(found, by_hand(model, series, CHUNK, origins, future=known))


@conformance
def check_historical_forecasts_with_past_covariates(make):
    series, lead = wave(), white(60)
    model = make().fit(series[:40], past_covariates=lead)
    found = lists_of_forecasts(model, series, past_covariates=lead)
    assert_close(found, by_hand(model, series, CHUNK, range(40, 55), past=lead))


@conformance
def check_historical_forecasts_with_shift(make):
    series = wave()
    model = make(output_chunk_shift=2).fit(series[:40])
    assert_close(
        lists_of_forecasts(model, series), by_hand(model, series, CHUNK, range(40, 53))
    )


@conformance
def check_retraining_is_fitting_on_the_cut_series(make):
    series = wave(50)
    found = make().historical_forecasts(
        series, start=47, forecast_horizon=2, retrain=True, last_points_only=False
    )
    expected = [make().fit(series[:step]).predict(2) for step in (47, 48)]
    assert_close(found, expected)


@conformance
def check_backtest_and_residuals_are_of_the_historical_forecasts(make):
    series = wave()
    model = make().fit(series[:40])
    settings = {"start": 40, "forecast_horizon": 3, "retrain": False}
    forecasts = lists_of_forecasts(model, series, 3)
    expected = np.mean([mae(series, one) for one in forecasts])
    found = model.backtest(series, metric=mae, last_points_only=False, **settings)
    assert_allclose(found, expected, rtol=1e-6)
    residuals = model.residuals(series, last_points_only=True, **settings)
    ends = np.array([one.values()[-1, 0] for one in forecasts])
    assert_allclose(residuals.values()[:, 0], series.values()[42:, 0] - ends, atol=1e-6)


@conformance
def check_what_comes_after_the_cutoff_is_not_read(make):
    series = wave()
    model = make().fit(series[:40])
    other = changed(series, slice(48, 60), 1e3)
    settings = {"horizon": CHUNK, "first": 40}
    expected = lists_of_forecasts(model, series, **settings)[:9]
    assert_equal(lists_of_forecasts(model, other, **settings)[:9], expected)


@conformance
def check_past_covariates_after_the_cutoff_are_not_read(make):
    series, lead = wave(), white(60)
    model = make().fit(series[:40], past_covariates=lead)
    other = changed(lead, slice(48, 60), 1e3)
    expected = lists_of_forecasts(model, series, past_covariates=lead)
    found = lists_of_forecasts(model, series, past_covariates=other)
    assert_equal(found[:9], expected[:9])
    assert distance(found[9:], expected[9:]) > 1e-3


@conformance
def check_only_the_window_is_read(make):
    series, known = wave(), white(70)
    model = make().fit(series, future_covariates=known)
    expected = model.predict(9, series, future_covariates=known)
    other = changed(series, slice(0, 48), 1e3), changed(known, slice(0, 48), 1e3)
    assert_equal(model.predict(9, other[0], future_covariates=other[1]), expected)
    cut = model.predict(9, series[-WINDOW:], future_covariates=known[-22:])
    assert_close(cut, expected)
    other = changed(series, slice(0, 49), 1e3)
    assert distance(model.predict(9, other, future_covariates=known), expected) > 1e-3


# -- scales -------------------------------------------------------------------------


@conformance
def check_forecasts_follow_the_scale_of_the_series(make):
    series = wave()
    expected = make().fit(series).predict(9)
    for factor, offset in (
        (1e-9, 0.0),
        (1e-9, 5e-8),
        (1e-3, 1.0),
        (1.0, 1e6),
        (1e6, 0.0),
        (1e12, 5e13),
    ):
        found = make().fit(series * factor + offset).predict(9)
        assert_allclose(
            (found.values() - offset) / factor, expected.values(), rtol=1e-5, atol=1e-6
        )


@conformance
def check_a_high_level_is_forecast(make):
    """And what moves on it is not lost."""
    expected = make().fit(wave()).predict(9).values()
    for level in (1e4, 1e10):
        forecast = make().fit(wave() + level).predict(9)
        assert_allclose(forecast.values() - level, expected, rtol=0, atol=1e-3)


@conformance
def check_constants_are_forecast(make):
    for constant in (0.0, 5.0, -3e7, 1e-9):
        series = TimeSeries.from_values(np.full(40, constant))
        forecast = make().fit(series).predict(9)
        assert_allclose(forecast.values(), constant, rtol=1e-6, atol=1e-15)


# -- known answers ------------------------------------------------------------------


@conformance
def check_a_season_is_forecast_better_than_repeated(make):
    """On other noise than learnt, with the level of an unscaled series."""
    series = dated(wave(192, noise=0.3) * 10 + 100)
    model = make(**LEARNING).fit(series[:140])
    values = series.values()
    naive = np.mean(np.abs(values[152:] - values[140:-12]))
    assert error_of(model, series, first=152) < naive


@conformance
def check_the_step_after_an_autoregression_is_forecast(make):
    """An optimal forecast errs by the noise; one that is a step late by 1.38 of it."""
    noise = np.random.default_rng(0).normal(size=700)
    values = np.zeros(700)
    for step in range(1, 700):
        values[step] = 0.95 * values[step - 1] + noise[step]
    series = TimeSeries.from_values(values)
    settings = {**LEARNING, "n_epochs": 10, "batch_size": 32}
    model = make(**settings).fit(series[:500])
    assert error_of(model, series, 1, first=500) < 1.2 * np.abs(noise[500:]).mean()


@conformance
def check_quantiles_are_calibrated(make):
    series = white(600) * 2 + 5
    settings = {**LEARNING, "n_epochs": 8, "batch_size": 32}
    likelihood = QuantileRegression([0.1, 0.5, 0.9])
    model = make(likelihood=likelihood, **settings).fit(series[:300])
    low, middle, high = _parameters(model, series)
    assert 0.7 < _coverage(series, low, high) < 0.9
    expected = 5 + 2 * np.array([-1.2816, 0, 1.2816])
    assert_allclose([low.mean(), middle.mean(), high.mean()], expected, atol=0.6)


@conformance
def check_normal_distributions_are_calibrated(make):
    series = white(600) * 2 + 5
    settings = {**LEARNING, "n_epochs": 8, "batch_size": 32}
    model = make(likelihood=GaussianLikelihood(), **settings).fit(series[:300])
    mean, deviation = _parameters(model, series)
    low, high = mean - 1.2816 * deviation, mean + 1.2816 * deviation
    assert 0.7 < _coverage(series, low, high) < 0.9
    assert_allclose([mean.mean(), deviation.mean()], [5, 2], atol=0.4)


def _parameters(model, series):
    """Return the parameters of one-step forecasts of the second half of a series."""
    forecast = model.historical_forecasts(
        series,
        start=300,
        forecast_horizon=1,
        retrain=False,
        predict_likelihood_parameters=True,
    )
    return forecast.values().T


def _coverage(series, low, high):
    """Return the share of the second half of a series within bounds."""
    values = series.values()[300:, 0]
    return np.mean((low <= values) & (values <= high))


@conformance
def check_samples_agree_with_the_parameters(make):
    model = make(likelihood=GaussianLikelihood()).fit(wave())
    mean, deviation = model.predict(1, predict_likelihood_parameters=True).values()[0]
    samples = model.predict(1, num_samples=4000, random_state=1).all_values().ravel()
    assert abs(samples.mean() - mean) < 0.06 * deviation
    assert abs(samples.std() - deviation) < 0.06 * deviation
    model = make(likelihood=QuantileRegression([0.1, 0.5, 0.9])).fit(wave())
    quantiles = model.predict(1, predict_likelihood_parameters=True).values()[0]
    samples = model.predict(1, num_samples=4000, random_state=1).all_values().ravel()
    shares = [(samples < one).mean() for one in quantiles]
    assert_allclose(shares, [0.1, 0.5, 0.9], atol=0.03)


# -- persistence --------------------------------------------------------------------


def _trained(make, **settings):
    """Return a model, series that it was not trained on, and its forecast of them."""
    model = make(**settings).fit([wave(), wave(seed=1)])
    series = wave(40, seed=2)
    return model, series, model.predict(9, series)


@conformance
def check_a_pickle_forecasts(make):
    model, series, expected = _trained(make)
    assert_equal(pickle.loads(pickle.dumps(model)).predict(9, series), expected)


@conformance
def check_a_deep_copy_forecasts(make):
    model, series, expected = _trained(make)
    assert_equal(copy.deepcopy(model).predict(9, series), expected)


@conformance
def check_a_deep_copy_learns_alone(make):
    model, series, expected = _trained(make)
    duplicate = copy.deepcopy(model)
    duplicate.fit(wave(seed=3))
    assert distance(duplicate.predict(9, series), expected) > 1e-4
    assert_equal(model.predict(9, series), expected)


@conformance
def check_joblib_keeps_a_model(make, tmp_path):
    model, series, expected = _trained(make)
    joblib.dump(model, tmp_path / "model.joblib")
    loaded = joblib.load(tmp_path / "model.joblib")
    assert_equal(loaded.predict(9, series), expected)


@conformance
def check_a_saved_model_forecasts(make, tmp_path):
    """By darts' safe loading, whether saved clean or not."""
    model, series, expected = _trained(make)
    for clean in (False, True):
        path = str(tmp_path / f"{clean}.pt")
        model.save(path, clean=clean)
        settings = {"pl_trainer_kwargs": PLAIN_TRAINER} if clean else {}
        loaded = type(model).load(path, **settings)
        assert_equal(loaded.predict(9, series), expected)
        assert loaded.epochs_trained == model.epochs_trained


@conformance
def check_a_saved_likelihood_forecasts(make, tmp_path):
    model = make(likelihood=GaussianLikelihood()).fit(wave())
    settings = {"n": 9, "num_samples": 5, "random_state": 1}
    path = str(tmp_path / "model.pt")
    model.save(path)
    loaded = type(model).load(path)
    assert_equal(loaded.predict(**settings), model.predict(**settings))


@conformance
def check_weights_are_loaded_into_a_new_model(make, tmp_path):
    model, series, expected = _trained(make)
    path = str(tmp_path / "model.pt")
    model.save(path)
    other = make(random_state=8)
    other.load_weights(path)
    assert_equal(other.predict(9, series), expected)
    other.fit(wave())
    assert distance(other.predict(9, series), expected) > 1e-4


@conformance
def check_checkpoints_are_resumed(make, tmp_path):
    """Training goes on as if it had not been interrupted, and counts all epochs."""
    place = {"model_name": "checked", "work_dir": str(tmp_path)}
    steady = {
        "lr_scheduler_cls": torch.optim.lr_scheduler.ConstantLR,
        "lr_scheduler_kwargs": {"factor": 1.0},
        "optimizer_kwargs": {"weight_decay": 0.1},
    }
    series, validation = wave(), wave(seed=1)
    model = make(save_checkpoints=True, **place, **steady)
    expected = model.fit(series, val_series=validation).predict(9)
    loaded = type(model).load_from_checkpoint(**place, best=False)
    assert loaded.epochs_trained == 2
    assert_equal(loaded.predict(9, series), expected)
    loaded.fit(series, val_series=validation, epochs=5)
    assert loaded.epochs_trained == 5
    straight = make(n_epochs=5, **steady).fit(series)
    assert_close(loaded.predict(9), straight.predict(9))


# -- randomness ---------------------------------------------------------------------


@conformance
def check_the_global_random_states_are_left_alone(make):
    def states():
        return [
            torch.get_rng_state().tolist(),
            [np.asarray(one).tolist() for one in np.random.get_state()],  # noqa: NPY002
            random.getstate(),
        ]

    series, before = wave(), states()
    model = make(likelihood=GaussianLikelihood()).fit(series)
    model.predict(9, num_samples=3)
    lists_of_forecasts(model, series, num_samples=2)
    assert states() == before


@conformance
def check_the_global_random_states_are_not_read(make):
    def forecast(seed):
        torch.manual_seed(seed)
        np.random.seed(seed)  # noqa: NPY002  # the global state is what is meant
        model = make(likelihood=GaussianLikelihood()).fit(wave())
        return model.predict(9, num_samples=3)

    with _kept_random_states():
        assert_equal(forecast(1), forecast(2))


@contextmanager
def _kept_random_states():
    """Restore the global random states of numpy and torch."""
    states = torch.get_rng_state(), np.random.get_state()  # noqa: NPY002
    try:
        yield
    finally:
        torch.set_rng_state(states[0])
        np.random.set_state(states[1])  # noqa: NPY002


@conformance
def check_a_random_state_fixes_the_forecast(make):
    series = wave()
    first, again, other = (
        make(random_state=seed).fit(series).predict(9) for seed in (1, 1, 2)
    )
    assert_equal(first, again)
    assert distance(first, other) > 1e-6  # of two small steps of fine-tuning


@conformance
def check_a_random_state_fixes_the_samples(make):
    model = make(likelihood=GaussianLikelihood()).fit(wave())
    first, again, other = (
        model.predict(9, num_samples=10, random_state=seed) for seed in (1, 1, 2)
    )
    assert_equal(first, again)
    assert distance(first, other) > 0.01
    assert np.ptp(first.all_values(), axis=2).min() > 0.01


@conformance
def check_fits_in_threads_are_like_the_serial_ones(make):
    series, seeds = wave(), [1, 2, 3, 4] * 2

    def forecast(seed):
        model = make(random_state=seed, likelihood=GaussianLikelihood()).fit(series)
        return model.predict(9, num_samples=3)

    with ThreadPoolExecutor(8) as pool:
        parallel = list(pool.map(forecast, seeds))
    serial = {seed: forecast(seed) for seed in set(seeds)}
    assert_equal(parallel, [serial[seed] for seed in seeds])


# -- surroundings -------------------------------------------------------------------


@conformance
def check_nothing_is_written_unasked(make, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model = make().fit(wave(), val_series=wave(seed=1))
    model.predict(9)
    lists_of_forecasts(model, wave())
    copy.deepcopy(model)
    assert list(Path.cwd().iterdir()) == []


@conformance
def check_nothing_is_printed_or_logged_unasked(make, capfd):
    """Neither printed nor logged as information or more."""
    with _logged() as records:
        model = make().fit(wave(), val_series=wave(seed=1))
        model.predict(9)
        lists_of_forecasts(model, wave())
    assert records.getvalue() == ""
    assert capfd.readouterr() == ("", "")


@contextmanager
def _logged():
    """Collect what reaches the root logger, or a logger that tells it nothing."""
    records = io.StringIO()
    handler = logging.StreamHandler(records)
    known = [logging.root, *logging.root.manager.loggerDict.values()]
    loggers = [
        one
        for one in known
        if isinstance(one, logging.Logger) and not (one.parent and one.propagate)
    ]
    level = logging.root.level
    logging.root.setLevel(logging.INFO)
    for one in loggers:
        one.addHandler(handler)
    try:
        yield records
    finally:
        logging.root.setLevel(level)
        for one in loggers:
            one.removeHandler(handler)


# -- darts' machinery ---------------------------------------------------------------


@conformance
def check_a_grid_search_finds_the_best_settings(make):
    series = wave(72)
    model = make()
    settings = {name: [value] for name, value in model.model_params.items()}
    best, found, error = type(model).gridsearch(
        {**settings, "n_epochs": [1, 10]},
        series[:60],
        val_series=series[60:],
        metric=mae,
    )
    errors = {
        n_epochs: mae(series, make(n_epochs=n_epochs).fit(series[:60]).predict(12))
        for n_epochs in (1, 10)
    }
    assert found["n_epochs"] == min(errors, key=errors.get)
    assert best.n_epochs == found["n_epochs"]
    assert_allclose(error, min(errors.values()), rtol=1e-5)


@conformance
def check_an_ensemble_is_the_mean_of_its_models(make):
    series = wave()
    models = [make(random_state=seed) for seed in (1, 2)]
    expected = np.mean(
        [
            make(random_state=seed).fit(series).predict(CHUNK).values()
            for seed in (1, 2)
        ],
        0,
    )
    found = NaiveEnsembleModel(models).fit(series).predict(CHUNK)
    assert_allclose(found.values(), expected, rtol=1e-5, atol=1e-6)


@conformance
def check_an_ensemble_by_regression_forecasts(make):
    """A regression on fair forecasts of a sine forecasts it as well."""
    series = wave(132)
    settings = {**LEARNING, "n_epochs": 8}
    models = [make(random_state=seed, **settings) for seed in (1, 2)]
    ensemble = RegressionEnsembleModel(models, regression_train_n_points=24)
    forecast = ensemble.fit(series[:120]).predict(CHUNK)
    assert mae(series, forecast) < 0.4


@conformance
def check_conformal_intervals_are_around_the_forecast(make):
    series = wave(120)
    model = make(n_epochs=5).fit(series[:60])
    conformal = ConformalNaiveModel(model, quantiles=[0.1, 0.5, 0.9], cal_length=20)
    low, middle, high = (
        conformal.predict(CHUNK, series, predict_likelihood_parameters=True).values().T
    )
    assert_allclose(middle, model.predict(CHUNK, series).values()[:, 0], atol=1e-6)
    errors = lists_of_forecasts(model, series, 1, first=99)[:20]
    widths = [mae(series, one) for one in errors]
    assert_allclose(high[0] - middle[0], middle[0] - low[0], rtol=1e-5)
    assert min(widths) <= high[0] - middle[0] <= max(widths)
