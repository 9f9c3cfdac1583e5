"""Memory stays: over many fits, and in proportion to the data. So does the time."""

import sys

import numpy as np
import pandas as pd
import pytest

from lstm_forecasters import sktime
from lstm_forecasters.sktime import base
from tests.processes import MEMORY, answer_of, architectures

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="Linux tells the peak of a process's memory"
)

FITS = """
import numpy as np
import pandas as pd
from lstm_forecasters import sktime

settings = {"hidden_size": 8, "max_steps": 3}
if name == "Pretrained":
    settings = {"window_length": 24, "fine_tune_steps": 1}
forecaster_class = getattr(sktime, name + "LSTMForecaster")
y = pd.Series(np.random.default_rng(0).normal(size=20_000).cumsum())

def fit():
    forecaster = forecaster_class(**settings, batch_size=8, sp=12, random_state=0)
    forecaster.fit(y, fh=[1, 2, 3]).predict()

print(growth(fit))
"""

LARGE = """
import numpy as np
import pandas as pd
from lstm_forecasters import sktime

settings = {"hidden_size": 4, "max_steps": 2}
if name == "Pretrained":
    settings = {"fine_tune_steps": 2}
forecaster_class = getattr(sktime, name + "LSTMForecaster")

def fit(n_series):
    months = pd.period_range("1980-01", periods=500, freq="M")
    index = pd.MultiIndex.from_product([range(n_series), months])
    values = np.random.default_rng(0).normal(size=len(index))
    y = pd.DataFrame({"sales": values}, index=index)
    forecaster = forecaster_class(**settings, window_length=24, random_state=0)
    return peak(lambda: forecaster.fit(y, fh=range(1, 13)))

fit(2)  # what a first fit loads
print(fit(5000))
"""


@pytest.mark.parametrize("name", architectures("Stacked", "Pretrained"))
def test_many_fits_take_no_more_memory_than_a_few(name):
    """One kept copy of the series would take 8 MiB more."""
    assert answer_of(MEMORY, f"name = {name!r}", FITS) < 4


@pytest.mark.parametrize("name", architectures("Vanilla", "Pretrained"))
def test_a_large_panel_takes_a_small_multiple_of_its_own_memory(name):
    """Its windows are gathered batch by batch: all of them would take 36 times it."""
    peak = answer_of(MEMORY, f"name = {name!r}", LARGE)
    assert peak < 13 * 5000 * 500 * 8 / 2**20


@pytest.mark.parametrize("name", ["Vanilla", "Pretrained"])
def test_a_fit_and_an_update_lay_the_series_out_once_each(name, monkeypatch):
    """Windows of many series take longer than the steps of training on them."""
    steps = {"Vanilla": "max_steps", "Pretrained": "fine_tune_steps"}[name]
    forecaster = getattr(sktime, name + "LSTMForecaster")(**{steps: 2}, sp=2)
    made, windows = [], base.Windows
    monkeypatch.setattr(
        base, "Windows", lambda *args: made.append(windows(*args)) or made[-1]
    )
    y = pd.Series(np.random.default_rng(0).normal(size=40).cumsum())
    forecaster.fit(y[:30], fh=[1, 2])
    assert made == [forecaster._windows]
    forecaster.update(y[30:])
    assert made[1:] == [forecaster._windows]
