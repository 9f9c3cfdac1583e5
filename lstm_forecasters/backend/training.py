"""The loop that follows a recipe: seeds, early stop, device, progress."""

from __future__ import annotations

import copy
import math
import warnings
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import torch
from torch import Generator, Tensor
from torch.optim.adam import adam
from tqdm import tqdm

from lstm_forecasters.backend.checkpoints import Checkpoint
from lstm_forecasters.backend.features import NetworkInput
from lstm_forecasters.backend.files import Archive
from lstm_forecasters.backend.model import ForecastModel
from lstm_forecasters.backend.recipe import (
    Recipe,
    default_batch_size,
    default_steps,
    default_weight_decay,
    schedule,
    weight_decay_of_steps,
)
from lstm_forecasters.backend.windows import Layout, Origins, Windows
from lstm_forecasters.errors import TrainingError, TrainingWarning

__all__ = [
    "ClippedAdamW",
    "Trainer",
    "batches_per_block",
    "decaying",
    "micro_batch_size",
    "training_windows",
]


MICRO_BATCH_CELLS = 2**19
"""Most batch x steps x units at a time: beyond it the LSTM's workspace passes what
the C allocator keeps, and every step pays for fresh pages."""

LOWER_RATE = 0.1
"""Share of the learning rate at which training begins again after it diverged."""

BLOCK_CELLS = 2**17
"""History values that are gathered and normalised at a time, for several steps."""


