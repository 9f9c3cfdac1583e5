"""Files that are damaged, foreign, hostile, old, or half written."""

import functools
import io
import json
import os
import pickle
import signal
import struct
import subprocess
import sys
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal

from lstm_forecasters.errors import FileFormatError, ParameterTypeError
from lstm_forecasters.sktime import (
    BidirectionalLSTMForecaster,
    EncoderDecoderLSTMForecaster,
    PretrainedLSTMForecaster,
    StackedLSTMForecaster,
    VanillaLSTMForecaster,
)
from tests.backend.forgery import foreign_files, forged
from tests.files.write import FOLDER, FORECASTS, series

FH = [-2, 1, 2, 9]


@pytest.fixture(scope="module")
def fitted():
    """A forecaster of a series with a gap and a covariate."""
    y, X = series()
    forecaster = VanillaLSTMForecaster(hidden_size=2, max_steps=2, random_state=0)
    return forecaster.fit(y, X[:36], fh=[1, 2])


@pytest.fixture(scope="module")
def saved(fitted):
    """The bytes that ``save`` writes."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        state = fitted.save()[1]
    return zipped(("_metadata", pickle.dumps(type(fitted))), ("_obj", state))


def zipped(*entries):
    """Return a zip file of entries, some of which may have the same name."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for name, data in entries:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)  # of equal names
                file.writestr(name, data)
    return buffer.getvalue()


def state_in(saved):
    return zipfile.ZipFile(io.BytesIO(saved)).read("_obj")


def opened(folder, data, forecaster_class=VanillaLSTMForecaster):
    """Open the bytes of a zip file by the class."""
    path = folder / "forecaster.zip"
    path.write_bytes(data)
    return forecaster_class.load_from_path(path)


def refused(folder, data, match="", forecaster_class=VanillaLSTMForecaster):
    """Check that the bytes of a zip file are refused, by the file's name."""
    with pytest.raises(FileFormatError, match=rf"forecaster\.zip.*{match}"):
        opened(folder, data, forecaster_class)


def refused_network(folder, data, match="", forecaster_class=VanillaLSTMForecaster):
    """Check that the bytes of a file are refused, by the file's name."""
    path = folder / "network.safetensors"
    path.write_bytes(data)
    with pytest.raises(FileFormatError, match=rf"network\.safetensors.*{match}"):
        forecaster_class.from_file(path)


# -- zip files of save --------------------------------------------------------------


def test_the_file_of_save_is_what_the_tests_below_change(fitted, saved, tmp_path):
    fitted.save(tmp_path / "forecaster").close()
    with zipfile.ZipFile(tmp_path / "forecaster.zip") as file:
        assert file.namelist() == ["_metadata", "_obj"]
        assert {one: file.read(one) for one in file.namelist()} == {
            "_metadata": pickle.dumps(type(fitted)),
            "_obj": state_in(saved),
        }
    assert len(opened(tmp_path, saved).predict(X=series()[1][36:38])) == 2


def test_truncated_zip_files_are_refused(saved, tmp_path):
    for length in [0, 1, 4, 30, *range(50, len(saved), 211), len(saved) - 1]:
        refused(tmp_path, saved[:length])


def bytes_that_nobody_reads(saved):
    """Return the positions of headers that say nothing of name, place and content.

    Versions and flags, dates, attributes and comments of the entries; what stands
    twice, of which Python reads the copy at the end of the file; and how long the last
    name is, if it is said to go on after the end.
    """
    unread = set()
    with zipfile.ZipFile(io.BytesIO(saved)) as file:
        entries, central = file.infolist(), file.start_dir
    for entry in entries:
        unread |= set(range(entry.header_offset + 4, entry.header_offset + 26))
        unread |= {central + offset for offset in [*range(4, 10), *range(12, 16)]}
        unread |= {central + offset for offset in [*range(30, 42)]}
        central += 46 + len(entry.filename)
    unread |= {central - len(entry.filename) - 18 + offset for offset in range(2)}
    return unread | {central + offset for offset in [*range(4, 12), 20, 21]}


