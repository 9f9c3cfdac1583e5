"""What the darts models share: darts' methods on the backend's model."""

from __future__ import annotations

import copy
import dataclasses
import functools
import inspect
import os
import warnings
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from pathlib import Path
from pickle import UnpicklingError
from tempfile import TemporaryDirectory
from typing import Any, Literal, Self
from zipfile import BadZipFile, ZipFile

import numpy as np
import pytorch_lightning as pl
import torch
from darts import TimeSeries
from darts.models.forecasting.torch_forecasting_model import (
    DEFAULT_DARTS_FOLDER,
    INIT_MODEL_NAME,
    MixedCovariatesTorchModel,
)
from darts.utils.data import TorchInferenceDataset, TorchTrainingDataset
from darts.utils.data.torch_datasets.utils import (
    TorchInferenceSample,
    TorchTrainingSample,
)
from darts.utils.data.utils import _process_sample_weight
from pytorch_lightning.callbacks import ProgressBar
from sklearn.utils import check_random_state

from lstm_forecasters.backend.calibration import rehearse_spread
from lstm_forecasters.backend.files import (
    WRONG_CONTENT,
    Archive,
    pack,
    read_archive,
    write_atomically,
)
from lstm_forecasters.backend.forecasting import WINDOWS_AT_A_TIME
from lstm_forecasters.backend.forking import about_to_compute
from lstm_forecasters.backend.model import ForecastModel
from lstm_forecasters.backend.recipe import (
    Recipe,
    default_batch_size,
    default_references,
    default_steps,
    default_weight_decay,
)
from lstm_forecasters.backend.training import LOWER_RATE
from lstm_forecasters.backend.windows import Layout
from lstm_forecasters.darts.datasets import (
    InferenceWindows,
    SeriesList,
    TrainingWindows,
    common_names,
    covariates_of_samples,
    static_names,
)
from lstm_forecasters.darts.likelihoods import (
    DartsLikelihood,
    backend_likelihood,
    darts_likelihood,
    words_of,
)
from lstm_forecasters.darts.loading import WindowsDataModule
from lstm_forecasters.darts.module import LSTMModule
from lstm_forecasters.darts.predicting import PlainPredictor, needs_no_trainer
from lstm_forecasters.darts.quiet import hide_noise, quietly
from lstm_forecasters.errors import (
    CovariateError,
    DataError,
    FileFormatError,
    ParameterError,
    ParameterTypeError,
    TrainingError,
    TrainingWarning,
)
from lstm_forecasters.seasons import season_of
from lstm_forecasters.specs import Architecture, check_flag, check_integer

__all__ = ["BaseLSTMModel"]

TRAINER_DEFAULTS: dict[str, Any] = {
    "precision": "32-true",
    "gradient_clip_val": Recipe.gradient_clip,
    "enable_progress_bar": False,
    "enable_model_summary": False,
    "enable_checkpointing": False,  # also for models that forgot their settings,
    "logger": False,  # which save(clean=True) makes of them
}
"""Settings of the Lightning trainer, where ``pl_trainer_kwargs`` has no others."""

LIMITS_OF_TRAINING = (
    "fast_dev_run",
    "limit_train_batches",
    "max_epochs",
    "max_steps",
    "max_time",
)
"""Settings of the trainer that shorten a fit."""

EMPTY_LIST = "the list of series is empty. Pass a TimeSeries at least."

SERIES_ARGUMENTS = {
    f"{stage}{kind}"
    for stage in ("", "val_")
    for kind in ("series", "past_covariates", "future_covariates")
}

LARGEST_SEED = 2**31 - 1

_WITHOUT_NETWORK: ContextVar[bool] = ContextVar("without_network", default=False)
"""Whether a model is pickled without its network, which darts' files hold apart."""


