"""Compute threads stay on cores of their own where they take all of them, memory is in huge pages, the owner wins."""

from __future__ import annotations

import pytest

from models.engine.environment import environment


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
