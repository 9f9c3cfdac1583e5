"""A process that was forked after torch had used threads is refused, before it hangs.

A fork takes along what the threads of OpenMP wait for, but not the threads. The child
would wait for them for ever in its first parallel computation.
"""

from __future__ import annotations

import os

import torch

from lstm_forecasters.errors import ForkError

__all__ = ["about_to_compute"]

_owner: int | None = None
"""The process whose threads torch has used."""


def about_to_compute() -> None:
    """Take note that this process computes, and refuse one that would hang.

    Raises
    ------
    ForkError
        If torch has several threads, and those it has used stayed behind in a fork.
    """
    global _owner
    if torch.get_num_threads() == 1:
        return
    if _owner is None:
        _owner = os.getpid()
    elif _owner != os.getpid():
        raise ForkError(
            f"this process was forked from process {_owner}, which had computed on "
            "several threads. They do not come along, and torch would wait for them "
            "for ever. Start processes by 'spawn' or 'forkserver', as in "
            "multiprocessing.get_context('spawn'), or by joblib's loky; or call "
            "torch.set_num_threads(1) here or before."
        )
