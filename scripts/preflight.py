"""What must be there before a set-up is worth starting.

Each check returns a sentence with the next step, or nothing when all is well.
"""

from __future__ import annotations

import importlib.util
import os
import platform
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping

NEEDED_BYTES = 2_000_000_000
"""The libraries take 0.9 GB; unpacking and compiling need as much again for a while."""
OLDEST_GLIBC = (2, 31)
"""The oldest that the libraries' wheels run on."""
MACHINES = {"x86_64", "amd64", "aarch64", "arm64"}
PROBE_S = 20


def first_problem(root: str, venv: str) -> str:
    """Return the first thing that stands in the way, as a sentence with the next step, or nothing."""
    return (
        unsuitable_machine(platform.machine(), 64 if sys.maxsize > 2**32 else 32)
        or unsuitable_libc(*platform.libc_ver() if sys.platform == "linux" else ("", ""))
        or missing_venv_module()
        or read_only(root, venv)
        or too_little_room(root, 0 if os.path.isdir(venv) else NEEDED_BYTES)
    )


def unsuitable_machine(machine: str, bits: int) -> str:
    if machine.lower() in MACHINES and bits == 64:
        return ""
    return (
        f"Covey needs a 64-bit system on x86-64 or ARM, and this is {machine} with a {bits}-bit Python. "
        "On a Raspberry Pi, install the 64-bit Raspberry Pi OS."
    )


def unsuitable_libc(name: str, version: str) -> str:
    """An empty name is a system that has no versions of its C library to look at (macOS) or another library (musl)."""
    if not name and sys.platform != "linux":
        return ""
    if name == "glibc" and tuple(int(part) for part in version.split(".")[:2]) >= OLDEST_GLIBC:
        return ""
    here = f"{name} {version}".strip() or "another C library"
    return (
        f"Covey's libraries need glibc 2.31 or newer, and this system has {here}. "
        "Use Debian 11, Ubuntu 20.04, Raspberry Pi OS 11, or anything newer."
    )


def missing_venv_module() -> str:
    if importlib.util.find_spec("venv") and importlib.util.find_spec("ensurepip"):
        return ""
    package = f"python{sys.version_info[0]}.{sys.version_info[1]}-venv"
    return (
        f"This Python can't make virtual environments. Run `sudo apt install {package}`, then the same command again."
    )


def read_only(root: str, venv: str) -> str:
    if os.access(venv if os.path.isdir(venv) else root, os.W_OK | os.X_OK):
        return ""
    return (
        f"{root} can't be written, and Covey keeps its libraries there, in .venv. "
        "Make it writable, or clone Covey into a folder of your own."
    )


def too_little_room(root: str, needed_bytes: int) -> str:
    free = shutil.disk_usage(root).free
    if free >= needed_bytes:
        return ""
    return (
        f"Only {free / 1e9:.1f} GB are free in {root}, and the set-up needs {needed_bytes / 1e9:.0f} GB. "
        "Free some space, then run the same command again."
    )


def missing_compiler(environ: Mapping[str, str]) -> str:
    """Return how to get a C and C++ compiler, or nothing when both are there and answer."""
    c = environ.get("CC") or _first(environ, "cc", "gcc", "clang")
    cxx = environ.get("CXX") or _first(environ, "c++", "g++", "clang++")
    if c and cxx and _answers(c, environ) and _answers(cxx, environ):
        return ""
    return (
        "llama-cpp-python has to be compiled on this device once, and there is no C++ compiler. "
        f"Run `{_how_to_get_one()}`, then the same command again."
    )


def _first(environ: Mapping[str, str], *names: str) -> str:
    return next((found for name in names if (found := shutil.which(name, path=environ.get("PATH")))), "")


def _answers(compiler: str, environ: Mapping[str, str]) -> bool:
    """Whether it runs: on a bare Mac `cc` exists, and only asks to install the real one."""
    try:
        command = [*shlex.split(compiler), "--version"]
        return subprocess.run(command, env=environ, capture_output=True, timeout=PROBE_S, check=False).returncode == 0
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return False


def _how_to_get_one() -> str:
    if sys.platform == "darwin":
        return "xcode-select --install"
    for tool, command in (
        ("apt-get", "sudo apt install build-essential"),
        ("dnf", "sudo dnf install gcc gcc-c++"),
        ("pacman", "sudo pacman -S base-devel"),
        ("zypper", "sudo zypper install gcc gcc-c++"),
        ("brew", "brew install gcc"),
    ):
        if any(os.path.exists(f"{folder}/{tool}") for folder in ("/usr/bin", "/bin", "/usr/local/bin")):
            return command
    return "your package manager to install gcc and g++"