def _losing_nothing(method: Callable[..., Any]) -> Callable[..., Any]:
    """Return a method that, when it raises an error, leaves the model as it was."""

    @functools.wraps(method)
    def kept(self: BaseLSTMModel, *args: Any, **kwargs: Any) -> Any:
        before = dict(vars(self))
        try:
            return method(self, *args, **kwargs)
        except Exception:
            random_instance = self._random_instance
            self.__dict__.clear()
            self.__dict__.update(before, _random_instance=random_instance)
            raise

    return kept


def _is_finite(module: LSTMModule) -> bool:
    """Return whether a network has not diverged."""
    return all(bool(one.isfinite().all()) for one in module.network.parameters())


def _of_series(method: Callable[..., Any]) -> Callable[..., Any]:
    """Return a method that looks at the type of its series first."""
    signature = inspect.signature(method)

    @functools.wraps(method)
    def checked(self: BaseLSTMModel, *args: Any, **kwargs: Any) -> Any:
        given = signature.bind_partial(self, *args, **kwargs).arguments
        for name in SERIES_ARGUMENTS & given.keys():
            value = given[name]
            if value is None or isinstance(value, TimeSeries):
                continue
            if not isinstance(value, Sequence) or isinstance(value, str):
                received = type(value).__name__
            elif odd := [one for one in value if not isinstance(one, TimeSeries)]:
                received = f"a list that holds a {type(odd[0]).__name__}"
            else:
                continue
            raise ParameterTypeError(
                f"{name} must be a TimeSeries or a list of them, got {received}. Make "
                "one by TimeSeries.from_dataframe, from_series or from_values."
            )
        return method(self, *args, **kwargs)

    return checked


def _of_some_series(method: Callable[..., Any]) -> Callable[..., Any]:
    """Return a forecasting method that looks at horizon and series first."""

    @functools.wraps(method)
    def checked(
        self: BaseLSTMModel, n: int, series: Any = None, *args: Any, **kwargs: Any
    ) -> Any:
        check_integer("n", n, 1)
        if isinstance(series, list | tuple) and not series:
            raise DataError(EMPTY_LIST)
        return method(self, n, series, *args, **kwargs)

    return checked


