"""Write the files of this folder anew: ``python -m tests.files.write sktime`` or darts.

They are what version 1 of the format looks like. A later version has to read them, and
to forecast what stands in ``forecasts.json``.
"""

import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd

FOLDER = Path(__file__).parent
FORECASTS = FOLDER / "forecasts.json"
SMALL = {"hidden_size": 2, "random_state": 1}


def series():
    """Return three years of months with a gap, and a covariate for a year more."""
    step = np.arange(48)
    index = pd.period_range("2001-01", periods=48, freq="M")
    y = pd.Series(50 + step + 10 * np.sin(step * np.pi / 6), index=index, name="sales")
    X = pd.DataFrame({"price": np.cos(step)}, index=index)
    y.iloc[7] = np.nan
    return y[:36], X


def write_sktime():
    """Write a file of ``to_file`` and one of ``save``, and return forecasts of each."""
    from lstm_forecasters.backend.pretrained import layout_of
    from lstm_forecasters.sktime import (
        EncoderDecoderLSTMForecaster,
        PretrainedLSTMForecaster,
        StackedLSTMForecaster,
    )
    from lstm_forecasters.specs import PretrainedLSTM
    from tests.backend.series import make_model

    y, X = series()
    forecaster = StackedLSTMForecaster(**SMALL, max_steps=20, likelihood="normal")
    forecaster.fit(y, fh=[1, 2, 14])
    forecaster.to_file(FOLDER / "sktime.safetensors", keep_context=True)
    other = EncoderDecoderLSTMForecaster(**SMALL, max_steps=20, n_members=2)
    other.fit(y, X[:36], fh=[1, 2, 6])
    other.save(FOLDER / "sktime_save").close()
    layout = layout_of(12, horizon=6, lookback=36)
    network = make_model(layout, PretrainedLSTM(hidden_size=2), "quantile")
    small = PretrainedLSTMForecaster.from_network(
        network, fine_tune_steps=20, random_state=1
    )
    small.fit(y, fh=[1, 2, 6])
    small.to_file(FOLDER / "sktime_pretrained.safetensors", keep_context=True)
    return {
        "sktime.safetensors": forecaster.predict().tolist(),
        "sktime_save.zip": other.predict(X=X[36:42]).tolist(),
        "sktime_pretrained.safetensors": small.predict().tolist(),
    }


def write_darts():
    """Write a file of ``to_file`` and the two of ``save``, and return forecasts."""
    from darts import TimeSeries

    from lstm_forecasters.darts import BidirectionalLSTMModel, VanillaLSTMModel

    model = BidirectionalLSTMModel(12, 6, **SMALL, n_epochs=3, likelihood="student_t")
    y = TimeSeries.from_series(series()[0].to_timestamp())
    model.fit(y).to_file(FOLDER / "darts.safetensors")
    other = VanillaLSTMModel(
        12, 6, **SMALL, n_epochs=3, n_members=2, work_dir="darts_logs"
    ).fit(y)
    other.save(str(FOLDER / "darts_save.pt"))
    return {
        "darts.safetensors": model.predict(8, y).values()[:, 0].tolist(),
        "darts_save.pt": other.predict(8).values()[:, 0].tolist(),
    }


if __name__ == "__main__":
    write = {"sktime": write_sktime, "darts": write_darts}[sys.argv[1]]
    known = json.loads(FORECASTS.read_text()) if FORECASTS.exists() else {}
    FORECASTS.write_text(json.dumps({**known, **write()}, indent=1) + "\n")
