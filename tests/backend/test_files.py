"""Files: what was written comes back, and damaged or hostile ones are refused."""

import dataclasses
import io
import json
import os
import pickle
import sys
import zipfile
from pathlib import Path

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
from tests.backend.forgery import foreign_files, forged
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


def test_what_was_measured_of_covariates_comes_back():
    model = make_model(dataclasses.replace(LAYOUT, past_covariates=("price",)))
    model.measure(make_panel(VALUES, past_covariates=3 + 2 * VALUES[:, None]))
    (other,) = unpack(pack(Archive([model]))).models
    assert other.covariate_means.item() == pytest.approx(3 + 2 * VALUES.mean())
    assert other.covariate_scales.item() == pytest.approx(2 * VALUES.std())


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


def test_truncated_files_are_refused():
    data = pack(Archive([one_model()]))
    for length in [0, 1, 7, 8, 9, *range(10, len(data), 101), len(data) - 1]:
        with pytest.raises(FileFormatError):
            unpack(data[:length])
    with pytest.raises(FileFormatError):
        unpack(data + b"\0")


def test_a_file_larger_than_memory_is_refused_by_name(tmp_path, monkeypatch):
    def read(path):
        raise MemoryError

    monkeypatch.setattr(Path, "read_bytes", read)
    with pytest.raises(FileFormatError, match=r"huge: the file does not fit into"):
        read_archive(tmp_path / "huge")


@pytest.mark.parametrize("kind", foreign_files())
def test_files_of_other_kinds_are_refused(kind):
    with pytest.raises(FileFormatError):
        unpack(foreign_files()[kind])


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


def in_model(part, *keys_and_value):
    """Return what changes one value of a model's description."""
    *keys, last, value = part, *keys_and_value

    def change(content):
        described = content["models"][0]
        for key in keys:
            described = described[key]
        described[last] = value

    return change


def in_content(key, value):
    return lambda content: content.update({key: value})


