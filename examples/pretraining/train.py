"""Pretrain an LSTM on synthetic series alone.

    python examples/pretraining/train.py FILE [--steps 20000] [--device cuda]

The file is written when the training ends. Until then the state of the training stands
beside it, and the same command goes on from there after an interruption, to the same
network, bit for bit on the same machine. Every step draws fresh series, by the seed and
the number of the step. Now and then the network forecasts held-out synthetic series.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from synthetic import draw_series

from lstm_forecasters.backend.checkpoints import Checkpoint, fingerprint
from lstm_forecasters.backend.features import NetworkInput
from lstm_forecasters.backend.files import Archive, pack, write_atomically
from lstm_forecasters.backend.forecasting import forecast
from lstm_forecasters.backend.likelihoods import QuantileLikelihood
from lstm_forecasters.backend.model import ForecastModel
from lstm_forecasters.backend.recipe import Recipe
from lstm_forecasters.backend.training import Trainer
from lstm_forecasters.backend.windows import Layout, Panel, Windows
from lstm_forecasters.specs import EncoderDecoderLSTM

LONGEST_PERIOD = 60
LAYOUT = Layout(
    lookback=336,
    horizon=48,
    period=LONGEST_PERIOD,
    static_covariates=("log_period",),
)
SHORTEST_HISTORY = 6
WINDOWS_OF_SERIES = 2
HELD_OUT = 2000
HELD_OUT_SEED = 2**32 - 1
LEVELS = (0.025, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.975)


@dataclass(frozen=True)
class Drawn:
    """Windows of synthetic series, and where forecasts start in them."""

    panel: Panel
    windows: Windows
    series: torch.Tensor
    steps: torch.Tensor


def draw(seed: list[int], n_series: int) -> Drawn:
    """Draw series with histories of all lengths, and two cutoffs in each.

    Half of the histories are as long as the lookback or longer, the others have any
    length from a few steps on, more of them short.
    """
    random = np.random.default_rng(seed)
    longest = LAYOUT.context + WINDOWS_OF_SERIES * LAYOUT.horizon
    values, periods = draw_series(random, n_series, longest)
    shares = random.random(n_series) ** 2
    history = SHORTEST_HISTORY + shares * (LAYOUT.lookback - SHORTEST_HISTORY)
    is_long = random.random(n_series) < 0.5
    history = np.where(is_long, LAYOUT.context, history).astype(int)
    lengths = history + WINDOWS_OF_SERIES * LAYOUT.horizon
    kept = np.arange(longest) >= (longest - lengths)[:, None]
    panel = Panel(
        values=values[kept][:, None],
        lengths=lengths,
        static_covariates=np.log(periods)[:, None],
    )
    first = torch.from_numpy(history)
    series = torch.arange(n_series).repeat(WINDOWS_OF_SERIES)
    later = torch.arange(WINDOWS_OF_SERIES).repeat_interleave(n_series)
    steps = first.repeat(WINDOWS_OF_SERIES) + later * LAYOUT.horizon
    return Drawn(panel, Windows(panel, LAYOUT, periods), series, steps)


class SyntheticTrainer(Trainer):
    """A trainer whose every batch is drawn anew."""

    seed: int

    def _next_batches(self, most: int) -> Iterator[NetworkInput]:
        """Return the batch of the next step; the loss is a mean over its windows."""
        drawn = draw([self.seed, self.n_done], self.batch_size // WINDOWS_OF_SERIES)
        batch = drawn.windows.gather(drawn.series, drawn.steps, with_target=True)
        with torch.no_grad():
            columns = self.model.prepare(batch.to(self.device))
        columns.weight = columns.weight / columns.weight.sum()
        yield columns


def new_model(spec: EncoderDecoderLSTM, seed: int) -> ForecastModel:
    """Return an untrained model, which knows how the periods are distributed."""
    generator = torch.Generator().manual_seed(seed)
    model = ForecastModel.create(spec, LAYOUT, QuantileLikelihood(LEVELS), generator)
    model.measure(draw([HELD_OUT_SEED, seed], HELD_OUT).panel)
    model.widening.fill_(1.0)
    return model


def judge(model: ForecastModel, drawn: Drawn) -> str:
    """Return how far medians and intervals are from what came, in a line."""
    batch = drawn.windows.gather(drawn.series, drawn.steps, with_target=True)
    series, steps = drawn.series.numpy(), drawn.steps.numpy()
    found = forecast(model, drawn.windows, series, steps, LAYOUT.horizon)
    lower, median, upper = np.moveaxis(found.quantiles(np.array([0.1, 0.5, 0.9])), 3, 0)
    columns = model.prepare(batch)
    naive = columns.frame.restore(columns.frame.path).numpy()
    target, weight = batch.target.numpy(), batch.weight.numpy()
    scale = columns.frame.scale.numpy()[:, None]
    error, of_naive = (
        (np.minimum(np.abs(points - target) / scale, 10) * weight).sum() / weight.sum()
        for points in (median, naive)
    )
    held = ((lower <= target) & (target <= upper) & (weight > 0)).sum() / weight.sum()
    return f"error relative to naive {error / of_naive:.4f}, 80 % hold {held:.3f}"


def main() -> None:
    """Train, and tell how it goes."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("file", type=Path)
    parser.add_argument("--steps", type=int, default=20_000)
    parser.add_argument("--batch-size", type=int, default=256)
    parser.add_argument("--learning-rate", type=float, default=2e-3)
    parser.add_argument("--hidden-size", type=int, default=128)
    parser.add_argument("--num-layers", type=int, default=2)
    parser.add_argument("--segment-length", type=int, default=6)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--every", type=int, default=500, help="steps between looks")
    given = parser.parse_args()
    spec = EncoderDecoderLSTM(
        hidden_size=given.hidden_size,
        num_layers=given.num_layers,
        segment_length=given.segment_length,
        linear_path=False,
    )
    recipe = Recipe(
        max_steps=given.steps,
        batch_size=given.batch_size,
        learning_rate=given.learning_rate,
        weight_decay=0.0,
    )
    model = new_model(spec, given.seed)
    held_out = draw([HELD_OUT_SEED, 0], HELD_OUT)
    mark = fingerprint(model, held_out.panel, recipe)
    trainer = SyntheticTrainer(
        model,
        held_out.windows,
        recipe,
        torch.Generator().manual_seed(given.seed),
        device=given.device,
        verbose=True,
        checkpoint=Checkpoint(given.file.with_suffix(".state"), mark),
    )
    trainer.seed = given.seed
    print(f"{sum(one.numel() for one in model.parameters())} weights")
    looks = [*range(given.every, given.steps, given.every), given.steps]
    for _ in trainer.pauses(looks):
        print(f"step {trainer.n_done}: {judge(model, held_out)}", flush=True)
    write_atomically(given.file, pack(Archive([model])))
    given.file.with_suffix(".state").unlink(missing_ok=True)


if __name__ == "__main__":
    main()
