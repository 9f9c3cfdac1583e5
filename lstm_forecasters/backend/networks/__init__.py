"""The structures: one file each, built by ``build_network``.

Every network maps ``(history (B, L, D), horizon (B, H, E), static (B, S))`` to raw
parameters ``(B, H, C, K)`` in normalised units; column 0 is the location, as a
difference from the reference path. A network that was just built returns zeros:
before training, the forecast is the reference. ``advance`` also takes and returns a
state, for networks that have one to go on from beyond the trained horizon.
"""

from __future__ import annotations

from collections.abc import Callable

from lstm_forecasters.backend.networks.direct import DirectLSTM
from lstm_forecasters.backend.networks.layers import NetworkSizes
from lstm_forecasters.backend.networks.seq2seq import Seq2SeqLSTM
from lstm_forecasters.specs import Architecture

__all__ = ["DirectLSTM", "Network", "NetworkSizes", "Seq2SeqLSTM", "build_network"]

Network = DirectLSTM | Seq2SeqLSTM

STRUCTURES: dict[str, Callable[..., Network]] = {
    "direct": DirectLSTM,
    "seq2seq": Seq2SeqLSTM,
}


def build_network(spec: Architecture, sizes: NetworkSizes) -> Network:
    """Return the network of an architecture, with parameters not yet drawn."""
    return STRUCTURES[spec.structure](spec, sizes)
