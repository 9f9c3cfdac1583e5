"""Lightning does its part: callbacks, stopping, checkpoints, precision, loggers."""

import os
import signal
import threading

import numpy as np
import pandas as pd
import pytest
import pytorch_lightning as pl
import torch
from darts.models.forecasting.torch_forecasting_model import (
    MixedCovariatesTorchModel,
)
from numpy.testing import assert_allclose, assert_array_equal
from pytorch_lightning import Callback
from pytorch_lightning.callbacks import EarlyStopping, ModelCheckpoint, TQDMProgressBar
from pytorch_lightning.loggers import CSVLogger
from torch import nn
from torchmetrics import MeanAbsoluteError, MetricCollection, R2Score

from lstm_forecasters.backend.recipe import Recipe, default_steps, schedule
from lstm_forecasters.darts import (
    PretrainedLSTMModel,
    StackedLSTMModel,
    VanillaLSTMModel,
)
from lstm_forecasters.darts.module import LSTMModule
from lstm_forecasters.errors import TrainingError, TrainingWarning


@pytest.fixture
def make(make_any):
    """Return a function that constructs a small model, pretrained ones too."""
    return make_any


class Watcher(Callback):
    """Note what a callback can see."""

    def __init__(self):
        self.train_losses, self.val_losses, self.norms, self.rates = [], [], [], []
        self.steps, self.start = [], None

    def on_train_start(self, trainer, pl_module):
        self.start = {
            name: one.detach().clone() for name, one in pl_module.named_parameters()
        }

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        self.steps.append(outputs["loss"].item())

    def on_before_zero_grad(self, trainer, pl_module, optimizer):
        self.rates.append(optimizer.param_groups[0]["lr"])
        gradients = [one.grad for one in pl_module.parameters() if one.grad is not None]
        if gradients:
            norms = torch.stack([one.norm() for one in gradients])
            self.norms.append(norms.norm().item())

    def on_train_epoch_end(self, trainer, pl_module):
        self.train_losses.append(trainer.callback_metrics["train_loss"].item())

    def on_validation_epoch_end(self, trainer, pl_module):
        self.val_losses.append(trainer.callback_metrics["val_loss"].item())


@pytest.fixture
def watcher():
    """A callback that notes what it sees."""
    return Watcher()


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty folder, where Python runs."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def with_trainer(small, *callbacks, **kwargs):
    """Return the arguments of a small model and those of its trainer."""
    return {**small, "pl_trainer_kwargs": {**kwargs, "callbacks": list(callbacks)}}


def weights_of(model):
    return torch.cat([one.detach().flatten() for one in model.network_.parameters()])


def rolled(model, series):
    """Return forecasts and values of all validation windows, and each one's scale."""
    steps = range(12, len(series))
    found = model.predict(6, [series[:step] for step in steps])
    forecasts, values, scales = [], [], []
    for step, forecast in zip(steps, found, strict=True):
        known = series[step : step + 6].values()
        forecasts.append(forecast.values()[: len(known)])
        values.append(known)
        window = series[step - 12 : step].values()
        spread = np.abs(window - window.mean()).mean()
        scales.append(np.full(known.shape, spread))
    return tuple(np.concatenate(part)[:, 0] for part in (forecasts, values, scales))


# -- losses and callbacks -----------------------------------------------------------


def test_callbacks_see_the_losses_of_every_epoch(make, monthly, watcher):
    kwargs = {"callbacks": [watcher], "num_sanity_val_steps": 0}
    model = make(n_epochs=3, pl_trainer_kwargs=kwargs)
    model.fit(monthly(), val_series=monthly(seed=1))
    assert len(watcher.train_losses) == len(watcher.val_losses) == 3
    by_epoch = np.reshape(watcher.steps, (3, -1)).mean(1)
    assert_allclose(watcher.train_losses, by_epoch, rtol=1e-5)
    assert watcher.train_losses[-1] < watcher.train_losses[0]
    assert "val_loss" in model.trainer.callback_metrics


def test_early_stopping_stops(small, monthly):
    stopping = EarlyStopping("val_loss", patience=2, min_delta=1e9)
    settings = {**with_trainer(small, stopping), "n_epochs": 50}
    model = VanillaLSTMModel(**settings).fit(monthly(), val_series=monthly(seed=1))
    assert model.epochs_trained == 3
    assert stopping.stopped_epoch == 2


