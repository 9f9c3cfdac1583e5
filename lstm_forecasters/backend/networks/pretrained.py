"""The encoder-decoder that is pretrained: it reads series of any length and season."""

from __future__ import annotations

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional

from lstm_forecasters.backend.networks.layers import NetworkSizes, State
from lstm_forecasters.backend.networks.seq2seq import Seq2SeqLSTM
from lstm_forecasters.specs import PretrainedLSTM

__all__ = ["READ_LENGTHS", "PretrainedSeq2SeqLSTM"]

READ_LENGTHS = (48, 96, 120, 168, 336)
"""Time steps that the encoder reads: the fewest of these that hold a series."""


class PretrainedSeq2SeqLSTM(Seq2SeqLSTM):
    """An encoder-decoder that skips what lies before the beginning of a series.

    Series of a batch that need different lengths are encoded in groups, so that a
    forecast depends neither on the neighbours nor on the length of the lookback.

    Parameters
    ----------
    spec : PretrainedLSTM
        The architecture, with its segment length decided.
    sizes : NetworkSizes
        Columns, lengths and parameters.
    """

    def __init__(self, spec: PretrainedLSTM, sizes: NetworkSizes) -> None:
        super().__init__(spec, sizes)
        self.n_recalled = sizes.recalled_columns // sizes.n_channels
        width = sizes.history_columns if self.segments is None else spec.hidden_size
        self.recall_head = nn.Linear(spec.hidden_size, self.n_recalled + 1)
        self.from_static = (
            nn.Linear(sizes.static_columns, width, bias=False)
            if sizes.static_columns
            else None
        )

    def _turn(self, segment_length: int, horizon: int) -> int:
        """Return a whole segment, whatever the horizon: the weights are the same."""
        return segment_length

    def _encode(
        self, history: Tensor, static: Tensor, generator: Generator | None
    ) -> State:
        """Return the final states of the encoder, one a layer."""
        n_steps, n_channels = history.shape[1], self.sizes.n_channels
        observed = (history[..., n_channels : 2 * n_channels] > 0).any(2)  # (B, L)
        seen = torch.where(observed.any(1), n_steps - observed.int().argmax(1), 0)
        longest = next((one for one in READ_LENGTHS if one >= n_steps), n_steps)
        lengths = [one for one in READ_LENGTHS if one < longest] + [longest]
        group = torch.bucketize(seen, torch.tensor(lengths, device=seen.device))
        history = functional.pad(history, (0, 0, longest - n_steps, 0))
        numbers = group.unique().tolist()
        if len(numbers) == 1:
            return super()._encode(
                history[:, -lengths[numbers[0]] :], static, generator
            )
        rows = [torch.nonzero(group == number)[:, 0] for number in numbers]
        encode = super()._encode  # super() is unknown inside of a comprehension
        states = [
            encode(history[row, -lengths[number] :], static[row], generator)
            for number, row in zip(numbers, rows, strict=True)
        ]
        order = torch.cat(rows).argsort()
        return [
            (
                torch.cat([hidden for hidden, _ in layer])[order],
                torch.cat([cell for _, cell in layer])[order],
            )
            for layer in zip(*states, strict=True)
        ]

    def _sequence(self, history: Tensor, static: Tensor) -> Tensor:
        """Return what the encoder reads, which is told what does not change."""
        sequence = super()._sequence(history, static)
        if self.from_static is None:
            return sequence
        return sequence + self.from_static(static)[:, None]

    def _write(self, hidden: Tensor, columns: Tensor) -> Tensor:
        """Return raw parameters (B, p, C, K), moved by shares of what others say.

        The median goes a share of the way from the reference path to the last value
        and to each of the seasons before, and takes a share of what the mean profile
        changes in the last one.
        """
        raw = super()._write(hidden, columns)
        channels, first = self.sizes.n_channels, self.sizes.n_channels + 1
        seasons = columns[..., first : first + self.sizes.recalled_columns]
        seasons = seasons.unflatten(2, (self.n_recalled, channels))
        ways = torch.cat([seasons, -columns[..., None, :channels]], 2)  # (B, p, R, C)
        moved = (self.recall_head(hidden)[:, None, :, None] * ways).sum(2)
        return raw + functional.pad(moved[..., None], (0, raw.shape[3] - 1))

    @torch.no_grad()
    def take_over(self, other: PretrainedSeq2SeqLSTM) -> None:
        """Take the weights of a network without covariates, to which ours add nothing.

        Parameters
        ----------
        other : PretrainedSeq2SeqLSTM
            A network of the same architecture and target.
        """
        ours, length = self.state_dict(), self.length
        for name, theirs in other.state_dict().items():
            if ours[name].shape == theirs.shape:
                ours[name].copy_(theirs)
                continue
            ours[name].zero_()
            if name == "segments.embedding.weight":  # columns of each step, in turn
                columns = theirs.unflatten(1, (length, -1))
                wider = ours[name].unflatten(1, (length, -1))
                wider[..., : columns.shape[2]] = columns
            elif name == "decoder.cells.0.weight_ih":  # written, covariates, the rest
                written = length * self.sizes.n_channels
                known = 3 * self.sizes.known_future * length
                rest = theirs[:, written:]
                ours[name][:, :written] = theirs[:, :written]
                ours[name][:, written + known :][:, : rest.shape[1]] = rest
            else:
                ours[name][:, : theirs.shape[1]] = theirs
