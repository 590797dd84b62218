"""scripts/hub_curve [--suite S ...] [--limit N] [--page] [--json]: what a hub adds, every row asked here and there.

Two hosts: `here` has smollm2-135m and the encoders, `hub` has qwen2.5-coder-0.5b behind `covey hub serve`, each in a
network namespace of its own, with TLS; where there can be no namespaces, on loopback, and that is said.
On `here`, `covey eval` runs the suites `hub_share_live_...`. Answers are kept in --home: a stopped run goes on.
--models names a Covey folder that has the models. About an hour for all suites on two cores.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runtime import paths
from runtime.cli.eval import DATA_VARIABLE, data_folder
from runtime.evals.metrics.share import RANDOM
from runtime.evals.page import placed
from runtime.evals.suite import BUILT_IN, read_suite
from scripts.swarms.hubs import serving
from scripts.swarms.lan import Lan, LanError, lan, missing
from scripts.swarms.nodes import ROOT, NodeError, SwarmNode, share_models

SMALL, LARGER = "smollm2-135m", "qwen2.5-coder-0.5b"
ENCODERS = ("bge-small-en", "reranker-en")
SETTINGS = f'[models]\nclassify = ["{SMALL}"]\n'
"""Else labels would be compared by their names alone: `classify` asks no model as small as this by itself."""
BIG_BOX = "big-box"
PAGE = ROOT / "docs" / "evaluation.md"
SECTION = "hub_share_live"
AT_ONCE = 4
"""Rows under way: this device tries one while the hub answers another."""
COLUMNS = (
    "suite",
    "rows",
    "all here",
    "all hub",
    "oracle",
    "apgr (at random .5)",
    "the least sure first",
    "marked",
    "quality",
    "at random",
)
"""`apgr` and that of the answer's confidence alone; `marked`: the share that Covey hands over with the bounds it has,
then its quality, and that of as many at random."""
PLENTY = ("--per-minute", "6000", "--per-day", "1000000000")
UNBOUND = ("--money", "none", "--tokens", "none", "--bytes", "none", "--requests", "none")

Figures = dict[str, Any]
"""One suite as `covey eval --json` prints it."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is measured."""

    suites: Sequence[str]
    limit: int | None = None
    """Rows of each; None leaves the suites' own bound."""
    at_once: int = AT_ONCE
    page: Path | None = None
    """Where `covey eval` writes the suites' sections."""


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="scripts/hub_curve", description=__doc__, formatter_class=_Plain)
    parser.add_argument("--suite", action="append", choices=families(), metavar="S", help="one suite; all by default")
    parser.add_argument("--limit", type=int, default=None, metavar="N", help="at most so many rows of each suite")
    parser.add_argument("--at-once", type=int, default=AT_ONCE, metavar="N", help=f"rows under way ({AT_ONCE})")
    parser.add_argument("--models", type=Path, default=None, help="a Covey folder that has the models")
    parser.add_argument("--home", type=Path, default=None, help="where both nodes and all answers are kept")
    parser.add_argument("--page", action="store_true", help=f"write the sections of {PAGE.name}")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    asked = parser.parse_args(arguments)
    models = asked.models or paths.home()
    folder = (asked.home or models / "hub_curve").absolute()
    wanted = Wanted(asked.suite or families(), asked.limit, asked.at_once, PAGE if asked.page else None)
    try:
        where, found = measured(folder, models / "models", wanted)
    except (LanError, NodeError) as error:
        failed = {"status": "failed", "error": {"code": "hub_curve_failed", "message": str(error)}}
        print(json.dumps(failed) if asked.json else error)
        return 1
    if asked.page:
        PAGE.write_text(placed(PAGE.read_text(), SECTION, section(found, where)))
    print(json.dumps({"where": where, "suites": found}) if asked.json else section(found, where))
    return 0


def families() -> list[str]:
    """Return the suites that ask a hub."""
    return [path.stem for path in sorted(BUILT_IN.glob("*.toml")) if read_suite(path).kind == "live"]


