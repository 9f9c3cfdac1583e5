"""What the sktime forecasters share: sktime's methods on the backend's model."""

from __future__ import annotations

import copy
import dataclasses
import functools
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from sktime.forecasting.base import BaseForecaster, ForecastingHorizon

from lstm_forecasters.backend.calibration import rehearse_spread
from lstm_forecasters.backend.checkpoints import Checkpoint, fingerprint
from lstm_forecasters.backend.forecasting import Forecast, forecast
from lstm_forecasters.backend.forking import about_to_compute, check_fork
from lstm_forecasters.backend.likelihoods import make_likelihood
from lstm_forecasters.backend.model import ForecastModel
from lstm_forecasters.backend.recipe import (
    PRECISIONS,
    Recipe,
    default_lookback,
    default_references,
    default_steps,
)
from lstm_forecasters.backend.training import Trainer
from lstm_forecasters.backend.windows import Layout, Windows
from lstm_forecasters.errors import (
    CovariateError,
    DataError,
    ParameterError,
    ParameterTypeError,
    did_you_mean,
)
from lstm_forecasters.sktime.context import (
    Context,
    Covariates,
    absent_from,
    check_numeric,
    covariates_ahead,
    read_context,
    read_grid,
)
from lstm_forecasters.sktime.distributions import (
    DISTRIBUTIONS,
    empirical_distribution,
)
from lstm_forecasters.sktime.persistence import PersistentForecaster
from lstm_forecasters.specs import (
    Architecture,
    check_flag,
    check_fraction,
    check_integer,
    check_positive,
    plain,
)

__all__ = ["BaseLSTMForecaster", "largest_step"]

DEFAULT_HORIZON = 12
SHARE_OF_STEPS_IN_UPDATE = 0.1
FINE_TUNING_RATE = 0.1
N_EMPIRICAL = 199
KEPT_ON_ERROR = {"_fh", "_cutoff", "_y_metadata", "_y_mtype_last_seen"}
KEPT_ON_ERROR |= {"network_", "_context", "_windows"}


def _keeping_state(method: Callable[..., Any]) -> Callable[..., Any]:
    """Return a method that, when it raises an error, leaves the forecaster as it was.

    sktime's own methods note the horizon, the cutoff and the type of the data before
    the forecaster has seen whether it can use them, and a forecast may fail after an
    update that did not. A fork that would hang is refused before, since some of these
    methods copy the forecaster.
    """

    @functools.wraps(method)
    def kept(self: BaseLSTMForecaster, *args: Any, **kwargs: Any) -> Any:
        check_fork()
        state = self.__dict__
        before = {key: state[key] for key in KEPT_ON_ERROR & state.keys()}
        converter = copy.copy(self._converter_store_y)
        try:
            return method(self, *args, **kwargs)
        except Exception:
            state.update(before)
            self._converter_store_y = converter
            raise

    return kept


