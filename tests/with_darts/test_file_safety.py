"""Files that are damaged, foreign, hostile, old, or half written."""

import io
import json
import os
import pickle
import shutil
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from darts import TimeSeries
from darts.models import NaiveDrift
from darts.models.forecasting.torch_forecasting_model import TorchForecastingModel
from numpy.testing import assert_allclose, assert_array_equal

from lstm_forecasters.darts import (
    BidirectionalLSTMModel,
    PretrainedLSTMModel,
    StackedLSTMModel,
    StudentTLikelihood,
    VanillaLSTMModel,
    seals,
)
from lstm_forecasters.darts.base import BaseLSTMModel
from lstm_forecasters.darts.seals import seal
from lstm_forecasters.errors import FileFormatError
from tests.backend.forgery import foreign_files, forged
from tests.files.write import FOLDER, FORECASTS, series

PARTS = ["model.pt", "model.pt.ckpt"]


@pytest.fixture
def saved(small, monthly, tmp_path, monkeypatch):
    """A model that was saved as model.pt in the working directory."""
    monkeypatch.chdir(tmp_path)
    settings = {**small, "hidden_size": 2, "n_epochs": 1}
    model = VanillaLSTMModel(**settings).fit(monthly(30))
    model.save("model.pt")
    return model


def refused(match="", model_class=VanillaLSTMModel):
    """Check that model.pt is refused, by its name."""
    with pytest.raises(FileFormatError, match=rf"model\.pt.*{match}"):
        model_class.load("model.pt")


def seal_again(model=Path("model.pt")):
    """Seal a model and its network anew, as whoever forges them can."""
    with zipfile.ZipFile(model, "a") as file:
        file.comment = b""
    seal(model, model.with_name(f"{model.name}.ckpt"))


class Trap:
    """Make a folder when unpickled."""

    def __reduce__(self):
        return os.mkdir, ("trapped",)


# -- darts' own two files -----------------------------------------------------------


@pytest.mark.parametrize("part", PARTS)
def test_truncated_files_are_refused(saved, part):
    data = Path(part).read_bytes()
    for length in [0, 1, 30, *range(100, len(data), 401), len(data) - 1]:
        Path(part).write_bytes(data[:length])
        refused(match="no file that save has written")


@pytest.mark.parametrize("part", PARTS)
def test_a_bit_flipped_in_every_64th_byte_is_noticed(saved, part):
    """darts itself would load most of them, with other weights or another series."""
    data = Path(part).read_bytes()
    for number, position in enumerate([*range(0, len(data), 64), len(data) - 1]):
        flipped = bytearray(data)
        flipped[position] ^= 1 << number % 8
        Path(part).write_bytes(flipped)
        refused()
    with pytest.raises(FileFormatError, match=r"model\.pt.*is damaged"):
        saved.load_weights("model.pt")


def test_files_of_two_saves_are_no_pair(saved, other, small):
    """Though each is whole, and of the same class and sizes."""
    other.save("other.pt")
    shutil.copy("other.pt.ckpt", "model.pt.ckpt")
    refused(match="they are no pair")
    with pytest.raises(FileFormatError, match="they are no pair"):
        saved.load_weights("model.pt")
    Path("model.pt.ckpt").unlink()
    refused(match=r"ckpt is missing: it holds the network of model\.pt")
    VanillaLSTMModel(**small).save("model.pt")
    shutil.copy("other.pt.ckpt", "model.pt.ckpt")
    refused(match="they are no pair")


