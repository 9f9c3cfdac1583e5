"""The architectures as frozen data: what a network is, nothing of how it learns.

A further architecture is a further dataclass here. Its ``structure`` names the
module of ``backend.networks`` that builds it.
"""

from __future__ import annotations

import dataclasses
import math
import numbers
from dataclasses import dataclass
from typing import Any, ClassVar

from lstm_forecasters.errors import (
    ParameterError,
    ParameterTypeError,
    did_you_mean,
)

__all__ = [
    "ARCHITECTURES",
    "LONG_SEASON",
    "Architecture",
    "BidirectionalLSTM",
    "EncoderDecoderLSTM",
    "PretrainedLSTM",
    "StackedLSTM",
    "VanillaLSTM",
    "architecture_from_dict",
    "check_flag",
    "check_fraction",
    "check_integer",
    "check_number",
    "check_positive",
    "plain",
]

LONG_SEASON = 24
"""Time steps of a season from which on it is read as a whole."""


def plain(value: Any) -> Any:
    """Return a parameter with numbers of numpy, in a dict too, as Python's own.

    torch takes no others in places, and neither do files.
    """
    if isinstance(value, dict):
        return {key: plain(one) for key, one in value.items()}
    is_numpy = type(value).__module__ == "numpy"
    is_number = is_numpy and getattr(value, "shape", None) == ()
    return value.item() if is_number else value


def check_integer(name: str, value: object, minimum: int) -> int:
    """Return ``value`` as an int, or say what was received and what to pass."""
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        raise ParameterTypeError(
            f"{name} must be an integer of at least {minimum}, "
            f"got {value!r} of type {type(value).__name__}."
        )
    if value < minimum:
        raise ParameterError(f"{name} must be at least {minimum}, got {value}.")
    return int(value)