def test_early_stopping_knows_the_training_loss(small, monthly):
    stopping = EarlyStopping("train_loss", patience=2, min_delta=1e9)
    settings = {**with_trainer(small, stopping), "n_epochs": 50}
    assert VanillaLSTMModel(**settings).fit(monthly()).epochs_trained == 3


def test_a_loss_function_is_given_normalised_values(small, monthly):
    """The validation loss of a mean squared error, by hand."""
    val = monthly(40, 300.0, seed=1)
    model = VanillaLSTMModel(**small, loss_fn=nn.MSELoss())
    model.fit(monthly(), val_series=val)
    loss = model.trainer.callback_metrics["val_loss"].item()
    forecasts, values, scales = rolled(model, val)
    assert loss == pytest.approx(
        np.mean(((forecasts - values) / scales) ** 2), rel=0.02
    )


class FourthPower(nn.Module):
    """A loss function without a reduction."""

    def forward(self, forecast, target):
        return (forecast - target).pow(4).mean()


def test_a_loss_function_may_lack_a_reduction(small, monthly):
    val = monthly(40, 300.0, seed=1)
    val = val.with_values(np.where(np.arange(40) == 20, np.nan, val.values().T).T)
    settings = {**small, "batch_size": 64, "loss_fn": FourthPower()}
    model = VanillaLSTMModel(**settings).fit(monthly(), val_series=val)
    loss = model.trainer.callback_metrics["val_loss"].item()
    assert np.isfinite(loss)
    whole = monthly(40, 300.0, seed=1)
    model.fit(monthly(), val_series=whole, epochs=1)
    loss = model.trainer.callback_metrics["val_loss"].item()
    forecasts, values, scales = rolled(model, whole)
    assert loss == pytest.approx(
        np.mean(((forecasts - values) / scales) ** 4), rel=1e-3
    )


def test_the_default_loss_is_the_absolute_error(small, monthly):
    val = monthly(40, 300.0, seed=1)
    found = []
    for loss_fn in (None, nn.L1Loss()):
        model = VanillaLSTMModel(**{**small, "batch_size": 64}, loss_fn=loss_fn)
        model.fit(monthly(), val_series=val)
        found.append(model.trainer.callback_metrics["val_loss"].item())
    forecasts, values, scales = rolled(model, val)
    expected = np.mean(np.abs(forecasts - values) / scales)
    assert_allclose(found, expected, rtol=1e-4)


@pytest.mark.parametrize("likelihood", [None, "normal"])
def test_metrics_are_in_the_units_of_the_series(small, monthly, likelihood):
    val = monthly(40, 30.0, seed=1)
    metrics = MetricCollection([MeanAbsoluteError(), R2Score()])
    model = VanillaLSTMModel(**small, likelihood=likelihood, torch_metrics=metrics)
    model.fit(monthly(), val_series=val)
    seen = model.trainer.callback_metrics
    forecasts, values, _ = rolled(model, val)
    mae = np.abs(forecasts - values).mean()
    assert seen["val_MeanAbsoluteError"].item() == pytest.approx(mae, rel=1e-3)
    r2 = 1 - np.mean((forecasts - values) ** 2) / np.var(values)
    assert seen["val_R2Score"].item() == pytest.approx(r2, rel=1e-2, abs=1e-2)
    assert np.isfinite(seen["train_MeanAbsoluteError"].item())


def test_metrics_leave_out_what_is_missing(small, monthly):
    val = monthly(40, 3000.0, seed=1)
    values = val.values()
    values[[15, 25, 39]] = np.nan
    val = val.with_values(values)
    model = VanillaLSTMModel(**small, torch_metrics=MeanAbsoluteError())
    model.fit(monthly(), val_series=val)
    found = model.trainer.callback_metrics["val_MeanAbsoluteError"].item()
    forecasts = model.predict(6, [val[:step] for step in range(12, 40)])
    errors = [
        np.abs(one.values()[: 40 - step] - values[step : step + 6]).ravel()
        for step, one in zip(range(12, 40), forecasts, strict=True)
    ]
    expected = np.nanmean(np.concatenate(errors))
    assert found == pytest.approx(expected, rel=1e-3)


