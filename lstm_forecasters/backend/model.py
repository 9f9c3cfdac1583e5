"""One module from windows in the user's units to forecasts in the user's units."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Generator, Tensor, nn

from lstm_forecasters.backend.features import (
    NetworkInput,
    assemble,
    history_columns,
    horizon_columns,
    recalled_columns,
    static_columns,
    unfold_channels,
)
from lstm_forecasters.backend.likelihoods import Likelihood
from lstm_forecasters.backend.networks import NetworkSizes, build_network
from lstm_forecasters.backend.networks.layers import draw_parameters
from lstm_forecasters.backend.normalization import Frame
from lstm_forecasters.backend.recipe import spread_correction
from lstm_forecasters.backend.windows import Layout, Panel, WindowBatch
from lstm_forecasters.specs import Architecture

__all__ = ["ForecastModel"]


class ForecastModel(nn.Module):
    """Normalise, assemble the columns, run the network, restore the units.

    Parameters
    ----------
    spec : Architecture
        What the network is.
    layout : Layout
        What a window holds.
    likelihood : Likelihood
        What the network's outputs mean.
    """

    covariate_means: Tensor
    covariate_scales: Tensor
    widening: Tensor

    def __init__(
        self, spec: Architecture, layout: Layout, likelihood: Likelihood
    ) -> None:
        super().__init__()
        self.spec = spec.with_segments_of(layout.period)
        self.layout = layout
        self.likelihood = likelihood
        n_future = len(layout.future_covariates)
        n_static = len(layout.static_covariates)
        n_covariates = len(layout.past_covariates) + n_future + n_static
        self.network = build_network(
            self.spec,
            NetworkSizes(
                lookback=layout.lookback,
                horizon=layout.horizon,
                history_columns=history_columns(layout),
                horizon_columns=horizon_columns(layout),
                static_columns=static_columns(layout),
                recalled_columns=recalled_columns(layout),
                known_future=n_future,
                n_channels=layout.n_channels,
                n_parameters=likelihood.n_parameters,
            ),
        )
        zeros = torch.zeros(n_covariates, dtype=torch.float64)
        self.register_buffer("covariate_means", zeros)
        self.register_buffer("covariate_scales", torch.ones_like(zeros))
        self.register_buffer("widening", torch.ones((), dtype=torch.float64))

    @classmethod
    def create(
        cls,
        spec: Architecture,
        layout: Layout,
        likelihood: Likelihood,
        generator: Generator,
    ) -> ForecastModel:
        """Return a model whose parameters are all drawn from one generator."""
        with torch.device("meta"):
            model = cls(spec, layout, likelihood)
        model.to_empty(device="cpu")
        model.covariate_means.zero_()
        model.covariate_scales.fill_(1.0)
        model.widening.fill_(1.0)
        draw_parameters(model.network, generator)
        return model

    def _apply(self, fn: Any, recurse: bool = True) -> ForecastModel:
        """Move or cast the weights; what was measured stays float64."""
        before = dict(self.named_buffers(recurse=False))
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]  # torch's
        for name, values in before.items():
            if not values.is_meta:
                setattr(self, name, values.to(getattr(self, name).device))
        return self

    @property
    def n_weights(self) -> int:
        """Number of weights, in an ensemble those of one member on average."""
        n_weights = sum(one.numel() for one in self.parameters())
        return n_weights // self.spec.n_members

    def measure(self, panel: Panel) -> None:
        """Take from the training data what is not learnt step by step.

        Location and scale of the covariates, and how much wider than in training the
        spread of forecasts must be.
        """
        n_values = int((~np.isnan(panel.values)).sum())
        if n_values:
            self.widening.fill_(spread_correction(n_values, self.layout.horizon))
        self.measure_covariates(panel)

    def measure_covariates(self, panel: Panel) -> None:
        """Take location and scale of the covariates from the training data."""
        static = panel.static_covariates
        static = static.reshape(-1, len(self.layout.static_covariates) or 1)
        columns = [panel.past_covariates, panel.future_covariates, static]
        for values, rows in zip(columns, self._covariate_slices(), strict=True):
            for offset, column in enumerate(values.T):
                seen = torch.from_numpy(column[column == column])
                if len(seen):
                    spread = seen.std(correction=0)
                    index = rows.start + offset
                    self.covariate_means[index] = seen.mean()
                    self.covariate_scales[index] = spread if spread > 0 else 1.0

    def _covariate_slices(self) -> list[slice]:
        """Return where past, future and static covariates stand in the statistics."""
        n_past = len(self.layout.past_covariates)
        n_known = n_past + len(self.layout.future_covariates)
        n_all = n_known + len(self.layout.static_covariates)
        return [slice(0, n_past), slice(n_past, n_known), slice(n_known, n_all)]

    def prepare(self, batch: WindowBatch) -> NetworkInput:
        """Return what the network reads of windows in the user's units."""
        columns = assemble(
            batch, self.layout, self.covariate_means, self.covariate_scales
        )
        return columns.to(next(self.network.parameters()).dtype)

    def forward(
        self, columns: NetworkInput, generator: Generator | None = None
    ) -> Tensor:
        """Return the likelihood's parameters (B, H, C, K) in normalised units.

        Where the network runs in half precision, the likelihood does not.
        """
        raw = self.network(columns.history, columns.horizon, columns.static, generator)
        if raw.dtype in (torch.bfloat16, torch.float16):
            raw = raw.float()
        if not torch.is_autocast_enabled(raw.device.type):
            return self.likelihood.parameters(raw, columns.frame.path)
        with torch.autocast(raw.device.type, enabled=False):
            return self.likelihood.parameters(raw, columns.frame.path)

    def forecast(
        self, batch: WindowBatch, generator: Generator | None = None
    ) -> Tensor:
        """Return parameters (B, H, C, K) in the user's units.

        Channels that are forecast by themselves stand side by side again. A generator
        is needed where dropout is active.
        """
        columns = self.prepare(batch)
        parameters = self.restored(self(columns, generator), columns.frame)
        return unfold_channels(parameters, batch.history.shape[2])

    def restored(self, parameters: Tensor, frame: Frame) -> Tensor:
        """Return normalised parameters (B, H, C, K) in the user's units, float64.

        Their spread is widened to what it is on unseen data.
        """
        widened = self.likelihood.widen(parameters.double(), self.widening)
        return self.likelihood.restore(
            widened, frame.center[:, None], frame.scale[:, None]
        )
