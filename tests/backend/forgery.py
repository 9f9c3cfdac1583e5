"""Files that somebody changed who knows how to make a digest."""

import io
import json
import zipfile

import numpy as np

from lstm_forecasters.backend import files


def forged(data, change=lambda content: None, change_tensors=lambda tensors: None):
    """Return a file with other metadata or tensors, and a digest that is right."""
    content = files._content(data)
    tensors = files.safetensors.torch.load(data)
    change(content)
    change_tensors(tensors)
    content.pop("digest", None)
    content["digest"] = files._digest(content, tensors)
    return files.safetensors.torch.save(tensors, {files.KEY: json.dumps(content)})


def foreign_files():
    """Return the bytes of files of other kinds, by kind."""
    arrays, packed = io.BytesIO(), io.BytesIO()
    np.savez(arrays, values=np.arange(3))
    with zipfile.ZipFile(packed, "w") as file:
        file.writestr("readme.txt", "nothing of the kind")
    return {
        "nothing": b"",
        "one byte": b"{",
        "text": b"month,sales\n" * 20,
        "json": b'{"lstm_forecasters": {"format_version": 1}}',
        "png": b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + bytes(60),
        "npz": arrays.getvalue(),
        "zip": packed.getvalue(),
        "zeros": bytes(1000),
        "ones": b"\xff" * 1000,
        "safetensors": files.safetensors.torch.save({}, {"format": "pt"}),
    }
