"""Forecasters of several libraries behind one face, for ``reliability_cases.py``.

Each takes pandas, as its users have it, and turns it into what its library reads in the
plainest way; forecasts come back as arrays. All networks read 12 months, forecast 3,
and have 8 units and about 60 optimiser steps; everything else is the library's default.
The pretrained network has the units that it has, and is fine-tuned by as many steps.
"""

from __future__ import annotations

import importlib
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

WINDOW, HORIZON, UNITS, STEPS, BATCH, EPOCHS = 12, 3, 8, 60, 16, 20
CLASSES = ["Vanilla", "Stacked", "Bidirectional", "EncoderDecoder", "Pretrained"]


class NotOfferedError(Exception):
    """The library has nothing of the kind."""


class Library:
    """One forecaster of a library."""

    takes_covariates = True
    fit_goes_on = False
    has_fitted_values = False

    def new(self, seed: int = 0, columns: list[Any] | None = None, **more: Any) -> Any:
        """Return a forecaster that is not fitted."""
        raise NotImplementedError

    def train(self, model: Any, y: Any, X: Any = None) -> Any:
        """Fit a forecaster on a series and its covariates, and return it."""
        raise NotImplementedError

    def predict(self, model: Any, n: Any = HORIZON, X: Any = None) -> np.ndarray:
        """Return the forecasts of ``n`` steps."""
        raise NotImplementedError

    def predict_raw(self, model: Any, n: Any) -> np.ndarray:
        """Return what a horizon is answered with that may make no sense."""
        return self.predict(model, n)

    def save(self, model: Any, folder: Path) -> Path:
        """Save a forecaster in the library's own way, and return where."""
        raise NotImplementedError

    def load(self, path: Path) -> Any:
        """Load what was saved, as the library's documentation says."""
        raise NotImplementedError

    def poison(self, path: Path, payload: bytes) -> None:
        """Put a hostile pickle in place of what was saved."""
        path.write_bytes(payload)

    def train_with_checkpoints(self, y: Any, folder: Path) -> Any:
        """Fit as one does that expects to be killed."""
        raise NotOfferedError("nothing is saved in training")

    def resume(self, y: Any, folder: Path) -> Any:
        """Go on with a fit that was killed."""
        raise NotOfferedError("nothing is saved in training")

    def fit(self, y: Any, X: Any = None, seed: int = 0, **more: Any) -> Any:
        """Return a forecaster fitted on a series."""
        columns = None if X is None else list(X.columns)
        return self.train(self.new(seed, columns, **more), y, X)


class Sktime(Library):
    """What all forecasters with sktime's interface have in common."""

    has_fitted_values = True

    def train(self, model: Any, y: Any, X: Any = None) -> Any:
        """Fit with the horizon that is to be forecast."""
        known = None if X is None else X.loc[y.index]
        return model.fit(y, X=known, fh=list(range(1, HORIZON + 1)))

    def predict(self, model: Any, n: Any = HORIZON, X: Any = None) -> np.ndarray:
        """Forecast with the covariates after the cutoff."""
        ahead = None if X is None else X.loc[X.index > model.cutoff[0]]
        return np.asarray(model.predict(fh=list(range(1, n + 1)), X=ahead)).ravel()

    def predict_raw(self, model: Any, n: Any) -> np.ndarray:
        """Forecast one step, which counts from the cutoff: 0 and -2 are in the past."""
        return np.asarray(model.predict(fh=n)).ravel()

    def save(self, model: Any, folder: Path) -> Path:
        """Save a zip file."""
        model.save(folder / "model").close()
        return folder / "model.zip"

    def poison(self, path: Path, payload: bytes) -> None:
        """Put the pickle in place of all members of the zip file."""
        with zipfile.ZipFile(path) as file:
            names = file.namelist()
        with zipfile.ZipFile(path, "w") as file:
            for name in names:
                file.writestr(name, payload)


