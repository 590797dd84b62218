"""A specialist from examples: what is kept of them, and what an update may change."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import date
from pathlib import Path

import pytest
from filelock import FileLock

from models.backends.scripted import ScriptedEncoder, ScriptedPool
from models.errors import BadArtifact, NotInstalled
from models.specialist import build
from models.types import Request, Result, last
from runtime import registry
from runtime.errors import DocumentInvalid, NotFound, UsageError
from runtime.stages import rules
from runtime.training import kept, train
from runtime.training.examples import Columns
from runtime.training.report import advice
from tests.runtime.training.tables import Pairs, table

WORDS = {
    "billing": ("invoice", "charged", "payment", "amount", "receipt"),
    "delivery": ("parcel", "courier", "shipment", "doorstep", "tracking"),
    "technical": ("crash", "login", "password", "screen", "update"),
}


def mails(each: int = 10, labels: Sequence[str] = tuple(WORDS)) -> list[tuple[str, str]]:
    """Return rows that can be told apart by their words."""
    return [
        (f"{WORDS[label][n % 5]} {WORDS[label][(n + 1 + n // 5) % 5]} number {n}", label)
        for label in labels
        for n in range(each)
    ]


def pool(name: str = "scripted-encoder") -> ScriptedPool:
    return ScriptedPool(encoder={"bge-small-en": ScriptedEncoder(dimensions=128, name=name)})


def silent(what: str, done: int, total: int) -> None:
    pass


async def add(tmp_path: Path, rows: Pairs, name: str = "triage") -> train.Trained:
    folder = tmp_path / "own"
    file = table(tmp_path / "mails.csv", rows)
    found = registry.load(folder)
    return await train.add(name, file, folder, pool=pool(), registry=found, columns=Columns(), progress=silent)


async def update(tmp_path: Path, rows: Pairs, encoder: str = "scripted-encoder") -> train.Updated:
    file = table(tmp_path / "more.csv", rows) if rows else None
    return await train.update("triage", file, tmp_path / "own", pool=pool(encoder), columns=Columns(), progress=silent)


async def ask(tmp_path: Path, text: str) -> Result:
    entry = registry.load(tmp_path / "own").named("triage")
    return await last(build(entry.spec, pool()).run(Request("triage", {"text": text})))


async def test_a_specialist_from_examples_answers_says_how_good_it_is_and_keeps_no_text(tmp_path: Path) -> None:
    made = await add(tmp_path, mails())
    assert made.rows == 30
    assert made.measured.accuracy.value is not None and made.measured.accuracy.value > 0.8
    assert (await ask(tmp_path, "the parcel and its tracking")).output == "delivery"
    unknown = await ask(tmp_path, "zebras graze quietly yonder")
    assert unknown.refusal is not None
    about = json.loads((tmp_path / "own" / "triage.1.json").read_text(encoding="utf-8"))
    assert about["rows"] == 30
    assert about["measured"]["advice"] == advice(made.measured)
    for file in (tmp_path / "own").iterdir():
        data = file.read_bytes()
        assert not any(word.encode() in data for words in WORDS.values() for word in words if word != "update"), file
        assert file.stat().st_mode & 0o077 == 0 or file.name == ".training.lock"


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        ([(f"text {n}", "only") for n in range(20)], "one label only \\('only'\\)"),
        ([("one", "a"), ("two", "b")], "too little to learn from \\(2 different rows"),
        ([(f"text {n}", f"label {n}") for n in range(12)], "0 labels with two or more"),
        ([("same", "a"), ("same", "b")] * 10, "too little to learn from \\(2 different rows"),
        ([("", "a"), ("", "b")], "no row with both a text and a label"),
        ([], "no row with both a text and a label"),
    ],
)
async def test_too_little_to_learn_from_is_said(rows: Pairs, sentence: str, tmp_path: Path) -> None:
    with pytest.raises(DocumentInvalid, match=sentence):
        await add(tmp_path, rows)
    assert not list((tmp_path / "own").glob("*"))


async def test_a_name_that_is_taken_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="already here"):
        await add(tmp_path, mails(), "summarize")
    with pytest.raises(UsageError, match="small letters"):
        await add(tmp_path, mails(), "My Triage")
    await add(tmp_path, mails())
    with pytest.raises(UsageError, match="covey specialists update triage"):
        await add(tmp_path, mails())
    (tmp_path / "own" / "torn.toml").write_text("name =")
    with pytest.raises(UsageError, match="covey specialists remove torn"):
        await add(tmp_path, mails(), "torn")


async def test_without_the_encoder_nothing_is_written(tmp_path: Path) -> None:
    file, own = table(tmp_path / "a.csv", mails()), tmp_path / "own"
    with pytest.raises(NotInstalled, match="covey models pull"):
        await train.add(
            "triage", file, own, pool=ScriptedPool(), registry=registry.load(own), columns=Columns(), progress=silent
        )
    assert [one.name for one in own.iterdir()] in ([], [".training.lock"])


async def test_two_commands_do_not_write_at_once(tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    with FileLock(tmp_path / "own" / ".training.lock"), pytest.raises(UsageError, match="Another command"):
        await add(tmp_path, mails())


async def test_more_examples_make_a_new_version_and_undo_goes_one_step_back(tmp_path: Path) -> None:
    await add(tmp_path, mails(labels=("billing", "delivery")))
    made = await update(tmp_path, mails(labels=("technical",)))
    assert (made.compared.kept, made.version, made.added) == ("new", 2, 10)
    assert made.compared.before_new.value == 0
    assert made.compared.after_new.value is not None and made.compared.after_new.value > 0.7
    assert "New labels: technical." in made.warnings
    assert (await ask(tmp_path, "password and login")).output == "technical"
    own = tmp_path / "own"
    assert kept.undo("triage", own) == 1
    assert (await ask(tmp_path, "password and login")).output != "technical"
    with pytest.raises(UsageError, match="no earlier version"):
        kept.undo("triage", own)
    assert not list(own.glob("triage.2.*"))


async def test_rows_that_make_it_worse_are_not_taken(tmp_path: Path) -> None:
    await add(tmp_path, mails(20))
    files = {file.name: file.read_bytes() for file in (tmp_path / "own").glob("triage*")}
    wrong = {"billing": "delivery", "delivery": "technical", "technical": "billing"}
    noisy = [(f"{text} again", wrong[label] if n % 2 else label) for n, (text, label) in enumerate(mails(20))]
    made = await update(tmp_path, noisy)
    assert made.compared.kept == "old"
    assert "make it worse" in made.compared.reason
    assert made.version == 1
    assert {file.name: file.read_bytes() for file in (tmp_path / "own").glob("triage*")} == files


async def test_known_rows_change_nothing_and_a_corrected_label_counts(tmp_path: Path) -> None:
    rows = mails()
    await add(tmp_path, rows)
    same = await update(tmp_path, rows)
    assert (same.compared.kept, same.added) == ("old", 0)
    assert "30 of the rows are in it already." in same.warnings
    text = rows[0][0]
    corrected = await update(tmp_path, [(text, "technical")])
    assert "1 texts had another label before; the new one counts." in corrected.warnings
    assert len(corrected.compared.rows.labels) == 30
    assert (await update(tmp_path, [])).compared.kept == "old"


async def test_only_the_version_before_is_kept_and_the_owners_changes_to_the_spec_stay(tmp_path: Path) -> None:
    await add(tmp_path, mails(6))
    own = tmp_path / "own"
    spec = own / "triage.toml"
    spec.write_text(spec.read_text().replace('summary = "', 'floor = 0.25\nsummary = "Mine: '))
    for n in range(3):
        await update(tmp_path, [(f"{text} more {n}", label) for text, label in mails(6)])
    assert {file.name.split(".")[1] for file in own.glob("triage.*.npz")} == {"3", "4"}
    found = registry.load(own).named("triage").spec
    assert (found.floor, found.summary[:5]) == (0.25, "Mine:")


async def test_rows_of_another_encoder_are_not_mixed(tmp_path: Path) -> None:
    await add(tmp_path, mails())
    with pytest.raises(BadArtifact, match="another encoder"):
        await update(tmp_path, mails(3), encoder="another-one")


async def test_what_was_not_made_from_examples_can_not_be_updated(tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.mkdir()
    (own / "triage.toml").write_text('name = "triage"\nrunner = "classify"\nsummary = "x"\nlabels = ["a", "b"]\n')
    with pytest.raises(UsageError, match="not made from examples"):
        await update(tmp_path, mails())
    (own / "triage.toml").unlink()
    with pytest.raises(NotFound, match="covey specialists list"):
        await update(tmp_path, mails())


@pytest.mark.parametrize("part", ["triage.1.npz", "triage.1.rows.npz", "triage.1.json"])
async def test_a_torn_file_is_one_sentence(part: str, tmp_path: Path) -> None:
    await add(tmp_path, mails())
    file = tmp_path / "own" / part
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(BadArtifact, match=r"is damaged.*examples"):
        await update(tmp_path, mails(3))


async def test_a_failure_before_the_spec_is_written_leaves_the_version_in_use(tmp_path: Path) -> None:
    await add(tmp_path, mails(labels=("billing", "delivery")))
    blocked = tmp_path / "own" / ".triage.toml.new"
    blocked.mkdir()
    with pytest.raises(IsADirectoryError):
        await update(tmp_path, mails(labels=("technical",)))
    assert (await ask(tmp_path, "invoice and payment")).output == "billing"
    blocked.rmdir()
    assert (await update(tmp_path, mails(labels=("technical",)))).version == 2
    assert (await ask(tmp_path, "password and login")).output == "technical"


async def test_a_request_that_begins_with_the_name_is_for_it(tmp_path: Path) -> None:
    assert registry.load(tmp_path / "own").own == frozenset()
    await add(tmp_path, mails())
    own = registry.load(tmp_path / "own").own
    assert own == {"triage"}
    found = rules.claim(rules.Seen("Triage: where is it?", date(2026, 1, 5), own=own))
    assert (found.capability, found.score, found.input) == ("triage", 1.0, {"text": "where is it?"})
    assert rules.claim(rules.Seen("triage:", date(2026, 1, 5), own=own)).capability is None
    assert rules.claim(rules.Seen("Triage: where is it?", date(2026, 1, 5))).capability is None


async def test_forgetting_takes_only_this_specialists_files(tmp_path: Path) -> None:
    await add(tmp_path, mails())
    await add(tmp_path, mails(), "triage.2")
    own = tmp_path / "own"
    kept.forget("triage", own)
    left = {file.name for file in own.iterdir()}
    assert {"triage.2.1.npz", "triage.2.1.json", "triage.2.1.rows.npz"} <= left
    assert "triage.1.npz" not in left
