"""Setting the learning rate first, on a small network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sktime.forecasting.base import ForecastingHorizon
from sktime.forecasting.model_selection import ForecastingGridSearchCV
from sktime.performance_metrics.forecasting import MeanAbsoluteScaledError
from sktime.split import SingleWindowSplitter

from lstm_forecasters.backend.recipe import RATES_TO_TRY, SIZE_TO_TRY_AT
from lstm_forecasters.errors import ParameterTypeError
from lstm_forecasters.sktime.base import BaseLSTMForecaster
from lstm_forecasters.sktime.pretrained import PretrainedLSTMForecaster

__all__ = ["tune_learning_rate"]


def tune_learning_rate(
    forecaster: BaseLSTMForecaster,
    y: Any,
    fh: Any,
    X: Any = None,
    *,
    rates: Sequence[float] = RATES_TO_TRY,
    hidden_size: int = SIZE_TO_TRY_AT,
    cv: Any = None,
    scoring: Any = None,
) -> BaseLSTMForecaster:
    """Return a forecaster with the learning rate that suits some series best.

    Of all settings of an LSTM the learning rate matters most, and the best one hardly
    depends on the others [1]_. So it can be found first, and with a small network,
    which takes little time. The forecaster that comes back is as new: fit it, or tune
    the rest of it with any of sktime's tools.

    Parameters
    ----------
    forecaster : BaseLSTMForecaster
        What to tune. It is not changed.
    y : series, frame or panel
        Series to tune on, as ``fit`` takes them.
    fh : int, list of int or ForecastingHorizon
        Steps to forecast, relative to the cutoff.
    X : frame, optional
        Covariates of y.
    rates : sequence of float, default=(1e-3, 2e-3, 5e-3, 1e-2, 2e-2)
        Learning rates to try.
    hidden_size : int, default=16
        Units of each LSTM layer while trying.
    cv : sktime splitter, optional
        Where to cut y. By default the last ``fh`` is held out.
    scoring : sktime metric, optional
        What the best rate has least of, by default the mean absolute scaled error.

    Returns
    -------
    BaseLSTMForecaster
        A new forecaster with the best ``learning_rate``, not fitted.

    Raises
    ------
    ParameterTypeError
        If the forecaster is none of this package, or a pretrained one.

    References
    ----------
    .. [1] Greff, K., Srivastava, R. K., Koutnik, J., Steunebrink, B. R. and
       Schmidhuber, J. (2015). LSTM: A search space odyssey. arXiv:1503.04069.

    Examples
    --------
    >>> from sktime.datasets import load_airline
    >>> from lstm_forecasters.sktime import VanillaLSTMForecaster, tune_learning_rate
    >>> forecaster = VanillaLSTMForecaster(max_steps=20, random_state=0)
    >>> y = load_airline()
    >>> tuned = tune_learning_rate(forecaster, y, fh=range(1, 13), rates=[1e-3, 1e-2])
    >>> tuned.learning_rate
    0.01
    """
    if not isinstance(forecaster, BaseLSTMForecaster):
        raise ParameterTypeError(
            "forecaster must be an LSTM forecaster of lstm_forecasters.sktime, got "
            f"{type(forecaster).__name__}. For a pipeline, tune its last step."
        )
    if isinstance(forecaster, PretrainedLSTMForecaster):
        raise ParameterTypeError(
            "forecaster must be one with a hidden_size, as rates are tried on a small "
            f"network, got {type(forecaster).__name__}, whose network is given. Search "
            "for its learning_rate by sktime's ForecastingGridSearchCV, with "
            "fine_tune_steps above 0."
        )
    horizon = ForecastingHorizon(fh, is_relative=True)
    search = ForecastingGridSearchCV(
        forecaster.clone().set_params(hidden_size=hidden_size),
        cv=SingleWindowSplitter(horizon) if cv is None else cv,
        param_grid={"learning_rate": list(rates)},
        scoring=MeanAbsoluteScaledError() if scoring is None else scoring,
        refit=False,
        error_score="raise",
    )
    best = search.fit(y, X=X, fh=horizon).best_params_
    tuned: BaseLSTMForecaster = forecaster.clone().set_params(**best)
    return tuned
