"""`covey models tune`: measures weight layouts and settings here and keeps the fastest that is good enough."""

from __future__ import annotations

import json
import math
import os
import sys
from typing import Annotated

import psutil
import typer

from models.engine.environment import cores
from models.errors import InputError
from models.manifest import Manifest
from models.store import Store
from models.tune import DEFAULT_BOUND, LARGEST_BOUND, growth, settings_said, verdict
from models.tuned import Trial, Tuned
from models.types import Json
from runtime import config, paths
from runtime.cli.running import cleared_away

MEMORY_SHARE = 0.25
"""Of what models may take on this device, for the weights of one: others are to have room beside it."""
BUSY_LOAD = 0.5
"""Programs that want to run, for each processor; with more the figures say little about the device."""


def tune(
    name: Annotated[str, typer.Argument(help="A model that writes text; none: all on this device.")] = "",
    bound: Annotated[
        float, typer.Option("--guard", help="Share by which perplexity may grow.", min=0.0, max=LARGEST_BOUND)
    ] = DEFAULT_BOUND,
    undo: Annotated[bool, typer.Option("--undo", help="Go back to the weights and settings as shipped.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Make a model as fast as it can be here: weight layout, threads and batch size, within a bound of quality."""
    if math.isnan(bound):
        raise InputError("--guard is a number between 0 and 1, for example --guard 0.02.")
    store = Store(paths.models_dir(paths.home()))
    manifests = [store.get(name)] if name else [m for m in store.installed().values() if m.backend == "llama"]
    if name and manifests[0].backend != "llama":
        raise InputError(f"{name} does not write text; tune one of the models that do (`covey models list`).")
    if not manifests and not as_json:
        print("No model that writes text is on this device; run `covey models pull`.")
    rows = [_undo(manifest, store) if undo else _tune(manifest, store, bound) for manifest in manifests]
    if as_json:
        print(json.dumps({"bound": bound, "models": rows}))
        return
    for row in rows:
        print(_words(row, store))
    if any(row["status"] in ("tuned", "undone") for row in rows):
        print("This holds from the next time that the model is loaded; restart a node that is up.")
    if rows and not undo and config.load(paths.settings_file(paths.home())).reproducible:
        print("With reproducible = true in settings.toml weights are used as shipped, whatever was tuned.")


def _undo(manifest: Manifest, store: Store) -> dict[str, Json]:
    was = store.tuned(manifest)
    freed = store.forget_tuned(manifest.id)
    return {"id": manifest.id, "status": "undone" if was or freed else "as shipped", "freed_bytes": freed}


def _tune(manifest: Manifest, store: Store, bound: float) -> dict[str, Json]:
    tuned = store.tuned(manifest)
    if tuned is not None:
        return {"id": manifest.id, "status": "tuned before", **_detail(tuned)}
    from models.tuner import Wish, tune_model  # heavy, first use only: the file lock

    _warn_if_busy()
    settings = config.load(paths.settings_file(paths.home()))
    threads = settings.threads or cores()
    budget = settings.memory_budget_bytes(psutil.virtual_memory().total)
    wish = Wish(threads=threads, bound=bound, most_bytes=int(budget * MEMORY_SHARE))
    with cleared_away():
        tuned = tune_model(manifest, store, wish, said=lambda line: print(line, file=sys.stderr, flush=True))
    return {"id": manifest.id, "status": "tuned", **_detail(tuned)}


def _warn_if_busy() -> None:
    load = os.getloadavg()[0] / (os.cpu_count() or 1)
    if load > BUSY_LOAD:
        print("This device is busy: close other programs first for figures that hold.", file=sys.stderr, flush=True)


def _detail(tuned: Tuned) -> dict[str, Json]:
    return {
        "layout": tuned.layout,
        "threads": tuned.threads,
        "rows": tuned.rows,
        "bound": tuned.bound,
        "before": _figures(tuned.before, tuned),
        "after": _figures(tuned.after, tuned),
        "trials": [{**_figures(trial, tuned), "verdict": verdict(trial, tuned)} for trial in tuned.trials],
    }


def _figures(trial: Trial, tuned: Tuned) -> dict[str, Json]:
    speed = trial.speed
    return {
        "layout": trial.layout,
        "size_bytes": trial.size_bytes,
        "perplexity": trial.perplexity,
        "perplexity_growth": growth(trial, tuned.before),
        "prompt_tokens_s": speed.prompt_tokens_s if speed else None,
        "decode_tokens_s": speed.decode_tokens_s if speed else None,
        "together_tokens_s": speed.together_tokens_s if speed else None,
    }


def _words(row: dict[str, Json], store: Store) -> str:
    name = str(row["id"])
    match row["status"]:
        case "undone":
            return f"{name} runs as shipped again."
        case "as shipped":
            return f"{name} was not tuned; it runs as shipped."
    tuned = store.tuned(store.get(name))
    assert tuned is not None, "a tuning that was kept can be read"
    if row["status"] == "tuned before":
        return f"{name} is tuned already. To measure again run `covey models tune {name} --undo` first.\n{table(tuned)}"
    return table(tuned)


def table(tuned: Tuned) -> str:
    """Return every layout with its figures, and what is used from now on."""
    lines = [
        f"{tuned.id}",
        f"{'layout':<12} {'size':>8} {'perplexity':>16} {'prompt':>10} {'answer':>10} {'8 at once':>10}",
    ]
    lines += [f"{_line(trial, tuned)}  {verdict(trial, tuned)}" for trial in tuned.trials]
    lines += [
        f"Before:      {_speeds(tuned.before)}",
        f"After:       {_speeds(tuned.after)} ({settings_said(tuned)})",
    ]
    return "\n".join(lines)


def _line(trial: Trial, tuned: Tuned) -> str:
    if trial.speed is None or trial.perplexity is None:
        return f"{trial.layout:<12} {'':>8} {'':>16} {'':>10} {'':>10} {'':>10}"
    perplexity = f"{trial.perplexity:.2f} ({growth(trial, tuned.before) or 0:+.1%})"
    speed = trial.speed
    together = f"{speed.together_tokens_s:>8.0f}/s" if speed.together_tokens_s else f"{'':>10}"
    speeds = f"{speed.prompt_tokens_s:>8.0f}/s {speed.decode_tokens_s:>8.1f}/s {together}"
    return f"{trial.layout:<12} {trial.size_bytes / 1e6:>5.0f} MB {perplexity:>16} {speeds}"


def _speeds(trial: Trial) -> str:
    assert trial.speed is not None
    said = f"{trial.speed.prompt_tokens_s:.0f} prompt and {trial.speed.decode_tokens_s:.1f} answer tokens a second"
    return said + (
        f", {trial.speed.together_tokens_s:.0f} with 8 answers at once" if trial.speed.together_tokens_s else ""
    )
