"""Copies, pickles and files: each gives back the forecaster, to the last bit."""

import multiprocessing
import operator
import pickle
import zipfile
from concurrent.futures import ProcessPoolExecutor

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_array_equal
from sktime.exceptions import NotFittedError

from lstm_forecasters.errors import FileFormatError, ParameterTypeError
from lstm_forecasters.sktime import (
    PretrainedLSTMForecaster,
    StackedLSTMForecaster,
    VanillaLSTMForecaster,
)

pytest.register_assert_rewrite("tests.with_sktime.conformance")

from tests.with_sktime.conformance import (  # noqa: E402  # is rewritten
    WAYS,
    assert_alike,
    by_load_from_path,
    by_pickle,
)


@pytest.fixture
def make(make_any):
    """Return a function that constructs a small forecaster, pretrained ones too."""
    return make_any


@pytest.fixture(params=WAYS, ids=lambda way: way.__name__)
def round_trip(request, tmp_path):
    """Each way to and from a copy."""
    return lambda forecaster: request.param(forecaster, tmp_path)


INDEXES = {
    "weeks": lambda n: pd.period_range("2001-01-05", periods=n, freq="W"),
    "two months": lambda n: pd.period_range("2001-01", periods=n, freq="2M"),
    "quarters": lambda n: pd.period_range("2001Q2", periods=n, freq="Q-NOV"),
    "hours": lambda n: pd.period_range("2001-01-01 05", periods=n, freq="h"),
    "month ends": lambda n: pd.date_range("1999-11-30", periods=n, freq="ME"),
    "business days": lambda n: pd.bdate_range("2000-02-25", periods=n),
    "mondays": lambda n: pd.date_range("2000-02-28", periods=n, freq="W-MON"),
    "milliseconds": lambda n: pd.date_range("2000-01-01", periods=n, freq="10ms"),
    "over a clock change": lambda n: pd.date_range(
        "2024-03-30 12:00", periods=n, freq="h", tz="Europe/Berlin"
    ),
    "integers": lambda n: pd.RangeIndex(100, 100 + n, name="step"),
}


@pytest.mark.parametrize("kind", INDEXES)
@pytest.mark.parametrize("way", [by_pickle, by_load_from_path])
def test_every_time_axis_comes_along(small, y, tmp_path, kind, way):
    series = y.set_axis(INDEXES[kind](len(y)))
    forecaster = VanillaLSTMForecaster(**small, sp=12, horizon=6).fit(series[:60])
    assert_alike(way(forecaster, tmp_path), forecaster, series[60:])


def test_containers_come_along(small, y, round_trip):
    """Arrays are answered with arrays, frames with frames."""
    for data in (y.to_numpy(), y.reset_index(drop=True).to_frame("a")):
        forecaster = VanillaLSTMForecaster(**small, sp=12, horizon=6).fit(data)
        twin = round_trip(forecaster)
        expected, found = forecaster.predict(fh=[1, 8]), twin.predict(fh=[1, 8])
        assert type(found) is type(expected)
        assert_array_equal(found, expected)


def test_hierarchies_come_along(small, seasonal, round_trip):
    data = pd.concat(
        {
            key: seasonal(40, seed=number).to_frame("sales")
            for number, key in enumerate([("n", 2), ("n", 1), ("m", 1)])
        },
        names=["region", "shop", "month"],
    )
    forecaster = VanillaLSTMForecaster(**small, horizon=6).fit(data)
    assert_alike(round_trip(forecaster), forecaster, data)


def test_a_file_without_context_is_a_pretrained_network(make, panel, y, tmp_path):
    """Fitted or only pretrained: the file holds the network, and none of the data."""
    path = tmp_path / "network.safetensors"
    pretrained = make(horizon=6).pretrain(panel)
    fitted = pretrained.clone().fit(y)
    expected = fitted.predict(fh=[-2, 1, 8])
    for forecaster in (pretrained, fitted):
        forecaster.to_file(path)
        opened = type(forecaster).from_file(path)
        with pytest.raises(NotFittedError):
            opened.predict(fh=[1])
        assert_array_equal(opened.fit(y).predict(fh=[-2, 1, 8]), expected)
    number = np.float64(y.iloc[17]).tobytes()
    assert number not in path.read_bytes()
    fitted.to_file(path, keep_context=True)
    assert number in path.read_bytes()


