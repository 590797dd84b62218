"""scripts/bench NAME [--full] [--json] [--page] [--model M]: runs one bench, or `all`.

    one_stream     prompt and decode speed over HTTP, against llama-bench
    eight          8 answers at a time, against llama-server with 8 slots
    shared_prefix  16 requests with one long system prompt, cold and warm, against llama-server
    long_prompt    a 2,000-token prompt beside 4 running answers, against llama-server
    cancel         from hanging up to the next request's first token, against llama-server
    speculation    extracts and summaries with tokens looked up in the prompt, against one at a time
    tuned          a model as `covey models tune` leaves it, against the weights as shipped and llama-server
    restart        first token after a restart, with the prompt's state on disk and without
    labels         20 labels weighed by trie, against one written under a constraint
    signals        decode speed with signals for each token, against without
    embedding      an answer and an embedding side by side, and texts in batches against each alone
    constrained    decode speed under a JSON Schema, against free decoding
    company        the same answer alone and in a full batch
    overhead       what of an answer's time is not the model's
    startup        start-up times and memory
    soak           mixed requests, some hang up: nothing lost, nothing crossed, memory flat
    blobs          copying a model from one, two and three other devices
    handoff        what handing work to a paired device costs
    links          pairing, and noticing that a device is gone; what a node costs that only waits
    discovery      being found, paired and linked on a home network, and linked again after it was gone (Linux, root)
    flood          a node under attack: requests without end, garbage, broken messages
    two_devices    two independent subtasks on one device of a fixed speed, and on two
    continuity     a paired device is killed while it writes, and another goes on with its answer
    worker_kill    the model's process is killed while answers are written

Small counts by default, to see that it works; --full runs the counts that figures are told with.
A figure that misses its bar is shown all the same, and the command fails (exit code 1). Of `all`, one that fails is
named at the end, and the others are run.
The models are those of COVEY_HOME. llama.cpp's tools come from scripts/build_reference.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import traceback
from collections.abc import Sequence
from dataclasses import asdict, replace
from importlib import import_module

from models.errors import ModelsError
from runtime import paths
from scripts.benches import build, machine, page
from scripts.benches.client import Unanswered
from scripts.benches.figures import Report, as_text
from scripts.benches.servers import NotStarted
from scripts.benches.setup import MODEL, Setup, say

AGAINST_REFERENCE = ("one_stream", "eight", "shared_prefix", "long_prompt", "cancel", "tuned")
NAMES = (
    *AGAINST_REFERENCE,
    "restart",
    "labels",
    "speculation",
    "signals",
    "embedding",
    "constrained",
    "company",
    "overhead",
    "startup",
    "soak",
    "blobs",
    "handoff",
    "links",
    "discovery",
    "flood",
    "worker_kill",
    "two_devices",
    "continuity",
)

FORESEEN = (ModelsError, NotStarted, Unanswered)
"""What says by itself what to do next."""


def main(argv: Sequence[str] | None = None) -> int:
    given = _parser().parse_args(argv)
    names = NAMES if given.name == "all" else (given.name,)
    setup = Setup(paths.home(), given.model, given.full)
    try:
        reports, failed = _measured(setup, names, write_page=given.page)
    except KeyboardInterrupt:
        return 130
    if given.json:
        found = {"machine": machine.describe(), "full": given.full, "benches": [asdict(r) for r in reports]}
        error = {"status": "failed", "error": {"code": "bench_failed", "message": " ".join(failed)}} if failed else {}
        print(json.dumps({**error, **found}))
    elif reports:
        print(*(as_text(report) for report in reports), sep="\n\n")
    missed = [sentence for report in reports for sentence in report.missed]
    print(*failed, *missed, sep="\n", end="\n" if failed or missed else "", file=sys.stderr)
    return 1 if failed or missed else 0


def _measured(setup: Setup, names: Sequence[str], *, write_page: bool) -> tuple[list[Report], list[str]]:
    """Run one bench after the other; return the reports, and a sentence for each that failed."""
    if refusal := _refusal(setup, names):
        return [], [refusal]
    reports, failed = [], []
    for name in names:
        try:
            reports.append(_one(setup, name, write_page=write_page))
        except FORESEEN as error:
            failed.append(f"{name}: {_sentence(error)}")
        except Exception as error:  # the top of a bench: those behind it are run all the same
            traceback.print_exc()
            failed.append(f"{name} failed by a fault of its own: {type(error).__name__}: {_sentence(error)}")
    return reports, failed


def _refusal(setup: Setup, names: Sequence[str]) -> str:
    """Return, before anything is run, why these can't be."""
    if set(names) & set(AGAINST_REFERENCE) and not build.is_built():
        return "llama-server is not built. Run scripts/build_reference, about 10 minutes, then this again."
    try:
        setup.model_file  # noqa: B018  # looks whether it is there
    except ModelsError as error:
        return _sentence(error)
    return ""


def _sentence(error: Exception) -> str:
    return f"{str(error).rstrip('.')}."


def _one(setup: Setup, name: str, *, write_page: bool) -> Report:
    if machine.is_busy():
        say(f"{name}: other programs use this machine now; the figures will say more about them")
    where = machine.describe()

    def keep(report: Report) -> None:
        page.PAGE.write_text(page.with_section(page.PAGE.read_text(), name, page.section(report, where)))

    if write_page:
        setup = replace(setup, keep=keep)
    try:
        report: Report = asyncio.run(import_module(f"scripts.benches.{name}").run(setup))
    except ExceptionGroup as group:  # of the requests that ran side by side; one reason is enough
        raise _first(group) from group
    setup.keep(report)
    return report


def _first(error: Exception) -> Exception:
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    return error


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="scripts/bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("name", choices=[*NAMES, "all"], metavar="NAME")
    parser.add_argument("--full", action="store_true", help="the counts that figures are told with")
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")
    parser.add_argument("--page", action="store_true", help=f"write the section of {page.PAGE.name}")
    parser.add_argument("--model", default=MODEL, help=f"catalog id, {MODEL} by default")
    return parser


if __name__ == "__main__":
    sys.exit(main())
