"""The structures: one file each, built by ``build_network``.

Every network maps ``(history (B, L, D), horizon (B, H, E), static (B, S))`` to raw
parameters ``(B, H, C, K)`` in normalised units; column 0 is the location, as a
difference from the reference path. A network that was just built returns zeros:
before training, the forecast is the reference.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from lstm_forecasters.backend.networks.direct import DirectLSTM
from lstm_forecasters.backend.networks.ensemble import Ensemble, Member
from lstm_forecasters.backend.networks.layers import NetworkSizes
from lstm_forecasters.backend.networks.pretrained import PretrainedSeq2SeqLSTM
from lstm_forecasters.backend.networks.seq2seq import Seq2SeqLSTM
from lstm_forecasters.specs import Architecture

__all__ = [
    "DirectLSTM",
    "Ensemble",
    "Network",
    "NetworkSizes",
    "PretrainedSeq2SeqLSTM",
    "Seq2SeqLSTM",
    "build_network",
]

Network = Member | Ensemble

STRUCTURES: dict[str, Callable[..., Member]] = {
    "direct": DirectLSTM,
    "seq2seq": Seq2SeqLSTM,
    "pretrained": PretrainedSeq2SeqLSTM,
}

MEMBERS = ((1.0, 1.0), (0.5, 0.5), (1.0, 1.0), (0.5, 1.0), (0.75, 0.5))
"""What the members of an ensemble read, in turn: shares of lookback and segment."""


def build_network(spec: Architecture, sizes: NetworkSizes) -> Network:
    """Return the network of an architecture, with parameters not yet drawn.

    Members of an ensemble differ in how much of the lookback they read, and in how
    long the segments are in which they read it.
    """
    if spec.n_members == 1:
        return STRUCTURES[spec.structure](spec, sizes)
    numbers = range(spec.n_members)
    return Ensemble([_member(spec, sizes, number) for number in numbers])


def _member(spec: Architecture, sizes: NetworkSizes, number: int) -> Member:
    """Return one network of an ensemble, which differs from those before it."""
    assert spec.segment_length is not None
    share_of_lookback, share_of_segment = MEMBERS[number % len(MEMBERS)]
    segment = max(1, round(spec.segment_length * share_of_segment))
    lookback = max(1, round(sizes.lookback * share_of_lookback))
    network = STRUCTURES[spec.structure](
        dataclasses.replace(spec, n_members=1, segment_length=segment),
        dataclasses.replace(sizes, lookback=lookback),
    )
    return network
