"""The pretrained LSTM as an sktime forecaster."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Hashable
from typing import Any

import numpy as np
import torch
from sktime.forecasting.base import ForecastingHorizon

from lstm_forecasters.backend.model import ForecastModel
from lstm_forecasters.backend.pretrained import (
    FINE_TUNING_RATE,
    HORIZON,
    adapted,
    fine_tuning_rate,
    layout_of,
    lookback_of,
    measure,
    pretrained_network,
)
from lstm_forecasters.backend.recipe import Recipe
from lstm_forecasters.backend.windows import Windows
from lstm_forecasters.sktime.base import BaseLSTMForecaster, largest_step
from lstm_forecasters.sktime.context import Context
from lstm_forecasters.specs import Architecture, PretrainedLSTM, plain

__all__ = ["PretrainedLSTMForecaster"]


class PretrainedLSTMForecaster(BaseLSTMForecaster):
    """An LSTM that forecasts without being trained: it comes with its weights.

    ``fit`` takes the series as context, in milliseconds, and ``predict`` forecasts
    every series and every column of it by itself, with quantiles. The network, an
    encoder-decoder of half a million weights, was trained on synthetic series alone;
    ``docs/pretrained.md`` tells on which, and how well it forecasts real ones. It reads
    series as ``VanillaLSTMForecaster`` does, which describes that.

    Where a hundred seasons or many series are there to learn from, fine-tune it, or
    train one of the other forecasters instead.

    Parameters
    ----------
    window_length : int or None, default=None
        Latest time steps that the network reads, a season at least. ``None`` takes the
        336 that it was trained to read, and two seasons where these are more.
    horizon : int or None, default=None
        Time steps that are forecast in one go, and trained on in fine-tuning. ``None``
        takes the largest step of ``fh`` in ``fit``, and 48 at most. Any ``fh`` can be
        forecast afterwards.
    sp : int or None, default=None
        Seasonal period in time steps, 1 for none. ``None`` infers it from the
        frequency of the index (12 for months, 7 for days, 24 for hours, ...), where
        the longest series covers more than two seasons.
    past_covariates : list of column names or None, default=None
        Columns of ``X`` whose values end at the cutoff. The others are known-future
        covariates, which ``predict`` needs for the forecast time steps. Without
        fine-tuning, no column of ``X`` has an effect.
    fine_tune_steps : int, default=0
        Optimiser steps by which ``fit`` adapts the weights to the series and to ``X``,
        from a pristine copy, and ``pretrain`` to those of a panel. 0 forecasts with
        the weights as they are, and ``pretrain`` leaves them so. Intervals are widened
        where there are few values to fine-tune on.
    batch_size : int or None, default=None
        Windows of each optimiser step; a column has its own. ``None`` grows them with
        the data, from 16 to 64.
    learning_rate : float, default=1e-3
        Largest learning rate of fine-tuning; it warms up and then falls along a cosine.
        Without X, where y has n values, fewer than 2,500, it is multiplied by n / 2500
        to the power of 1.5: little data would soon be known by heart.
    validation_fraction : float, default=0.0
        Share of the forecast origins, the latest ones, kept for validation. Above 0,
        training stops early and the best weights are kept.
    patience : int, default=10
        Validations without improvement before training stops.
    random_state : int, numpy.random.RandomState or None, default=None
        Seed of all randomness of a fit. The same seed gives the same forecast; the
        global generators are neither read nor written.
    device : str, default="cpu"
        Where to train, as torch names it; forecasts are made on the CPU.
    precision : {"float32", "bf16"}, default="float32"
        In which the network computes in training. ``"bf16"`` is up to twice as fast
        on processors that have it, and a little less exact; forecasts are float32.
    checkpoint : path or None, default=None
        File that keeps the state of a training, every ten seconds until it ends. The
        same ``fit``, called again after an interruption, goes on from there and ends
        at the same network. Needs an integer as ``random_state``.
    verbose : bool, default=False
        Whether ``fit`` shows a progress bar with the loss.

    Attributes
    ----------
    network_ : lstm_forecasters.backend.model.ForecastModel
        The network, with its normalisation and likelihood.
    pretrained_network_ : lstm_forecasters.backend.model.ForecastModel
        The network of ``pretrain``, if that was called: trained on from the weights of
        the package.

    Raises
    ------
    lstm_forecasters.errors.ParameterError, lstm_forecasters.errors.ParameterTypeError
        In ``fit``, if a parameter has a value or type that cannot work.
    lstm_forecasters.errors.DataError
        If y or X has gaps or duplicates in its index, is infinite, or no number.
    lstm_forecasters.errors.CovariateError
        If X is missing, too short, or lacks a column.

    References
    ----------
    .. [1] Sutskever, I., Vinyals, O. and Le, Q. (2014). Sequence to sequence
       learning with neural networks. NeurIPS 27.
    .. [2] Oreshkin, B. N., Carpov, D., Chapados, N. and Bengio, Y. (2021).
       Meta-learning framework with applications to zero-shot time-series forecasting.
       AAAI, 9242-9250.

    Examples
    --------
    >>> from sktime.datasets import load_airline
    >>> from lstm_forecasters.sktime import PretrainedLSTMForecaster
    >>> y = load_airline()
    >>> forecaster = PretrainedLSTMForecaster().fit(y, fh=range(1, 13))
    >>> forecaster.predict().shape
    (12,)
    >>> forecaster.predict_interval(coverage=0.8).shape
    (12, 2)
    """

    architecture = PretrainedLSTM
    likelihood = "quantile"

    def __init__(
        self,
        window_length: int | None = None,
        horizon: int | None = None,
        sp: int | None = None,
        past_covariates: list[Hashable] | None = None,
        fine_tune_steps: int = 0,
        batch_size: int | None = None,
        learning_rate: float = FINE_TUNING_RATE,
        validation_fraction: float = 0.0,
        patience: int = 10,
        random_state: int | np.random.RandomState | None = None,
        device: str = "cpu",
        precision: str = "float32",
        checkpoint: str | os.PathLike[str] | None = None,
        verbose: bool = False,
    ) -> None:
        self._set_parameters(locals())

    @property
    def max_steps(self) -> int | None:
        """Optimiser steps of any training."""
        return self.fine_tune_steps or None

    def _spec(self) -> Architecture:
        """Return the architecture of the pretrained network."""
        return pretrained_network().spec

    def _recipe(self) -> Recipe:
        """Return the recipe for training on, which leaves what was learnt."""
        return dataclasses.replace(super()._recipe(), weight_decay=0.0)

    def _recipe_of_more(self, n_steps: int) -> Recipe:
        """Return the recipe of some steps: all training is training on."""
        return dataclasses.replace(self._recipe(), max_steps=n_steps)

    def _new_model(
        self,
        context: Context,
        fh: ForecastingHorizon | None,
        generator: torch.Generator,
    ) -> ForecastModel:
        """Return the pretrained network for windows of the series of a context."""
        period = self._period(context)
        lookback = plain(self.window_length)
        lookback = lookback_of(period) if lookback is None else max(lookback, period)
        layout = layout_of(
            period,
            plain(self.horizon) or min(largest_step(fh, context) or HORIZON, HORIZON),
            lookback,
            past_covariates=context.covariates.past,
            future_covariates=context.covariates.future,
        )
        model = adapted(pretrained_network(), layout, generator)
        measure(model, context.panel(), self.fine_tune_steps)
        return model

    def _learn(
        self,
        model: ForecastModel,
        context: Context,
        recipe: Recipe,
        generator: torch.Generator,
        *,
        is_new: bool,
    ) -> Windows | None:
        """Train a model on, where training was asked for."""
        if self.fine_tune_steps == 0:
            return None
        n_values = int((~np.isnan(context.panel().values)).sum())
        rate = fine_tuning_rate(recipe.learning_rate, model.layout, n_values)
        recipe = dataclasses.replace(recipe, learning_rate=rate)
        return super()._learn(model, context, recipe, generator, is_new=False)

    @classmethod
    def _parameters_of(cls, network: ForecastModel) -> dict[str, Any]:
        """Return the constructor's arguments that describe a network."""
        return cls._windows_of(network)

    @classmethod
    def get_test_params(cls, parameter_set: str = "default") -> list[dict[str, Any]]:
        """Return settings for sktime's own checks: as it is, and fine-tuned a little.

        Parameters
        ----------
        parameter_set : str, default="default"
            Ignored, there is one set.

        Returns
        -------
        list of dict
            Constructor arguments.
        """
        return [
            {},
            {
                "fine_tune_steps": 2,
                "batch_size": 4,
                "window_length": 5,
                "horizon": 3,
                "random_state": 7,
            },
            {"fine_tune_steps": 1, "sp": 3, "horizon": 4, "validation_fraction": 0.2},
        ]
