"""A node's id: the hash of its public key, and the text that people read out and type.

The text has four groups of 13 letters and one check letter each, shown in halves:
`ABCDEFG-HIJKLMN-…` (8 × 7). A check letter is a weighted sum over the field with 32 elements; as all
weights differ, it finds every single wrong letter and every two letters that changed places.
"""

from __future__ import annotations

import base64
import hashlib
import re
from typing import NewType

from peers.errors import BadNodeId

NodeId = NewType("NodeId", str)
"""SHA-256 of the public key (DER, SubjectPublicKeyInfo) in base32: 52 letters A-Z and digits 2-7, no check letters."""

ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
ID_LENGTH = 52
"""256 bits, 5 per letter, rounded up."""
GROUP = 13
"""Letters that share one check letter."""
SHOWN = 7
"""Letters between two dashes; half a group with its check letter."""
_FIELD = 0b100101
"""x^5 + x^2 + 1: multiplication by x runs through all 31 non-zero elements."""
_MISREAD = str.maketrans("018", "OIB")
"""Digits that base32 leaves out, as the letters they are mistaken for."""
_ID = re.compile(rf"[A-Z2-7]{{{ID_LENGTH - 1}}}[AQ]")
"""The last letter holds one bit of the hash."""
_ORDINALS = ("first", "second", "third", "fourth")


def of_key(public_key_der: bytes) -> NodeId:
    """Return the id of the node that holds this key."""
    return NodeId(base64.b32encode(hashlib.sha256(public_key_der).digest()).decode().rstrip("="))


def is_node_id(text: str) -> bool:
    """Return whether a text is an id as it stands on the wire: no dashes, no check letters."""
    return _ID.fullmatch(text) is not None


def readable(node: NodeId) -> str:
    """Return the id with check letters and dashes.

    >>> readable(NodeId("A" * 52))
    'AAAAAAA-AAAAAAA-AAAAAAA-AAAAAAA-AAAAAAA-AAAAAAA-AAAAAAA-AAAAAAA'
    """
    groups = (node[start : start + GROUP] for start in range(0, ID_LENGTH, GROUP))
    letters = "".join(group + _check_letter(group) for group in groups)
    return "-".join(letters[start : start + SHOWN] for start in range(0, len(letters), SHOWN))


def short(node: NodeId) -> str:
    """Return the first letters, enough to tell a household's devices apart."""
    return node[:SHOWN]


def parse(text: str) -> NodeId:
    """Return the id that somebody typed; case, spaces, dashes and common misreads don't matter. Raises BadNodeId."""
    letters = re.sub(r"[\s\-‐-―_.]", "", text).upper().translate(_MISREAD)
    unknown = next((letter for letter in letters if letter not in ALPHABET), None)
    if unknown is not None:
        raise BadNodeId(f"A node id has the letters A-Z and the digits 2-7, not {unknown!r}. Read it again.")
    step = GROUP + 1
    if len(letters) != ID_LENGTH + ID_LENGTH // GROUP:
        wanted = ID_LENGTH + ID_LENGTH // GROUP
        raise BadNodeId(f"A node id has {wanted} letters and digits, but this has {len(letters)}. Read it again.")
    groups = [letters[start : start + step] for start in range(0, len(letters), step)]
    for place, group in zip(_ORDINALS, groups, strict=True):
        if _check_letter(group[:GROUP]) != group[GROUP]:
            shown = f"{group[:SHOWN]}-{group[SHOWN:]}"
            raise BadNodeId(f"The node id is mistyped in its {place} quarter, {shown}. Read that part again.")
    node = "".join(group[:GROUP] for group in groups)
    if not is_node_id(node):
        raise BadNodeId(f"A node id can't end in {node[-1]!r} before its check letter. Read its end again.")
    return NodeId(node)


def _check_letter(group: str) -> str:
    """Return the letter that makes the weighted sum of the group and itself zero."""
    total = 0
    for place, letter in enumerate(group, start=1):
        total ^= _times(_WEIGHTS[place], ALPHABET.index(letter))
    return ALPHABET[total]  # its own weight is 1, and in this field minus is plus


def _times(a: int, b: int) -> int:
    product = 0
    while b:
        if b & 1:
            product ^= a
        a <<= 1
        if a & 32:
            a ^= _FIELD
        b >>= 1
    return product


def _powers() -> tuple[int, ...]:
    found = [1]
    for _ in range(30):
        found.append(_times(found[-1], 2))
    return tuple(found)


_WEIGHTS = _powers()
"""Weight of each place: 31 different elements, none of them zero; the check letter has the first."""
