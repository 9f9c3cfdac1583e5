"""One safe file for a trained network, and darts' own files."""

import copy
import inspect
import json
import pickle
import subprocess
import sys

import numpy as np
import pytest
import safetensors
import torch
from darts import TimeSeries, concatenate
from darts.utils.likelihood_models.torch import LaplaceLikelihood, QuantileRegression
from darts.utils.serialization import get_safe_globals
from numpy.testing import assert_array_equal
from pytorch_lightning import Callback

from lstm_forecasters.backend.files import Archive, pack
from lstm_forecasters.backend.recipe import spread_correction
from lstm_forecasters.darts import (
    BidirectionalLSTMModel,
    EncoderDecoderLSTMModel,
    PretrainedLSTMModel,
    StackedLSTMModel,
    StudentTLikelihood,
    VanillaLSTMModel,
)
from lstm_forecasters.errors import CovariateError, FileFormatError, ParameterError


@pytest.fixture
def make(make_any):
    """Return a function that constructs a small model, pretrained ones too."""
    return make_any


@pytest.fixture
def path(tmp_path):
    """Where to write."""
    return tmp_path / "network.safetensors"


@pytest.fixture
def covered(monthly):
    """A series with covariates of every kind, as arguments of fit."""
    static = monthly(1, columns=["size"]).to_dataframe().reset_index(drop=True)
    return {
        "series": monthly(50).with_static_covariates(static),
        "past_covariates": monthly(50, 3.0, 5, columns=["past"]),
        "future_covariates": monthly(70, 7.0, 6, columns=["future"]),
    }


@pytest.fixture
def trained(monthly, small):
    """A trained model of the first class."""
    return VanillaLSTMModel(**small).fit(monthly())


def assert_same_forecasts(first, second, *args, **kwargs):
    """Check that two models forecast the same."""
    forecasts = [one.predict(*args, **kwargs) for one in (first, second)]
    assert_array_equal(*(one.all_values() for one in forecasts))
    assert forecasts[0].time_index.equals(forecasts[1].time_index)


# -- to_file and from_file ----------------------------------------------------------


@pytest.mark.parametrize("likelihood", [None, "quantile", "normal", "student_t"])
def test_a_file_gives_the_same_forecasts(make, monthly, path, likelihood):
    model = make(likelihood=likelihood).fit(monthly())
    model.to_file(path)
    twin = type(model).from_file(path, random_state=1)
    assert_same_forecasts(model, twin, 15, monthly())
    assert twin.likelihood == model.likelihood
    if likelihood is not None:
        given = {"series": monthly(), "num_samples": 10, "random_state": 5}
        assert_same_forecasts(model, twin, 15, **given)
        given = {"series": monthly(), "predict_likelihood_parameters": True}
        assert_same_forecasts(model, twin, 6, **given)


def test_a_file_knows_settings_of_the_network(monthly, small, path):
    settings = {
        "season_length": 4,
        "output_chunk_shift": 2,
        "segment_length": 3,
        "num_layers": 2,
        "dropout": 0.1,
        "reverse_lookback": True,
        "linear_path": False,
        "likelihood": QuantileRegression([0.2, 0.5, 0.8]),
    }
    model = EncoderDecoderLSTMModel(**small, **settings).fit(monthly())
    model.to_file(str(path))
    twin = EncoderDecoderLSTMModel.from_file(str(path))
    for name in [*settings, "input_chunk_length", "output_chunk_length", "hidden_size"]:
        assert twin.model_params[name] == model.model_params[name], name
    assert twin.input_chunk_length == 12
    assert twin.output_chunk_length == 6
    assert twin.output_chunk_shift == 2
    assert_same_forecasts(model, twin, 6, monthly())


def test_channels_and_covariates_survive(make, covered, monthly, path):
    covered["series"] = concatenate(
        [covered["series"], monthly(50, 7.0, 9, columns=["more"])], axis=1
    )
    for joint in (False, True):
        model = make(joint_channels=joint).fit(**covered)
        model.to_file(path)
        twin = type(model).from_file(path)
        assert_same_forecasts(model, twin, 6, **covered)
        renamed = covered["past_covariates"].with_columns_renamed("past", "other")
        with pytest.raises(ValueError, match=r"trained with the past_covariates"):
            twin.predict(6, **{**covered, "past_covariates": renamed})


