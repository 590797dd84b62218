"""Find a Python that Covey runs on. This file must itself run on any Python 3, hence its plain style."""

import importlib
import os
import subprocess
import sys
from typing import NoReturn

OLDEST = (3, 11)
NEWEST = (3, 13)
NAMES = ("python3.13", "python3.12", "python3.11", "python3", "python")
PROBE = "import sys; sys.exit(not %r <= sys.version_info[:2] <= %r)" % (OLDEST, NEWEST)  # noqa: UP031
PROBE_S = 10


def run(module: str, *arguments: object) -> NoReturn:
    """Run `main(*arguments)` of a module beside this file, under a suitable Python; does not return."""
    if not OLDEST <= sys.version_info[:2] <= NEWEST:
        python = find(os.environ.get("PATH", os.defpath).split(os.pathsep))
        if python is None:
            refuse()
        os.execv(python, [python, os.path.abspath(sys.argv[0])] + sys.argv[1:])  # noqa: RUF005
    sys.exit(importlib.import_module(module).main(*arguments))


def find(folders: "list[str]") -> "str | None":
    """Return the first suitable Python in the folders, or None. Each is tried: a name alone may be an empty shim."""
    for name in NAMES:
        for folder in folders:
            python = os.path.join(folder, name)
            if os.access(python, os.X_OK) and suits(python):
                return python
    return None


def suits(python: str) -> bool:
    try:
        quiet = subprocess.DEVNULL
        return subprocess.call([python, "-c", PROBE], stdout=quiet, stderr=quiet, timeout=PROBE_S) == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def refuse() -> NoReturn:
    if os.path.exists("/etc/debian_version"):
        how = "sudo apt install python3.11 python3.11-venv"
    elif os.path.exists("/etc/fedora-release"):
        how = "sudo dnf install python3.13"
    elif sys.platform == "darwin":
        how = "brew install python@3.13"
    else:
        how = "install it with your package manager, or from python.org"
    sentence = "Covey needs Python 3.11, 3.12 or 3.13 and found none (this is %d.%d). To get one: %s"
    sentence = sentence % (sys.version_info[0], sys.version_info[1], how)
    if "--json" in sys.argv[1:]:
        print('{"error": {"code": "no_python", "message": "%s"}, "status": "failed"}' % sentence)  # noqa: UP031
    sys.stderr.write(sentence + "\n")
    sys.exit(1)