@pytest.mark.parametrize("version", [0, 7])
def test_another_version_of_the_format_is_named(saved, version):
    content = Path("model.pt").read_bytes()
    assert content.count(b"lstm_forecasters 1 ") == 1
    other = b"lstm_forecasters %d " % version
    Path("model.pt").write_bytes(content.replace(b"lstm_forecasters 1 ", other))
    refused(match=f"has format version {version}, but .* reads 1. Use the version that")


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("kind", ["packed", "one packed", "one entry many times"])
def test_what_unpacks_to_more_than_its_size_is_not_unpacked(
    saved, part, kind, monkeypatch
):
    """In a few kilobytes, a zip bomb can hold more than there is memory."""
    if kind == "packed":
        with zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED) as file:
            file.writestr("archive/data.pkl", bytes(1_000_000))
            file.writestr("archive/version", "3")
    elif kind == "one packed":
        with zipfile.ZipFile(part, "a", zipfile.ZIP_DEFLATED) as file:
            file.writestr("archive/more", bytes(100))
    else:
        with zipfile.ZipFile(part, "a") as file:
            largest = max(file.filelist, key=lambda entry: entry.file_size)
            file.filelist += [largest] * 100
            file.comment = b""
    seal_again()
    read = zipfile.ZipFile.open

    def read_the_other(file, *args):
        assert Path(file.filename).name != part
        return read(file, *args)

    monkeypatch.setattr(zipfile.ZipFile, "open", read_the_other)
    refused(match="unpacks to more than its own size")


def test_an_entry_beyond_the_end_of_its_file_is_noticed(saved):
    content = bytearray(Path("model.pt.ckpt").read_bytes())
    content[content.rindex(b"PK\3\4") + 29] = 255  # what stands before the entry
    Path("model.pt.ckpt").write_bytes(content)
    refused(match="no file that save has written")


def test_a_folder_in_the_place_of_the_network_is_refused(saved):
    Path("model.pt.ckpt").unlink()
    Path("model.pt.ckpt").mkdir()
    refused(match="no file that save has written.*directory")


def test_a_file_that_must_not_be_read_is_not_called_damaged(saved, monkeypatch):
    def denied(path):
        raise PermissionError(path)

    monkeypatch.setattr(seals, "ZipFile", denied)
    with pytest.raises(PermissionError, match=r"model\.pt"):
        VanillaLSTMModel.load("model.pt")


@pytest.mark.parametrize("kind", foreign_files())
@pytest.mark.parametrize("part", PARTS)
def test_files_of_other_kinds_are_refused(saved, part, kind):
    Path(part).write_bytes(foreign_files()[kind])
    refused()


def test_other_files_of_darts_and_torch_are_refused(saved, monthly):
    shutil.copy("model.pt", "kept.pt")
    NaiveDrift().fit(monthly()).save("model.pt")
    refused()
    torch.save({"weights": torch.ones(3)}, "model.pt")
    refused()
    shutil.copy("model.pt", "model.pt.ckpt")
    shutil.copy("kept.pt", "model.pt")
    refused()
    shutil.copy("kept.pt", "model.pt.ckpt")
    refused()


def test_another_class_is_refused(saved):
    with pytest.raises(FileFormatError, match=r"Vanilla.*not a Stacked.* Use the"):
        StackedLSTMModel.load("model.pt")
    for base in (TorchForecastingModel, BaseLSTMModel):
        assert isinstance(base.load("model.pt"), VanillaLSTMModel)


@pytest.mark.parametrize("part", PARTS)
def test_nothing_in_a_hostile_file_is_executed(saved, part):
    trap = pickle.dumps(Trap())
    Path(part).write_bytes(trap)
    refused()
    torch.save(Trap(), part)
    refused()
    seal_again()
    refused(match="Blocked unsafe global `posix.mkdir`")
    with zipfile.ZipFile(part, "w") as file:
        file.writestr("archive/data.pkl", trap)
        file.writestr("archive/version", "3")
        file.writestr("../trapped", b"")
    refused()
    seal_again()
    refused()
    assert not Path("trapped").exists()
    pickle.loads(trap)
    assert Path("trapped").exists()


def test_a_file_that_is_not_there_is_named_as_ever(saved):
    with pytest.raises(FileNotFoundError, match="nothing"):
        VanillaLSTMModel.load("nothing.pt")


