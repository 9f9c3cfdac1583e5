"""TimeSeries to the backend's windows: datasets that gather a whole batch at a time.

Series and covariates are laid out once, aligned in time and ordered by name. darts sees
samples of its own kind, one by one, wherever it looks at them; a data loader gets
finished batches.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from darts import TimeSeries
from darts.utils.data import TorchInferenceDataset, TorchTrainingDataset
from darts.utils.data.torch_datasets.utils import (
    TorchInferenceSample,
    TorchTrainingSample,
)

from lstm_forecasters.backend.normalization import LARGEST_VALUE, is_too_large
from lstm_forecasters.backend.windows import (
    Layout,
    Origins,
    Panel,
    WindowBatch,
    Windows,
)
from lstm_forecasters.errors import CovariateError, DataError

__all__ = [
    "InferenceBatch",
    "InferenceWindows",
    "SeriesList",
    "TrainingWindows",
    "common_names",
    "covariates_of_samples",
    "numbered",
    "of_each_component",
    "static_names",
]

ADVICE_ON_SPAN = "Pass longer ones, NaN where they are unknown."


@dataclass(frozen=True)
class SeriesList:
    """Target series and what belongs to them, one of each for every series."""

    series: Sequence[TimeSeries]
    past_covariates: Sequence[TimeSeries] | None = None
    future_covariates: Sequence[TimeSeries] | None = None
    weights: Sequence[TimeSeries] | None = None
    with_static: bool = True

    def __post_init__(self) -> None:
        """Refuse lists that do not belong together."""
        for name in ("past_covariates", "future_covariates", "weights"):
            given = getattr(self, name)
            if given is not None and len(given) != len(self.series):
                raise CovariateError(
                    f"{len(given)} {name} were passed for {len(self.series)} series. "
                    "Pass one for each series, in the same order."
                )
        n_channels = self.series[0].n_components
        for number, one in enumerate(self.series):
            if len(one) == 0:
                raise DataError(f"series {number} is empty. Leave it out.")
            if one.n_components != n_channels:
                raise DataError(
                    f"series 0 has {n_channels} components, but series {number} has "
                    f"{one.n_components}. Pass series with equally many."
                )

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the values, which forecasts keep."""
        return np.result_type(*{one.dtype for one in self.series})

    def ordered(self, names: dict[str, tuple[str, ...] | None]) -> SeriesList:
        """Return the lists with columns in the order of names, where there are any."""
        past, future = (
            None
            if given is None
            else [_in_order(one, names[kind], kind) for one in given]
            for kind, given in (
                ("past_covariates", self.past_covariates),
                ("future_covariates", self.future_covariates),
            )
        )
        series = [_in_order(one, names["target"], "target") for one in self.series]
        if self.with_static and names["static_covariates"] is not None:
            series = [_with_static(one, names["static_covariates"]) for one in series]
        return SeriesList(series, past, future, self.weights, self.with_static)

    def static(self) -> np.ndarray:
        """Return static covariates (I, rows, S), a row for each channel or for all."""
        values = [one.static_covariates_values(copy=False) for one in self.series]
        if not self.with_static or all(one is None for one in values):
            return np.empty((len(self.series), 1, 0))
        shapes = {None if one is None else one.shape for one in values}
        if len(shapes) > 1:
            raise CovariateError(
                "all series must have static covariates of one shape, got the shapes "
                f"{sorted(shapes, key=str)}. Give every series the same columns."
            )
        try:
            return np.stack(values).astype(np.float64)
        except (TypeError, ValueError) as error:
            raise CovariateError(
                "static covariates must be numbers. Encode categories first, by darts' "
                f"StaticCovariatesTransformer, say ({error})."
            ) from error

    def panel(self, layout: Layout, extra_steps: int = 0) -> Panel:
        """Return the series as arrays, each prolonged by some unobserved steps."""
        lengths = np.array([len(one) + extra_steps for one in self.series])
        starts = np.cumsum(lengths) - lengths
        shape = (int(lengths.sum()), self.series[0].n_components)
        values = np.full(shape, np.nan)
        for one, start in zip(self.series, starts, strict=True):
            values[start : start + len(one)] = _values_of(one)
        weights = None
        if self.weights is not None:
            weights = self._aligned(self.weights, starts, lengths, "sample_weight")
            if weights.shape[1] not in (1, shape[1]):
                raise DataError(
                    f"sample_weight has {weights.shape[1]} components, but the series "
                    f"have {shape[1]}. Pass one for all, or one for each."
                )
            weights = np.where(np.isnan(weights), 0.0, weights)
            weights = np.broadcast_to(weights, shape)
            if (weights < 0).any():
                raise DataError(
                    f"sample_weight must not be negative, got {weights.min():.6g}."
                )
            _check_size("sample_weight", weights, starts)
            if not weights.any():
                raise DataError(
                    "sample_weight is 0 or NaN everywhere: there is nothing to learn "
                    "from. Pass weights above 0 for some of the values."
                )
        covariates = {
            name: self._aligned(given, starts, lengths, name)
            for name in ("past_covariates", "future_covariates")
            if (given := getattr(self, name)) is not None
        }
        static = self.static()
        _check_size("target", values, starts)
        for name, array in covariates.items():
            _check_size(name, array, starts)
        _check_size("static_covariates", static, np.arange(len(static)))
        if layout.n_channels > 1 or static.shape[1] == 1:
            static = static.reshape(len(static), -1)
        return Panel(
            values=values,
            lengths=lengths,
            static_covariates=static,
            weights=weights,
            **covariates,
        )

    def _aligned(
        self,
        given: Sequence[TimeSeries],
        starts: np.ndarray,
        lengths: np.ndarray,
        name: str,
    ) -> np.ndarray:
        """Lay out what belongs to the series, NaN where it is not known."""
        n_columns = given[0].n_components
        array = np.full((int(lengths.sum()), n_columns), np.nan)
        for number, one in enumerate(given):
            if one.n_components != n_columns:
                raise CovariateError(
                    f"{name} of series 0 have {n_columns} components, but those of "
                    f"series {number} have {one.n_components}."
                )
            offset = offset_of(one, self.series[number], name, number)
            first, last = max(offset, 0), min(offset + len(one), lengths[number])
            if first < last:
                rows = slice(starts[number] + first, starts[number] + last)
                array[rows] = _values_of(one)[first - offset : last - offset]
        return array

    def check_span(
        self,
        name: str,
        first: Sequence[int] | np.ndarray,
        last: Sequence[int] | np.ndarray,
    ) -> None:
        """Refuse covariates that do not cover the steps from first to before last."""
        for number, one in enumerate(getattr(self, name) or ()):
            offset = offset_of(one, self.series[number], name, number)
            for step, is_missing in (
                (first[number], offset > first[number]),
                (last[number] - 1, offset + len(one) < last[number]),
            ):
                if is_missing:
                    series = self.series[number]
                    label = "sample_weight" if name == "weights" else name
                    raise CovariateError(
                        f"{label} of series {number} must cover "
                        f"{series.start_time() + step * series.freq}, but they go from "
                        f"{one.start_time()} to {one.end_time()}. {ADVICE_ON_SPAN}"
                    )


