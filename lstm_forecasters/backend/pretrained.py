"""The network that comes with the package: it forecasts without being trained.

It was trained on synthetic series alone, by ``examples/pretraining``; the model card in
``docs/pretrained.md`` tells how, and how well it forecasts.
"""

from __future__ import annotations

import functools
from importlib.resources import files
from typing import Any

from torch import Generator

from lstm_forecasters.backend.files import unpack
from lstm_forecasters.backend.model import ForecastModel
from lstm_forecasters.backend.networks import PretrainedSeq2SeqLSTM
from lstm_forecasters.backend.recipe import DAYS_OF_WEEK
from lstm_forecasters.backend.windows import Layout, Panel
from lstm_forecasters.specs import LONG_SEASON

__all__ = [
    "FINE_TUNING_RATE",
    "HORIZON",
    "adapted",
    "fine_tuning_rate",
    "layout_of",
    "lookback_of",
    "measure",
    "pretrained_network",
    "references_of",
]

LOOKBACK = 336
"""Time steps that the network was trained to read: two weeks of hours."""

HORIZON = 48
"""Time steps that it was trained to forecast."""

STEPS_AT_A_TIME = 6
"""Time steps that it writes at a time: the segments of ``PretrainedLSTM``."""

LAGS = (1, 2, 3, 7)
"""Seasons back that it sees beside the reference."""

LEAST_HISTORY = 12
"""Fewest time steps before what is fine-tuned on, two seasons where these are more."""

FINE_TUNING_RATE = 1e-3
"""Largest learning rate of fine-tuning, where there are plenty of values."""

PLENTY_OF_VALUES = 2500


def lookback_of(period: int) -> int:
    """Return how many of the latest time steps to read, two seasons at least."""
    return max(LOOKBACK, 2 * period)


def references_of(period: int, lookback: int = LOOKBACK) -> tuple[int, ...]:
    """Return the seasons that references repeat: the seventh too, of hours."""
    is_week = period >= LONG_SEASON and (DAYS_OF_WEEK + 1) * period <= lookback
    return (1, DAYS_OF_WEEK) if is_week else (1,)


def layout_of(
    period: int,
    horizon: int = HORIZON,
    lookback: int = LOOKBACK,
    **covariates: Any,
) -> Layout:
    """Return what a window holds for a season, a horizon, a lookback and covariates."""
    return Layout(
        lookback=lookback,
        horizon=horizon,
        period=period,
        references=references_of(period, lookback),
        lags=LAGS,
        steps_at_a_time=STEPS_AT_A_TIME,
        reads_period=True,
        self_contained=True,
        least_history=min(lookback, max(LEAST_HISTORY, 2 * period)),
        **covariates,
    )


def fine_tuning_rate(rate: float, layout: Layout, n_values: int) -> float:
    """Return the learning rate for a number of observed values.

    A network of half a million weights soon knows a short series by heart, but what
    covariates do has to be learnt anew.
    """
    has_covariates = any(
        (layout.past_covariates, layout.future_covariates, layout.static_covariates)
    )
    share = 1.0 if has_covariates else min(1.0, n_values / PLENTY_OF_VALUES)
    return rate * share**1.5


def measure(model: ForecastModel, panel: Panel, fine_tune_steps: int) -> None:
    """Take from the data what is not learnt step by step.

    The spread of forecasts is right as it was pretrained. Only a network that is
    fine-tuned on little data needs a wider one, as one that is trained on it.
    """
    if fine_tune_steps > 0:
        model.measure(panel)
    else:
        model.measure_covariates(panel)


@functools.cache
def pretrained_network() -> ForecastModel:
    """Return the pretrained network, which is read from its file once.

    It is shared by all that forecast with it: take a copy by ``adapted``.
    """
    file = files("lstm_forecasters") / "weights" / "pretrained.safetensors"
    return unpack(file.read_bytes()).models[0]


def adapted(
    model: ForecastModel, layout: Layout, generator: Generator
) -> ForecastModel:
    """Return a copy of a pretrained model that reads windows of another layout.

    Covariates that it has not known weigh nothing until it is trained on: its
    forecasts are those without them.

    Parameters
    ----------
    model : ForecastModel
        A model without covariates.
    layout : Layout
        What the windows hold.
    generator : torch.Generator
        Source of the weights inside of what reads known-future covariates, whose
        outputs begin at zero.
    """
    copy = ForecastModel.create(model.spec, layout, model.likelihood, generator)
    assert isinstance(copy.network, PretrainedSeq2SeqLSTM)
    assert isinstance(model.network, PretrainedSeq2SeqLSTM)
    copy.network.take_over(model.network)
    copy.widening.copy_(model.widening)
    return copy.eval()
