"""Silence by default: what Lightning and darts log about themselves is left out."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

__all__ = ["hide_noise", "quietly"]

CHATTY = (
    "pytorch_lightning.utilities.rank_zero",
    "pytorch_lightning.accelerators.cuda",
    "darts.models.forecasting.torch_forecasting_model",
)
"""Loggers whose information says nothing about a forecast."""

_IS_QUIET: ContextVar[bool] = ContextVar("is_quiet", default=False)


class _Quiet(logging.Filter):
    """Let warnings and errors pass, and information unless quiet."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether a record passes."""
        return record.levelno >= logging.WARNING or not _IS_QUIET.get()


for _name in CHATTY:
    logging.getLogger(_name).addFilter(_Quiet())


@contextmanager
def quietly(verbose: bool | None) -> Iterator[None]:
    """Leave out information that is logged within, unless ``verbose``."""
    token = _IS_QUIET.set(not verbose)
    try:
        yield
    finally:
        _IS_QUIET.reset(token)


def hide_noise() -> None:
    """Ignore what Lightning warns of in every fit, as darts does at construction."""
    for message in (
        ".*Total length of `list` across ranks is zero.*",
        ".*isinstance.treespec, LeafSpec.. is deprecated.*",
    ):
        warnings.filterwarnings("ignore", message)