# -- how long -----------------------------------------------------------------------


def test_n_epochs_is_respected(make, monthly):
    model = make(n_epochs=3).fit(monthly())
    assert model.epochs_trained == 3
    assert model.fit(monthly(), epochs=2).epochs_trained == 5


@pytest.mark.parametrize("n_steps", [1, 7])
def test_the_trainer_may_limit_steps(small, monthly, n_steps):
    settings = {**with_trainer(small, max_steps=n_steps), "n_epochs": None}
    model = VanillaLSTMModel(**settings).fit(monthly())
    assert model.trainer.global_step == n_steps


@pytest.mark.parametrize("n_accumulated", [1, 2])
def test_steps_of_less_than_an_epoch_end_with_a_validation(
    small, monthly, n_accumulated
):
    """And at the same weights as without one."""
    small = {**small, "n_epochs": None, "batch_size": 4}
    limits = {"max_steps": 3, "accumulate_grad_batches": n_accumulated}
    stopping = EarlyStopping("val_loss")
    model = VanillaLSTMModel(**with_trainer(small, stopping, **limits))
    model.fit(monthly(), val_series=monthly(seed=1))
    assert model.trainer.global_step == 3
    assert model.epochs_trained == 1
    assert stopping.best_score == model.trainer.callback_metrics["val_loss"]
    for limit in ({}, {"limit_train_batches": 1.0}):
        plain = VanillaLSTMModel(**with_trainer(small, **limits, **limit))
        plain.fit(monthly())
        assert torch.equal(weights_of(plain), weights_of(model))


@pytest.mark.parametrize(
    ("limit", "n_epochs"),
    [({"limit_train_batches": 1}, 3), ({"val_check_interval": 5}, 1)],
)
def test_what_the_user_says_of_epochs_prevails(small, monthly, limit, n_epochs):
    settings = with_trainer({**small, "batch_size": 4}, max_steps=3, **limit)
    model = VanillaLSTMModel(**{**settings, "n_epochs": None})
    model.fit(monthly(), val_series=monthly(seed=1))
    assert model.trainer.global_step == 3
    assert model.epochs_trained == n_epochs


def test_the_trainer_may_limit_epochs(small, monthly):
    settings = {**with_trainer(small, max_epochs=2), "n_epochs": None}
    assert VanillaLSTMModel(**settings).fit(monthly()).epochs_trained == 2


def test_the_trainer_may_limit_time(small, monthly):
    settings = with_trainer(small, max_time={"seconds": 0})
    model = VanillaLSTMModel(**{**settings, "n_epochs": None}).fit(monthly())
    assert model.trainer.global_step < 10


def test_weights_do_not_decay_where_no_number_of_steps_is_known(small, monthly):
    settings = with_trainer(small, max_time={"seconds": 0})
    model = VanillaLSTMModel(**{**settings, "n_epochs": None}).fit(monthly())
    groups = model.trainer.optimizers[0].param_groups
    assert [group["weight_decay"] for group in groups] == [0, 0]


def test_the_recipe_gives_the_number_of_steps(small, monthly):
    settings = {**small, "n_epochs": None, "hidden_size": 2}
    model = VanillaLSTMModel(**settings).fit(monthly(40))
    assert model.trainer.global_step == default_steps(28) == 300


def test_the_recipe_gives_the_batch_size(small, monthly, watcher):
    settings = {**with_trainer(small, watcher), "batch_size": None, "n_epochs": 1}
    model = VanillaLSTMModel(**settings).fit(monthly(200))
    assert model.batch_size == 188 // 8
    assert len(watcher.steps) == 9


def test_a_trainer_passed_to_fit_is_used(small, monthly, watcher):
    trainer = pl.Trainer(
        max_epochs=4,
        callbacks=[watcher],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        accelerator="cpu",
    )
    model = VanillaLSTMModel(**small).fit(monthly(), trainer=trainer)
    assert model.trainer is trainer
    assert model.epochs_trained == 4
    assert len(watcher.train_losses) == 4


# -- optimiser ----------------------------------------------------------------------


