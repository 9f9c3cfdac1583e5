"""The state of a training in a file, for another process to go on from."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import time
from dataclasses import dataclass, field
from pathlib import Path

from lstm_forecasters.backend.files import (
    Archive,
    pack,
    read_archive,
    write_atomically,
)
from lstm_forecasters.backend.model import ForecastModel
from lstm_forecasters.backend.recipe import Recipe
from lstm_forecasters.backend.windows import Panel
from lstm_forecasters.errors import FileFormatError

__all__ = ["Checkpoint", "fingerprint"]

SECONDS_BETWEEN = 10.0
"""Least time between two states."""


@dataclass(eq=False)
class Checkpoint:
    """A file that holds the state of one training, from now and then until it ends.

    Parameters
    ----------
    path : Path
        Of the file.
    fingerprint : str
        Of the training, which the file must have as well.
    """

    path: Path
    fingerprint: str
    _written_at: float = field(default_factory=time.monotonic, init=False)

    @property
    def is_due(self) -> bool:
        """Whether it is time for a state."""
        return time.monotonic() - self._written_at >= SECONDS_BETWEEN

    def write(self, state: Archive) -> None:
        """Keep a state in place of the one before."""
        extra = {**state.extra, "fingerprint": self.fingerprint}
        write_atomically(self.path, pack(Archive((), extra, state.tensors)))
        self._written_at = time.monotonic()

    def read(self) -> Archive | None:
        """Return the state in the file, if there is one.

        Raises
        ------
        FileFormatError
            If the file is damaged, or holds the state of another training.
        """
        if not self.path.exists():
            return None
        state = read_archive(self.path)
        if state.extra.get("fingerprint") != self.fingerprint:
            raise FileFormatError(
                f"{self.path} holds no state of this fit: it was left by one with "
                "other data, parameters or random_state. Fit again what was "
                "interrupted, delete the file, or pass another checkpoint."
            )
        return state

    def remove(self) -> None:
        """Delete the file of a training that has ended."""
        self.path.unlink(missing_ok=True)


def fingerprint(model: ForecastModel, panel: Panel, recipe: Recipe) -> str:
    """Return a digest of all that decides how a training ends.

    Parameters
    ----------
    model : ForecastModel
        The model before its training: the weights come from the seed.
    panel : Panel
        The training series.
    recipe : Recipe
        How to train.
    """
    description = [
        model.spec.to_dict(),
        dataclasses.asdict(model.layout),
        model.likelihood.name,
        dataclasses.asdict(recipe),
    ]
    digest = hashlib.sha256(json.dumps(description, default=str).encode())
    for values in model.state_dict().values():
        digest.update(values.numpy().tobytes())
    for array in vars(panel).values():
        if array is not None:
            digest.update(f"{array.shape}".encode())
            digest.update(array.tobytes())
    return digest.hexdigest()
