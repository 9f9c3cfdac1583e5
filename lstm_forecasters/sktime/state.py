"""A forecaster as data: what JSON and arrays can say of its state, and back."""

from __future__ import annotations

import json
import os
from typing import Any

import numpy as np
import pandas as pd
import torch
from sktime.datatypes import convert_to
from sktime.forecasting.base import BaseForecaster, ForecastingHorizon

from lstm_forecasters.backend.files import Archive
from lstm_forecasters.errors import FileFormatError, ParameterTypeError
from lstm_forecasters.sktime.context import Context, Covariates, Series
from lstm_forecasters.sktime.timegrid import TimeGrid

__all__ = ["dump_state", "restore_state"]

NETWORKS = ("network_", "pretrained_network_")


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
            name: os.fspath(value) if isinstance(value, os.PathLike) else value
            for name, value in forecaster.get_params(deep=False).items()
        },
        "networks": held,
    }
    tensors: dict[str, torch.Tensor] = {}
    if keep_context and forecaster.is_fitted:
        extra["context"], tensors = _dump_context(forecaster._context)
        extra["target"] = _dump_target(forecaster)
        extra["fh"] = _dump_horizon(forecaster._fh)
    try:
        json.dumps(extra)
    except TypeError as error:
        raise ParameterTypeError(
            f"the forecaster cannot be written to a file as data: {error}. Use numbers "
            "and strings for parameters (random_state among them) and for names, or "
            "pickle the forecaster."
        ) from error
    models = [getattr(forecaster, name) for name in held]
    return Archive(models, extra, tensors)


def restore_state(forecaster: BaseForecaster, archive: Archive) -> None:
    """Give a new forecaster the networks, and the context if there is one."""
    extra = archive.extra
    try:
        networks = dict(zip(extra["networks"], archive.models, strict=True))
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
            forecaster._adopt(forecaster.network_, context)
            _restore_target(forecaster, extra["target"])
            forecaster._fh = _load_horizon(extra["fh"])
            forecaster._is_vectorized = False
            forecaster._state = "fitted"
    except (KeyError, TypeError, AttributeError) as error:
        raise FileFormatError(f"the file lacks a part of its state: {error}") from error


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
    ends = np.cumsum(tensors["length"].numpy())[:-1]
    series = zip(
        tensors["first"].tolist(),
        np.split(tensors["values"].numpy(), ends),
        np.split(tensors["covariates"].numpy(), ends),
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
