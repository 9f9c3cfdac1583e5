"""The loop: which windows, which steps, which weights in the end."""

import copy

import numpy as np
import pytest
import torch

from lstm_forecasters.backend import training
from lstm_forecasters.backend.recipe import (
    Recipe,
    schedule,
)
from lstm_forecasters.backend.training import (
    LOWER_RATE,
    ClippedAdamW,
    Trainer,
    training_windows,
)
from lstm_forecasters.backend.windows import Layout, Origins, Windows
from lstm_forecasters.errors import TrainingError, TrainingWarning
from lstm_forecasters.specs import (
    ARCHITECTURES,
    BidirectionalLSTM,
    StackedLSTM,
    VanillaLSTM,
)
from tests.backend.series import make_model, make_panel

LAYOUT = Layout(lookback=6, horizon=3, period=2)
WAVE = np.sin(np.arange(60.0)) + 0.1 * np.random.default_rng(0).normal(size=60)


def trainer(model=None, series=(WAVE,), seed=0, layout=LAYOUT, weights=None, **recipe):
    model = make_model(layout, trained=False) if model is None else model
    windows = Windows(make_panel(*series, weights=weights), layout)
    generator = torch.Generator().manual_seed(seed)
    return Trainer(model, windows, Recipe(**{"max_steps": 30, **recipe}), generator)


def batches_of(one):
    """Return the batches of all steps of a trainer."""
    one._start()
    while one.n_done < one.n_steps:
        for batch in one._next_batches(one.n_steps - one.n_done):
            one.n_done += 1
            yield batch


def weights_of(model):
    return torch.cat([one.detach().flatten() for one in model.parameters()])


def all_of(origins):
    """Return series and step of all of them."""
    return origins.at(torch.arange(len(origins)))


def test_origins_are_numbered_through_all_series_that_have_some():
    first, counts = np.array([4, 9, 2, 7]), np.array([3, 0, 1, 2])
    series, steps = Origins(first, counts, 5).at(torch.tensor([5, 0, 3, 2, 4]))
    assert series.tolist() == [3, 0, 2, 0, 3]
    assert steps.tolist() == [12, 4, 2, 14, 7]
    assert len(Origins(first, counts)) == 6
    with pytest.raises(IndexError):
        Origins(first, counts).at(torch.tensor([6]))


@pytest.mark.parametrize("shift", [0, 2])
@pytest.mark.parametrize("fraction", [0.0, 0.3])
def test_origins_by_hand(shift, fraction):
    layout = Layout(lookback=6, horizon=3, output_shift=shift)
    lengths = [30, 8, 2, 1]
    windows = Windows(make_panel(*(np.arange(float(n)) for n in lengths)), layout)
    train, validation = training_windows(windows, fraction)
    series, steps = all_of(train)
    for number, length in enumerate(lengths):
        first = max(1, min(6, length - 3 - shift))
        origins = list(range(first, length - shift))
        kept = int(len(origins) * fraction)
        expected = origins[: len(origins) - kept]
        if kept:
            expected = [o for o in expected if o + shift + 3 <= origins[-kept]]
        assert steps[series == number].tolist() == expected
        if fraction:
            judged, ends = all_of(validation)
            found = ends[judged == number].tolist()
            assert found == origins[len(origins) - kept :]
    assert (validation is None) == (fraction == 0)


def test_without_gradients_weights_end_at_the_decays_share(monkeypatch):
    monkeypatch.setattr(training, "adam", lambda *args, **settings: None)
    for decay in (0.0, 0.7):
        one = trainer(make_model(LAYOUT), max_steps=200, weight_decay=decay)
        before = {name: p.detach().clone() for name, p in one.model.named_parameters()}
        one.run()
        for name, after in one.model.named_parameters():
            share = np.exp(-decay) if after.ndim > 1 else 1.0
            torch.testing.assert_close(after, share * before[name], rtol=0.02, atol=0)


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


class Noted:
    """An optimiser that keeps the gradients, and takes no step."""

    def __init__(self, model):
        self.parameters = list(model.parameters())

    def step(self, gradients, rate):
        self.gradient = torch.cat([one.flatten() for one in gradients])


def first_batch(one, n_windows=16):
    """Return windows whose weights sum to 1."""
    batch = one._gather(one.training, torch.arange(n_windows))
    batch.weight = batch.weight / batch.weight.sum()
    return batch