def test_a_model_that_forecasts_channels_alone_takes_any_number(trained, monthly, path):
    trained.to_file(path)
    twin = VanillaLSTMModel.from_file(path)
    both = concatenate([monthly(60, 50.0, 3), monthly(60, 900.0, 4)], axis=1)
    found = twin.predict(6, both).values()
    for channel in range(2):
        alone = twin.predict(6, both.univariate_component(channel)).values()
        np.testing.assert_allclose(found[:, [channel]], alone, rtol=1e-6)


def test_from_network_takes_what_network_gives(make, monthly):
    model = make().fit(monthly())
    twin = type(model).from_network(model.network_)
    assert_same_forecasts(model, twin, 15, monthly())
    assert twin.network_ is not model.network_
    for one, other in zip(
        twin.network_.parameters(), model.network_.parameters(), strict=True
    ):
        assert one.data_ptr() != other.data_ptr()


def test_ensembles_and_their_widening_come_back(make, monthly, path):
    model = make(n_members=3, likelihood="normal").fit(monthly(50))
    expected = spread_correction(50, 6)
    assert model.network_.widening.item() == pytest.approx(expected)
    model.to_file(path)
    for twin in (type(model).from_file(path), pickle.loads(pickle.dumps(model))):
        settings = {"num_samples": 5, "random_state": 1}
        assert_same_forecasts(model, twin, 15, monthly(), **settings)
        assert twin.network_.widening == model.network_.widening
        twin.fit(monthly(40))
        assert twin.network_.widening == model.network_.widening


def test_a_model_from_a_file_needs_a_series(trained, path):
    trained.to_file(path)
    with pytest.raises(ValueError, match="series"):
        VanillaLSTMModel.from_file(path).predict(6)


def test_a_model_from_a_file_learns_on(make, covered, path):
    model = make().fit(**covered)
    model.to_file(path)
    twin = type(model).from_file(path, n_epochs=1, batch_size=16, random_state=1)
    before = twin.predict(6, **covered).values()
    twin.fit(**covered)
    assert np.isfinite(twin.predict(6).values()).all()
    assert np.abs(twin.predict(6).values() - before).max() > 1e-3
    # and what it was made from stays as it was
    assert_array_equal(model.predict(6, **covered).values(), before)


def test_a_model_from_a_file_learns_on_with_dropout(small, monthly, path):
    seen = []

    class Mode(Callback):
        def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
            seen.append(all(one.training for one in pl_module.modules()))

    settings = {**small, "num_layers": 2, "dropout": 0.3}
    StackedLSTMModel(**settings).fit(monthly()).to_file(path)
    kwargs = {"callbacks": [Mode()]}
    twin = StackedLSTMModel.from_file(path, n_epochs=1, pl_trainer_kwargs=kwargs)
    twin.fit(monthly())
    assert seen
    assert all(seen)


def test_a_model_from_a_file_can_be_written_again(make, covered, path, tmp_path):
    model = make(likelihood="quantile").fit(**covered)
    model.to_file(path)
    twin = type(model).from_file(path)
    twin.to_file(tmp_path / "again.safetensors")
    assert (tmp_path / "again.safetensors").read_bytes() == path.read_bytes()


def test_a_model_from_a_file_can_be_saved_and_pickled(make, covered, path, tmp_path):
    model = make(likelihood="quantile").fit(**covered)
    model.to_file(path)
    for unpickle_first in (False, True):
        twin = type(model).from_file(path)
        if unpickle_first:
            twin = pickle.loads(pickle.dumps(twin))
        assert_same_forecasts(model, twin, 6, **covered)
        file = str(tmp_path / f"model_{unpickle_first}.pt")
        twin.save(file)
        loaded = type(model).load(file)
        assert_same_forecasts(model, loaded, 6, **covered)
        loaded.fit(**covered, epochs=1)


def test_a_model_from_a_file_can_be_saved_clean(trained, monthly, path, monkeypatch):
    trained.to_file(path)
    monkeypatch.chdir(path.parent)
    VanillaLSTMModel.from_file(path).save("model.pt", clean=True)
    assert_same_forecasts(trained, VanillaLSTMModel.load("model.pt"), 6, monthly())


