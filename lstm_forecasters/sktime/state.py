"""A forecaster as data: what JSON and arrays can say of its state, and back."""

from __future__ import annotations

import io
import json
import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from sktime.datatypes import convert_to
from sktime.forecasting.base import BaseForecaster, ForecastingHorizon

from lstm_forecasters.backend.files import WRONG_CONTENT, Archive
from lstm_forecasters.backend.windows import Layout
from lstm_forecasters.errors import FileFormatError, ParameterTypeError
from lstm_forecasters.sktime.context import Context, Covariates, Series
from lstm_forecasters.sktime.timegrid import TimeGrid
from lstm_forecasters.specs import plain

__all__ = ["dump_state", "read_saved", "restore_state", "zip_saved"]

NETWORKS = ("network_", "pretrained_network_")
ENTRIES = ("_metadata", "_obj")
LONGEST_TIME_AXIS = 100_000_000


def dump_state(forecaster: BaseForecaster, *, keep_context: bool) -> Archive:
    """Return a forecaster's parameters and networks, and the context if asked for.

    Raises
    ------
    ParameterTypeError
        If a parameter or a name cannot be written to a file as data.
    """
    held = [name for name in NETWORKS if hasattr(forecaster, name)]
    if not keep_context and "network_" in held:
        held = ["network_"]
    extra: dict[str, Any] = {
        "ecosystem": "sktime",
        "parameters": {
            name: os.fspath(value) if isinstance(value, os.PathLike) else plain(value)
            for name, value in forecaster.get_params(deep=False).items()
        },
        "networks": held,
    }
    tensors: dict[str, torch.Tensor] = {}
    if keep_context and forecaster.is_fitted:
        extra["context"], tensors = _dump_context(forecaster._context)
        extra["target"] = _dump_target(forecaster)
        extra["fh"] = _dump_horizon(forecaster._fh)
    models = [getattr(forecaster, name) for name in held]
    layouts = [model.layout for model in models]
    named = [
        [[*one.past_covariates, *one.future_covariates] for one in layouts],
        extra.get("context"),
        extra.get("target"),
    ]
    try:
        json.dumps(extra)
        if json.loads(json.dumps(named)) != named:
            raise TypeError("a name is neither a number nor a string")
    except TypeError as error:
        raise ParameterTypeError(
            f"the forecaster cannot be written to a file as data: {error}. Use numbers "
            "and strings for parameters (random_state among them) and for names, or "
            "pickle the forecaster."
        ) from error
    return Archive(models, extra, tensors)


def restore_state(forecaster: BaseForecaster, archive: Archive) -> None:
    """Give a new forecaster the networks, and the context if there is one."""
    extra = archive.extra
    try:
        networks = dict(zip(extra["networks"], archive.models, strict=True))
        if not networks.keys() <= set(NETWORKS):
            raise ValueError(f"networks are called {NETWORKS}, not {list(networks)}")
        if "context" not in extra:
            for model in networks.values():
                forecaster.pretrained_network_ = model
        else:
            for name, model in networks.items():
                setattr(forecaster, name, model)
        if hasattr(forecaster, "pretrained_network_"):
            forecaster._pretrained_attrs = ["pretrained_network_"]
            forecaster._state = "pretrained"
        if "context" in extra:
            context = _load_context(extra["context"], archive.tensors)
            _check_context(context, forecaster.network_.layout)
            forecaster._adopt(forecaster.network_, context)
            _restore_target(forecaster, extra["target"])
            forecaster._fh = _load_horizon(extra["fh"])
            forecaster._is_vectorized = False
            forecaster._state = "fitted"
    except WRONG_CONTENT as error:
        raise FileFormatError(
            f"the file does not hold the state of a forecaster: {error}. Use another "
            "copy, or save the forecaster again."
        ) from error


