"""Files of the darts models: the two of darts, checked, and one of data alone."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path
from pickle import UnpicklingError
from shutil import rmtree
from tempfile import mkdtemp
from typing import Any, Self

import numpy as np
from darts.models.forecasting.torch_forecasting_model import (
    DEFAULT_DARTS_FOLDER,
    INIT_MODEL_NAME,
    MixedCovariatesTorchModel,
    _get_checkpoint_fname,
    _get_checkpoint_folder,
    _get_runs_folder,
)
from darts.utils.data.torch_datasets.utils import TorchTrainingSample
from darts.utils.serialization.base import UnpicklingError as UnsafeContentError

from lstm_forecasters.backend.files import (
    WRONG_CONTENT,
    Archive,
    pack,
    read_archive,
    write_atomically,
)
from lstm_forecasters.backend.forking import check_fork
from lstm_forecasters.backend.model import ForecastModel
from lstm_forecasters.darts.datasets import numbered, of_each_component
from lstm_forecasters.darts.likelihoods import DartsLikelihood, words_of
from lstm_forecasters.darts.module import LSTMModule
from lstm_forecasters.darts.seals import (
    check_archive,
    check_pair,
    is_network_of,
    read_seal,
    seal,
)
from lstm_forecasters.errors import FileFormatError, ParameterError
from lstm_forecasters.specs import Architecture

__all__ = ["PersistentModel"]

_WITHOUT_NETWORK: ContextVar[bool] = ContextVar("without_network", default=False)
"""Whether a model is pickled without its network, which darts' files hold apart."""

UNREADABLE = (UnpicklingError, UnsafeContentError, EOFError)
"""What reading raises where a file holds no objects, or such as are not allowed."""

ARCHIVE_READER = "PytorchStreamReader"
"""What torch's errors about a damaged archive begin with: it looks at more of one than
Python's zipfile does."""

SAVING = ".saving."
"""Beginning of the name of the folder in which files are written."""