def test_saving_leaves_nothing_but_its_two_files(saved, tmp_path):
    saved.save("model.pt")
    saved.save(tmp_path / "other.pt")
    names = [*PARTS, "other.pt", "other.pt.ckpt"]
    assert sorted(one.name for one in tmp_path.iterdir()) == sorted(names)
    assert VanillaLSTMModel.load(tmp_path / "other.pt").predict(3) == saved.predict(3)
    saved.save()
    assert sum(one.name.startswith("VanillaLSTM") for one in tmp_path.iterdir()) == 2


# -- darts' other readers -----------------------------------------------------------

READERS = ["load_weights", "load_from_checkpoint", "load_weights_from_checkpoint"]


@pytest.mark.parametrize("reader", READERS)
def test_no_reader_takes_what_is_damaged_or_foreign(
    saved, other, small, monthly, reader
):
    """And a model that was to have its weights is as it was."""
    place = {"path": "model.pt"}
    files = [Path(name) for name in PARTS]
    if "checkpoint" in reader:
        settings = {**small, "hidden_size": 2, "n_epochs": 1, "work_dir": "."}
        run = VanillaLSTMModel(save_checkpoints=True, model_name="run", **settings)
        run.fit(monthly(30), val_series=monthly(30))
        place = {"model_name": "run", "work_dir": ".", "best": False}
        files = [Path("run/_model.pth.tar"), *Path("run/checkpoints").glob("last-*")]
    before = other.predict(3)
    read = getattr(other, reader)

    def save(content):
        """Write a file of torch, as whoever forges one can."""
        torch.save(content, file)
        seal_again(files[0])

    def refused(match):
        """Check that a file is refused by its name."""
        with pytest.raises(FileFormatError, match=f"{file}.*{match}"):
            read(**place)
        assert other.predict(3) == before

    for file in files:
        data = file.read_bytes()
        for content in (*foreign_files().values(), pickle.dumps(Trap()), data[:-9]):
            file.write_bytes(content)
            refused("no file that save has written|cannot be loaded|they are no pair")
        flipped = bytearray(data)
        flipped[data.index(b"\x80\x02") + 2] ^= 1  # in the pickle
        file.write_bytes(flipped)
        refused("is damaged")
        save(Trap())
        refused("Blocked unsafe global `posix.mkdir`")
        for content in ({"weights": torch.ones(3)}, torch.ones(3)):
            save(content)
            refused("cannot be loaded")
        assert not Path("trapped").exists()
        file.unlink()
        message = r"Could not find|is missing|There is no file|No such file"
        with pytest.raises((OSError, ValueError), match=message):
            read(**place)
        assert other.predict(3) == before
        file.write_bytes(data)
    content = torch.load(file, weights_only=False)
    content["state_dict"].popitem()
    save(content)
    with pytest.raises(RuntimeError, match="Missing key"):
        read(**place)
    assert other.predict(3) == before
    file.write_bytes(data)
    seal_again(files[0])
    loaded = read(**place) or other
    assert loaded.predict(3, monthly(30)) == saved.predict(3)


@pytest.mark.parametrize("kind", ["best-", "last-"])
def test_a_checkpoint_that_is_named_is_checked_as_well(
    small, monthly, tmp_path, monkeypatch, kind
):
    monkeypatch.chdir(tmp_path)
    settings = {**small, "hidden_size": 2, "n_epochs": 1, "work_dir": "."}
    run = VanillaLSTMModel(save_checkpoints=True, model_name="run", **settings)
    run.fit(monthly(30), val_series=monthly(30))
    (file,) = Path("run/checkpoints").glob(f"{kind}*")
    place = {"model_name": "run", "work_dir": ".", "file_name": file.name}
    model = VanillaLSTMModel(**settings)
    model.load_weights_from_checkpoint(**place)
    assert model.predict(3, monthly(30)) == run.predict(3)
    flipped = bytearray(file.read_bytes())
    flipped[flipped.index(b"\x80\x02") + 2] ^= 1  # in the pickle
    file.write_bytes(flipped)
    with pytest.raises(FileFormatError, match=f"{file.name}.* is damaged"):
        model.load_weights_from_checkpoint(**place)


