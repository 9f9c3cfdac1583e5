"""Files: what was written comes back, and damaged or hostile ones are refused."""

import io
import json
import os
import pickle
import zipfile

import numpy as np
import pytest
import torch

from lstm_forecasters.backend import files
from lstm_forecasters.backend.files import (
    Archive,
    pack,
    read_archive,
    unpack,
    write_atomically,
)
from lstm_forecasters.backend.forecasting import forecast
from lstm_forecasters.backend.windows import Layout, Windows
from lstm_forecasters.errors import FileFormatError
from lstm_forecasters.specs import ARCHITECTURES
from tests.backend.series import make_model, make_panel

LAYOUT = Layout(lookback=5, horizon=3, period=2, references=(1, 2))
VALUES = np.random.default_rng(1).normal(size=20)


def one_model():
    return make_model(LAYOUT, likelihood="quantile")


@pytest.mark.parametrize("spec", ARCHITECTURES.values())
@pytest.mark.parametrize("likelihood", [None, "quantile", "normal", "student_t"])
@pytest.mark.parametrize("n_members", [1, 3])
def test_a_network_comes_back_bit_for_bit(spec, likelihood, n_members):
    model = make_model(LAYOUT, spec(hidden_size=4, n_members=n_members), likelihood)
    model.measure(make_panel(VALUES))
    extra = {"words": ["a", 1, None]}
    archive = unpack(pack(Archive([model], extra, {"context": torch.arange(3)})))
    (other,) = archive.models
    assert other.spec == model.spec
    assert other.layout == model.layout
    assert archive.extra == extra
    assert torch.equal(archive.tensors["context"], torch.arange(3))
    windows = Windows(make_panel(VALUES), LAYOUT)
    before, after = (
        forecast(one, windows, *windows.cutoffs(), 7).parameters()
        for one in (model, other)
    )
    np.testing.assert_array_equal(before, after)
    assert other.widening == model.widening == 1 + 2 * 3 / 20


def test_several_networks_and_none():
    models = [make_model(LAYOUT, seed=seed) for seed in (0, 1)]
    archive = unpack(pack(Archive(models)))
    for before, after in zip(models, archive.models, strict=True):
        for name, values in before.state_dict().items():
            assert torch.equal(values, after.state_dict()[name])
    assert unpack(pack(Archive())).models == []


def test_every_flipped_bit_is_noticed():
    data = pack(Archive([one_model()]))
    for position in range(0, len(data), 64):
        flipped = bytearray(data)
        flipped[position] ^= 1
        with pytest.raises(FileFormatError):
            unpack(bytes(flipped))


@pytest.mark.parametrize("share", [0.0, 0.0005, 0.1, 0.5, 0.999])
def test_truncated_files_are_refused(share):
    data = pack(Archive([one_model()]))
    with pytest.raises(FileFormatError):
        unpack(data[: int(share * len(data))])


class Bomb:
    def __reduce__(self):
        return os.mkdir, ("exploded",)


def test_hostile_files_are_refused_and_nothing_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as file:
        file.writestr("data.pkl", pickle.dumps(Bomb()))
    hostile = [pickle.dumps(Bomb()), packed.getvalue(), b"\xff" * 100]
    hostile.append((2**62).to_bytes(8, "little") + b"{}")
    for data in hostile:
        with pytest.raises(FileFormatError):
            unpack(data)
    assert not (tmp_path / "exploded").exists()


def test_another_version_is_named(monkeypatch):
    monkeypatch.setattr(files, "FORMAT_VERSION", 99)
    data = pack(Archive([one_model()]))
    monkeypatch.undo()
    with pytest.raises(FileFormatError, match=r"version 99, but .* reads 1"):
        unpack(data)


@pytest.mark.parametrize(
    ("part", "value"),
    [("architecture", {"name": "Transformer"}), ("layout", {}), ("likelihood", {})],
)
def test_a_description_that_cannot_be_built_is_refused(part, value):
    data = pack(Archive([one_model()]))
    content = files._content(data)
    tensors = files.safetensors.torch.load(data)
    content["models"][0][part] = value
    del content["digest"]
    content["digest"] = files._digest(content, tensors)
    forged = files.safetensors.torch.save(tensors, {files.KEY: json.dumps(content)})
    with pytest.raises(FileFormatError, match="damaged"):
        unpack(forged)


def test_reading_names_the_file(tmp_path):
    path = tmp_path / "network.safetensors"
    path.write_bytes(b"nothing of the kind")
    with pytest.raises(FileFormatError, match=r"network\.safetensors"):
        read_archive(path)


def test_writing_is_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "network.safetensors"
    write_atomically(path, b"old")

    def killed(descriptor):
        raise KeyboardInterrupt

    monkeypatch.setattr(files.os, "fsync", killed)
    with pytest.raises(KeyboardInterrupt):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]
