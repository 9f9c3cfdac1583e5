"""The parts that the structures share."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional, init

from lstm_forecasters.specs import Architecture

__all__ = [
    "CellStack",
    "Dropout",
    "FutureEffect",
    "LSTMStack",
    "NetworkSizes",
    "Segments",
    "State",
    "draw_parameters",
    "make_linear_path",
    "make_segments",
]

State = list[tuple[Tensor, Tensor]]


@dataclass(frozen=True, kw_only=True)
class NetworkSizes:
    """What the data and the likelihood demand of a network's inputs and outputs."""

    lookback: int  # L
    horizon: int  # H
    history_columns: int  # D
    horizon_columns: int  # E
    static_columns: int  # S
    recalled_columns: int  # the horizon's next ones after path and position
    known_future: int  # Q
    n_channels: int  # C
    n_parameters: int  # K


class Segments(nn.Module):
    """Read several time steps as one: (B, T, D) to (B, ceil(T / p), hidden).

    The sequence is padded with zeros at its beginning.
    """

    def __init__(self, columns: int, length: int, hidden_size: int) -> None:
        super().__init__()
        self.length = length
        self.embedding = nn.Linear(columns * length, hidden_size)

    def forward(self, sequence: Tensor) -> Tensor:
        """Embed the segments of a sequence."""
        padding = -sequence.shape[1] % self.length
        if padding:
            sequence = functional.pad(sequence, (0, 0, padding, 0))
        return self.embedding(sequence.unflatten(1, (-1, self.length)).flatten(2))


def make_segments(spec: Architecture, sizes: NetworkSizes) -> Segments | None:
    """Return what reads the history in segments, None for single steps."""
    assert spec.segment_length is not None
    if spec.segment_length == 1:
        return None
    return Segments(sizes.history_columns, spec.segment_length, spec.hidden_size)


def make_linear_path(spec: Architecture, sizes: NetworkSizes) -> nn.Linear | None:
    """Return the map from the lookback's values to the horizon's, where wanted."""
    if not spec.linear_path:
        return None
    inputs = sizes.lookback * sizes.n_channels
    return nn.Linear(inputs, sizes.horizon * sizes.n_channels, bias=False)


class Dropout(nn.Module):
    """Dropout that draws from a given generator, never from the global one."""

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share

    def forward(self, values: Tensor, generator: Generator | None) -> Tensor:
        """Drop a share of the values while training."""
        if not self.training or self.share == 0:
            return values
        device = values.device if generator is None else generator.device
        kept = torch.empty(values.shape, device=device)
        kept.bernoulli_(1 - self.share, generator=generator)
        return values * kept.to(values) / (1 - self.share)


class FutureEffect(nn.Module):
    """What known-future covariates add to each step, given the state before it.

    Every step sees its own columns only, so that it does not matter which other
    steps are forecast with it.
    """

    def __init__(
        self, width: int, columns: int, hidden_size: int, outputs: int
    ) -> None:
        super().__init__()
        self.from_state = nn.Linear(width, hidden_size)
        self.from_columns = nn.Linear(columns, hidden_size)
        self.step_head = nn.Linear(hidden_size, outputs)
        self.straight_head = nn.Linear(columns, outputs, bias=False)

    def forward(self, state: Tensor, columns: Tensor) -> Tensor:
        """Return the effect (B, T, outputs) of a state (B, W) and columns (B, T, E)."""
        step = torch.relu(self.from_state(state)[:, None] + self.from_columns(columns))
        effect: Tensor = self.step_head(step) + self.straight_head(columns)
        return effect


class LSTMStack(nn.Module):
    """Plain single LSTM layers with dropout between them.

    One ``nn.LSTM`` of several layers would draw its dropout from the global
    generator; single ones keep to the fused CPU path just as well.
    """

    def __init__(
        self,
        columns: int,
        hidden_size: int,
        num_layers: int,
        dropout: float,
        *,
        bidirectional: bool = False,
    ) -> None:
        super().__init__()
        width = hidden_size * (2 if bidirectional else 1)
        self.layers = nn.ModuleList(
            nn.LSTM(
                columns if layer == 0 else width,
                hidden_size,
                batch_first=True,
                bidirectional=bidirectional,
            )
            for layer in range(num_layers)
        )
        self.dropout = Dropout(dropout)

    def forward(
        self, sequence: Tensor, generator: Generator | None = None
    ) -> tuple[Tensor, State]:
        """Return the outputs of the last layer, and each layer's final state."""
        final: State = []
        for index, layer in enumerate(self.layers):
            if index:
                sequence = self.dropout(sequence, generator)
            sequence, last = layer(sequence)
            final.append(last)
        return sequence, final


class CellStack(nn.Module):
    """LSTM cells on top of one another, for one step at a time.

    A cell takes a third to a half of the time of an ``nn.LSTM`` that reads one step.
    """

    def __init__(
        self, columns: int, hidden_size: int, num_layers: int, dropout: float
    ) -> None:
        super().__init__()
        self.cells = nn.ModuleList(
            nn.LSTMCell(columns if layer == 0 else hidden_size, hidden_size)
            for layer in range(num_layers)
        )
        self.dropout = Dropout(dropout)

    def forward(
        self, step: Tensor, state: State, generator: Generator | None = None
    ) -> tuple[Tensor, State]:
        """Return the output (B, hidden) of the last cell, and each cell's new state."""
        following: State = []
        for index, cell in enumerate(self.cells):
            if index:
                step = self.dropout(step, generator)
            following.append(cell(step, state[index]))
            step = following[-1][0]
        return step, following


def draw_parameters(network: nn.Module, generator: Generator) -> None:
    """Draw all parameters of a network from one generator.

    LSTM weights are uniform in the inverse root of the hidden size, as torch has
    them, with forget gates that start open (Gers et al., 2000; Jozefowicz et al.,
    2015). Layers named ``*head`` and ``*path`` start at zero.
    """
    for name, module in network.named_modules():
        if isinstance(module, nn.LSTM | nn.LSTMCell):
            bound = 1 / math.sqrt(module.hidden_size)
            for key, parameter in module.named_parameters():
                init.uniform_(parameter, -bound, bound, generator=generator)
                if key.startswith("bias_ih"):
                    with torch.no_grad():
                        forget = slice(module.hidden_size, 2 * module.hidden_size)
                        parameter[forget] += 1.0
        elif isinstance(module, nn.Linear):
            if name.endswith(("head", "path")):
                init.zeros_(module.weight)
            else:
                init.xavier_uniform_(module.weight, generator=generator)
            if module.bias is not None:
                init.zeros_(module.bias)