def test_checkpoints_that_torch_alone_cannot_open_are_refused(
    small, monthly, tmp_path, monkeypatch
):
    """Bits in the zip archive's directory, which Python's zipfile passes over."""
    monkeypatch.chdir(tmp_path)
    settings = {**small, "hidden_size": 2, "n_epochs": 1, "work_dir": "."}
    model = VanillaLSTMModel(save_checkpoints=True, model_name="run", **settings)
    model.fit(monthly(30), val_series=monthly(30))
    before = model.predict(3)
    (file,) = Path("run/checkpoints").glob("last-*")
    data = file.read_bytes()
    place = {"model_name": "run", "work_dir": ".", "best": False}
    entry, end = data.index(b"PK\1\2"), data.index(b"PK\6\6")
    for position, bit, message in (
        (entry + 23, 64, "invalid header or archive is corrupted"),
        (data.index(b"data/0PK\1\2") + 5, 1, "failed locating file data/0"),
        (end + 16, 64, "unsupported multidisk archive"),
        (end + 29, 64, "too many files"),
    ):
        flipped = bytearray(data)
        flipped[position] ^= bit
        file.write_bytes(flipped)
        for reader in READERS[1:]:
            match = f"{file} cannot be loaded: .*{message}"
            with pytest.raises(FileFormatError, match=match):
                getattr(model, reader)(**place)
    assert model.predict(3) == before


def test_weights_are_read_without_their_model(saved, small, monthly):
    """With skip_checks=True darts reads the file of the network alone."""
    shutil.copy("model.pt.ckpt", "weights.pth")
    Path("model.pt").write_text("nothing that is read")
    alone = {"load_encoders": False, "skip_checks": True}
    settings = {**small, "hidden_size": 2, "season_length": saved._season}
    for load, path in (
        ("load_weights_from_checkpoint", "weights.pth"),
        ("load_weights", Path("model.pt")),
    ):
        model = VanillaLSTMModel(**settings)
        name = "path" if load == "load_weights" else "file_name"
        getattr(model, load)(**{name: path}, **alone)
        assert model.predict(3, monthly(30)) == saved.predict(3)
    with pytest.raises(RuntimeError, match="size mismatch"):
        VanillaLSTMModel(**settings | {"hidden_size": 3}).load_weights(path, **alone)
    with pytest.raises(FileFormatError, match="no file that save has written"):
        model.load_weights("model.pt")


# -- one file for both ecosystems ---------------------------------------------------


@pytest.fixture
def data(saved):
    """The bytes of the model's one file."""
    saved.to_file("network")
    return Path("network").read_bytes()


def refused_network(data, match="", model_class=VanillaLSTMModel):
    """Check that the bytes of a file are refused, by the file's name."""
    Path("network").write_bytes(data)
    with pytest.raises(FileFormatError, match=rf"network.*{match}"):
        model_class.from_file("network")


def test_every_64th_byte_and_every_length_is_noticed(data):
    for position in range(0, len(data), 64):
        flipped = bytearray(data)
        flipped[position] ^= 1
        refused_network(bytes(flipped))
    for length in [0, 1, 8, *range(9, len(data), 97), len(data) - 1]:
        refused_network(data[:length])


@pytest.mark.parametrize("kind", foreign_files())
def test_foreign_networks_are_refused(saved, kind):
    refused_network(foreign_files()[kind])