def test_gradients_are_clipped_unless_the_user_says_otherwise(small, monthly):
    largest = {}
    for clip in (None, 0.01, 0):
        watcher = Watcher()
        kwargs = {} if clip is None else {"gradient_clip_val": clip}
        settings = with_trainer(small, watcher, **kwargs)
        model = VanillaLSTMModel(**settings, loss_fn=FourthPower()).fit(monthly())
        assert model.trainer.gradient_clip_val == (1.0 if clip is None else clip)
        largest[clip] = max(watcher.norms)
    assert largest[None] == pytest.approx(Recipe.gradient_clip, rel=1e-4)
    assert largest[0.01] == pytest.approx(0.01, rel=1e-3)
    assert largest[0] > 1.5


def test_the_default_schedule_is_the_recipes(small, monthly, watcher):
    model = VanillaLSTMModel(**with_trainer(small, watcher)).fit(monthly())
    n_steps = model.trainer.global_step
    expected = [5e-3 * schedule(step, n_steps) for step in range(n_steps)]
    assert_allclose(watcher.rates, expected, rtol=1e-6)


def test_optimizer_and_its_rate_are_the_users(small, monthly, watcher):
    settings = {
        **with_trainer(small, watcher),
        "optimizer_kwargs": {"lr": 0.1, "weight_decay": 0.5},
        "lr_scheduler_cls": torch.optim.lr_scheduler.ExponentialLR,
        "lr_scheduler_kwargs": {"gamma": 0.5},
        "n_epochs": 3,
    }
    model = VanillaLSTMModel(**settings).fit(monthly(40))
    assert_allclose(watcher.rates, np.repeat([0.1, 0.05, 0.025], 2))
    (group,) = model.trainer.optimizers[0].param_groups
    assert group["weight_decay"] == 0.5
    settings = {**small, "optimizer_cls": torch.optim.SGD}
    model = VanillaLSTMModel(**settings, optimizer_kwargs={"lr": 0.01}).fit(monthly())
    assert type(model.trainer.optimizers[0]) is torch.optim.SGD


def test_a_schedule_may_watch_the_validation_loss(small, monthly, watcher):
    settings = {
        **with_trainer(small, watcher),
        "lr_scheduler_cls": torch.optim.lr_scheduler.ReduceLROnPlateau,
        "lr_scheduler_kwargs": {
            "patience": 0,
            "threshold": 1e9,
            "threshold_mode": "abs",
            "monitor": "val_loss",
        },
        "n_epochs": 3,
    }
    VanillaLSTMModel(**settings).fit(monthly(40), val_series=monthly(40, seed=1))
    assert_allclose(watcher.rates[::2], [5e-3, 5e-3, 5e-4])


@pytest.mark.parametrize("precision", ["64-true", "bf16-mixed"])
def test_precision(make, monthly, precision):
    kwargs = {"precision": precision, "accelerator": "cpu"}
    likelihood = "quantile"
    model = make(pl_trainer_kwargs=kwargs, likelihood=likelihood).fit(monthly())
    exact = make(likelihood=likelihood).fit(monthly())
    found, expected = (one.predict(6).values() for one in (model, exact))
    assert_allclose(found, expected, atol=2.0)
    types = {one.dtype for one in model.network_.parameters()}
    assert types == {torch.float64 if precision == "64-true" else torch.float32}
    assert model.predict(15, num_samples=10).all_values().shape == (15, 1, 10)


def test_networks_are_float32_whatever_the_series_are(small, monthly):
    for dtype in (np.float32, np.float64):
        model = VanillaLSTMModel(**small).fit(monthly().astype(dtype))
        assert {one.dtype for one in model.network_.parameters()} == {torch.float32}
        assert model.predict(6).dtype == dtype


@pytest.mark.parametrize(
    ("patterns", "is_frozen"),
    [
        ({"freeze": ["*linear_path*"]}, lambda name: "linear_path" in name),
        ({"unfreeze": ["*linear_path*"]}, lambda name: "linear_path" not in name),
        ({"freeze": ["*lstm*", "*head*"]}, lambda name: "linear_path" not in name),
        (True, lambda name: False),
    ],
)
def test_patterns_say_which_weights_are_trained(
    small, monthly, watcher, patterns, is_frozen
):
    settings = {**with_trainer(small, watcher), "enable_finetuning": patterns}
    model = VanillaLSTMModel(**settings).fit(monthly())
    after = dict(model.model.named_parameters())
    for name, values in after.items():
        assert torch.equal(values, watcher.start[name]) == is_frozen(name), name


