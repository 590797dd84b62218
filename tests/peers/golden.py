"""The messages whose bytes are kept in `tests/data/frames`, one file each. Run this file to write a new version's.

Files of a released version are never written again: a newer Covey must read them as they are. Their digest is held
here, and by a test.
"""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

from peers import check_messages as checks
from peers import link_messages as links
from peers import messages as m
from peers import pairing_messages as pairing
from peers.blob_messages import BlobChunks
from peers.chunks import CHUNK_BYTES
from peers.codec import frames
from peers.wire import WireMessage

FOLDER = Path(__file__).parents[1] / "data" / "frames"
NODE, OTHER = "A" * 52, "B" * 51 + "Q"
DIGEST = "0123456789abcdef" * 4

V1: dict[str, WireMessage] = {
    "hello": m.Hello(min=1, max=1, features=["blobs"], boot="b00t"),
    "subtask": m.Subtask(
        id="f" * 32,
        capability="extract.event",
        input={"text": "Dinner on Friday at 7", "schema": {"type": "object"}, "numbers": [1, -2.5, None, True]},
        label="personal",
        ceiling="home",
        hops=[NODE],
        budget_tokens=256,
        deadline_s=30.0,
        seed=-7,
        resume_tokens=[1, 2, 3],
        resume_artifacts=[DIGEST],
        idempotency_key="key-1",
        traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        relay="big-box",
    ),
    "accepted": m.Accepted(queue=2),
    "progress": m.Progress(tokens=17),
    "delta": m.Delta(index=3, text="Freitag, 19 Uhr — größer", tokens=[15, 2147483647]),
    "done": m.Done(
        output={"title": "Dinner", "when": [2026, 11, 27]},
        text="Dinner, Friday 19:00",
        confidence=0.75,
        calibrated=True,
        signals=m.WireSignals(mean_logprob=-0.125, min_margin=1.5, tokens=9, scores={"span": 0.5}),
        usage=m.WireUsage(prompt_tokens=120, cached_tokens=100, completion_tokens=9, seconds=0.5, model_seconds=0.25),
        evidence=[m.WireEvidence(source="input", start=0, end=6, quote="Dinner")],
        specialist="extract",
        model="qwen2.5-coder-0.5b",
        artifacts=[DIGEST],
        notes=["Two turns were left out."],
    ),
    "done_refused": m.Done(
        refusal=m.WireRefusal(code="not_found", reason="The text does not say when.", found="Friday")
    ),
    "error": m.Failed(code="busy", message="This device has no room now.", retry_after_s=1.5),
    "blob_chunks": BlobChunks(size=CHUNK_BYTES + 1, digests=[DIGEST, DIGEST[::-1]]),
    "beat": links.Beat(
        running=1,
        queued=2,
        draining=True,
        battery=0.5,
        plugged=False,
        temperature_c=61.5,
        free_bytes=10**9,
        head=links.LedgerHead(number=12, hash=DIGEST, signature="MEUCIQ=="),
    ),
    "remembered": links.Remembered(head=links.LedgerHead(number=12, hash=DIGEST, signature="MEUCIQ==")),
    "skills": links.Skills(
        cards=[
            links.SkillCard(
                capability="extract",
                model="qwen2.5-coder-0.5b",
                artifacts=[DIGEST],
                prefill_tps=310.5,
                decode_tps=42.25,
                load_s=1.5,
                context_tokens=4096,
                prefixes=[DIGEST],
                success=0.875,
            )
        ]
    ),
    "hubs": links.HubCards(
        cards=[
            links.HubCard(
                name="big-box",
                place="away",
                label="public",
                capabilities=["answer", "generate"],
                model="qwen2.5-coder-0.5b",
                price_in=0.5,
                price_out=1.5,
            )
        ]
    ),
    "revocations": links.Revocations(
        stones=[
            links.Revocation(
                issuer=NODE,
                subject=OTHER,
                counter=1_700_000_000_000,
                time_ns=1_700_000_000 * 10**9,
                certificate=b"\x30\x82",
                signature=b"\x30\x45",
            )
        ]
    ),
    "addresses": links.Addresses(
        hints=[
            links.Whereabouts(node=NODE, addresses=["192.168.1.20:4489", "[fd00::20]:4489"]),
            links.Whereabouts(node=OTHER, addresses=[]),
        ]
    ),
    "check": checks.Check(port=4489, time_ns=1_795_255_908_715_644_652),
    "checked": checks.Checked(dialled="reached", heard_s=0.5, listens=True, time_ns=1_795_255_908_715_644_652),
    "pair_hello": pairing.PairHello(method="pin", certificate=b"\x30\x82\x01", share=b"A" * 33, nonce=b"n" * 16),
    "pair_reply": pairing.PairReply(run=b"r" * 16, share=b"B" * 33),
    "pair_confirm": pairing.PairConfirm(run=b"r" * 16, proof=b"p" * 32, details=b"sealed"),
    "pair_confirmed": pairing.PairConfirmed(proof=b"p" * 32, details=b"sealed"),
    "pair_details": pairing.Details(name="kitchen", counter=1_700_000_000_000, addresses=["192.168.1.20:4489"]),
    "pair_finish": pairing.PairFinish(run=b"r" * 16, proof=b"p" * 32),
    "pair_finished": pairing.PairFinished(proof=b"p" * 32),
    "pair_refused": pairing.PairRefused(),
}
"""Every message of version 1, with every field set at least once."""


VERSIONS = {1: V1}
RELEASED = {1: "799796f708148e3075a5b1febfebd7c3391c410394fa936e26ce07ec1fcaad41"}
"""SHA-256 of a version's files, as `digest` computes it."""


def digest(version: int) -> str:
    """Return the SHA-256 of the names, sizes and bytes of a version's files, in the order of their names."""
    whole = sha256()
    for file in sorted((FOLDER / f"v{version}").iterdir()):
        data = file.read_bytes()
        whole.update(f"{file.name} {len(data)}\n".encode() + data)
    return whole.hexdigest()


def write(version: int, messages: dict[str, WireMessage]) -> None:
    """Write the frames of a version that was not released yet."""
    folder = FOLDER / f"v{version}"
    folder.mkdir(parents=True, exist_ok=True)
    for name, message in messages.items():
        (folder / f"{name}.bin").write_bytes(frames(message.pack()))


if __name__ == "__main__":
    for number in VERSIONS.keys() - RELEASED.keys():
        write(number, VERSIONS[number])
