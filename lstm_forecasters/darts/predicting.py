"""Forecasts without setting up a Lightning trainer, which takes longer than they do."""

from __future__ import annotations

from typing import Any

import torch

from lstm_forecasters.darts.module import LSTMModule

__all__ = ["PlainPredictor", "needs_no_trainer"]

SETTINGS_OF_TRAINING = {
    "accumulate_grad_batches",
    "check_val_every_n_epoch",
    "enable_checkpointing",
    "enable_model_summary",
    "enable_progress_bar",
    "gradient_clip_val",
    "logger",
    "max_epochs",
    "max_steps",
    "max_time",
}
"""Settings of the trainer that make no difference to forecasts."""


class PlainPredictor:
    """What Lightning's trainer does in a forecast on a CPU, and nothing else."""

    progress_bar_callback = None

    @torch.inference_mode()
    def predict(self, model: LSTMModule, datamodule: Any) -> list[Any]:
        """Return what a module in eval mode on the CPU predicts of each batch."""
        model.on_predict_start()
        loader = datamodule.predict_dataloader()
        found = [
            model.predict_step(batch, number) for number, batch in enumerate(loader)
        ]
        model.on_predict_end()
        return found


def needs_no_trainer(settings: dict[str, Any], verbose: bool | None) -> bool:
    """Return whether forecasts are the same without a trainer of some settings."""
    accelerator = settings.get("accelerator") or "auto"
    chosen = "gpu" if torch.cuda.is_available() else "cpu"
    on_cpu = (chosen if accelerator == "auto" else accelerator) == "cpu"
    given = {name for name, value in settings.items() if value}
    is_shown = verbose or (verbose is None and settings.get("enable_progress_bar"))
    return on_cpu and not is_shown and given <= {*SETTINGS_OF_TRAINING, "accelerator"}
