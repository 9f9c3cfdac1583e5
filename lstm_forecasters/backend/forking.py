"""Forked processes, in which torch could wait for ever for threads of their parent.

A fork takes along what the threads of OpenMP wait for, but not the threads. Torch's
first parallel computation in the child then never ends. Where this package knows that
the parent has used threads, it refuses; where it cannot know, it uses one thread, as
torch's own data loaders do in their processes.
"""

from __future__ import annotations

import os
from pathlib import Path

import torch

from lstm_forecasters.errors import ForkError

__all__ = ["about_to_compute", "check_fork"]

FORKED_WITHOUT_EXEC = 0x40
"""Linux's flag of processes that still run their parent's program."""


def _was_forked() -> bool:
    """Return whether this process is one that Linux knows to be a fork."""
    try:
        fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    except OSError:  # no Linux, where OpenMP mends itself after a fork
        return False
    return bool(int(fields[6]) & FORKED_WITHOUT_EXEC)


_imported_in = None if _was_forked() else os.getpid()
"""The process that imported this package, unless that was a fork."""

_owner: int | None = None
"""The process whose threads this package has used."""


def about_to_compute() -> None:
    """Take note that this process computes, and refuse one that would hang.

    Raises
    ------
    ForkError
        As ``check_fork`` does.
    """
    global _owner
    check_fork()
    if torch.get_num_threads() > 1:
        _owner = os.getpid()


def check_fork() -> None:
    """Refuse a process that would hang.

    A fork of a process in which this package has not computed is set to one thread:
    other code may have used torch's threads there.

    Raises
    ------
    ForkError
        If torch has several threads, and those it has used stayed behind in a fork.
    """
    here = os.getpid()
    if torch.get_num_threads() == 1:
        return
    if _owner is not None and _owner != here:
        raise ForkError(
            f"this process was forked from process {_owner}, which had computed on "
            "several threads. They do not come along, and torch would wait for them "
            "for ever. Start processes by 'spawn' or 'forkserver', as in "
            "multiprocessing.get_context('spawn'), or by joblib's loky; or call "
            "torch.set_num_threads(1) here or before."
        )
    if _imported_in != here:
        torch.set_num_threads(1)
