"""Which half of a data set a row belongs to: the half for tuning, or the half that figures are reported on.

The two never mix. Rows that share a source (the wordings of one group, the questions on one
article) always fall into the same half.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from typing import Any, Literal

Half = Literal["tuning", "reporting"]

GROUP_FIELDS = ("group", "template_id", "title", "company")
"""Fields that say which rows belong together, looked for in this order."""
ID_FIELDS = ("id", "task_id", "key", "question_id")


def half(row: Mapping[str, Any]) -> Half:
    """Return the half of a row of a `dev` file; the same row is in the same half on every machine.

    >>> half({"id": "test-742"})
    'tuning'
    """
    number = int(sha256(str(group_key(row)).encode()).hexdigest(), 16)
    return "tuning" if number % 2 == 0 else "reporting"


def group_key(row: Mapping[str, Any]) -> object:
    """Return what decides a row's half. Raises ValueError for a row without any known key."""
    for key in (*GROUP_FIELDS, *ID_FIELDS):
        if row.get(key) is not None:
            return row[key]
    raise ValueError(f"This row has none of the fields {', '.join((*GROUP_FIELDS, *ID_FIELDS))}; give it an `id`.")
