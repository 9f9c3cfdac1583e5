"""The loop: which windows, which steps, which weights in the end."""

import numpy as np
import pytest
import torch

from lstm_forecasters.backend import training
from lstm_forecasters.backend.training import (
    Recipe,
    Trainer,
    default_lookback,
    default_steps,
    training_windows,
)
from lstm_forecasters.backend.windows import Layout, Windows
from lstm_forecasters.errors import TrainingError
from lstm_forecasters.specs import BidirectionalLSTM, StackedLSTM
from tests.backend.series import make_model, make_panel

LAYOUT = Layout(lookback=6, horizon=3, period=2)
WAVE = np.sin(np.arange(60.0)) + 0.1 * np.random.default_rng(0).normal(size=60)


def trainer(model=None, series=(WAVE,), seed=0, layout=LAYOUT, weights=None, **recipe):
    model = make_model(layout, trained=False) if model is None else model
    windows = Windows(make_panel(*series, weights=weights), layout)
    generator = torch.Generator().manual_seed(seed)
    return Trainer(model, windows, Recipe(**{"max_steps": 30, **recipe}), generator)


def weights_of(model):
    return torch.cat([one.detach().flatten() for one in model.parameters()])


@pytest.mark.parametrize("shift", [0, 2])
@pytest.mark.parametrize("fraction", [0.0, 0.3])
def test_origins_by_hand(shift, fraction):
    layout = Layout(lookback=6, horizon=3, output_shift=shift)
    lengths = [30, 8, 2, 1]
    windows = Windows(make_panel(*(np.arange(float(n)) for n in lengths)), layout)
    train, validation = training_windows(windows, fraction)
    for number, length in enumerate(lengths):
        first = max(1, min(6, length - 3 - shift))
        origins = list(range(first, length - shift))
        kept = int(len(origins) * fraction)
        expected = origins[: len(origins) - kept]
        if kept:
            expected = [o for o in expected if o + shift + 3 <= origins[-kept]]
        assert train[1][train[0] == number].tolist() == expected
        if fraction:
            found = validation[1][validation[0] == number].tolist()
            assert found == origins[len(origins) - kept :]
    assert (validation is None) == (fraction == 0)


def test_steps_and_lookback_grow_with_the_data():
    steps = [default_steps(10**power) for power in range(1, 7)]
    assert steps == sorted(steps)
    assert (steps[0], steps[-1]) == (300, 2000)
    assert [default_lookback(12, 24, n) for n in (999, 1000)] == [24, 36]
    assert [default_lookback(24, 48, n) for n in (999, 1000)] == [168, 336]
    assert default_lookback(1, 20, 500) == 40


def test_training_learns():
    one = trainer(max_steps=150)
    before = one.loss(one._gather(one.training, torch.arange(20))).item()
    one.run()
    after = one.loss(one._gather(one.training, torch.arange(20))).item()
    assert after < 0.4 * before


def test_same_seed_same_network_and_no_other_randomness():
    spec = StackedLSTM(hidden_size=6, dropout=0.3)
    state = torch.get_rng_state()
    runs = []
    for seed in (0, 0, 1):
        model = make_model(LAYOUT, spec, seed=seed, trained=False)
        runs.append(weights_of(trainer(model, seed=seed).run()))
        torch.rand(3)  # somebody else draws
        torch.set_rng_state(state)
    assert torch.equal(runs[0], runs[1])
    assert not torch.equal(runs[0], runs[2])


