"""Training steps per second against a bare torch loop of the same shape.

Three workloads, each timed in alternating runs within one process: W1, one hourly
series (lookback 96, horizon 24, hidden size 64) at batch 32 and 256; W2, 414 hourly
series (168, 48, 64) at batch 256; W3, 144 monthly points (24, 12, 32) at batch 32.
The bare loop is ``nn.LSTM``, a linear head and Adam on tensors that were gathered
beforehand; it neither normalises nor masks nor clips.

    python examples/benchmarks/training_speed.py
"""

from __future__ import annotations

import argparse
import statistics
import time

import numpy as np
import torch
from torch import nn

from lstm_forecasters.backend.likelihoods import make_likelihood
from lstm_forecasters.backend.model import ForecastModel
from lstm_forecasters.backend.training import Recipe, Trainer
from lstm_forecasters.backend.windows import Layout, Panel, Windows
from lstm_forecasters.specs import VanillaLSTM

WORKLOADS = {
    # name: series, points, lookback, horizon, period, hidden size, batch size
    "W3 batch 32": (1, 144, 24, 12, 12, 32, 32),
    "W1 batch 32": (1, 4300, 96, 24, 24, 64, 32),
    "W1 batch 256": (1, 4300, 96, 24, 24, 64, 256),
    "W2 batch 256": (414, 900, 168, 48, 24, 64, 256),
}


def bare_loop(shape: tuple[int, ...], n_steps: int) -> float:
    """Return the seconds of a plain torch loop on random windows."""
    _, _, lookback, horizon, _, hidden, batch = shape
    lstm, head = nn.LSTM(1, hidden, batch_first=True), nn.Linear(hidden, horizon)
    parameters = [*lstm.parameters(), *head.parameters()]
    optimizer = torch.optim.Adam(parameters, lr=1e-3)
    windows = torch.randn(n_steps, batch, lookback, 1)
    targets = torch.randn(n_steps, batch, horizon)
    start = time.perf_counter()
    for history, target in zip(windows, targets, strict=True):
        optimizer.zero_grad()
        _, (state, _) = lstm(history)
        (head(state[-1]) - target).abs().mean().backward()
        optimizer.step()
    return time.perf_counter() - start


def our_loop(
    shape: tuple[int, ...], n_steps: int, likelihood: str | None, linear_path: bool
) -> float:
    """Return the seconds of the package's training on raw series."""
    n_series, points, lookback, horizon, period, hidden, batch = shape
    values = np.random.default_rng(0).normal(size=(n_series * points, 1))
    panel = Panel(values=values, lengths=np.full(n_series, points))
    layout = Layout(lookback=lookback, horizon=horizon, period=period)
    windows = Windows(panel, layout)
    generator = torch.Generator().manual_seed(0)
    model = ForecastModel.create(
        VanillaLSTM(hidden_size=hidden, segment_length=1, linear_path=linear_path),
        layout,
        make_likelihood(likelihood),
        generator,
    )
    recipe = Recipe(max_steps=n_steps, batch_size=batch)
    trainer = Trainer(model, windows, recipe, generator)
    start = time.perf_counter()
    trainer.run()
    return time.perf_counter() - start


def main() -> None:
    """Print milliseconds a step and the ratio of speeds for each workload."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0, help="of each run")
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    print(f"torch {torch.__version__}, {arguments.threads} thread(s)")
    print("median ms a step over", arguments.runs, "alternating runs")
    print(f"{'':14}{'bare':>8}{'points':>8}{'default':>8}   speed over bare")
    for name, shape in WORKLOADS.items():
        n_steps = max(5, int(arguments.seconds / bare_loop(shape, 5) * 5))
        loops = {
            "bare": lambda s=shape, n=n_steps: bare_loop(s, n),
            "points": lambda s=shape, n=n_steps: our_loop(s, n, None, False),
            "default": lambda s=shape, n=n_steps: our_loop(s, n, "quantile", True),
        }
        seconds: dict[str, list[float]] = {key: [] for key in loops}
        for _ in range(arguments.runs):
            for key, loop in loops.items():
                seconds[key].append(loop() / n_steps)
        medians = {key: statistics.median(values) for key, values in seconds.items()}
        ratios = [medians["bare"] / medians[key] for key in ("points", "default")]
        print(
            f"{name:14}"
            + "".join(f"{1e3 * value:8.2f}" for value in medians.values())
            + f"   points {ratios[0]:.2f}, default {ratios[1]:.2f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
