"""A trained model and a context give forecasts, to any horizon.

One rule holds beyond the trained horizon: points feed back medians, distributions
feed back sampled paths, and the network starts anew in the window that has moved.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Generator, Tensor
from torch.nn import functional

from lstm_forecasters.backend.features import fold_channels, unfold_channels
from lstm_forecasters.backend.likelihoods import (
    Likelihood,
    PointLikelihood,
    QuantileLikelihood,
)
from lstm_forecasters.backend.model import ForecastModel
from lstm_forecasters.backend.windows import WindowBatch, Windows
from lstm_forecasters.errors import ParameterError, TrainingError

__all__ = ["Forecast", "forecast", "walk"]

N_PATHS = 100
"""Sampled paths of each series, stratified."""

N_LEVELS = 10
"""Quantiles of the forecast of each path that are pooled, evenly spread together."""

PATH_LEVELS = tuple((level + 0.5) / 99 for level in range(99))
"""Levels at which the forecasts of all paths are summarised."""

WINDOWS_AT_A_TIME = 1024


@dataclass(frozen=True, eq=False)
class Forecast:
    """Forecasts of consecutive steps, in parts that follow one another.

    Parameters
    ----------
    parts : tuple of (Likelihood, torch.Tensor)
        Each part's likelihood, and its parameters (B, steps, C, K) in the user's
        units.
    """

    parts: tuple[tuple[Likelihood, Tensor], ...]

    def points(self) -> np.ndarray:
        """Return point forecasts (B, steps, C)."""
        points = [likelihood.point(values) for likelihood, values in self.parts]
        return _joined(points, 1).numpy()

    def quantiles(self, levels: np.ndarray) -> np.ndarray:
        """Return quantiles (B, steps, C, A) at levels (A,)."""
        wanted = torch.as_tensor(levels, dtype=torch.float64)
        parts = [lik.quantiles(values, wanted) for lik, values in self.parts]
        return _joined(parts, 1).numpy()

    def parameters(self) -> np.ndarray:
        """Return the likelihood's parameters (B, steps, C, K) of the first part."""
        return self.parts[0][1].numpy()


