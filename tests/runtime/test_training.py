"""A specialist from examples: what is read, how good it is said to be, what is kept, and what an update may change."""

from __future__ import annotations

import csv
import json
import os
from collections import Counter
from collections.abc import Sequence
from datetime import date
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock

from models.backends.scripted import ScriptedEncoder, ScriptedPool
from models.errors import BadArtifact, NotInstalled
from models.specialist import build
from models.types import Request, Result, last
from runtime import registry
from runtime.errors import DocumentInvalid, DocumentMissing, NotFound, UsageError
from runtime.stages import rules
from runtime.training import kept, train
from runtime.training.doubts import doubts, near_labels
from runtime.training.examples import LEAST_EACH, MAX_TEXT_CHARS, Columns, Examples, read
from runtime.training.fitting import best_temperature, fit
from runtime.training.measuring import doubling_gain, folds_of, macro_f1, measure
from runtime.training.report import advice

Pairs = Sequence[tuple[str, str]]
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


def table(path: Path, rows: Pairs, header: tuple[str, str] = ("text", "label")) -> Path:
    with path.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([header, *rows])
    return path


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


# --- reading


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", "Text,Label\nthe invoice,billing\n"),
        ("a.csv", " LABEL ;id; Message\nbilling;7;the invoice\n"),
        ("a.tsv", "category\tbody\nbilling\tthe invoice\n"),
        ("a.csv", "\ufefftext,label\r\nthe invoice,billing\r\n\r\n"),
        ("a.csv", 'text,label\n"the invoice","billing "\n'),
        ("a.jsonl", '{"Text": "the invoice", "Label": "billing"}\n\n'),
        ("a.txt", '{"label": "billing", "text": "the invoice"}\n'),
    ],
)
def test_columns_are_found_by_their_usual_names(name: str, content: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(content, encoding="utf-8")
    (row,) = read(tmp_path / name).rows
    assert (row.text, row.label) == ("the invoice", "billing")


def test_columns_may_be_named(tmp_path: Path) -> None:
    file = table(tmp_path / "a.csv", [("the invoice", "billing")], ("what they wrote", "desk"))
    (row,) = read(file, Columns("What they wrote", "desk")).rows
    assert (row.text, row.label) == ("the invoice", "billing")
    with pytest.raises(UsageError, match="--text-column"):
        read(file)
    with pytest.raises(UsageError, match=r"no column 'nothing'.*what they wrote, desk.*--label-column"):
        read(file, Columns("what they wrote", "nothing"))


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("text,label\nJosé,billing\n".encode("cp1252"), r"not UTF-8 text \(byte 0xe9, line 2\)"),
        ("text,label\nJosé,billing\n".encode("utf-16"), "not UTF-8 text: it looks like UTF-16"),
        (b"", "is empty. Its first line names the columns"),
        (b'{"text": "a", "label": "b"}\nnot json\n', "line 2 is not JSON"),
        (b'{"text": "a", "label": "b"}\n[1]\n', "line 2 is no JSON object"),
        (b"text,label\nhello," + b"x" * 101 + b"\n", "a label of 101 characters"),
        (b"text,label\n" + b"".join(b"t,l%d\n" % n for n in range(501)), "more than 500 different labels"),
        (b'text,label\n"' + b"x" * 1_000_001 + b'",a\n', "no CSV file that can be read"),
    ],
)
def test_a_file_that_can_not_be_read_is_one_sentence(content: bytes, sentence: str, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(content)
    with pytest.raises(DocumentInvalid, match=sentence) as caught:
        read(tmp_path / "a.csv")
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(DocumentMissing, match="Check the path"):
        read(tmp_path / "a.csv")


def test_rows_without_text_or_label_are_counted_and_repeats_used_once(tmp_path: Path) -> None:
    rows = [("one", "a"), ("", "a"), ("  ", "b"), ("two", ""), ("One ", "a"), ("one", "a"), ("x" * 9000, "b")]
    found = read(table(tmp_path / "a.csv", rows))
    assert (found.empty_texts, found.empty_labels, found.repeated, found.shortened) == (2, 1, 2, 1)
    assert [len(row.text) for row in found.rows] == [3, MAX_TEXT_CHARS]
    said = " ".join(doubts(found))
    assert "2 rows without text" in said
    assert "1 row without label" in said
    assert "2 rows that repeat" in said


def test_a_long_file_is_sampled_in_proportion_and_rare_labels_stay_whole(tmp_path: Path) -> None:
    rows = [(f"text {n}", "rare" if n % 500 == 0 else "most" if n % 4 else "some") for n in range(6000)]
    file = table(tmp_path / "a.csv", rows)
    found = read(file, cap=600)
    counts = Counter(row.label for row in found.rows)
    assert len(found.rows) == 600
    assert counts["rare"] == found.counts["rare"] == 12 < LEAST_EACH
    assert 2.4 < counts["most"] / counts["some"] < 3.7
    assert found.sampled
    assert found.total == 6000
    assert any("6,000 rows; 600 of them are used" in said for said in doubts(found))
    assert read(file, cap=600) == found, "the same file gives the same sample"


@pytest.mark.slow
def test_a_million_rows_take_the_memory_of_the_kept_ones(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    file = tmp_path / "a.csv"
    with file.open("w") as stream:
        stream.write("text,label\n")
        stream.writelines(f"message number {n} about the weather,{'abcd'[n % 4]}\n" for n in range(1_000_000))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found = read(file)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert found.total == 1_000_000
    assert len(found.rows) == 10_000
    assert grown < os.path.getsize(file) / 1024 / 2


# --- doubts


def test_labels_that_look_like_one_are_named() -> None:
    labels = ["Billing", "billing", "refund", "refunds", "card_lost", "Card lost", "delivery", "delivrey", "delivry"]
    assert set(near_labels(labels)) == {
        ("Billing", "billing"),
        ("refund", "refunds"),
        ("card_lost", "Card lost"),
        ("delivery", "delivry"),
        ("delivrey", "delivry"),
    }
    assert near_labels(["level 1", "level 2", "cat", "car", "increase", "decrease"]) == []


def test_a_text_with_two_labels_is_named(tmp_path: Path) -> None:
    found = read(
        table(tmp_path / "a.csv", [("the invoice", "billing"), ("The  invoice", "delivery"), ("b", "billing")])
    )
    assert any("1 text has more than one label ('billing' / 'delivery')" in said for said in doubts(found))


def test_labels_with_hardly_a_row_are_named_unless_more_are_known() -> None:
    few = Examples((), {"a": 3, "b": 9})
    assert any("'a' (3)" in said for said in doubts(few))
    assert not any("Too few" in said for said in doubts(few, {"a": 9, "c": 1}))


# --- fitting and measuring


def clusters(rows: int, spread: float, labels: int = 3) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(1)
    places = np.arange(rows) % labels
    vectors = np.eye(labels, 32)[places] + spread * random.normal(size=(rows, 32))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32), places


def test_the_fit_finds_what_scikit_learn_finds() -> None:
    linear = pytest.importorskip("sklearn.linear_model")
    vectors, places = clusters(300, 0.4)
    ours = fit(vectors[:200], places[:200], 3).logits(vectors[200:])
    theirs = linear.LogisticRegression(C=30.0, max_iter=500).fit(vectors[:200], places[:200])
    shares = np.exp(ours) / np.exp(ours).sum(axis=1, keepdims=True)
    assert np.abs(shares - theirs.predict_proba(vectors[200:])).max() < 0.05
    assert (ours.argmax(axis=1) == theirs.predict(vectors[200:])).mean() >= 0.97


def test_chance_labels_are_measured_as_chance_and_clear_ones_as_clear() -> None:
    vectors, places = clusters(150, 0.1)
    clear = measure(vectors, places, ["a", "b", "c"])
    shuffled = measure(vectors, np.random.default_rng(0).permutation(places), ["a", "b", "c"])
    assert clear.accuracy.value == 1.0
    assert clear.weakest == () and clear.confused == ()
    assert shuffled.accuracy.value is not None and shuffled.accuracy.interval is not None
    assert abs(shuffled.accuracy.value - 1 / 3) < 0.15
    low, high = shuffled.accuracy.interval
    assert low < shuffled.accuracy.value < high
    assert sum(one.count for one in shuffled.confused) > 0


def test_every_label_is_spread_over_all_folds() -> None:
    places = np.array([0] * 50 + [1] * 10 + [2] * 5)
    folds = folds_of(places)
    for place in range(3):
        counts = np.bincount(folds[places == place], minlength=5)
        assert counts.max() - counts.min() <= 1


def test_macro_f1_counts_every_label_alike() -> None:
    pairs = np.array([[0, 0]] * 8 + [[1, 0]] * 2, dtype=np.float64)
    assert macro_f1(pairs) == pytest.approx((2 * 8 / 18 + 0) / 2)


def test_gain_of_twice_as_many_rows_follows_the_curve() -> None:
    falling = [(100, 1 - 0.4), (200, 1 - 0.2), (400, 1 - 0.1)]
    assert doubling_gain(falling) == pytest.approx(0.05, abs=1e-6)
    assert doubling_gain([(10, 0.8), (20, 0.8), (40, 0.8)]) == pytest.approx(0, abs=1e-9)
    assert doubling_gain([(10, 0.9), (20, 0.8)]) == 0
    assert doubling_gain([(10, 0.9), (20, 1.0)]) == 0


def test_few_rows_without_a_mistake_do_not_make_it_certain() -> None:
    logits = np.array([[2.0, 0.0]] * 8, dtype=np.float32)
    few = best_temperature(logits, np.zeros(8, dtype=np.int64))
    many = best_temperature(np.repeat(logits, 50, axis=0), np.zeros(400, dtype=np.int64))
    assert few > many


# --- adding


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


# --- updating


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
