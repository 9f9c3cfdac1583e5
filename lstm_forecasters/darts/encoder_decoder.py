"""The encoder-decoder LSTM as a darts model."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from darts.utils.likelihood_models.torch import TorchLikelihood
from torch import nn

from lstm_forecasters.darts.base import BaseLSTMModel
from lstm_forecasters.specs import EncoderDecoderLSTM

__all__ = ["EncoderDecoderLSTMModel"]


class EncoderDecoderLSTMModel(BaseLSTMModel):
    """An LSTM that reads the lookback and an LSTM that writes the forecasts.

    As ``VanillaLSTMModel``, which describes how series are read. The decoder is fed its
    own forecasts and the known-future covariates, in training as in forecasting.

    Parameters
    ----------
    input_chunk_length : int
        Time steps that the network reads, the lookback. Shorter series are padded on
        the left, masked.
    output_chunk_length : int
        Time steps that the network is trained to forecast at once. ``predict``
        forecasts any ``n``: beyond it the network reads its own forecasts.
    output_chunk_shift : int, default=0
        Time steps between the end of the input and the first forecast. Above 0, ``n``
        must not be larger than ``output_chunk_length``.
    season_length : int or None, default=None
        Seasonal period in time steps, 1 for none. ``None`` infers it from the frequency
        of the training series (12 for months, 7 for days, 24 for hours, ...), where
        the longest series covers more than two seasons and the lookback at least one.
    likelihood : str, TorchLikelihood or None, default=None
        What the network forecasts: points (``None``), quantiles that never cross
        (``"quantile"``), the parameters of a distribution (``"normal"`` or
        ``"student_t"``), or what one of darts' likelihoods says. A single sample
        (``num_samples=1``) is the median.
    hidden_size : int, default=64
        Number of units of each LSTM layer, per direction.
    segment_length : int or None, default=None
        Number of time steps that the encoder reads and the decoder writes at a time.
        1 is the textbook network; longer segments are faster by nearly that factor.
        ``None`` takes a quarter of a season where it has fewer than 24 time steps,
        and whole seasons otherwise.
    linear_path : bool, default=True
        Whether a linear map from the normalised lookback to the horizon stands
        beside the LSTM, so that the LSTM learns what a linear model misses.
    joint_channels : bool, default=False
        How a multivariate target is read: ``False`` forecasts every channel by
        itself with one shared network, ``True`` reads and forecasts all channels
        together.
    n_members : int, default=1
        Number of networks whose forecasts are averaged. They are trained side by
        side, each on windows of its own, in as many times the time.
    num_layers : int, default=1
        Number of LSTM layers of the encoder and of the decoder.
    dropout : float, default=0.0
        Share of the states that is dropped between two layers in training.
    reverse_lookback : bool, default=False
        Whether the encoder reads the lookback from its end to its beginning.
    loss_fn : torch.nn.Module or None, default=None
        Loss of point forecasts, in normalised units. ``None`` is the absolute error,
        whose minimum is the median. Not used with a likelihood.
    torch_metrics : torchmetrics.Metric, MetricCollection or None, default=None
        Metrics of the medians in the series' own units, logged after every epoch.
    optimizer_cls : type, default=torch.optim.AdamW
        Class of the optimiser.
    optimizer_kwargs : dict or None, default=None
        Its arguments. The learning rate of AdamW is 5e-3 unless ``lr`` is given, and
        its ``weight_decay`` is stronger where there is less to learn from.
    lr_scheduler_cls : type or None, default=None
        Class of the learning rate's schedule. ``None`` warms up and then falls along a
        cosine over the whole training.
    lr_scheduler_kwargs : dict or None, default=None
        Its arguments, and Lightning's ``interval``, ``monitor``, ...
    use_static_covariates : bool, default=True
        Whether static covariates of the series are read, if there are any.
    n_epochs : int or None, default=None
        Epochs of training. ``None`` takes the recipe's optimiser steps, which grow with
        the data from 300 to 4000.
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
        Which weights are trained: all (``None`` or ``True``), none (``False``), or
        those that the patterns of ``{"freeze": [...]}`` or ``{"unfreeze": [...]}`` say.

    Attributes
    ----------
    network_ : lstm_forecasters.backend.model.ForecastModel
        The trained network, with its normalisation and likelihood.

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

    Examples
    --------
    >>> from darts.utils.timeseries_generation import linear_timeseries, sine_timeseries
    >>> from lstm_forecasters.darts import EncoderDecoderLSTMModel
    >>> series = sine_timeseries(0.08, 5.0, length=100) + linear_timeseries(length=100)
    >>> model = EncoderDecoderLSTMModel(24, 12, n_epochs=2, random_state=1)
    >>> model.fit(series).predict(36).shape
    (36, 1, 1)
    """

    architecture = EncoderDecoderLSTM

    def __init__(
        self,
        input_chunk_length: int,
        output_chunk_length: int,
        output_chunk_shift: int = 0,
        season_length: int | None = None,
        likelihood: str | TorchLikelihood | None = None,
        hidden_size: int = 64,
        segment_length: int | None = None,
        linear_path: bool = True,
        joint_channels: bool = False,
        n_members: int = 1,
        num_layers: int = 1,
        dropout: float = 0.0,
        reverse_lookback: bool = False,
        loss_fn: nn.Module | None = None,
        torch_metrics: Any = None,
        optimizer_cls: type[torch.optim.Optimizer] = torch.optim.AdamW,
        optimizer_kwargs: dict[str, Any] | None = None,
        lr_scheduler_cls: type | None = None,
        lr_scheduler_kwargs: dict[str, Any] | None = None,
        use_static_covariates: bool = True,
        n_epochs: int | None = None,
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
        self._set_up(locals())
