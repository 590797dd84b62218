"""The specification is enough for a second implementation: one made from its words gets the same numbers out."""

from __future__ import annotations

import ast
import base64
import json
import re
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from peers.arrivals import Arrivals
from peers.chain_entry import Head, is_signed
from peers.channels import Asked, Channels
from peers.node_id import NodeId
from peers.tombstones import Tombstone, is_genuine
from tests.peers import second_reader as second
from tests.peers import vectors
from tests.peers.swarm import pair, session

V1: dict[str, Any] = json.loads(vectors.FILE.read_text(encoding="utf-8"))
PAIRING = V1["pairing"]
SAID = {name: bytes.fromhex(data) for name, data in PAIRING["messages"].items()}
README = (Path(__file__).parents[2] / "peers" / "README.md").read_text(encoding="utf-8")
CERTIFICATES = {role: bytes.fromhex(data) for role, data in V1["certificates"].items()}
IDS = {role: second.node_id(data) for role, data in CERTIFICATES.items()}
PASSWORD = b"pin " + PAIRING["pin"].encode()


def side(role: str) -> second.Side:
    drawn = bytes.fromhex(PAIRING["entropy"][role])[:64]
    return second.Side(role == "joiner", PASSWORD, IDS["joiner"], IDS["host"], drawn)


@pytest.fixture(scope="module")
def keys() -> second.Keys:
    """What the second implementation has after hello and reply, as the joiner and as the host."""
    shares = {name: second.message(SAID[name])["share"] for name in ("hello", "reply")}
    joins, shows = side("joiner").key(shares["reply"]), side("host").key(shares["hello"])
    assert joins == shows
    return second.keys_of(joins, SAID["hello"], SAID["reply"])


def test_this_version_says_and_computes_what_is_written_down() -> None:
    of = vectors.identities(V1["certificates"])
    assert vectors.pairing(of) == PAIRING
    assert {name: V1[name] for name in vectors.others(of)} == vectors.others(of)
    head = Head(**{name: V1["ledger_head"][name] for name in ("number", "hash", "signature")})
    assert is_signed("ledger", head, of["host"].public)
    stone = V1["revocation"] | {
        "certificate": bytes.fromhex(V1["revocation"]["certificate"]),
        "signature": base64.b64decode(V1["revocation"]["signature"]),
    }
    assert is_genuine(Tombstone(**stone))


def test_the_second_implementation_knows_nothing_of_the_first() -> None:
    tree = ast.parse(Path(second.__file__).read_text(encoding="utf-8"))
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert not {name.partition(".")[0] for name in names} & {"peers", "models", "hub", "runtime", "scripts", "tests"}
    assert "spake2" not in names


def test_m_and_n_are_those_of_the_specification_and_nobody_chose_them() -> None:
    said = dict(re.findall(r"\*(M|N)\* = `([0-9a-f]{64})`", README))
    assert {name: second.packed(second.constant(name.encode())).hex() for name in "MN"} == said


def test_shares_come_out_of_what_was_drawn() -> None:
    assert side("joiner").share() == second.message(SAID["hello"])["share"]
    assert side("host").share() == second.message(SAID["reply"])["share"]


def test_every_key_of_a_run_comes_out(keys: second.Keys) -> None:
    assert {name: getattr(keys, name).hex() for name in PAIRING["keys"]} == PAIRING["keys"]


def test_proofs_and_seals_of_both_sides_come_out(keys: second.Keys) -> None:
    confirm, confirmed = (second.message(SAID[name]) for name in ("confirm", "confirmed"))
    assert confirm["proof"] == keys.proof(keys.joiner_proof)
    assert confirmed["proof"] == keys.proof(keys.host_proof)
    assert keys.opened(keys.joiner_seal, confirm["details"]) == {
        "kind": "pair_details",
        "name": "kitchen",
        "counter": vectors.COUNTER,
        "addresses": ["192.168.1.20:4489"],
    }
    assert keys.opened(keys.host_seal, confirmed["details"])["name"] == "laptop"


def test_the_last_two_proofs_are_over_all_that_was_said(keys: second.Keys) -> None:
    finish = second.message(SAID["finish"])
    assert finish["run"] == second.message(SAID["reply"])["run"]
    assert finish["proof"] == keys.finish(SAID["confirm"], SAID["confirmed"])
    assert second.message(SAID["finished"])["proof"] == keys.finish(SAID["confirm"], SAID["confirmed"], SAID["finish"])