def test_every_flipped_bit_of_a_zip_file_is_noticed_or_not_read(
    fitted, saved, tmp_path
):
    X = series()[1]
    expected = fitted.predict(fh=FH, X=X)
    unread = bytes_that_nobody_reads(saved)
    headers = [*range(120), *range(len(saved) - 220, len(saved))]
    messages = []
    for position in sorted({*range(0, len(saved), 64), *headers}):
        for bit in (1, 16) if position in headers else (1,):
            flipped = bytearray(saved)
            flipped[position] ^= bit
            try:
                found = opened(tmp_path, bytes(flipped)).predict(fh=FH, X=X)
            except FileFormatError as error:
                messages.append(str(error))
                continue
            assert position in unread
            assert_array_equal(found, expected)
    assert len(messages) > len(headers)
    assert all("forecaster.zip" in message for message in messages)


@pytest.mark.parametrize("kind", foreign_files())
def test_files_of_other_kinds_are_refused(tmp_path, kind):
    refused(tmp_path, foreign_files()[kind])
    refused_network(tmp_path, foreign_files()[kind])


def test_a_file_in_the_place_of_the_other_is_refused(fitted, saved, tmp_path):
    refused(tmp_path, state_in(saved))
    refused_network(tmp_path, saved)


def test_other_entries_than_those_of_save_are_refused(saved, tmp_path):
    """Names that lead out of a folder, and names that stand there twice."""
    metadata, state = ("_metadata", b""), ("_obj", state_in(saved))
    assert opened(tmp_path, zipped(metadata, state)).is_fitted
    for entries in [
        [],
        [state],
        [metadata],
        [metadata, state, state],
        [metadata, state, ("_obj", b"other")],
        [metadata, metadata, state],
        [metadata, state, ("../evil", b"")],
        [metadata, state, ("/tmp/evil", b"")],
        [metadata, ("../_obj", state[1])],
        [metadata, ("_obj/", b"")],
    ]:
        refused(tmp_path, zipped(*entries), match="each once")
    assert {one.name for one in tmp_path.iterdir()} == {"forecaster.zip"}


@pytest.mark.parametrize("entry", ["_metadata", "_obj"])
def test_a_zip_bomb_is_not_unpacked(saved, tmp_path, monkeypatch, entry):
    """It is refused for being compressed, before a byte of it is read."""
    entries = {"_metadata": b"", "_obj": state_in(saved)}
    entries[entry] = bytes(10**8)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for name, data in entries.items():
            packed = zipfile.ZIP_DEFLATED if name == entry else zipfile.ZIP_STORED
            file.writestr(name, data, packed)
    bomb = buffer.getvalue()
    assert len(bomb) < 10**6

    def read(self, *args, **kwargs):
        pytest.fail("the bomb was opened")

    monkeypatch.setattr(zipfile.ZipFile, "open", read)
    with zipfile.ZipFile(io.BytesIO(bomb)) as file:
        packed, size = file.getinfo(entry).compress_size, 10**8
    lying = bomb.replace(
        struct.pack("<2L", packed, size), struct.pack("<2L", size, size)
    )
    assert lying != bomb
    for data in (bomb, lying):
        refused(tmp_path, data, match="compressed, which save never does")


def test_an_entry_that_announces_too_much_is_refused(saved, tmp_path):
    size = len(state_in(saved))
    announced = saved.replace(struct.pack("<2L", size, size), b"\xfe\xff\xff\xff" * 2)
    assert announced != saved
    refused(tmp_path, announced)


class Trap:
    """Make a folder when unpickled."""

    def __reduce__(self):
        return os.mkdir, ("trapped",)


