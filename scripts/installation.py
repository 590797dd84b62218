"""Makes .venv: created, filled by pip under pinned versions, tried, then stamped as ready.

Every step can be interrupted, by Ctrl-C or a power cut: a .venv whose stamp says `started` is made anew,
and pip's own cache keeps what was loaded and compiled. pip's usual settings hold (PIP_FIND_LINKS,
pip.conf, a mirror), so that an owner's own wheel or index is used.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import preflight
import progress
import reasons
import stamp

LOG = os.path.join(stamp.VENV, "covey-setup.log")
SCRATCH = os.path.join(stamp.VENV, "covey-tmp")
"""pip's temporary files: on a small device /tmp is memory, and what an interrupt leaves behind is found again."""
COMPILED = "llama-cpp-python"
TRIED = ("llama_cpp", "onnxruntime", "llguidance")
"""Libraries with machine code that depends on the processor and the system."""
WAIT_S = 0.5
PIP = ("-P", "-m", "pip", "--no-input", "--disable-pip-version-check")


class SetupError(Exception):
    """The set-up can't go on; the message is one sentence with the next step."""


def ensure(extras: tuple[str, ...]) -> None:
    """Install whatever is missing. Raises SetupError; returns at once when all is there."""
    if stamp.is_ready(extras):
        return
    if problem := preflight.first_problem(stamp.ROOT, stamp.VENV):
        raise SetupError(problem)
    line = progress.Line()
    signal.signal(signal.SIGTERM, _interrupt)
    signal.signal(signal.SIGHUP, _interrupt)
    try:
        with _lock(line) as lock:
            if not stamp.is_ready(extras):
                _install(extras, line, lock)
    except OSError as error:
        raise SetupError(f"The set-up stopped: {error}. Mend that and run the same command again.") from error
    finally:
        line.close()


def _install(extras: tuple[str, ...], line: progress.Line, lock: int) -> None:
    began = time.monotonic()
    environ = _environment()

    def run(what: str, *command: str) -> None:
        if progress.run(command, line, what, log=LOG, environ=environ, keep_open=lock):
            with open(LOG, encoding="utf-8", errors="replace") as file:
                raise SetupError(f"{reasons.why_pip_failed(file.read())} Its own words are in {LOG}")

    wanted = tuple(sorted({*extras, *stamp.read()[1]}))
    if _can_be_kept():
        stamp.write(stamp.STARTED)
    else:
        _clear()
    os.makedirs(SCRATCH, exist_ok=True)
    open(LOG, "wb").close()
    if not os.path.exists(stamp.PYTHON):
        run("making the Python environment", sys.executable, "-P", "-m", "venv", stamp.VENV)
    pip = (stamp.PYTHON, *PIP)
    pins = ("--constraint", stamp.CONSTRAINTS)
    run("bringing pip up to date", *pip, "install", "pip", *pins)
    problem = preflight.missing_compiler(environ)
    if problem and not _has_wheel(environ):
        raise SetupError(problem)
    project = f"{stamp.ROOT}[{','.join(wanted)}]" if wanted else stamp.ROOT
    build_pins = ("--build-constraint", stamp.BUILD_CONSTRAINTS) if os.path.exists(stamp.BUILD_CONSTRAINTS) else ()
    run("loading the libraries", *pip, "install", "--verbose", "--editable", project, *pins, *build_pins)
    line.show("trying the libraries")
    _try_libraries(environ)
    shutil.rmtree(SCRATCH)
    stamp.write(stamp.ready_line(), wanted)
    line.close()
    print(f"Covey is set up ({time.monotonic() - began:.0f} s).", file=sys.stderr)


def _can_be_kept() -> bool:
    """Whether an existing .venv can be brought up to date in place: finished once, or made by hand, and alive."""
    state, _ = stamp.read()
    if state == stamp.STARTED or (state and not state.endswith(f" {stamp.ROOT}")):
        return False
    probe = f"import pip, sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13) or sys.prefix != {stamp.VENV!r})"
    try:
        return subprocess.run([stamp.PYTHON, "-P", "-c", probe], capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def _clear() -> None:
    """Leave an empty .venv that says it is unfinished, at every moment."""
    os.makedirs(stamp.VENV, exist_ok=True)
    stamp.write(stamp.STARTED)
    for entry in os.scandir(stamp.VENV):
        if entry.is_dir(follow_symlinks=False):
            shutil.rmtree(entry.path)
        elif not entry.name.startswith("covey-setup"):
            os.unlink(entry.path)


def _has_wheel(environ: dict[str, str]) -> bool:
    """Whether pip would find llama-cpp-python ready-made: at an index, in a folder of wheels, or in its cache."""
    dry_run = ("install", "--dry-run", "--no-deps", "--ignore-installed", "--only-binary=:all:")
    if _pip(environ, *dry_run, "--constraint", stamp.CONSTRAINTS, COMPILED).returncode == 0:
        return True
    file_name = COMPILED.replace("-", "_")
    cached = _pip(environ, "cache", "list", "--format=abspath", file_name).stdout
    with open(stamp.CONSTRAINTS, encoding="utf-8") as file:
        pinned = re.search(rf"^{COMPILED}==(\S+)$", file.read(), re.MULTILINE)
    return pinned is not None and f"{file_name}-{pinned[1]}-" in cached


def _pip(environ: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [stamp.PYTHON, *PIP, *arguments]
    return subprocess.run(command, env=environ, capture_output=True, text=True, check=False)


def _try_libraries(environ: dict[str, str]) -> None:
    for name in TRIED:
        command = [stamp.PYTHON, "-P", "-c", f"import {name}"]
        run = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
        if run.returncode:
            raise SetupError(reasons.why_import_failed(name, run.returncode, run.stderr))


def _environment() -> dict[str, str]:
    """Return the environment for pip: the owner's, without what would install elsewhere."""
    kept = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME", "PIP_TARGET")}
    return {**kept, "PIP_USER": "0", "PIP_PROGRESS_BAR": "off", "PYTHONUNBUFFERED": "1", "TMPDIR": SCRATCH}


@contextmanager
def _lock(line: progress.Line) -> Iterator[int]:
    """Hold the clone for one set-up. The lock is the folder's own, so nothing is left behind."""
    folder = os.open(stamp.ROOT, os.O_RDONLY)
    try:
        while True:
            try:
                fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                line.show("waiting for another set-up of this clone to end")
                time.sleep(WAIT_S)
        yield folder
    finally:
        os.close(folder)


def _interrupt(number: int, frame: object) -> None:
    raise KeyboardInterrupt
