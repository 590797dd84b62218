"""What is wrong with a chain, found by reading all of it: values in, a verdict out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from peers.chain_entry import NO_HASH, Entry, Head, Signer, decode, hash_of, is_signed

MAX_PROBLEMS = 20
"""A report that is longer says no more."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is not as it was written."""

    kind: str
    """`no_head`, `unreadable`, `edited`, `removed`, `moved`, `unlinked`, `unsigned`, `rebuilt` or `cut`."""
    number: int
    """Of the entry; for a gap or a cut, of the first that is missing."""
    sentence: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """What `verify` found."""

    entries: int
    problems: tuple[Problem, ...] = ()
    notes: tuple[str, ...] = ()
    """What a power cut explains."""

    @property
    def ok(self) -> bool:
        return not self.problems


def check(
    name: str, lines: Iterator[bytes], head: Head | None, signer: Signer, witnesses: Sequence[Head], *, torn: bool
) -> Verdict:
    """Read the lines of the chain `name` and return all that is wrong, in their order.

    `witnesses` are heads that other devices remember; `torn` says that an unfinished line follows.
    """
    if head is None or not is_signed(name, head, signer):
        found, head = [Problem("no_head", 0, "The signed head is missing or was changed.")], None
    else:
        found = []
    remembered = [(known.number, known.hash) for known in (*witnesses, *([head] if head else [])) if known.number]
    previous, number, count = NO_HASH, 0, 0
    for line in lines:
        count += 1
        entry = decode(line)
        if entry is None:
            found.append(Problem("unreadable", number + 1, f"The line after entry {number} can't be read."))
            previous, number = "", number + 1
            continue
        found += _entry_problems(name, entry, previous, number, signer)
        if any(at == entry.number and digest != entry.head.hash for at, digest in remembered):
            found.append(Problem("rebuilt", entry.number, f"Entry {entry.number} is not the one that was signed then."))
        previous, number = entry.head.hash, entry.number
    furthest = max((at for at, _ in remembered), default=0)
    if furthest > number:
        found.append(Problem("cut", number + 1, f"The end is missing: the last entry is {number}, it was {furthest}."))
    return Verdict(count, tuple(found[:MAX_PROBLEMS]), tuple(_notes(head, number, torn=torn)))


def _notes(head: Head | None, number: int, *, torn: bool) -> Iterator[str]:
    if head is not None and head.number < number:
        yield f"The head of entry {number} is missing: the power went, or it is just being written; the next mends it."
    if torn:
        yield "The last line is unfinished: the power went while it was written, and nothing was sent for it."


def _entry_problems(name: str, entry: Entry, previous: str, number: int, signer: Signer) -> list[Problem]:
    """Return what is wrong with an entry that stands behind entry `number` with the hash `previous`."""
    here, found = entry.number, []  # type: int, list[Problem]
    if here > number + 1:
        gone = f"Entry {number + 1} is" if here == number + 2 else f"Entries {number + 1} to {here - 1} are"
        found.append(Problem("removed", number + 1, f"{gone} missing."))
    elif here <= number:
        found.append(Problem("moved", here, f"Entry {here} stands behind entry {number}."))
    elif entry.previous != previous:
        found.append(Problem("unlinked", here, f"Entry {here} does not follow from the entry before it."))
    if entry.head.hash != hash_of(name, here, entry.previous, entry.body):
        found.append(Problem("edited", here, f"Entry {here} was changed after it was written."))
    elif not is_signed(name, entry.head, signer):
        found.append(Problem("unsigned", here, f"Entry {here} was not signed by this node."))
    return found
