"""One safe file for trained networks: safetensors, with everything to use them.

The tensors are the weights of one network, or of several. The metadata hold, as
JSON, the format version, each network's architecture, layout and likelihood, what an
ecosystem adds, and a digest over all of it. Nothing in a file can execute.
"""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import json
import math
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from lstm_forecasters.backend.forking import check_fork
from lstm_forecasters.backend.likelihoods import (
    LIKELIHOODS,
    Likelihood,
    QuantileLikelihood,
)
from lstm_forecasters.backend.model import ForecastModel
from lstm_forecasters.backend.windows import Layout
from lstm_forecasters.errors import FileFormatError
from lstm_forecasters.specs import (
    architecture_from_dict,
    check_flag,
    check_integer,
    check_number,
)

__all__ = [
    "WRONG_CONTENT",
    "Archive",
    "naming",
    "pack",
    "read_archive",
    "unpack",
    "write_atomically",
]

FORMAT_VERSION = 1
KEY = "lstm_forecasters"
LONGEST_WINDOW = 10_000_000
MOST_LEVELS = 1000
WRONG_CONTENT = (
    ArithmeticError,
    AttributeError,
    LookupError,
    RuntimeError,
    TypeError,
    ValueError,
)
"""What can be raised where an object is built of data that do not describe one."""


@dataclass(frozen=True, eq=False)
class Archive:
    """What a file holds.

    Parameters
    ----------
    models : sequence of ForecastModel
        Trained networks.
    extra : mapping
        What an ecosystem adds, ready for JSON.
    tensors : mapping of str to torch.Tensor
        Arrays that an ecosystem adds, such as the context of the forecasts.
    """

    models: Sequence[ForecastModel] = ()
    extra: Mapping[str, Any] = field(default_factory=dict)
    tensors: Mapping[str, Tensor] = field(default_factory=dict)


def pack(archive: Archive) -> bytes:
    """Return an archive as the bytes of a safetensors file."""
    tensors = {f"extra.{name}": values for name, values in archive.tensors.items()}
    for number, model in enumerate(archive.models):
        for name, values in model.state_dict().items():
            tensors[f"models.{number}.{name}"] = values
    tensors = {name: values.contiguous() for name, values in tensors.items()}
    content = {
        "format_version": FORMAT_VERSION,
        "models": [_describe(model) for model in archive.models],
        "extra": dict(archive.extra),
    }
    content["digest"] = _digest(content, tensors)
    return safetensors.torch.save(tensors, {KEY: json.dumps(content)})


def unpack(data: bytes) -> Archive:
    """Return the archive in the bytes of a file.

    Raises
    ------
    FileFormatError
        If the bytes are damaged, foreign, or of another format version.
    """
    content = _content(data)
    check_fork()
    try:
        tensors = safetensors.torch.load(data)
        digest = content.pop("digest", None)
        is_whole = digest == _digest(content, tensors)
    except (safetensors.SafetensorError, *WRONG_CONTENT) as error:
        raise _damaged(error) from error
    if not is_whole:
        raise FileFormatError(
            "the file is damaged: its digest does not match its content. Use another "
            "copy, or save the forecaster again."
        )
    try:
        models = [
            _rebuild(description, number, tensors)
            for number, description in enumerate(content["models"])
        ]
        added = dict(content["extra"])
    except WRONG_CONTENT as error:
        raise _damaged(error) from error
    extra = {
        name.removeprefix("extra."): values
        for name, values in tensors.items()
        if name.startswith("extra.")
    }
    return Archive(models, added, extra)


def read_archive(path: str | os.PathLike[str]) -> Archive:
    """Return the archive in a file; errors name the file."""
    with naming(path):
        return unpack(Path(path).read_bytes())


@contextmanager
def naming(path: str | os.PathLike[str]) -> Iterator[None]:
    """Let errors about the content of a file name the file."""
    try:
        yield
    except FileFormatError as error:
        raise FileFormatError(f"{os.fspath(path)}: {error}") from error
    except MemoryError as error:
        raise FileFormatError(
            f"{os.fspath(path)}: the file does not fit into the memory that is left. "
            "Files of lstm_forecasters have a few megabytes, and what series take: is "
            "it one of them?"
        ) from error


def write_atomically(path: str | os.PathLike[str], data: bytes) -> None:
    """Write a file so that it is there whole, or not at all."""
    path = Path(path)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        temporary.replace(path)
    except BaseException:
        temporary.unlink()
        raise