def _check_size(name: str, array: np.ndarray, starts: np.ndarray) -> None:
    """Refuse values that are too large, in an array with some first row per series."""
    if is_too_large(array):
        place = tuple(np.argwhere(np.abs(array) > LARGEST_VALUE)[0])
        number = int(np.searchsorted(starts, place[0], side="right")) - 1
        value = array[place]
        what = "an infinite value" if np.isinf(value) else f"the value {value}"
        raise DataError(
            f"{name} of series {number} has {what}. Replace it, by NaN if it is "
            f"unknown; the largest magnitude is {LARGEST_VALUE:g}."
        )


def _values_of(series: TimeSeries) -> np.ndarray:
    """Return the values of a series, medians where it holds samples."""
    if series.n_samples == 1:
        values: np.ndarray = series.values(copy=False)
        return values
    return np.asarray(np.median(series.all_values(copy=False), axis=2))


def common_names(given: Sequence[TimeSeries] | None) -> tuple[str, ...] | None:
    """Return the components' names, None where the series do not agree on them."""
    if given is None:
        return None
    return _agreed([tuple(map(str, one.components)) for one in given])


def static_names(series: Sequence[TimeSeries]) -> tuple[str, ...] | None:
    """Return the names of static covariates, None where series do not agree on them."""
    given = [one.static_covariates for one in series]
    if any(one is None for one in given):
        return None
    return _agreed([tuple(map(str, one.columns)) for one in given])