# -- loggers ------------------------------------------------------------------------


@pytest.fixture
def logged(monkeypatch):
    """Return the names that the module has logged."""
    names, log = [], LSTMModule.log

    def noted(self, name, *args, **kwargs):
        names.append(name)
        return log(self, name, *args, **kwargs)

    monkeypatch.setattr(LSTMModule, "log", noted)
    return names


def test_nothing_is_logged_in_a_step_that_nobody_looks_at(small, monthly, logged):
    model = VanillaLSTMModel(**{**small, "n_epochs": 3}).fit(monthly())
    assert model.trainer.global_step == 9
    assert logged == ["train_loss"] * 3


def test_a_logger_gets_every_step(small, monthly, folder):
    kwargs = {"logger": CSVLogger(folder, name="logs"), "log_every_n_steps": 1}
    model = VanillaLSTMModel(**with_trainer(small, **kwargs))
    model.fit(monthly(), val_series=monthly(seed=1))
    rows = pd.read_csv(next(folder.glob("logs/*/metrics.csv")))
    losses = rows.dropna(subset="train_loss")
    assert losses["step"].tolist() == list(range(model.trainer.global_step))
    assert rows["val_loss"].count() == 2


def test_a_progress_bar_shows_the_loss(small, monthly, capsys):
    model = VanillaLSTMModel(**small)
    model.fit(monthly(), verbose=True)
    assert "train_loss=" in capsys.readouterr().out
    VanillaLSTMModel(**small).fit(monthly())
    model.predict(3)
    shown = capsys.readouterr()
    assert (shown.out, shown.err) == ("", "")


@pytest.mark.parametrize("verbose", [None, False])
def test_a_users_own_progress_bar_is_shown(small, monthly, capsys, verbose):
    settings = with_trainer(small, TQDMProgressBar())
    VanillaLSTMModel(**settings).fit(monthly(), verbose=verbose)
    assert "train_loss=" in capsys.readouterr().out


# -- checkpoints --------------------------------------------------------------------


def checkpointed(small, folder, **settings):
    return StackedLSTMModel(
        **{
            **small,
            "num_layers": 2,
            "dropout": 0.2,
            "n_epochs": 5,
            "save_checkpoints": True,
            "model_name": "run",
            "work_dir": str(folder / "logs"),
            "force_reset": True,
            **settings,
        }
    )


def test_the_best_and_the_last_checkpoint(small, monthly, folder, watcher):
    val = monthly(40, seed=1)
    model = checkpointed(small, folder, **{"pl_trainer_kwargs": {}})
    model.fit(monthly(), val_series=val)
    last, best = (
        StackedLSTMModel.load_from_checkpoint("run", str(folder / "logs"), best=which)
        for which in (False, True)
    )
    assert torch.equal(weights_of(last), weights_of(model))
    assert_array_equal(
        last.predict(6, monthly()).values(), model.predict(6, monthly()).values()
    )
    losses = []
    for one in (best, last):
        forecasts, values, scales = rolled(one, val)
        losses.append(np.mean(np.abs(forecasts - values) / scales))
    (name,) = [path.name for path in folder.rglob("best-*")]
    assert float(name.split("val_loss=")[1].split(".ckpt")[0]) == pytest.approx(
        losses[0], abs=0.01 + 0.02 * losses[0]
    )
    assert losses[0] <= losses[1] * 1.02


RESUMING = pytest.mark.filterwarnings(
    "ignore:.ModelCheckpoint.monitor='val_loss'.. could not find:UserWarning",
    "ignore:Checkpoint directory .* exists and is not empty:UserWarning",
)


def resumed_after(n_steps, monkeypatch, folder, given, make_model):
    """Return a model as its last checkpoint has it, and the steps begun so far."""
    steps, training_step = [], LSTMModule.training_step

    def killed(self, *args):
        steps.append(1)
        if len(steps) == n_steps + 1:
            raise RuntimeError("power cut")
        return training_step(self, *args)

    monkeypatch.setattr(LSTMModule, "training_step", killed)
    with pytest.raises(RuntimeError, match="power cut"):
        make_model().fit(**given)
    place = "run", str(folder / "logs")
    return StackedLSTMModel.load_from_checkpoint(*place, best=False), steps


