"""A trained model and a context give forecasts, to any horizon.

One rule holds beyond the trained horizon: points feed back medians, distributions
feed back sampled paths. A direct network starts anew in the window that has moved; an
encoder-decoder decodes on from its state.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from lstm_forecasters.backend.likelihoods import Likelihood, QuantileLikelihood
from lstm_forecasters.backend.model import ForecastModel
from lstm_forecasters.backend.networks.layers import State
from lstm_forecasters.backend.windows import WindowBatch, Windows
from lstm_forecasters.errors import ParameterError, TrainingError

__all__ = ["Forecast", "forecast"]

N_PATHS = 100
"""Sampled paths of each series, stratified."""

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
        return torch.cat(points, 1).numpy()

    def quantiles(self, levels: np.ndarray) -> np.ndarray:
        """Return quantiles (B, steps, C, A) at levels (A,)."""
        wanted = torch.as_tensor(levels, dtype=torch.float64)
        parts = [lik.quantiles(values, wanted) for lik, values in self.parts]
        return torch.cat(parts, 1).numpy()

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
    chunk = max(1, WINDOWS_AT_A_TIME // N_PATHS) if sample_paths else WINDOWS_AT_A_TIME
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


def _along_medians(
    model: ForecastModel, batch: WindowBatch, n_blocks: int
) -> list[tuple[Likelihood, Tensor]]:
    """Forecast block after block, each from the medians of those before."""
    values, state = model.forecast(batch)
    parameters = [values]
    for _ in range(1, n_blocks):
        batch = _advance(batch, model.likelihood.point(parameters[-1]))
        values, state = model.forecast(batch, state)
        parameters.append(values)
    return [(model.likelihood, torch.cat(parameters, 1))]


def _along_paths(
    model: ForecastModel, batch: WindowBatch, n_blocks: int
) -> list[tuple[Likelihood, Tensor]]:
    """Forecast block after block, each from sampled paths through those before.

    A path keeps one level of probability through a block, as forecast errors of
    neighbouring steps go together, and draws a new one for the next. All series
    share the draws, so that a forecast does not depend on its neighbours.
    """
    likelihood, n_windows = model.likelihood, len(batch.history)
    generator = torch.Generator().manual_seed(0)
    parameters, state = model.forecast(batch)
    parts: list[tuple[Likelihood, Tensor]] = [(likelihood, parameters)]
    paths, state = _repeat(batch, N_PATHS), _repeat_state(state, n_windows, N_PATHS)
    parameters = parameters.repeat_interleave(N_PATHS, 0)
    summary = QuantileLikelihood(PATH_LEVELS)
    levels = torch.tensor(PATH_LEVELS, dtype=torch.float64)
    inner = torch.arange(0.05, 1, 0.1, dtype=torch.float64)
    for _ in range(1, n_blocks):
        draws = torch.stack(
            [
                torch.randperm(N_PATHS, generator=generator)
                for _ in range(parameters.shape[2])
            ],
            1,
        )
        level = ((draws + 0.5) / N_PATHS).double().repeat(n_windows, 1)  # (B*paths, C)
        level = level[:, None, :, None].expand(*parameters.shape[:3], 1)
        paths = _advance(paths, likelihood.quantiles(parameters, level)[..., 0])
        parameters, state = model.forecast(paths, state)
        pool = likelihood.quantiles(parameters, inner)  # (B*paths, H, C, 10)
        pool = pool.unflatten(0, (n_windows, N_PATHS)).movedim(1, -1).flatten(3)
        quantiles = torch.quantile(pool, levels, dim=3).movedim(0, 3)
        parts.append((summary, quantiles))
    return parts


def _advance(batch: WindowBatch, values: Tensor) -> WindowBatch:
    """Move windows on by a block of forecasts (B, H, C)."""
    n_steps = values.shape[1]
    ones = torch.ones_like(values, dtype=batch.observed.dtype)
    unknown = torch.full_like(batch.past_covariates[:, :n_steps], torch.nan)
    return WindowBatch(
        history=torch.cat([batch.history, values], 1)[:, n_steps:],
        observed=torch.cat([batch.observed, ones], 1)[:, n_steps:],
        period=batch.period,
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


def _repeat_state(state: State | None, n_windows: int, times: int) -> State | None:
    """Repeat a state for every window, whose channels may each have one."""
    if state is None:
        return None

    def repeat(values: Tensor) -> Tensor:
        by_window = values.unflatten(0, (n_windows, -1))
        return by_window.repeat_interleave(times, 0).flatten(0, 1)

    return [(repeat(hidden), repeat(cell)) for hidden, cell in state]


def _assemble(chunks: list[list[tuple[Likelihood, Tensor]]], horizon: int) -> Forecast:
    """Join the chunks of windows and cut the parts to the horizon."""
    parts, remaining = [], horizon
    for number, (likelihood, _) in enumerate(chunks[0]):
        values = torch.cat([chunk[number][1] for chunk in chunks])[:, :remaining]
        if not values.isfinite().all():
            raise TrainingError(
                "the network forecasts values that are not finite: it diverged in "
                "training. Fit again with a lower learning_rate."
            )
        remaining -= values.shape[1]
        parts.append((likelihood, values))
    return Forecast(tuple(parts))
