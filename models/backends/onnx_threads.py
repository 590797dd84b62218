"""The threads in which all models of onnxruntime compute: together no more than the owner lets the node have.

Each thread computes one text at a time, and none looks for work while it has none. So beside a language model, which
has as many threads of its own, the system gives each side about half of each core, and all where the other rests.
"""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass


@dataclass(slots=True)
class _Shared:
    executor: ThreadPoolExecutor
    holders: int = 0


_shared: dict[int, _Shared] = {}
"""By their number; a node has one number for all its models."""
_lock = threading.Lock()


def take(threads: int) -> ThreadPoolExecutor:
    """Return the threads that all share who take as many. Whoever takes them gives them back with `release`."""
    with _lock:
        if threads not in _shared:
            _shared[threads] = _Shared(ThreadPoolExecutor(threads, thread_name_prefix="onnx"))
        _shared[threads].holders += 1
        return _shared[threads].executor


def release(threads: int) -> None:
    """Give the threads back; with the last holder they end, as soon as they have done what they were given."""
    with _lock:
        shared = _shared[threads]
        shared.holders -= 1
        if not shared.holders:
            del _shared[threads]
            shared.executor.shutdown(wait=False)
