"""Signatures and their texts against the one specification that they restate."""

import dataclasses
import inspect

import pytest
import torch
from darts.models.forecasting.pl_forecasting_module import PLForecastingModule
from darts.models.forecasting.torch_forecasting_model import TorchForecastingModel

from lstm_forecasters import specs
from lstm_forecasters.darts import (
    BidirectionalLSTMModel,
    EncoderDecoderLSTMModel,
    PretrainedLSTMModel,
    StackedLSTMModel,
    VanillaLSTMModel,
)

of_all_classes = pytest.mark.parametrize(
    "model_class",
    [
        VanillaLSTMModel,
        StackedLSTMModel,
        BidirectionalLSTMModel,
        EncoderDecoderLSTMModel,
        PretrainedLSTMModel,
    ],
    indirect=True,
)
"""Of tests that do not speak of the network's parameters, which one class lacks."""

WINDOWS = ["input_chunk_length", "output_chunk_length", "output_chunk_shift"]
WINDOWS += ["season_length", "likelihood"]
TRAINING = ["loss_fn", "torch_metrics", "optimizer_cls", "optimizer_kwargs"]
TRAINING += ["lr_scheduler_cls", "lr_scheduler_kwargs"]
"""Shared parameters in order: before the network's, and after them."""


def sections_of(documented):
    """Return the sections of a docstring as lists of lines, by title."""
    lines = inspect.getdoc(documented).splitlines()
    sections, title = {"": []}, ""
    for line, following in zip(lines, [*lines[1:], ""], strict=True):
        if following and set(following) == {"-"}:
            title = line
            sections[title] = []
        elif not (line and set(line) == {"-"}):
            sections[title].append(line)
    return sections


def parameter_texts(documented):
    """Return the texts of a docstring's Parameters section, by name."""
    texts = {}
    for line in sections_of(documented).get("Parameters", []):
        if line and not line.startswith(" "):
            name, _, kind = line.partition(" : ")
            texts[name] = kind
        elif line:
            texts[name] += " " + line.strip()
    return texts


def spec_texts(architecture):
    """Return the texts of an architecture: its own before those of its bases."""
    texts = {}
    for one in reversed(architecture.mro()[:-1]):
        texts.update(parameter_texts(one))
    return texts


def parameters_of(model_class):
    """Return the constructor's parameters by name, in order."""
    # of the method: darts' metaclass hides it from the class
    parameters = dict(inspect.signature(model_class.__init__).parameters)
    parameters.pop("self")
    return parameters


def own_names(model_class):
    """Return the names of the network's parameters."""
    return [field.name for field in dataclasses.fields(model_class.architecture)]


def default_in(text):
    """Return the default that a text states, None where there is none."""
    if "default=" not in text:
        return None
    return text.split("default=")[1].split(" ")[0].rstrip(".,")


def test_the_texts_are_found():
    """The reader of docstrings itself works, so that empty equals empty nowhere."""
    texts = parameter_texts(specs.StackedLSTM)
    assert list(texts) == ["num_layers", "dropout"]
    assert texts["num_layers"] == "int, default=2 Number of LSTM layers."
    assert set(parameter_texts(specs.Architecture)) == {
        field.name for field in dataclasses.fields(specs.Architecture)
    }
    assert len(parameter_texts(VanillaLSTMModel)) == 30


@of_all_classes
def test_each_model_has_the_architecture_of_its_name(model_class):
    stem = model_class.__name__.removesuffix("Model")
    assert model_class.architecture is specs.ARCHITECTURES[stem]


@of_all_classes
def test_every_parameter_is_named(model_class):
    """No ``**kwargs`` that swallow what is misspelt."""
    kinds = {one.kind for one in parameters_of(model_class).values()}
    assert kinds == {inspect.Parameter.POSITIONAL_OR_KEYWORD}


def test_network_parameters_are_those_of_the_spec_in_its_order(model_class):
    fields = dataclasses.fields(model_class.architecture)
    parameters = parameters_of(model_class)
    names = list(parameters)
    first = names.index(fields[0].name)
    assert names[first : first + len(fields)] == [field.name for field in fields]
    for field in fields:
        assert parameters[field.name].default == field.default, field.name
        assert parameters[field.name].annotation == field.type, field.name


def test_shared_parameters_stand_around_them_alike(model_class):
    own = own_names(model_class)
    parameters = parameters_of(model_class)
    shared = [name for name in parameters if name not in own]
    assert shared[: len(WINDOWS)] == WINDOWS
    assert list(parameters)[: len(WINDOWS)] == WINDOWS
    assert shared[len(WINDOWS) : len(WINDOWS) + len(TRAINING)] == TRAINING
    of_vanilla = parameters_of(VanillaLSTMModel)
    vanilla_own = own_names(VanillaLSTMModel)
    assert shared == [name for name in of_vanilla if name not in vanilla_own]
    for name in shared:
        assert parameters[name] == of_vanilla[name], name