@torch.inference_mode()
def forecast(
    model: ForecastModel,
    windows: Windows,
    series: np.ndarray,
    steps: np.ndarray,
    horizon: int,
    *,
    ahead: np.ndarray | None = None,
    sample_paths: bool = False,
) -> Forecast:
    """Forecast from some of the windows of a panel.

    Parameters
    ----------
    model : ForecastModel
        A trained model.
    windows : Windows
        The windows of the series.
    series, steps : numpy.ndarray of shape (B,), int64
        Which series, and the step in it that each forecast starts from.
    horizon : int
        Number of steps to forecast, at least 1.
    ahead : numpy.ndarray of shape (B, horizon, Q), optional
        Known-future covariates of these steps, NaN where missing; those of the
        series by default.
    sample_paths : bool, default=False
        What is fed back beyond the trained horizon: sampled paths for quantiles and
        distributions, or medians for points.

    Returns
    -------
    Forecast
        Of all B windows and ``horizon`` steps, in the user's units.

    Raises
    ------
    ParameterError
        If a network with an output shift is to go beyond its trained horizon.
    TrainingError
        If a forecast is not finite.
    """
    if horizon > model.layout.horizon and model.layout.output_shift:
        raise ParameterError(
            f"a network with output shift {model.layout.output_shift} forecasts at "
            f"most its trained horizon of {model.layout.horizon} steps, got {horizon}."
        )
    n_blocks = -(-horizon // model.layout.horizon)
    if ahead is None and n_blocks > 1:
        ahead = np.full((len(series), 0, len(model.layout.future_covariates)), np.nan)
    sample_paths = sample_paths and n_blocks > 1
    n_copies = (N_PATHS if sample_paths else 1) * windows.n_components
    chunk = max(1, WINDOWS_AT_A_TIME // n_copies)
    chunks: list[list[tuple[Likelihood, Tensor]]] = []
    for first in range(0, len(series), chunk):
        rows = slice(first, first + chunk)
        known = None
        if ahead is not None:
            known = torch.from_numpy(ahead[rows])
            missing = n_blocks * model.layout.horizon - known.shape[1]
            known = functional.pad(known, (0, 0, 0, missing), value=torch.nan)
        batch = windows.gather(
            torch.from_numpy(series[rows]), torch.from_numpy(steps[rows]), ahead=known
        )
        if sample_paths:
            chunks.append(_along_paths(model, batch, n_blocks))
        else:
            chunks.append(_along_medians(model, batch, n_blocks))
    return _assemble(chunks, horizon)


def walk(
    model: ForecastModel,
    batch: WindowBatch,
    n_blocks: int,
    *,
    n_paths: int = 1,
    generator: Generator | None = None,
    roll: int | None = None,
    each_path_alone: bool = False,
) -> Iterator[tuple[Tensor, Tensor]]:
    """Forecast block after block, each from what the blocks before it gave.

    One path follows the medians. Of several, each has a level of probability that
    walks through a block, as forecast errors of neighbouring steps go together, and
    starts anew in the next. The levels of each step are spread evenly, and all windows
    share the draws, so that a forecast does not depend on its neighbours.

    Parameters
    ----------
    model : ForecastModel
        A trained model.
    batch : WindowBatch
        B windows, with the covariates of all blocks.
    n_blocks : int
        Number of blocks of H steps.
    n_paths : int, default=1
        Number of paths S.
    generator : torch.Generator or None
        Source of the draws, and of dropout where that is active.
    roll : int or None
        Steps by which the window moves from a block to the next; ``None`` for H.
    each_path_alone : bool, default=False
        Whether each path has its own forecast of the first block too, as it must
        where dropout is active.

    Yields
    ------
    parameters : torch.Tensor of shape (B or B * S, H, C, K)
        The likelihood's parameters of a block, in the user's units.
    values : torch.Tensor of shape (B * S, H, C)
        The paths through it, those of a window side by side.
    """
    likelihood, n_windows = model.likelihood, len(batch.history)
    roll = model.layout.horizon if roll is None else roll
    if each_path_alone:
        batch = _repeat(batch, n_paths)
    for block in range(n_blocks):
        parameters = model.forecast(batch, generator)
        yielded = parameters
        if len(batch.history) < n_windows * n_paths:
            parameters = parameters.repeat_interleave(n_paths, 0)
            batch = _repeat(batch, n_paths)
        if n_paths == 1 or isinstance(likelihood, PointLikelihood):
            values = likelihood.point(parameters)
        else:
            n_steps, n_channels = parameters.shape[1:3]
            levels = _spread_levels(n_paths, n_steps, n_channels, generator)
            levels = levels.repeat(n_windows, 1, 1)[..., None]
            values = likelihood.quantiles(parameters, levels)[..., 0]
        yield yielded, values
        if block + 1 < n_blocks:
            batch = _advance(batch, values[:, :roll])


def _spread_levels(
    n_paths: int, n_steps: int, n_channels: int, generator: Generator | None
) -> Tensor:
    """Return levels (S, H, C), spread evenly at each step in the order of walks."""
    steps = torch.randn(n_paths, n_steps, n_channels, generator=generator)
    ranks = steps.cumsum(1).argsort(0).argsort(0)
    return (ranks.double() + 0.5) / n_paths


def _along_medians(
    model: ForecastModel, batch: WindowBatch, n_blocks: int
) -> list[tuple[Likelihood, Tensor]]:
    """Forecast block after block, each from the medians of those before."""
    parameters = [block for block, _ in walk(model, batch, n_blocks)]
    return [(model.likelihood, _joined(parameters, 1))]


def _along_paths(
    model: ForecastModel, batch: WindowBatch, n_blocks: int
) -> list[tuple[Likelihood, Tensor]]:
    """Forecast block after block, each from sampled paths through those before.

    Channels that are forecast alone have the paths that they would have alone.
    """
    likelihood, n_channels = model.likelihood, batch.history.shape[2]
    if model.layout.n_channels == 1:
        batch = fold_channels(batch)
    n_windows = len(batch.history)
    generator = Generator().manual_seed(0)
    blocks = walk(model, batch, n_blocks, n_paths=N_PATHS, generator=generator)
    first = unfold_channels(next(blocks)[0], n_channels)
    parts: list[tuple[Likelihood, Tensor]] = [(likelihood, first)]
    summary = QuantileLikelihood(PATH_LEVELS)
    levels = torch.tensor(PATH_LEVELS, dtype=torch.float64)
    inner = torch.arange(N_PATHS * N_LEVELS, dtype=torch.float64) + 0.5
    inner = inner.view(N_LEVELS, N_PATHS).T / len(inner)  # each path has its own
    inner = inner.repeat(n_windows, 1)[:, None, None]
    for parameters, _ in blocks:
        shape = (*parameters.shape[:3], N_LEVELS)
        pool = likelihood.quantiles(parameters, inner.expand(shape))
        pool = pool.unflatten(0, (n_windows, N_PATHS)).movedim(1, -1).flatten(3)
        quantiles = torch.quantile(pool, levels, dim=3).movedim(0, 3)
        parts.append((summary, unfold_channels(quantiles, n_channels)))
    return parts


def _advance(batch: WindowBatch, values: Tensor) -> WindowBatch:
    """Move windows on by a block of forecasts (B, H, C)."""
    n_steps = values.shape[1]
    ones = torch.ones_like(values, dtype=batch.observed.dtype)
    unknown = batch.past_covariates.new_full(
        (len(values), n_steps, batch.past_covariates.shape[2]), torch.nan
    )
    return WindowBatch(
        history=torch.cat([batch.history, values], 1)[:, n_steps:],
        observed=torch.cat([batch.observed, ones], 1)[:, n_steps:],
        period=batch.period,
        reference_errors=batch.reference_errors,
        scale_floor=batch.scale_floor,
        level=batch.level,
        spread=batch.spread,
        past_covariates=torch.cat([batch.past_covariates, unknown], 1)[:, n_steps:],
        future_covariates=batch.future_covariates[:, n_steps:],
        static_covariates=batch.static_covariates,
        target=batch.target,
        weight=batch.weight,
    )


def _repeat(batch: WindowBatch, times: int) -> WindowBatch:
    """Repeat every window."""
    repeated = {
        name: values.repeat_interleave(times, 0) for name, values in vars(batch).items()
    }
    return WindowBatch(**repeated)


def _assemble(chunks: list[list[tuple[Likelihood, Tensor]]], horizon: int) -> Forecast:
    """Join the chunks of windows and cut the parts to the horizon."""
    parts, remaining = [], horizon
    for number, (likelihood, _) in enumerate(chunks[0]):
        values = _joined([chunk[number][1] for chunk in chunks], 0)[:, :remaining]
        if not values.isfinite().all():
            raise TrainingError(
                "the network forecasts values that are not finite: it diverged in "
                "training. Fit again with a lower learning_rate."
            )
        remaining -= values.shape[1]
        parts.append((likelihood, values))
    return Forecast(tuple(parts))


def _joined(parts: list[Tensor], dim: int) -> Tensor:
    """Return parts one after another; one alone, which is usual, is not copied."""
    return parts[0] if len(parts) == 1 else torch.cat(parts, dim)
