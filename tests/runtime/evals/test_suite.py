"""Suites are data, and a wrong one is refused with the file and the field."""

from __future__ import annotations

from pathlib import Path

import pytest

from runtime.evals.errors import SuiteError
from runtime.evals.suite import BUILT_IN, find_suite, read_suite, suite_files

GOOD = """
name = "tiny"
summary = "Echoes."
capability = "echo"
metrics = ["accuracy"]
licence = "CC0-1.0"
[[sources]]
data = "tiny"
expect = "{label}"
input = { text = "{text}" }
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "tiny.toml"
    path.write_text(text)
    return path


@pytest.mark.parametrize("path", sorted(BUILT_IN.glob("*.toml")), ids=lambda path: path.stem)
def test_every_suite_that_ships_is_valid_and_named_like_its_file(path: Path) -> None:
    suite = read_suite(path)
    assert suite.name == path.stem
    assert suite.licence and suite.summary.endswith(".")


def test_suite_is_read(tmp_path: Path) -> None:
    suite = read_suite(written(tmp_path, GOOD))
    assert suite.headline == "accuracy"
    assert suite.limit == 200
    assert suite.half == "reporting"


@pytest.mark.parametrize(
    ("change", "to", "says"),
    [
        ('metrics = ["accuracy"]', 'metrics = ["acuracy"]', "there is no metric 'acuracy'"),
        ('metrics = ["accuracy"]', "metrics = []", "field metrics"),
        ('capability = "echo"', 'capability = "echo"\nspeed = 3', "field speed"),
        ('capability = "echo"', 'capability = "echo"\nreader = "tea"', "there is no reader 'tea'"),
        ('capability = "echo"', 'capability = "echo"\nkind = "head"', "needs a [head] table"),
        ('capability = "echo"', 'capability = "echo"\nkind = "retrieve"', "needs a [retrieval] table"),
        ("[[sources]]", '[options]\ncorrect = "luck"\n[[sources]]', "options.correct"),
        ('name = "tiny"', "name = ", "Correct the file"),
    ],
)
def test_a_wrong_suite_is_refused_with_its_file_and_field(tmp_path: Path, change: str, to: str, says: str) -> None:
    path = written(tmp_path, GOOD.replace(change, to))
    with pytest.raises(SuiteError, match=r"tiny\.toml") as refused:
        read_suite(path)
    assert says in str(refused.value)


def test_the_owners_suite_replaces_one_that_ships(tmp_path: Path) -> None:
    (tmp_path / "trec.toml").write_text(GOOD.replace('"tiny"', '"trec"', 1))
    assert suite_files(tmp_path)["trec"].parent == tmp_path
    assert find_suite("trec", tmp_path).capability == "echo"


def test_an_unknown_suite_is_answered_with_the_names(tmp_path: Path) -> None:
    with pytest.raises(SuiteError, match=r"Choose one of .*trec"):
        find_suite("treck", tmp_path)
