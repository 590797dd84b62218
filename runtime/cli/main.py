"""The front door: picks the command, and turns every error into one sentence and an exit code.

Only the chosen command's module is imported. That module has `app`, a `typer.Typer` with one command
or with several; a command returns nothing, or its exit code. A command raises, it never prints an
error itself: here alone errors become a sentence on stderr and, with `--json`, one object on stdout.
"""

from __future__ import annotations

import errno
import json
import os
import sys
import traceback
from collections.abc import Sequence
from importlib import import_module

from hub.errors import HubError
from models.errors import ModelsError
from peers.errors import PeersError
from runtime.cli import commands
from runtime.errors import CoveyError, UsageError, exit_code

DEBUG = "COVEY_DEBUG"
"""Set to anything: an unexpected error shows where it happened."""
INTERRUPTED = 130


def main(argv: Sequence[str] | None = None, table: Sequence[commands.Command] = commands.COMMANDS) -> int:
    """Run one command line and return its exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        _complete_handles()
        _choose_encodings(as_object=commands.wants_json(arguments))
        code = _run(arguments, table)
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        return _reader_left()
    except (Exception, KeyboardInterrupt) as error:
        return _report(_leaf(error), as_object=commands.wants_json(arguments))


def _choose_encodings(*, as_object: bool) -> None:
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a terminal without UTF-8 shows `?` instead of ending the answer
    if as_object and hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(encoding="utf-8")  # JSON is UTF-8 whatever the terminal is, so nothing is lost in it


def _complete_handles() -> None:
    """Open what was closed of standard input, output and error (`covey up 2>&-`).

    Else the next file to be opened, such as the journal, would take its number, and be written over by whoever
    reports an error.
    """
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the system gives the lowest number that is free, which is this one
            setattr(sys, name, open(number, mode, encoding="utf-8", closefd=False))


def _run(arguments: list[str], table: Sequence[commands.Command]) -> int:
    if any("\udc80" <= letter <= "\udcff" for text in arguments for letter in text):
        raise UsageError("The arguments are not valid UTF-8 text. Set your terminal to UTF-8 and type them again.")
    if not arguments or arguments[0] in ("--help", "-h"):
        print(commands.overview())
        return 0
    if arguments[0] == "--version":
        from importlib import metadata  # slow, and only for this

        print(f"covey {metadata.version('covey')}")
        return 0
    command = commands.find(arguments[0], table)
    if command is None:
        raise UsageError(commands.unknown(arguments[0], table))
    return _dispatch(command, arguments[1:])


def _dispatch(command: commands.Command, arguments: list[str]) -> int:
    os.environ["TYPER_USE_RICH"] = "0"  # plain help: rich takes longer to import than all the rest of a start
    import typer  # heavy, first use only: `covey --help` does without

    parser = typer.main.get_command(import_module(command.module).app)
    parser.params = [p for p in parser.params if p.name not in ("install_completion", "show_completion")]
    parser.epilog = f"Example: {command.example}"
    try:
        ended = parser.main(_completed(parser, arguments), prog_name=f"covey {command.name}", standalone_mode=False)
    except typer.Abort as abort:
        raise KeyboardInterrupt from abort
    except typer.TyperException as error:
        message = error.format_message()
        if message.startswith("Usage:"):  # a group that was given nothing would show its whole help
            message = f"`covey {command.name}` needs one of: {', '.join(getattr(parser, 'commands', {}))}"
        asked = getattr(getattr(error, "ctx", None), "command_path", f"covey {command.name}")
        hint = f"Run `{asked} --help` to see how it is used."
        raise UsageError(f"{message.rstrip('.')}. {hint}") from error
    if ended == INTERRUPTED:  # typer's way to say it
        raise KeyboardInterrupt
    return ended if isinstance(ended, int) else 0


def _completed(parser: object, arguments: list[str]) -> list[str]:
    """Return the arguments with `list` where a group that has it was given no command: `covey peers` lists them."""
    options_only = all(argument.startswith("-") for argument in arguments)
    listable = "list" in getattr(parser, "commands", {})
    return ["list", *arguments] if listable and options_only and "--help" not in arguments else arguments


def _leaf(error: BaseException) -> BaseException:
    """Return the first real error of a task group."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def _report(error: BaseException, *, as_object: bool) -> int:
    sentence = _one_line(_sentence(error))
    interrupted = isinstance(error, KeyboardInterrupt)
    try:
        if as_object:
            code = "interrupted" if interrupted else getattr(error, "code", None)
            code = code if isinstance(code, str) else "internal"
            print(json.dumps({"error": {"code": code, "message": sentence}, "status": "failed"}), flush=True)
        if not interrupted:
            print(sentence, file=sys.stderr, flush=True)
            if os.environ.get(DEBUG):
                traceback.print_exception(error)
    except BrokenPipeError:
        _reader_left()
    return exit_code(error)


def _sentence(error: BaseException) -> str:
    match error:
        case CoveyError() | ModelsError() | PeersError() | HubError():
            return str(error)
        case KeyboardInterrupt():
            return "Interrupted."
        case ModuleNotFoundError():
            return f"A part of the installation is missing ({error.name}). Run scripts/covey: it repairs the set-up."
        case OSError() if error.errno in (errno.ENOSPC, errno.EDQUOT):
            return "The disk is full. Free some space and run the command again."
        case OSError() if error.strerror:
            where = f": {error.filename}" if error.filename else ""
            return f"{error.strerror}{where}. Mend that and run the command again."
        case _:
            return (
                f"Covey failed in a way that it should not ({type(error).__name__}: {error}). "
                f"Run the command again with {DEBUG}=1 to see where, and report it."
            )


def _one_line(sentence: str) -> str:
    """Return a sentence without what moves a terminal's cursor: it may quote a file's name, a device or a hub."""
    return "".join(letter if letter.isprintable() else " " for letter in sentence)


def _reader_left() -> int:
    """End quietly when the reader of our output has gone, as in `covey traces list | head -1`."""
    quiet = os.open(os.devnull, os.O_WRONLY)
    os.dup2(quiet, 1)  # what is still buffered has nowhere to go; Python would complain at exit
    return 1


if __name__ == "__main__":
    sys.exit(main())
