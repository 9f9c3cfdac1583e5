"""Vanilla, stacked and bidirectional: an encoder and a head for all steps at once."""

from __future__ import annotations

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional

from lstm_forecasters.backend.networks.layers import (
    FutureEffect,
    LSTMStack,
    NetworkSizes,
    make_linear_path,
    make_segments,
)
from lstm_forecasters.specs import Architecture

__all__ = ["DirectLSTM"]


class DirectLSTM(nn.Module):
    """An LSTM reads the lookback; its final state forecasts the whole horizon.

    The head sees the final state of the last layer, of both directions where there
    are two. Known-future covariates meet that state step by step.

    Parameters
    ----------
    spec : Architecture
        The architecture, with its segment length decided.
    sizes : NetworkSizes
        Columns, lengths and parameters.
    """

    def __init__(self, spec: Architecture, sizes: NetworkSizes) -> None:
        super().__init__()
        hidden = spec.hidden_size
        self.sizes = sizes
        self.segments = make_segments(spec, sizes)
        self.lstm = LSTMStack(
            sizes.history_columns if self.segments is None else hidden,
            hidden,
            spec.num_layers,
            spec.dropout,
            bidirectional=spec.bidirectional,
        )
        width = hidden * (2 if spec.bidirectional else 1) + sizes.static_columns
        outputs = sizes.n_channels * sizes.n_parameters
        self.head = nn.Linear(width, sizes.horizon * outputs)
        self.future_effect = (
            FutureEffect(width, sizes.horizon_columns, hidden, outputs)
            if sizes.known_future
            else None
        )
        self.linear_path = make_linear_path(spec, sizes)

    def forward(
        self,
        history: Tensor,
        horizon: Tensor,
        static: Tensor,
        generator: Generator | None = None,
    ) -> Tensor:
        """Return raw parameters (B, H, C, K)."""
        sizes = self.sizes
        shape = (sizes.horizon, sizes.n_channels, sizes.n_parameters)
        sequence = history if self.segments is None else self.segments(history)
        _, states = self.lstm(sequence, generator)
        summary = states[-1][0].movedim(0, 1).flatten(1)  # (B, hidden * directions)
        if sizes.static_columns:
            summary = torch.cat([summary, static], 1)
        raw = self.head(summary).unflatten(1, shape)
        if self.future_effect is not None:
            effect = self.future_effect(summary, horizon)
            raw = raw + effect.unflatten(2, shape[1:])
        if self.linear_path is not None:
            values = history[:, :, : sizes.n_channels].flatten(1)
            straight = self.linear_path(values).unflatten(1, shape[:2])
            raw = raw + functional.pad(straight[..., None], (0, shape[2] - 1))
        return raw
