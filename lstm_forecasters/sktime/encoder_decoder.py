"""The encoder-decoder LSTM as an sktime forecaster."""

from __future__ import annotations

import os
from collections.abc import Hashable

import numpy as np

from lstm_forecasters.sktime.base import BaseLSTMForecaster
from lstm_forecasters.specs import EncoderDecoderLSTM

__all__ = ["EncoderDecoderLSTMForecaster"]


class EncoderDecoderLSTMForecaster(BaseLSTMForecaster):
    """An LSTM that reads the lookback and an LSTM that writes the forecasts.

    As ``VanillaLSTMForecaster``, which describes how series are read. The decoder is
    fed its own forecasts and the known-future covariates, in training as in
    forecasting.

    Parameters
    ----------
    window_length : int or None, default=None
        Time steps that the network reads, the lookback. ``None`` takes two seasons,
        three from 1000 training values on. Of seasons of 24 time steps or more it
        takes seven, fourteen where the longest series has a hundred of them; without
        a season twice the horizon and 24 at least; and never more than the longest
        series has.
    horizon : int or None, default=None
        Time steps that the network is trained to forecast. ``None`` takes the largest
        step of ``fh`` in ``fit``, else one season, else 12. Any ``fh`` can be forecast
        afterwards.
    sp : int or None, default=None
        Seasonal period in time steps, 1 for none. ``None`` infers it from the
        frequency of the index (12 for months, 7 for days, 24 for hours, ...), where
        the longest series covers more than two seasons.
    past_covariates : list of column names or None, default=None
        Columns of ``X`` whose values end at the cutoff. The others are known-future
        covariates, which ``predict`` needs for the forecast time steps.
    likelihood : {"quantile", "normal", "student_t"} or None, default="quantile"
        What the network forecasts: quantiles that never cross, the parameters of a
        distribution, or points only (``None``), which gives no intervals. Point
        forecasts are medians, trained on the absolute error, except for the
        distributions, which are trained on their likelihood.
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
    max_steps : int or None, default=None
        Optimiser steps of a fit. ``None`` grows them with the data, from 300 to 4000.
    batch_size : int or None, default=None
        Windows of each optimiser step; a channel that is forecast by itself has its
        own. ``None`` grows them with the data, from 16 to 64.
    learning_rate : float, default=5e-3
        Largest learning rate of AdamW; it warms up and then falls along a cosine.
        ``tune_learning_rate`` finds another.
    validation_fraction : float, default=0.0
        Share of the forecast origins, the latest ones, kept for validation. Above 0,
        training stops early and the best weights are kept.
    patience : int, default=10
        Validations without improvement before training stops.
    fine_tune_steps : int, default=0
        Optimiser steps of a ``fit`` after ``pretrain``, from a pristine copy of the
        pretrained network. 0 takes the series as context only.
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
        The trained network, with its normalisation and likelihood.
    pretrained_network_ : lstm_forecasters.backend.model.ForecastModel
        The network of ``pretrain``, if that was called.

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

    Examples
    --------
    >>> from sktime.datasets import load_airline
    >>> from lstm_forecasters.sktime import EncoderDecoderLSTMForecaster
    >>> y = load_airline()
    >>> forecaster = EncoderDecoderLSTMForecaster(max_steps=50, random_state=1)
    >>> forecaster.fit(y, fh=range(1, 13)).predict().shape
    (12,)
    >>> forecaster.predict_interval(coverage=0.8).shape
    (12, 2)
    """

    architecture = EncoderDecoderLSTM

    def __init__(
        self,
        window_length: int | None = None,
        horizon: int | None = None,
        sp: int | None = None,
        past_covariates: list[Hashable] | None = None,
        likelihood: str | None = "quantile",
        hidden_size: int = 64,
        segment_length: int | None = None,
        linear_path: bool = True,
        joint_channels: bool = False,
        n_members: int = 1,
        num_layers: int = 1,
        dropout: float = 0.0,
        reverse_lookback: bool = False,
        max_steps: int | None = None,
        batch_size: int | None = None,
        learning_rate: float = 5e-3,
        validation_fraction: float = 0.0,
        patience: int = 10,
        fine_tune_steps: int = 0,
        random_state: int | np.random.RandomState | None = None,
        device: str = "cpu",
        precision: str = "float32",
        checkpoint: str | os.PathLike[str] | None = None,
        verbose: bool = False,
    ) -> None:
        self._set_parameters(locals())
