"""A training that is resumed ends at the network that it would have ended at."""

import numpy as np
import pytest
import torch

from lstm_forecasters.backend import checkpoints, training
from lstm_forecasters.backend.checkpoints import Checkpoint, fingerprint
from lstm_forecasters.backend.recipe import Recipe
from lstm_forecasters.backend.training import Trainer
from lstm_forecasters.backend.windows import Layout, Windows
from lstm_forecasters.errors import FileFormatError
from lstm_forecasters.specs import EncoderDecoderLSTM, StackedLSTM
from tests.backend.series import make_model, make_panel

LAYOUT = Layout(lookback=6, horizon=3, period=2)
WAVE = np.sin(np.arange(60.0)) + 0.1 * np.random.default_rng(0).normal(size=60)
SPECS = {
    "dropout": StackedLSTM(hidden_size=4, dropout=0.3),
    "ensemble": StackedLSTM(hidden_size=4, n_members=2, dropout=0.1),
    "seq2seq": EncoderDecoderLSTM(hidden_size=4),
}


def prepared(path, spec, seed=3, series=WAVE, **recipe):
    """Return a trainer with a checkpoint, of a model whose seed is that of the fit."""
    model = make_model(LAYOUT, spec, "quantile", seed=seed, trained=False)
    panel = make_panel(series)
    recipe = Recipe(**{"max_steps": 60, "batch_size": 8, **recipe})
    checkpoint = None
    if path is not None:
        checkpoint = Checkpoint(path, fingerprint(model, panel, recipe))
    return Trainer(
        model,
        Windows(panel, LAYOUT),
        recipe,
        torch.Generator().manual_seed(seed),
        checkpoint=checkpoint,
    )


def stop_after(n_steps, monkeypatch):
    """Have the training that follows end in the middle of a step."""
    step = Trainer.step

    def stopping(self, *args):
        if self.n_done == n_steps:
            raise KeyboardInterrupt
        return step(self, *args)

    monkeypatch.setattr(Trainer, "step", stopping)


@pytest.fixture(autouse=True)
def every_three_steps(monkeypatch):
    """Prepare three batches at a time, and keep the state after each three."""
    monkeypatch.setattr(training, "batches_per_block", lambda *_: 3)
    monkeypatch.setattr(checkpoints, "SECONDS_BETWEEN", 0.0)


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
@pytest.mark.parametrize("fraction", [0.0, 0.2])
@pytest.mark.parametrize("n_steps", [20, 47])
def test_an_interrupted_training_ends_at_the_same_network(
    spec, fraction, n_steps, tmp_path, monkeypatch
):
    path = tmp_path / "state"
    settings = {"validation_fraction": fraction, "patience": 3}
    whole = prepared(None, spec, **settings).run().state_dict()
    with monkeypatch.context() as patch:
        stop_after(n_steps, patch)
        with pytest.raises(KeyboardInterrupt):
            prepared(path, spec, **settings).run()
    assert path.exists()
    resumed = prepared(path, spec, **settings)
    done = []
    step = Trainer.step
    monkeypatch.setattr(Trainer, "step", lambda *args: (done.append(1), step(*args))[1])
    found = resumed.run().state_dict()
    assert 0 < len(done) <= 60 - n_steps + 3
    assert not path.exists()
    for name, values in whole.items():
        np.testing.assert_array_equal(found[name].numpy(), values.numpy(), name)


@pytest.mark.parametrize("patience", [4, 100])
def test_the_best_weights_so_far_come_along(patience, tmp_path, monkeypatch):
    """The first validation is the best; four more end the training, or never do."""
    path, spec = tmp_path / "state", SPECS["dropout"]
    settings = {"validation_fraction": 0.2, "patience": patience}
    monkeypatch.setattr(Trainer, "validate", lambda self: float(self.n_done))
    whole = prepared(None, spec, **settings)
    expected = whole.run().state_dict()
    with monkeypatch.context() as patch:
        stop_after(32, patch)
        with pytest.raises(KeyboardInterrupt):
            prepared(path, spec, **settings).run()
    resumed = prepared(path, spec, **settings)
    found = resumed.run().state_dict()
    assert resumed.n_done == whole.n_done == (50 if patience == 4 else 60)
    for name, values in expected.items():
        np.testing.assert_array_equal(found[name].numpy(), values.numpy(), name)


def test_nothing_is_written_before_it_is_time(tmp_path, monkeypatch):
    path = tmp_path / "state"
    stop_after(40, monkeypatch)
    monkeypatch.setattr(checkpoints, "SECONDS_BETWEEN", 1e6)
    with pytest.raises(KeyboardInterrupt):
        prepared(path, SPECS["dropout"]).run()
    assert not path.exists()


@pytest.mark.parametrize(
    "other",
    [
        {"seed": 4},
        {"series": WAVE + 1},
        {"learning_rate": 1e-3},
        {"spec": SPECS["seq2seq"]},
    ],
    ids=lambda other: next(iter(other)),
)
def test_another_training_does_not_go_on_from_it(other, tmp_path, monkeypatch):
    path = tmp_path / "state"
    with monkeypatch.context() as patch:
        stop_after(20, patch)
        with pytest.raises(KeyboardInterrupt):
            prepared(path, SPECS["dropout"]).run()
    before = path.read_bytes()
    with pytest.raises(FileFormatError, match=r"state holds no state of this fit"):
        prepared(path, **{"spec": SPECS["dropout"], **other}).run()
    assert path.read_bytes() == before


def test_a_damaged_state_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "state"
    with monkeypatch.context() as patch:
        stop_after(20, patch)
        with pytest.raises(KeyboardInterrupt):
            prepared(path, SPECS["dropout"]).run()
    data = bytearray(path.read_bytes())
    data[-5] ^= 1
    path.write_bytes(data)
    with pytest.raises(FileFormatError, match="damaged"):
        prepared(path, SPECS["dropout"]).run()
