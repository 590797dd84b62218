"""What must be there before a set-up is worth starting. Each check returns a sentence, or nothing when all is well."""

from __future__ import annotations

import importlib.util
import os
import platform
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping

import stamp

NEEDED_BYTES = 2_000_000_000
"""The libraries take 0.9 GB; unpacking and compiling need as much again for a while."""
OLDEST_GLIBC = (2, 31)
"""The oldest that the libraries' wheels run on."""
MACHINES = {"x86_64", "amd64", "aarch64", "arm64"}
PROBE_S = 20


def first_problem() -> str:
    """Return the first thing that stands in the way, as a sentence with the next step, or nothing."""
    checks: tuple[Callable[[], str], ...] = (machine, libc, venv_module, writable, room)
    return next((problem for check in checks if (problem := check())), "")


def machine() -> str:
    if platform.machine().lower() in MACHINES and sys.maxsize > 2**32:
        return ""
    return (
        f"Covey needs a 64-bit system on x86-64 or ARM, this is {platform.machine()} with a "
        f"{64 if sys.maxsize > 2**32 else 32}-bit Python. On a Raspberry Pi, install the 64-bit Raspberry Pi OS."
    )


def libc() -> str:
    name, version = platform.libc_ver()
    if sys.platform != "linux" or (name == "glibc" and tuple(map(int, version.split(".")[:2])) >= OLDEST_GLIBC):
        return ""
    return (
        f"Covey's libraries need glibc 2.31 or newer, and this system has {name or 'another C library'} {version}. "
        "Use Debian 11, Ubuntu 20.04, Fedora 34, Raspberry Pi OS 11 or anything newer."
    )


def venv_module() -> str:
    if importlib.util.find_spec("venv") and importlib.util.find_spec("ensurepip"):
        return ""
    package = f"python{sys.version_info[0]}.{sys.version_info[1]}-venv"
    return (
        f"This Python can't make virtual environments. Run `sudo apt install {package}`, then the same command again."
    )


def writable() -> str:
    if os.access(stamp.VENV if os.path.isdir(stamp.VENV) else stamp.ROOT, os.W_OK | os.X_OK):
        return ""
    return (
        f"{stamp.ROOT} can't be written, and Covey keeps its libraries there, in .venv. "
        "Make it writable, or clone Covey into a folder of your own."
    )


def room() -> str:
    free = shutil.disk_usage(stamp.ROOT).free
    if free >= NEEDED_BYTES or os.path.isdir(stamp.VENV):
        return ""
    needed = f"{NEEDED_BYTES / 1e9:.0f} GB"
    return f"Only {free / 1e9:.1f} GB are free in {stamp.ROOT}, and the set-up needs {needed}. Free some space first."


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