class BaseLSTMModel(MixedCovariatesTorchModel):
    """Base of the LSTM models; its subclasses name their architecture."""

    architecture: type[Architecture]
    model: LSTMModule | None
    batch_size: int | None
    _fit_called: bool

    def _set_up(self, parameters: dict[str, Any]) -> None:
        """Check and take up the constructor's arguments."""
        self._check_parameters(parameters)
        taken = dict(self.model_params)
        taken["work_dir"] = taken["work_dir"] or str(Path.cwd() / DEFAULT_DARTS_FOLDER)
        super().__init__(**self._extract_torch_model_params(**taken))
        if not parameters["show_warnings"]:
            hide_noise()
        self.pl_module_params = self._extract_pl_module_params(**taken)
        self.pl_module_params["likelihood"] = darts_likelihood(parameters["likelihood"])
        self._considers_static_covariates = parameters["use_static_covariates"]
        self._own_batch_size: int | None = None  # what the recipe chose, if it did
        self._step_budget: int | None = None
        self._can_begin_again = False  # a training that diverged
        self._season = parameters["season_length"] or 1
        self._names: dict[str, tuple[str, ...] | None] | None = None

    # -- parameters ---------------------------------------------------------------

    @property
    def _spec(self) -> Architecture:
        """The architecture with this model's settings."""
        return _spec_of(self.architecture, self.model_params)

    def _check_parameters(self, parameters: dict[str, Any]) -> None:
        """Refuse parameters that cannot work, before any time is spent."""
        spec = _spec_of(self.architecture, parameters)
        window = check_integer(
            "input_chunk_length", parameters["input_chunk_length"], 1
        )
        check_integer("output_chunk_length", parameters["output_chunk_length"], 1)
        check_integer("output_chunk_shift", parameters["output_chunk_shift"], 0)
        for name in ("season_length", "n_epochs", "batch_size"):
            if parameters[name] is not None:
                check_integer(name, parameters[name], 1)
        season = parameters["season_length"]
        if season is not None and season > window:
            raise ParameterError(
                f"season_length={season} is longer than input_chunk_length={window}: "
                f"no window would hold a season. Pass input_chunk_length={season} or "
                "more, or season_length=1."
            )
        check_flag("use_static_covariates", parameters["use_static_covariates"])
        likelihood = backend_likelihood(darts_likelihood(parameters["likelihood"]))
        if (
            isinstance(likelihood, DartsLikelihood)
            and likelihood.is_joint
            and not spec.joint_channels
        ):
            raise ParameterError(
                f"{type(likelihood.likelihood).__name__} is one distribution of all "
                "components together. Pass joint_channels=True with it."
            )
        loss_fn = parameters["loss_fn"]
        if loss_fn is not None and not callable(loss_fn):
            raise ParameterTypeError(
                "loss_fn must be a torch loss such as torch.nn.MSELoss(), got "
                f"{loss_fn!r} of type {type(loss_fn).__name__}."
            )

    @property
    def supports_static_covariates(self) -> bool:
        """Static covariates are read."""
        return True

    @property
    def min_input_chunk_length(self) -> int:
        """Least length of a series: the rest of the window is masked."""
        return 1

    # -- data ---------------------------------------------------------------------

    def _setup_for_fit_from_dataset(self, **kwargs: Any) -> Any:
        """Set up a fit on series, whose names a new network learns."""
        given = kwargs["series"]
        if isinstance(given, TimeSeries) and len(given) == 0:
            raise DataError("the series is empty. Pass one with observed values.")
        if not given:
            raise DataError(EMPTY_LIST)
        if self.model is None:
            self._names = None
        with quietly(kwargs.get("verbose")):
            return super()._setup_for_fit_from_dataset(**kwargs)

    def _build_train_dataset(
        self,
        series: Sequence[TimeSeries],
        past_covariates: Sequence[TimeSeries] | None,
        future_covariates: Sequence[TimeSeries] | None,
        sample_weight: Sequence[TimeSeries] | str | None,
        max_samples_per_ts: int | None,
        stride: int = 1,
    ) -> TrainingWindows:
        """Return the training windows of series."""
        check_integer("stride", stride, 1)
        with_static = {one.has_static_covariates for one in series}
        if self._considers_static_covariates and len(with_static) > 1:
            raise CovariateError(
                "some of the series have static covariates and others have none. Give "
                "all of them the same, or pass use_static_covariates=False."
            )
        data = SeriesList(
            series,
            past_covariates,
            future_covariates,
            _process_sample_weight(sample_weight, series),
            self.uses_static_covariates,
        )
        if self._names is None:
            self._learn_names(data)
        assert self._names is not None
        data = data.ordered(self._names)
        layout = self._layout(
            n_channels=series[0].n_components,
            n_past=0 if past_covariates is None else past_covariates[0].n_components,
            n_future=0
            if future_covariates is None
            else future_covariates[0].n_components,
            static_shape=data.static().shape[1:],
        )
        likelihood = backend_likelihood(self.likelihood)
        dataset = TrainingWindows(data, layout, stride, max_samples_per_ts)
        values = dataset.samples.panel.values
        missing = np.isnan(values).all(axis=0)
        if missing.any():
            name = str(series[0].components[int(missing.argmax())])
            whose = "the series" if missing.all() else f"component {name!r}"
            raise DataError(
                f"all {len(values)} values of {whose} are missing (NaN): there is "
                "nothing to learn from. Pass series with observed values."
            )
        if isinstance(likelihood, DartsLikelihood):
            likelihood.check_support(values)
        return dataset

    def _build_inference_dataset(
        self,
        n: int,
        series: Sequence[TimeSeries],
        past_covariates: Sequence[TimeSeries] | None,
        future_covariates: Sequence[TimeSeries] | None,
        stride: int = 0,
        bounds: np.ndarray | None = None,
    ) -> InferenceWindows:
        """Return the windows of series that forecasts start from."""
        check_integer("n", n, 1)
        data = SeriesList(
            series,
            past_covariates,
            future_covariates,
            with_static=self.uses_static_covariates,
        )
        if self._names is not None:
            data = data.ordered(self._names)
        layout = self.network_.layout
        return InferenceWindows(data, layout, n, stride, bounds, given=series)

    def _learn_names(self, data: SeriesList) -> None:
        """Take note of the training series' names and season."""
        self._names = {
            "past_covariates": common_names(data.past_covariates),
            "future_covariates": common_names(data.future_covariates),
            "static_covariates": static_names(data.series)
            if self.uses_static_covariates
            else None,
            "target": common_names(data.series) if self._spec.joint_channels else None,
        }
        self._season = self.model_params["season_length"] or 1
        first = data.series[0]
        if self.model_params["season_length"] is None and not first.has_range_index:
            try:
                season = season_of(first.freq.rule_code, first.freq.n)
            except NotImplementedError:  # frequencies of pandas without a name
                season = 1
            longest = max(map(len, data.series))
            if season <= self.input_chunk_length and longest > 2 * season:
                self._season = season

    def _layout(
        self,
        n_channels: int,
        n_past: int,
        n_future: int,
        static_shape: tuple[int, ...],
    ) -> Layout:
        """Return what a window holds."""
        if self.model is not None:
            return self.network_.layout
        names = self._names or {}
        is_joint = self._spec.joint_channels

        def of(kind: str, number: int) -> tuple[str, ...]:
            return (names.get(kind) or _numbered(kind, number))[:number]

        static = of("static_covariates", static_shape[-1])
        if is_joint and static_shape[0] > 1:
            static = _of_each_component(static, n_channels)
        likelihood = backend_likelihood(self.likelihood)
        return Layout(
            lookback=self.input_chunk_length,
            horizon=self.output_chunk_length,
            period=self._season,
            references=default_references(self._season, self.input_chunk_length),
            n_channels=n_channels if is_joint else 1,
            past_covariates=of("past_covariates", n_past),
            future_covariates=of("future_covariates", n_future),
            static_covariates=static,
            output_shift=self.output_chunk_shift,
            self_contained=True,
            least_scale=getattr(likelihood, "least_scale", 0.0),
        )

    def _validate_predict_ds_output(
        self,
        train_sample: TorchTrainingSample,
        inference_sample: TorchInferenceSample,
    ) -> None:
        """Refuse samples that do not fit; channels forecast alone may be any number."""
        if self.network_.layout.n_channels == 1:
            target = inference_sample.past_target
            train_sample = train_sample.replace(past_target=target)
            known, static = (
                one.static_covariates for one in (train_sample, inference_sample)
            )
            both = known is not None and static is not None
            if both and known.shape[1] == static.shape[1]:
                train_sample = train_sample.replace(static_covariates=static)
        super()._validate_predict_ds_output(train_sample, inference_sample)

    def _verify_dtypes(self, ds_output: Any) -> None:
        """Accept any floating type: the network casts what it reads."""

    # -- training -----------------------------------------------------------------

    fit = _losing_nothing(_of_series(MixedCovariatesTorchModel.fit))
    fit_from_dataset = _losing_nothing(MixedCovariatesTorchModel.fit_from_dataset)

    def _create_model(self, train_sample: TorchTrainingSample) -> LSTMModule:
        """Return the module for samples of some shape."""

        def n_columns(array: np.ndarray | None) -> int:
            return 0 if array is None else array.shape[1]

        static = train_sample.static_covariates
        layout = self._layout(
            n_channels=train_sample.past_target.shape[1],
            n_past=n_columns(train_sample.past_covariates),
            n_future=n_columns(train_sample.future_covariates),
            static_shape=(1, 0) if static is None else static.shape,
        )
        return LSTMModule(
            architecture=self._spec.to_dict(),
            layout=dataclasses.asdict(layout),
            seed=self._draw_seed(),
            **self.pl_module_params,
        )

    def _init_model(self, trainer: pl.Trainer | None = None) -> LSTMModule:
        """Return a new module; its precision does not depend on the series' type."""
        self.pl_module_params["train_sample_shape"] = self.train_sample.sample_shapes()
        module = self._create_model(self.train_sample)
        self._module_name = type(module).__name__
        self._module_path = type(module).__module__
        if self.save_checkpoints:
            self.save(str(Path(self.work_dir, self.model_name, INIT_MODEL_NAME)))
        self._setup_finetuning(module)
        module.series_dtype = self._series_dtype
        return module

    @property
    def _series_dtype(self) -> torch.dtype:
        """Type of the training series."""
        dtype = self.train_sample.past_target.dtype
        return torch.from_numpy(np.empty(0, dtype)).dtype

    def _setup_for_train(
        self,
        train_dataset: TorchTrainingDataset,
        val_dataset: TorchTrainingDataset | None = None,
        trainer: pl.Trainer | None = None,
        verbose: bool | None = None,
        epochs: int = 0,
        dataloader_kwargs: dict[str, Any] | None = None,
        load_best: bool = False,
    ) -> dict[str, Any]:
        """Set up the trainer, the module and the data, and a step budget by default."""
        about_to_compute()
        self._verify_train_dataset_type(train_dataset)
        n_windows = len(train_dataset)
        n_channels = 1
        if n_windows and not self._spec.joint_channels:
            n_channels = train_dataset[0].past_target.shape[1]
        if self.batch_size in (None, self._own_batch_size):
            own = default_batch_size(n_windows, n_channels)
            self.batch_size = self._own_batch_size = own
        self._step_budget = default_steps(n_windows * n_channels)
        is_new = self.model is None
        if is_new and not isinstance(train_dataset, TrainingWindows):
            self._names = None
            self._season = self.model_params["season_length"] or 1
        setup: dict[str, Any] = super()._setup_for_train(
            train_dataset,
            val_dataset,
            trainer,
            verbose,
            epochs,
            self._loader_kwargs(train_dataset, dataloader_kwargs),
            load_best,
        )
        module: LSTMModule = setup["model"]
        is_watched = any(map(self.trainer_params.get, ("callbacks", "logger")))
        is_default = module.optimizer_cls is torch.optim.AdamW
        self._can_begin_again = trainer is None and is_default and not is_watched
        module.train()  # Lightning leaves the mode in which it finds a module
        module.weight_decay = 0.0  # for what is trained on
        if is_new:
            module.weight_decay = default_weight_decay(
                module.network.n_weights, n_windows * n_channels
            )
            module.network.measure(
                train_dataset.samples.panel
                if isinstance(train_dataset, TrainingWindows)
                else covariates_of_samples(train_dataset)
            )
            if trainer is None and epochs == 0:
                self._rehearse(module, train_dataset)
        datasets = [one for one in (train_dataset, val_dataset) if one is not None]
        are_ours = all(isinstance(one, TrainingWindows) for one in datasets)
        if dataloader_kwargs is None and are_ours:
            setup["datamodule"] = WindowsDataModule(
                train_dataset, val_dataset, self.batch_size, module
            )
        return setup

    def _rehearse(self, module: LSTMModule, dataset: TorchTrainingDataset) -> None:
        """Measure how wide intervals must be, where the recipe is followed."""
        network, kwargs = module.network, module.optimizer_kwargs
        if (
            isinstance(dataset, TrainingWindows)
            and self.n_epochs is None
            and not any(map(self.trainer_params.get, LIMITS_OF_TRAINING))
            and module.optimizer_cls is torch.optim.AdamW
            and not isinstance(network.likelihood, DartsLikelihood)
        ):
            recipe = Recipe(
                batch_size=self.batch_size,
                learning_rate=kwargs.get("lr", Recipe.learning_rate),
            )
            windows = dataset.samples.windows
            rehearse_spread(network, windows, recipe, module.generator)

    def _loader_kwargs(
        self, dataset: object, given: dict[str, Any] | None
    ) -> dict[str, Any]:
        """Return the arguments of a data loader, over which the user's prevail."""
        ours: dict[str, Any] = {"pin_memory": torch.cuda.is_available()}
        if isinstance(dataset, TrainingWindows | InferenceWindows):
            ours["collate_fn"] = _as_it_is
        if isinstance(dataset, TorchTrainingDataset):
            ours["generator"] = torch.Generator().manual_seed(self._draw_seed())
        return {**ours, **(given or {})}

    def _draw_seed(self) -> int:
        """Return a seed from the model's own random state."""
        return int(self._random_instance.randint(LARGEST_SEED))

    def _setup_trainer(
        self,
        trainer: pl.Trainer | None,
        model: LSTMModule,
        verbose: bool | None = None,
        epochs: int | None = 0,
    ) -> pl.Trainer:
        """Return the user's trainer, or one that is quiet and knows when to stop."""
        if trainer is not None:
            return trainer
        params = {**TRAINER_DEFAULTS, **self.trainer_params}
        if torch.backends.mps.is_available():  # it knows no float64
            params.setdefault("accelerator", "cpu")
        callbacks = params.get("callbacks") or []
        if any(isinstance(callback, ProgressBar) for callback in callbacks):
            params["enable_progress_bar"] = True
        elif verbose is not None:
            params["enable_progress_bar"] = verbose
            params["enable_model_summary"] = verbose and model.epochs_trained == 0
        if epochs is None:
            params["max_epochs"] = -1
            if params.get("max_time") is None:
                params.setdefault("max_steps", self._step_budget or default_steps(0))
        with quietly(verbose):
            fresh: pl.Trainer = self._init_trainer(params, max_epochs=epochs)
        return fresh

    def _train(
        self,
        trainer: pl.Trainer,
        model: LSTMModule,
        datamodule: Any,
        load_best: bool = False,
    ) -> None:
        """Train; on Ctrl-C keep the network so far, and raise KeyboardInterrupt."""
        is_watched = trainer.progress_bar_callback is not None
        before = model.state()
        try:
            with quietly(is_watched):
                super()._train(trainer, model, datamodule, load_best)
            if not _is_finite(model) and self._can_begin_again:
                model.rewind(before)
                again = self._slower_trainer(trainer, model)
                with quietly(is_watched):
                    super()._train(again, model, datamodule, load_best)
        except SystemExit as stop:
            if not isinstance(stop.__context__, KeyboardInterrupt):
                raise
            self.model, self.trainer = model, trainer
            raise KeyboardInterrupt from None
        if not _is_finite(model):
            raise TrainingError(
                "training diverged: the network's weights are no longer finite. Fit a "
                "new model with a lower learning rate, by "
                "optimizer_kwargs={'lr': 1e-3}, say."
            )

    def _slower_trainer(self, trainer: pl.Trainer, model: LSTMModule) -> pl.Trainer:
        """Return a trainer for the same training at a tenth of the learning rate."""
        rate = model.optimizer_kwargs["lr"]
        warnings.warn(
            f"training diverged at a learning rate of {rate:.3g}; it begins again at "
            f"{LOWER_RATE * rate:.3g}.",
            TrainingWarning,
            stacklevel=2,
        )
        model.optimizer_kwargs = {**model.optimizer_kwargs, "lr": LOWER_RATE * rate}
        verbose = trainer.progress_bar_callback is not None
        epochs = trainer.max_epochs
        return self._setup_trainer(None, model, verbose, None if epochs < 0 else epochs)

    # -- forecasting --------------------------------------------------------------

    predict = _of_some_series(_of_series(MixedCovariatesTorchModel.predict))

    def _setup_for_predict(
        self,
        n: int,
        dataset: TorchInferenceDataset,
        trainer: pl.Trainer | PlainPredictor | None = None,
        batch_size: int | None = None,
        dataloader_kwargs: dict[str, Any] | None = None,
        random_state: Any = None,
        **kwargs: Any,
    ) -> dict[str, Any]:
        """Set up the trainer, the module and the data of a forecast."""
        about_to_compute()
        check_integer("n", n, 1)
        if batch_size is None and self.batch_size in (None, self._own_batch_size):
            batch_size = WINDOWS_AT_A_TIME
            if isinstance(dataset, InferenceWindows):
                n_components = dataset.samples.windows.n_components
                batch_size = max(1, batch_size // n_components)
        owner = self
        if trainer is None and needs_no_trainer(
            self.trainer_params, kwargs.get("verbose")
        ):
            trainer = PlainPredictor()
            owner = self._of_one_call(bool(kwargs.get("mc_dropout")))
        setup: dict[str, Any] = super(BaseLSTMModel, owner)._setup_for_predict(
            n=n,
            dataset=dataset,
            trainer=trainer,
            batch_size=batch_size,
            dataloader_kwargs=self._loader_kwargs(dataset, dataloader_kwargs),
            **kwargs,
        )
        setup["model"].pred_seed = (
            self._draw_seed()
            if random_state is None
            else int(check_random_state(random_state).randint(LARGEST_SEED))
        )
        return setup

    def _of_one_call(self, mc_dropout: bool) -> Self:
        """Return a model of the same network for one forecast.

        What darts notes of the forecast in the module is of this call alone, so that
        several threads can forecast with one model.
        """
        module = self.model
        assert module is not None
        if module.device.type != "cpu":
            module.cpu()  # not in vain: torch's LSTMs are lost to other threads in it
        module.eval()
        module = copy.deepcopy(module) if mc_dropout else copy.copy(module)
        twin = object.__new__(type(self))
        twin.__dict__.update(vars(self), model=module)
        return twin

    def scale_batch_size(
        self, *args: Any, method: Literal["fit", "predict"] = "fit", **kwargs: Any
    ) -> int:
        """Find the largest batch size, as darts does, with a trainer in any case."""
        if method == "predict" and kwargs.get("trainer") is None and self.model:
            kwargs["trainer"] = self._setup_trainer(None, self.model, verbose=False)
        found: int = super().scale_batch_size(*args, method=method, **kwargs)
        return found

    def _predict(
        self, trainer: pl.Trainer | PlainPredictor, *args: Any, **kwargs: Any
    ) -> Any:
        """Forecast, quietly unless a progress bar is shown."""
        with quietly(trainer.progress_bar_callback is not None):
            return super()._predict(trainer, *args, **kwargs)

    # -- persistence --------------------------------------------------------------

    def save(self, path: str | None = None, clean: bool = False) -> None:
        """Save the model in darts' two files, of which one holds the network.

        Each file replaces the one that was there when both are written.

        Parameters
        ----------
        path : str or None, default=None
            Where to save; the network goes to this path with ``.ckpt`` added. ``None``
            takes a name from the class and the time.
        clean : bool, default=False
            Whether to leave out the training series and the trainer's settings.
        """
        if self.model is not None and self.trainer is None:
            self.trainer = self._setup_trainer(None, self.model, False, self.n_epochs)
            self.trainer.strategy.connect(self.model)
        target = Path(path or f"{self._default_save_path()}.pt")
        token = _WITHOUT_NETWORK.set(True)
        try:
            with TemporaryDirectory(prefix=".saving.", dir=target.parent) as folder:
                super().save(str(Path(folder, target.name)), clean)
                for file in Path(folder).iterdir():
                    file.replace(target.with_name(file.name))
        finally:
            _WITHOUT_NETWORK.reset(token)

    @classmethod
    def load(
        cls,
        path: str,
        pl_trainer_kwargs: dict[str, Any] | None = None,
        trusted: bool = False,
        **kwargs: Any,
    ) -> Self:
        """Load a model from the two files of ``save``, whose checksums are checked.

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
            If a file is damaged, foreign, or holds a model of another class.
        """
        path = os.fspath(path)
        for file in (path, f"{path}.ckpt"):
            if file == path or Path(file).exists():
                _check_checksums(file)
        try:
            model = super().load(path, pl_trainer_kwargs, trusted, **kwargs)
        except (UnpicklingError, EOFError, *WRONG_CONTENT) as error:
            raise FileFormatError(
                f"{path} and {path}.ckpt cannot be loaded: {error}"
            ) from error
        if not isinstance(model, cls):
            raise FileFormatError(
                f"{path} holds a {type(model).__name__}, not a {cls.__name__}. Use the "
                "class of that name."
            )
        if model.model and not isinstance(model.network_.spec, model.architecture):
            raise FileFormatError(
                f"{path}.ckpt holds the network of a {model.network_.spec.name}, but "
                f"{path} is a {type(model).__name__}: they are no pair."
            )
        return model

    def load_weights(self, path: str, *args: Any, **kwargs: Any) -> None:
        """Load the weights of a saved model, as darts does, from files that are whole.

        Raises
        ------
        FileFormatError
            If a file is damaged.
        """
        for file in filter(os.path.exists, (path, f"{path}.ckpt")):
            _check_checksums(file)
        super().load_weights(path, *args, **kwargs)

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
        self, *args: Any, skip_checks: bool = False, **kwargs: Any
    ) -> None:
        """Load weights, as darts does, where the season that they learnt is known."""
        if skip_checks and self.model_params["season_length"] is None:
            raise ParameterError(
                "with skip_checks=True the season of the weights is not read. "
                "Construct the model with season_length, or leave skip_checks out."
            )
        super().load_weights_from_checkpoint(*args, skip_checks=skip_checks, **kwargs)

    def _check_ckpt_parameters(self, tfm_save: BaseLSTMModel) -> None:
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
        layout = network.layout
        if not isinstance(network.spec, cls.architecture):
            raise ParameterError(
                f"{cls.__name__} holds a {cls.architecture.__name__}, but the network "
                f"is a {network.spec.name}. Use the class of that name."
            )
        given = {
            "input_chunk_length": layout.context,
            "output_chunk_length": layout.horizon,
            "output_chunk_shift": layout.output_shift,
            "season_length": layout.period,
            "likelihood": words_of(network.likelihood),
            **dataclasses.asdict(network.spec),
        }
        if given.keys() & parameters:
            raise ParameterError(
                f"{sorted(given.keys() & parameters)} are given by the network. Leave "
                "them out."
            )
        model = cls(**given, **parameters)
        model._adopt(network)
        return model

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
        if static and static == _of_each_component(per_component, layout.n_channels):
            n_rows, static = layout.n_channels, per_component
        self._names = {
            kind: None if given == _numbered(kind, len(given)) else given
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
        if not isinstance(models[0].spec, cls.architecture):
            raise FileFormatError(
                f"{os.fspath(path)} holds a {models[0].spec.name}, not a "
                f"{cls.architecture.__name__}. Use {models[0].spec.name}Model."
            )
        return cls.from_network(models[0], **parameters)


def _spec_of(
    architecture: type[Architecture], parameters: dict[str, Any]
) -> Architecture:
    """Return an architecture with the settings among some parameters."""
    names = [field.name for field in dataclasses.fields(architecture)]
    return architecture(**{name: parameters[name] for name in names})


def _check_checksums(path: str) -> None:
    """Refuse a file of torch whose content is not what was written."""
    try:
        with ZipFile(path) as file:
            if (damaged := file.testzip()) is None:
                return
    except (BadZipFile, EOFError, OSError, *WRONG_CONTENT) as error:
        if isinstance(error, FileNotFoundError | PermissionError):
            raise
        raise FileFormatError(
            f"{path} is damaged, or no file that save has written: {error}"
        ) from error
    raise FileFormatError(
        f"{path} is damaged: the checksum of {damaged} is wrong. Use another copy."
    )


def _numbered(kind: str, number: int) -> tuple[str, ...]:
    """Return names for columns that are matched by position."""
    return tuple(f"{kind}_{column}" for column in range(number))


def _of_each_component(names: tuple[str, ...], n_channels: int) -> tuple[str, ...]:
    """Return the names of static covariates that every component has its own of."""
    return tuple(f"{row}_{name}" for row in range(n_channels) for name in names)


def _as_it_is(batch: Any) -> Any:
    """Collate nothing: the datasets return finished batches."""
    return batch
