"""The environment of a process that computes with a model. What the owner set himself goes before it."""

from __future__ import annotations

import os

SPINS = "1000"
"""How often a compute thread looks for work before it sleeps. Unbounded, as is the library's default, its
threads wait for each other's time slices on a busy device: 1.7 instead of 9 tokens/s at a load of 5 per core."""
BLAS_THREADS = "1"
"""numpy would share one product over a row of logits with a thread that then spins for its next one, on a core
that the model needs: 117 to 134 instead of 139 to 146 tokens/s on 2 cores."""


def environment() -> dict[str, str]:
    """Return the variables for a process that computes."""
    return {"GOMP_SPINCOUNT": SPINS, "OPENBLAS_NUM_THREADS": BLAS_THREADS} | dict(os.environ)