class OursInSktime(Sktime):
    """A forecaster of ``lstm_forecasters.sktime``."""

    def __init__(self, stem: str) -> None:
        module = importlib.import_module("lstm_forecasters.sktime")
        self.kind = getattr(module, f"{stem}LSTMForecaster")
        self.settings = {"hidden_size": UNITS, "max_steps": STEPS}
        if stem == "Pretrained":
            self.settings = {"fine_tune_steps": STEPS}

    def new(self, seed: int = 0, columns: list[Any] | None = None, **more: Any) -> Any:
        """Return the forecaster with a small network."""
        return self.kind(
            window_length=WINDOW,
            horizon=HORIZON,
            batch_size=BATCH,
            random_state=seed,
            **self.settings,
            **more,
        )

    def load(self, path: Path) -> Any:
        """Load by the class, which unpickles nothing."""
        return self.kind.load_from_path(path)

    def train_with_checkpoints(self, y: Any, folder: Path) -> Any:
        """Fit with a checkpoint, where this release has them."""
        if "checkpoint" not in self.kind.get_param_names():
            return super().train_with_checkpoints(y, folder)
        return self.fit(y, checkpoint=str(folder / "checkpoint"))

    def resume(self, y: Any, folder: Path) -> Any:
        """Call the same fit again."""
        return self.train_with_checkpoints(y, folder)


class EsRnn(Sktime):
    """sktime's ESRNNForecaster."""

    takes_covariates = False

    def __init__(self) -> None:
        module = importlib.import_module("sktime.forecasting.es_rnn")
        self.kind = module.ESRNNForecaster
        self.kind()  # which asks for what it depends on

    def new(self, seed: int = 0, columns: list[Any] | None = None, **more: Any) -> Any:
        """Return the forecaster; it takes no seed."""
        return self.kind(
            hidden_size=UNITS,
            num_layer=1,
            window=WINDOW,
            pred_len=HORIZON,
            num_epochs=EPOCHS,
            batch_size=BATCH,
            lr=0.01,
            **more,
        )

    def load(self, path: Path) -> Any:
        """Load by the class."""
        return self.kind.load_from_path(path)


class Darts(Library):
    """What all darts models have in common."""

    kind: Any
    covariates = "future_covariates"
    fit_goes_on = True

    def given(self, X: Any) -> dict[str, Any]:
        """Return covariates as the model's argument."""
        from darts import TimeSeries

        return {} if X is None else {self.covariates: TimeSeries.from_dataframe(X)}

    def series(self, model: Any, y: Any) -> Any:
        """Return the TimeSeries of a series of pandas."""
        from darts import TimeSeries

        return TimeSeries.from_series(y)

    def train(self, model: Any, y: Any, X: Any = None) -> Any:
        """Fit on a TimeSeries."""
        return model.fit(self.series(model, y), **self.given(X))

    def predict(self, model: Any, n: Any = HORIZON, X: Any = None) -> np.ndarray:
        """Forecast from the end of the series of the fit."""
        return np.asarray(model.predict(n, **self.given(X)).all_values().ravel())

    def save(self, model: Any, folder: Path) -> Path:
        """Save the model and, beside it, Lightning's checkpoint."""
        model.save(str(folder / "model.pt"))
        return folder / "model.pt"

    def load(self, path: Path) -> Any:
        """Load by the class."""
        return self.kind.load(str(path))

    def train_with_checkpoints(self, y: Any, folder: Path) -> Any:
        """Fit with a checkpoint after every epoch."""
        place = {"work_dir": str(folder), "model_name": "run"}
        return self.fit(y, save_checkpoints=True, **place)

    def resume(self, y: Any, folder: Path) -> Any:
        """Load the last checkpoint and train until all epochs are done."""
        from darts import TimeSeries

        model = self.kind.load_from_checkpoint("run", str(folder), best=False)
        return model.fit(TimeSeries.from_series(y), epochs=EPOCHS)


class OursInDarts(Darts):
    """A model of ``lstm_forecasters.darts``."""

    def __init__(self, stem: str) -> None:
        module = importlib.import_module("lstm_forecasters.darts")
        self.kind = getattr(module, f"{stem}LSTMModel")
        self.settings = {"hidden_size": UNITS, "n_epochs": EPOCHS}
        if stem == "Pretrained":
            self.fit_goes_on = False
            self.settings = {"fine_tune_steps": STEPS}

    def new(self, seed: int = 0, columns: list[Any] | None = None, **more: Any) -> Any:
        """Return the model with a small network."""
        settings = {**self.settings, "batch_size": BATCH, **more}
        return self.kind(WINDOW, HORIZON, random_state=seed, **settings)

    def series(self, model: Any, y: Any) -> Any:
        """Return a TimeSeries, or ask the model about what darts makes none of."""
        try:
            return super().series(model, y)
        except (TypeError, ValueError):
            model.fit(y)  # whose error says what to do; darts' models ask for the type
            raise

    def resume(self, y: Any, folder: Path) -> Any:
        """Load the last checkpoint and call the same fit again."""
        model = self.kind.load_from_checkpoint("run", str(folder), best=False)
        return self.train(model, y)


