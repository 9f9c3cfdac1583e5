"""Files of forecasters: the same forecasts, in the same container, and no pickle."""

import os
import pickle
import zipfile

import numpy as np
import pandas as pd
import pytest
from sktime.base import load
from sktime.datatypes import convert_to
from sktime.exceptions import NotFittedError

from lstm_forecasters.errors import (
    FileFormatError,
    ParameterError,
    ParameterTypeError,
)
from lstm_forecasters.sktime import StackedLSTMForecaster, VanillaLSTMForecaster

ALPHA = [0.1, 0.5, 0.9]


def assert_equal(found, expected):
    """Compare forecasts in any of sktime's containers."""
    assert type(found) is type(expected)
    if isinstance(expected, list):
        for one, other in zip(found, expected, strict=True):
            pd.testing.assert_frame_equal(one, other)
    elif isinstance(expected, np.ndarray):
        np.testing.assert_array_equal(found, expected)
    elif isinstance(expected, pd.Series):
        pd.testing.assert_series_equal(found, expected)
    else:
        pd.testing.assert_frame_equal(found, expected)


def through_zip(forecaster, folder):
    forecaster.save(folder / "saved")
    return load(str(folder / "saved"))


def through_memory(forecaster, folder):
    return load(forecaster.save())


def through_class(forecaster, folder):
    forecaster.save(folder / "saved")
    return type(forecaster).load_from_path(folder / "saved.zip")


def through_file(forecaster, folder):
    forecaster.to_file(folder / "network.safetensors", keep_context=True)
    return type(forecaster).from_file(folder / "network.safetensors")


WAYS = [through_zip, through_memory, through_class, through_file]


def containers(y, panel):
    """Return series in the containers and on the time axes that sktime takes."""
    stamps = y.to_timestamp()
    equal = pd.concat({"a": y[:30], "b": y[:30]}, names=["i", "t"]).to_frame("sales")
    return {
        "periods": y,
        "unnamed": y.rename(None),
        "time stamps": stamps,
        "time zone": stamps.tz_localize("Europe/Berlin"),
        "integers": y.reset_index(drop=True),
        "frame": pd.DataFrame({"one": y, 2: y**2}),
        "numpy": y.to_numpy(),
        "panel": panel,
        "hierarchy": pd.concat({"x": panel}, names=["region"]),
        "numpy panel": convert_to(equal, "numpy3D"),
        "list of frames": convert_to(equal, "df-list"),
    }


KINDS = ["periods", "unnamed", "time stamps", "time zone", "integers", "frame"]
KINDS += ["numpy", "panel", "hierarchy", "numpy panel", "list of frames"]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", KINDS)
def test_every_container_comes_back(small, y, panel, tmp_path, way, kind):
    data = containers(y, panel)[kind]
    forecaster = VanillaLSTMForecaster(**small).fit(data, fh=[1, 2, 14])
    other = way(forecaster, tmp_path)
    assert other.get_params() == forecaster.get_params()
    assert_equal(other.predict(), forecaster.predict())
    for method in ("predict_quantiles", "predict_var"):
        arguments = {"alpha": ALPHA} if method == "predict_quantiles" else {}
        assert_equal(
            getattr(other, method)(fh=[-1, 1], **arguments),
            getattr(forecaster, method)(fh=[-1, 1], **arguments),
        )
    pd.testing.assert_index_equal(other.cutoff, forecaster.cutoff, exact="equiv")


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("likelihood", [None, "quantile", "normal", "student_t"])
def test_every_network_comes_back(make, panel, tmp_path, way, likelihood):
    forecaster = make(likelihood=likelihood, max_steps=3).fit(panel, fh=[1, 2, 14])
    assert_equal(way(forecaster, tmp_path).predict(), forecaster.predict())


def test_updates_go_on_after_loading(make, y, X, tmp_path):
    settings = {"past_covariates": ["ads"], "likelihood": "student_t"}
    forecaster = make(**settings).fit(y[:60], X=X[:60], fh=[1, 2])
    other = through_file(forecaster, tmp_path)
    for one in (forecaster, other):
        one.update(y[60:], X=X[60:72])
    ahead = X[["price"]][72:74]
    assert_equal(other.predict(X=ahead), forecaster.predict(X=ahead))
    before, after = (
        one.predict_proba(X=ahead).ppf(pd.DataFrame(0.9, ahead.index, ["sales"]))
        for one in (forecaster, other)
    )
    assert_equal(after, before)


