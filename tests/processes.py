"""Scripts that tests run in a process of their own."""

import json
import subprocess
import sys

import pytest

__all__ = ["FORKING", "MEMORY", "answer_of", "architectures"]

NAMES = ["Vanilla", "Stacked", "Bidirectional", "EncoderDecoder", "Pretrained"]

FORKING = """
import multiprocessing

def in_fork(task):
    # What a forked process returns, or what stops it.
    with multiprocessing.get_context("fork").Pool(1) as pool:
        try:
            return pool.apply_async(task).get(10)
        except multiprocessing.TimeoutError:
            return "it hangs"
        except Exception as error:
            return f"{type(error).__name__}: {error}"
"""

MEMORY = """
import ctypes
import gc
import re
from pathlib import Path

def memory(name):
    # A line of the process's status in MiB, without what is kept for later.
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    status = Path("/proc/self/status").read_text()
    return int(re.search(rf"{name}:\\s+(\\d+) kB", status)[1]) / 1024

def growth(task, first=10, last=60):
    # By how much more memory is taken after the last call than after the first ones.
    for number in range(1, last + 1):
        task()
        if number == first:
            before = memory("VmRSS")
    return memory("VmRSS") - before

def peak(task):
    # By how much memory rises in a call above what it was before.
    before = memory("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # forget earlier peaks
    result = task()
    return memory("VmHWM") - before
"""


def answer_of(*parts, seconds=120):
    """Return what a script prints, read as JSON."""
    result = subprocess.run(
        [sys.executable, "-c", "\n".join(parts)],
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


def architectures(*always):
    """Return all of them; those that do not run always do in ``tox -e memory``."""
    return [
        pytest.param(name, marks=() if name in always else pytest.mark.memory)
        for name in NAMES
    ]