def test_nothing_in_a_hostile_file_is_executed(saved, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    trap = pickle.dumps(Trap())
    metadata, state = ("_metadata", trap), state_in(saved)
    for data in [trap, zipped(metadata), zipped(metadata, ("_obj", trap))]:
        refused(tmp_path, data)
        refused_network(tmp_path, data)
        with pytest.raises(FileFormatError):
            VanillaLSTMForecaster.load_from_serial(data)
    torch.save(Trap(), tmp_path / "trap.pt")
    refused(tmp_path, (tmp_path / "trap.pt").read_bytes())
    refused_network(tmp_path, (tmp_path / "trap.pt").read_bytes())
    assert opened(tmp_path, zipped(metadata, ("_obj", state))).is_fitted
    assert not Path("trapped").exists()
    pickle.loads(trap)
    assert Path("trapped").exists()


# -- states with a digest that is right ---------------------------------------------


def in_extra(*keys_and_value):
    """Return what changes one value of a forecaster's state."""
    *keys, last, value = keys_and_value

    def change(content):
        described = content["extra"]
        for key in keys:
            described = described[key]
        described[last] = value

    return change


PLAIN = {"kind": "plain", "values": ["a", "b"], "name": None}
STATES = {
    "nothing": lambda content: content["extra"].clear(),
    "parameters in a list": in_extra("parameters", [1]),
    "parameters of no forecaster": in_extra("parameters", {"depth": 3}),
    "no networks": in_extra("networks", []),
    "too many networks": in_extra("networks", ["network_", "pretrained_network_"]),
    "another network than the fitted one": in_extra("networks", ["fit"]),
    "a network in the place of the class": in_extra("networks", ["__class__"]),
    "an empty context": in_extra("context", {}),
    "a time axis of words": in_extra("context", "grid", "values", ["x", "y"]),
    "an unknown frequency": in_extra("context", "grid", "freq", "QQ"),
    "two columns for one": in_extra("context", "columns", PLAIN),
    "keys of no panel": in_extra("context", "instances", PLAIN),
    "other covariates": in_extra("context", "future_covariates", ["ads"]),
    "covariates that end": in_extra("context", "past_covariates", ["price"]),
    "an unknown container": in_extra("target", "mtype", "pickle"),
    "a horizon of words": in_extra("fh", {"index": PLAIN, "is_relative": True}),
}


@pytest.mark.parametrize("change", STATES.values(), ids=STATES)
def test_states_that_are_none_are_refused(saved, tmp_path, change):
    data = forged(state_in(saved), change)
    refused_network(tmp_path, data)
    refused(tmp_path, zipped(("_metadata", b""), ("_obj", data)))


def test_a_network_in_the_place_of_a_method_is_refused(saved, tmp_path):
    def change(content):
        content["models"] *= 2
        content["extra"]["networks"] = ["network_", "predict"]

    def change_tensors(tensors):
        for name in [one for one in tensors if one.startswith("models.0.")]:
            tensors[name.replace("0", "1", 1)] = tensors[name].clone()

    data = forged(state_in(saved), change, change_tensors)
    refused_network(tmp_path, data, match=r"networks are called")


def test_a_series_of_negative_length_is_refused(saved, tmp_path):
    """Though the lengths add up, and there is a key for each series."""

    def change(content):
        content["extra"]["context"]["instances"] = PLAIN
        content["extra"]["target"]["mtype"] = "pd-multiindex"

    def change_tensors(tensors):
        tensors["extra.first"] = whole(0, 0)
        tensors["extra.length"] = whole(-1, 37)

    data = forged(state_in(saved), change, change_tensors)
    refused_network(tmp_path, data, match="the lengths are not those of the series")


def whole(*numbers):
    return torch.tensor(numbers)


ARRAYS = {
    "begins in another age": ("first", whole(10**17)),
    "begins twice": ("first", whole(0, 1)),
    "longer than its values": ("length", whole(10**15)),
    "of a negative length": ("length", whole(-36)),
    "of no length": ("length", torch.zeros(0, dtype=torch.int64)),
    "values in a row": ("values", torch.ones(36, dtype=torch.float64)),
    "values for two columns": ("values", torch.ones(36, 2, dtype=torch.float64)),
    "whole numbers": ("values", torch.ones(36, 1, dtype=torch.int64)),
    "infinite values": ("values", torch.full((36, 1), torch.inf, dtype=torch.float64)),
    "too many covariates": ("covariates", torch.ones(36, 3)),
    "covariates that are too short": ("covariates", torch.ones(3, 1)),
}


@pytest.mark.parametrize(("name", "values"), ARRAYS.values(), ids=ARRAYS)
def test_series_that_are_none_are_refused(saved, tmp_path, name, values):
    def change(tensors):
        tensors[f"extra.{name}"] = values

    data = forged(state_in(saved), change_tensors=change)
    refused_network(tmp_path, data, match="state of a forecaster")


def test_another_format_version_is_refused_by_name(saved, tmp_path):
    def change(content):
        content["format_version"] = 2

    data = forged(state_in(saved), change)
    match = "format version 2, but this version of lstm_forecasters reads 1"
    refused_network(tmp_path, data, match=match)
    refused(tmp_path, zipped(("_metadata", b""), ("_obj", data)), match=match)


def test_another_class_names_the_file(fitted, saved, tmp_path):
    fitted.to_file(tmp_path / "network.safetensors")
    message = r"network\.safetensors: the file holds a VanillaLSTM"
    with pytest.raises(FileFormatError, match=message):
        StackedLSTMForecaster.from_file(tmp_path / "network.safetensors")
    message = r"forecaster\.zip: the file holds a VanillaLSTM"
    with pytest.raises(FileFormatError, match=message):
        opened(tmp_path, saved, StackedLSTMForecaster)


def test_names_that_no_file_can_hold_are_refused(small, tmp_path):
    """Columns called by tuples, time stamps or nothing would come back as others."""
    y, X = series()
    X = X.assign(ads=X["price"] ** 2)
    for name in [("price", 1), X.index[0], np.nan]:
        named = X.set_axis(X.columns.insert(0, name)[:2], axis=1)
        named.columns = [name, "ads"]
        forecaster = VanillaLSTMForecaster(**{**small, "max_steps": 1})
        forecaster.fit(y, named[:36], fh=[1])
        with_context = functools.partial(forecaster.to_file, keep_context=True)
        for write in (forecaster.to_file, with_context, forecaster.save):
            with pytest.raises(ParameterTypeError, match=r"names, or pickle"):
                write(tmp_path / "forecaster")
    assert list(tmp_path.iterdir()) == []


# -- the pretrained network ---------------------------------------------------------


@pytest.fixture(scope="module")
def state_of_pretrained():
    """The state of a pretrained forecaster."""
    y, X = series()
    forecaster = PretrainedLSTMForecaster().fit(y, X[:36], fh=[1, 2])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        return forecaster.save()[1]


def refused_pretrained(folder, data, match=""):
    """Check that the bytes of a state are refused, alone and in a zip file."""
    refused_network(folder, data, match, PretrainedLSTMForecaster)
    packed = zipped(("_metadata", b""), ("_obj", data))
    refused(folder, packed, match, PretrainedLSTMForecaster)


def test_damaged_states_of_a_pretrained_forecaster_are_refused(
    state_of_pretrained, tmp_path
):
    """At 30 places of its half a million weights."""
    data = state_of_pretrained
    packed = zipped(("_metadata", b""), ("_obj", data))
    assert opened(tmp_path, packed, PretrainedLSTMForecaster).is_fitted
    for position in range(0, len(data), len(data) // 30):
        flipped = bytearray(data)
        flipped[position] ^= 1
        refused_pretrained(tmp_path, bytes(flipped))
        refused_pretrained(tmp_path, data[:position])


def in_model(part, key, value):
    """Return what changes one value of a network's description."""
    return lambda content: content["models"][0][part].update({key: value})


NETWORKS = {
    "another architecture": in_model("architecture", "name", "VanillaLSTM"),
    "no architecture": in_model("architecture", "name", "Trap"),
    "other units": in_model("architecture", "hidden_size", 4),
    "negative units": in_model("architecture", "hidden_size", -4),
    "units of a word": in_model("architecture", "hidden_size", "many"),
    "another setting": in_model("architecture", "depth", 3),
    "an endless season": in_model("layout", "period", 10**12),
    "a season of none": in_model("layout", "period", 0),
    "an endless window": in_model("layout", "lookback", 10**12),
    "other covariates": in_model("layout", "future_covariates", []),
    "joint channels": in_model("layout", "n_channels", 2),
    "another likelihood": in_model("likelihood", "name", "normal"),
    "one quantile": in_model("likelihood", "levels", [0.5]),
}


@pytest.mark.parametrize("change", (NETWORKS | STATES).values(), ids=NETWORKS | STATES)
def test_states_of_no_pretrained_forecaster_are_refused(
    state_of_pretrained, tmp_path, change
):
    refused_pretrained(tmp_path, forged(state_of_pretrained, change))


@pytest.mark.parametrize(("name", "values"), ARRAYS.values(), ids=ARRAYS)
def test_series_of_no_pretrained_forecaster_are_refused(
    state_of_pretrained, tmp_path, name, values
):
    def change(tensors):
        tensors[f"extra.{name}"] = values

    data = forged(state_of_pretrained, change_tensors=change)
    refused_pretrained(tmp_path, data, match="state of a forecaster")


# -- files of earlier days ----------------------------------------------------------


def test_kept_files_still_forecast_the_same():
    """A format that changes must get another number, and go on reading this one."""
    y, X = series()
    expected = json.loads(FORECASTS.read_text())
    forecaster = StackedLSTMForecaster.from_file(FOLDER / "sktime.safetensors")
    assert forecaster.get_params()["likelihood"] == "normal"
    assert_allclose(forecaster.predict(), expected["sktime.safetensors"], rtol=1e-5)
    saved = EncoderDecoderLSTMForecaster.load_from_path(FOLDER / "sktime_save.zip")
    assert saved.get_params()["n_members"] == 2
    assert_allclose(saved.predict(X=X[36:42]), expected["sktime_save.zip"], rtol=1e-5)
    name = "sktime_pretrained.safetensors"
    pretrained = PretrainedLSTMForecaster.from_file(FOLDER / name)
    assert pretrained.get_params()["fine_tune_steps"] == 20
    assert_allclose(pretrained.predict(), expected[name], rtol=1e-5)
    other = BidirectionalLSTMForecaster.from_file(FOLDER / "darts.safetensors")
    forecast = other.fit(y).predict(fh=range(1, 9))
    assert_allclose(forecast, expected["darts.safetensors"], rtol=1e-5)


# -- files that are half written ----------------------------------------------------

WRITING = """
import sys, threading, time
from lstm_forecasters.backend import files
from lstm_forecasters.sktime import StackedLSTMForecaster

forecaster = StackedLSTMForecaster.from_file(sys.argv[1])
in_the_middle = threading.Barrier(3, timeout=60)

def hang(descriptor):
    in_the_middle.wait()
    time.sleep(600)

files.os.fsync = hang
folder = sys.argv[2]
for write in (
    lambda: forecaster.to_file(folder + "/forecaster.safetensors"),
    lambda: forecaster.save(folder + "/forecaster"),
):
    threading.Thread(target=write, daemon=True).start()
in_the_middle.wait()
print("writing", flush=True)
time.sleep(600)
"""


def test_a_process_that_is_killed_while_it_writes_leaves_the_old_files(tmp_path):
    old = StackedLSTMForecaster.from_file(FOLDER / "sktime.safetensors")
    old.to_file(tmp_path / "forecaster.safetensors", keep_context=True)
    old.save(tmp_path / "forecaster").close()
    before = {one.name: one.read_bytes() for one in tmp_path.iterdir()}
    command = [sys.executable, "-c", WRITING, FOLDER / "sktime.safetensors", tmp_path]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "writing\n"
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    for name, data in before.items():
        assert (tmp_path / name).read_bytes() == data
    left = {one.name for one in tmp_path.iterdir()} - before.keys()
    assert len(left) == 2  # what was being written, under names of their own
    for other in (
        StackedLSTMForecaster.from_file(tmp_path / "forecaster.safetensors"),
        StackedLSTMForecaster.load_from_path(tmp_path / "forecaster.zip"),
    ):
        assert_array_equal(other.predict(), old.predict())