def numbered(kind: str, number: int) -> tuple[str, ...]:
    """Return names for columns that are matched by position."""
    return tuple(f"{kind}_{column}" for column in range(number))


def of_each_component(names: tuple[str, ...], n_channels: int) -> tuple[str, ...]:
    """Return the names of static covariates that every component has its own of."""
    return tuple(f"{row}_{name}" for row in range(n_channels) for name in names)


def _agreed(names: Sequence[tuple[str, ...]]) -> tuple[str, ...] | None:
    """Return the first names where all others are the same, in any order."""
    return names[0] if len({tuple(sorted(one)) for one in names}) == 1 else None


def offset_of(one: TimeSeries, series: TimeSeries, name: str, number: int) -> int:
    """Return the step of a series at which what belongs to it begins."""
    if one.freq != series.freq or one.has_range_index != series.has_range_index:
        raise CovariateError(
            f"{name} of series {number} have the frequency {one.freq}, but the series "
            f"has {series.freq}. Resample them to the frequency of the series."
        )
    start, first = one.start_time(), series.start_time()
    if series.has_range_index:
        offset = (start - first) // series.freq
    else:
        earlier, later = sorted((start, first))
        between = pd.date_range(earlier, later, freq=series.freq)
        offset = (len(between) - 1) * (1 if start >= first else -1)
    if first + offset * series.freq != start:
        raise CovariateError(
            f"{name} of series {number} begin at {start}, which is no time step of the "
            f"series: it begins at {first} with the frequency {series.freq}."
        )
    return offset


def _in_order(one: TimeSeries, names: tuple[str, ...] | None, kind: str) -> TimeSeries:
    """Return a series with its components in the order of names."""
    components = tuple(map(str, one.components))
    if names is None or components == names:
        return one
    if sorted(components) != sorted(names):
        raise CovariateError(
            f"the model was trained with the {kind} {list(names)}, but got "
            f"{list(components)}. Pass components of these names, in any order."
        )
    return one[list(names)]


def _with_static(one: TimeSeries, names: tuple[str, ...]) -> TimeSeries:
    """Return a series with its static covariates in the order of names."""
    static = one.static_covariates
    given = None if static is None else tuple(map(str, static.columns))
    if given == names:
        return one
    if given is None or sorted(given) != sorted(names):
        raise CovariateError(
            f"the model was trained with the static covariates {list(names)}, but got "
            f"{None if given is None else list(given)}. Pass columns of these names."
        )
    order = [given.index(name) for name in names]
    return one.with_static_covariates(static.iloc[:, order])


class InferenceBatch:
    """Windows to forecast from, and what darts needs to make series of forecasts."""

    def __init__(
        self,
        windows: WindowBatch,
        components: torch.Tensor | None,
        dtype: torch.dtype,
        series_schema: list[dict[str, Any]],
        pred_time: list[Any],
    ) -> None:
        self.windows = windows
        self.components = components  # (B, C), their order in the forecasts
        self.dtype = dtype
        self.series_schema = series_schema
        self.pred_time = pred_time

    def to(self, device: torch.device) -> InferenceBatch:
        """Return the batch on a device."""
        moved = copy.copy(self)
        moved.windows = self.windows.to(device)
        return moved


