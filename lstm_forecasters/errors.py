"""Errors and warnings of this package, each also the built-in type callers expect."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = [
    "CovariateError",
    "DataError",
    "FileFormatError",
    "ForkError",
    "LSTMForecastersError",
    "MissingExtraError",
    "ParameterError",
    "ParameterTypeError",
    "TrainingError",
    "TrainingWarning",
]


class LSTMForecastersError(Exception):
    """Root of all errors that this package raises itself."""


class ParameterError(LSTMForecastersError, ValueError):
    """A parameter has a value that cannot work."""


class ParameterTypeError(LSTMForecastersError, TypeError):
    """A parameter has a type that cannot work."""


class DataError(LSTMForecastersError, ValueError):
    """A series cannot be used as it is."""


class CovariateError(DataError):
    """Covariates are missing, too short, or not those of the fit."""


class FileFormatError(LSTMForecastersError, ValueError):
    """A file is damaged, foreign, or of another format version."""


class TrainingError(LSTMForecastersError, ValueError):
    """Training did not arrive at a usable network."""


class ForkError(LSTMForecastersError, RuntimeError, ValueError):
    """A forked process cannot compute, for lack of the threads of its parent.

    A ``ValueError`` too, as the others that ``fit`` and ``predict`` raise.
    """


class TrainingWarning(UserWarning):
    """Training did not go as planned, and went on in another way."""


class MissingExtraError(LSTMForecastersError, ImportError):
    """A library that an extra installs is missing, which an import finds out."""


def did_you_mean(received: object, options: Iterable[object]) -> str:
    """Return a sentence that names the closest valid option and all the others."""
    options = list(options)
    close = difflib.get_close_matches(
        str(received), [str(option) for option in options], n=1, cutoff=0.4
    )
    listed = ", ".join(repr(option) for option in options)
    guess = f" Did you mean {close[0]!r}?" if close else ""
    return f"{guess} Valid values: {listed}."