CHANGES = {
    "no models": in_content("models", None),
    "models by name": in_content("models", "VanillaLSTM"),
    "a model that is none": in_content("models", [None]),
    "nothing added": in_content("extra", None),
    "a list added": in_content("extra", [1]),
    "another architecture": in_model("architecture", {"name": "Transformer"}),
    "an architecture without a name": in_model("architecture", "name", ["VanillaLSTM"]),
    "other sizes than the weights": in_model("architecture", "hidden_size", 5),
    "a layout of nothing": in_model("layout", {}),
    "an unknown length": in_model("layout", "depth", 3),
    "no lookback": in_model("layout", "lookback", 0),
    "half a time step": in_model("layout", "lookback", 5.5),
    "no season": in_model("layout", "period", 0),
    "no references": in_model("layout", "references", []),
    "a reference ahead": in_model("layout", "references", [-1, 1]),
    "a lag ahead": in_model("layout", "lags", [-1]),
    "no step at a time": in_model("layout", "steps_at_a_time", 0),
    "a history before the first step": in_model("layout", "least_history", -1),
    "a season that is perhaps read": in_model("layout", "reads_period", "perhaps"),
    "a reference that is no list": in_model("layout", "references", 1),
    "a shift back": in_model("layout", "output_shift", -1),
    "a scale that is none": in_model("layout", "least_scale", float("nan")),
    "a word for a flag": in_model("layout", "self_contained", "no"),
    "names of names": in_model("layout", "past_covariates", [["price"]]),
    "a covariate without weights": in_model("layout", "past_covariates", ["price"]),
    "another likelihood": in_model("likelihood", {}),
    "a likelihood in a list": in_model("likelihood", "name", ["normal"]),
    "quantiles without a median": in_model("likelihood", "levels", [0.1, 0.9]),
    "words for quantiles": in_model("likelihood", "levels", ["low"] * 7),
    "quantiles in no order": in_model(
        "likelihood", "levels", [0.9, 0.1, 0.2, 0.5, 0.6, 0.7, 2.0]
    ),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_description_that_cannot_be_built_is_refused(change):
    data = pack(Archive([one_model()]))
    assert len(unpack(forged(data)).models) == 1
    with pytest.raises(FileFormatError, match="damaged"):
        unpack(forged(data, change))


ABSURD = [
    ("architecture", "hidden_size", 10**9),
    ("architecture", "hidden_size", 10**30),
    ("architecture", "n_members", 10**9),
    ("architecture", "num_layers", 10**9),
    ("architecture", "segment_length", 10**12),
    ("layout", "lookback", 10**12),
    ("layout", "horizon", 10**12),
    ("layout", "period", 10**12),
    ("layout", "references", [1, 10**12]),
    ("layout", "lags", [1, 10**12]),
    ("layout", "steps_at_a_time", 10**12),
    ("layout", "output_shift", 10**12),
    ("layout", "n_channels", 10**12),
    ("likelihood", "levels", [0.5 + number / 10**6 for number in range(10**5)]),
]


def peak_memory():
    """Return the most bytes that this process has held, where the system says it."""
    resource = pytest.importorskip("resource")
    unit = 1 if sys.platform == "darwin" else 1024
    return unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


@pytest.mark.parametrize("name", ["StackedLSTM", "EncoderDecoderLSTM"])
@pytest.mark.parametrize(("part", "key", "value"), ABSURD)
def test_absurd_sizes_are_refused_and_take_no_memory(
    monkeypatch, name, part, key, value
):
    """Where no array of the file says how large something is, too."""
    spec = ARCHITECTURES[name](hidden_size=2, linear_path=False)
    data = pack(Archive([make_model(LAYOUT, spec, "quantile")]))
    data = forged(data, in_model(part, key, value))

    def no_levels(levels):
        pytest.fail("memory was taken for every pair of levels")

    if key == "levels":
        monkeypatch.setattr(files, "QuantileLikelihood", no_levels)
        no_levels.name = "quantile"
    before = peak_memory()
    with pytest.raises(FileFormatError, match="damaged"):
        unpack(data)
    assert peak_memory() - before < 20e6 + 10 * len(data)


WEIGHTS = ["models.0.network.head.weight", "models.0.widening"]


@pytest.mark.parametrize("name", WEIGHTS)
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_weights_that_are_no_numbers_are_refused(name, value):
    data = pack(Archive([one_model()]))

    def change(tensors):
        tensors[name].view(-1)[-1] = value

    with pytest.raises(FileFormatError, match=r"is not made of finite numbers"):
        unpack(forged(data, change_tensors=change))


@pytest.mark.parametrize("kind", [torch.int32, torch.bool, torch.complex64])
def test_weights_of_another_kind_are_refused(kind):
    data = pack(Archive([one_model()]))

    def change(tensors):
        tensors[WEIGHTS[0]] = tensors[WEIGHTS[0]].to(kind)

    with pytest.raises(FileFormatError, match=r"head\.weight"):
        unpack(forged(data, change_tensors=change))


@pytest.mark.parametrize("name", ["widening", "covariate_scales"])
def test_scales_that_are_not_above_zero_are_refused(name):
    layout = dataclasses.replace(LAYOUT, past_covariates=("price",))
    data = pack(Archive([make_model(layout)]))

    def change(tensors):
        tensors[f"models.0.{name}"].fill_(0.0)

    with pytest.raises(FileFormatError, match=r"a scale is not above 0"):
        unpack(forged(data, change_tensors=change))


def file_with_header(header, rest=b""):
    """Return a safetensors file with a header of any kind."""
    words = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(words).to_bytes(8, "little") + words + rest


ENORMOUS = {"dtype": "F32", "shape": [10**6, 10**6], "data_offsets": [0, 4 * 10**12]}
NESTED = b'{"__metadata__": ' + b"[" * 10**5 + b"]" * 10**5 + b"}"


def test_headers_that_announce_too_much_are_refused():
    content = json.dumps({"format_version": 1, "models": [], "extra": {}})
    metadata = {files.KEY: content}
    nested = '{"format_version": 1, "models": ' + "[" * 800 + "]" * 800 + "}"
    headers = [
        {"__metadata__": metadata, "enormous": ENORMOUS},
        {"__metadata__": metadata, "long": {**ENORMOUS, "data_offsets": [0, 8]}},
        {"__metadata__": metadata, "far": {**ENORMOUS, "data_offsets": [2**63, 2**64]}},
        {"__metadata__": metadata, "deep": {**ENORMOUS, "dtype": "F33"}},
        {"__metadata__": {files.KEY: nested}},
        {"__metadata__": {files.KEY: nested * 2}},
        {"__metadata__": {files.KEY: "[1]"}},
        {"__metadata__": [files.KEY]},
        NESTED,
        b"{}" + b" " * 10**6,
    ]
    for header in headers:
        with pytest.raises(FileFormatError):
            unpack(file_with_header(header, bytes(8)))
    for announced in (2**62, 2**64 - 1, 10**9):
        with pytest.raises(FileFormatError, match="fewer than its header announces"):
            unpack(announced.to_bytes(8, "little") + b"{}" + bytes(100))


def test_a_kind_of_number_that_numpy_does_not_know_is_refused():
    values = {"models.0.x": torch.zeros(2, dtype=torch.bfloat16)}
    content = {"format_version": 1, "models": [], "extra": {}, "digest": ""}
    metadata = {files.KEY: json.dumps(content)}
    with pytest.raises(FileFormatError, match="damaged"):
        unpack(files.safetensors.torch.save(values, metadata))


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
