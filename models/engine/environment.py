"""The command and environment of a process that computes with a model. What the owner set himself goes before it."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import psutil

import models

SPINS_ALONE = "1000"
SPINS_BOUND = "20000"
"""How often a compute thread looks for work before it sleeps. Unbounded, as is the library's default, its
threads wait for each other's time slices on a busy device: 1.7 instead of 9 tokens/s at a load of 5 per core."""
BOUND = {"OMP_PROC_BIND": "true", "OMP_PLACES": "cores"}
"""Each compute thread stays on a core of its own, where there is one for each. Else two of them get onto one core as
soon as something else runs, and wait there for each other at every step: two models at once wrote 32 tokens/s each
on 2 cores, 67 with threads that stay."""
BLAS_THREADS = "1"
"""numpy would share one product over a row of logits with a thread that then spins for its next one, on a core
that the model needs: 117 to 134 instead of 139 to 146 tokens/s on 2 cores."""

APART = "glibc.malloc.mmap_threshold=2097152"
"""Linux: what has 2 MB or more, as the state of a hundred tokens, is taken from the system and given back to it. Else
the C library puts it between other things, and what a process held went up and down by a tenth, with smollm2-135m
320 to 410 instead of 300 to 320 MB while requests of all sizes ran."""
HUGE_PAGES = "glibc.malloc.hugetlb=1"
"""Linux: what a process allocates it has in pages of 2 MB where the system can give them. Weights are read from end to
end for every token, and looking up where their small pages lie took 8 % of that: 5.5 instead of 6.0 ms for one row of
smollm2-135m on 2 cores, 25.3 instead of 26.5 ms for eight. Other C libraries don't know the word."""


def program(module: str) -> tuple[str, ...]:
    """Return the command that runs a module; `-P` keeps the current folder from going before libraries."""
    return (sys.executable, "-P", "-m", module)


def search_path() -> str:
    """Return the PYTHONPATH with which another process finds the modules that this one runs."""
    root = str(Path(models.__file__).resolve().parents[1])
    return os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))


def environment(threads: int) -> dict[str, str]:
    """Return the variables for a process that computes with so many threads."""
    bound = threads >= cores()  # fewer are left free to go where nothing else runs
    placing = BOUND | {"GOMP_SPINCOUNT": SPINS_BOUND} if bound else {"GOMP_SPINCOUNT": SPINS_ALONE}
    memory = {"OPENBLAS_NUM_THREADS": BLAS_THREADS, "GLIBC_TUNABLES": f"{HUGE_PAGES}:{APART}"}
    return placing | memory | dict(os.environ) | {"PYTHONPATH": search_path()}


def cores() -> int:
    """Return how many cores this process may use: of a large machine it may have been given a few only."""
    physical = psutil.cpu_count(logical=False) or os.cpu_count() or 1
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else physical  # not on macOS
    return min(physical, usable)