def test_hostile_networks_are_refused_and_not_executed(data, monthly):
    refused_network(pickle.dumps(Trap()))
    buffer = io.BytesIO()
    torch.save(Trap(), buffer)
    refused_network(buffer.getvalue())
    assert not Path("trapped").exists()

    def other_version(content):
        content["format_version"] = 2

    refused_network(forged(data, other_version), match="format version 2")

    def in_layout(key, value):
        return lambda content: content["models"][0]["layout"].update({key: value})

    for key, value in [("period", 10**12), ("period", 13), ("references", [10**12])]:
        refused_network(forged(data, in_layout(key, value)), match="damaged")

    def no_weights(tensors):
        tensors["models.0.network.head.bias"][0] = np.nan

    refused_network(forged(data, change_tensors=no_weights), match="finite")
    Path("network").write_bytes(forged(data))
    assert len(VanillaLSTMModel.from_file("network").predict(3, monthly())) == 3


# -- the pretrained network ---------------------------------------------------------


@pytest.fixture
def pretrained(monthly, tmp_path, monkeypatch):
    """A pretrained model that was saved and written in the working directory."""
    monkeypatch.chdir(tmp_path)
    model = PretrainedLSTMModel(12, 6).fit(monthly(30))
    model.save("model.pt")
    model.to_file("network")
    return model