def batches_per_block(layout: Layout, batch_size: int) -> int:
    """Return how many batches, of so many channels' windows, to gather at a time."""
    return max(1, BLOCK_CELLS // (batch_size * layout.context))


def training_windows(
    windows: Windows, validation_fraction: float = 0.0
) -> tuple[Origins, Origins | None]:
    """Return the windows to train on, and to validate on.

    The validation windows are the latest of each series.
    """
    layout = windows.layout
    first, n_origins = layout.training_origins(windows.lengths)
    n_validation = np.floor(n_origins * validation_fraction).astype(int)
    gap = np.where(n_validation > 0, layout.reach - 1, 0)
    training = Origins(first, np.maximum(n_origins - n_validation - gap, 0))
    if validation_fraction == 0:
        return training, None
    return training, Origins(first + n_origins - n_validation, n_validation)


class Trainer:
    """Train a model on windows, step by step.

    Parameters
    ----------
    model : ForecastModel
        Trained in place.
    windows : Windows
        All windows of the training series.
    recipe : Recipe
        How to train.
    generator : torch.Generator
        Source of all randomness.
    device : str or torch.device, default="cpu"
        Where to train; the model returns to the CPU afterwards.
    verbose : bool, default=False
        Whether to show a progress bar with the loss.
    origins : Origins, optional
        Where the windows to train on end, in place of all.
    checkpoint : Checkpoint, optional
        Where the state is kept now and then, and found if there is one.
    """

    def __init__(
        self,
        model: ForecastModel,
        windows: Windows,
        recipe: Recipe,
        generator: Generator,
        *,
        device: str | torch.device = "cpu",
        verbose: bool = False,
        origins: Origins | None = None,
        checkpoint: Checkpoint | None = None,
    ) -> None:
        self.model = model
        self.windows = windows
        self.recipe = recipe
        self.generator = generator
        self.device = torch.device(device)
        self.verbose = verbose
        self.checkpoint = checkpoint
        self.validation: Origins | None = None
        if origins is None:
            origins, self.validation = training_windows(
                windows, recipe.validation_fraction
            )
        self.training = origins
        n_windows = len(self.training)
        if n_windows == 0:
            raise TrainingError(
                "no window to train on: the longest series has "
                f"{windows.lengths.max()} time steps and validation_fraction is "
                f"{recipe.validation_fraction}. Pass longer series, a shorter horizon "
                "or validation_fraction=0."
            )
        self.n_alone = windows.n_components // windows.layout.n_channels
        n_windows *= self.n_alone
        self.n_steps = recipe.max_steps or default_steps(n_windows)
        batch_size = min(recipe.batch_size or default_batch_size(n_windows), n_windows)
        self.n_epochs = self.n_steps * batch_size / n_windows
        self.batch_size = model.spec.n_members * batch_size
        self.rate = recipe.learning_rate
        weight_decay = recipe.weight_decay
        if weight_decay is None:
            weight_decay = default_weight_decay(model.n_weights, n_windows)
        self.weight_decay = weight_decay_of_steps(weight_decay, self.rate, self.n_steps)

    def run(self) -> ForecastModel:
        """Train; on Ctrl-C, keep the best network so far and raise again.

        Training that diverges begins once more, at a tenth of the learning rate.
        """
        untrained = copy.deepcopy(self.model.state_dict())
        try:
            self._run()
            if not self._is_finite():
                warnings.warn(
                    f"training diverged at a learning rate of {self.rate:.3g}; it "
                    f"begins again at {LOWER_RATE * self.rate:.3g}.",
                    TrainingWarning,
                    stacklevel=2,
                )
                self.rate *= LOWER_RATE
                self.model.load_state_dict(untrained)
                if self.checkpoint is not None:
                    self.checkpoint.remove()
                self._run()
        finally:
            self.model.cpu().eval()
            self.model.requires_grad_(True)
        if not self._is_finite():
            raise TrainingError(
                "training diverged twice: the network's weights are no longer finite. "
                f"Pass a learning_rate below {self.rate:.3g}."
            )
        if self.checkpoint is not None:
            self.checkpoint.remove()
        return self.model

    def pauses(self, after: Sequence[int]) -> Iterator[None]:
        """Train for some steps, and pause after each number of them, in eval mode."""
        self._start()
        for n_steps in after:
            self._advance(n_steps)
            self.model.cpu().eval()
            yield
            self.model.to(self.device).train()

    def _run(self) -> None:
        """Train to the end, or until no more is to be gained."""
        self._start()
        try:
            self._advance(self.n_steps)
        finally:
            self.best.restore(self.model)

    def _start(self) -> None:
        """Begin with the first step, or with that of the checkpoint."""
        self.model.to(self.device).train()
        self.optimizer = ClippedAdamW(
            self.model, self.recipe.gradient_clip, self.weight_decay
        )
        self.best = BestWeights(self.recipe.patience)
        self.n_done = 0
        self.rows = torch.empty(0, dtype=torch.int64)
        state = None if self.checkpoint is None else self.checkpoint.read()
        if state is not None:
            self._restore(state)

    def _advance(self, n_steps: int) -> None:
        """Train until a number of steps is done, or no more is to be gained."""
        every = max(10, self.n_steps // 40)
        with tqdm(
            total=self.n_steps,
            initial=self.n_done,
            disable=not self.verbose,
            desc="fit",
            unit="step",
        ) as bar:
            while self.n_done < n_steps:
                for batch in self._next_batches(n_steps - self.n_done):
                    rate = self.rate * schedule(self.n_done, self.n_steps)
                    loss = self.step(self.optimizer, batch, rate)
                    self.n_done += 1
                    if self.verbose:
                        bar.update()
                        bar.set_postfix(loss=f"{loss.item():.4f}", refresh=False)
                    if (
                        self.validation is not None
                        and self.n_done % every == 0
                        and self.best.is_final(self.validate(), self.model)
                    ):
                        return
                if not loss.isfinite():
                    return
                if self.checkpoint is not None and self.checkpoint.is_due:
                    self.checkpoint.write(self._state())

    def _state(self) -> Archive:
        """Return all that the next steps depend on."""
        best = self.best
        groups = {
            "model": self.model.state_dict(),
            "best": best.weights or {},
            **{
                name: {str(number): one for number, one in enumerate(tensors)}
                for name, tensors in self.optimizer.state.items()
            },
            "order": {"rows": self.rows, "generator": self.generator.get_state()},
        }
        tensors = {
            f"{group}.{name}": values.cpu()
            for group, named in groups.items()
            for name, values in named.items()
        }
        extra = {
            "n_done": self.n_done,
            "rate": self.rate,
            "best_loss": best.loss if best.weights else None,
            "waited": best.waited,
        }
        return Archive((), extra, tensors)

    def _restore(self, state: Archive) -> None:
        """Go on from a state."""
        groups: dict[str, dict[str, Tensor]] = {}
        for key, values in state.tensors.items():
            group, name = key.split(".", 1)
            groups.setdefault(group, {})[name] = values
        self.model.load_state_dict(groups["model"])
        for name, tensors in self.optimizer.state.items():
            for number, values in enumerate(tensors):
                values.copy_(groups[name][str(number)])
        self.rows = groups["order"]["rows"]
        self.generator.set_state(groups["order"]["generator"])
        self.n_done, self.rate = state.extra["n_done"], state.extra["rate"]
        if "best" in groups:
            self.best.weights = groups["best"]
            self.best.loss = state.extra["best_loss"]
        self.best.waited = state.extra["waited"]

    def step(self, optimizer: ClippedAdamW, batch: NetworkInput, rate: float) -> Tensor:
        """Take a step on a batch, whose weights sum to 1, and return its loss.

        A large batch goes through the LSTM in parts, whose gradients are added.
        """
        n_windows, size = len(batch.history), micro_batch_size(self.model, batch)
        n_members = self.model.spec.n_members
        parts = [batch] if size >= n_windows else batch.split(size, n_members)
        total, gradients = self._descend(parts[0], optimizer)
        for part in parts[1:]:
            loss, further = self._descend(part, optimizer)
            total = total + loss
            for gradient, more in zip(gradients, further, strict=True):
                gradient += more
        optimizer.step(gradients, rate)
        return total

    def _descend(
        self, batch: NetworkInput, optimizer: ClippedAdamW
    ) -> tuple[Tensor, list[Tensor]]:
        """Return the loss of a batch and its gradients."""
        loss = self.loss(batch)
        gradients = torch.autograd.grad(
            loss, optimizer.parameters, materialize_grads=True
        )
        return loss.detach(), list(gradients)

    def loss(self, batch: NetworkInput) -> Tensor:
        """Return the weighted sum of the losses of a batch."""
        with torch.autocast(
            self.device.type, torch.bfloat16, enabled=self.recipe.precision == "bf16"
        ):
            parameters = self.model(batch, self.generator)
        return (
            self.model.likelihood.loss(parameters, batch.target) * batch.weight
        ).sum()

    def validate(self) -> float:
        """Return the mean loss on the validation windows."""
        assert self.validation is not None
        self.model.eval()
        loss, weight = 0.0, 0.0
        with torch.no_grad():
            for rows in torch.arange(len(self.validation)).split(1024):
                batch = self._gather(self.validation, rows)
                loss += self.loss(batch).item()
                weight += batch.weight.sum().item()
        self.model.train()
        return loss / max(weight, 1e-12)

    def _next_batches(self, most: int) -> Iterator[NetworkInput]:
        """Return the batches of the next steps, prepared together.

        The weights of each sum to 1.
        """
        layout = self.windows.layout
        per_block = batches_per_block(layout, self.batch_size * layout.n_channels)
        n_batches = min(per_block, most)
        with torch.no_grad():
            block = self._gather_for_training(self._next_rows(n_batches))
            weight = block.weight.unflatten(0, (n_batches, -1))
            total = weight.sum((1, 2, 3), keepdim=True).clamp_min(1e-12)
            block.weight = (weight / total).flatten(0, 1)
        return iter(block.split(len(block.history) // n_batches))

    def _next_rows(self, n_batches: int) -> Tensor:
        """Return the window numbers of some batches, all windows once before any twice.

        A channel that is forecast by itself has windows of its own.
        """
        n_windows = len(self.training) * self.n_alone
        n_rows = n_batches * self.batch_size
        while len(self.rows) < n_rows:
            fresh = torch.randperm(n_windows, generator=self.generator)
            self.rows = torch.cat([self.rows, fresh])
        rows, self.rows = self.rows[:n_rows], self.rows[n_rows:]
        return rows

    def _gather_for_training(self, rows: Tensor) -> NetworkInput:
        """Return the columns of some of the training windows."""
        if self.n_alone == 1:
            return self._gather(self.training, rows)
        return self._gather(
            self.training, rows // self.n_alone, channels=rows % self.n_alone
        )

    def _gather(
        self,
        origins: Origins,
        rows: Tensor,
        channels: Tensor | None = None,
    ) -> NetworkInput:
        """Return the columns of some windows, on the device."""
        batch = self.windows.gather(
            *origins.at(rows), channels=channels, with_target=True
        )
        return self.model.prepare(batch.to(self.device))

    def _is_finite(self) -> bool:
        """Return whether the network has not diverged."""
        return all(bool(one.isfinite().all()) for one in self.model.parameters())


def micro_batch_size(model: ForecastModel, batch: NetworkInput) -> int:
    """Return how many windows of a batch the LSTM takes at a time."""
    spec, n_windows = model.spec, len(batch.history)
    assert spec.segment_length is not None
    steps = -(-model.layout.lookback // spec.segment_length)
    cells = steps * spec.hidden_size * (2 if spec.bidirectional else 1)
    if batch.history.device.type != "cpu" or n_windows * cells <= MICRO_BATCH_CELLS:
        return n_windows
    n_parts = -(-n_windows // max(1, MICRO_BATCH_CELLS // cells))
    return -(-n_windows // n_parts)


class ClippedAdamW:
    """Adam with decoupled weight decay, on gradients that are clipped to a norm.

    The numbers are those of ``torch.optim.AdamW`` after ``clip_grad_norm_``, where
    weights decay and biases do not. On a small network these two take as long as the
    LSTM does; here the clipping is part of Adam's fused pass over the gradients.

    Parameters
    ----------
    model : ForecastModel
        Its parameters are optimised.
    largest_norm : float
        Norm that gradients are clipped to.
    weight_decay : float
        As AdamW has it.

    References
    ----------
    .. [1] Loshchilov, I. and Hutter, F. (2019). Decoupled weight decay
       regularization. ICLR.
    """

    def __init__(
        self, model: ForecastModel, largest_norm: float, weight_decay: float
    ) -> None:
        self.parameters: list[Tensor] = [
            one for one in model.parameters() if one.requires_grad
        ]
        self.largest_norm = largest_norm
        self.weight_decay = weight_decay
        self._decaying = decaying(self.parameters)
        self.state = {
            "means": [torch.zeros_like(one) for one in self.parameters],
            "squares": [torch.zeros_like(one) for one in self.parameters],
            "steps": [one.new_zeros(()) for one in self.parameters],
        }

    @torch.no_grad()
    def step(self, gradients: list[Tensor], rate: float) -> None:
        """Take a step of a learning rate."""
        norms = torch._foreach_norm(gradients)
        norm = torch.stack(norms).norm()
        torch._foreach_mul_(self._decaying, 1 - rate * self.weight_decay)
        adam(
            self.parameters,
            gradients,
            self.state["means"],
            self.state["squares"],
            [],
            self.state["steps"],
            fused=True,
            grad_scale=((norm + 1e-6) / self.largest_norm).clamp_min(1.0),
            amsgrad=False,
            beta1=0.9,
            beta2=0.999,
            lr=rate,
            weight_decay=0.0,
            eps=1e-8,
            maximize=False,
        )


def decaying(parameters: Iterable[Tensor]) -> list[Tensor]:
    """Return the parameters that decay: weights do, biases do not."""
    return [one for one in parameters if one.ndim > 1]


class BestWeights:
    """The best weights so far, where a validation loss tells."""

    def __init__(self, patience: int) -> None:
        self.patience = patience
        self.loss = math.inf
        self.waited = 0
        self.weights: dict[str, Tensor] | None = None

    def is_final(self, loss: float, model: ForecastModel) -> bool:
        """Take note of a loss and return whether patience is at its end."""
        if loss < self.loss:
            self.loss, self.waited = loss, 0
            self.weights = copy.deepcopy(model.state_dict())
        else:
            self.waited += 1
        return self.waited >= self.patience

    def restore(self, model: ForecastModel) -> None:
        """Give a model the best weights, if any were noted."""
        if self.weights is not None:
            model.load_state_dict(self.weights)