class PersistentModel(MixedCovariatesTorchModel):
    """A model that keeps its network in copies, pickles and files."""

    architecture: type[Architecture]
    model: LSTMModule | None
    trainer: Any
    _names: dict[str, tuple[str, ...] | None] | None
    _season: int

    def save(self, path: str | None = None, clean: bool = False) -> None:
        """Save the model in darts' two files, of which one holds the network.

        The files replace those that were there when both are written. After a kill
        between the two, ``load`` and ``load_weights`` finish what was begun.

        Parameters
        ----------
        path : str or None, default=None
            Where to save; the network goes to this path with ``.ckpt`` added. ``None``
            takes a name from the class and the time.
        clean : bool, default=False
            Whether to leave out the training series and the trainer's settings.
        """
        if self.model is not None and not self._has_trainer_of_model():
            self.trainer = self._setup_trainer(None, self.model, False, self.n_epochs)
            self.trainer.strategy.connect(self.model)
        target = Path(path or f"{self._default_save_path()}.pt")
        network = target.with_name(f"{target.name}.ckpt")
        folder = Path(mkdtemp(prefix=SAVING, dir=target.parent))
        token = _WITHOUT_NETWORK.set(True)
        try:
            super().save(str(folder / target.name), clean)
            if self.model is not None and not (folder / network.name).exists():
                return  # the first of several training processes writes the files
            seal(folder / target.name, folder / network.name)
            (folder / target.name).replace(target)
            if self.model is None:  # that of an older model is none of this one
                network.unlink(missing_ok=True)
            _finish_save(target)
        finally:
            _WITHOUT_NETWORK.reset(token)
            if folder.exists() and not _holds_only(folder, network.name):
                rmtree(folder)

    def _has_trainer_of_model(self) -> bool:
        """Return whether the trainer, which saves a network, has that of the model.

        Weights that were loaded are in a network of their own.
        """
        return bool(self.trainer) and self.trainer.lightning_module is self.model

    @classmethod
    def load(
        cls,
        path: str,
        pl_trainer_kwargs: dict[str, Any] | None = None,
        trusted: bool = False,
        **kwargs: Any,
    ) -> Self:
        """Load a model from the two files of ``save``, whose digests are checked.

        Parameters
        ----------
        path : str
            Where the model was saved; the network is read from this path with
            ``.ckpt`` added.
        pl_trainer_kwargs : dict or None, default=None
            Settings of the Lightning trainer, in place of those that were saved.
        trusted : bool, default=False
            Whether the files may build any object, and so execute any code. By
            default they may build what darts and this package have allowed.
        **kwargs
            Arguments of Lightning's ``load_from_checkpoint``, such as
            ``map_location``.

        Raises
        ------
        FileFormatError
            If a file is damaged, foreign, or holds a model of another class, or if
            the two are not of one save, or that of the network is missing.
        """
        path = os.fspath(path)
        _finish_save(Path(path))
        check_pair(Path(path), Path(f"{path}.ckpt"))
        check_fork()
        try:
            model = super().load(path, pl_trainer_kwargs, trusted, **kwargs)
        except (*UNREADABLE, *WRONG_CONTENT) as error:
            raise FileFormatError(
                f"{path} and {path}.ckpt cannot be loaded: {error}"
            ) from error
        if not isinstance(model, cls):
            raise FileFormatError(
                f"{path} holds a {type(model).__name__}, not a {cls.__name__}. Use the "
                "class of that name."
            )
        return model

    def load_weights(
        self,
        path: str,
        load_encoders: bool = True,
        skip_checks: bool = False,
        *args: Any,
        **kwargs: Any,
    ) -> None:
        """Load the weights of a saved model, as darts does, from files that are whole.

        Raises
        ------
        FileFormatError
            If a file is damaged or foreign, or if the two are not of one save.
        """
        path = os.fspath(path)
        _finish_save(Path(path))
        if not skip_checks and Path(path).exists():
            check_pair(Path(path), Path(f"{path}.ckpt"))
        super().load_weights(path, load_encoders, skip_checks, *args, **kwargs)

    @staticmethod
    def load_from_checkpoint(
        model_name: str,
        work_dir: str | None = None,
        file_name: str | None = None,
        best: bool = True,
        trusted: bool = False,
        **kwargs: Any,
    ) -> Any:
        """Load a checkpoint of a fit, as darts does, from files that are whole.

        Raises
        ------
        FileFormatError
            If a file is damaged or foreign.
        """
        file_name, model, network = _checkpoint(model_name, work_dir, file_name, best)
        with _reading(model, network):
            return MixedCovariatesTorchModel.load_from_checkpoint(
                model_name, work_dir, file_name, best, trusted, **kwargs
            )

    def __getstate__(self) -> dict[str, Any]:
        """Return the state, network included: pickles and copies can forecast."""
        state: dict[str, Any] = super().__getstate__()
        if not _WITHOUT_NETWORK.get():
            state["model"] = self.model
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Restore the state."""
        network = state.get("model")
        super().__setstate__(state)
        self.model = network

    def load_weights_from_checkpoint(
        self,
        model_name: str | None = None,
        work_dir: str | None = None,
        file_name: str | None = None,
        best: bool = True,
        strict: bool = True,
        load_encoders: bool = True,
        skip_checks: bool = False,
        *args: Any,
        **kwargs: Any,
    ) -> None:
        """Load weights, as darts does, where the season that they learnt is known.

        Raises
        ------
        FileFormatError
            If a file is damaged or foreign.
        """
        if skip_checks and self.model_params["season_length"] is None:
            raise ParameterError(
                "with skip_checks=True the season of the weights is not read. "
                "Construct the model with season_length, or leave skip_checks out."
            )
        if file_name is None or file_name.startswith(("best-", "last-")):
            name = model_name or self.model_name
            file_name, model, network = _checkpoint(name, work_dir, file_name, best)
        else:
            model, network = file_name[: -len(".ckpt")], file_name  # as darts takes it
        with _reading(None if skip_checks else model, network):
            super().load_weights_from_checkpoint(
                model_name,
                work_dir,
                file_name,
                best,
                strict,
                load_encoders,
                skip_checks,
                *args,
                **kwargs,
            )

    def _check_ckpt_parameters(self, tfm_save: Self) -> None:
        """Check a saved model's parameters, and take up its names and its season."""
        super()._check_ckpt_parameters(tfm_save)
        self._names, self._season = tfm_save._names, tfm_save._season

    @property
    def network_(self) -> ForecastModel:
        """The trained network, which ``from_network`` of both ecosystems takes."""
        if self.model is None:
            raise ParameterError(
                f"this {type(self).__name__} has no network yet. Call fit first."
            )
        network: ForecastModel = self.model.network
        return network

    @classmethod
    def from_network(cls, network: ForecastModel, **parameters: Any) -> Self:
        """Return a model that forecasts with a trained network.

        Parameters
        ----------
        network : lstm_forecasters.backend.model.ForecastModel
            What a model or a forecaster of this architecture has learnt: its
            ``network_``, from darts or from sktime.
        **parameters
            Arguments of the constructor that say nothing about the network, such as
            ``pl_trainer_kwargs``.

        Returns
        -------
        model
            Ready to ``predict`` any series that is passed to it, and to be fitted on.

        Raises
        ------
        ParameterError
            If the network is of another architecture, or reads what darts cannot give.
        """
        if network.spec.name != cls.architecture.__name__:
            raise ParameterError(
                f"{cls.__name__} holds a {cls.architecture.__name__}, but the network "
                f"is a {network.spec.name}. Use the class of that name."
            )
        given = cls._parameters_of(network)
        if given.keys() & parameters:
            raise ParameterError(
                f"{sorted(given.keys() & parameters)} are given by the network. Leave "
                "them out."
            )
        model = cls(**given, **parameters)
        check_fork()
        model._adopt(network)
        return model

    @classmethod
    def _parameters_of(cls, network: ForecastModel) -> dict[str, Any]:
        """Return the constructor's arguments that describe a network."""
        return {
            **cls._windows_of(network),
            "output_chunk_shift": network.layout.output_shift,
            "likelihood": words_of(network.likelihood),
            **dataclasses.asdict(network.spec),
        }

    @staticmethod
    def _windows_of(network: ForecastModel) -> dict[str, Any]:
        """Return the constructor's arguments that describe a network's windows."""
        return {
            "input_chunk_length": network.layout.context,
            "output_chunk_length": network.layout.horizon,
            "season_length": network.layout.period,
        }

    def _adopt(self, network: ForecastModel) -> None:
        """Take up a trained network, as if it had been trained here."""
        layout = network.layout
        self._season = layout.period
        names = {
            kind: tuple(map(str, getattr(layout, kind)))
            for kind in ("past_covariates", "future_covariates", "static_covariates")
        }
        n_rows, static = 1, names["static_covariates"]
        per_component = tuple(
            name.removeprefix("0_")
            for name in static[: len(static) // layout.n_channels]
        )
        if static and static == of_each_component(per_component, layout.n_channels):
            n_rows, static = layout.n_channels, per_component
        self._names = {
            kind: None if given == numbered(kind, len(given)) else given
            for kind, given in {**names, "static_covariates": static}.items()
        }
        self._names["target"] = None
        context, ahead = layout.context, layout.horizon

        def zeros(n_steps: int, n_columns: int) -> np.ndarray | None:
            return np.zeros((n_steps, n_columns)) if n_columns else None

        n_past, n_future = len(layout.past_covariates), len(layout.future_covariates)
        self.train_sample = TorchTrainingSample(
            past_target=zeros(context, layout.n_channels),
            past_covariates=zeros(context, n_past),
            historic_future_covariates=zeros(context, n_future),
            future_covariates=zeros(ahead, n_future),
            static_covariates=zeros(n_rows, len(static)),
            future_target=zeros(ahead, layout.n_channels),
        )
        self.output_dim = layout.n_channels
        self.pl_module_params["train_sample_shape"] = self.train_sample.sample_shapes()
        module = LSTMModule(
            architecture=network.spec.to_dict(),
            layout=dataclasses.asdict(
                dataclasses.replace(
                    layout,
                    past_covariates=names["past_covariates"],
                    future_covariates=names["future_covariates"],
                )
            ),
            seed=self._draw_seed(),
            **self.pl_module_params,
        )
        module.network.load_state_dict(network.state_dict())
        module.series_dtype = self._series_dtype
        self._module_name = type(module).__name__
        self._module_path = type(module).__module__
        self.encoders = self.initialize_encoders()
        self.model = module.eval()
        self._fit_called = True
        self._update_covariates_use()

    def to_file(self, path: str | os.PathLike[str]) -> None:
        """Write the trained network to one safe file, for both ecosystems.

        The file holds weights, architecture, layout, names and likelihood: no series,
        and nothing that could be executed.

        Parameters
        ----------
        path : str or path-like
            Where to write, atomically. The usual suffix is ``.safetensors``.

        Raises
        ------
        ParameterError
            If there is no network yet, or its likelihood is one of darts alone.
        """
        network = self.network_
        if isinstance(network.likelihood, DartsLikelihood):
            raise ParameterError(
                f"likelihood={self.likelihood!r} is known to darts alone, and no file "
                "of lstm_forecasters holds it. Train with "
                'likelihood="quantile", "normal" or "student_t", or use save.'
            )
        extra = {"ecosystem": "darts", "class": type(self).__name__}
        write_atomically(path, pack(Archive([network], extra)))

    @classmethod
    def from_file(cls, path: str | os.PathLike[str], **parameters: Any) -> Self:
        """Return the model with the network of a file that either ecosystem wrote.

        Parameters
        ----------
        path : str or path-like
            A file of ``to_file``, of darts' side or of sktime's.
        **parameters
            Arguments of the constructor that say nothing about the network.

        Raises
        ------
        FileFormatError
            If the file is damaged, foreign, or holds no network or one of another
            architecture.
        """
        archive = read_archive(path)
        models = list(archive.models)
        roles = archive.extra.get("networks", [])
        if "network_" in roles:  # sktime may keep the pretrained one beside it
            models = [models[roles.index("network_")]]
        if len(models) != 1:
            raise FileFormatError(
                f"{os.fspath(path)} holds {len(models)} networks, but a "
                f"{cls.__name__} is made of one."
            )
        if models[0].spec.name != cls.architecture.__name__:
            raise FileFormatError(
                f"{os.fspath(path)} holds a {models[0].spec.name}, not a "
                f"{cls.architecture.__name__}. Use {models[0].spec.name}Model."
            )
        return cls.from_network(models[0], **parameters)


def _finish_save(target: Path) -> None:
    """Move the network of a save whose model has taken its place already.

    The folder of such a save holds the network alone, and there may be older ones.
    """
    name = f"{target.name}.ckpt"
    for folder in target.parent.glob(f"{SAVING}*"):
        with suppress(FileNotFoundError):  # another process may finish it as well
            if (
                os.access(folder, os.R_OK)
                and _holds_only(folder, name)
                and is_network_of(target, folder / name)
            ):
                (folder / name).replace(target.with_name(name))
                folder.rmdir()


def _holds_only(folder: Path, name: str) -> bool:
    """Return whether a folder holds one file alone."""
    return [file.name for file in folder.iterdir()] == [name]


def _checkpoint(
    model_name: str, work_dir: str | None, file_name: str | None, best: bool
) -> tuple[str | None, str, str]:
    """Return the name of a checkpoint, and where darts finds its model and itself."""
    run = (work_dir or str(Path.cwd() / DEFAULT_DARTS_FOLDER), model_name)
    if file_name is None:
        with suppress(FileNotFoundError):  # of which darts speaks in its turn
            file_name = _get_checkpoint_fname(*run, best=best)
    model = Path(_get_runs_folder(*run), INIT_MODEL_NAME)
    network = Path(_get_checkpoint_folder(*run), file_name or "")
    return file_name, str(model), str(network)


@contextmanager
def _reading(model: str | None, network: str) -> Iterator[None]:
    """Refuse files that are damaged, or of which darts can build nothing.

    What darts and torch say of arguments, of weights of other shapes and of missing
    files are errors of other types. Of a checkpoint, Lightning has written the network,
    so that no seal names it.
    """
    files = [network] if model is None else [model, network]
    for path in filter(Path.is_file, map(Path, files)):
        check_archive(path)
    if model is not None and Path(model).is_file():
        read_seal(Path(model))
    check_fork()
    try:
        yield
    except Exception as error:
        is_of_content = isinstance(error, (*UNREADABLE, AttributeError, LookupError))
        if not is_of_content and ARCHIVE_READER not in str(error):
            raise
        raise FileFormatError(
            f"{' and '.join(files)} cannot be loaded: {error!r}"
        ) from error
