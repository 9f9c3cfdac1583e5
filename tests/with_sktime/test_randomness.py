"""One seed, one forecast: in another process as well."""

import subprocess
import sys

import numpy as np
import pytest
from numpy.testing import assert_array_equal

FH = range(1, 10)


@pytest.fixture
def make(make_any):
    """Return a function that constructs a small forecaster, pretrained ones too."""
    return make_any


IN_ANOTHER_PROCESS = """
import sys
import pandas as pd
import torch
from lstm_forecasters import sktime

torch.set_num_threads(1)
y = pd.Series(
    [float.fromhex(value) for value in sys.argv[1].split()],
    index=pd.period_range("2000-01", periods=72, freq="M"),
)
small = {"hidden_size": 8, "max_steps": 25, "batch_size": 16}
of_name = {
    "Vanilla 0": small,
    "Stacked 0": small,
    "Bidirectional 0": small,
    "EncoderDecoder 0": small,
    "Pretrained 0": {},
    "Pretrained 5": {"fine_tune_steps": 5, "batch_size": 8},
}
for name, settings in of_name.items():
    forecaster_class = getattr(sktime, name.split()[0] + "LSTMForecaster")
    forecaster = forecaster_class(**settings, random_state=3, horizon=6)
    quantiles = forecaster.fit(y).predict_quantiles(fh=range(1, 10), alpha=[0.1, 0.5])
    print(name, *[value.hex() for value in quantiles.to_numpy().ravel().tolist()])
"""


@pytest.fixture(scope="module")
def from_another_process():
    """Return a function that has a fresh process fit and forecast, once for all."""
    found = {}

    def run(y):
        if not found:
            values = " ".join(value.hex() for value in y.tolist())
            command = [sys.executable, "-W", "error::UserWarning", "-c"]
            output = subprocess.run(
                [*command, IN_ANOTHER_PROCESS, values],
                check=True,
                capture_output=True,
                text=True,
            )
            for line in output.stdout.splitlines():
                name, steps, *numbers = line.split()
                found[name, int(steps)] = [float.fromhex(number) for number in numbers]
        return found

    return run


def test_another_process_gives_the_same_forecast(make, y, from_another_process):
    forecaster = make(horizon=6).fit(y)
    here = forecaster.predict_quantiles(fh=FH, alpha=[0.1, 0.5])
    there = from_another_process(y)
    name = type(forecaster).__name__.removesuffix("LSTMForecaster")
    expected = there[name, forecaster.fine_tune_steps]
    assert_array_equal(here.to_numpy().ravel(), expected)


def test_a_random_state_of_numpy_draws_the_seed_from_all_of_31_bits(make, y):
    seed = int(np.random.RandomState(0).randint(2**31 - 1))
    forecasts = [
        make(random_state=one).fit(y).predict(fh=FH)
        for one in (seed, np.random.RandomState(0))
    ]
    assert_array_equal(*forecasts)
