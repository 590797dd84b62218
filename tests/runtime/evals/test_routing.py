"""What the suites of routing promise: a fitted head that changed is asked afresh, and the encoder is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from models.types import Request, Result
from runtime.asking import Ask
from runtime.claims import Claim
from runtime.evals.routing import RoutingSubject
from runtime.evals.subject import ScriptedSubject
from runtime.router import Routing, route
from runtime.stages import similar


async def by_likeness(ask: Ask) -> Routing:
    claim = Claim("similar", "generate", 0.9, "it looked like a poem")
    return route([Claim("rules", None, 0.0, "no rule fits"), *([claim] if "poem" in ask.text else [])])


def subject() -> RoutingSubject:
    return RoutingSubject(by_likeness, ScriptedSubject(lambda request: Result()))


async def test_the_choice_is_the_output_with_every_score_and_the_encoder() -> None:
    found = await subject().run(Request("route", {"text": "a poem"}))
    assert (found.output, found.confidence, found.model) == ("generate", 0.9, "bge-small-en")
    assert len(found.artifacts[0]) == 64
    assert dict(found.signals.scores) == {"stage.rules": 0.0, "stage.similar": 0.9}


async def test_nothing_sure_is_none_and_no_encoder_is_named_where_rules_decide() -> None:
    found = await subject().run(Request("route", {"text": "hm"}))
    assert (found.output, found.model, found.artifacts) == ("none", "", ())


def test_other_vectors_or_requests_make_another_fingerprint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = subject().fingerprint("route")
    assert subject().fingerprint("route") == before
    (tmp_path / "requests.npz").write_bytes(similar.KEPT.read_bytes() + b"x")
    monkeypatch.setattr(similar, "KEPT", tmp_path / "requests.npz")
    assert subject().fingerprint("route") != before
