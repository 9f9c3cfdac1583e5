"""Series whose best forecast is known, learnt with default settings within seconds."""

import time

import numpy as np
import pandas as pd
import pytest
from sktime.datasets import load_airline

SECONDS = 20
"""Most processor time of a fit; it takes one to four on an idle core."""


def learn(forecaster_class, series, fh, **settings):
    """Fit with default settings and a seed, and refuse to wait."""
    start = time.process_time()
    forecaster = forecaster_class(random_state=0, **settings).fit(series, fh=fh)
    assert time.process_time() - start < SECONDS
    return forecaster


def monthly(values):
    """Return values as months."""
    index = pd.period_range("2000-01", periods=len(values), freq="M")
    return pd.Series(values, index=index)


@pytest.mark.parametrize("period", [12, 17])
def test_a_noiseless_sine(forecaster_class, period):
    """17 months are no season that the index suggests, and weights shrink a little."""
    series = monthly(3 + 5 * np.sin(2 * np.pi * np.arange(144) / period))
    forecast = learn(forecaster_class, series[:120], range(1, 25)).predict()
    assert np.abs(forecast - series[120:]).max() < 0.035 * series.std()


def test_a_linear_trend(forecaster_class):
    """It goes on beyond all values seen, also past the trained horizon."""
    series = monthly(7.0 + 2.0 * np.arange(180))
    forecaster = learn(forecaster_class, series[:120], range(1, 25))
    assert np.abs(forecaster.predict() - series[120:144]).max() < 0.1
    further = forecaster.predict(fh=range(1, 61))
    assert np.abs(further - series[120:]).max() < 2.0


def pattern(n_steps):
    """Return an uneven season of twelve steps around 100, standard deviation 10."""
    season = 10 * np.random.default_rng(3).normal(size=12)
    return 100 + np.tile(season, -(-n_steps // 12))[:n_steps]


def test_a_seasonal_pattern_with_a_level_shift(forecaster_class):
    """Three years after the shift, the season goes on at the new level."""
    series = monthly(pattern(132) + 30 * (np.arange(132) >= 84))
    forecast = learn(forecaster_class, series[:120], range(1, 13)).predict()
    assert np.abs(forecast - series[120:]).mean() < 1.0


def test_a_level_shift_after_the_fit_is_read_from_the_context(forecaster_class):
    """Four years later all that the network reads lies on the new level."""
    series = monthly(pattern(156) + 30 * (np.arange(156) >= 96))
    forecaster = learn(forecaster_class, series[:96], range(1, 13))
    forecaster.update(series[96:144], update_params=False)
    assert np.abs(forecaster.predict() - series[144:]).max() < 0.5


@pytest.mark.parametrize("phi", [0.95, -0.7])
def test_an_autoregressive_process(forecaster_class, phi):
    """One-step errors within 10 % of those of the best forecast, phi times the last.

    The last value itself comes close at 0.95, and is far off at -0.7.
    """
    generator = np.random.default_rng(0)
    values = [0.0]
    for shock in generator.normal(size=2700):
        values.append(phi * values[-1] + shock)
    series = pd.Series(values[201:])
    forecaster = learn(forecaster_class, series[:1000], [1])
    forecaster.update(series[1000:], update_params=False)
    fitted = forecaster.predict(fh=np.arange(1001 - len(series), 1))
    truth = series[1000:]
    best = np.abs(phi * series.shift(1)[1000:] - truth).mean()
    assert np.abs(fitted - truth).mean() < 1.1 * best


def test_airline_passengers_better_than_seasonal_naive(forecaster_class):
    y = load_airline()
    forecast = learn(forecaster_class, y[:-24], range(1, 25)).predict()
    naive = np.tile(y[-36:-24], 2)
    assert np.abs(forecast - y[-24:]).mean() < 0.75 * np.abs(naive - y[-24:]).mean()
