"""Setting the learning rate first, on a small network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from darts import TimeSeries
from darts.metrics import mae

from lstm_forecasters.backend.recipe import RATES_TO_TRY, SIZE_TO_TRY_AT
from lstm_forecasters.darts.base import BaseLSTMModel
from lstm_forecasters.darts.pretrained import PretrainedLSTMModel
from lstm_forecasters.errors import ParameterTypeError

__all__ = ["tune_learning_rate"]


def tune_learning_rate(
    model_class: type[BaseLSTMModel],
    parameters: Mapping[str, Any],
    series: TimeSeries,
    val_series: TimeSeries,
    *,
    rates: Sequence[float] = RATES_TO_TRY,
    hidden_size: int = SIZE_TO_TRY_AT,
    metric: Any = mae,
    **kwargs: Any,
) -> dict[str, Any]:
    """Return a model's parameters with the learning rate that suits a series best.

    Of all settings of an LSTM the learning rate matters most, and the best one hardly
    depends on the others [1]_. So it can be found first, and with a small network,
    which takes little time. What comes back are parameters for the constructor;
    ``gridsearch`` can tune the rest, with each of them in a list.

    Parameters
    ----------
    model_class : type
        Class of the model.
    parameters : mapping
        Arguments of its constructor. They are not changed.
    series, val_series : TimeSeries
        Series to train on, and the one that follows it and is forecast.
    rates : sequence of float, default=(1e-3, 2e-3, 5e-3, 1e-2, 2e-2)
        Learning rates to try.
    hidden_size : int, default=16
        Units of each LSTM layer while trying.
    metric : callable, default=darts.metrics.mae
        What the best rate has least of.
    **kwargs
        Further arguments of darts' ``gridsearch``, such as covariates.

    Returns
    -------
    dict
        The parameters, and ``optimizer_kwargs`` with the best ``lr``.

    Raises
    ------
    ParameterTypeError
        If the class is none of this package, or the pretrained one.

    References
    ----------
    .. [1] Greff, K., Srivastava, R. K., Koutnik, J., Steunebrink, B. R. and
       Schmidhuber, J. (2015). LSTM: A search space odyssey. arXiv:1503.04069.

    Examples
    --------
    >>> from darts.utils.timeseries_generation import sine_timeseries
    >>> from lstm_forecasters.darts import VanillaLSTMModel, tune_learning_rate
    >>> series, val_series = sine_timeseries(0.08, length=100).split_before(88)
    >>> parameters = tune_learning_rate(
    ...     VanillaLSTMModel,
    ...     {"input_chunk_length": 24, "output_chunk_length": 12, "random_state": 0},
    ...     series,
    ...     val_series,
    ...     rates=[1e-5, 5e-3],
    ... )
    >>> parameters["optimizer_kwargs"]
    {'lr': 0.005}
    """
    if BaseLSTMModel not in getattr(model_class, "__mro__", ()):
        raise ParameterTypeError(
            "model_class must be a class of lstm_forecasters.darts, got "
            f"{model_class!r}. Pass the class and its parameters apart."
        )
    if issubclass(model_class, PretrainedLSTMModel):
        raise ParameterTypeError(
            "model_class must be one with a hidden_size, as rates are tried on a small "
            f"network, got {model_class.__name__}, whose network is given. Search for "
            'the "lr" of its optimizer_kwargs by its gridsearch, with fine_tune_steps '
            "above 0."
        )
    given = dict(parameters.get("optimizer_kwargs") or {})
    grid = {name: [value] for name, value in parameters.items()}
    grid["hidden_size"] = [hidden_size]
    grid["optimizer_kwargs"] = [{**given, "lr": rate} for rate in rates]
    _, best, _ = model_class.gridsearch(
        grid, series, val_series=val_series, metric=metric, **kwargs
    )
    return {**parameters, "optimizer_kwargs": best["optimizer_kwargs"]}
