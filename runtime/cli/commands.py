"""The table of commands: name, module, one-line help, example.

Standard library only: `scripts/covey --help` prints it before anything is installed, and a start
imports the module of the chosen command alone. Each module has `app`, a `typer.Typer`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import takewhile

ABOUT = "Covey: a private assistant from the computers a household already owns."


@dataclass(frozen=True, slots=True)
class Command:
    """One row: what a person types, and which module answers."""

    name: str
    module: str
    help: str
    example: str


COMMANDS = (
    Command(
        "ask",
        "runtime.cli.ask",
        "Ask a question or give a small job, with files if you like.",
        'covey ask "What is 17.5% of 2,340 plus 12?"',
    ),
    Command(
        "chat",
        "runtime.cli.chat",
        "Talk in several turns; Ctrl-C stops an answer, Ctrl-D or exit leaves.",
        "covey chat",
    ),
    Command("up", "runtime.cli.up", "Start a node that stays and serves programs (OpenAI API).", "covey up"),
    Command(
        "plan",
        "runtime.cli.plan",
        "Show how a request would be answered, and run nothing.",
        'covey plan "Summarise report.txt in two sentences"',
    ),
    Command(
        "models",
        "runtime.cli.models",
        "List, pull, add, verify, tune and remove the models on this device.",
        "covey models pull qwen2.5-coder-0.5b",
    ),
    Command(
        "specialists",
        "runtime.cli.specialists",
        "List, add, update and remove what this device can do.",
        "covey specialists list",
    ),
    Command("traces", "runtime.cli.traces", "See why an answer is as it is.", "covey traces show last"),
    Command("pair", "runtime.cli.pair", "Pair this device with another one.", "covey pair"),
    Command("peers", "runtime.cli.peers", "See and change what paired devices may do.", "covey peers list"),
    Command("ledger", "runtime.cli.ledger", "See what left this device, byte for byte.", "covey ledger list"),
    Command("hub", "runtime.cli.hub", "Hubs for what is too hard here, and what may go there.", "covey hub list"),
    Command("budget", "runtime.cli.budget", "See and change what hubs may use up.", "covey budget"),
    Command(
        "eval",
        "runtime.cli.eval",
        "Measure specialists and the router on data sets.",
        "covey eval --suite trec --limit 50",
    ),
    Command("bench", "runtime.cli.bench", "Measure what this device is good for, in a minute or two.", "covey bench"),
    Command("doctor", "runtime.cli.doctor", "Check this device and say what to mend.", "covey doctor"),
)


def find(name: str, table: Sequence[Command] = COMMANDS) -> Command | None:
    """Return the row of a command, or None."""
    return next((command for command in table if command.name == name), None)


def unknown(name: str, table: Sequence[Command] = COMMANDS) -> str:
    """Return the sentence for a name that is not in the table."""
    near = get_close_matches(name, [command.name for command in table], n=1)
    guess = f" Did you mean {near[0]!r}?" if near else ""
    return f"There is no command {name!r}.{guess} Run `covey --help` to see them all."


def overview() -> str:
    """Return what `covey --help` prints."""
    width = max(len(command.name) for command in COMMANDS)
    rows = [f"  {command.name:<{width}}  {command.help}\n  {'':<{width}}  {command.example}" for command in COMMANDS]
    return "\n".join(
        [
            ABOUT,
            "",
            "Usage: covey COMMAND [ARGUMENTS]",
            "       covey COMMAND --help",
            "       covey --version",
            "",
            "Commands:",
            *rows,
            "",
            "Every command takes --json and then prints exactly one JSON object.",
            "Exit codes: 0 ok, 1 failed, 2 wrong use.",
        ]
    )


def wants_json(arguments: Sequence[str]) -> bool:
    """Return whether `--json` is among the options (what follows a lone `--` is text)."""
    options = takewhile(lambda argument: argument != "--", arguments)
    return "--json" in options
