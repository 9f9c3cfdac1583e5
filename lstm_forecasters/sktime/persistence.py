"""Files of the sktime forecasters: data, from which nothing is executed."""

from __future__ import annotations

import copy
import dataclasses
import os
import pickle
import zipfile
from pathlib import Path
from typing import Any, Self

from sktime.forecasting.base import BaseForecaster

from lstm_forecasters.backend.files import (
    WRONG_CONTENT,
    Archive,
    naming,
    pack,
    read_archive,
    unpack,
    write_atomically,
)
from lstm_forecasters.backend.forking import check_fork
from lstm_forecasters.backend.likelihoods import LIKELIHOODS
from lstm_forecasters.backend.model import ForecastModel
from lstm_forecasters.errors import FileFormatError, ParameterError, did_you_mean
from lstm_forecasters.sktime.state import (
    dump_state,
    read_saved,
    restore_state,
    zip_saved,
)
from lstm_forecasters.specs import Architecture

__all__ = ["PersistentForecaster"]


class PersistentForecaster(BaseForecaster):
    """A forecaster that is written to files as data, and read from them."""

    architecture: type[Architecture]

    def to_file(
        self, path: str | os.PathLike[str], *, keep_context: bool = False
    ) -> None:
        """Write the trained network to one safe file, which both ecosystems read.

        Parameters
        ----------
        path : path
            File to write; what was there is replaced at once or not at all.
        keep_context : bool, default=False
            Whether the file also holds the series seen so far, so that
            ``from_file`` returns a fitted forecaster.

        Raises
        ------
        sktime.exceptions.NotFittedError
            If there is no network yet.
        lstm_forecasters.errors.ParameterTypeError
            If a parameter or a name is neither a number nor a string.
        """
        if not hasattr(self, "pretrained_network_"):
            self.check_is_fitted()
        write_atomically(path, pack(dump_state(self, keep_context=keep_context)))

    @classmethod
    def from_file(cls, path: str | os.PathLike[str]) -> Self:
        """Return the forecaster in a file; nothing in the file is executed.

        Parameters
        ----------
        path : path
            File that ``to_file`` has written, on sktime's side or on darts' side.

        Returns
        -------
        forecaster
            Fitted, if the file keeps its context. Else pretrained: ``fit`` takes a
            series as context of the network, and ``fine_tune_steps`` adapts it.

        Raises
        ------
        lstm_forecasters.errors.FileFormatError
            If the file is damaged, foreign, of another format version, or holds
            another architecture.
        lstm_forecasters.errors.ParameterError
            If a darts model's network has what no sktime forecaster can express.
        """
        archive = read_archive(path)
        with naming(path):
            return cls._from_archive(archive)

    @classmethod
    def from_network(cls, network: ForecastModel, **parameters: Any) -> Self:
        """Return a forecaster that was pretrained elsewhere.

        Parameters
        ----------
        network : lstm_forecasters.backend.model.ForecastModel
            What a forecaster or a darts model of this architecture has learnt: its
            ``network_``.
        **parameters
            Arguments of the constructor that say nothing about the network, such as
            ``fine_tune_steps``.

        Returns
        -------
        forecaster
            Pretrained with a copy of the network: ``fit`` takes a series as its
            context, and ``fine_tune_steps`` adapts it.

        Raises
        ------
        lstm_forecasters.errors.ParameterError
            If the network is of another architecture, or has what no sktime forecaster
            can express: an output shift, static covariates, or a likelihood of darts.
        """
        layout = network.layout
        if network.spec.name != cls.architecture.__name__:
            raise ParameterError(
                f"{cls.__name__} holds a {cls.architecture.__name__}, but the network "
                f"is a {network.spec.name}. Use {network.spec.name}Forecaster."
            )
        foreign = {
            "output_chunk_shift": layout.output_shift,
            "static_covariates": list(layout.static_covariates),
            "likelihood": None
            if network.likelihood.name in LIKELIHOODS
            else type(network.likelihood).__name__,
        }
        if inexpressible := {name: one for name, one in foreign.items() if one}:
            raise ParameterError(
                f"the network has {inexpressible}, which sktime forecasters cannot "
                "express. Train without, or stay with darts."
            )
        given = cls._parameters_of(network)
        if given.keys() & parameters:
            raise ParameterError(
                f"{sorted(given.keys() & parameters)} are given by the network. Leave "
                "them out."
            )
        forecaster = cls(**given, **parameters)
        forecaster._check_parameters()
        check_fork()
        forecaster.pretrained_network_ = copy.deepcopy(network).eval()
        forecaster._pretrained_attrs = ["pretrained_network_"]
        forecaster._state = "pretrained"
        return forecaster

    @classmethod
    def _parameters_of(cls, network: ForecastModel) -> dict[str, Any]:
        """Return the constructor's arguments that describe a network."""
        return {
            **cls._windows_of(network),
            "likelihood": network.likelihood.name,
            **dataclasses.asdict(network.spec),
        }

    @staticmethod
    def _windows_of(network: ForecastModel) -> dict[str, Any]:
        """Return the constructor's arguments that describe a network's windows."""
        layout = network.layout
        return {
            "window_length": layout.lookback,
            "horizon": layout.horizon,
            "sp": layout.period,
            "past_covariates": list(layout.past_covariates) or None,
        }

    @classmethod
    def _from_archive(cls, archive: Archive) -> Self:
        """Return the forecaster that an archive describes."""
        for model in archive.models:
            if model.spec.name != cls.architecture.__name__:
                raise FileFormatError(
                    f"the file holds a {model.spec.name}, not a "
                    f"{cls.architecture.__name__}. Use the class of that architecture: "
                    f"{model.spec.name}Forecaster."
                )
        if archive.extra.get("ecosystem") == "darts" and len(archive.models) == 1:
            return cls.from_network(archive.models[0])
        try:
            forecaster = cls(**archive.extra["parameters"])
        except WRONG_CONTENT as error:
            raise FileFormatError(
                f"the file does not hold parameters of {cls.__name__}: {error}"
            ) from error
        restore_state(forecaster, archive)
        return forecaster

    def save(
        self,
        path: str | os.PathLike[str] | None = None,
        serialization_format: str = "pickle",
    ) -> tuple[type, bytes] | zipfile.ZipFile:
        """Save the whole state, as sktime does, but as data instead of a pickle.

        Parameters
        ----------
        path : path or None, default=None
            Where to write a zip file, its name without ``.zip``; None returns the
            state.
        serialization_format : {"pickle", "cloudpickle"}, default="pickle"
            Accepted for sktime's sake and without effect.

        Returns
        -------
        (type, bytes) or zipfile.ZipFile
            As ``sktime.base.load`` takes it. That function unpickles the name of the
            class; ``load_from_path`` of the class unpickles nothing.
        """
        if serialization_format not in ("pickle", "cloudpickle"):
            raise ParameterError(
                f"serialization_format={serialization_format!r} is unknown."
                f"{did_you_mean(serialization_format, ('pickle', 'cloudpickle'))}"
            )
        state = pack(dump_state(self, keep_context=True))
        if path is None:
            return type(self), state
        target = Path(f"{os.fspath(path)}.zip")
        write_atomically(target, zip_saved(pickle.dumps(type(self)), state))
        return zipfile.ZipFile(target)

    @classmethod
    def load_from_serial(cls, serial: bytes) -> Self:
        """Return the forecaster in the bytes that ``save()`` returned."""
        return cls._from_archive(unpack(serial))

    @classmethod
    def load_from_path(cls, serial: str | os.PathLike[str]) -> Self:
        """Return the forecaster in the zip file that ``save(path)`` wrote.

        Parameters
        ----------
        serial : path
            Of the zip file, with ``.zip``. Nothing in it is unpickled.

        Raises
        ------
        lstm_forecasters.errors.FileFormatError
            If the file is damaged, foreign, of another format version, or holds
            another architecture.
        """
        with naming(serial):
            return cls.load_from_serial(read_saved(serial))
