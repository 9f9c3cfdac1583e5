"""Memory stays: over many fits, and in proportion to the data."""

import sys

import pytest

from tests.processes import MEMORY, answer_of, architectures

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="Linux tells the peak of a process's memory"
)

FITS = """
import numpy as np
from darts import TimeSeries
from lstm_forecasters import darts

settings = {"hidden_size": 8, "pl_trainer_kwargs": {"max_steps": 3}}
if name == "Pretrained":
    settings = {"fine_tune_steps": 1}
model_class = getattr(darts, name + "LSTMModel")
series = TimeSeries.from_values(np.random.default_rng(0).normal(size=20_000).cumsum())

def fit():
    model = model_class(24, 12, batch_size=8, random_state=0, **settings)
    model.fit(series).predict(3)

print(growth(fit))
"""

LARGE = """
import numpy as np
import pandas as pd
from darts import TimeSeries
from lstm_forecasters import darts

settings = {"hidden_size": 4, "pl_trainer_kwargs": {"max_steps": 2}}
if name == "Pretrained":
    settings = {"fine_tune_steps": 2}
model_class = getattr(darts, name + "LSTMModel")
months = pd.date_range("1980-01", periods=500, freq="MS")

def fit(n_series):
    generator = np.random.default_rng(0)
    series = [
        TimeSeries.from_times_and_values(months, generator.normal(size=500))
        for _ in range(n_series)
    ]
    model = model_class(24, 12, random_state=0, **settings)
    return peak(lambda: model.fit(series))

fit(2)  # what a first fit loads
print(fit(5000))
"""


@pytest.mark.parametrize("name", architectures("Stacked", "Pretrained"))
def test_many_fits_take_no_more_memory_than_a_few(name):
    """One kept copy of the series would take 8 MiB more."""
    assert answer_of(MEMORY, f"name = {name!r}", FITS) < 4


@pytest.mark.parametrize("name", architectures("Vanilla", "Pretrained"))
def test_a_large_list_takes_a_small_multiple_of_its_own_memory(name):
    """Its windows are gathered batch by batch: all of them would take 36 times it."""
    peak = answer_of(MEMORY, f"name = {name!r}", LARGE)
    assert peak < 12 * 5000 * 500 * 8 / 2**20
