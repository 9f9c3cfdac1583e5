"""The pretrained LSTM as a darts model."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from darts.utils.data.torch_datasets.utils import TorchTrainingSample
from sklearn.utils import check_random_state

from lstm_forecasters.backend.model import ForecastModel
from lstm_forecasters.backend.pretrained import (
    FINE_TUNING_RATE,
    adapted,
    fine_tuning_rate,
    layout_of,
    measure,
    pretrained_network,
)
from lstm_forecasters.backend.windows import Layout, Panel
from lstm_forecasters.darts.base import BaseLSTMModel
from lstm_forecasters.darts.likelihoods import words_of
from lstm_forecasters.darts.module import LSTMModule
from lstm_forecasters.specs import Architecture, PretrainedLSTM, check_integer

__all__ = ["PretrainedLSTMModel"]


class PretrainedLSTMModel(BaseLSTMModel):
    """An LSTM that forecasts without being trained: it comes with its weights.

    ``fit`` takes note of the season and of the names of covariates, in milliseconds,
    and ``predict`` forecasts any series, every component of it by itself, with
    quantiles. The network, an encoder-decoder of half a million weights, was trained on
    synthetic series alone; ``docs/pretrained.md`` tells on which, and how well it
    forecasts real ones. It is one of those models that darts calls foundation models.

    Where a hundred seasons or many series are there to learn from, fine-tune it, or
    train one of the other models instead. Every ``fit`` begins with pristine weights.

    Parameters
    ----------
    input_chunk_length : int
        Latest time steps that the network reads; it was trained to read up to 336,
        which is a good choice. Shorter series are padded on the left, masked.
    output_chunk_length : int
        Time steps that are forecast in one go, and trained on in fine-tuning.
        ``predict`` forecasts any ``n``.
    season_length : int or None, default=None
        Seasonal period in time steps, 1 for none. ``None`` infers it from the frequency
        of the training series (12 for months, 7 for days, 24 for hours, ...), where
        the longest series covers more than two seasons and the lookback at least one.
    fine_tune_steps : int, default=0
        Optimiser steps by which ``fit`` adapts the weights to the series and to their
        covariates, which have no effect before. 0 forecasts with the weights as they
        are. Intervals are widened where there are few values to fine-tune on.
    torch_metrics : torchmetrics.Metric, MetricCollection or None, default=None
        Metrics of the medians in the series' own units, logged after every epoch.
    optimizer_cls : type, default=torch.optim.AdamW
        Class of the optimiser.
    optimizer_kwargs : dict or None, default=None
        Its arguments. Unless ``lr`` is given, the learning rate of AdamW is 1e-3, and
        less where there are fewer than 2,500 values and no covariates to learn from.
    lr_scheduler_cls : type or None, default=None
        Class of the learning rate's schedule. ``None`` warms up and then falls along a
        cosine over the whole training.
    lr_scheduler_kwargs : dict or None, default=None
        Its arguments, and Lightning's ``interval``, ``monitor``, ...
    use_static_covariates : bool, default=True
        Whether static covariates of the series are read, if there are any.
    batch_size : int or None, default=None
        Windows of each optimiser step, and series that are forecast at a time. ``None``
        grows with the data from 16 to 64, and forecasts 1024 series at a time.
    model_name : str or None, default=None
        Name under which checkpoints and logs are saved.
    work_dir : str or None, default=None
        Folder of checkpoints and logs; ``None`` is ``darts_logs`` where Python runs. It
        is created only if something is to be saved.
    log_tensorboard : bool, default=False
        Whether losses and metrics are logged for TensorBoard.
    nr_epochs_val_period : int, default=1
        Epochs between two validations.
    force_reset : bool, default=False
        Whether an earlier model of this name is overwritten.
    save_checkpoints : bool, default=False
        Whether the best and the last network are saved while training.
    add_encoders : dict or None, default=None
        Covariates that are made from the time index, as in every darts model.
    random_state : int, numpy.random.RandomState or None, default=None
        Seed of weights, shuffling, dropout and samples. The same seed gives the same
        forecast, on any thread.
    pl_trainer_kwargs : dict or None, default=None
        Arguments of Lightning's trainer, callbacks among them.
    show_warnings : bool, default=False
        Whether Lightning's warnings are shown.
    enable_finetuning : bool, dict or None, default=None
        Which weights are fine-tuned: all (``None`` or ``True``), none (``False``), or
        those that the patterns of ``{"freeze": [...]}`` or ``{"unfreeze": [...]}`` say.

    Attributes
    ----------
    network_ : lstm_forecasters.backend.model.ForecastModel
        The network, with its normalisation and likelihood.

    Raises
    ------
    lstm_forecasters.errors.ParameterError, lstm_forecasters.errors.ParameterTypeError
        If a parameter has a value or type that cannot work.
    lstm_forecasters.errors.DataError
        In ``fit`` and ``predict``, if a series is empty, infinite, or all missing where
        a forecast starts.
    lstm_forecasters.errors.CovariateError
        If covariates are too short, or have other names than in training.

    References
    ----------
    .. [1] Sutskever, I., Vinyals, O. and Le, Q. (2014). Sequence to sequence
       learning with neural networks. NeurIPS 27.
    .. [2] Oreshkin, B. N., Carpov, D., Chapados, N. and Bengio, Y. (2021).
       Meta-learning framework with applications to zero-shot time-series forecasting.
       AAAI, 9242-9250.

    Examples
    --------
    >>> from darts.utils.timeseries_generation import linear_timeseries, sine_timeseries
    >>> from lstm_forecasters.darts import PretrainedLSTMModel
    >>> series = sine_timeseries(0.08, 5.0, length=100) + linear_timeseries(length=100)
    >>> model = PretrainedLSTMModel(96, 12, season_length=12)
    >>> model.fit(series).predict(36).shape
    (36, 1, 1)
    """

    architecture = PretrainedLSTM

    def __init__(
        self,
        input_chunk_length: int,
        output_chunk_length: int,
        season_length: int | None = None,
        fine_tune_steps: int = 0,
        torch_metrics: Any = None,
        optimizer_cls: type[torch.optim.Optimizer] = torch.optim.AdamW,
        optimizer_kwargs: dict[str, Any] | None = None,
        lr_scheduler_cls: type | None = None,
        lr_scheduler_kwargs: dict[str, Any] | None = None,
        use_static_covariates: bool = True,
        batch_size: int | None = None,
        model_name: str | None = None,
        work_dir: str | None = None,
        log_tensorboard: bool = False,
        nr_epochs_val_period: int = 1,
        force_reset: bool = False,
        save_checkpoints: bool = False,
        add_encoders: dict[str, Any] | None = None,
        random_state: int | np.random.RandomState | None = None,
        pl_trainer_kwargs: dict[str, Any] | None = None,
        show_warnings: bool = False,
        enable_finetuning: bool | dict[str, list[str]] | None = None,
    ) -> None:
        check_integer("fine_tune_steps", fine_tune_steps, 0)
        fixed = {
            "output_chunk_shift": 0,
            "likelihood": words_of(pretrained_network().likelihood),
            "loss_fn": None,
            "n_epochs": None,
        }
        self._set_up(locals(), fixed)
        if fine_tune_steps == 0:
            self.enable_finetuning = False

    def _spec_of(self, parameters: dict[str, Any]) -> Architecture:
        """Return the architecture of the pretrained network."""
        return pretrained_network().spec

    def _setup_for_fit_from_dataset(self, **kwargs: Any) -> Any:
        """Set up a fit as if it was the first, unless a checkpoint goes on."""
        if self.load_ckpt_path is None:
            self.model = None
            if (seed := self.model_params["random_state"]) is not None:
                self._random_instance = check_random_state(seed)
        return super()._setup_for_fit_from_dataset(**kwargs)

    def _layout(self, *args: Any, **kwargs: Any) -> Layout:
        """Return what a window holds."""
        layout = super()._layout(*args, **kwargs)
        if self.model is not None:
            return layout
        return layout_of(
            layout.period,
            layout.horizon,
            layout.lookback,
            past_covariates=layout.past_covariates,
            future_covariates=layout.future_covariates,
            static_covariates=layout.static_covariates,
        )

    def _create_model(self, train_sample: TorchTrainingSample) -> LSTMModule:
        """Return the module with the pretrained weights for samples of some shape."""
        module = super()._create_model(train_sample)
        layout = module.network.layout
        weights = adapted(pretrained_network(), layout, module.generator).state_dict()
        module.network.load_state_dict(weights)
        return module

    def _n_steps(self, n_windows: int) -> int:
        """Return the optimiser steps of a fit."""
        return int(self.model_params["fine_tune_steps"])

    def _measure(self, module: LSTMModule, panel: Panel, n_windows: int) -> None:
        """Take from the data what is not learnt step by step, and the learning rate."""
        measure(module.network, panel, self.model_params["fine_tune_steps"])
        if module.optimizer_cls is torch.optim.AdamW:
            n_values = int((~np.isnan(panel.values)).sum())
            layout = module.network.layout
            rate = fine_tuning_rate(FINE_TUNING_RATE, layout, n_values)
            module.optimizer_kwargs = {"lr": rate, **module.optimizer_kwargs}

    def _rehearse(self, *args: Any) -> None:
        """Leave intervals as they were pretrained."""

    @classmethod
    def _parameters_of(cls, network: ForecastModel) -> dict[str, Any]:
        """Return the constructor's arguments that describe a network."""
        return cls._windows_of(network)
