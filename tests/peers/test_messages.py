"""The wire: frames of every released version still read the same, and what is sent is what was meant."""

from __future__ import annotations

import math
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.types import (
    Authority,
    Chunk,
    Digest,
    Effect,
    Evidence,
    Label,
    Refusal,
    RefusalCode,
    Request,
    Result,
    Signals,
    Tier,
    Trust,
    Usage,
)
from peers import codec, tombstones
from peers.chain_entry import Head
from peers.conversions import (
    chunk_of,
    delta_of,
    done_of,
    head_of,
    ledger_head_of,
    request_of,
    result_of,
    revocation_of,
    subtask_of,
    tombstone_of,
)
from peers.errors import LocalProtocolError, RemoteProtocolError, VersionMismatch
from peers.messages import Delta, Done, Hello, Subtask
from peers.node_id import of_key
from peers.version import agree
from peers.wire import WireMessage, read
from tests.peers.golden import FOLDER, NODE, OTHER, RELEASED, V1, VERSIONS, digest
from tests.peers.nodes import new_identity

ME = of_key(b"me")
REQUEST = Request("extract.event", {"text": "Dinner on Friday"}, hops=(NODE,), budget_tokens=64, deadline_s=5.0, seed=3)


def golden(name: str) -> bytes:
    """The message in a golden file, without its frames."""
    (packed,) = codec.FrameReader().feed((FOLDER / "v1" / f"{name}.bin").read_bytes())
    return packed


@pytest.mark.parametrize("name", list(V1))
def test_a_golden_frame_reads_as_it_always_did(name: str) -> None:
    assert read(golden(name), type(V1[name])) == V1[name]


@pytest.mark.parametrize("name", list(V1))
def test_what_we_send_is_the_golden_frame(name: str) -> None:
    assert codec.frames(V1[name].pack()) == (FOLDER / "v1" / f"{name}.bin").read_bytes()


@pytest.mark.parametrize("version", RELEASED)
def test_the_frames_of_a_released_version_are_as_they_were_released(version: int) -> None:
    assert digest(version) == RELEASED[version], (
        f"Frames of version {version} were changed, added or removed, but devices out there speak it as it was. "
        f"Put them back (git checkout tests/data/frames/v{version}), and add what is new as v{max(VERSIONS) + 1}."
    )


def test_no_golden_file_is_forgotten() -> None:
    assert {path.stem for path in (FOLDER / "v1").iterdir()} == set(V1)


@pytest.mark.parametrize("name", list(V1))
def test_unknown_keys_are_ignored_so_that_versions_can_grow(name: str) -> None:
    message = {**codec.decode(golden(name)), "from_the_future": {"deep": [1, 2]}}
    assert read(codec.encode(message), type(V1[name])) == V1[name]


def test_a_subtask_that_names_no_hub_is_for_the_device_itself() -> None:
    message = codec.decode(golden("subtask"))
    del message["relay"]
    assert read(codec.encode(message), Subtask).relay == ""
    for wrong in ("far@attic", "../far", "FAR", "x" * 33):
        with pytest.raises(RemoteProtocolError, match="relay"):
            read(codec.encode({**message, "relay": wrong}), Subtask)


@pytest.mark.parametrize("name", list(V1))
def test_a_message_of_another_kind_is_refused(name: str) -> None:
    for kind in ("", "other", 7, None):
        with pytest.raises(RemoteProtocolError, match="was expected"):
            read(codec.encode({**codec.decode(golden(name)), "kind": kind}), type(V1[name]))


@pytest.mark.parametrize("name", list(V1))
def test_a_message_cut_at_any_byte_is_refused(name: str) -> None:
    packed = golden(name)
    for length in range(len(packed)):
        with pytest.raises(RemoteProtocolError):
            read(packed[:length], type(V1[name]))


JUNK = st.one_of(
    st.none(), st.booleans(), st.integers(-5, 5), st.text(max_size=5), st.binary(max_size=5), st.just([{}])
)


