"""Batches for Lightning, gathered and normalised several steps at a time.

torch's data loader asks for one batch after the other, and each costs as much overhead
as a small network's step. Here a block of batches is prepared at once, as the
backend's own training loop does.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from pytorch_lightning import LightningDataModule, LightningModule
from torch import Generator, Tensor

from lstm_forecasters.backend.features import (
    NetworkInput,
    fold_channels,
    split_shares,
    unfold_channels,
)
from lstm_forecasters.backend.model import ForecastModel
from lstm_forecasters.backend.training import batches_per_block
from lstm_forecasters.backend.windows import WindowBatch
from lstm_forecasters.darts.datasets import TrainingWindows

__all__ = ["TrainingBatch", "WindowsDataModule", "prepare"]


class TrainingBatch:
    """Windows to train on, which Lightning moves as a whole.

    ``columns`` are what the network reads; ``target`` and ``weight`` (B, H, C) are in
    the user's units, with the channels as the network reads them. ``n_channels`` are
    the components of the series.
    """

    def __init__(
        self, columns: NetworkInput, target: Tensor, weight: Tensor, n_channels: int
    ) -> None:
        self.columns = columns
        self.target = target
        self.weight = weight
        self.n_channels = n_channels

    def to(self, device: torch.device) -> TrainingBatch:
        """Return the batch on a device."""
        if self.target.device == device:
            return self
        return TrainingBatch(
            self.columns.to_device(device),
            self.target.to(device),
            self.weight.to(device),
            self.n_channels,
        )

    def side_by_side(self, values: Tensor) -> Tensor:
        """Return values (B, H, C) with all components of a series in one window."""
        return unfold_channels(values, self.n_channels)

    def split(self, size: int, n_members: int = 1) -> Iterator[TrainingBatch]:
        """Yield the batch in parts of some windows, the last one perhaps smaller.

        Each part holds windows of every member of an ensemble.
        """
        for columns, target, weight in zip(
            self.columns.split(size, n_members),
            split_shares(self.target, size, n_members),
            split_shares(self.weight, size, n_members),
            strict=True,
        ):
            yield TrainingBatch(columns, target, weight, self.n_channels)


@torch.no_grad()
def prepare(network: ForecastModel, windows: WindowBatch) -> TrainingBatch:
    """Return windows as a network trains on them."""
    n_channels = windows.history.shape[2]
    if network.layout.n_channels == 1:
        windows = fold_channels(windows)
    columns = network.prepare(windows)
    return TrainingBatch(columns, windows.target, windows.weight, n_channels)


class WindowsLoader:
    """The batches of an epoch, shared among the processes of a distributed training.

    Every member of an ensemble sees all training windows once in an epoch.

    Parameters
    ----------
    dataset : TrainingWindows
        The windows.
    batch_size : int
        Windows of each step, for each member of an ensemble.
    module : LightningModule
        Its network prepares them; its seed and its number of epochs give their order.
    shuffle : bool
        Whether the order is random.
    """

    def __init__(
        self,
        dataset: TrainingWindows,
        batch_size: int,
        module: LightningModule,
        *,
        shuffle: bool,
    ) -> None:
        self.dataset = dataset
        self.n_members = module.network.spec.n_members if shuffle else 1
        self.batch_size = batch_size * self.n_members
        self.module = module
        self.shuffle = shuffle

    def _order(self) -> Tensor:
        """Return the windows of this process in the order of this epoch."""
        n_windows = len(self.dataset)
        if not self.shuffle:
            rows = torch.arange(n_windows)[None]
        else:
            seed = hash((self.module.seed, self.module.epochs_trained)) % 2**63
            generator = Generator().manual_seed(seed)
            rows = torch.empty(self.n_members, n_windows, dtype=torch.int64)
            for row in rows:
                torch.randperm(n_windows, generator=generator, out=row)
        world_size = self._world_size
        if world_size > 1:
            # all processes make as many steps
            missing = -n_windows % world_size
            rows = torch.cat([rows, rows[:, :missing]], 1)
            rows = rows[:, self.module.global_rank :: world_size]
        if self.n_members == 1:
            return rows[0]
        # (members, windows); a batch holds those of one member after another's
        parts = rows.split(self.batch_size // self.n_members, 1)
        return torch.cat([part.flatten() for part in parts])

    def __len__(self) -> int:
        """Return the number of batches."""
        n_windows = math.ceil(len(self.dataset) / self._world_size)
        return math.ceil(n_windows * self.n_members / self.batch_size)

    @property
    def _world_size(self) -> int:
        """Number of processes that train, 1 where there is no trainer yet."""
        trainer = self.module._trainer  # its property raises where there is none
        return 1 if trainer is None else int(trainer.world_size)

    def __iter__(self) -> Iterator[TrainingBatch]:
        """Yield the batches of an epoch."""
        network = self.module.network
        n_channels = self.dataset.samples.windows.n_components
        n_batches = batches_per_block(network.layout, self.batch_size * n_channels)
        for rows in self._order().split(n_batches * self.batch_size):
            windows = self.dataset.gather(rows).to(network.covariate_means.device)
            block = prepare(network, windows)
            yield from block.split(self.batch_size * len(block.target) // len(rows))


class WindowsDataModule(LightningDataModule):
    """The training and the validation windows of a fit.

    Parameters
    ----------
    train_dataset, val_dataset : TrainingWindows or None
        The windows.
    batch_size : int
        Windows of each step.
    module : LightningModule
        What prepares them.
    """

    def __init__(
        self,
        train_dataset: TrainingWindows,
        val_dataset: TrainingWindows | None,
        batch_size: int,
        module: LightningModule,
    ) -> None:
        super().__init__()
        self.train_dataset = train_dataset
        self.val_dataset = val_dataset
        self.batch_size = batch_size
        self.module = module

    def train_dataloader(self) -> WindowsLoader:
        """Return the training batches."""
        return self._loader(self.train_dataset, shuffle=True)

    def val_dataloader(self) -> WindowsLoader | list[WindowsLoader]:
        """Return the validation batches, an empty list if there are none."""
        if self.val_dataset is None:
            return []
        return self._loader(self.val_dataset, shuffle=False)

    def _loader(self, dataset: TrainingWindows, *, shuffle: bool) -> WindowsLoader:
        """Return the batches of some windows."""
        return WindowsLoader(dataset, self.batch_size, self.module, shuffle=shuffle)