def measured(folder: Path, store: Path, wanted: Wanted) -> tuple[str, list[Figures]]:
    """Return where the hub was, in a sentence, and the figures of each suite. Raises LanError, NodeError."""
    why = missing()
    with ExitStack() as stack:
        net = None if why else stack.enter_context(lan(("here", "hub")))
        here, hub = (_node(name, folder / name, net) for name in ("here", "hub"))
        share_models(store, here.home, [SMALL, *ENCODERS])
        share_models(store, hub.home, [LARGER])
        (here.home / "settings.toml").write_text(SETTINGS)
        stack.enter_context(serving(hub, here, LARGER, BIG_BOX, known_as=("--home",), quota=PLENTY))
        here.run("budget", "--day", *UNBOUND)
        answers = here.run("hub", "test", BIG_BOX)
        if not answers.get("answers"):
            raise NodeError(f"The hub does not have its model: {answers}")
        return _where(why), _evaluated(here, wanted)


def _node(name: str, home: Path, net: Lan | None) -> SwarmNode:
    return SwarmNode(name, home, net[name] if net else None)


def _where(why: str) -> str:
    if why:
        return f"The hub was another process on loopback, without TLS: there are no network namespaces here, it {why}."
    return "The hub was another process in a network namespace of its own, asked over HTTPS, its certificate pinned."


def _evaluated(here: SwarmNode, wanted: Wanted) -> list[Figures]:
    """Run `covey eval` on a node; its progress goes to standard error as ever."""
    words = [word for suite in wanted.suites for word in ("--suite", suite)]
    words += ["--concurrency", str(wanted.at_once)]
    words += ["--limit", str(wanted.limit)] if wanted.limit else []
    words += ["--page", str(wanted.page)] if wanted.page else []
    done = subprocess.run(
        here.line("eval", *words, "--json"),
        env={**here.environment, DATA_VARIABLE: str(data_folder())},
        cwd=here.home,
        stdout=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        text=True,
        check=False,
    )
    try:
        found = json.loads(done.stdout)
    except ValueError as error:
        raise NodeError(f"covey eval ended with {done.returncode} and said nothing that can be read.") from error
    suites: list[Figures] = found.get("suites", [found])
    if any("metrics" not in one or one.get("skipped") for one in suites):
        raise NodeError(f"Not every suite was measured: {found.get('error') or [one.get('skipped') for one in suites]}")
    return suites


def section(found: Sequence[Figures], where: str) -> str:
    """Return what all suites say together, as a section of Markdown."""
    out = [f"## {SECTION}", "", "`scripts/hub_curve --page`", ""]
    out += [f"{SMALL} here, {LARGER} at the hub. {where}", ""]
    out += [f"| {' | '.join(COLUMNS)} |", "|---" * len(COLUMNS) + "|"]
    out += [f"| {' | '.join(_cells(one['suite'], one['metrics']))} |" for one in found]
    return "\n".join([*out, "", *_sentences(found)])


def _cells(suite: str, metrics: Figures) -> list[str]:
    value = {name: figure["value"] for name, figure in metrics.items()}
    random = value["marked_quality"] - value["marked_over_random"]
    numbers = [f"{value[name]:.3f}" for name in ("all_local", "all_hub", "oracle")]
    for name in ("apgr", "unsure_apgr"):
        low, high = metrics[name]["interval"]
        numbers.append(f"{value[name]:.3f} ({low:.3f} to {high:.3f})")
    numbers += [f"{value['marked_share']:.0%}", f"{value['marked_quality']:.3f}", f"{random:.3f}"]
    return [suite.removeprefix(f"{SECTION}_"), str(metrics["apgr"]["rows"]), *numbers]


def _sentences(found: Sequence[Figures]) -> list[str]:
    """Return what the intervals allow to say, and of which suites."""
    judged = (
        ("The hub is", "than this device", "gap", 0.0),
        ("Marking is", "than random over all shares", "apgr", RANDOM),
        ("Handing over the least sure first is", "than random over all shares", "unsure_apgr", RANDOM),
        ("What Covey hands over as it stands is", "chosen than at random", "marked_over_random", 0.0),
    )
    out = []
    for who, other, name, least in judged:
        for word, names in _sorted(found, name, least).items():
            out += [f"- {who} {word} {other} on: {', '.join(names)}."] if names else []
    return out


def _sorted(found: Sequence[Figures], metric: str, least: float) -> dict[str, list[str]]:
    """Return the suites by where the metric's interval lies: above what is no better, around it, or below."""
    places: dict[str, list[str]] = {"better": [], "not shown to be better": [], "worse": []}
    for one in found:
        low, high = one["metrics"][metric]["interval"]
        word = "better" if low > least else "worse" if high < least else "not shown to be better"
        places[word].append(one["suite"].removeprefix(f"{SECTION}_"))
    return places


class _Plain(argparse.RawDescriptionHelpFormatter):
    """Keep the lines of the description."""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
