"""Texts whose label is known: twenty labels of a data set, an example of each, and rows that nothing was fitted on."""

from __future__ import annotations

from dataclasses import dataclass

from runtime.cli.eval import data_folder
from runtime.evals.cases import source_rows
from runtime.evals.halves import half
from runtime.evals.rows import Row
from runtime.evals.suite import BUILT_IN, read_suite

SUITE = "banking77"
LABELS = 20


@dataclass(frozen=True, slots=True)
class Labelled:
    """What there is to choose from, and what is asked."""

    labels: tuple[str, ...]
    examples: tuple[str, ...]
    """A text for each label, of the training rows."""
    asked: tuple[tuple[str, str], ...]
    """Text and label of each row, those of the half that is reported on."""

    def system(self) -> str:
        """Return the prompt that all rows share: every label with its example."""
        shown = "\n".join(f"{text} => {label}" for text, label in zip(self.examples, self.labels, strict=True))
        return f"Say which kind of request it is. Kinds, each with an example:\n{shown}"


def labelled(most: int) -> Labelled:
    """Return at most so many rows of labels from all over the set. Raises SuiteSkipped where it is not on this disk."""
    suite = read_suite(BUILT_IN / f"{SUITE}.toml")
    source, field = suite.sources[0], suite.head.label if suite.head else "label"
    training = source_rows(source, data_folder(), "train")
    known = sorted({str(row.at(field)) for row in training})
    chosen = [known[place * len(known) // LABELS] for place in range(LABELS)]
    first: dict[str, Row] = {}
    for row in training:
        first.setdefault(row.at(field), row)
    rows = [row for row in source_rows(source, data_folder()) if half(row.fields) == suite.half]
    asked = [(_text(row), _name(row.at(field))) for row in rows if row.at(field) in chosen]
    return Labelled(tuple(map(_name, chosen)), tuple(_text(first[label]) for label in chosen), tuple(asked[:most]))


def _name(label: str) -> str:
    return label.replace("_", " ").lower()


def _text(row: Row) -> str:
    return " ".join(str(row.at("text")).split())
