"""Small panels and models for the tests of the backend."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from lstm_forecasters.backend.likelihoods import make_likelihood
from lstm_forecasters.backend.model import ForecastModel
from lstm_forecasters.backend.windows import Layout, Panel, Windows
from lstm_forecasters.specs import Architecture, VanillaLSTM


def make_panel(*series: Any, **arrays: Any) -> Panel:
    """Return a panel of series, each (T,) or (T, C)."""
    columns = [np.asarray(one, dtype=float) for one in series]
    columns = [one[:, None] if one.ndim == 1 else one for one in columns]
    return Panel(
        values=np.concatenate(columns),
        lengths=np.array([len(one) for one in columns]),
        **arrays,
    )


def make_model(
    layout: Layout,
    spec: Architecture | None = None,
    likelihood: str | None = None,
    *,
    seed: int = 0,
    trained: bool = True,
) -> ForecastModel:
    """Return a model; ``trained`` ones have random weights everywhere."""
    generator = torch.Generator().manual_seed(seed)
    spec = VanillaLSTM(hidden_size=6) if spec is None else spec
    model = ForecastModel.create(spec, layout, make_likelihood(likelihood), generator)
    if trained:
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.uniform_(-0.3, 0.3, generator=generator)
    return model.eval()


def all_windows(windows: Windows) -> tuple[np.ndarray, np.ndarray]:
    """Return series and step of every window of a panel, from no past to all."""
    series = np.repeat(np.arange(len(windows)), windows.lengths + 1)
    steps = np.concatenate([np.arange(length + 1) for length in windows.lengths])
    return series, steps


def filled_by_hand(values, period):
    """Return a channel with its gaps filled, step by step, and what is known of it."""

    def at(step):
        return values[step] if 0 <= step < len(values) else np.nan

    filled, is_known = values.copy(), ~np.isnan(values)
    for step in np.flatnonzero(~is_known):
        before = values[:step][::-1]
        if np.isnan(before).all():
            continue
        told = []
        for other in (step - period, step + period):
            near = [at(step + k) - at(other + k) for k in (-2, -1, 1, 2)]
            near = [0.0] if period == 1 else [one for one in near if one == one]
            if near and not np.isnan(at(other)):
                told.append(at(other) + np.mean(near))
        if len(told) == 2 or (told and period > 1):
            filled[step], is_known[step] = np.mean(told), True
            continue
        seasons = values[step % period : step : period][::-1]
        filled[step] = next(one for one in [*seasons, *before] if not np.isnan(one))
    return filled, is_known