@given(st.sampled_from(list(V1)), st.data())
@settings(max_examples=200)
def test_a_field_of_any_other_type_is_read_or_refused(name: str, data: st.DataObject) -> None:
    message = codec.decode(golden(name))
    field = data.draw(st.sampled_from(sorted(message)))
    message[field] = data.draw(JUNK)
    try:
        assert isinstance(read(codec.encode(message), type(V1[name])), WireMessage)
    except RemoteProtocolError as error:
        assert "Update Covey" in str(error)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("id", "F" * 32),
        ("id", "f" * 33),
        ("id", "../../etc/passwd"),
        ("capability", "Extract"),
        ("capability", "extract..event"),
        ("capability", "x" * 65),
        ("label", "secret"),
        ("label", "PUBLIC"),
        ("label", 0),
        ("ceiling", "moon"),
        ("hops", [NODE] * 9),
        ("hops", ["me"]),
        ("budget_tokens", 0),
        ("budget_tokens", True),
        ("budget_tokens", "64"),
        ("deadline_s", -1.0),
        ("deadline_s", math.inf),
        ("deadline_s", math.nan),
        ("resume_tokens", [-1]),
        ("resume_tokens", [2**31]),
        ("input", [1]),
        ("idempotency_key", "k" * 129),
    ],
)
def test_a_subtask_outside_its_bounds_is_refused(field: str, value: object) -> None:
    message = {**codec.decode(golden("subtask")), field: value}
    with pytest.raises(RemoteProtocolError, match=field):
        read(msgpack.packb(message), Subtask)


def test_a_refusal_names_the_field_and_never_its_value() -> None:
    message = {**codec.decode(golden("subtask")), "capability": "My Secret Diary"}
    with pytest.raises(RemoteProtocolError) as caught:
        read(msgpack.packb(message), Subtask)
    assert "Diary" not in str(caught.value)


def over_the_wire(request: Request) -> Request:
    return request_of(read(subtask_of(request, "f" * 32, ME).pack(), Subtask))


def test_a_request_arrives_untrusted_powerless_and_not_to_be_passed_on() -> None:
    sent = replace(
        REQUEST, trust=Trust.OWNER, authority=Authority(None, frozenset({Effect.RUN_CODE})), ceiling=Tier.HUB
    )
    got = over_the_wire(sent)
    assert got.trust is Trust.UNTRUSTED
    assert got.authority == Authority(frozenset({"extract.event"}), frozenset())
    assert got.ceiling is Tier.DEVICE
    assert got.hops == (NODE, ME)


def test_all_else_of_a_request_arrives_as_it_was() -> None:
    sent = replace(REQUEST, resume_tokens=(4, 5), idempotency_key="k", traceparent="00-a-b-01", label=Label.SENSITIVE)
    got = over_the_wire(sent)
    ours_to_set = {"trust", "authority", "ceiling", "hops"}
    for field in fields(Request):
        if field.name not in ours_to_set:
            assert getattr(got, field.name) == getattr(sent, field.name), field.name


def test_a_secret_request_has_no_form_on_the_wire() -> None:
    with pytest.raises(LocalProtocolError, match="secret"):
        subtask_of(replace(REQUEST, label=Label.SECRET), "f" * 32, ME)


def test_a_request_that_went_too_far_is_not_sent_on() -> None:
    with pytest.raises(LocalProtocolError, match="hops"):
        subtask_of(replace(REQUEST, hops=(NODE, OTHER) * 4), "f" * 32, ME)


RESULT = Result(
    output={"title": "Dinner"},
    text="Dinner",
    confidence=0.5,
    calibrated=True,
    signals=Signals(-0.5, 1.0, 0.25, 0.75, 9, {"span": 0.5}),
    usage=Usage(10, 5, 9, 0.5, 0.25, 1.5),
    evidence=(Evidence("input", 0, 6, "Dinner"),),
    specialist="extract",
    model="qwen3-0.6b",
    artifacts=(Digest("ab" * 32),),
    notes=("A note.",),
)
REFUSED = Result(refusal=Refusal(RefusalCode.NOT_FOUND, "It is not there.", "Friday"), specialist="answer")


@pytest.mark.parametrize("result", [RESULT, REFUSED, Result(output=False), Result(output=[[0.5, 1.5]])])
def test_a_result_arrives_as_it_was(result: Result) -> None:
    assert result_of(read(done_of(result).pack(), Done)) == result


