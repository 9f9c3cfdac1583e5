"""Errors are caught by what callers expect them to be, too."""

import pickle

import pytest

from lstm_forecasters import errors
from lstm_forecasters.errors import LSTMForecastersError

BUILT_IN = {
    "CovariateError": {ValueError},
    "DataError": {ValueError},
    "FileFormatError": {ValueError},
    "ForkError": {RuntimeError, ValueError},
    "MissingExtraError": {ImportError},
    "ParameterError": {ValueError},
    "ParameterTypeError": {TypeError},
    "TrainingError": {ValueError},
}


def test_every_error_is_listed():
    defined = {
        name
        for name, one in vars(errors).items()
        if isinstance(one, type) and issubclass(one, Exception)
    }
    assert defined == set(errors.__all__)
    assert defined == {*BUILT_IN, "LSTMForecastersError", "TrainingWarning"}


@pytest.mark.parametrize(("name", "built_in"), BUILT_IN.items())
def test_every_error_is_of_this_package_and_of_a_built_in_kind(name, built_in):
    error = getattr(errors, name)
    assert issubclass(error, LSTMForecastersError)
    for other in (ValueError, TypeError, ImportError, RuntimeError):
        assert issubclass(error, other) == (other in built_in)


def test_an_error_about_covariates_is_one_about_data():
    assert issubclass(errors.CovariateError, errors.DataError)


@pytest.mark.parametrize("name", BUILT_IN)
def test_errors_come_back_from_other_processes(name):
    error = pickle.loads(pickle.dumps(getattr(errors, name)("what was received")))
    assert type(error).__name__ == name
    assert str(error) == "what was received"