@pytest.mark.parametrize("spec", [None, BidirectionalLSTM(hidden_size=6)])
def test_micro_batches_give_the_same_gradient(monkeypatch, spec):
    gradients = []
    for cells in (2**19, 100):
        monkeypatch.setattr(training, "MICRO_BATCH_CELLS", cells)
        one = trainer(make_model(LAYOUT, spec, "normal"))
        batch = one._gather(one.training, torch.arange(16))
        optimizer = torch.optim.SGD(one.model.parameters(), lr=0.0)
        loss = one.step(optimizer, batch)
        grads = torch.cat([p.grad.flatten() for p in one.model.parameters()])
        size = training.micro_batch_size(one.model, batch)
        gradients.append((size, loss.detach(), grads))
    (whole, loss, gradient), (part, other_loss, other) = gradients
    assert whole == 16
    assert part < 4
    torch.testing.assert_close(loss, other_loss)
    torch.testing.assert_close(gradient, other, rtol=1e-4, atol=1e-6)


def test_gradient_is_clipped():
    one = trainer(make_model(LAYOUT, likelihood="normal"), gradient_clip=0.01)
    batch = one._gather(one.training, torch.arange(16))
    one.step(torch.optim.SGD(one.model.parameters(), lr=0.0), batch)
    norm = torch.stack([p.grad.norm() for p in one.model.parameters()]).norm()
    assert norm.item() == pytest.approx(0.01, rel=1e-4)


def test_every_window_comes_once_before_any_comes_twice():
    one = trainer(batch_size=8)
    n_windows = len(one.training[0])
    order = one._shuffled_rows()
    rows = torch.cat([next(order) for _ in range(n_windows)])
    for first in range(0, len(rows) - n_windows, n_windows):
        assert len(set(rows[first : first + n_windows].tolist())) == n_windows


def test_missing_targets_and_zero_weights_teach_nothing():
    missing = WAVE.copy()
    missing[-3:] = np.nan
    spoilt = WAVE.copy()
    spoilt[-3:] = 1e6
    weights = np.ones((60, 1))
    weights[-3:] = 0
    # lookback windows never reach the last three values: only targets do
    layout = Layout(lookback=6, horizon=3, period=2)
    first = trainer(series=(missing,), layout=layout)
    second = trainer(series=(spoilt,), layout=layout, weights=weights)
    origins = torch.arange(6, 58)
    for one in (first, second):
        one.training = (torch.zeros(52, dtype=torch.int64), origins)
    assert torch.equal(weights_of(first.run()), weights_of(second.run()))


def test_validation_keeps_the_best_weights_and_stops_early(monkeypatch):
    one = trainer(max_steps=400, validation_fraction=0.3, patience=2)
    losses, weights = [], []
    validate = Trainer.validate

    def noted(self):
        losses.append(validate(self) if len(losses) < 3 else 1e9)
        weights.append(weights_of(self.model).clone())
        return losses[-1]

    monkeypatch.setattr(Trainer, "validate", noted)
    one.run()
    best = int(np.argmin(losses))
    assert len(losses) == max(best, 2) + 1 + 2 if best == 2 else len(losses) < 8
    assert torch.equal(weights_of(one.model), weights[best])


def test_interrupted_training_keeps_the_network_and_raises(monkeypatch):
    one = trainer(max_steps=100)
    untouched = weights_of(one.model).clone()
    step, steps = Trainer.step, []

    def interrupted(self, *args):
        steps.append(1)
        if len(steps) == 20:
            raise KeyboardInterrupt
        return step(self, *args)

    monkeypatch.setattr(Trainer, "step", interrupted)
    with pytest.raises(KeyboardInterrupt):
        one.run()
    assert not one.model.training
    assert weights_of(one.model).isfinite().all()
    assert not torch.equal(weights_of(one.model), untouched)


def test_divergence_is_an_error():
    with pytest.raises(TrainingError, match="learning_rate below 1e"):
        trainer(make_model(LAYOUT, likelihood="normal"), learning_rate=1e38).run()


def test_nothing_to_train_on_is_an_error_before_training():
    with pytest.raises(TrainingError, match="no window to train on"):
        trainer(series=([1.0],))


def test_progress_bar_shows_the_loss(capsys):
    one = trainer()
    one.run()
    assert capsys.readouterr() == ("", "")
    one.verbose = True
    one.run()
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "30/30" in shown.err
    assert "loss=" in shown.err