@RESUMING
@pytest.mark.parametrize("with_validation", [False, True])
@pytest.mark.parametrize("n_epochs_before", [1, 3])
@pytest.mark.parametrize(
    "limit",
    [{"n_epochs": 5}, {"n_epochs": None, "pl_trainer_kwargs": {"max_steps": 15}}],
    ids=["epochs", "steps"],
)
def test_a_run_that_was_killed_ends_where_it_would_have_ended(
    small, monthly, folder, monkeypatch, with_validation, n_epochs_before, limit
):
    """Weights bit for bit: optimiser, schedule, order and dropout are restored."""
    given = {"series": monthly()}
    if with_validation:
        given["val_series"] = monthly(40, seed=1)
    whole = checkpointed(small, folder, model_name="whole", **limit).fit(**given)

    resumed, steps = resumed_after(
        3 * n_epochs_before + 1,
        monkeypatch,
        folder,
        given,
        lambda: checkpointed(small, folder, **limit),
    )
    assert resumed.epochs_trained == n_epochs_before
    resumed.fit(**given)
    assert len(steps) == 3 * 5 + 2
    assert resumed.epochs_trained == 5
    assert torch.equal(weights_of(resumed), weights_of(whole))


@RESUMING
@pytest.mark.parametrize("limit", ["epochs", "steps"])
@pytest.mark.parametrize("watched", ["train_loss", "val_loss"])
def test_a_run_that_was_killed_stops_early_where_it_would_have_stopped(
    small, monthly, folder, monkeypatch, limit, watched
):
    given = {"series": monthly(), "val_series": monthly(40, seed=1)}

    def make_model(name="run"):
        stopping = EarlyStopping(watched, patience=2, min_delta=1e9)
        kwargs = {} if limit == "epochs" else {"max_steps": 15}
        n_epochs = 5 if limit == "epochs" else None
        settings = with_trainer(small, stopping, **kwargs)
        return checkpointed(settings, folder, model_name=name, n_epochs=n_epochs)

    whole = make_model("whole").fit(**given)
    assert whole.epochs_trained == 3
    resumed, _ = resumed_after(7, monkeypatch, folder, given, make_model)
    resumed.fit(**given)
    assert resumed.epochs_trained == 3
    assert torch.equal(weights_of(resumed), weights_of(whole))


@RESUMING
def test_a_run_that_was_killed_may_have_saved_before_the_end_of_an_epoch(
    small, monthly, folder, monkeypatch
):
    """There Lightning saves after validations that do not come in every epoch."""
    given = {"series": monthly(), "val_series": monthly(40, seed=1)}
    settings = with_trainer(small, check_val_every_n_epoch=2)

    def make_model(name="run"):
        return checkpointed(settings, folder, model_name=name)

    whole = make_model("whole").fit(**given)
    resumed, steps = resumed_after(10, monkeypatch, folder, given, make_model)
    resumed.fit(**given)
    assert len(steps) == 11 + 3 * 3
    assert resumed.epochs_trained == 5
    assert torch.equal(weights_of(resumed), weights_of(whole))


def test_the_best_network_is_loaded_at_the_end(small, monthly, folder):
    model = checkpointed(small, folder)
    model.fit(monthly(), val_series=monthly(40, seed=1), load_best=True)
    best = StackedLSTMModel.load_from_checkpoint("run", str(folder / "logs"), best=True)
    assert torch.equal(weights_of(model), weights_of(best))


def test_the_best_network_of_less_than_an_epoch_is_loaded(monthly, folder):
    place = {"model_name": "run", "work_dir": str(folder / "logs")}
    model = PretrainedLSTMModel(
        12, 6, fine_tune_steps=2, batch_size=4, save_checkpoints=True, **place
    )
    model.fit(monthly(), val_series=monthly(40, seed=1), load_best=True)
    best = PretrainedLSTMModel.load_from_checkpoint(**place, best=True)
    assert torch.equal(weights_of(model), weights_of(best))
    assert model.epochs_trained == 1