def test_what_is_not_fitted_is_not_written(make, tmp_path):
    with pytest.raises(NotFittedError):
        make().to_file(tmp_path / "nothing")
    assert list(tmp_path.iterdir()) == []


def test_another_class_does_not_open_the_file(small, y, tmp_path):
    forecaster = VanillaLSTMForecaster(**small).fit(y, fh=[1])
    forecaster.to_file(tmp_path / "network")
    forecaster.save(tmp_path / "forecaster").close()
    message = r"VanillaLSTM, not a StackedLSTM.*VanillaLSTMForecaster"
    with pytest.raises(FileFormatError, match=message):
        StackedLSTMForecaster.from_file(tmp_path / "network")
    with pytest.raises(FileFormatError, match=message):
        StackedLSTMForecaster.load_from_path(tmp_path / "forecaster.zip")


def test_damaged_files_are_refused(small, y, tmp_path):
    forecaster = VanillaLSTMForecaster(**small).fit(y, fh=[1])
    path = tmp_path / "network"
    forecaster.to_file(path, keep_context=True)
    whole = path.read_bytes()
    flipped = bytearray(whole)
    flipped[-5] ^= 1
    for damaged in (
        whole[:-1],
        whole[: len(whole) // 2],
        b"",
        bytes(flipped),
        b"x" * 99,
    ):
        path.write_bytes(damaged)
        with pytest.raises(FileFormatError, match="network"):
            VanillaLSTMForecaster.from_file(path)
    archive = tmp_path / "forecaster.zip"
    forecaster.save(tmp_path / "forecaster").close()
    archive.write_bytes(archive.read_bytes()[:-30])
    with pytest.raises(FileFormatError, match=r"forecaster\.zip"):
        VanillaLSTMForecaster.load_from_path(archive)
    path.write_bytes(whole)
    assert VanillaLSTMForecaster.from_file(path).is_fitted


class Malicious:
    """Leave a trace when unpickled."""

    def __reduce__(self):
        return (pytest.fail, ("a file was executed",))


def test_load_from_path_unpickles_nothing(small, y, tmp_path):
    """Neither the name of the class nor the state."""
    forecaster = VanillaLSTMForecaster(**small).fit(y, fh=[1])
    forecaster.save(tmp_path / "forecaster").close()
    with zipfile.ZipFile(tmp_path / "forecaster.zip") as file:
        state = file.read("_obj")
    hostile = pickle.dumps(Malicious())
    path = tmp_path / "hostile.zip"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("_metadata", hostile)
        file.writestr("_obj", state)
    opened = VanillaLSTMForecaster.load_from_path(path)
    assert_array_equal(opened.predict(), forecaster.predict())
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("_metadata", hostile)
        file.writestr("_obj", hostile)
    with pytest.raises(FileFormatError):
        VanillaLSTMForecaster.load_from_path(path)
    with pytest.raises(FileFormatError):
        VanillaLSTMForecaster.load_from_serial(hostile)


def test_parameters_that_are_no_data_are_refused(small, y, tmp_path):
    small["random_state"] = np.random.RandomState(0)
    forecaster = VanillaLSTMForecaster(**small).fit(y, fh=[1])
    with pytest.raises(ParameterTypeError, match=r"RandomState.*pickle"):
        forecaster.to_file(tmp_path / "network")
    assert list(tmp_path.iterdir()) == []


def test_another_process_forecasts_the_same(small, y, forecasters):
    """Sent by pickle to a process that starts from nothing, before fit and after."""
    unfitted = [each(**small, horizon=6) for each in forecasters]
    unfitted += [
        PretrainedLSTMForecaster(fine_tune_steps=n, random_state=3) for n in (0, 2)
    ]
    fitted = [each.clone().fit(y) for each in unfitted]
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        found = list(pool.map(operator.methodcaller("predict", fh=[1, 4, 9]), fitted))
        there = list(pool.map(operator.methodcaller("fit", y), unfitted))
    for forecaster, forecast, other in zip(fitted, found, there, strict=True):
        expected = forecaster.predict(fh=[1, 4, 9])
        assert_array_equal(forecast, expected)
        assert_array_equal(other.predict(fh=[1, 4, 9]), expected)