class BaseLSTMForecaster(PersistentForecaster):
    """Base of the LSTM forecasters; its subclasses name their architecture.

    A forecaster holds a trained model, ``network_``, and a context: the series and
    covariates seen so far. ``predict`` reads both and writes neither.
    """

    _tags = {
        "object_type": "forecaster",
        "authors": "lstm_forecasters developers",
        "maintainers": "lstm_forecasters developers",
        "y_inner_mtype": ["pd.DataFrame", "pd-multiindex", "pd_multiindex_hier"],
        "X_inner_mtype": ["pd.DataFrame", "pd-multiindex", "pd_multiindex_hier"],
        "capability:multivariate": True,
        "capability:exogenous": True,
        "capability:categorical_in_X": False,
        "capability:missing_values": True,
        "capability:insample": True,
        "capability:pred_int": True,
        "capability:pred_int:insample": True,
        "capability:unequal_length": True,
        "capability:update": True,
        "capability:random_state": True,
        "property:randomness": "derandomized",
        "capability:pretrain": True,
        "pretrain:fitted_params": ["pretrained_network_"],
        "requires-fh-in-fit": False,
    }

    # The forecaster keeps its own context; sktime's copy would be a second one.
    _config = {"remember_data": False}
    _y = None
    _X = None

    predict = _keeping_state(BaseForecaster.predict)
    predict_quantiles = _keeping_state(BaseForecaster.predict_quantiles)
    predict_interval = _keeping_state(BaseForecaster.predict_interval)
    predict_var = _keeping_state(BaseForecaster.predict_var)
    predict_proba = _keeping_state(BaseForecaster.predict_proba)
    update = _keeping_state(BaseForecaster.update)
    update_predict = _keeping_state(BaseForecaster.update_predict)
    update_predict_single = _keeping_state(BaseForecaster.update_predict_single)

    def _set_parameters(self, parameters: dict[str, Any]) -> None:
        """Store the constructor's arguments, as sktime demands, and do nothing else."""
        for name in self.get_param_names():
            setattr(self, name, parameters[name])
        super().__init__()
        if self.likelihood is None:
            self.set_tags(
                **{"capability:pred_int": False, "capability:pred_int:insample": False}
            )

    # -- parameters ---------------------------------------------------------------

    def _spec(self) -> Architecture:
        """Return the architecture with this forecaster's settings."""
        names = [field.name for field in dataclasses.fields(self.architecture)]
        return self.architecture(**{name: plain(getattr(self, name)) for name in names})

    def _recipe(self) -> Recipe:
        """Return the training recipe of a new network."""
        return Recipe(
            max_steps=plain(self.max_steps),
            batch_size=plain(self.batch_size),
            learning_rate=plain(self.learning_rate),
            validation_fraction=plain(self.validation_fraction),
            patience=plain(self.patience),
            precision=self.precision,
        )

    def _recipe_of_more(self, n_steps: int) -> Recipe:
        """Return the recipe for training on, which leaves what was learnt."""
        recipe = self._recipe()
        return dataclasses.replace(
            recipe,
            max_steps=n_steps,
            learning_rate=recipe.learning_rate * FINE_TUNING_RATE,
            weight_decay=0.0,
        )

    def _generator(self) -> torch.Generator:
        """Return the generator of one fit."""
        generator, seed = torch.Generator(), self.random_state
        if isinstance(seed, np.random.RandomState):
            seed = int(seed.randint(2**31 - 1))
        if seed is None:
            generator.seed()
        else:
            generator.manual_seed(plain(seed))
        return generator

    def _check_parameters(self) -> None:
        """Refuse parameters that cannot work, before any time is spent."""
        self._spec()
        make_likelihood(self.likelihood)
        for name in ("window_length", "horizon", "sp", "max_steps", "batch_size"):
            if getattr(self, name) is not None:
                check_integer(name, getattr(self, name), 1)
        check_integer("patience", self.patience, 1)
        check_integer("fine_tune_steps", self.fine_tune_steps, 0)
        check_positive("learning_rate", self.learning_rate)
        check_fraction("validation_fraction", self.validation_fraction)
        check_flag("verbose", self.verbose)
        if self.precision not in PRECISIONS:
            raise ParameterError(
                f"precision={self.precision!r} is unknown."
                f"{did_you_mean(self.precision, PRECISIONS)}"
            )
        seed = self.random_state
        if seed is not None and not isinstance(seed, np.random.RandomState):
            check_integer("random_state", seed, 0)
            if seed >= 2**64:
                raise ParameterError(f"random_state must be below 2**64, got {seed}.")
        if self.checkpoint is not None:
            _check_checkpoint(self.checkpoint, seed)
        past = self.past_covariates
        if past is not None and not isinstance(past, (list, tuple)):
            raise ParameterTypeError(
                f"past_covariates must be a list of column names of X, got {past!r}. "
                f"For one column, pass [{past!r}]."
            )
        _check_device(self.device)

    def _covariates(self, X: pd.DataFrame | None) -> Covariates:
        """Return the roles of the columns of X."""
        past = tuple(self.past_covariates or ())
        if X is None:
            if past:
                raise CovariateError(
                    f"past_covariates={list(past)} were named, but X is None. Pass X "
                    "with these columns."
                )
            return Covariates()
        absent = absent_from(X.columns, past)
        if absent:
            raise CovariateError(
                f"past_covariates {absent} are no columns of X, which has "
                f"{list(X.columns)}."
            )
        return Covariates(past, tuple(name for name in X.columns if name not in past))

    # -- fitting ------------------------------------------------------------------

    def _fit(
        self, y: pd.DataFrame, X: pd.DataFrame | None, fh: ForecastingHorizon | None
    ) -> BaseLSTMForecaster:
        """Train a network, or take up the pretrained one."""
        self._check_parameters()
        about_to_compute()
        if hasattr(self, "pretrained_network_"):
            return self._fit_pretrained(y, X)
        context = read_context(y, X, self._covariates(X))
        generator = self._generator()
        model = self._new_model(context, fh, generator)
        return self._train(model, context, self._recipe(), generator, is_new=True)

    def _fit_pretrained(
        self, y: pd.DataFrame, X: pd.DataFrame | None
    ) -> BaseLSTMForecaster:
        """Take the series as context of the pretrained network, or fine-tune on it."""
        model = copy.deepcopy(self.pretrained_network_)
        covariates = _covariates_of(model.layout)
        given = set(() if X is None else X.columns)
        if given != set(covariates.names):
            raise CovariateError(
                f"the network was pretrained with covariates {covariates.names}, but X "
                f"has {sorted(given, key=str)}. Pass X with the same columns."
            )
        context = read_context(y, X, covariates)
        if model.layout.n_channels > 1 and y.shape[1] != model.layout.n_channels:
            raise DataError(
                f"the network was pretrained on {model.layout.n_channels} channels "
                f"jointly, but y has {y.shape[1]}. Pass as many, or pretrain with "
                "joint_channels=False."
            )
        if self.fine_tune_steps == 0:
            return self._adopt(model, context)
        recipe = self._recipe_of_more(plain(self.fine_tune_steps))
        return self._train(model, context, recipe, self._generator())

    def _pretrain(
        self,
        y: pd.DataFrame,
        X: pd.DataFrame | None = None,
        fh: ForecastingHorizon | None = None,
    ) -> BaseLSTMForecaster:
        """Train a network on a panel, for later fits to start from."""
        self._check_parameters()
        about_to_compute()
        context = read_context(y, X, self._covariates(X))
        generator = self._generator()
        model = self._new_model(context, fh, generator)
        self._learn(model, context, self._recipe(), generator, is_new=True)
        self.pretrained_network_ = model
        return self

    def _pretrain_update(
        self,
        y: pd.DataFrame,
        X: pd.DataFrame | None = None,
        fh: ForecastingHorizon | None = None,
    ) -> BaseLSTMForecaster:
        """Train the pretrained network further on another panel."""
        if not hasattr(self, "pretrained_network_"):
            return self._pretrain(y, X, fh)
        self._check_parameters()
        about_to_compute()
        model = copy.deepcopy(self.pretrained_network_)
        context = read_context(y, X, _covariates_of(model.layout))
        recipe = dataclasses.replace(self._recipe(), weight_decay=0.0)
        self._learn(model, context, recipe, self._generator(), is_new=False)
        self.pretrained_network_ = model
        return self

    def _new_model(
        self,
        context: Context,
        fh: ForecastingHorizon | None,
        generator: torch.Generator,
    ) -> ForecastModel:
        """Return an untrained model for the series of a context."""
        spec = self._spec()
        lengths = context.lengths
        longest = int(lengths.max())
        period = self._period(context)
        horizon = (
            plain(self.horizon)
            or largest_step(fh, context)
            or (period if period > 1 else DEFAULT_HORIZON)
        )
        layout = Layout(
            lookback=plain(self.window_length)
            or min(
                default_lookback(period, horizon, int(lengths.sum()), longest), longest
            ),
            horizon=horizon,
            period=period,
            references=default_references(period, longest),
            n_channels=len(context.columns) if spec.joint_channels else 1,
            past_covariates=context.covariates.past,
            future_covariates=context.covariates.future,
        )
        likelihood = make_likelihood(self.likelihood)
        model = ForecastModel.create(spec, layout, likelihood, generator)
        model.measure(context.panel())
        return model

    def _period(self, context: Context) -> int:
        """Return the season that was given, or the one of the time axis."""
        longest = context.lengths.max()
        season = context.grid.season
        return int(self.sp or (season if longest > 2 * season else 1))

    def _learn(
        self,
        model: ForecastModel,
        context: Context,
        recipe: Recipe,
        generator: torch.Generator,
        *,
        is_new: bool,
    ) -> Windows | None:
        """Train a model on the series of a context, and return their windows."""
        panel = context.panel()
        windows = Windows(panel, model.layout)
        checkpoint = None
        if self.checkpoint is not None:
            mark = fingerprint(model, panel, recipe)
            checkpoint = Checkpoint(Path(self.checkpoint), mark)
        trainer = Trainer(
            model,
            windows,
            recipe,
            generator,
            device=self.device,
            verbose=self.verbose,
            checkpoint=checkpoint,
        )
        if is_new and (checkpoint is None or checkpoint.read() is None):
            rehearse_spread(model, windows, recipe, generator, device=self.device)
        trainer.run()
        return windows

    def _train(
        self,
        model: ForecastModel,
        context: Context,
        recipe: Recipe,
        generator: torch.Generator,
        *,
        is_new: bool = False,
    ) -> BaseLSTMForecaster:
        """Train a model and adopt it; on Ctrl-C adopt what is there, and raise."""
        try:
            windows = self._learn(model, context, recipe, generator, is_new=is_new)
        except KeyboardInterrupt:
            self._adopt(model, context)
            self._is_vectorized = False
            self._state = "fitted"
            raise
        return self._adopt(model, context, windows)

    def _adopt(
        self, model: ForecastModel, context: Context, windows: Windows | None = None
    ) -> BaseLSTMForecaster:
        """Keep a model and the context that it forecasts from, laid out as windows."""
        if windows is None:
            windows = Windows(context.panel(), model.layout)
        self.network_ = model.eval()
        self._context = context
        self._windows = windows
        return self

    def _update(
        self, y: pd.DataFrame, X: pd.DataFrame | None = None, update_params: bool = True
    ) -> BaseLSTMForecaster:
        """Extend the context, and train on for a tenth of the steps if asked to."""
        old = self._context
        context = old.updated(read_context(y, X, old.covariates, old))
        if not update_params:
            return self._adopt(self.network_, context)
        about_to_compute()
        model = copy.deepcopy(self.network_)
        layout = model.layout
        _, n_origins = layout.training_origins(context.lengths)
        n_channels = len(context.columns) // layout.n_channels
        n_windows = int(n_origins.sum()) * n_channels
        steps = self.max_steps or default_steps(n_windows)
        steps = max(1, round(SHARE_OF_STEPS_IN_UPDATE * steps))
        recipe = self._recipe_of_more(steps)
        return self._train(model, context, recipe, self._generator())

    def _update_predict_single(
        self,
        y: pd.DataFrame,
        fh: ForecastingHorizon,
        X: pd.DataFrame | None = None,
        update_params: bool = True,
    ) -> pd.DataFrame | pd.Series:
        """Update and forecast: sktime's own would take y's container for a frame."""
        self._update(y, X, update_params)
        return self._predict(fh, X)

    def _set_cutoff_from_y(self, y: pd.DataFrame) -> None:
        """Set the cutoff, with the frequency that a relative horizon needs.

        That of a panel is its latest time stamp. sktime's own way there, series by
        series, takes a third of a fit on many.
        """
        check_numeric(y, "y")  # of objects, sktime would take the index of each
        if y.index.nlevels > 1 and len(y):
            self._cutoff = pd.Index([y.index.get_level_values(-1).max()])
        else:
            super()._set_cutoff_from_y(y)
        cutoff: pd.Index = self.cutoff
        if isinstance(cutoff, pd.DatetimeIndex) and cutoff.freq is None:
            known = hasattr(self, "_context")
            grid = self._context.grid if known else read_grid(y.index)
            self._cutoff = pd.DatetimeIndex(cutoff, freq=grid.offset)

    # -- forecasting --------------------------------------------------------------

    def _forecast(
        self,
        fh: ForecastingHorizon,
        X: pd.DataFrame | None,
        read: Callable[[Forecast], np.ndarray],
        *,
        sample_paths: bool,
    ) -> tuple[pd.Index, np.ndarray]:
        """Return the rows of the horizon, and what ``read`` takes of its forecasts.

        Steps after the cutoff are forecast from the cutoff, those up to it one step
        ahead from the data before them. The values are (I, n, C, A).
        """
        about_to_compute()
        context, windows, model = self._context, self._windows, self.network_
        steps = _steps(fh, context)
        origins = windows.lengths[:, None] - 1 + steps
        if (origins < 0).any():
            number = int(np.argwhere(origins < 0)[0][0])
            raise DataError(
                f"fh reaches {-steps[number].min()} steps before the cutoff, but the "
                f"series has {windows.lengths[number]} time steps. In-sample forecasts "
                "begin at its first one."
            )
        ahead = covariates_ahead(context, X, steps)
        values = np.empty(0)
        horizon = int(steps.max())
        if horizon > 0:
            numbers, ends = windows.cutoffs()
            future = forecast(
                model,
                windows,
                numbers,
                ends,
                horizon,
                ahead=ahead,
                sample_paths=sample_paths,
            )
            values = read(future)[numbers[:, None], np.maximum(steps, 1) - 1]
        past = steps <= 0
        if past.any():
            rows, columns = np.nonzero(past)
            fitted = forecast(model, windows, rows, origins[rows, columns], 1)
            found = read(fitted)[:, 0]
            if horizon <= 0:
                values = np.empty((*steps.shape, *found.shape[1:]))
            values[rows, columns] = found
        return context.index(steps), values

    def _predict(
        self, fh: ForecastingHorizon, X: pd.DataFrame | None = None
    ) -> pd.DataFrame | pd.Series:
        """Return point forecasts, one column for each of y.

        Those of a pandas series are one themselves: for sktime to make it of a frame
        would take a fifth of the time of a whole forecast.
        """
        index, values = self._forecast(fh, X, Forecast.points, sample_paths=False)
        if self._y_metadata["mtype"] == "pd.Series":
            name = self._converter_store_y.get("name")
            return pd.Series(values.ravel(), index=index, name=name)
        return _frame(values, index, self._context.columns)

    def _predict_quantiles(
        self, fh: ForecastingHorizon, X: pd.DataFrame | None, alpha: list[float]
    ) -> pd.DataFrame:
        """Return quantiles, with columns (variable, level)."""
        index, values = self._forecast(
            fh, X, lambda found: found.quantiles(np.array(alpha)), sample_paths=True
        )
        columns = pd.MultiIndex.from_product([self._context.columns, alpha])
        return _frame(values, index, columns)

    def _predict_var(
        self, fh: ForecastingHorizon, X: pd.DataFrame | None = None, cov: bool = False
    ) -> pd.DataFrame:
        """Return the variances of the distributions."""
        with np.errstate(over="ignore"):
            variances: pd.DataFrame = super()._predict_var(fh=fh, X=X, cov=cov)
        if not np.isfinite(variances.to_numpy()).all():
            raise DataError(
                "the variance of the forecast is beyond float64 (1.8e308). "
                "Divide y by a power of ten before fit, or call predict_quantiles or "
                "predict_interval, which are in the unit of y."
            )
        return variances

    def _predict_proba(
        self,
        fh: ForecastingHorizon,
        X: pd.DataFrame | None,
        marginal: bool = True,
    ) -> Any:
        """Return skpro distributions: the likelihood's own, or an empirical one.

        Quantile forecasts, and what is sampled beyond the trained horizon, become the
        empirical distribution of 199 evenly spaced quantiles.
        """
        horizon = int(_steps(fh, self._context).max())
        model, names = self.network_, self._context.columns
        family = DISTRIBUTIONS.get(model.likelihood.name)
        if family is not None and horizon <= model.layout.horizon:
            index, values = self._forecast(
                fh, X, Forecast.parameters, sample_paths=True
            )
            values = values.reshape(len(index), len(names), -1)
            return family(values, index, names)
        levels = (np.arange(N_EMPIRICAL) + 0.5) / N_EMPIRICAL
        index, values = self._forecast(
            fh, X, lambda found: found.quantiles(levels), sample_paths=True
        )
        return empirical_distribution(
            values.reshape(len(index), len(names), -1), index, names
        )

    @classmethod
    def get_test_params(cls, parameter_set: str = "default") -> list[dict[str, Any]]:
        """Return small settings for sktime's own checks.

        They cover all likelihoods, segments, joint channels, early stopping, an
        inferred and a given season, and fine-tuning of a pretrained network.

        Parameters
        ----------
        parameter_set : str, default="default"
            Ignored, there is one set.

        Returns
        -------
        list of dict
            Constructor arguments.
        """
        small = {"hidden_size": 4, "max_steps": 3, "batch_size": 8, "random_state": 7}
        return [
            {**small, "window_length": 5},
            {
                **small,
                "likelihood": "normal",
                "segment_length": 3,
                "sp": 3,
                "fine_tune_steps": 2,
            },
            {
                **small,
                "likelihood": "student_t",
                "joint_channels": True,
                "validation_fraction": 0.2,
            },
            {**small, "likelihood": None, "linear_path": False, "horizon": 2},
        ]