def test_another_code_opens_nothing() -> None:
    wrong = second.Side(False, b"pin 482914", IDS["joiner"], IDS["host"], side("host").drawn)
    key = wrong.key(second.message(SAID["hello"])["share"])
    made = second.keys_of(key, SAID["hello"], SAID["reply"])
    assert made.proof(made.joiner_proof) != second.message(SAID["confirm"])["proof"]


def test_ids_and_names_come_out_of_the_certificates() -> None:
    assert {role: [node, second.for_people(node)] for role, node in IDS.items()} == V1["nodes"]
    said = V1["announced"]
    assert second.announced(said["node"], said["day"]) == said["name"]


def test_a_revocation_and_a_head_are_signed_over_what_the_specification_says() -> None:
    stone, head = V1["revocation"], V1["ledger_head"]
    lines = [stone[name] for name in ("issuer", "subject", "counter", "time_ns")]
    certificate, signature = bytes.fromhex(stone["certificate"]), base64.b64decode(stone["signature"])
    assert second.node_id(certificate) == stone["issuer"]
    assert second.is_signed(certificate, signature, "covey revocation 1", *lines)
    assert not second.is_signed(certificate, signature, "covey revocation 1", *lines[:3], lines[3] + 1)
    signature = base64.b64decode(head["signature"])
    assert second.is_signed(CERTIFICATES["host"], signature, "covey ledger head", head["number"], head["hash"])
    assert not second.is_signed(CERTIFICATES["joiner"], signature, "covey ledger head", head["number"], head["hash"])


def test_pieces_of_a_link_are_put_together_again() -> None:
    link = V1["link"]
    (own,) = (second.piece(bytes.fromhex(one)) for one in link["own_words"])
    assert (own.channel, own.end, own.reset) == (0, False, False)
    assert [second.message(one)["kind"] for one in second.frames(own.data)] == ["hello"]
    first, last = (second.piece(bytes.fromhex(one)) for one in link["on_channel_3"])
    assert [(one.channel, one.end, one.reset) for one in (first, last)] == [(3, False, False), (3, True, False)]
    said = [second.message(one)["kind"] for one in second.frames(first.data + last.data)]
    assert said == ["hello", "accepted"]
    reset = second.piece(bytes.fromhex(link["reset_of_channel_3"]))
    assert (reset.channel, reset.reset, reset.data) == (3, True, b"")


def test_this_version_reads_the_pieces_too() -> None:
    other_side = Channels(partial(Arrivals().begin, NodeId("A" * 52)), dialled=False)
    first, last = (other_side.receive(bytes.fromhex(one)) for one in V1["link"]["on_channel_3"])
    assert first == []
    (asked,) = last
    assert isinstance(asked, Asked)
    assert [second.message(one)["kind"] for one in second.frames(asked.arrival.whole())] == ["hello", "accepted"]


def test_a_subtask_and_its_answer_are_read() -> None:
    asked = second.subtask(bytes.fromhex(V1["subtask"]["request"]))
    assert (asked.capability, asked.label, asked.hops, asked.seed) == ("generate", "public", [IDS["joiner"]], 7)
    assert asked.input["prompt"] == "Write a haiku about rain."
    assert (asked.ceiling, asked.budget_tokens) == ("device", None)
    text, output = second.answer(bytes.fromhex(V1["subtask"]["answer"]))
    assert text == output == "Soft rain falls."


async def test_a_subtask_that_the_second_implementation_wrote_is_done(tmp_path: Path) -> None:
    """Over HTTP, with a certificate that is paired: nothing else is needed."""
    async with pair(tmp_path) as (laptop, kitchen), session(laptop, kitchen) as http:
        body = second.request("5" * 32, laptop.id, "Count to five.")
        async with http.post(f"https://{kitchen.address}/peer/1/subtasks", data=body) as response:
            assert response.status == 200
            text, output = second.answer(await response.read())
        assert text == output == "one two three four five"
        assert kitchen.asked[0].input == {"prompt": "Count to five."}


@pytest.mark.parametrize("wrong", [{"id": "x"}, {"label": "secret"}, {"input": {}}, {"hops": []}, {"capability": "A"}])
def test_the_second_implementation_refuses_what_the_specification_does(wrong: dict[str, Any]) -> None:
    hello, asked = (second.message(one) for one in second.frames(bytes.fromhex(V1["subtask"]["request"])))
    with pytest.raises(ValueError, match=r"none|nothing"):
        second.subtask(second.frame(hello) + second.frame({**asked, **wrong}))
