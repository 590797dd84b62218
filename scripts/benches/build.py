"""Builds llama-server and llama-bench, once, from the llama.cpp inside llama-cpp-python's own source package.

The same sources, compiler and options as the library that Covey runs on, so that a difference between
the two is not the compiler's. Nothing is written into the clone.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import time
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BUILD_CONSTRAINTS = ROOT / "constraints" / "build.txt"
PACKAGE = "llama-cpp-python"
PROGRAMS = ("llama-server", "llama-bench")
OPTIONS = (
    "-DCMAKE_BUILD_TYPE=Release",  # as scikit-build-core builds the wheel; all of ggml's options stay at their defaults
    "-DLLAMA_BUILD_TESTS=OFF",
    "-DLLAMA_BUILD_EXAMPLES=OFF",
    "-DLLAMA_BUILD_APP=OFF",
    "-DLLAMA_OPENSSL=OFF",
    "-DLLAMA_USE_PREBUILT_UI=OFF",  # no page, and no download of one
)
EVERY_S = 15.0
"""Between two lines of progress where there is no terminal."""


def version() -> str:
    return metadata.version(PACKAGE)


def folder() -> Path:
    """Return where the build lies: the user's cache, one folder a version."""
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return Path(cache) / "covey" / f"reference-{version()}"


def program(name: str) -> Path:
    return folder() / "build" / "bin" / name


def is_built() -> bool:
    return all(os.access(program(name), os.X_OK) for name in PROGRAMS)


def main() -> int:
    as_json = "--json" in sys.argv[1:]
    if {"--help", "-h"} & set(sys.argv[1:]):
        print(f"{__doc__}\nUsage: scripts/build_reference [--json]\nBuilds into {folder()}; takes about 10 minutes.")
        return 0
    began = time.monotonic()
    try:
        if not is_built():
            build()
    except (subprocess.CalledProcessError, OSError) as error:
        sentence = f"The reference could not be built ({_why(error)}). Its log is {folder() / 'build.log'}."
        if as_json:
            print(json.dumps({"status": "failed", "error": {"code": "build_failed", "message": sentence}}))
        print(sentence, file=sys.stderr)
        return 1
    if as_json:
        paths = {name: str(program(name)) for name in PROGRAMS}
        print(json.dumps({"status": "built", "programs": paths, "seconds": round(time.monotonic() - began, 1)}))
    else:
        print(*(program(name) for name in PROGRAMS), sep="\n")
    return 0


def build() -> None:
    """Fetch, unpack, configure and compile. What an earlier try finished is kept.

    Raises OSError, CalledProcessError.
    """
    place = folder()
    place.mkdir(parents=True, exist_ok=True)
    source = place / "source"
    if not source.is_dir():
        _unpack(_fetch(place), source)
    cmake = _tool("cmake", place)
    ninja = _tool("ninja", place)
    say("configuring")
    target = place / "build"
    configure = [cmake, "-G", "Ninja", f"-DCMAKE_MAKE_PROGRAM={ninja}"]
    _run([*configure, "-S", str(source / "vendor" / "llama.cpp"), "-B", str(target), *OPTIONS], place)
    _compile([cmake, "--build", str(target), "--target", *PROGRAMS, "-j", str(os.cpu_count() or 1)], place)


def _fetch(place: Path) -> Path:
    say(f"fetching the sources of {PACKAGE} {version()}")
    pip = [sys.executable, "-m", "pip", "download", "--no-deps", "--no-binary", PACKAGE]
    _run([*pip, "--build-constraint", str(BUILD_CONSTRAINTS), "-d", str(place), f"{PACKAGE}=={version()}"], place)
    return next(place.glob("*.tar.gz"))


def _unpack(archive: Path, source: Path) -> None:
    say("unpacking")
    new = source.with_suffix(".new")
    shutil.rmtree(new, ignore_errors=True)
    with tarfile.open(archive) as file:
        file.extractall(new, filter="data")
    next(new.iterdir()).rename(source)  # the archive holds one folder
    new.rmdir()


def _tool(name: str, place: Path) -> str:
    """Return a build tool: the system's, else one from pip beside the build."""
    found = shutil.which(name) or shutil.which(name, path=str(place / "tools" / "bin"))
    if found:
        return found
    pinned = next(line for line in BUILD_CONSTRAINTS.read_text().splitlines() if line.startswith(f"{name}=="))
    say(f"fetching {pinned}")
    _run([sys.executable, "-m", "pip", "install", "--target", str(place / "tools"), pinned], place)
    made = shutil.which(name, path=str(place / "tools" / "bin"))
    if made is None:
        raise OSError(f"{name} did not come with its package")
    return made


def _compile(command: list[str], place: Path) -> None:
    last = 0.0
    with (place / "build.log").open("a") as log:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        assert process.stdout is not None
        for line in process.stdout:
            log.write(line)
            step = re.match(r"\[(\d+)/(\d+)\]", line)
            if step and (sys.stderr.isatty() or time.monotonic() - last > EVERY_S or step[1] == step[2]):
                last = time.monotonic()
                say(f"compiling, step {step[1]} of {step[2]}")
    if process.wait():
        raise subprocess.CalledProcessError(process.returncode, command)
    if sys.stderr.isatty():
        print(file=sys.stderr)


def _run(command: list[str], place: Path) -> None:
    with (place / "build.log").open("a") as log:
        subprocess.run(command, stdout=log, stderr=log, check=True)


def say(text: str) -> None:
    """Show what is going on; rewritten in place on a terminal."""
    end = "" if sys.stderr.isatty() else "\n"
    start = "\r\x1b[K" if sys.stderr.isatty() else ""
    print(f"{start}{text}", end=end, file=sys.stderr, flush=True)


def _why(error: Exception) -> str:
    if isinstance(error, subprocess.CalledProcessError):
        return f"{Path(error.cmd[0]).name} ended with {error.returncode}"
    return str(error)


if __name__ == "__main__":
    sys.exit(main())
