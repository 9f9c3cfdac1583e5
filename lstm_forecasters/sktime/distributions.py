"""Forecast parameters to skpro's distributions; skpro is imported on first use."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from lstm_forecasters.errors import DataError

__all__ = ["DISTRIBUTIONS", "empirical_distribution"]


def _normal(parameters: np.ndarray, index: pd.Index, columns: pd.Index) -> Any:
    """Return normal distributions from mean and standard deviation (rows, C, 2)."""
    from skpro.distributions.normal import Normal

    mean, deviation = np.moveaxis(parameters, 2, 0)
    return Normal(mu=mean, sigma=deviation, index=index, columns=columns)


def _student_t(parameters: np.ndarray, index: pd.Index, columns: pd.Index) -> Any:
    """Return t distributions from location, scale and freedom (rows, C, 3)."""
    from lstm_forecasters.sktime.student_t import TDistribution

    location, scale, freedom = np.moveaxis(parameters, 2, 0)
    return TDistribution(
        mu=location, sigma=scale, df=freedom, index=index, columns=columns
    )


DISTRIBUTIONS: dict[str | None, Callable[..., Any]] = {
    "normal": _normal,
    "student_t": _student_t,
}
"""Families that skpro has in closed form, by the name of the likelihood."""


def empirical_distribution(
    samples: np.ndarray, index: pd.Index, columns: pd.Index
) -> Any:
    """Return the empirical distribution of equally likely values (rows, C, A).

    The columns' values stand in orders of their own: skpro draws one number for all.
    """
    from skpro.distributions.empirical import Empirical

    if columns.nlevels == 1 and columns.dtype == object:
        # skpro looks names up by DataFrame.loc, to which these are other kinds of keys
        odd = [name for name in columns if isinstance(name, bool | tuple)]
        if odd:
            raise DataError(
                f"y has columns named {odd}, but skpro's empirical distribution, which "
                "predict_proba and predict_var need here, takes no tuples, and truth "
                "values only from an index of dtype bool. Name the columns by strings, "
                "or call predict_quantiles or predict_interval."
            )
    n_samples = samples.shape[2]
    orders = [
        np.random.default_rng(c).permutation(n_samples) for c in range(len(columns))
    ]
    samples = np.take_along_axis(samples, np.stack(orders)[None], 2)
    repeated = index[np.tile(np.arange(len(index)), n_samples)]
    levels = [repeated.get_level_values(level) for level in range(index.nlevels)]
    number = np.repeat(np.arange(n_samples), len(index))
    rows = pd.MultiIndex.from_arrays([number, *levels], names=["sample", *index.names])
    values = np.moveaxis(samples, 2, 0).reshape(-1, len(columns))
    frame = pd.DataFrame(values, index=rows, columns=columns)
    return Empirical(frame, index=index, columns=columns)
