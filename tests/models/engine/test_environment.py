"""Compute threads stay on cores of their own where they take all of them, memory is in huge pages, the owner wins."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from models.engine.environment import cores, environment
from runtime.config import Settings
from runtime.node import _make_pool
from scripts.benches.setup import Setup


def test_threads_that_take_all_cores_stay_on_them() -> None:
    assert environment(threads=1024)["OMP_PROC_BIND"] == "true"


def test_fewer_threads_go_where_nothing_else_runs() -> None:
    assert "OMP_PROC_BIND" not in environment(threads=0)


def test_what_the_owner_set_goes_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOMP_SPINCOUNT", "7")
    assert environment(threads=1024)["GOMP_SPINCOUNT"] == "7"


def test_memory_is_in_huge_pages_unless_the_owner_tuned_it_himself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GLIBC_TUNABLES", raising=False)
    assert "hugetlb=1" in environment(threads=1)["GLIBC_TUNABLES"]
    assert "mmap_threshold=" in environment(threads=1)["GLIBC_TUNABLES"], "what states held is given back"
    monkeypatch.setenv("GLIBC_TUNABLES", "glibc.malloc.arena_max=1")
    assert environment(threads=1)["GLIBC_TUNABLES"] == "glibc.malloc.arena_max=1"


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system gives every program all cores")
def test_of_a_large_machine_only_the_cores_that_were_given_are_used(tmp_path: Path) -> None:
    """As under `taskset` or in a container: more threads than cores would only wait for each other."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    try:
        assert cores() == 1
        assert Setup(tmp_path, "any", full=False).threads == 1
        assert _make_pool(tmp_path, Settings())._threads == 1
    finally:
        os.sched_setaffinity(0, before)
    assert _make_pool(tmp_path, Settings(threads=3))._threads == 3, "what the owner set goes before"