def test_nothing_is_written_unless_it_is_to_be_saved(make, monthly, folder):
    model = make(likelihood="quantile", torch_metrics=MeanAbsoluteError())
    model.fit(monthly(), val_series=monthly(seed=1))
    model.predict(15, num_samples=5)
    model.historical_forecasts(monthly(), retrain=False)
    assert list(folder.iterdir()) == []


def test_a_users_own_checkpoint_callback(small, monthly, folder):
    callback = ModelCheckpoint(folder / "mine", monitor="train_loss", save_top_k=-1)
    kwargs = {"callbacks": [callback], "enable_checkpointing": True}
    VanillaLSTMModel(**{**small, "pl_trainer_kwargs": kwargs}).fit(monthly())
    assert len(list((folder / "mine").iterdir())) == small["n_epochs"]


# -- tuners -------------------------------------------------------------------------


def test_lr_find_leaves_nothing_behind(make, monthly, folder):
    model = make(likelihood="normal")
    found = model.lr_find(
        monthly(), num_training=12, early_stop_threshold=None, epochs=9
    )
    rates = found.results["lr"]
    assert len(rates) >= 10
    assert np.all(np.diff(rates) > 0)
    assert np.isfinite(found.results["loss"]).all()
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("given", [16, None])
def test_scale_batch_size_is_taken_up(small, monthly, folder, given):
    settings = {**small, "batch_size": given, "n_epochs": 1}
    model = VanillaLSTMModel(**settings)
    found = model.scale_batch_size(monthly(), max_trials=2, steps_per_trial=1)
    assert found == 4
    assert model.batch_size == 4
    assert list(folder.iterdir()) == []
    model.fit(monthly())
    assert model.trainer.global_step == 48 // 4


def test_scale_batch_size_of_a_prediction(small, monthly, folder):
    model = VanillaLSTMModel(**small).fit(monthly())
    found = model.scale_batch_size(
        [monthly(seed=seed) for seed in range(20)],
        method="predict",
        n=3,
        max_trials=2,
        steps_per_trial=1,
        update_model=False,
    )
    assert found == 4
    assert model.batch_size == 16
    assert list(folder.iterdir()) == []


def test_scale_batch_size_keeps_the_trainer_that_is_passed(small, monthly, monkeypatch):
    """And leaves it to darts to make one for a fit."""
    seen = []

    def scale(self, *args, trainer=None, **kwargs):
        seen.append(trainer)
        return 4

    model = VanillaLSTMModel(**small).fit(monthly())
    monkeypatch.setattr(MixedCovariatesTorchModel, "scale_batch_size", scale)
    for method in ("fit", "predict"):
        model.scale_batch_size(monthly(), method=method, trainer=model.trainer)
    model.scale_batch_size(monthly())
    assert seen == [model.trainer, model.trainer, None]


# -- interruptions ------------------------------------------------------------------


class Interrupt(Callback):
    """Press Ctrl-C in the middle of an epoch."""

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        if trainer.global_step == 4:
            raise KeyboardInterrupt


def handled():
    """Return what handles Ctrl-C."""
    return signal.getsignal(signal.SIGINT)


def test_ctrl_c_is_raised_and_keeps_the_network(make, monthly, watcher):
    model = make(pl_trainer_kwargs={"callbacks": [watcher, Interrupt()]})
    before = handled()
    with pytest.raises(KeyboardInterrupt):
        model.fit(monthly())
    assert handled() is before is not signal.SIG_IGN
    found = model.predict(15)
    assert np.isfinite(found.values()).all()
    start = torch.cat([one.flatten() for one in watcher.start.values()])
    assert not torch.equal(weights_of(model), start)


def test_a_true_sigint_ends_training(small, monthly):
    class Signal(Callback):
        def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
            if trainer.global_step == 4:
                os.kill(os.getpid(), signal.SIGINT)

    model = VanillaLSTMModel(**{**with_trainer(small, Signal()), "n_epochs": 200})
    before = handled()
    with pytest.raises(KeyboardInterrupt):
        model.fit(monthly())
    assert handled() is before
    assert model.predict(3).n_timesteps == 3


def test_an_interrupted_model_learns_on(small, monthly):
    model = VanillaLSTMModel(**with_trainer(small, Interrupt()))
    with pytest.raises(KeyboardInterrupt):
        model.fit(monthly())
    model.trainer_params["callbacks"].clear()
    epochs = model.epochs_trained
    assert model.fit(monthly()).epochs_trained == epochs + 2