class _Samples:
    """Windows of a list of series, one by one as darts' samples."""

    def __init__(
        self, data: SeriesList, layout: Layout, reach: int, extra_steps: int
    ) -> None:
        self.layout = layout
        self.dtype = data.dtype
        self.panel = data.panel(layout, extra_steps)
        self.windows = Windows(self.panel, layout, reach=reach)
        self.static = data.static()

    def fields(
        self, series: int, batch: WindowBatch, past_ahead: int, future_ahead: int
    ) -> dict[str, np.ndarray | None]:
        """Return the fields that training and inference samples share."""
        context, shift = self.layout.context, self.layout.output_shift
        past, future = batch.past_covariates[0], batch.future_covariates[0]
        target = torch.where(batch.observed[0] > 0, batch.history[0], torch.nan)

        def cast(values: torch.Tensor | np.ndarray) -> np.ndarray | None:
            array = np.asarray(values)
            return array.astype(self.dtype) if array.shape[-1] else None

        fields = {
            "past_target": cast(target),
            "past_covariates": cast(past[:context]),
            "historic_future_covariates": cast(future[:context]),
            "future_covariates": cast(
                future[context + shift : context + shift + future_ahead]
            ),
            "static_covariates": cast(self.static[series]),
        }
        if past_ahead:
            fields["future_past_covariates"] = cast(
                past[context : context + past_ahead]
            )
        return fields


