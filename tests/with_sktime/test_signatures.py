"""Signatures and their texts against the one specification that they restate."""

import dataclasses
import inspect

import pytest

from lstm_forecasters import specs
from lstm_forecasters.backend.recipe import Recipe
from lstm_forecasters.sktime import VanillaLSTMForecaster

WINDOWS = ["window_length", "horizon", "sp", "past_covariates", "likelihood"]
TRAINING = ["max_steps", "batch_size", "learning_rate"]
TRAINING += ["validation_fraction", "patience", "fine_tune_steps"]
"""Shared parameters in order: before the network's, and after them."""


def parameter_texts(documented):
    """Return the texts of a docstring's Parameters section, by name."""
    lines = inspect.getdoc(documented).splitlines()
    if "Parameters" not in lines:
        return {}
    texts, name = {}, None
    for line in lines[lines.index("Parameters") + 2 :]:
        if set(line) == {"-"} and line:
            break
        if line and not line.startswith(" "):
            name, _, kind = line.partition(" : ")
            texts[name] = [kind]
        elif name is not None:
            texts[name].append(line.strip())
    # The line above the next section's underline is its title.
    texts = {key: text for key, text in texts.items() if text[0]}
    return {key: " ".join(text).strip() for key, text in texts.items()}


def spec_texts(architecture):
    """Return the texts of an architecture: its own before those of its bases."""
    texts = {}
    for one in reversed(architecture.mro()[:-1]):
        texts.update(parameter_texts(one))
    return texts


def parameters_of(forecaster_class):
    """Return the constructor's parameters by name, in order."""
    parameters = dict(inspect.signature(forecaster_class).parameters)
    parameters.pop("self", None)
    return parameters


def default_in(text):
    """Return the default that a text states."""
    return text.split("default=")[1].split(" ")[0].rstrip(".,")


def test_the_texts_are_found():
    """The reader of docstrings itself works, so that empty equals empty nowhere."""
    texts = parameter_texts(specs.StackedLSTM)
    assert list(texts) == ["num_layers", "dropout"]
    assert texts["num_layers"] == "int, default=2 Number of LSTM layers."
    assert set(parameter_texts(specs.Architecture)) == {
        field.name for field in dataclasses.fields(specs.Architecture)
    }


def test_each_forecaster_has_the_architecture_of_its_name(forecaster_class):
    stem = forecaster_class.__name__.removesuffix("Forecaster")
    assert forecaster_class.architecture is specs.ARCHITECTURES[stem]


def test_network_parameters_are_those_of_the_spec_in_its_order(forecaster_class):
    fields = dataclasses.fields(forecaster_class.architecture)
    parameters = parameters_of(forecaster_class)
    names = list(parameters)
    first = names.index(fields[0].name)
    assert names[first : first + len(fields)] == [field.name for field in fields]
    for field in fields:
        assert parameters[field.name].default == field.default, field.name


def test_shared_parameters_stand_around_them_alike(forecaster_class):
    own = [field.name for field in dataclasses.fields(forecaster_class.architecture)]
    parameters = parameters_of(forecaster_class)
    shared = [name for name in parameters if name not in own]
    assert shared[: len(WINDOWS)] == WINDOWS
    assert shared[len(WINDOWS) : len(WINDOWS) + len(TRAINING)] == TRAINING
    of_vanilla = parameters_of(VanillaLSTMForecaster)
    vanilla_own = [field.name for field in dataclasses.fields(specs.VanillaLSTM)]
    assert shared == [name for name in of_vanilla if name not in vanilla_own]
    for name in shared:
        assert parameters[name].default == of_vanilla[name].default, name


def test_training_defaults_are_those_of_the_recipe(forecaster_class):
    parameters = parameters_of(forecaster_class)
    named = [field for field in dataclasses.fields(Recipe) if field.name in parameters]
    assert {field.name for field in named} >= set(TRAINING) - {"fine_tune_steps"}
    for field in named:
        assert parameters[field.name].default == field.default, field.name


def test_every_parameter_is_documented_and_nothing_else(forecaster_class):
    texts = parameter_texts(forecaster_class)
    assert list(texts) == list(parameters_of(forecaster_class))
    for name, text in texts.items():
        assert len(text.split()) > 5, name


def test_documented_defaults_are_the_defaults(forecaster_class):
    texts = parameter_texts(forecaster_class)
    for name, parameter in parameters_of(forecaster_class).items():
        stated = default_in(texts[name])
        if isinstance(parameter.default, float):
            assert float(stated) == parameter.default, name
        elif isinstance(parameter.default, str):
            assert stated == f'"{parameter.default}"', name
        else:
            assert stated == str(parameter.default), name


def test_texts_of_network_parameters_are_those_of_the_spec(forecaster_class):
    texts = parameter_texts(forecaster_class)
    expected = spec_texts(forecaster_class.architecture)
    for field in dataclasses.fields(forecaster_class.architecture):
        assert texts[field.name] == expected[field.name], field.name


def test_texts_of_training_parameters_are_those_of_the_recipe(forecaster_class):
    texts = parameter_texts(forecaster_class)
    of_recipe = parameter_texts(Recipe)
    for name in ("learning_rate", "validation_fraction", "patience"):
        assert texts[name] == of_recipe[name], name


def test_texts_of_shared_parameters_do_not_drift_apart(forecaster_class):
    texts = parameter_texts(forecaster_class)
    of_vanilla = parameter_texts(VanillaLSTMForecaster)
    own = {field.name for field in dataclasses.fields(forecaster_class.architecture)}
    for name in set(texts) - own:
        assert texts[name] == of_vanilla[name], name


@pytest.mark.parametrize("spec", specs.ARCHITECTURES.values())
def test_every_field_of_a_spec_is_documented_with_its_default(spec):
    texts = spec_texts(spec)
    for field in dataclasses.fields(spec):
        stated = default_in(texts[field.name])
        assert stated == str(field.default), field.name


def test_references_of_the_spec_are_repeated(forecaster_class):
    """Whoever reads the forecaster finds the paper of its architecture."""
    marker = ".. [1] "
    reference = inspect.getdoc(forecaster_class.architecture).split(marker)[1]
    assert reference.split("\n\n")[0] in inspect.getdoc(forecaster_class)
