"""Reads the headers of a checkpoint's weights: how many numbers they are, and whether the files are whole."""

from __future__ import annotations

import json
import math
import struct
from pathlib import Path

from models.errors import BadArtifact

PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl")
MAX_HEADER_BYTES = 8 * 1024 * 1024
"""Far above what any such model has; stops a file that would fill the memory."""
MAX_PARAMETERS = 475_000_000
"""1.9 GB as 32-bit numbers: an ONNX file holds at most 2 GB."""


def parameters(folder: Path) -> int:
    """Return how many numbers the weights are, from the headers of the files. Raises BadArtifact."""
    files = [folder / "model.safetensors"]
    if not files[0].is_file():
        files = sorted(folder.glob("model-*.safetensors"))
    if not files:
        pickles = [
            path.name for pattern in PICKLES for path in folder.glob(pattern) if path.name != "training_args.bin"
        ]
        if pickles:
            raise BadArtifact(
                f"The weights of {folder.name} are a pickle ({pickles[0]}), which can run code when it is read; get "
                "them as model.safetensors, or load them in a program you trust and call `save_pretrained` there."
            )
        raise BadArtifact(f"{folder.name} has no model.safetensors; get the whole checkpoint.")
    found = sum(_numbers(path) for path in files)
    if found > MAX_PARAMETERS:
        raise BadArtifact(
            f"{folder.name} has {found / 1e6:,.0f} million parameters; at most {MAX_PARAMETERS // 10**6} million can "
            "be converted. Use a smaller checkpoint."
        )
    return found


def _numbers(path: Path) -> int:
    damaged = BadArtifact(f"{path.name} is damaged or no safetensors file; get the checkpoint again.")
    try:
        with path.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            if length > MAX_HEADER_BYTES:
                raise damaged
            header = json.loads(file.read(length))
        tensors = [entry for name, entry in header.items() if name != "__metadata__"]
        end = max(entry["data_offsets"][1] for entry in tensors)
        if path.stat().st_size < 8 + length + end:
            raise damaged
        return sum(math.prod(entry["shape"]) for entry in tensors)
    except (struct.error, ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError) as error:
        raise damaged from error
    except OSError as error:
        raise BadArtifact(f"{path} can't be read ({error.strerror}); check its permissions.") from error
