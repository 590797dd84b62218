"""`covey models add FOLDER`: converts a checkpoint and shows how faithful the small model is to it."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from models.conversion import Converted, Row, add_checkpoint
from models.errors import InputError
from models.store import Store
from models.types import Json
from runtime.cli.running import cleared_away
from runtime.errors import UsageError
from runtime.training import examples

RUNNERS = {"classifier": "classify", "tagger": "tag", "encoder": "embed", "reranker": "rerank"}
"""Kind of model to the runner that a specialist's spec names to use it."""
DECIDES = {
    "classifier": "the same label for {share} of {rows} texts",
    "tagger": "the same label for {share} of {rows} tokens",
    "encoder": "the same nearest text for {share} of {rows} texts",
    "reranker": "the same order for {share} of {rows} pairs of passages",
}


def add_folder(
    paths: list[Path],
    store: Store,
    *,
    name: str,
    rows: Path | None,
    columns: examples.Columns | None = None,
    as_json: bool,
) -> None:
    """Install one checkpoint folder. Raises InputError, DocumentError, UsageError and as `add_checkpoint`."""
    if len(paths) != 1:
        raise InputError("A checkpoint folder is added by itself; give one folder, or files only.")
    measured_with = labelled(rows, columns) if rows else []
    with cleared_away():
        converted = add_checkpoint(
            paths[0],
            store,
            name=name,
            rows=measured_with,
            said=lambda line: print(line, file=sys.stderr, flush=True),
        )
    print(json.dumps(_detail(converted)) if as_json else _words(converted))


def labelled(file: Path, columns: examples.Columns | None = None) -> list[Row]:
    """Return the rows of a file in an order that is the same each time and has nothing to do with that of the file.

    Files are often sorted by label, and only so many of the rows are measured. Raises DocumentError, UsageError.
    """
    rows = sorted(examples.read(file, columns).rows, key=lambda row: row.digest)
    if not rows:
        raise UsageError(f"{file.name} has no row with a text and a label. Give some, or add it without --rows.")
    return [(row.text, row.label) for row in rows]


def _detail(converted: Converted) -> dict[str, Json]:
    manifest, fidelity = converted.manifest, converted.fidelity
    return {
        "installed": [{"id": manifest.id, "kind": manifest.kind, "size_bytes": manifest.size_bytes}],
        "waiting": [],
        "measured": {
            "rows": fidelity.rows,
            "labelled": converted.labelled,
            "agreement": fidelity.agreement,
            "accuracy_before": fidelity.accuracy_before,
            "accuracy_after": fidelity.accuracy_after,
            "faithful": fidelity.faithful,
        },
    }


def _words(converted: Converted) -> str:
    manifest, fidelity = converted.manifest, converted.fidelity
    runner = RUNNERS[manifest.kind]
    said = DECIDES[manifest.kind].format(share=f"{fidelity.agreement:.1%}", rows=fidelity.rows)
    lines = [
        f"Installed {manifest.id}: {manifest.summary} Licence: {manifest.licence}.",
        f"{manifest.size_bytes / 1e6:,.1f} MB. Before and after it gives {said}.",
    ]
    if fidelity.accuracy_before is not None:
        lines.append(f"Right before: {fidelity.accuracy_before:.1%}. Right after: {fidelity.accuracy_after:.1%}.")
    if not fidelity.faithful:
        lines.append("That is a large difference: look at its answers before you rely on them.")
    lines.append(
        f'To use it write a spec with runner = "{runner}" and models = ["{manifest.id}"], '
        f"and run `covey specialists add FILE` (docs/models.md has one)."
    )
    return "\n".join(lines)
