"""Saved forecasters answer in the container that they were fitted with."""

import numpy as np
import pandas as pd
import pytest
from sktime.base import load
from sktime.datatypes import convert_to
from sktime.exceptions import NotFittedError

from lstm_forecasters.errors import (
    ParameterError,
    ParameterTypeError,
)
from lstm_forecasters.sktime import PretrainedLSTMForecaster, VanillaLSTMForecaster

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


@pytest.fixture(params=[VanillaLSTMForecaster, PretrainedLSTMForecaster])
def unfitted(request, small):
    """A forecaster that was trained on its series, or before."""
    if request.param is VanillaLSTMForecaster:
        return VanillaLSTMForecaster(**small)
    return PretrainedLSTMForecaster(window_length=24, random_state=3)


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
def test_every_container_comes_back(unfitted, y, panel, tmp_path, way, kind):
    data = containers(y, panel)[kind]
    forecaster = unfitted.fit(data, fh=[1, 2, 14])
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


def test_what_cannot_be_written_is_refused_before_the_file_is_touched(
    unfitted, y, tmp_path
):
    path = tmp_path / "network"
    path.write_bytes(b"old")
    unfitted.set_params(random_state=np.random.RandomState(0))
    forecaster = unfitted.clone().fit(y)
    with pytest.raises(ParameterTypeError, match="cannot be written"):
        forecaster.to_file(path)
    with pytest.raises(NotFittedError):
        unfitted.to_file(path)
    with pytest.raises(ParameterError, match="Did you mean 'pickle'"):
        forecaster.save(serialization_format="pikle")
    assert path.read_bytes() == b"old"


def test_an_unfitted_forecaster_can_be_saved(unfitted):
    other = load(unfitted.save())
    assert other.get_params() == unfitted.get_params()
    assert other.state == "new"


NUMBERS = {
    "window_length": np.int64(14),
    "horizon": np.int32(3),
    "sp": np.int64(12),
    "hidden_size": np.int32(4),
    "segment_length": np.int64(2),
    "n_members": np.int8(2),
    "joint_channels": np.bool_(True),
    "max_steps": np.int64(12),
    "fine_tune_steps": np.int64(2),
    "batch_size": np.int16(8),
    "learning_rate": np.float32(2**-8),
    "validation_fraction": np.float64(0.25),
    "patience": np.uint8(3),
    "random_state": np.int64(3),
}
"""Parameters as grids of numpy hold them."""


def test_numbers_of_numpy_are_those_of_python(unfitted, y, tmp_path):
    """In every use, and in files; ``get_params`` gives what was passed."""
    known = unfitted.get_param_names()
    given = {name: value for name, value in NUMBERS.items() if name in known}
    own = {name: value.item() for name, value in given.items()}
    checkpoint = tmp_path / "checkpoint"
    forecaster = type(unfitted)(**given, checkpoint=checkpoint)
    expected = type(unfitted)(**own, checkpoint=checkpoint)
    for one in (forecaster, expected):
        one.fit(y[:60], fh=[1, 2, 5])
        one.update(y[60:], update_params=True)
    assert_equal(forecaster.predict(), expected.predict())
    kept = forecaster.get_params()
    assert all(kept[name] is value for name, value in given.items())
    for way in WAYS:
        twin = way(forecaster, tmp_path)
        assert_equal(twin.predict(), expected.predict())
        read = twin.get_params()
        assert {name: read[name] for name in own} == own
