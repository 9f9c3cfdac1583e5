"""What the darts models share: darts' methods on the backend's model."""

from __future__ import annotations

import copy
import dataclasses
import functools
import inspect
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import pandas as pd
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
from lstm_forecasters.backend.forecasting import WINDOWS_AT_A_TIME
from lstm_forecasters.backend.forking import about_to_compute
from lstm_forecasters.backend.recipe import (
    Recipe,
    default_batch_size,
    default_references,
    default_steps,
    default_weight_decay,
)
from lstm_forecasters.backend.training import LOWER_RATE
from lstm_forecasters.backend.windows import Layout, Panel
from lstm_forecasters.darts.datasets import (
    InferenceWindows,
    SeriesList,
    TrainingWindows,
    common_names,
    covariates_of_samples,
    numbered,
    of_each_component,
    static_names,
)
from lstm_forecasters.darts.likelihoods import (
    DartsLikelihood,
    backend_likelihood,
    darts_likelihood,
)
from lstm_forecasters.darts.loading import WindowsDataModule
from lstm_forecasters.darts.module import LSTMModule
from lstm_forecasters.darts.persistence import PersistentModel
from lstm_forecasters.darts.predicting import PlainPredictor, needs_no_trainer
from lstm_forecasters.darts.quiet import hide_noise, quietly
from lstm_forecasters.errors import (
    CovariateError,
    DataError,
    ParameterError,
    ParameterTypeError,
    TrainingError,
    TrainingWarning,
)
from lstm_forecasters.seasons import season_of
from lstm_forecasters.specs import Architecture, check_flag, check_integer, plain

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


def _end_epochs_with_the_steps(params: dict[str, Any]) -> None:
    """Let the trainer's last step end its epoch if it is the only one.

    Otherwise Lightning would not validate where there are fewer steps than batches.
    """
    if "val_check_interval" not in params:
        n_batches = params["max_steps"] * params.get("accumulate_grad_batches", 1)
        params.setdefault("limit_train_batches", n_batches)


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
                odd, received = [value], type(value).__name__
            elif odd := [one for one in value if not isinstance(one, TimeSeries)]:
                received = f"a list that holds a {type(odd[0]).__name__}"
            else:
                continue
            raise ParameterTypeError(
                f"{name} must be a TimeSeries or a list of them, got {received}. "
                f"Make one by TimeSeries.{_maker_of(odd[0])}."
            )
        return method(self, *args, **kwargs)

    return checked


def _maker_of(value: Any) -> str:
    """Return what makes a TimeSeries of a value, and what has to be done before."""
    if not isinstance(value, pd.Series | pd.DataFrame):
        return "from_dataframe, from_series or from_values"
    maker = "from_series" if isinstance(value, pd.Series) else "from_dataframe"
    index = value.index
    if isinstance(index, pd.PeriodIndex):
        return f"{maker}, after to_timestamp(), since darts takes no PeriodIndex"
    if index.has_duplicates:
        twice = index[index.duplicated()][0]
        return (
            f"{maker}, after groupby(level=0).mean() or another way to make its "
            f"duplicate time stamps one, such as {twice}"
        )
    if (
        isinstance(index, pd.DatetimeIndex)
        and len(index) > 2
        and pd.infer_freq(index.sort_values()) is None
    ):
        return (
            f"{maker}, with fill_missing_dates=True and freq if time stamps are "
            "missing, since there is no frequency in them"
        )
    return maker


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


class BaseLSTMModel(PersistentModel):
    """Base of the LSTM models; its subclasses name their architecture."""

    model: LSTMModule | None
    batch_size: int | None
    _fit_called: bool

    def _set_up(
        self, parameters: dict[str, Any], fixed: dict[str, Any] | None = None
    ) -> None:
        """Check and take up the constructor's arguments, and what a class has fixed."""
        own = self.model_params  # of which darts keeps a copy
        own.update(plain(own))
        parameters = {**parameters, **own, **(fixed or {})}
        self._check_parameters(parameters)
        taken = {**own, **(fixed or {})}
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
        return self._spec_of(self.model_params)

    def _spec_of(self, parameters: dict[str, Any]) -> Architecture:
        """Return the architecture with the settings among some parameters."""
        names = [field.name for field in dataclasses.fields(self.architecture)]
        return self.architecture(**{name: parameters[name] for name in names})

    def _check_parameters(self, parameters: dict[str, Any]) -> None:
        """Refuse parameters that cannot work, before any time is spent."""
        spec = self._spec_of(parameters)
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
            return (names.get(kind) or numbered(kind, number))[:number]

        static = of("static_covariates", static_shape[-1])
        if is_joint and static_shape[0] > 1:
            static = of_each_component(static, n_channels)
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
    load_weights_from_checkpoint = _losing_nothing(
        PersistentModel.load_weights_from_checkpoint
    )

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
        self._step_budget = self._n_steps(n_windows * n_channels)
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
        module.weight_decay = 0.0  # for what is trained on
        if is_new:
            self._measure(
                module,
                train_dataset.samples.panel
                if isinstance(train_dataset, TrainingWindows)
                else covariates_of_samples(train_dataset),
                n_windows * n_channels,
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

    def _n_steps(self, n_windows: int) -> int:
        """Return the optimiser steps of a fit on a number of windows."""
        return default_steps(n_windows)

    def _measure(self, module: LSTMModule, panel: Panel, n_windows: int) -> None:
        """Take from the training data what is not learnt step by step."""
        network = module.network
        module.weight_decay = default_weight_decay(network.n_weights, n_windows)
        network.measure(panel)

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
                n_steps = self._step_budget or default_steps(0)
                if params.setdefault("max_steps", n_steps) > 0:
                    _end_epochs_with_the_steps(params)
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
        num_samples: int = 1,
        roll_size: int | None = None,
        dataloader_kwargs: dict[str, Any] | None = None,
        random_state: Any = None,
        **kwargs: Any,
    ) -> dict[str, Any]:
        """Set up the trainer, the module and the data of a forecast."""
        about_to_compute()
        check_integer("n", n, 1)
        check_integer("num_samples", num_samples, 1)
        if roll_size is not None:
            check_integer("roll_size", roll_size, 1)
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
            num_samples=num_samples,
            roll_size=roll_size,
            dataloader_kwargs={
                **self._loader_kwargs(dataset, dataloader_kwargs),
                "drop_last": False,  # as Lightning has it: every series is forecast
            },
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


def _as_it_is(batch: Any) -> Any:
    """Collate nothing: the datasets return finished batches."""
    return batch