def _steps(fh: ForecastingHorizon, context: Context) -> np.ndarray:
    """Return the steps of a horizon from each series' cutoff, (I, n)."""
    times, grid, cutoffs = fh.to_pandas(), context.grid, context.cutoffs
    if isinstance(times, pd.TimedeltaIndex):
        after = [grid.positions_after(int(cutoff), times) for cutoff in cutoffs]
        return np.stack(after) - cutoffs[:, None]
    if fh.is_relative:
        if not pd.api.types.is_integer_dtype(times.dtype):
            raise ParameterTypeError(
                f"a relative fh must hold integer steps or timedeltas, got {times!r}. "
                "Pass these, or absolute time stamps with is_relative=False."
            )
        return np.tile(times.to_numpy(dtype=np.int64), (len(cutoffs), 1))
    return grid.positions(times)[None] - cutoffs[:, None]


def largest_step(fh: ForecastingHorizon | None, context: Context) -> int:
    """Return the largest step of a horizon, 0 if none lies beyond the cutoff."""
    return 0 if fh is None else max(0, int(_steps(fh, context).max()))


def _frame(values: np.ndarray, index: pd.Index, columns: Any) -> pd.DataFrame:
    """Return forecasts (I, n, C) or (I, n, C, A) as a frame."""
    return pd.DataFrame(values.reshape(len(index), -1), index=index, columns=columns)


