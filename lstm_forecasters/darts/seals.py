"""What tells whether the two files of darts' ``save`` are whole, and a pair.

Both are zip archives of torch. The one of the model carries a seal in the comment at
its end: the format version, the digest of the network's file, and a digest of all that
stands before it.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from zipfile import ZIP_STORED, BadZipFile, ZipFile

from lstm_forecasters.backend.files import WRONG_CONTENT
from lstm_forecasters.errors import FileFormatError

__all__ = ["check_archive", "check_pair", "is_network_of", "read_seal", "seal"]

FORMAT_VERSION = 1
NO_NETWORK = "-" * 64
SEAL = re.compile(rb"lstm_forecasters (\d+) ([0-9a-f]{64}|-{64}) ([0-9a-f]{64})$")


def seal(model: Path, network: Path) -> None:
    """Seal the file of a model together with that of its network, if there is one."""
    paired = _digest(network) if network.exists() else NO_NETWORK
    start = f"lstm_forecasters {FORMAT_VERSION} {paired} ".encode()
    content = bytearray(model.read_bytes())
    content[-2:] = (len(start) + 64).to_bytes(2, "little")  # the comment's length
    content += start
    model.write_bytes(content + hashlib.sha256(content).hexdigest().encode())


def read_seal(model: Path) -> str:
    """Return the digest of the network that belongs to a model.

    Raises
    ------
    FileFormatError
        If the file of the model is not what was sealed.
    """
    content = model.read_bytes()
    found = SEAL.search(content[-200:])
    if found is None:
        raise FileFormatError(
            f"{model} is damaged, or no file that save has written: it has no seal at "
            "its end. Use another copy."
        )
    if int(found[1]) != FORMAT_VERSION:
        raise FileFormatError(
            f"{model} has format version {int(found[1])}, but this version of "
            f"lstm_forecasters reads {FORMAT_VERSION}. Use the version that wrote it."
        )
    if hashlib.sha256(content[:-64]).hexdigest().encode() != found[3]:
        raise FileFormatError(
            f"{model} is damaged: its digest is not that of its content. Use another "
            "copy."
        )
    return found[2].decode()


def check_pair(model: Path, network: Path) -> None:
    """Refuse the files of a model and of its network if they are not what was saved.

    Raises
    ------
    FileFormatError
        If a file is damaged, foreign, missing, of another format version, or of
        another save than the other.
    """
    paired = read_seal(model)
    check_archive(model)
    if network.exists():
        check_archive(network)
    elif paired == NO_NETWORK:
        return
    else:
        raise FileFormatError(
            f"{network} is missing: it holds the network of {model}. Keep both files "
            "of a save together."
        )
    if _digest(network) != paired:
        raise FileFormatError(
            f"{network} is damaged, or not the network of {model}: they are no pair. "
            "Use another copy of both files."
        )


def is_network_of(model: Path, network: Path) -> bool:
    """Return whether a file is that of the network that belongs to a model."""
    return _digest(network) == read_seal(model)


def check_archive(path: Path) -> None:
    """Refuse what is no whole archive of torch, or unpacks to more than it takes up."""
    try:
        with ZipFile(path) as file:
            entries = file.infolist()
            is_of_torch = any(one.filename.endswith("/data.pkl") for one in entries)
            expands = any(one.compress_type != ZIP_STORED for one in entries) or (
                sum(one.file_size for one in entries) > path.stat().st_size
            )
            damaged = None if expands else file.testzip()
    except (BadZipFile, EOFError, OSError, *WRONG_CONTENT) as error:
        if isinstance(error, FileNotFoundError | PermissionError):
            raise
        raise FileFormatError(
            f"{path} is damaged, or no file that save has written: {error}"
        ) from error
    if not is_of_torch:
        raise FileFormatError(f"{path} is no file that save has written.")
    if expands:
        raise FileFormatError(
            f"{path} is no file that save has written: it unpacks to more than its "
            "own size."
        )
    if damaged is not None:
        raise FileFormatError(
            f"{path} is damaged: the checksum of {damaged} is wrong. Use another copy."
        )


def _digest(path: Path) -> str:
    """Return the digest of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
