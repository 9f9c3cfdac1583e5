"""A fit that was killed goes on from its checkpoint, in another process."""

import signal
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from lstm_forecasters.backend import checkpoints, training
from lstm_forecasters.backend.training import Trainer
from lstm_forecasters.errors import FileFormatError, ParameterError


@pytest.fixture
def make(make_any):
    """Return a function that constructs a small forecaster, pretrained ones too."""
    return make_any


FIT = """
import sys
import numpy as np
import pandas as pd
from lstm_forecasters import sktime
from lstm_forecasters.backend import checkpoints, training

task, *names = sys.argv[1:]
stop = {"wait": 25, "go on": 10, "fit": None}[task]
checkpoints.SECONDS_BETWEEN = 0.0
training.batches_per_block = lambda *_: 3
step = training.Trainer.step

def stepping(self, *args):
    if self.n_done == stop:
        print("here", flush=True)
        sys.stdin.read()
    return step(self, *args)

training.Trainer.step = stepping
draws = np.random.default_rng(0).normal(size=60).cumsum()
y = pd.Series(draws, index=pd.period_range("2000-01", periods=60, freq="M"))
small = {"hidden_size": 6, "max_steps": 40}
of_name = {
    "StackedLSTMForecaster": {**small, "dropout": 0.2},
    "PretrainedLSTMForecaster": {"window_length": 24, "fine_tune_steps": 40},
}
for name in names:
    settings = {"batch_size": 8, "random_state": 3, **of_name.get(name, small)}
    checkpoint = None if task == "fit" else f"{name}.state"
    forecaster = getattr(sktime, name)(**settings, checkpoint=checkpoint)
    forecaster.fit(y, fh=range(1, 7))
    found = {key: one.numpy() for key, one in forecaster.network_.state_dict().items()}
    found["quantiles"] = forecaster.predict_quantiles(alpha=[0.1, 0.5, 0.9])
    np.savez(f"{name} {task}", **found)
"""


def start(folder, task, *names):
    """Start fits in a process, which works in a folder."""
    return subprocess.Popen(
        [sys.executable, "-c", FIT, task, *names],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=folder,
    )


def test_killed_fits_end_at_the_networks_they_would_have_ended_at(tmp_path):
    """Weights bit for bit, and other files are as they were."""
    signals = {
        "VanillaLSTMForecaster": signal.SIGTERM,
        "StackedLSTMForecaster": signal.SIGINT,
        "BidirectionalLSTMForecaster": signal.SIGKILL,
        "EncoderDecoderLSTMForecaster": signal.SIGTERM,
        "PretrainedLSTMForecaster": signal.SIGKILL,
    }
    sales = tmp_path / "sales.csv"
    sales.write_text("month,sales\n2000-01,3\n")
    waiting = {name: start(tmp_path, "wait", name) for name in signals}
    for name, process in waiting.items():
        assert process.stdout.readline() == "here\n"
        process.send_signal(signals[name])
        _, errors = process.communicate()
        assert process.returncode == -signals[name]
        assert ("KeyboardInterrupt" in errors) == (signals[name] == signal.SIGINT)
    states = {f"{name}.state" for name in signals}
    assert {path.name for path in tmp_path.iterdir()} == {"sales.csv", *states}
    assert sales.read_text() == "month,sales\n2000-01,3\n"
    tasks = [start(tmp_path, task, *signals) for task in ("go on", "fit")]
    for process in tasks:
        assert process.communicate() == ("", "")
    for name in signals:
        found, expected = (
            dict(np.load(tmp_path / f"{name} {task}.npz")) for task in ("go on", "fit")
        )
        assert found.keys() == expected.keys()
        for key, values in expected.items():
            np.testing.assert_array_equal(found[key], values, err_msg=key)
        assert not (tmp_path / f"{name}.state").exists()


@pytest.fixture
def interrupted(make, y, tmp_path, monkeypatch):
    """The path of a state that an interrupted fit has left."""
    state = tmp_path / "state"
    step = Trainer.step

    def stepping(self, *args):
        if self.n_done == 20:
            raise KeyboardInterrupt
        return step(self, *args)

    with monkeypatch.context() as patch:
        patch.setattr(training, "batches_per_block", lambda *_: 3)
        patch.setattr(checkpoints, "SECONDS_BETWEEN", 0.0)
        patch.setattr(Trainer, "step", stepping)
        with pytest.raises(KeyboardInterrupt):
            make(checkpoint=state, max_steps=25).fit(y, fh=[1, 2, 3])
    return state


def test_fit_goes_on_where_it_was_interrupted(make, y, interrupted):
    forecaster = make(checkpoint=str(interrupted), max_steps=25)
    forecaster.fit(y, fh=[1, 2, 3])
    assert not interrupted.exists()
    expected = make(max_steps=25).fit(y, fh=[1, 2, 3]).predict()
    pd.testing.assert_series_equal(forecaster.predict(), expected)


def test_another_fit_does_not_go_on_from_it(make, y, interrupted):
    with pytest.raises(FileFormatError, match="holds no state of this fit"):
        make(checkpoint=interrupted, max_steps=25).fit(y + 1, fh=[1, 2, 3])
    assert interrupted.exists()


def test_a_checkpoint_needs_a_seed(make, y, tmp_path):
    for seed in (None, np.random.RandomState(0)):
        with pytest.raises(ParameterError, match="needs an integer as random_state"):
            make(checkpoint=tmp_path / "state", random_state=seed).fit(y)


def test_every_training_has_its_checkpoint_and_deletes_it(
    make, panel, y, tmp_path, monkeypatch
):
    written = []
    monkeypatch.setattr(training, "batches_per_block", lambda *_: 1)
    monkeypatch.setattr(checkpoints, "SECONDS_BETWEEN", 0.0)
    monkeypatch.setattr(
        checkpoints, "write_atomically", lambda path, data: written.append(path.name)
    )
    settings = {"max_steps": 20, "fine_tune_steps": 20}
    forecaster = make(checkpoint=tmp_path / "state", **settings)
    counts = []
    for call in (
        lambda: forecaster.pretrain(panel, fh=[1, 2]),
        lambda: forecaster.fit(y[:60]),
        lambda: forecaster.update(y[60:]),
    ):
        written.clear()
        call()
        counts.append(len(written))
    assert counts == [20, 20, 2]
    assert set(written) == {"state"}
