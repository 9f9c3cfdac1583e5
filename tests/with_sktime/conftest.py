"""Small forecasters and series that the tests share."""

import numpy as np
import pandas as pd
import pytest

from lstm_forecasters.sktime import (
    BidirectionalLSTMForecaster,
    EncoderDecoderLSTMForecaster,
    StackedLSTMForecaster,
    VanillaLSTMForecaster,
)

DIRECT = [VanillaLSTMForecaster, StackedLSTMForecaster, BidirectionalLSTMForecaster]
FORECASTERS = [*DIRECT, EncoderDecoderLSTMForecaster]
SMALL = {"hidden_size": 8, "max_steps": 25, "batch_size": 16, "random_state": 3}


def _short_name(forecaster_class):
    return forecaster_class.__name__.removesuffix("LSTMForecaster")


@pytest.fixture(params=FORECASTERS, ids=_short_name)
def forecaster_class(request):
    """Each of the four forecasters."""
    return request.param


@pytest.fixture
def forecasters():
    """All four forecasters at once."""
    return FORECASTERS


@pytest.fixture(params=DIRECT, ids=_short_name)
def direct_class(request):
    """Each of the forecasters that forecast their horizon in one go."""
    return request.param


@pytest.fixture
def make(forecaster_class):
    """Return a function that constructs a small forecaster of the class."""

    def make_small(**settings):
        return forecaster_class(**{**SMALL, **settings})

    return make_small


@pytest.fixture
def small():
    """Arguments of a small network that learns for some steps."""
    return dict(SMALL)


@pytest.fixture
def seasonal():
    """Return a function that draws monthly series: trend, season and noise."""

    def draw(n_steps=72, seed=0, noise=1.0, start="2000-01"):
        generator = np.random.default_rng(seed)
        step = np.arange(n_steps)
        phase = generator.uniform(0, 2 * np.pi)
        values = 100 + 0.3 * step + 10 * np.sin(2 * np.pi * step / 12 + phase)
        values += noise * generator.normal(size=n_steps)
        index = pd.period_range(start, periods=n_steps, freq="M")
        return pd.Series(values, index=index, name="sales")

    return draw


@pytest.fixture
def y(seasonal):
    """Six years of months."""
    return seasonal()


@pytest.fixture
def X(y):
    """Two covariates that cover the series and two years more."""
    generator = np.random.default_rng(5)
    index = pd.period_range(y.index[0], periods=len(y) + 24, freq="M")
    return pd.DataFrame(
        generator.normal(size=(len(index), 2)), index=index, columns=["price", "ads"]
    )


@pytest.fixture
def panel(seasonal):
    """Three series of unequal length, start and end, their keys not in sorted order."""
    series = {
        "b": seasonal(60, seed=1),
        "c": seasonal(40, seed=2),
        "a": seasonal(52, seed=3, start="1999-09"),
    }
    frames = [one.to_frame("sales") for one in series.values()]
    return pd.concat(frames, keys=list(series), names=["shop", "month"])


@pytest.fixture
def hierarchy(seasonal):
    """Two regions with two shops each, of unequal length."""
    lengths = {("n", "x"): 48, ("n", "y"): 60, ("m", "x"): 52, ("m", "y"): 44}
    series = {
        key: seasonal(length, seed=number).to_frame("sales")
        for number, (key, length) in enumerate(lengths.items())
    }
    return pd.concat(series, names=["region", "shop", "month"])


@pytest.fixture
def complete(seasonal):
    """A seasonal series with little noise, and two seasons after its end."""
    return seasonal(120, noise=0.3)


@pytest.fixture
def driven():
    """A series that is mostly one of its covariates, and covariates of a year more."""
    generator = np.random.default_rng(4)
    index = pd.period_range("2000-01", periods=172, freq="M")
    X = pd.DataFrame(
        generator.normal(size=(len(index), 2)), index=index, columns=["driver", "idle"]
    )
    y = 50 + 4 * X["driver"] + 0.2 * generator.normal(size=len(index))
    return y.rename("sales"), X
