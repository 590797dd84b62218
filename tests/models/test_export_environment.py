"""Tests that can't be run say why, and fail where they were asked for."""

from __future__ import annotations

import sys

import pytest

from tests.models import export_environment

FAILS = (sys.executable, "-c", "raise SystemExit('No matching distribution found for torch')")


def test_an_environment_that_cannot_be_made_names_what_failed_and_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(export_environment.REQUIRED, raising=False)
    with pytest.raises(pytest.skip.Exception, match=r"No matching distribution found for torch.*PIP_FIND_LINKS"):
        export_environment.run(*FAILS)


def test_where_it_was_asked_for_it_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(export_environment.REQUIRED, "1")
    with pytest.raises(pytest.fail.Exception, match="not tested"):
        export_environment.run(*FAILS)
