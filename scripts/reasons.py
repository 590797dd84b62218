"""Why a step of the set-up failed, as one sentence with the next step; pure functions over what was printed."""

from __future__ import annotations

import re
import signal

_AGAIN = "run the same command again"
_PIP_REASONS = (
    (r"No space left on device", f"The disk is full. Free 2 GB and {_AGAIN}."),
    (
        r"fatal error: Killed signal|internal compiler error: Killed|std::bad_alloc",
        "Compiling llama-cpp-python ran out of memory. "
        "Close other programs, put CMAKE_BUILD_PARALLEL_LEVEL=1 before the command and run it again.",
    ),
    (
        r"Failed (?:to build|building wheel for)[^\n]*llama",
        f"Compiling llama-cpp-python failed. Bring the C++ compiler up to date and {_AGAIN}.",
    ),
    (
        r"NewConnectionError|NameResolutionError|name resolution|Network is unreachable|Max retries exceeded"
        r"|Connection refused|timed out|ProxyError|No matching distribution",
        "The libraries could not be loaded: the package index is out of reach or lacks one. "
        f"Check the network, or pip's settings where you use a mirror, and {_AGAIN}.",
    ),
)
_SYSTEM_PACKAGES = {"libgomp.so.1": "libgomp1", "libstdc++.so.6": "libstdc++6"}


def why_pip_failed(log: str) -> str:
    """Return the first known reason in pip's output, else its last error."""
    for pattern, sentence in _PIP_REASONS:
        if re.search(pattern, log):
            return sentence
    return f"pip could not install the libraries ({last_error(log)}). Mend that and {_AGAIN}."


def last_error(log: str) -> str:
    """Return the last line that calls itself an error, else the last line."""
    errors = re.findall(r"^\s*(?:ERROR|[Ee]rror): (.+)$", log, re.MULTILINE) or log.strip().splitlines()
    return errors[-1].rstrip(".") if errors else "it gave no reason"


def why_import_failed(name: str, code: int, stderr: str) -> str:
    """Return the sentence for a library that is installed and does not load; `code` is Python's exit code."""
    if code == -signal.SIGILL:
        return (
            f"{name} was built for another processor and can't run here. "
            f"Delete .venv, run `pip cache remove {name}`, and {_AGAIN}: it is then compiled on this device."
        )
    if missing := re.search(r"(lib[\w.+-]+\.so[\w.]*): cannot open shared object", stderr):
        package = _SYSTEM_PACKAGES.get(missing[1])
        how = f"Run `sudo apt install {package}`" if package else "Install the package that has it"
        return f"{name} needs the system library {missing[1]}, which is missing. {how}, then {_AGAIN}."
    return f"{name} is installed and does not load: {last_error(stderr) or code}. Delete .venv and {_AGAIN}."