def test_a_model_saved_clean_writes_nothing_when_it_is_used(
    trained, monthly, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    trained.save("model.pt", clean=True)
    loaded = VanillaLSTMModel.load("model.pt")
    assert loaded.training_series is None
    loaded.predict(6, monthly())
    loaded.fit(monthly(), epochs=1)
    assert {one.name for one in tmp_path.iterdir()} == {"model.pt", "model.pt.ckpt"}


# -- what a file holds --------------------------------------------------------------


def test_a_file_holds_weights_and_json_only(trained, path):
    trained.to_file(path)
    with safetensors.safe_open(path, framework="pt") as file:
        assert list(file.metadata()) == ["lstm_forecasters"]
        content = json.loads(file.metadata()["lstm_forecasters"])
        weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    state = trained.network_.state_dict()
    assert weights.keys() == {f"models.0.{name}" for name in state}
    for name, values in state.items():
        assert torch.equal(weights[f"models.0.{name}"], values)
    assert content["extra"] == {"ecosystem": "darts", "class": "VanillaLSTMModel"}
    assert content["format_version"] == 1
    assert len(content["models"]) == 1
    assert content["models"][0]["architecture"]["name"] == "VanillaLSTM"


def test_a_file_holds_no_pickle_and_no_series(small, monthly, path, tmp_path):
    model = VanillaLSTMModel(**small).fit(monthly())
    model.to_file(path)
    data = path.read_bytes()
    with pytest.raises((pickle.UnpicklingError, EOFError)):
        pickle.loads(data)
    assert not any(one.tobytes() in data for one in monthly().values()[:5, 0])
    assert b"2015" not in data
    # only the file itself is left
    assert list(tmp_path.iterdir()) == [path]


def test_reading_a_file_unpickles_nothing(trained, monthly, path, monkeypatch):
    trained.to_file(path)

    def unpickle(*_, **__):
        pytest.fail("something was unpickled")

    for module, name in ((pickle, "load"), (pickle, "loads"), (torch, "load")):
        monkeypatch.setattr(module, name, unpickle)
    VanillaLSTMModel.from_file(path).predict(3, monthly())


# -- errors -------------------------------------------------------------------------


def test_another_class_is_refused(trained, path):
    trained.to_file(path)
    message = r"network\.safetensors holds a VanillaLSTM, not a .*Use VanillaLSTMModel"
    with pytest.raises(FileFormatError, match=message):
        BidirectionalLSTMModel.from_file(path)
    with pytest.raises(ParameterError, match="Use the class of that name"):
        StackedLSTMModel.from_network(trained.network_)


def test_a_likelihood_that_only_darts_knows_is_refused(monthly, small, path):
    model = VanillaLSTMModel(**small, likelihood=LaplaceLikelihood()).fit(monthly())
    message = r"LaplaceLikelihood.*known to darts alone.*or use save"
    with pytest.raises(ParameterError, match=message):
        model.to_file(path)
    assert not path.exists()


def test_a_model_without_a_network_is_refused(make, path):
    with pytest.raises(ParameterError, match=r"has no network yet\. Call fit first"):
        make().to_file(path)
    with pytest.raises(ParameterError, match="has no network yet"):
        make().network_  # noqa: B018
    assert not path.exists()


def test_a_foreign_file_is_refused(trained, path, tmp_path):
    foreign = tmp_path / "model.pt"
    trained.save(str(foreign))
    with pytest.raises(FileFormatError, match=r"model\.pt"):
        VanillaLSTMModel.from_file(foreign)
    with pytest.raises(FileNotFoundError):
        VanillaLSTMModel.from_file(path)


@pytest.mark.parametrize("number", [0, 2])
def test_a_file_of_several_networks_is_refused(trained, path, number):
    networks = [copy.deepcopy(trained.network_) for _ in range(number)]
    path.write_bytes(pack(Archive(networks)))
    with pytest.raises(FileFormatError, match=f"holds {number} networks, but a"):
        VanillaLSTMModel.from_file(path)


@pytest.mark.parametrize(
    "settings",
    [
        {"hidden_size": 8},
        {"input_chunk_length": 24},
        {"likelihood": "normal"},
        {"season_length": 1},
        {"joint_channels": True, "linear_path": False},
    ],
    ids=lambda settings: "-".join(settings),
)
def test_parameters_that_the_network_gives_are_refused(trained, path, settings):
    trained.to_file(path)
    names = ", ".join(f"'{name}'" for name in sorted(settings))
    with pytest.raises(ParameterError, match=rf"\[{names}\] are given by the network"):
        VanillaLSTMModel.from_file(path, **settings)


def test_other_parameters_are_checked_as_ever(trained, path):
    trained.to_file(path)
    with pytest.raises(ParameterError, match="n_epochs must be at least 1"):
        VanillaLSTMModel.from_file(path, n_epochs=0)
    model = VanillaLSTMModel.from_file(path, n_epochs=3, batch_size=7, random_state=1)
    assert (model.n_epochs, model.batch_size) == (3, 7)


# -- darts' own files ---------------------------------------------------------------


SAFE = """
import warnings
warnings.simplefilter("ignore")
import lstm_forecasters.darts
from darts.utils.serialization import get_safe_globals
for one in get_safe_globals():
    print(one.__module__ if hasattr(one, "__module__") else one, one.__qualname__)
"""


def test_safe_loading_may_build_our_classes_and_nothing_else():
    """In a process of its own: other tests may have registered something."""
    result = subprocess.run(
        [sys.executable, "-c", SAFE], capture_output=True, text=True, check=True
    )
    found = {tuple(line.split()) for line in result.stdout.splitlines()}
    ours = {
        BidirectionalLSTMModel,
        EncoderDecoderLSTMModel,
        PretrainedLSTMModel,
        StackedLSTMModel,
        StudentTLikelihood,
        VanillaLSTMModel,
    }
    assert found == {(one.__module__, one.__qualname__) for one in ours}
    assert ours <= set(get_safe_globals())


def test_a_loaded_model_needs_no_trust(make, covered, tmp_path):
    """What darts calls safe loading, its default, is enough, covariates and all."""
    model = make(likelihood="student_t").fit(**covered)
    path = str(tmp_path / "model.pt")
    model.save(path)
    loaded = type(model).load(path)
    assert_same_forecasts(model, loaded, 6, num_samples=3, random_state=1)
    # names were kept, too
    swapped = TimeSeries.with_columns_renamed(
        covered["past_covariates"], "past", "other"
    )
    with pytest.raises(ValueError, match="trained with the past_covariates"):
        loaded.predict(6, **{**covered, "past_covariates": swapped})


def test_weights_come_with_their_names_and_their_season(small, covered, tmp_path):
    model = VanillaLSTMModel(**small).fit(**covered)
    model.save(str(tmp_path / "model.pt"))
    other = VanillaLSTMModel(**small)
    other.load_weights(str(tmp_path / "model.pt"))
    assert other.network_.layout == model.network_.layout
    assert_same_forecasts(model, other, 6, **covered)
    renamed = covered["past_covariates"].with_columns_renamed("past", "other")
    with pytest.raises(CovariateError, match="trained with the past_covariates"):
        other.predict(6, **{**covered, "past_covariates": renamed})


def test_saved_files_hold_the_network_once(trained, tmp_path):
    """The object's file is small: the weights are in the checkpoint beside it."""
    trained.save(str(tmp_path / "model.pt"))
    sizes = {one.name: one.stat().st_size for one in tmp_path.iterdir()}
    assert sizes.keys() == {"model.pt", "model.pt.ckpt"}
    weights = sum(one.nbytes for one in trained.network_.parameters())
    series = trained.training_series.values().nbytes
    assert sizes["model.pt"] < series + 30_000
    assert sizes["model.pt.ckpt"] > weights


NUMBERS = {
    "input_chunk_length": np.int64(12),
    "output_chunk_length": np.int64(6),
    "output_chunk_shift": np.int64(1),
    "season_length": np.int64(6),
    "hidden_size": np.int32(4),
    "segment_length": np.int64(2),
    "joint_channels": np.bool_(True),
    "n_members": np.int8(2),
    "batch_size": np.int64(16),
    "n_epochs": np.int64(2),
    "fine_tune_steps": np.int64(2),
    "random_state": np.int64(3),
    "optimizer_kwargs": {"lr": np.float32(2**-8)},
}
"""Parameters as grids of numpy hold them."""


@pytest.mark.parametrize("model_class", [VanillaLSTMModel, PretrainedLSTMModel])
def test_numbers_of_numpy_are_those_of_python(model_class, monthly, path, tmp_path):
    """In every use, and in files."""
    known = inspect.signature(model_class.__init__).parameters
    given = {name: value for name, value in NUMBERS.items() if name in known}
    rate = given.pop("optimizer_kwargs")
    own = {name: value.item() for name, value in given.items()}
    model = model_class(**given, optimizer_kwargs=rate).fit(monthly())
    expected = model_class(**own, optimizer_kwargs={"lr": 2**-8}).fit(monthly())
    assert_same_forecasts(model, expected, 5)
    assert type(rate["lr"]) is np.float32
    model.to_file(path)
    model.save(str(tmp_path / "model.pt"))
    loaded = model_class.load(str(tmp_path / "model.pt"))
    assert_same_forecasts(loaded, expected, 5)
    assert_same_forecasts(model_class.from_file(path), expected, 5, series=monthly())