def places_in(data, number):
    """Return numbered places of a file, its first and its last byte among them."""
    return [place * (len(data) - 1) // (number - 1) for place in range(number)]


@pytest.mark.parametrize("part", PARTS)
def test_damaged_files_of_a_pretrained_model_are_refused(pretrained, part):
    data = Path(part).read_bytes()
    for number, place in enumerate(places_in(data, 20)):
        Path(part).write_bytes(data[:place])
        refused("no file that save has written", PretrainedLSTMModel)
        flipped = bytearray(data)
        flipped[place] ^= 1 << number % 8
        Path(part).write_bytes(flipped)
        refused(model_class=PretrainedLSTMModel)


def test_damaged_networks_of_a_pretrained_model_are_refused(pretrained, monthly):
    data = Path("network").read_bytes()
    for place in places_in(data, 30):
        flipped = bytearray(data)
        flipped[place] ^= 1
        refused_network(bytes(flipped), model_class=PretrainedLSTMModel)
        refused_network(data[:place], model_class=PretrainedLSTMModel)
    for part, key, value in [
        ("architecture", "name", "VanillaLSTM"),
        ("architecture", "hidden_size", 4),
        ("architecture", "depth", 3),
        ("layout", "period", 10**12),
        ("layout", "lookback", 10**12),
        ("layout", "n_channels", 2),
        ("likelihood", "name", "normal"),
        ("likelihood", "levels", [0.5]),
    ]:

        def change(content, part=part, key=key, value=value):
            content["models"][0][part][key] = value

        refused_network(forged(data, change), model_class=PretrainedLSTMModel)
    Path("network").write_bytes(forged(data))
    found = PretrainedLSTMModel.from_file("network").predict(3, monthly(30))
    assert found == pretrained.predict(3)


def test_files_of_a_pretrained_model_and_another_are_no_pair(pretrained, saved):
    """Though each of them is whole."""
    refused("Vanilla.*not a Pretrained", PretrainedLSTMModel)
    Path("model.pt.ckpt").rename("other.ckpt")
    pretrained.save("model.pt")
    refused("Pretrained.*not a Vanilla")
    Path("other.ckpt").rename("model.pt.ckpt")
    refused("they are no pair", PretrainedLSTMModel)


# -- files of earlier days ----------------------------------------------------------


def test_kept_files_still_forecast_the_same():
    """A format that changes must get another number, and go on reading this one."""
    y = TimeSeries.from_series(series()[0].to_timestamp())
    expected = json.loads(FORECASTS.read_text())
    model = BidirectionalLSTMModel.from_file(FOLDER / "darts.safetensors")
    assert model.model_params["likelihood"] == StudentTLikelihood()
    found = model.predict(8, y).values()[:, 0]
    assert_allclose(found, expected["darts.safetensors"], rtol=1e-5)
    other = StackedLSTMModel.from_file(FOLDER / "sktime.safetensors")
    found = other.predict(14, y).values()[[0, 1, 13], 0]
    assert_allclose(found, expected["sktime.safetensors"], rtol=1e-5)
    saved = VanillaLSTMModel.load(FOLDER / "darts_save.pt")
    found = saved.predict(8).values()[:, 0]
    assert_allclose(found, expected["darts_save.pt"], rtol=1e-5)


# -- files that are half written ----------------------------------------------------

WRITING = """
import sys, threading, time
from pathlib import Path
from lstm_forecasters.darts import BidirectionalLSTMModel

model = BidirectionalLSTMModel.from_file(sys.argv[1])
in_the_middle = threading.Barrier(3, timeout=60)

def hang(source, target):
    in_the_middle.wait()
    time.sleep(600)

Path.replace = hang
for write, name in ((model.to_file, "network"), (model.save, "model.pt")):
    path = sys.argv[2] + "/" + name
    threading.Thread(target=write, args=(path,), daemon=True).start()
in_the_middle.wait()
print("writing", flush=True)
time.sleep(600)
"""


def test_a_process_that_is_killed_while_it_writes_leaves_the_old_files(saved, tmp_path):
    saved.to_file("network")
    before = {name: Path(name).read_bytes() for name in ["network", *PARTS]}
    command = [sys.executable, "-c", WRITING, FOLDER / "darts.safetensors", tmp_path]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "writing\n"
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    for name, data in before.items():
        assert Path(name).read_bytes() == data
    assert VanillaLSTMModel.load("model.pt").predict(3) == saved.predict(3)
    network = VanillaLSTMModel.from_file("network")
    found = network.predict(3, saved.training_series).values()
    assert_array_equal(found, saved.predict(3).values())


KILLED_BETWEEN = """
import os, signal, sys
from pathlib import Path
from lstm_forecasters.darts import VanillaLSTMModel

model = VanillaLSTMModel.from_file("network")
replace = Path.replace

def replace_one(source, target):
    replace(source, target)
    os.kill(os.getpid(), signal.SIGKILL)

Path.replace = replace_one
model.save(sys.argv[1])
"""


@pytest.fixture
def other(small, monthly, saved):
    """Another model of the same class and parameters."""
    settings = {**small, "hidden_size": 2, "n_epochs": 1, "random_state": 7}
    model = VanillaLSTMModel(**settings).fit(monthly(30))
    assert model.predict(3) != saved.predict(3)
    return model


@pytest.mark.parametrize("name", ["model.pt", "new.pt", "model[1].pt"])
def test_a_save_that_is_killed_between_its_files_is_finished(other, name):
    """Whether there was a model before or not; other saves' folders are let alone."""
    Path(".saving.0").mkdir()
    Path(".saving.0/model.pt").touch()
    Path(".saving.1").mkdir()
    other.to_file("network")
    killed = subprocess.run([sys.executable, "-c", KILLED_BETWEEN, name], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert len(list(Path().glob(".saving.*"))) == 3
    series, expected = other.training_series, other.predict(3)
    weights = VanillaLSTMModel.from_file("network")
    weights.load_weights(name)
    assert weights.predict(3, series) == expected
    assert VanillaLSTMModel.load(name).predict(3, series) == expected
    left = {str(path) for path in Path().glob(".saving.*")}
    assert left == {".saving.0", ".saving.1"}


def test_a_save_that_is_under_way_is_let_alone(saved):
    """Its folder holds both files, the network also where it is that of the model."""
    Path(".saving.0").mkdir()
    for name in PARTS:
        shutil.copy(name, ".saving.0")
    assert VanillaLSTMModel.load("model.pt").predict(3) == saved.predict(3)
    assert {path.name for path in Path(".saving.0").iterdir()} == set(PARTS)


def test_a_folder_of_another_user_is_let_alone(saved):
    """Of which only root can tell what is in it."""
    folder = Path(".saving.0")
    folder.mkdir(mode=0)
    try:
        assert VanillaLSTMModel.load("model.pt").predict(3) == saved.predict(3)
    finally:
        folder.chmod(0o700)


def test_two_processes_may_finish_a_killed_save_at_once(saved, monkeypatch):
    Path(".saving.0").mkdir()
    Path("model.pt.ckpt").rename(".saving.0/model.pt.ckpt")
    replace = Path.replace

    def after_another(source, target):
        replace(source, target)
        replace(source, target)  # what is there no more

    monkeypatch.setattr(Path, "replace", after_another)
    assert VanillaLSTMModel.load("model.pt").predict(3) == saved.predict(3)


def test_of_several_killed_saves_the_network_of_the_model_is_found(saved, other):
    """Whichever folder is found first."""
    other.save("other.pt")
    for number, name in enumerate(["other.pt.ckpt", "model.pt.ckpt", "other.pt.ckpt"]):
        Path(f".saving.{number}").mkdir()
        shutil.copy(name, f".saving.{number}/model.pt.ckpt")
    Path("model.pt.ckpt").unlink()
    assert VanillaLSTMModel.load("model.pt").predict(3) == saved.predict(3)
    assert {path.name for path in Path().glob(".saving.*")} == {
        ".saving.0",
        ".saving.2",
    }
    shutil.rmtree(".saving.0")
    saved.save("model.pt")
    assert VanillaLSTMModel.load("model.pt").predict(3) == saved.predict(3)


def test_a_killed_save_is_finished_over_a_model_of_another_class(other, small, monthly):
    settings = {**small, "hidden_size": 3, "n_epochs": 1}
    StackedLSTMModel(**settings).fit(monthly(30)).save("model.pt")
    other.to_file("network")
    command = [sys.executable, "-c", KILLED_BETWEEN, "model.pt"]
    subprocess.run(command, check=False)
    found = VanillaLSTMModel.load("model.pt").predict(3, other.training_series)
    assert found == other.predict(3)


@pytest.mark.parametrize("n_moved", [0, 1])
def test_a_save_that_fails_leaves_a_whole_model(saved, other, monkeypatch, n_moved):
    """The old one, or the new one, which is finished by the next load."""
    replace, moved = Path.replace, []

    def fail(source, target):
        if len(moved) == n_moved:
            raise PermissionError(target)
        moved.append(replace(source, target))

    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", fail)
        with pytest.raises(PermissionError):
            other.save("model.pt")
    expected = (saved, other)[n_moved].predict(3)
    assert VanillaLSTMModel.load("model.pt").predict(3) == expected
    assert not list(Path().glob(".saving.*"))


def test_only_the_first_of_several_processes_writes_files(saved, other, monkeypatch):
    """Lightning writes no network in the others of those that train together."""
    before = [Path(name).read_bytes() for name in PARTS]
    monkeypatch.setattr(pl.Trainer, "save_checkpoint", lambda *_, **__: None)
    other.save("model.pt")
    assert [Path(name).read_bytes() for name in PARTS] == before
    assert {path.name for path in Path().iterdir()} == set(PARTS)


def test_loaded_weights_are_saved_and_not_those_of_the_fit_before(saved, other):
    other.load_weights("model.pt")
    other.save("other.pt")
    assert VanillaLSTMModel.load("other.pt").predict(3) == saved.predict(3)


def test_a_model_that_is_not_fitted_is_saved_without_a_network(saved, small):
    """That of the model that was there before is not left to it."""
    VanillaLSTMModel(**small).save("model.pt")
    assert VanillaLSTMModel.load("model.pt").model is None
    assert {path.name for path in Path().iterdir()} == {"model.pt"}