def zip_saved(metadata: bytes, state: bytes) -> bytes:
    """Return the zip file that sktime's own loading finds its two entries in."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for name, data in zip(ENTRIES, (metadata, state), strict=True):
            file.writestr(name, data)
    return buffer.getvalue()


def read_saved(path: str | os.PathLike[str]) -> bytes:
    """Return the state in the zip file that ``save`` wrote, whose name has ``.zip``.

    Nothing is unpickled and nothing unpacked: the entries have to be the two that
    ``save`` writes, stored as they are and undamaged.

    Raises
    ------
    FileFormatError
        If the file is damaged or foreign.
    """
    data = Path(path).read_bytes()
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as file:
            entries = file.infolist()
            if sorted(entry.filename for entry in entries) != sorted(ENTRIES):
                raise ValueError(f"it does not hold {ENTRIES}, each once")
            if any(
                entry.compress_type != zipfile.ZIP_STORED
                or entry.compress_size != entry.file_size
                for entry in entries
            ):
                raise ValueError("it is compressed, which save never does")
            if damaged := file.testzip():
                raise ValueError(f"the checksum of {damaged} is wrong")
            return file.read("_obj")
    except (zipfile.BadZipFile, EOFError, *WRONG_CONTENT) as error:
        raise FileFormatError(
            f"the file is damaged, or none that save has written: {error}. Use another "
            "copy, or save the forecaster again."
        ) from error


def _dump_index(index: pd.Index) -> dict[str, Any]:
    """Return an index as JSON."""
    if isinstance(index, pd.MultiIndex):
        levels = [
            _dump_index(index.get_level_values(level)) for level in range(index.nlevels)
        ]
        return {"kind": "multi", "levels": levels}
    name = index.name
    if isinstance(index, pd.PeriodIndex):
        values = [str(value) for value in index]
        return {
            "kind": "period",
            "values": values,
            "freq": index.freqstr,
            "name": name,
        }
    if isinstance(index, pd.DatetimeIndex):
        return {
            "kind": "datetime",
            "values": [value.isoformat() for value in index],
            "freq": index.freqstr,
            "unit": index.unit,
            "tz": None if index.tz is None else str(index.tz),
            "name": name,
        }
    if isinstance(index, pd.TimedeltaIndex):
        values = [value.isoformat() for value in index]
        return {"kind": "timedelta", "values": values, "name": name}
    return {"kind": "plain", "values": index.tolist(), "name": name}


def _load_index(data: dict[str, Any]) -> pd.Index:
    """Return the index that ``_dump_index`` described."""
    kind = data["kind"]
    if kind == "multi":
        return pd.MultiIndex.from_arrays([_load_index(one) for one in data["levels"]])
    if kind == "period":
        return pd.PeriodIndex(data["values"], freq=data["freq"], name=data["name"])
    if kind == "datetime":
        times = pd.DatetimeIndex(
            pd.to_datetime(data["values"], format="ISO8601", utc=data["tz"] is not None)
        )
        if data["tz"] is not None:
            times = times.tz_convert(data["tz"])
        times = times.as_unit(data["unit"]).rename(data["name"])
        return pd.DatetimeIndex(times, freq=data["freq"])
    if kind == "timedelta":
        return pd.TimedeltaIndex(data["values"], name=data["name"])
    return pd.Index(data["values"], name=data["name"])


def _dump_grid(grid: TimeGrid) -> dict[str, Any]:
    """Return a time grid as JSON: two time stamps, which carry its frequency."""
    return _dump_index(grid.index(np.array([0, 1])))


def _load_grid(data: dict[str, Any]) -> TimeGrid:
    """Return the grid that ``_dump_grid`` described."""
    return TimeGrid.of(_load_index(data))


def _dump_context(context: Context) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    """Return a context as JSON and arrays."""
    data = {
        "grid": _dump_grid(context.grid),
        "instances": None
        if context.instances is None
        else _dump_index(context.instances),
        "columns": _dump_index(context.columns),
        "past_covariates": list(context.covariates.past),
        "future_covariates": list(context.covariates.future),
    }
    arrays = {
        "first": np.array([one.first for one in context.series]),
        "length": np.array([len(one.values) for one in context.series]),
        "values": np.concatenate([one.values for one in context.series]),
        "covariates": np.concatenate([one.covariates for one in context.series]),
    }
    return data, {name: torch.from_numpy(array) for name, array in arrays.items()}


def _load_context(data: dict[str, Any], tensors: Any) -> Context:
    """Return the context that ``_dump_context`` described."""
    lengths = tensors["length"].numpy()
    ends = np.cumsum(lengths)
    if (lengths < 1).any() or not ends[-1] == len(tensors["values"]):
        raise ValueError("the lengths are not those of the series")
    series = zip(
        tensors["first"].tolist(),
        np.split(tensors["values"].numpy(), ends[:-1]),
        np.split(tensors["covariates"].numpy(), ends[:-1]),
        strict=True,
    )
    return Context(
        grid=_load_grid(data["grid"]),
        instances=None if data["instances"] is None else _load_index(data["instances"]),
        columns=_load_index(data["columns"]),
        covariates=Covariates(
            tuple(data["past_covariates"]), tuple(data["future_covariates"])
        ),
        series=tuple(Series(*one) for one in series),
    )


def _check_context(context: Context, layout: Layout) -> None:
    """Refuse a context that is none, or not of the network with this layout."""
    panel, covariates = context.panel(), context.covariates
    if (covariates.past, covariates.future) != (
        layout.past_covariates,
        layout.future_covariates,
    ):
        raise ValueError(f"the network knows other covariates than {covariates}")
    n_series = 1 if context.instances is None else len(context.instances)
    if len(context.series) != n_series:
        raise ValueError(f"{len(context.series)} series have {n_series} keys")
    shape = (len(context.columns), len(covariates.names))
    for one in context.series:
        if (one.values.shape[1], one.covariates.shape[1]) != shape:
            raise ValueError("series and columns do not match")
        if not -LONGEST_TIME_AXIS < one.first < LONGEST_TIME_AXIS:
            raise ValueError(f"a series begins at time step {one.first}")
    if layout.n_channels not in (1, len(context.columns)):
        raise ValueError("the network forecasts another number of columns")
    if panel.values.dtype != np.float64 or np.isinf(panel.values).any():
        raise ValueError("the series hold what is no number")


def _dump_target(forecaster: BaseForecaster) -> dict[str, Any]:
    """Return the kind of container that y came in, for forecasts to go back to."""
    return {
        "mtype": forecaster._y_metadata["mtype"],
        "name": forecaster._converter_store_y.get("name"),
    }


def _restore_target(forecaster: BaseForecaster, data: dict[str, Any]) -> None:
    """Show sktime a few time steps of the context, so that it knows y's container."""
    context = forecaster._context
    n_steps = min(3, *(len(one.values) for one in context.series))
    steps = np.tile(np.arange(1 - n_steps, 1), (len(context.series), 1))
    values = np.concatenate([one.values[-n_steps:] for one in context.series])
    sample = pd.DataFrame(values, index=context.index(steps), columns=context.columns)
    y: Any = sample
    if data["mtype"] == "pd.Series":
        y = sample.iloc[:, 0].rename(data["name"])
    elif data["mtype"] not in forecaster.get_tag("y_inner_mtype"):
        y = convert_to(sample, data["mtype"])
    forecaster._check_X_y(y=y)
    forecaster._set_cutoff_from_y(sample)


def _dump_horizon(fh: ForecastingHorizon | None) -> dict[str, Any] | None:
    """Return a forecasting horizon as JSON."""
    if fh is None:
        return None
    return {"index": _dump_index(fh.to_pandas()), "is_relative": fh.is_relative}


def _load_horizon(data: dict[str, Any] | None) -> ForecastingHorizon | None:
    """Return the horizon that ``_dump_horizon`` described."""
    if data is None:
        return None
    return ForecastingHorizon(
        _load_index(data["index"]), is_relative=data["is_relative"]
    )
