"""What the figures were measured on, and whether it was quiet."""

from __future__ import annotations

import os
import platform
from importlib import metadata
from pathlib import Path

import psutil

BUSY = 0.3
"""Load of others per core above which figures say more about the others."""
FLAGS = ("avx512_vnni", "avx512f", "avx2", "neon", "asimd")


def describe() -> dict[str, object]:
    """Return processor, memory, system and versions. No name of the machine or its owner."""
    return {
        "processor": _processor(),
        "cores": psutil.cpu_count(logical=False) or 1,
        "threads": psutil.cpu_count() or 1,
        "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "llama_cpp_python": metadata.version("llama-cpp-python"),
        "load_before": round(os.getloadavg()[0], 2),
    }


def is_busy() -> bool:
    """Return whether other programs use the processor now."""
    return os.getloadavg()[0] / (psutil.cpu_count() or 1) > BUSY


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    found = dict(line.split(":", 1) for line in lines if ":" in line)
    names = {name.strip(): value.strip() for name, value in found.items()}
    flags = set(names.get("flags", names.get("Features", "")).split())
    wide = next((flag for flag in FLAGS if flag in flags), "")
    return f"{names.get('model name', platform.machine())} ({wide or platform.machine()})"
