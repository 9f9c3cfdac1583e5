"""Randomness is local: one seed one forecast, anywhere, and nothing global touched."""

import copy
import random
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.testing import assert_array_equal

FH = range(1, 10)


@pytest.fixture
def forecast(make, y):
    """Return a function from a seed to forecasts of every kind, as one array."""

    def run(seed, **settings):
        forecaster = make(random_state=seed, horizon=6, **settings).fit(y[:60])
        points = forecaster.predict(fh=FH)
        quantiles = forecaster.predict_quantiles(fh=FH, alpha=[0.1, 0.9])
        updated = forecaster.update(y[60:]).predict(fh=FH)
        return np.c_[points, quantiles, updated]

    return run


def settings_with_dropout(forecaster_class):
    """Return settings that draw random numbers in training, where there are any."""
    has_layers = "num_layers" in forecaster_class.get_param_names()
    return {"num_layers": 2, "dropout": 0.3} if has_layers else {}


def test_the_same_seed_gives_the_same_forecast(forecast, forecaster_class):
    settings = settings_with_dropout(forecaster_class)
    first = forecast(1, **settings)
    assert_array_equal(first, forecast(1, **settings))
    assert np.abs(first - forecast(2, **settings)).min() > 0
    assert np.abs(forecast(None, **settings) - forecast(None, **settings)).max() > 0


def test_ensembles_have_the_seed_of_one_network(forecast, forecaster_class):
    settings = {**settings_with_dropout(forecaster_class), "n_members": 3}
    first = forecast(1, **settings)
    assert_array_equal(first, forecast(1, **settings))
    assert np.abs(first - forecast(2, **settings)).min() > 0


def test_a_random_state_is_a_seed_as_well(forecast):
    first = forecast(np.random.RandomState(1))
    assert_array_equal(first, forecast(np.random.RandomState(1)))
    assert np.abs(first - forecast(np.random.RandomState(2))).min() > 0


def test_fits_in_threads_equal_the_serial_ones(forecast, forecaster_class):
    settings = settings_with_dropout(forecaster_class)
    seeds = [1, 2, 3, 4] * 2
    with ThreadPoolExecutor(8) as pool:
        parallel = list(pool.map(lambda seed: forecast(seed, **settings), seeds))
    serial = {seed: forecast(seed, **settings) for seed in set(seeds)}
    for seed, found in zip(seeds, parallel, strict=True):
        assert_array_equal(found, serial[seed])


def test_global_random_states_are_neither_read_nor_written(forecast, forecaster_class):
    settings = settings_with_dropout(forecaster_class)
    forecasts = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        np.random.seed(seed)  # noqa: NPY002  # the global state is what is tested
        random.seed(seed)
        before = torch.get_rng_state(), np.random.get_state(), random.getstate()  # noqa: NPY002
        forecasts.append(forecast(5, **settings))
        after = torch.get_rng_state(), np.random.get_state(), random.getstate()  # noqa: NPY002
        assert torch.equal(before[0], after[0])
        assert_array_equal(before[1][1], after[1][1])
        assert before[1][2:] == after[1][2:]
        assert before[2] == after[2]
    assert_array_equal(*forecasts)


def test_no_seed_leaves_global_random_states_alone(make, y):
    before = torch.get_rng_state(), np.random.get_state()  # noqa: NPY002
    make(random_state=None, horizon=6).fit(y).predict_quantiles(fh=FH, alpha=[0.1])
    assert torch.equal(before[0], torch.get_rng_state())
    assert_array_equal(before[1][1], np.random.get_state()[1])  # noqa: NPY002


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
for name in ("Vanilla", "Stacked", "Bidirectional", "EncoderDecoder"):
    forecaster_class = getattr(sktime, name + "LSTMForecaster")
    forecaster = forecaster_class(
        hidden_size=8, max_steps=25, batch_size=16, random_state=3, horizon=6
    )
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
                name, *numbers = line.split()
                found[name] = [float.fromhex(number) for number in numbers]
        return found

    return run


def test_another_process_gives_the_same_forecast(
    make, forecaster_class, y, from_another_process
):
    forecaster = make(horizon=6).fit(y)
    here = forecaster.predict_quantiles(fh=FH, alpha=[0.1, 0.5])
    there = from_another_process(y)
    name = forecaster_class.__name__.removesuffix("LSTMForecaster")
    assert_array_equal(here.to_numpy().ravel(), there[name])


def test_predict_writes_nothing(make, y, X):
    """Beyond the horizon that sktime notes: every attribute keeps its value."""
    forecaster = make(horizon=6).fit(y[:60], X[:60], fh=[1, 2, 9])
    kept = dict(vars(forecaster))
    weights = {k: v.clone() for k, v in forecaster.network_.state_dict().items()}
    context = [one.values.copy() for one in forecaster._context.series]
    forecaster.predict(X=X[60:])
    forecaster.predict_quantiles(X=X[60:], alpha=[0.1])
    forecaster.predict_interval(X=X[60:])
    forecaster.predict_var(X=X[60:])
    forecaster.predict_proba(X=X[60:])
    now = dict(vars(forecaster))
    assert now.keys() == kept.keys()
    # sktime notes the horizon anew in each predict: an equal one.
    assert list(now.pop("_fh")) == list(kept.pop("_fh"))
    assert [name for name in kept if now[name] is not kept[name]] == []
    for name, value in forecaster.network_.state_dict().items():
        assert_array_equal(value, weights[name])
    for one, values in zip(forecaster._context.series, context, strict=True):
        assert_array_equal(one.values, values)


def test_data_that_was_passed_is_neither_changed_nor_kept_by_reference(make, y, X):
    X[X > 2] = np.nan
    y.iloc[7] = np.nan
    whole = y.to_frame()
    values_of_y, values_of_X = (
        whole[:60].to_numpy(copy=True),
        X[:60].to_numpy(copy=True),
    )
    given_y = pd.DataFrame(values_of_y, y.index[:60], whole.columns, copy=False)
    given_X = pd.DataFrame(values_of_X, X.index[:60], X.columns, copy=False)
    ahead = X[60:].copy()
    new_y, new_X = whole[60:].copy(), X[60:72].copy()
    forecaster = make(horizon=6).fit(given_y, given_X, fh=range(1, 9))
    twin = copy.deepcopy(forecaster)
    forecaster.predict(X=ahead)
    assert given_y.equals(whole[:60])
    assert given_X.equals(X[:60])
    assert ahead.equals(X[60:])
    values_of_y[:], values_of_X[:] = -1.0, -1.0
    assert_array_equal(forecaster.predict(X=ahead), twin.predict(X=ahead))
    for one in (forecaster, twin):
        one.update(new_y, new_X, update_params=False)
    assert new_y.equals(whole[60:])
    assert new_X.equals(X[60:72])
    assert_array_equal(forecaster.predict(X=X[72:]), twin.predict(X=X[72:]))


def test_silent_by_default_and_no_files(make, y, capfd, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make().fit(y, fh=[1, 2]).predict()
    assert capfd.readouterr() == ("", "")
    assert list(tmp_path.iterdir()) == []
    make(verbose=True).fit(y, fh=[1, 2]).predict()
    output = capfd.readouterr()
    assert output.out == ""
    assert "25/25" in output.err
    assert "loss=" in output.err