class DartsPeer(Darts):
    """One of darts' own recurrent models, as an LSTM."""

    def __init__(self, name: str) -> None:
        self.kind = getattr(importlib.import_module("darts.models"), name)
        self.is_block = name == "BlockRNNModel"
        if self.is_block:
            self.covariates = "past_covariates"

    def new(self, seed: int = 0, columns: list[Any] | None = None, **more: Any) -> Any:
        """Return the model with a small network."""
        length = (
            {"output_chunk_length": HORIZON}
            if self.is_block
            else {"training_length": WINDOW + HORIZON - 1}
        )
        return self.kind(
            input_chunk_length=WINDOW,
            model="LSTM",
            hidden_dim=UNITS,
            n_epochs=EPOCHS,
            batch_size=BATCH,
            random_state=seed,
            **length,
            **more,
        )


class NeuralForecastLstm(Library):
    """neuralforecast's LSTM."""

    def __init__(self) -> None:
        self.core = importlib.import_module("neuralforecast").NeuralForecast
        self.kind = importlib.import_module("neuralforecast.models").LSTM

    def new(self, seed: int = 0, columns: list[Any] | None = None, **more: Any) -> Any:
        """Return the model with a small network; the frequency is that of months."""
        freq = more.pop("freq", "MS")
        model = self.kind(
            h=HORIZON,
            input_size=WINDOW,
            encoder_hidden_size=UNITS,
            decoder_hidden_size=UNITS,
            max_steps=STEPS,
            random_seed=seed,
            futr_exog_list=columns,
            **more,
        )
        return self.core([model], freq=freq)

    def fit(self, y: Any, X: Any = None, seed: int = 0, **more: Any) -> Any:
        """Fit with the frequency 1 where the time axis is one of integers."""
        if pd.api.types.is_integer_dtype(y.index.dtype):
            more["freq"] = 1
        return super().fit(y, X, seed, **more)

    def train(self, model: Any, y: Any, X: Any = None) -> Any:
        """Fit on a long frame."""
        frame = pd.DataFrame({"unique_id": 0, "ds": y.index, "y": y.to_numpy()})
        for name in [] if X is None else X.columns:
            frame[name] = X.loc[y.index, name].to_numpy()
        model.fit(frame)
        model.cutoff = y.index[-1] if len(y) else None
        return model

    def predict(self, model: Any, n: Any = HORIZON, X: Any = None) -> np.ndarray:
        """Forecast from the end of the frame of the fit."""
        given = {} if n == HORIZON else {"h": n}
        if X is not None:
            ahead = X.loc[X.index > model.cutoff].iloc[:n]
            frame = ahead.rename_axis("ds").reset_index().assign(unique_id=0)
            given["futr_df"] = frame
        return model.predict(**given)["LSTM"].to_numpy()

    def save(self, model: Any, folder: Path) -> Path:
        """Save a folder."""
        model.save(str(folder / "model"), save_dataset=True, overwrite=True)
        return folder / "model"

    def load(self, path: Path) -> Any:
        """Load the folder."""
        return self.core.load(str(path))

    def poison(self, path: Path, payload: bytes) -> None:
        """Put the pickle in place of every file of the folder."""
        for file in path.iterdir():
            file.write_bytes(payload)


LIBRARIES = {
    **{f"ours in sktime, {stem}": (OursInSktime, stem) for stem in CLASSES},
    **{f"ours in darts, {stem}": (OursInDarts, stem) for stem in CLASSES},
    "darts BlockRNNModel": (DartsPeer, "BlockRNNModel"),
    "darts RNNModel": (DartsPeer, "RNNModel"),
    "neuralforecast LSTM": (NeuralForecastLstm,),
    "sktime ESRNNForecaster": (EsRnn,),
}
"""From a name to the class behind it and its arguments."""

COLUMNS = [
    "ours in sktime, Vanilla",
    "ours in darts, Vanilla",
    *(name for name in LIBRARIES if not name.startswith("ours")),
]
"""What has a column in the table; the others are listed below it."""


def library(name: str) -> Library:
    """Return a library by its name; its packages are imported now."""
    kind, *arguments = LIBRARIES[name]
    made: Library = kind(*arguments)
    return made
