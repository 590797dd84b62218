"""`covey bench`: what the models here do on this device, in a minute or two."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated

import typer

from models.engine.environment import cores
from models.errors import InputError, ModelsError, NotInstalled
from models.pool import ModelPool
from models.store import Store
from models.types import Json
from runtime import paths
from runtime.cli.paper import aside
from runtime.cli.running import run
from runtime.config import load
from runtime.measure import MODEL_S, STREAMS, Measured, measure, verdict

LEGEND = (
    "prompt: tokens read a second. at once: tokens written a second, all answers together. "
    "A token is about three quarters of a word."
)
DASH = "-"
NOT_MEASURED = f"{DASH}: not measured. A model has {MODEL_S:.0f} s, and answers at once need room beside each other."

app = typer.Typer()


@app.command()
def bench(
    names: Annotated[
        list[str] | None, typer.Argument(help="Models to measure; all text models here by default.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> int:
    """Measure load, speed and memory of each text model, and say what this device is good for."""
    found, failed = run(_measured(names or []))
    untuned = _untuned(found)
    if as_json:
        print(json.dumps({**as_object(found), "untuned": untuned, "failed": dict(failed)}))
    else:
        print(as_text(found, untuned))
    return 1 if failed and names else 0


async def _measured(names: Sequence[str]) -> tuple[list[Measured], dict[str, str]]:
    """Return the figures, and of models that can't be measured why. Raises ModelsError where none can."""
    import psutil  # heavy, first use only

    home = paths.ensure_home(paths.home())
    settings = load(paths.settings_file(home))
    store = Store(paths.models_dir(home))
    here = sorted((m for m in store.installed().values() if m.kind == "text"), key=lambda m: m.size_bytes)
    asked = [store.get(name) for name in names]
    for manifest in asked:
        if manifest.kind != "text":
            raise InputError(f"{manifest.id} does not write text; measure one of the models that do.")
    chosen = list(dict.fromkeys(manifest.id for manifest in asked or here))
    if not chosen:
        raise NotInstalled("There is no text model on this device yet. Run `covey models pull`, then measure again.")
    found: list[Measured] = []
    failed: dict[str, ModelsError] = {}
    for name in chosen:
        aside(f"measuring {name}")
        pool = ModelPool(
            store,
            budget_bytes=settings.memory_budget_bytes(psutil.virtual_memory().total),
            threads=settings.threads or cores(),
            choice=settings.language_models(),
        )
        try:
            found.append(await measure(name, pool.text((name,))))
        except ModelsError as error:  # what was measured of the others is worth telling
            failed[name] = error
            aside(f"{name} could not be measured: {error}")
        finally:
            await pool.close()
    if not found:
        raise next(iter(failed.values()))
    return found, {name: str(error) for name, error in failed.items()}


def _untuned(found: Sequence[Measured]) -> list[str]:
    """Return the models of which `covey models tune` has not found yet what is fastest here."""
    store = Store(paths.models_dir(paths.home()))
    return [one.model for one in found if store.tuned(store.get(one.model)) is None]


def as_text(found: Sequence[Measured], untuned: Sequence[str] = ()) -> str:
    """Return the table and the sentences under it."""
    header = ["model", "load s", "prompt tok/s", *(f"{n} at once" for n in STREAMS), "memory MB"]
    rows = [header, *(_cells(one) for one in found)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(header))]
    lines = [
        "  ".join(text.ljust(width) if not column else text.rjust(width) for column, (text, width) in enumerate(cells))
        for cells in (list(zip(row, widths, strict=True)) for row in rows)
    ]
    missing = [NOT_MEASURED] if any(DASH in cells for cells in rows) else []
    return "\n".join([*lines, "", LEGEND, *missing, verdict(found), *map(_may_be_faster, untuned)])


def _may_be_faster(name: str) -> str:
    return f"{name} is not tuned for this device yet; `covey models tune {name}` finds what is fastest here."


def _cells(one: Measured) -> list[str]:
    rates = [one.decode_tokens_s.get(streams) for streams in STREAMS]
    return [
        one.model,
        f"{one.load_s:.1f}",
        *(f"{rate:.0f}" if rate else DASH for rate in (one.prompt_tokens_s, *rates)),
        f"{one.memory_bytes / 1e6:.0f}",
    ]


def as_object(found: Sequence[Measured]) -> dict[str, Json]:
    return {"models": [asdict(one) for one in found], "sentence": verdict(found)}