@of_all_classes
def test_only_the_two_lengths_are_required(model_class):
    parameters = parameters_of(model_class)
    required = [name for name, one in parameters.items() if one.default is one.empty]
    assert required == ["input_chunk_length", "output_chunk_length"]


@of_all_classes
def test_every_parameter_is_documented_and_nothing_else(model_class):
    texts = parameter_texts(model_class)
    assert list(texts) == list(parameters_of(model_class))
    for name, text in texts.items():
        assert len(text.split()) > 5, name
        assert text.endswith("."), name


@of_all_classes
def test_documented_defaults_are_the_defaults(model_class):
    texts = parameter_texts(model_class)
    for name, parameter in parameters_of(model_class).items():
        stated = default_in(texts[name])
        if parameter.default is parameter.empty:
            assert stated is None, name
        elif isinstance(parameter.default, type):
            assert stated == f"torch.optim.{parameter.default.__name__}", name
        elif isinstance(parameter.default, float):
            assert float(stated) == parameter.default, name
        else:
            assert stated == str(parameter.default), name
    assert parameters_of(model_class)["optimizer_cls"].default is torch.optim.AdamW


def test_texts_of_network_parameters_are_those_of_the_spec(model_class):
    texts = parameter_texts(model_class)
    expected = spec_texts(model_class.architecture)
    for name in own_names(model_class):
        assert texts[name] == expected[name], name


def test_texts_of_shared_parameters_do_not_drift_apart(model_class):
    texts = parameter_texts(model_class)
    of_vanilla = parameter_texts(VanillaLSTMModel)
    for name in set(texts) - set(own_names(model_class)):
        assert texts[name] == of_vanilla[name], name


def test_the_other_sections_do_not_drift_apart(model_class):
    sections, of_vanilla = sections_of(model_class), sections_of(VanillaLSTMModel)
    assert list(sections) == list(of_vanilla)
    assert "Attributes" in sections
    for title in ("Attributes", "Raises"):
        assert sections[title] == of_vanilla[title]
    stem = VanillaLSTMModel.__name__
    example = "\n".join(of_vanilla["Examples"]).replace(stem, model_class.__name__)
    assert "\n".join(sections["Examples"]) == example


OF_ITS_OWN = ["input_chunk_length", "output_chunk_length"]
OF_ITS_OWN += ["optimizer_kwargs", "enable_finetuning"]
"""Parameters of which the pretrained model has something else to say."""


def test_the_pretrained_model_shares_its_parameters_with_the_others():
    ours, others = map(parameters_of, (PretrainedLSTMModel, VanillaLSTMModel))
    assert [name for name in ours if name not in others] == ["fine_tune_steps"]
    shared = [name for name in others if name in ours]
    assert [name for name in ours if name in others] == shared
    assert not set(own_names(VanillaLSTMModel)) & set(shared)
    texts, of_others = map(parameter_texts, (PretrainedLSTMModel, VanillaLSTMModel))
    for name in shared:
        assert ours[name] == others[name], name
        assert name in OF_ITS_OWN or texts[name] == of_others[name], name
    assert (
        sections_of(PretrainedLSTMModel)["Raises"]
        == (sections_of(VanillaLSTMModel)["Raises"])
    )


def test_the_first_line_is_that_of_the_architecture(model_class):
    first, of_spec = (
        inspect.getdoc(one).splitlines()[0]
        for one in (model_class, model_class.architecture)
    )
    assert first == of_spec


def test_references_of_the_spec_are_repeated(model_class):
    """Whoever reads the model finds the paper of its architecture."""
    marker = ".. [1] "
    reference = inspect.getdoc(model_class.architecture).split(marker)[1]
    assert reference.split("\n\n")[0] in inspect.getdoc(model_class)


def test_parameters_of_every_darts_model_are_there(model_class):
    ours = set(parameters_of(model_class))
    theirs = set(parameters_of(TorchForecastingModel)) - {"kwargs"}
    module = set(parameters_of(PLForecastingModule)) - {"kwargs"}
    # what a window's own normalisation stands in for, and what darts fills in
    assert theirs <= ours
    assert module - ours == {"train_sample_shape", "use_reversible_instance_norm"}


def test_parameters_are_taken_up_by_name(model_class, small):
    """What the constructor was given is what ``model_params`` tells."""
    given = {**small, "season_length": 4, "hidden_size": 5, "work_dir": "somewhere"}
    model = model_class(**given)
    params = model.model_params
    assert list(params) != []
    assert params["season_length"] == 4
    assert params["hidden_size"] == 5
    assert params["input_chunk_length"] == small["input_chunk_length"]
    assert set(params) == set(parameters_of(type(model)))
    assert model.work_dir == "somewhere"


def test_an_untrained_copy_has_the_same_parameters(make):
    model = make(segment_length=2, likelihood="normal")
    again = model.untrained_model()
    assert type(again) is type(model)
    assert again.model_params == model.model_params
    assert repr(again) == repr(model)
