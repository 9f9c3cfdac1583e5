"""Several networks as one: each learns by itself, and their outputs are averaged."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Generator, Tensor, nn

from lstm_forecasters.backend.networks.direct import DirectLSTM
from lstm_forecasters.backend.networks.seq2seq import Seq2SeqLSTM

__all__ = ["Ensemble", "Member"]

Member = DirectLSTM | Seq2SeqLSTM


class Ensemble(nn.Module):
    """Networks with the same inputs and outputs, whose raw outputs are averaged.

    In training every window is read by one member alone, so that a batch trains all of
    them, each on windows of its own. Afterwards all members read all windows.

    Parameters
    ----------
    members : sequence of networks
        A member may read less of the lookback than there is: its last steps.

    References
    ----------
    .. [1] Lakshminarayanan, B., Pritzel, A. and Blundell, C. (2017). Simple and
       scalable predictive uncertainty estimation using deep ensembles. NeurIPS 30.
    """

    def __init__(self, members: Sequence[Member]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)

    def forward(
        self,
        history: Tensor,
        horizon: Tensor,
        static: Tensor,
        generator: Generator | None = None,
    ) -> Tensor:
        """Return raw parameters (B, H, C, K)."""
        if not self.training:
            outputs = [
                member(_last(history, member), horizon, static, generator)
                for member in self._each()
            ]
            return torch.stack(outputs).mean(0)
        n_members = len(self.members)
        shares = (part.tensor_split(n_members) for part in (history, horizon, static))
        return torch.cat(
            [
                member(_last(own, member), ahead, unchanging, generator)
                for member, own, ahead, unchanging in zip(
                    self._each(), *shares, strict=True
                )
                if len(own)
            ]
        )

    def _each(self) -> list[Member]:
        """Return the members, which torch's list has as plain modules."""
        return cast(list[Member], list(self.members))


def _last(history: Tensor, member: Member) -> Tensor:
    """Return the steps of a history that a member reads."""
    return history[:, -member.sizes.lookback :]
