"""A fork whose parent used torch's threads is seen, whoever used them."""

from tests.processes import FORKING, answer_of

LATE = """
import json
import torch

def n_threads():
    from lstm_forecasters.backend.forking import about_to_compute
    about_to_compute()
    torch.ones(1_000_000) + 1
    return torch.get_num_threads()

torch.set_num_threads(2)
torch.ones(1_000_000) + 1
print(json.dumps([in_fork(n_threads), n_threads()]))
"""


def test_a_fork_that_imports_the_package_itself_has_one_thread():
    """Its parent knew nothing of the package, and keeps its threads."""
    assert answer_of(FORKING, LATE) == [1, 2]


LOADING = """
import json
import torch
from lstm_forecasters.backend.files import Archive, pack, unpack
from lstm_forecasters.backend.forking import about_to_compute

def n_threads():
    about_to_compute()
    return torch.get_num_threads()

torch.set_num_threads(2)
unpack(pack(Archive()))
print(json.dumps([in_fork(n_threads), torch.get_num_threads()]))
"""


def test_a_fork_of_a_process_that_has_only_loaded_works():
    """As in servers that load a forecaster once and forecast in forks."""
    assert answer_of(FORKING, LOADING) == [1, 2]
