"""The Lightning module: the only one that knows darts' contract for modules.

Batches come either from this package's datasets, as finished windows, or from darts'
own, from the explainer or from an exported graph, as darts' dataclasses. Both become
the backend's windows here, and the backend's model does the rest.
"""

from __future__ import annotations

import copy
import dataclasses
import math
import zlib
from typing import Any

import torch
from darts.models.forecasting.pl_forecasting_module import PLForecastingModule
from darts.utils.data.torch_datasets.utils import (
    ModuleStage,
    PLModuleInput,
    PLModuleOutput,
    TorchInferenceBatch,
    TorchTrainingBatch,
)
from torch import Generator, Tensor, nn
from torch.nn import functional

from lstm_forecasters.backend.features import NetworkInput
from lstm_forecasters.backend.forecasting import WINDOWS_AT_A_TIME, walk
from lstm_forecasters.backend.model import ForecastModel
from lstm_forecasters.backend.networks.layers import Dropout
from lstm_forecasters.backend.recipe import Recipe, schedule, weight_decay_of_steps
from lstm_forecasters.backend.training import decaying, micro_batch_size
from lstm_forecasters.backend.windows import Layout, WindowBatch, window_batch
from lstm_forecasters.darts.datasets import InferenceBatch
from lstm_forecasters.darts.likelihoods import backend_likelihood, mean_loss
from lstm_forecasters.darts.loading import TrainingBatch, prepare
from lstm_forecasters.errors import DataError, TrainingError
from lstm_forecasters.specs import architecture_from_dict

__all__ = ["LSTMModule"]


