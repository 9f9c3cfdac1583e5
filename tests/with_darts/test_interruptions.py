"""Fits that were killed go on from their last checkpoints, in another process."""

import signal
import subprocess
import sys

import numpy as np

FIT = """
import sys
from pathlib import Path
import numpy as np
from darts import TimeSeries
from lstm_forecasters import darts
from lstm_forecasters.darts.module import LSTMModule

task, folder, *names = sys.argv[1:]
training_step = LSTMModule.training_step

def step_or_wait(self, *args):
    if self.epochs_trained == 2 and self.trainer.global_step % 3 == 1:
        print("here", flush=True)
        sys.stdin.read()
    return training_step(self, *args)

step = np.arange(60)
noise = np.random.default_rng(0).normal(size=60)
series = TimeSeries.from_values(step + np.sin(step / 2) + noise)
small = {"likelihood": "quantile", "hidden_size": 6, "n_epochs": 6}
of_name = {
    "StackedLSTMModel": {**small, "dropout": 0.2},
    "PretrainedLSTMModel": {"fine_tune_steps": 18},
}
for name in names:
    kind = name.split()[-1]
    model_class, settings = getattr(darts, kind), of_name.get(kind, small)
    place = {"model_name": name, "work_dir": folder}
    if task == "go on":
        model = model_class.load_from_checkpoint(**place, best=False)
        assert model.epochs_trained == 2, model.epochs_trained
    else:
        model = model_class(
            12, 6, batch_size=16, save_checkpoints=True, random_state=3,
            **place, **settings,
        )
        if task == "wait":
            LSTMModule.training_step = step_or_wait
    model.fit(series)
    assert model.epochs_trained == 6, model.epochs_trained
    weights = {key: one.numpy() for key, one in model.network_.state_dict().items()}
    np.savez(Path(folder, name), **weights)
"""


def start(task, folder, *names):
    """Start fits in a process, whose working directory is beside their folder."""
    elsewhere = folder.parent / "elsewhere"
    elsewhere.mkdir(exist_ok=True)
    return subprocess.Popen(
        [sys.executable, "-c", FIT, task, folder, *names],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=elsewhere,
    )


def test_killed_fits_end_at_the_networks_they_would_have_ended_at(tmp_path):
    """Weights bit for bit: optimiser, schedule, order and dropout are restored.

    Other files are as they were.
    """
    work = tmp_path / "work"
    work.mkdir()
    (work / "sales.csv").write_text("month,sales\n2000-01,3\n")
    kinds = {
        "VanillaLSTMModel": signal.SIGINT,
        "StackedLSTMModel": signal.SIGKILL,
        "BidirectionalLSTMModel": signal.SIGTERM,
        "EncoderDecoderLSTMModel": signal.SIGTERM,
        "PretrainedLSTMModel": signal.SIGKILL,
    }
    waiting = {name: start("wait", work, name) for name in kinds}
    for name, process in waiting.items():
        assert process.stdout.readline() == "here\n"
        process.send_signal(kinds[name])
        _, errors = process.communicate()
        # Lightning makes a SystemExit of SIGTERM.
        expected = 0 if kinds[name] == signal.SIGTERM else -kinds[name]
        assert process.returncode == expected
        assert ("KeyboardInterrupt" in errors) == (kinds[name] == signal.SIGINT)
        assert not (work / f"{name}.npz").exists()
    assert {path.name for path in work.iterdir()} == {"sales.csv", *kinds}
    assert (work / "sales.csv").read_text() == "month,sales\n2000-01,3\n"
    resumed = start("go on", work, *kinds)
    whole = start("fit", work, *(f"whole {name}" for name in kinds))
    for process in (resumed, whole):
        _, errors = process.communicate()
        assert process.returncode == 0, errors
    for name in kinds:
        found, expected = (
            dict(np.load(work / f"{one}.npz")) for one in (name, f"whole {name}")
        )
        assert found.keys() == expected.keys()
        for key, values in expected.items():
            np.testing.assert_array_equal(found[key], values, err_msg=key)
    assert list((tmp_path / "elsewhere").iterdir()) == []
    assert {path.name for path in tmp_path.iterdir()} == {"elsewhere", "work"}