def test_another_thread_learns_the_same(small, monthly):
    """Only the main thread has signal handlers."""
    found = []

    def fit():
        found.append(weights_of(VanillaLSTMModel(**small).fit(monthly())))

    thread = threading.Thread(target=fit)
    thread.start()
    thread.join()
    fit()
    assert torch.equal(*found)


def test_a_failed_fit_is_no_fit(small, monthly):
    class Fail(Callback):
        def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
            raise RuntimeError("broken callback")

    model = VanillaLSTMModel(**with_trainer(small, Fail()))
    with pytest.raises(RuntimeError, match="broken callback"):
        model.fit(monthly())
    with pytest.raises(ValueError, match="fit"):
        model.predict(3)


def test_training_that_diverges_begins_again_at_a_tenth_of_the_rate(
    make, monthly, diverge_above
):
    slow = make(optimizer_kwargs={"lr": 0.005}).fit(monthly())
    diverge_above(0.01)
    fast = make(optimizer_kwargs={"lr": 0.05})
    with pytest.warns(TrainingWarning, match="at a learning rate of 0.05; .* at 0.005"):
        fast.fit(monthly())
    assert fast.epochs_trained == slow.epochs_trained
    assert_array_equal(fast.predict(6).values(), slow.predict(6).values())


def test_what_a_callback_has_watched_does_not_begin_again(
    small, monthly, diverge_above
):
    diverge_above(0.0)
    model = VanillaLSTMModel(**with_trainer(small, Callback()))
    with pytest.raises(TrainingError, match="diverged"):
        model.fit(monthly())


def test_divergence_is_an_error_and_gives_no_forecast(make, monthly, diverge_above):
    diverge_above(0.0)
    model = make(optimizer_kwargs={"lr": 1.0})
    with (
        pytest.warns(TrainingWarning, match=r"rate of 1; it begins again at 0\.1"),
        pytest.raises(TrainingError, match=r"diverged.*optimizer_kwargs=\{'lr': 1e-3"),
    ):
        model.fit(monthly())
    with pytest.raises(ValueError, match="must be fit"):
        model.predict(6, monthly())


def test_a_broken_network_never_forecasts(make, monthly):
    for likelihood in (None, "quantile"):
        model = make(likelihood=likelihood).fit(monthly())
        with torch.no_grad():
            next(model.network_.network.parameters()).fill_(torch.nan)
        with pytest.raises(TrainingError, match="not finite"):
            model.predict(6)
        with pytest.raises(TrainingError, match="not finite"):
            model.historical_forecasts(monthly(), retrain=False)


# -- dropout in forecasts -----------------------------------------------------------


@pytest.mark.parametrize("likelihood", [None, "normal"])
def test_mc_dropout_is_reproducible(small, monthly, likelihood):
    settings = {**small, "num_layers": 2, "dropout": 0.4, "likelihood": likelihood}
    model = StackedLSTMModel(**settings).fit(monthly())

    def samples(**given):
        given = {"num_samples": 8, "mc_dropout": True, "random_state": 1, **given}
        return model.predict(15, **given).all_values()

    first = samples()
    assert first.shape == (15, 1, 8)
    assert_array_equal(samples(), first)
    assert np.abs(samples(random_state=2) - first).max() > 1e-3
    assert (first.std(-1) > 1e-4).all()
    # and dropout is over afterwards
    assert_array_equal(model.predict(6).values(), model.predict(6).values())


def test_mc_dropout_of_a_single_sample_differs_from_none(small, monthly):
    settings = {**small, "num_layers": 2, "dropout": 0.4}
    model = StackedLSTMModel(**settings).fit(monthly())
    plain = model.predict(6).values()
    dropped = model.predict(6, mc_dropout=True, random_state=1).values()
    assert np.abs(plain - dropped).max() > 1e-4


def test_paths_are_seeded(small, monthly):
    model = VanillaLSTMModel(**small, likelihood="normal").fit(monthly())
    first, again, other = (
        model.predict(15, num_samples=20, random_state=seed).all_values()
        for seed in (1, 1, 2)
    )
    assert_array_equal(first, again)
    assert not np.array_equal(first, other)