class LSTMModule(PLForecastingModule):
    """The backend's model as darts trains it and forecasts with it.

    Losses are in normalised units, metrics and forecasts in the user's. The network is
    float32, whatever the series are; forecasts keep the series' type.

    Parameters
    ----------
    architecture : dict
        What the network is, as ``Architecture.to_dict`` has it.
    layout : dict
        The fields of ``Layout``.
    seed : int
        Seed of the weights and of dropout.
    loss_fn : torch.nn.Module or None
        Loss of point forecasts, by default the absolute error.
    **kwargs
        What darts' ``PLForecastingModule`` takes.
    """

    optimizer_kwargs: dict[str, Any]

    def __init__(
        self,
        architecture: dict[str, Any],
        layout: dict[str, Any],
        seed: int,
        loss_fn: nn.Module | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(loss_fn=loss_fn or nn.L1Loss(), **kwargs)
        self.seed = seed
        self.generator = Generator().manual_seed(seed)
        self.network = ForecastModel.create(
            architecture_from_dict(architecture),
            Layout(**layout),
            backend_likelihood(self.likelihood),
            self.generator,
        )
        self.series_dtype = torch.float32  # what an exported graph takes and gives
        self.pred_seed = 0
        self.weight_decay = 0.0  # of a whole fit, where the user gives none
        self._epochs_trained = 0
        self._losses: list[Tensor] = []
        self._gradients: list[tuple[Tensor, ...]] = []

    def __setattr__(self, name: str, value: Any) -> None:
        """Set an attribute; Lightning's note of the current hook, 26 times a step."""
        if name == "_current_fx_name":  # torch's way takes a tenth of a small step
            self.__dict__[name] = value
        else:
            super().__setattr__(name, value)

    # -- forward ------------------------------------------------------------------

    def forward(self, x_in: PLModuleInput) -> PLModuleOutput:
        """Return the likelihood's parameters (B, H, C, K) in the user's units."""
        parameters = self.network.forecast(self._windows(x_in))
        return PLModuleOutput(prediction=parameters.to(x_in.past_target.dtype))

    def _onnx_wrapper(self, input_sample: PLModuleInput) -> Any:
        """Return what is exported: a graph for series of the training series' type."""
        names = (field.name for field in dataclasses.fields(input_sample))
        given = {name: getattr(input_sample, name) for name in names}
        cast = {
            name: value.to(self.series_dtype)
            for name, value in given.items()
            if isinstance(value, Tensor)
        }
        return super()._onnx_wrapper(input_sample.replace(**cast))

    def _windows(
        self,
        batch: PLModuleInput | TorchTrainingBatch | TorchInferenceBatch,
        n: int | None = None,
    ) -> WindowBatch:
        """Return the backend's windows of one of darts' batches."""
        layout = self.network.layout
        target = batch.past_target.double()
        n_windows, n_channels = len(target), target.shape[2]
        steps = layout.reach if n is None else layout.output_shift + n

        def covariates(n_columns: int, *parts: Tensor | None) -> Tensor:
            known = [part.double() for part in parts if part is not None]
            if not n_columns:
                return target.new_zeros(n_windows, layout.context + steps, n_columns)
            return torch.cat(known, 1)

        past = covariates(
            len(layout.past_covariates),
            batch.past_covariates,
            getattr(batch, "future_past_covariates", None),
        )
        n_future = len(layout.future_covariates)
        future = covariates(
            n_future,
            batch.historic_future_covariates,
            target.new_full((n_windows, layout.output_shift, n_future), torch.nan),
            batch.future_covariates,
        )
        static = batch.static_covariates
        if static is None:
            static = target.new_zeros(n_windows, 0)
        elif layout.n_channels > 1 or static.shape[1] == 1:
            static = static.flatten(1)
        future_target = getattr(batch, "future_target", None)
        if future_target is None:
            future_target = target.new_zeros(n_windows, 0, n_channels)
        weight = getattr(batch, "sample_weight", None)
        if weight is None:
            weight = torch.ones_like(future_target)
        return window_batch(
            layout,
            history=target,
            past_covariates=past,
            future_covariates=future,
            static_covariates=static.double(),
            target=future_target.double(),
            weight=weight.float().expand(future_target.shape),
        )

    # -- training -----------------------------------------------------------------

    def _train_val_step(
        self,
        batch: TrainingBatch | WindowBatch | TorchTrainingBatch,
        stage: ModuleStage,
        criterion: Any,
        metrics: Any,
    ) -> Tensor:
        """Return the loss of a batch, and log it where somebody looks."""
        if not isinstance(batch, TrainingBatch):
            windows = batch if isinstance(batch, WindowBatch) else self._windows(batch)
            batch = prepare(self.network, windows)
        size = len(batch.target)
        n_members = self.network.spec.n_members if self.network.training else 1
        if self.trainer.world_size == 1:
            size = micro_batch_size(self.network, batch.columns)
            folded = batch.n_channels if self.network.layout.n_channels == 1 else 1
            folded *= n_members
            size = max(1, size // folded) * folded  # a window's channels stay together
        if size >= len(batch.target):
            loss = self._loss(batch, criterion, metrics)
        else:
            loss = self._loss_in_parts(
                list(batch.split(size, n_members)), criterion, metrics
            )
        self._log_loss(loss, stage, len(batch.target))
        return loss

    def _loss(self, batch: TrainingBatch, criterion: Any, metrics: Any) -> Tensor:
        """Return the mean loss of a batch, and update metrics."""
        parameters = self.network(batch.columns, self.generator)
        if self.likelihood is None:
            loss = _mean_of(criterion, parameters[..., 0], batch.columns)
        else:
            loss = mean_loss(self.network.likelihood, parameters, batch)
        if len(metrics):
            self._measure(parameters, batch, metrics)
        return loss

    def _loss_in_parts(
        self, parts: list[TrainingBatch], criterion: Any, metrics: Any
    ) -> Tensor:
        """Return the mean loss of a large batch, of which one part is in memory.

        All but the last part are led back at once, and ``backward`` adds what they
        gave: the LSTM's workspaces stay small enough for the C allocator to keep.
        """
        weights = torch.stack([part.columns.weight.sum() for part in parts])
        shares = weights / weights.sum().clamp_min(1e-12)
        parameters = [one for one in self.parameters() if one.requires_grad]
        value = torch.zeros(())
        for part, share in zip(parts, shares, strict=True):
            loss = self._loss(part, criterion, metrics) * share
            if torch.is_grad_enabled() and part is not parts[-1]:
                gradients = torch.autograd.grad(
                    loss, parameters, materialize_grads=True
                )
                self._gradients.append(gradients)
            if part is not parts[-1]:
                value = value + loss.detach()
        return loss + value

    def backward(self, loss: Tensor, *args: Any, **kwargs: Any) -> None:
        """Lead a loss back, and add the gradients of the parts before."""
        super().backward(loss, *args, **kwargs)
        if self._gradients:
            divisor = self.trainer.accumulate_grad_batches
            parameters = [one for one in self.parameters() if one.requires_grad]
            for parameter, *parts in zip(parameters, *self._gradients, strict=True):
                total = sum(parts) / divisor
                grown = total if parameter.grad is None else parameter.grad + total
                parameter.grad = grown
            self._gradients.clear()

    def _log_loss(self, loss: Tensor, stage: ModuleStage, n_windows: int) -> None:
        """Log a loss: every step for loggers and bars, else the mean of an epoch."""
        name, trainer = f"{stage.value}_loss", self.trainer
        is_watched = bool(trainer.loggers) or trainer.progress_bar_callback is not None
        if stage is ModuleStage.VALIDATE or is_watched:
            self.log(name, loss, batch_size=n_windows, prog_bar=True, sync_dist=True)
            return
        self._losses.append(loss.detach())
        if trainer.is_last_batch or trainer.global_step + 1 == trainer.max_steps:
            self.log(
                name,
                torch.stack(self._losses).mean(),
                on_step=False,
                on_epoch=True,
                batch_size=len(self._losses),
                sync_dist=True,
            )
            self._losses.clear()

    def _measure(self, parameters: Tensor, batch: TrainingBatch, metrics: Any) -> None:
        """Update metrics with medians in the user's units, where targets are known."""
        network, columns = self.network, batch.columns
        with torch.no_grad():
            points = network.likelihood.point(
                network.restored(parameters.detach(), columns.frame)
            )
            points, target, weight = (
                batch.side_by_side(one) for one in (points, batch.target, batch.weight)
            )
            known = (weight > 0).all(-1)
            if known.any():
                metrics.update(points[known].float(), target[known].float())

    def _compute_metrics(self, metrics: Any) -> None:
        """Log the metrics of an epoch."""
        if len(metrics):
            self.log_dict(
                metrics.compute(),
                logger=bool(self.trainer.loggers),
                prog_bar=True,
                sync_dist=True,
            )
            metrics.reset()

    def on_fit_start(self) -> None:
        """Forget what an interrupted fit may have left."""
        self.train()  # Lightning leaves the mode in which it finds a module
        self._losses.clear()
        self._gradients.clear()

    def on_train_start(self) -> None:
        """Go on from the end of an epoch with the next one.

        Of a training of some number of steps Lightning would end that epoch again,
        without a step and without the losses that callbacks watch.
        """
        loop = self.trainer.fit_loop
        if loop.restarted_on_epoch_end:
            loop.epoch_progress.increment_completed()
            loop.epoch_loop.restarting = False
            loop.on_iteration_done()

    def on_train_epoch_end(self) -> None:
        """Compute the metrics, and count."""
        super().on_train_epoch_end()
        self._epochs_trained += 1

    @property
    def epochs_trained(self) -> int:
        """Number of epochs that the weights have been trained for."""
        return self._epochs_trained

    def configure_optimizers(self) -> Any:
        """Return the recipe's optimiser and schedule, or what the user asked for."""
        n_steps = self.trainer.estimated_stepping_batches
        is_default = self.optimizer_cls is torch.optim.AdamW
        decays = is_default and "weight_decay" not in self.optimizer_kwargs
        if is_default:
            given = {"lr": Recipe.learning_rate, **self.optimizer_kwargs}
            is_mixed = "mixed" in str(self.trainer.precision)
            if not is_mixed and not {"foreach", "differentiable"} & given.keys():
                given.setdefault("fused", True)
            self.optimizer_kwargs = given
        configured = super().configure_optimizers()
        if decays:
            optimizer = configured[0][0] if self.lr_scheduler_cls else configured
            decay = 0.0
            if not math.isinf(n_steps):
                rate = self.optimizer_kwargs["lr"]
                decay = weight_decay_of_steps(self.weight_decay, rate, int(n_steps))
            _decay_weights_alone(optimizer, decay)
        if self.lr_scheduler_cls is not None or math.isinf(n_steps):
            return configured
        scheduler = torch.optim.lr_scheduler.LambdaLR(
            configured, lambda step: schedule(min(step, int(n_steps)), int(n_steps))
        )
        return [configured], [{"scheduler": scheduler, "interval": "step"}]

    # -- forecasting --------------------------------------------------------------

    def predict_step(
        self,
        batch: InferenceBatch | TorchInferenceBatch,
        batch_idx: int,
        dataloader_idx: int | None = None,
    ) -> tuple[Tensor, Any, Any]:
        """Return samples or parameters (S, B, n, C or C * K), and darts' labels."""
        if isinstance(batch, InferenceBatch):
            windows, dtype = batch.windows, batch.dtype
        else:
            windows, dtype = self._windows(batch, self.pred_n), batch.past_target.dtype
        if self.predict_likelihood_parameters:
            generator = Generator().manual_seed(self.pred_seed)
            parameters = self.network.forecast(windows, generator)
            values = parameters[:, : self.pred_n].flatten(2)[None]
        else:
            values = self._paths(windows)
        order = getattr(batch, "components", None)
        if order is not None:
            index = order.to(values.device)[None, :, None, :, None]
            parts = values.unflatten(3, (order.shape[1], -1))
            values = parts.take_along_dim(index, 3).flatten(3)
        if not values.isfinite().all():
            raise TrainingError(
                "the network forecasts values that are not finite: it diverged in "
                "training. Fit again with a lower learning rate, by "
                "optimizer_kwargs={'lr': 1e-3}, say."
            )
        found = values.to(dtype)
        if not found.isfinite().all():
            raise DataError(
                f"the forecast reaches {values.abs().max():.3g}, but the series is of "
                f"{str(dtype).removeprefix('torch.')}, which ends at "
                f"{torch.finfo(dtype).max:.3g}. Pass it to predict as "
                "series.astype('float64')."
            )
        return found, batch.series_schema, batch.pred_time

    def _paths(self, windows: WindowBatch) -> Tensor:
        """Return sampled paths (S, B, n, C); a single one follows the medians."""
        n, roll = self.pred_n, self.pred_roll_size
        n_paths, horizon = self.pred_num_samples, self.network.layout.horizon
        assert n is not None
        assert roll is not None
        assert n_paths is not None
        n_blocks = 1 + -(-max(0, n - horizon) // roll)
        lacking = (n_blocks - 1) * roll + horizon - max(n, horizon)
        future = functional.pad(
            windows.future_covariates, (0, 0, 0, lacking), value=torch.nan
        )
        windows = WindowBatch(**{**vars(windows), "future_covariates": future})
        n_copies = n_paths if n_blocks > 1 or self.pred_mc_dropout else 1
        n_copies *= windows.history.shape[2]
        found = []
        for some in windows.split(max(1, WINDOWS_AT_A_TIME // n_copies)):
            blocks = walk(
                self.network,
                some,
                n_blocks,
                n_paths=n_paths,
                generator=Generator().manual_seed(self.pred_seed),
                roll=roll,
                each_path_alone=bool(self.pred_mc_dropout),
            )
            parts = [
                values if number == 0 else values[:, horizon - roll :]
                for number, (_, values) in enumerate(blocks)
            ]
            paths = torch.cat(parts, 1)[:, :n].unflatten(0, (-1, n_paths))
            found.append(paths.transpose(0, 1))
        paths = torch.cat(found, 1)
        return paths if n_paths == 1 else self._shuffled(paths, windows.history)

    def _shuffled(self, paths: Tensor, history: Tensor) -> Tensor:
        """Put the paths (S, B, n, C) of each window in an order of its own.

        All windows share the draws, but their samples are not to go together. The
        order follows from the shape of the window (B, W, C): it is the same whatever
        stands beside it, and in any unit.
        """
        shape = history - history.nanmean(1, keepdim=True)
        shape = (1000 * shape / shape.abs().nanmean(1, keepdim=True)).nan_to_num()
        marks = [
            sum(zlib.crc32(channel.tobytes()) for channel in window)
            for window in shape.round().long().transpose(1, 2).cpu().numpy()
        ]
        orders = [
            torch.randperm(
                len(paths), generator=Generator().manual_seed(self.pred_seed + mark)
            )
            for mark in marks
        ]
        order = torch.stack(orders, 1).to(paths.device)
        return paths.take_along_dim(order[:, :, None, None], 0)

    def set_mc_dropout(self, active: bool) -> None:
        """Switch dropout on or off for forecasts."""
        for module in self._get_mc_dropout_modules():
            module.train(active)

    def _get_mc_dropout_modules(self) -> set[Dropout]:
        """Return the layers that drop something."""
        layers = (one for one in self.modules() if isinstance(one, Dropout))
        return {one for one in layers if one.share > 0}

    # -- state --------------------------------------------------------------------

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Store what resuming needs beside the weights."""
        super().on_save_checkpoint(checkpoint)
        checkpoint["generator_state"] = self.generator.get_state()
        checkpoint["epochs_trained"] = self._epochs_trained
        checkpoint["series_dtype"] = self.series_dtype

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Restore what resuming needs beside the weights."""
        super().on_load_checkpoint(checkpoint)
        self.train_criterion = copy.deepcopy(self.criterion)
        self.val_criterion = copy.deepcopy(self.criterion)
        self.generator.set_state(checkpoint["generator_state"].cpu())
        self._epochs_trained = checkpoint["epochs_trained"]
        self.series_dtype = checkpoint["series_dtype"]

    def state(self) -> tuple[dict[str, Tensor], Tensor, int]:
        """Return what a training changes: weights, generator and epochs."""
        weights = copy.deepcopy(self.state_dict())
        return weights, self.generator.get_state(), self._epochs_trained

    def rewind(self, state: tuple[dict[str, Tensor], Tensor, int]) -> None:
        """Go back to a state."""
        weights, generator, self._epochs_trained = state
        self.load_state_dict(weights)
        self.generator.set_state(generator)

    def to_dtype(self, dtype: torch.dtype) -> None:
        """Cast the module, unless it is of that type: statistics stay float64."""
        if dtype != self.dtype:
            super().to_dtype(dtype)

    def __getstate__(self) -> dict[str, Any]:
        """Return the state with the generator as an array, for other processes too."""
        state: dict[str, Any] = super().__getstate__()
        state["generator"] = self.generator.get_state().numpy()
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Restore the state."""
        generator = Generator()
        generator.set_state(torch.from_numpy(state.pop("generator")))
        super().__setstate__(state)
        self.generator = generator


def _decay_weights_alone(optimizer: torch.optim.Optimizer, decay: float) -> None:
    """Set the weight decay of an optimiser, and spare biases."""
    group = optimizer.param_groups[0]
    weights = decaying(group["params"])
    biases = [one for one in group["params"] if one.ndim <= 1]
    group.update(params=weights, weight_decay=decay)
    optimizer.add_param_group({"params": biases, "weight_decay": 0.0})


def _mean_of(criterion: Any, points: Tensor, columns: NetworkInput) -> Tensor:
    """Return a loss function's weighted mean over the known targets.

    A function without ``reduction`` sees the known values alone, unweighted.
    """
    weight = columns.weight
    if not hasattr(criterion, "reduction"):
        known = weight > 0
        loss: Tensor = criterion(points[known], columns.target[known])
        return loss
    reduction, criterion.reduction = criterion.reduction, "none"
    try:
        loss = criterion(points, columns.target) * weight
    finally:
        criterion.reduction = reduction
    return loss.sum() / weight.sum().clamp_min(1e-12)
