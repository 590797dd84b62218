"""What a covey command does while nothing is installed yet: give help, refuse what is wrong, else set up."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence

import stamp
from installation import SetupError, ensure

sys.path.insert(0, stamp.ROOT)  # nothing is installed yet

from runtime.cli import commands


def first_start(arguments: list[str]) -> int | None:
    """Answer without an installation if that is possible, else set up. None: installed, the command can run."""
    if not arguments or arguments[0] in ("--help", "-h"):
        print(commands.overview())
        return 0
    command = commands.find(arguments[0])
    if command is None and arguments[0] != "--version":
        return refuse("usage", commands.unknown(arguments[0]), arguments, exit_code=2)
    if command is not None and {"--help", "-h"} & set(arguments):
        print(f"covey {command.name}: {command.help}\n\nExample: {command.example}\n")
        print("Covey is not set up yet. The first command does that, and then this help shows the options too.")
        return 0
    return set_up((), arguments)


def set_up(extras: tuple[str, ...], arguments: Sequence[str]) -> int | None:
    """Install what is missing; None when all is there, else the exit code of a refusal that has been shown."""
    try:
        ensure(extras)
    except SetupError as error:
        return refuse("setup_failed", str(error), arguments, exit_code=1)
    except KeyboardInterrupt:
        sentence = "The set-up was interrupted. Run the same command again: what was loaded already is kept."
        return refuse("interrupted", sentence, arguments, exit_code=130)
    return None


def refuse(code: str, sentence: str, arguments: Sequence[str], *, exit_code: int) -> int:
    if commands.wants_json(arguments):
        print(json.dumps({"error": {"code": code, "message": sentence}, "status": "failed"}))
    print(sentence, file=sys.stderr)
    return exit_code
