"""Pretrain an LSTM on synthetic series alone.

    python examples/pretraining/train.py FILE [--steps 20000] [--device cuda]

The file is written when the training ends. Until then the state of the training stands
beside it, and the same command goes on from there after an interruption, to the same
network, bit for bit on the same machine. Every step draws fresh series, by the seed and
the number of the step; ``--workers 1`` draws them ahead in a process of its own, which
changes the time alone. Now and then the network forecasts held-out synthetic series.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from synthetic import draw_series
from torch.utils.data import DataLoader, Dataset

from lstm_forecasters.backend.checkpoints import Checkpoint, fingerprint
from lstm_forecasters.backend.features import NetworkInput
from lstm_forecasters.backend.files import Archive, pack, write_atomically
from lstm_forecasters.backend.forecasting import forecast
from lstm_forecasters.backend.gaps import fill_gaps
from lstm_forecasters.backend.likelihoods import QuantileLikelihood
from lstm_forecasters.backend.model import ForecastModel
from lstm_forecasters.backend.pretrained import layout_of, references_of
from lstm_forecasters.backend.recipe import PRECISIONS, Recipe
from lstm_forecasters.backend.references import window_errors
from lstm_forecasters.backend.training import Trainer
from lstm_forecasters.backend.windows import Layout, Panel, WindowBatch, Windows
from lstm_forecasters.specs import LONG_SEASON, PretrainedLSTM

LEVELS = (0.025, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.975)
LAYOUT = layout_of(period=LONG_SEASON)
SHORTEST_HISTORY = 6
SHARES_OF_LENGTHS = {48: 0.2, 96: 0.26, 120: 0.16, 168: 0.16, 336: 0.22}
"""How often a batch holds histories of up to so many steps, and more than the length
before."""

WINDOWS_OF_SERIES = 2
HELD_OUT = 1000
HELD_OUT_SEED = 2**32 - 1


class SyntheticWindows(Windows):
    """Windows of series with many seasons, each as a forecast of it alone reads it."""

    def gather(self, *args: Any, **kwargs: Any) -> WindowBatch:
        """Gather windows, whose gaps and references are those of their own season."""
        lookback, horizon = self.layout.lookback, self.layout.horizon
        batch = super().gather(*args, **kwargs)
        known = batch.history.masked_fill(batch.observed == 0, torch.nan)
        batch.scale_floor.zero_()
        batch.reference_errors.fill_(torch.inf)  # then the season before counts alone
        for period in batch.period.unique().tolist():
            rows = torch.nonzero(batch.period == period)[:, 0]
            history, observed = fill_gaps(known[rows], period)
            batch.history[rows], batch.observed[rows] = history, observed
            seasons = references_of(period, lookback)
            if len(seasons) > 1:
                read = history[:, -lookback:]
                errors = window_errors(read, period, seasons, horizon)
                batch.reference_errors[rows] = errors
        return batch


@dataclass(frozen=True)
class Drawn:
    """Windows of synthetic series, and where forecasts start in them."""

    panel: Panel
    windows: SyntheticWindows
    series: torch.Tensor
    steps: torch.Tensor


def draw(seed: list[int], n_series: int, length: int | None = None) -> Drawn:
    """Draw series, and two cutoffs in each, with histories of about a length."""
    random = np.random.default_rng(seed)
    lengths = list(SHARES_OF_LENGTHS)
    if length is None:
        length = int(random.choice(lengths, p=list(SHARES_OF_LENGTHS.values())))
    shorter = [one for one in lengths if one < length]
    fewest = max(shorter, default=SHORTEST_HISTORY - 1) + 1
    histories = random.integers(fewest, length + 1, (WINDOWS_OF_SERIES, n_series))
    longest = histories.max(0) + LAYOUT.horizon
    values, periods = draw_series(random, n_series, length + LAYOUT.horizon)
    kept = np.arange(values.shape[1]) < longest[:, None]
    panel = Panel(values=values[kept][:, None], lengths=longest)
    layout = dataclasses.replace(
        LAYOUT, lookback=length, period=int(periods.max()), self_contained=False
    )
    series = torch.arange(n_series).repeat(WINDOWS_OF_SERIES)
    steps = torch.from_numpy(histories.flatten())
    return Drawn(panel, SyntheticWindows(panel, layout, periods), series, steps)


@dataclass(frozen=True)
class Batches(Dataset):
    """The batch of each step, drawn anew, and what its windows hold."""

    seed: int
    size: int

    def __getitem__(self, step: int) -> tuple[WindowBatch, Layout]:
        """Draw a batch."""
        drawn = draw([self.seed, step], self.size // WINDOWS_OF_SERIES)
        batch = drawn.windows.gather(drawn.series, drawn.steps, with_target=True)
        return batch, drawn.windows.layout


class SyntheticTrainer(Trainer):
    """A trainer whose every batch is drawn anew, by other processes or here."""

    seed: int
    n_workers: int

    @functools.cached_property
    def _batches(self) -> Iterator[tuple[WindowBatch, Layout]]:
        """The batches of all steps that are to come."""
        loader = DataLoader(
            Batches(self.seed, self.batch_size),
            batch_size=None,
            sampler=range(self.n_done, self.n_steps),
            num_workers=self.n_workers,
            generator=torch.Generator(),
        )
        return iter(loader)

    def _next_batches(self, most: int) -> Iterator[NetworkInput]:
        """Return the batch of the next step; the loss is a mean over its windows."""
        batch, self.model.layout = next(self._batches)
        with torch.no_grad():
            columns = self.model.prepare(batch.to(self.device))
        columns.weight = columns.weight / columns.weight.sum()
        yield columns


def new_model(spec: PretrainedLSTM, seed: int) -> ForecastModel:
    """Return an untrained model."""
    generator = torch.Generator().manual_seed(seed)
    return ForecastModel.create(spec, LAYOUT, QuantileLikelihood(LEVELS), generator)


def judge(model: ForecastModel, held_out: list[Drawn]) -> str:
    """Return how far medians and intervals are from what came, in a line."""
    ratios, shares = [], []
    for drawn in held_out:
        model.layout = drawn.windows.layout
        batch = drawn.windows.gather(drawn.series, drawn.steps, with_target=True)
        series, steps = drawn.series.numpy(), drawn.steps.numpy()
        found = forecast(model, drawn.windows, series, steps, LAYOUT.horizon)
        quantiles = found.quantiles(np.array([0.1, 0.5, 0.9]))
        lower, median, upper = np.moveaxis(quantiles, 3, 0)
        frame = model.prepare(batch).frame
        naive, scale = frame.restore(frame.path).numpy(), frame.scale.numpy()[:, None]
        target, weight = batch.target.numpy(), batch.weight.numpy()
        error, of_naive = (
            (np.minimum(np.abs(points - target) / scale, 10) * weight).sum()
            for points in (median, naive)
        )
        held = (lower <= target) & (target <= upper) & (weight > 0)
        ratios.append(error / of_naive)
        shares.append(held.sum() / weight.sum())
    each = " ".join(f"{ratio:.4f}" for ratio in ratios)
    return (
        f"error relative to naive {np.mean(ratios):.4f} ({each}), "
        f"80 % hold {np.mean(shares):.3f}"
    )


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
    parser.add_argument("--precision", default="float32", choices=PRECISIONS)
    parser.add_argument("--workers", type=int, default=0, help="that draw ahead")
    parser.add_argument("--every", type=int, default=500, help="steps between looks")
    given = parser.parse_args()
    spec = PretrainedLSTM(
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
        precision=given.precision,
    )
    model = new_model(spec, given.seed)
    held_out = [draw([HELD_OUT_SEED, 0], HELD_OUT, one) for one in SHARES_OF_LENGTHS]
    mark = fingerprint(model, held_out[0].panel, recipe)
    trainer = SyntheticTrainer(
        model,
        held_out[0].windows,
        recipe,
        torch.Generator().manual_seed(given.seed),
        device=given.device,
        verbose=True,
        checkpoint=Checkpoint(given.file.with_suffix(".state"), mark),
    )
    trainer.seed, trainer.n_workers = given.seed, given.workers
    print(f"{sum(one.numel() for one in model.parameters())} weights")
    looks = [*range(given.every, given.steps, given.every), given.steps]
    for _ in trainer.pauses(looks):
        print(f"step {trainer.n_done}: {judge(model, held_out)}", flush=True)
    model.layout = LAYOUT
    write_atomically(given.file, pack(Archive([model])))
    given.file.with_suffix(".state").unlink(missing_ok=True)


if __name__ == "__main__":
    main()