def test_without_context_the_network_comes_back_pretrained(make, y, seasonal, tmp_path):
    path = tmp_path / "network.safetensors"
    forecaster = make().fit(y, fh=[1, 2, 3])
    forecaster.to_file(path)
    other = type(forecaster).from_file(path)
    assert other.state == "pretrained"
    with pytest.raises(NotFittedError):
        other.predict(fh=[1])
    assert_equal(other.fit(y, fh=[1, 2, 3]).predict(), forecaster.predict())
    elsewhere = seasonal(50, seed=9)
    expected = forecaster.update(elsewhere, update_params=False).predict()
    assert_equal(other.clone().fit(elsewhere, fh=[1, 2, 3]).predict(), expected)
    assert y.to_numpy().tobytes() not in path.read_bytes()


def test_a_pretrained_forecaster_comes_back_as_one(make, panel, y, tmp_path):
    forecaster = make(horizon=6, fine_tune_steps=3).pretrain(panel)
    forecaster.to_file(tmp_path / "pretrained")
    copies = [type(forecaster).from_file(tmp_path / "pretrained"), forecaster]
    copies.append(load(forecaster.save()))
    found = [one.clone().fit(y, fh=[1, 8]).predict() for one in copies]
    assert_equal(found[0], found[1])
    assert_equal(found[2], found[1])


def test_nothing_of_the_class_unpickles_or_executes(make, y, tmp_path, monkeypatch):
    forecaster = make(max_steps=2).fit(y, fh=[1])
    forecaster.save(tmp_path / "saved")
    forecaster.to_file(tmp_path / "network")

    def refuse(*args, **kwargs):
        raise AssertionError("unpickled")

    monkeypatch.setattr(pickle, "loads", refuse)
    monkeypatch.setattr(pickle, "load", refuse)
    monkeypatch.setattr("torch.load", refuse)
    kind = type(forecaster)
    expected = forecaster.predict()
    assert_equal(kind.load_from_path(tmp_path / "saved.zip").predict(), expected)
    assert_equal(kind.load_from_serial(forecaster.save()[1]).predict(), expected)
    kind.from_file(tmp_path / "network")


class Bomb:
    def __reduce__(self):
        return os.mkdir, ("exploded",)


def test_hostile_and_damaged_files_are_refused(tmp_path, monkeypatch, y, small):
    monkeypatch.chdir(tmp_path)
    for compression in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        with zipfile.ZipFile(tmp_path / "hostile.zip", "w", compression) as file:
            file.writestr("_metadata", pickle.dumps(VanillaLSTMForecaster))
            file.writestr("_obj", pickle.dumps(Bomb()))
        with pytest.raises(FileFormatError):
            VanillaLSTMForecaster.load_from_path(tmp_path / "hostile.zip")
    (tmp_path / "bomb.safetensors").write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(FileFormatError, match=r"bomb\.safetensors"):
        VanillaLSTMForecaster.from_file(tmp_path / "bomb.safetensors")
    assert not (tmp_path / "exploded").exists()

    VanillaLSTMForecaster(**small).fit(y).save(tmp_path / "whole")
    data = (tmp_path / "whole.zip").read_bytes()
    for size in (0, 100, len(data) // 2, len(data) - 10):
        (tmp_path / "part.zip").write_bytes(data[:size])
        with pytest.raises(FileFormatError, match=r"part\.zip"):
            VanillaLSTMForecaster.load_from_path(tmp_path / "part.zip")


def test_another_architecture_is_named(y, small, tmp_path):
    StackedLSTMForecaster(**small).fit(y).to_file(tmp_path / "stacked")
    with pytest.raises(FileFormatError, match=r"Use .* StackedLSTMForecaster"):
        VanillaLSTMForecaster.from_file(tmp_path / "stacked")


def test_what_cannot_be_written_is_refused_before_the_file_is_touched(
    small, y, tmp_path
):
    path = tmp_path / "network"
    path.write_bytes(b"old")
    settings = {**small, "random_state": np.random.RandomState(0)}
    forecaster = VanillaLSTMForecaster(**settings).fit(y)
    with pytest.raises(ParameterTypeError, match="cannot be written"):
        forecaster.to_file(path)
    with pytest.raises(NotFittedError):
        VanillaLSTMForecaster().to_file(path)
    with pytest.raises(ParameterError, match="Did you mean 'pickle'"):
        forecaster.save(serialization_format="pikle")
    assert path.read_bytes() == b"old"


def test_an_unfitted_forecaster_can_be_saved(small):
    other = load(VanillaLSTMForecaster(**small).save())
    assert other.get_params() == VanillaLSTMForecaster(**small).get_params()
    assert other.state == "new"