def _content(data: bytes) -> dict[str, Any]:
    """Return the metadata of a file, checked before anything is made of it."""
    length = int.from_bytes(data[:8], "little")
    if len(data) < 8 or length > len(data) - 8:
        raise FileFormatError(
            f"the file is truncated or no file of lstm_forecasters: it has {len(data)} "
            "bytes, fewer than its header announces."
        )
    try:
        header = json.loads(data[8 : 8 + length])
        content = json.loads(header["__metadata__"][KEY])
        version = content["format_version"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise FileFormatError(
            "this is no file of lstm_forecasters: its header does not say so. Pass a "
            "file that to_file or save has written."
        ) from error
    if version != FORMAT_VERSION:
        raise FileFormatError(
            f"the file has format version {version!r}, but this version of "
            f"lstm_forecasters reads {FORMAT_VERSION}. Use the version that wrote it."
        )
    return content


def _digest(content: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> str:
    """Return the SHA-256 over metadata and tensors."""
    digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode())
    for name in sorted(tensors):
        values = tensors[name]
        digest.update(f"{name} {values.dtype} {tuple(values.shape)}".encode())
        digest.update(values.numpy().tobytes())
    return digest.hexdigest()


def _describe(model: ForecastModel) -> dict[str, Any]:
    """Return what rebuilds a model, without its weights."""
    likelihood: dict[str, Any] = {"name": model.likelihood.name}
    if isinstance(model.likelihood, QuantileLikelihood):
        likelihood["levels"] = list(model.likelihood.levels)
    return {
        "architecture": model.spec.to_dict(),
        "layout": dataclasses.asdict(model.layout),
        "likelihood": likelihood,
    }


def _rebuild(
    description: Mapping[str, Any], number: int, tensors: Mapping[str, Tensor]
) -> ForecastModel:
    """Return a model from its description and the tensors of a file."""
    prefix = f"models.{number}."
    weights = {
        name.removeprefix(prefix): values
        for name, values in tensors.items()
        if name.startswith(prefix)
    }
    for name, values in weights.items():
        if not (values.is_floating_point() and values.isfinite().all()):
            raise ValueError(f"{name} is not made of finite numbers")
    spec = architecture_from_dict(description["architecture"])
    if max(spec.n_members, spec.num_layers) > len(weights):
        raise ValueError(f"{len(weights)} arrays are too few for {spec}")
    layout = _layout(description["layout"])
    likelihood = _likelihood(description["likelihood"])
    with torch.device("meta"):  # takes no memory, whatever the sizes
        model = ForecastModel(spec, layout, likelihood)
    model.load_state_dict(weights, strict=True, assign=True)
    if not (model.widening > 0 and (model.covariate_scales > 0).all()):
        raise ValueError("a scale is not above 0")
    return model.requires_grad_(True).eval()


def _layout(fields: Mapping[str, Any]) -> Layout:
    """Return the layout that a file describes, if windows can have it."""
    values: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in fields.items()
    }
    layout = Layout(**values)
    for name in ("lookback", "horizon", "period", "n_channels", "steps_at_a_time"):
        check_integer(name, getattr(layout, name), 1)
    for name in ("output_shift", "least_history"):
        check_integer(name, getattr(layout, name), 0)
    for kind in ("self_contained", "reads_period"):
        check_flag(kind, getattr(layout, kind))
    least_scale = check_number("least_scale", layout.least_scale, "a number")
    if not 0 <= least_scale < math.inf:
        raise ValueError(f"least_scale={least_scale} is no scale")
    for kind in ("references", "lags"):
        for seasons in getattr(layout, kind):
            check_integer(kind, seasons, 1)
    for kind in ("past_covariates", "future_covariates", "static_covariates"):
        if len(set(getattr(layout, kind))) != len(getattr(layout, kind)):
            raise ValueError(f"{kind} hold a name twice")
    past = max(layout.context, layout.period * max(layout.lags, default=0))
    ahead = layout.output_shift + layout.steps_written
    if max(past, ahead) > LONGEST_WINDOW:
        raise ValueError(
            f"its windows have {past} and {ahead} time steps, more than "
            f"{LONGEST_WINDOW}"
        )
    if layout.self_contained and layout.longest_lag > layout.lookback:
        raise ValueError("a reference reaches back beyond its window")
    return layout


def _likelihood(description: Mapping[str, Any]) -> Likelihood:
    """Return the likelihood that a file describes."""
    if description["name"] != QuantileLikelihood.name:
        return LIKELIHOODS[description["name"]]()
    levels = tuple(description["levels"])
    increasing = all(low < high for low, high in itertools.pairwise((0, *levels, 1)))
    if not increasing or len(levels) > MOST_LEVELS:
        raise ValueError("the levels are not an increasing few between 0 and 1")
    return QuantileLikelihood(levels)


def _damaged(error: Exception) -> FileFormatError:
    """Return the error for a file that cannot be rebuilt."""
    return FileFormatError(f"the file is damaged: {error}. Use another copy.")