def test_numbers_that_are_none_are_left_out_of_a_result() -> None:
    odd = replace(RESULT, signals=Signals(-math.inf, math.nan, None, None, 0, {"a": math.nan, "b": 1}))
    got = result_of(read(done_of(odd).pack(), Done))
    assert got.signals == Signals(scores={"b": 1.0})


def test_long_lists_of_a_result_lose_their_end_and_not_the_result() -> None:
    long = replace(RESULT, notes=("n" * 9000,) * 100, evidence=RESULT.evidence * 5000)
    got = result_of(read(done_of(long).pack(), Done))
    assert (len(got.notes), len(got.notes[0]), len(got.evidence)) == (32, 2000, 1024)


def test_a_result_that_is_both_answer_and_refusal_is_refused() -> None:
    both = {**codec.decode(done_of(REFUSED).pack()), "output": 1}
    with pytest.raises(RemoteProtocolError, match="output and a refusal"):
        result_of(read(codec.encode(both), Done))


@pytest.mark.parametrize("confidence", [-0.1, 1.1])
def test_a_confidence_that_is_none_is_refused_on_both_sides(confidence: float) -> None:
    with pytest.raises(LocalProtocolError, match="confidence"):
        done_of(replace(RESULT, confidence=confidence))
    message = {**codec.decode(done_of(RESULT).pack()), "confidence": confidence}
    with pytest.raises(RemoteProtocolError, match="confidence"):
        read(codec.encode(message), Done)


def test_an_unknown_reason_to_refuse_is_still_a_refusal() -> None:
    message: dict[str, Any] = codec.decode(done_of(REFUSED).pack())
    message["refusal"]["code"] = "out_of_stars"
    got = result_of(read(codec.encode(message), Done)).refusal
    assert got is not None
    assert (got.code, got.reason) == (RefusalCode.NOT_CAPABLE, "It is not there.")


@given(st.integers(0, 2**40), st.text(max_size=50), st.lists(st.integers(0, 2**31 - 1), max_size=20))
def test_a_chunk_arrives_as_it_was(index: int, text: str, tokens: list[int]) -> None:
    chunk = Chunk(index, text, tuple(tokens))
    assert chunk_of(read(delta_of(chunk).pack(), Delta)) == chunk


def test_a_revocation_and_a_head_arrive_as_they_were(tmp_path: Path) -> None:
    stone = tombstones.sign(new_identity(tmp_path), of_key(b"other"), 7, now_ns=9)
    assert tombstone_of(revocation_of(stone)) == stone
    assert tombstones.is_genuine(tombstone_of(revocation_of(stone)))
    head = Head(3, "ab" * 32, "MEUC")
    assert head_of(ledger_head_of(head)) == head


@pytest.mark.parametrize(
    ("ours", "theirs", "version"),
    [((1, 1), (1, 1), 1), ((1, 3), (2, 5), 3), ((2, 5), (1, 3), 3), ((1, 3), (3, 9), 3)],
)
def test_two_devices_speak_the_highest_version_that_both_know(
    ours: tuple[int, int], theirs: tuple[int, int], version: int
) -> None:
    assert agree(Hello(min=ours[0], max=ours[1]), Hello(min=theirs[0], max=theirs[1])) == version


@pytest.mark.parametrize(("ours", "theirs"), [((2, 3), (1, 1)), ((1, 1), (2, 3)), ((1, 5), (4, 2))])
def test_without_a_common_version_the_owner_is_told_to_update(ours: tuple[int, int], theirs: tuple[int, int]) -> None:
    with pytest.raises(VersionMismatch, match="Update Covey"):
        agree(Hello(min=ours[0], max=ours[1]), Hello(min=theirs[0], max=theirs[1]))


def test_a_known_device_is_not_talked_down_to_an_older_version() -> None:
    assert agree(Hello(min=1, max=3), Hello(min=1, max=3), before=3) == 3
    with pytest.raises(VersionMismatch, match="pair it again"):
        agree(Hello(min=1, max=3), Hello(min=1, max=2), before=3)