class TrainingWindows(TorchTrainingDataset):
    """The training windows of a list of series.

    Parameters
    ----------
    data : SeriesList
        The series and what belongs to them, columns in order.
    layout : Layout
        What a window holds.
    stride : int
        Steps between two windows of a series, counted from its last complete one.
    max_samples_per_ts : int or None
        Most windows of each series, the latest ones.
    """

    def __init__(
        self,
        data: SeriesList,
        layout: Layout,
        stride: int = 1,
        max_samples_per_ts: int | None = None,
    ) -> None:
        super().__init__()
        lengths = np.array([len(one) for one in data.series])
        starts, complete = np.zeros_like(lengths), lengths - layout.reach
        data.check_span("past_covariates", starts, complete)
        data.check_span("future_covariates", starts, lengths)
        first, counts = layout.training_origins(lengths)
        data.check_span("weights", first + layout.output_shift, lengths)
        self.samples = _Samples(data, layout, layout.reach, 0)
        self.has_weights = data.weights is not None
        if stride > 1 or max_samples_per_ts is not None:
            latest = np.maximum(complete, 1)
            counts = np.minimum(counts, np.maximum((latest - first) // stride + 1, 0))
            if max_samples_per_ts is not None:
                counts = np.minimum(counts, max_samples_per_ts)
            first = latest - stride * (counts - 1)
        self.origins = Origins(first, counts, stride)

    def __len__(self) -> int:
        """Return the number of windows."""
        return len(self.origins)

    def __getitem__(self, index: int) -> TorchTrainingSample:
        """Return one window as darts' sample."""
        row = torch.tensor([range(len(self))[index]])
        number, _ = self.origins.at(row)
        batch = self.gather(row)
        weight = batch.weight[0]
        target = torch.where(weight > 0, batch.target[0], torch.nan)
        fields = self.samples.fields(int(number), batch, 0, self.samples.layout.horizon)
        return TorchTrainingSample(
            **fields,
            future_target=target.numpy().astype(self.samples.dtype),
            sample_weight=weight.numpy().astype(self.samples.dtype)
            if self.has_weights
            else None,
        )

    def __getitems__(self, indices: list[int]) -> WindowBatch:
        """Return a batch of windows, for torch's data loader."""
        return self.gather(torch.as_tensor(indices))

    def gather(self, rows: torch.Tensor) -> WindowBatch:
        """Return a batch of windows."""
        return self.samples.windows.gather(*self.origins.at(rows), with_target=True)


class InferenceWindows(TorchInferenceDataset):
    """The windows of a list of series that forecasts start from.

    Parameters
    ----------
    data : SeriesList
        The series and what belongs to them, columns in order.
    layout : Layout
        What a window holds.
    n : int
        Time steps to forecast.
    stride : int
        Steps between two windows, where there are bounds.
    bounds : numpy.ndarray of shape (I, 2) or None
        First and last step that a window of each series ends before, as darts has them
        for optimised historical forecasts. ``None`` for the end of every series.
    given : sequence of TimeSeries or None
        The series with their components in the user's order, which forecasts keep.
    """

    def __init__(
        self,
        data: SeriesList,
        layout: Layout,
        n: int,
        stride: int = 0,
        bounds: np.ndarray | None = None,
        given: Sequence[TimeSeries] | None = None,
    ) -> None:
        super().__init__()
        lengths = np.array([len(one) for one in data.series])
        if bounds is None:
            self.origins = [(number, end) for number, end in enumerate(lengths)]
            first = last = lengths
        else:
            first, last = bounds[:, 0], bounds[:, 1]
            self.origins = [
                (number, step)
                for number, (start, end) in enumerate(bounds)
                for step in range(start, end + 1, stride)
            ]
        self.data, self.n = data, n
        self.given = data.series if given is None else given
        self.components = [
            [list(ordered.components).index(name) for name in one.components]
            if list(ordered.components) != list(one.components)
            else None
            for ordered, one in zip(data.series, self.given, strict=True)
        ]
        ahead = layout.output_shift + n
        opens = np.maximum(first - layout.context, 0)
        data.check_span("past_covariates", opens, last)
        data.check_span("future_covariates", opens, last + ahead)
        reach = layout.output_shift + max(n, layout.horizon)
        self.samples = _Samples(data, layout, reach, reach)

    def __len__(self) -> int:
        """Return the number of windows."""
        return len(self.origins)

    def __getitem__(self, index: int) -> TorchInferenceSample:
        """Return one window as darts' sample."""
        layout = self.samples.layout
        batch = self.__getitems__([index])
        fields = self.samples.fields(
            self.origins[index][0],
            batch.windows,
            max(0, self.n - layout.horizon),
            max(self.n, layout.horizon),
        )
        return TorchInferenceSample(
            **fields,
            series_schema=batch.series_schema[0],
            pred_time=batch.pred_time[0],
        )

    def __getitems__(self, indices: list[int]) -> InferenceBatch:
        """Return a batch of windows."""
        origins = [self.origins[index] for index in indices]
        series, steps = torch.as_tensor(np.array(origins)).unbind(1)
        windows = self.samples.windows.gather(series, steps)
        unseen = (windows.observed.sum(1) == 0).nonzero()
        if len(unseen):
            window, channel = unseen[0].tolist()
            number, step = origins[window]
            one = self.data.series[number]
            raise DataError(
                f"the last {self.samples.layout.context} values of component "
                f"{str(one.components[channel])!r} of series {number} before "
                f"{one.start_time() + step * one.freq} are all missing: there is "
                "nothing to forecast from. Leave that part out."
            )
        shift = self.samples.layout.output_shift
        given = [self.given[number] for number, _ in origins]
        n_channels = windows.history.shape[2]
        orders = [self.components[number] for number, _ in origins]
        return InferenceBatch(
            windows=windows,
            components=None
            if all(order is None for order in orders)
            else torch.tensor([order or list(range(n_channels)) for order in orders]),
            dtype=torch.from_numpy(np.empty(0, self.samples.dtype)).dtype,
            series_schema=[one.schema(copy=False) for one in given],
            pred_time=[
                one.end_time() + (step + shift - len(one) + 1) * one.freq
                for one, (_, step) in zip(given, origins, strict=True)
            ],
        )


def covariates_of_samples(dataset: TorchTrainingDataset, most: int = 500) -> Panel:
    """Return the covariates of some of a dataset's samples, evenly chosen."""
    chosen = np.unique(np.linspace(0, len(dataset) - 1, most).astype(int))
    samples = [dataset[int(index)] for index in chosen]

    def stacked(*names: str) -> np.ndarray:
        arrays = [getattr(sample, name) for name in names for sample in samples]
        known = [array for array in arrays if array is not None]
        return np.concatenate(known).astype(np.float64) if known else np.empty((0, 0))

    return Panel(
        values=np.empty((0, 1)),
        lengths=np.empty(0, dtype=np.int64),
        past_covariates=stacked("past_covariates"),
        future_covariates=stacked("historic_future_covariates", "future_covariates"),
        static_covariates=stacked("static_covariates"),
    )