def check_number(name: str, value: object, expected: str) -> float:
    """Return ``value`` as a float, or say that a number was expected."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise ParameterTypeError(
            f"{name} must be {expected}, got {value!r} of type {type(value).__name__}."
        )
    return float(value)


def check_positive(name: str, value: object) -> float:
    """Return ``value`` as a finite float above zero."""
    number = check_number(name, value, "a number above 0")
    if not 0 < number < math.inf:
        raise ParameterError(f"{name} must be a finite number above 0, got {value}.")
    return number


def check_fraction(name: str, value: object) -> float:
    """Return ``value`` as a float in [0, 1)."""
    number = check_number(name, value, "a number from 0 to below 1")
    if not 0 <= number < 1:
        raise ParameterError(f"{name} must lie in [0, 1), got {value}.")
    return number


def check_flag(name: str, value: object) -> bool:
    """Return ``value`` as a bool, refusing anything that is not one."""
    if not isinstance(value, bool):
        raise ParameterTypeError(
            f"{name} must be True or False, got {value!r} of type "
            f"{type(value).__name__}."
        )
    return value


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """What every architecture has.

    Parameters
    ----------
    hidden_size : int, default=64
        Number of units of each LSTM layer, per direction.
    segment_length : int or None, default=None
        Number of time steps that the LSTM reads at a time. 1 is the textbook
        network; a season at a time makes the sequence shorter by that factor and
        training faster by nearly as much. ``None`` reads single steps where the
        season has fewer than 24 of them, and whole seasons otherwise.
    linear_path : bool, default=True
        Whether a linear map from the normalised lookback to the horizon stands
        beside the LSTM, so that the LSTM learns what a linear model misses.
    joint_channels : bool, default=False
        How a multivariate target is read: ``False`` forecasts every channel by
        itself with one shared network, ``True`` reads and forecasts all channels
        together.
    n_members : int, default=1
        Number of networks whose forecasts are averaged. They are trained side by
        side, each on windows of its own, in as many times the time.
    """

    hidden_size: int = 64
    segment_length: int | None = None
    linear_path: bool = True
    joint_channels: bool = False
    n_members: int = 1

    structure: ClassVar[str] = "direct"
    bidirectional: ClassVar[bool] = False
    num_layers: ClassVar[int] = 1
    dropout: ClassVar[float] = 0.0

    def __post_init__(self) -> None:
        """Refuse values that no network can have."""
        check_integer("hidden_size", self.hidden_size, 1)
        if self.segment_length is not None:
            check_integer("segment_length", self.segment_length, 1)
        check_flag("linear_path", self.linear_path)
        check_flag("joint_channels", self.joint_channels)
        check_integer("n_members", self.n_members, 1)
        check_integer("num_layers", self.num_layers, 1)
        check_fraction("dropout", self.dropout)

    @property
    def name(self) -> str:
        """Name of the architecture, the key of ``ARCHITECTURES``."""
        return type(self).__name__

    def with_segments_of(self, period: int) -> Architecture:
        """Return this architecture with its segment length decided."""
        if self.segment_length is not None:
            return self
        length = period if period >= LONG_SEASON else self._short_segment(period)
        return dataclasses.replace(self, segment_length=length)

    def _short_segment(self, period: int) -> int:
        """Return the segment length of a season of fewer than 24 time steps."""
        return 1

    def to_dict(self) -> dict[str, Any]:
        """Return the fields and the name, ready for JSON."""
        return {"name": self.name, **dataclasses.asdict(self)}


@dataclass(frozen=True, kw_only=True)
class VanillaLSTM(Architecture):
    """One LSTM layer over the lookback and a head for the whole horizon.

    References
    ----------
    .. [1] Hochreiter, S. and Schmidhuber, J. (1997). Long short-term memory.
       Neural Computation 9(8), 1735-1780.
    """


@dataclass(frozen=True, kw_only=True)
class StackedLSTM(Architecture):
    """Several LSTM layers, each reading the states of the one below.

    Parameters
    ----------
    num_layers : int, default=2
        Number of LSTM layers.
    dropout : float, default=0.0
        Share of the states that is dropped between two layers in training.

    References
    ----------
    .. [1] Graves, A., Mohamed, A. and Hinton, G. (2013). Speech recognition with
       deep recurrent neural networks. ICASSP, 6645-6649.
    """

    num_layers: int = 2  # type: ignore[misc]  # a field here, a constant above
    dropout: float = 0.0  # type: ignore[misc]


@dataclass(frozen=True, kw_only=True)
class BidirectionalLSTM(Architecture):
    """LSTM layers that read the lookback forwards and backwards.

    Parameters
    ----------
    num_layers : int, default=1
        Number of LSTM layers.
    dropout : float, default=0.0
        Share of the states that is dropped between two layers in training.

    References
    ----------
    .. [1] Schuster, M. and Paliwal, K. (1997). Bidirectional recurrent neural
       networks. IEEE Transactions on Signal Processing 45(11), 2673-2681.
    """

    num_layers: int = 1  # type: ignore[misc]
    dropout: float = 0.0  # type: ignore[misc]

    bidirectional: ClassVar[bool] = True


@dataclass(frozen=True, kw_only=True)
class EncoderDecoderLSTM(Architecture):
    """An LSTM that reads the lookback and an LSTM that writes the forecasts.

    Parameters
    ----------
    segment_length : int or None, default=None
        Number of time steps that the encoder reads and the decoder writes at a time.
        1 is the textbook network; longer segments are faster by nearly that factor.
        ``None`` takes a quarter of a season where it has fewer than 24 time steps,
        and whole seasons otherwise.
    num_layers : int, default=1
        Number of LSTM layers of the encoder and of the decoder.
    dropout : float, default=0.0
        Share of the states that is dropped between two layers in training.
    reverse_lookback : bool, default=False
        Whether the encoder reads the lookback from its end to its beginning.

    References
    ----------
    .. [1] Sutskever, I., Vinyals, O. and Le, Q. (2014). Sequence to sequence
       learning with neural networks. NeurIPS 27.
    """

    num_layers: int = 1  # type: ignore[misc]
    dropout: float = 0.0  # type: ignore[misc]
    reverse_lookback: bool = False

    structure: ClassVar[str] = "seq2seq"

    def _short_segment(self, period: int) -> int:
        """Return a quarter of the season: decoding single steps is slow."""
        return max(1, period // 4)

    def __post_init__(self) -> None:
        """Refuse values that no network can have."""
        super().__post_init__()
        check_flag("reverse_lookback", self.reverse_lookback)


@dataclass(frozen=True, kw_only=True)
class PretrainedLSTM(EncoderDecoderLSTM):
    """An encoder-decoder for series of any season and length, to be pretrained.

    The encoder begins where a series begins, so that a forecast does not depend on the
    padding before it, and it is told what else does not change in time, such as the
    season.

    Parameters
    ----------
    hidden_size : int, default=128
        Number of units of each LSTM layer.
    segment_length : int, default=6
        Number of time steps that the encoder reads and the decoder writes at a time.
    linear_path : bool, default=False
        Whether a linear map from the normalised lookback to the horizon stands
        beside the LSTM. It would fix the length of the lookback.
    num_layers : int, default=2
        Number of LSTM layers of the encoder and of the decoder.
    """

    hidden_size: int = 128
    segment_length: int | None = 6
    linear_path: bool = False
    num_layers: int = 2  # type: ignore[misc]

    structure: ClassVar[str] = "pretrained"


ARCHITECTURES: dict[str, type[Architecture]] = {
    spec.__name__: spec
    for spec in (
        VanillaLSTM,
        StackedLSTM,
        BidirectionalLSTM,
        EncoderDecoderLSTM,
        PretrainedLSTM,
    )
}


def architecture_from_dict(fields: dict[str, Any]) -> Architecture:
    """Return the architecture that ``Architecture.to_dict`` described."""
    fields = dict(fields)
    name = fields.pop("name", None)
    if name not in ARCHITECTURES:
        raise ParameterError(
            f"unknown architecture {name!r}.{did_you_mean(name, ARCHITECTURES)}"
        )
    known = {field.name for field in dataclasses.fields(ARCHITECTURES[name])}
    if unknown := sorted(set(fields) - known):
        raise ParameterError(f"{name} has no settings {unknown}, only {sorted(known)}.")
    return ARCHITECTURES[name](**fields)
