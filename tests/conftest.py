"""Common to all tests: torch on one thread, so that workers do not crowd the cores."""

import torch

torch.set_num_threads(1)
