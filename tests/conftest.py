"""Common to all tests: torch on one thread, and how long to search for examples."""

import torch
from hypothesis import HealthCheck, settings

torch.set_num_threads(1)

SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large]
settings.register_profile(
    "ci",
    max_examples=150,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=SLOW,
)
settings.register_profile(
    "long", max_examples=2000, deadline=None, suppress_health_check=SLOW
)
settings.load_profile("ci")