def _covariates_of(layout: Layout) -> Covariates:
    """Return the roles of the covariates that a network was trained with."""
    return Covariates(layout.past_covariates, layout.future_covariates)


def _check_checkpoint(path: Any, seed: Any) -> None:
    """Refuse a checkpoint that could not be written, or not be resumed."""
    if not isinstance(path, str | os.PathLike):
        raise ParameterTypeError(
            f"checkpoint must be the path of a file, got {path!r} of type "
            f"{type(path).__name__}."
        )
    folder = Path(path).parent
    if not folder.is_dir():
        raise ParameterError(
            f"checkpoint={os.fspath(path)!r} is in no folder that exists. Make "
            f"{os.fspath(folder)!r} first, or pass another path."
        )
    if not isinstance(seed, int | np.integer):
        raise ParameterError(
            f"checkpoint needs an integer as random_state, got {seed!r}: a fit that is "
            "resumed must be the one that was interrupted."
        )


def _check_device(device: Any) -> None:
    """Refuse a device that torch does not know or this machine does not have."""
    try:
        torch.empty(0, device=torch.device(device))
    except (RuntimeError, TypeError, AssertionError) as error:
        raise ParameterError(
            f"device={device!r} cannot be used here ({error}). Pass 'cpu', or 'cuda' "
            "on a machine with a GPU that torch supports."
        ) from error