def test_an_ensemble_learns_the_same_from_the_same_seed():
    spec = StackedLSTM(hidden_size=6, dropout=0.3, n_members=3)
    runs = []
    for seed in (0, 0, 1):
        model = make_model(LAYOUT, spec, trained=False)
        runs.append(weights_of(trainer(model, seed=seed).run()))
    assert torch.equal(runs[0], runs[1])
    assert not torch.equal(runs[0], runs[2])


@pytest.mark.parametrize("cells", [2**19, 100])  # whole, and in parts
def test_each_member_has_as_many_windows_a_step_as_one_network(monkeypatch, cells):
    monkeypatch.setattr(training, "MICRO_BATCH_CELLS", cells)
    spec = VanillaLSTM(hidden_size=6, n_members=3)
    one = trainer(make_model(LAYOUT, spec), batch_size=8)
    read = [[], [], []]
    for member, sizes in zip(one.model.network.members, read, strict=True):
        member.register_forward_pre_hook(
            lambda module, given, sizes=sizes: sizes.append(len(given[0]))
        )
    one.model.train()
    one.step(Noted(one.model), next(batches_of(one)), 0.1)
    assert [sum(sizes) for sizes in read] == [8, 8, 8]


@pytest.mark.parametrize("spec", [None, BidirectionalLSTM(hidden_size=6)])
def test_micro_batches_give_the_same_gradient(monkeypatch, spec):
    found = []
    for cells in (2**19, 100):
        monkeypatch.setattr(training, "MICRO_BATCH_CELLS", cells)
        one = trainer(make_model(LAYOUT, spec, "normal"))
        batch, optimizer = first_batch(one), Noted(one.model)
        loss = one.step(optimizer, batch, 0.1)
        size = training.micro_batch_size(one.model, batch)
        found.append((size, loss, optimizer.gradient))
    (whole, loss, gradient), (part, other_loss, other) = found
    assert whole == 16
    assert part < 4
    torch.testing.assert_close(loss, other_loss)
    torch.testing.assert_close(gradient, other, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("largest_norm", [1e-2, 1e6])
def test_the_optimiser_is_adamw_on_clipped_gradients(largest_norm):
    one = trainer(make_model(LAYOUT, likelihood="normal"))
    theirs = copy.deepcopy(one.model)
    ours = ClippedAdamW(one.model, largest_norm, weight_decay=0.5)
    groups = [
        {"params": [p for p in theirs.parameters() if p.ndim > 1], "weight_decay": 0.5},
        {"params": [p for p in theirs.parameters() if p.ndim == 1], "weight_decay": 0},
    ]
    optimizer = torch.optim.AdamW(groups)
    norms = []
    for step, batch in zip(range(30), batches_of(one), strict=True):
        rate = 0.02 * schedule(step, 30)
        for group in optimizer.param_groups:
            group["lr"] = rate
        optimizer.zero_grad()
        trainer(theirs).loss(batch).backward()
        norms.append(torch.nn.utils.clip_grad_norm_(theirs.parameters(), largest_norm))
        optimizer.step()
        one.step(ours, batch, rate)
        torch.testing.assert_close(
            weights_of(one.model), weights_of(theirs), rtol=0, atol=1e-6
        )
    assert (min(norms) > largest_norm) or (max(norms) < largest_norm)


def test_weights_of_every_batch_sum_to_one():
    weights = np.random.default_rng(1).uniform(size=(60, 1))
    weights[40:48] = 0
    one = trainer(weights=weights, batch_size=8)
    totals = [batch.weight.sum().item() for batch in batches_of(one)]
    np.testing.assert_allclose(totals, np.ones(30), rtol=1e-5)


def test_a_batch_of_windows_without_weight_weighs_nothing():
    weights = np.zeros((60, 1))
    weights[:15] = 1
    one = trainer(weights=weights, batch_size=2)
    totals = np.array([batch.weight.sum().item() for batch in batches_of(one)])
    assert (totals == 0).any()
    np.testing.assert_allclose(totals[totals != 0], 1.0, rtol=1e-5)


def test_every_window_comes_once_before_any_comes_twice():
    one = trainer(batch_size=8)
    one._start()
    n_windows = len(one.training)
    rows = torch.cat([one._next_rows(3) for _ in range(n_windows)])
    for first in range(0, len(rows) - n_windows, n_windows):
        assert len(set(rows[first : first + n_windows].tolist())) == n_windows


def test_channels_that_are_forecast_alone_are_drawn_one_by_one():
    one = trainer(series=[np.stack([WAVE, 10 * WAVE[::-1]], 1)], batch_size=8)
    assert len(one.training) == 54
    batches = [batch for batch, _ in zip(batches_of(one), range(13), strict=False)]
    assert {batch.target.shape for batch in batches} == {(8, 3, 1)}
    drawn = torch.cat([batch.target for batch in batches])[:, :, 0].numpy()
    windows = one.windows.gather(*all_of(one.training), with_target=True)
    every = one.model.prepare(windows).target[:, :, 0].numpy()
    assert len(np.unique(every, axis=0)) == 108
    assert len(np.unique(drawn, axis=0)) == len(drawn) == 104
    both = np.concatenate([drawn, every])
    assert len(np.unique(both, axis=0)) == 108


@pytest.mark.parametrize("spec", ARCHITECTURES.values())
@pytest.mark.parametrize("likelihood", [None, "quantile", "normal", "student_t"])
def test_half_precision_learns_nearly_the_same(spec, likelihood):
    losses, types = [], set()
    for precision in ("float32", "bf16"):
        model = make_model(LAYOUT, spec(hidden_size=6), likelihood, trained=False)
        one = trainer(model, precision=precision, max_steps=150)
        rows = torch.arange(len(one.training))
        before = one.loss(one._gather(one.training, rows)).item()
        model = one.run()
        losses.append(before - one.loss(one._gather(one.training, rows)).item())
        types |= {p.dtype for p in model.parameters()}
    assert types == {torch.float32}
    with torch.autocast("cpu", torch.bfloat16):  # the network, not the likelihood
        columns = one._gather(one.training, rows)
        inputs = columns.history, columns.horizon, columns.static
        raw = one.model.network(*inputs)  # float32 where other seasons are added
        assert raw.dtype == torch.bfloat16 or not one.model.spec.linear_path
        found = one.model(columns)
    expected = one.model.likelihood.parameters(raw.float(), columns.frame.path)
    assert torch.equal(found, expected)
    assert losses[0] != losses[1]
    assert losses[1] == pytest.approx(losses[0], rel=0.1)


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
    for one in (first, second):
        one.training = Origins(np.array([6]), np.array([52]))
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


@pytest.mark.parametrize(("n_steps", "every"), [(90, 10), (860, 21)])
def test_validation_comes_forty_times_and_no_more_often_than_every_ten_steps(
    n_steps, every, monkeypatch
):
    one = trainer(max_steps=n_steps, validation_fraction=0.3, patience=1000)
    validated = []
    monkeypatch.setattr(one, "step", lambda *_: torch.tensor(0.0))
    monkeypatch.setattr(one, "validate", lambda: validated.append(one.n_done) or 0.0)
    one.run()
    assert validated == list(range(every, n_steps + 1, every))


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


def diverging_above(rate, monkeypatch):
    """Make every step at a larger learning rate end in weights that are no numbers."""
    step = ClippedAdamW.step

    def stepping(self, gradients, given):
        step(self, gradients, given)
        if given > rate:
            with torch.no_grad():
                self.parameters[0].fill_(torch.nan)

    monkeypatch.setattr(ClippedAdamW, "step", stepping)


def test_training_that_diverges_begins_again_at_a_tenth_of_the_rate(monkeypatch):
    diverging_above(0.01, monkeypatch)
    slow, fast = trainer(learning_rate=0.005), trainer(learning_rate=0.05)
    fast.weight_decay /= LOWER_RATE
    with pytest.warns(TrainingWarning, match="at a learning rate of 0.05; .* at 0.005"):
        fast.run()
    assert fast.n_done == fast.n_steps
    slow.generator.set_state(fast.generator.get_state())
    slow.run()
    assert weights_of(fast.model).isfinite().all()
    assert not torch.equal(weights_of(fast.model), weights_of(trainer().model))


def test_training_that_diverges_twice_is_an_error():
    one = trainer(make_model(LAYOUT, likelihood="normal"), learning_rate=1e38)
    with (
        pytest.warns(TrainingWarning, match=r"1e\+38; it begins again at 1e\+37"),
        pytest.raises(TrainingError, match=r"diverged twice.*below 1e\+37"),
    ):
        one.run()


def test_training_stops_early_when_it_diverges(monkeypatch):
    diverging_above(0, monkeypatch)
    monkeypatch.setattr(training, "BLOCK_CELLS", 1)
    one = trainer(max_steps=1000)
    with pytest.warns(TrainingWarning), pytest.raises(TrainingError):
        one.run()
    assert one.n_done == 2


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
