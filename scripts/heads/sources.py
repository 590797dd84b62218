"""Rows of the public data sets that heads are fitted on: training files, and the tuning half of the others."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from runtime.evals.halves import Half, half

DATA = Path(os.environ.get("COVEY_DATA", Path(__file__).parents[2].parent / "shared" / "data"))
LICENCES = {
    "banking77": "CC BY 4.0",
    "bfcl": "Apache-2.0",
    "bipia": "MIT; tables and Stack Exchange text CC BY-SA 4.0",
    "clinc150": "CC BY 3.0",
    "e2e_extraction": "CC BY-SA 4.0",
    "gsm8k": "MIT; outcomes Apache-2.0",
    "home_assistant_intents": "CC BY 4.0",
    "humaneval": "MIT",
    "hwu64": "CC BY 4.0",
    "ifeval": "Apache-2.0",
    "mbpp": "CC BY 4.0",
    "mmlu": "MIT; outcomes Apache-2.0",
    "mt_bench": "Apache-2.0",
    "nq_open_rag": "MIT; text CC BY-SA 3.0",
    "pii_presidio": "MIT",
    "prompt_injection": "MIT; in-the-wild jailbreaks Apache-2.0",
    "pubmedqa": "MIT",
    "routing_llms": "MIT",
    "snips": "CC0 1.0",
    "svamp": "MIT",
    "trec": "MIT (the copy); released by its authors for research, without a formal licence",
    "truthfulqa": "Apache-2.0",
    "wnut17": "CC BY 4.0",
    "xquad": "CC BY-SA 4.0",
}
"""Of each set that a head may be fitted on. Sets for non-commercial use, or whose authors ask that nothing be
trained on them, are not here, and can't be read."""


@dataclass(slots=True)
class Sources:
    """Reads sets and remembers which rows were given out, for the head's `.json`."""

    used: dict[str, set[str]] = field(default_factory=dict)
    """Data set to the digests of the rows that were given out for fitting."""

    def train(self, name: str, *, label: str = "", each: int = 0) -> list[dict[str, Any]]:
        """Return the rows of a set's training file; with `each`, the first so many of every label."""
        rows = _rows(name, "train")
        return self._given(name, _first_each(rows, label, each) if each else rows)

    def tuning(self, name: str) -> list[dict[str, Any]]:
        """Return the tuning half of a set's dev file."""
        return self._given(name, dev_half(name, "tuning"))

    def described(self) -> list[dict[str, Any]]:
        """Return what a head's `.json` says about its data."""
        return [
            {
                "name": name,
                "licence": LICENCES[name],
                "rows": len(digests),
                "sha256": hashlib.sha256("\n".join(sorted(digests)).encode()).hexdigest(),
            }
            for name, digests in sorted(self.used.items())
        ]

    def _given(self, name: str, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        self.used.setdefault(name, set()).update(map(digest, rows))
        return rows


def dev_half(name: str, which: Half) -> list[dict[str, Any]]:
    """Return one half of a set's dev file; only the tuning half may be fitted on."""
    return [row for row in _rows(name, "dev") if half(row) == which]


def digest(row: dict[str, Any]) -> str:
    """Return what identifies a row without telling its text."""
    return hashlib.sha256(json.dumps(row, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def _first_each(rows: list[dict[str, Any]], label: str, most: int) -> list[dict[str, Any]]:
    counts: Counter[str] = Counter()
    kept = []
    for row in rows:
        counts[row[label]] += 1
        if counts[row[label]] <= most:
            kept.append(row)
    return kept


def _rows(name: str, part: str) -> list[dict[str, Any]]:
    if name not in LICENCES:
        raise ValueError(f"{name} may not be fitted on, or its licence is not written down in scripts/heads/sources.py")
    plain, packed = DATA / name / f"{part}.jsonl", DATA / name / f"{part}.jsonl.gz"
    path = plain if plain.exists() else packed
    if not path.exists():
        raise FileNotFoundError(f"{path} is missing; set COVEY_DATA to the folder of the data sets")
    with (gzip.open if path.suffix == ".gz" else open)(path, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]
