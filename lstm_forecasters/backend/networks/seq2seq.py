"""Encoder-decoder: one LSTM reads the lookback, another writes the forecasts."""

from __future__ import annotations

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional

from lstm_forecasters.backend.networks.layers import (
    CellStack,
    FutureEffect,
    LSTMStack,
    NetworkSizes,
    State,
    make_linear_path,
    make_segments,
)
from lstm_forecasters.specs import EncoderDecoderLSTM

__all__ = ["Seq2SeqLSTM"]


class Seq2SeqLSTM(nn.Module):
    """A decoder that is fed its own forecasts, turn by turn.

    The decoder starts from the encoder's final states. At each turn it reads the
    forecasts and covariates of its last turn and the reference path of the next
    segment, and writes one segment of forecasts; each of its steps meets its own
    known-future covariates. It runs freely in training as in forecasting, so that it
    learns on the inputs it will meet.

    Parameters
    ----------
    spec : EncoderDecoderLSTM
        The architecture, with its segment length decided.
    sizes : NetworkSizes
        Columns, lengths and parameters.
    """

    def __init__(self, spec: EncoderDecoderLSTM, sizes: NetworkSizes) -> None:
        super().__init__()
        assert spec.segment_length is not None
        hidden = spec.hidden_size
        self.sizes = sizes
        self.reverse = spec.reverse_lookback
        self.length = self._turn(spec.segment_length, sizes.horizon)
        self.segments = make_segments(spec, sizes)
        self.encoder = LSTMStack(
            sizes.history_columns if self.segments is None else hidden,
            hidden,
            spec.num_layers,
            spec.dropout,
        )
        written = self.length * sizes.n_channels
        self.n_known = sizes.horizon_columns - 3 * sizes.known_future
        self.decoder = CellStack(
            written + self.length * sizes.horizon_columns + sizes.static_columns,
            hidden,
            spec.num_layers,
            spec.dropout,
        )
        self.head = nn.Linear(hidden, written * sizes.n_parameters)
        outputs = sizes.n_channels * sizes.n_parameters
        self.future_effect = (
            FutureEffect(hidden, sizes.horizon_columns, hidden, outputs)
            if sizes.known_future
            else None
        )
        self.linear_path = make_linear_path(spec, sizes)

    def _turn(self, segment_length: int, horizon: int) -> int:
        """Return the number of steps that the decoder writes at a time."""
        return min(segment_length, horizon)

    def forward(
        self,
        history: Tensor,
        horizon: Tensor,
        static: Tensor,
        generator: Generator | None = None,
    ) -> Tensor:
        """Return raw parameters (B, H, C, K)."""
        state = self._encode(history, static, generator)
        return self._decode(history, horizon, static, state, generator)

    def _encode(
        self, history: Tensor, static: Tensor, generator: Generator | None
    ) -> State:
        """Return the final states of the encoder, one a layer."""
        sequence = self._sequence(history, static)
        _, final = self.encoder(sequence, generator)
        return [(hidden[0], cell[0]) for hidden, cell in final]

    def _sequence(self, history: Tensor, static: Tensor) -> Tensor:
        """Return what the encoder reads, step by step."""
        sequence = history.flip(1) if self.reverse else history
        return sequence if self.segments is None else self.segments(sequence)

    def _decode(
        self,
        history: Tensor,
        horizon: Tensor,
        static: Tensor,
        state: State,
        generator: Generator | None,
    ) -> Tensor:
        """Decode the horizon: raw parameters (B, H, C, K)."""
        sizes, length = self.sizes, self.length
        padding = -horizon.shape[1] % length
        turns = functional.pad(horizon, (0, 0, 0, padding)).unflatten(1, (-1, length))
        paths = turns[..., : sizes.n_channels]  # of (B, turns, p, E)
        given = self._given(turns, static)
        known = history[:, :, : sizes.n_channels]
        straight = self._straight(known, turns.shape[1])
        written = functional.pad(known, (0, 0, max(0, length - known.shape[1]), 0))
        written = written[:, -length:]
        outputs: list[Tensor] = []
        for turn in range(turns.shape[1]):
            step = torch.cat([written.flatten(1), given[:, turn]], 1)
            hidden, state = self.decoder(step, state, generator)
            raw = self._write(hidden, turns[:, turn])
            outputs.append(raw if straight is None else raw + straight[:, turn])
            written = outputs[-1][..., 0] + paths[:, turn]
        return torch.cat(outputs, 1)[:, : sizes.horizon]

    def _given(self, turns: Tensor, static: Tensor) -> Tensor:
        """Return what the decoder is told at each turn, beside what it wrote.

        The covariates of the turn before, the other columns of its own, and what does
        not change.
        """
        covariates = turns[..., self.n_known :]
        before = torch.zeros_like(covariates[:, :1])
        before = torch.cat([before, covariates[:, :-1]], 1)
        parts = [before.flatten(2), turns[..., : self.n_known].flatten(2)]
        parts.append(static[:, None].expand(-1, turns.shape[1], -1))
        return torch.cat(parts, 2)

    def _straight(self, known: Tensor, n_turns: int) -> Tensor | None:
        """Return what the linear path forecasts, (B, turns, p, C, K), if there is one.

        It is the location's; the other parameters have zeros.
        """
        if self.linear_path is None:
            return None
        sizes = self.sizes
        line = self.linear_path(known.flatten(1)).unflatten(
            1, (-1, sizes.n_channels, 1)
        )
        missing = n_turns * self.length - sizes.horizon
        padding = (0, sizes.n_parameters - 1, 0, 0, 0, missing)
        return functional.pad(line, padding).unflatten(1, (-1, self.length))

    def _write(self, hidden: Tensor, columns: Tensor) -> Tensor:
        """Return raw parameters (B, p, C, K) of a turn, from what the decoder says.

        ``hidden`` is (B, hidden), ``columns`` are the turn's (B, p, E).
        """
        shape = (self.sizes.n_channels, self.sizes.n_parameters)
        raw: Tensor = self.head(hidden).unflatten(1, (self.length, *shape))
        if self.future_effect is not None:
            effect = self.future_effect(hidden, columns)
            raw = raw + effect.unflatten(2, shape)
        return raw
