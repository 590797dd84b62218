"""Writes code and nothing else: no fence, no explanation. Python must parse. Nothing is ever run here."""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import AsyncGenerator

from models.backend import Finish, Message
from models.errors import InputError
from models.specialists.runner import Runner
from models.specialists.turn import LEAST_ANSWER_TOKENS, Turn, prompt_tokens, text_in
from models.types import Chunk, RefusalCode, Request, Result

LANGUAGES = {
    "bash": ("bash", "shell", "shell script"),
    "c": ("c", "ansi c"),
    "c#": ("c#", "csharp"),
    "c++": ("c++", "cpp"),
    "css": ("css",),
    "go": ("go", "golang"),
    "html": ("html",),
    "java": ("java",),
    "javascript": ("javascript", "js", "node"),
    "php": ("php",),
    "python": ("python", "py", "python3"),
    "r": ("r",),
    "ruby": ("ruby",),
    "rust": ("rust",),
    "sql": ("sql", "sqlite", "postgres"),
    "typescript": ("typescript", "ts"),
}
"""Language to the names that people use for it."""
DEFAULT_LANGUAGE = "python"
TRIES = 2
RETRY_TEMPERATURE = 0.4
"""A second greedy try would repeat the first one's mistake."""
_FENCE = re.compile(r"```[\w+#-]*[ \t]*\n(.*?)(?:\n```|\Z)", re.DOTALL)


class Code(Runner):
    """Input `{"prompt": str, "language"?: str}`, output the code as a text."""

    async def run(self, request: Request) -> AsyncGenerator[Chunk | Result, None]:
        prompt = text_in(request, "prompt")
        language = language_of(prompt, request.input.get("language"))
        turn = Turn(self._spec, request)
        messages = [
            Message("system", self._spec.system),
            Message("user", f"{prompt}\n\nAnswer with {language} code only."),
        ]
        async with self._pool.text(self._spec.models) as model:
            used = await prompt_tokens(model, messages)
            turn.model = model
            room = model.context_tokens - used
            if room < LEAST_ANSWER_TOKENS:
                yield turn.too_long(used, model.context_tokens)
                return
            problem, finish, code = None, None, ""
            for attempt in range(TRIES):
                call = turn.call(
                    messages,
                    max_tokens=min(turn.tokens(), room),
                    prefill=f"```{language}\n",
                    stop=("\n```",),
                    seed=request.seed + attempt,
                    temperature=self._spec.temperature if attempt == 0 else RETRY_TEMPERATURE,
                )
                finish = await turn.ask(model, call)
                code = bare(finish.text)
                problem = flaw(code, language, finish)
                if problem is None or not _worth_retrying(turn):
                    break
                turn.notes.append(f"Try {attempt + 1} was dropped: {problem}")
            assert finish is not None
            result = _ended(turn, code, problem, finish)
        if not result.abstained:
            yield Chunk(0, code)
        yield result


def _worth_retrying(turn: Turn) -> bool:
    budget = turn.request.budget_tokens
    return budget is None or budget - turn.usage.completion_tokens >= LEAST_ANSWER_TOKENS


def _ended(turn: Turn, code: str, problem: str | None, finish: Finish) -> Result:
    if problem is None:
        return turn.result(code, code, finish.signals)
    if finish.reason == "length":
        return turn.truncated(finish)
    reason = f"No code came that holds together ({problem}); describe the task in smaller steps."
    return turn.refuse(RefusalCode.NOT_SURE, reason, found=code, signals=finish.signals)


def language_of(prompt: str, given: object) -> str:
    """Return the language asked for by name, else the first that the prompt names, else Python.

    Raises InputError when the name given is not a text.
    """
    if given is not None and not isinstance(given, str):
        raise InputError("`language` must be the name of a programming language, for example python.")
    if given and given.strip():
        wanted = given.strip().lower()
        return next((name for name, aliases in LANGUAGES.items() if wanted in aliases), wanted)
    found = [
        (at.start(), name)
        for name, aliases in LANGUAGES.items()
        for alias in aliases
        if len(alias) > 1 and (at := re.search(rf"(?<![\w#+]){re.escape(alias)}(?![\w#+])", prompt.lower()))
        if alias not in ("go", "node", "shell")
    ]
    spoken = re.search(r"\b(?:in|using|with)\s+(go|c|r|node|shell)\b(?!\+|#)", prompt.lower())
    if spoken and not found:
        return next(name for name, aliases in LANGUAGES.items() if spoken[1] in aliases)
    return min(found)[1] if found else DEFAULT_LANGUAGE


def bare(text: str) -> str:
    """Return the code without its fence; of several blocks the longest, or the text itself when there is none."""
    blocks = [str(block) for block in _FENCE.findall(text)]
    code = max(blocks, key=len) if blocks else text
    lines = code.strip("\n").split("\n")
    return "\n".join(line.rstrip() for line in lines).rstrip()


def flaw(code: str, language: str, finish: Finish) -> str | None:
    """Return what is wrong with the code as one phrase, or None."""
    if finish.reason == "length":
        return "it did not end inside its token budget"
    if not code.strip():
        return "it is empty"
    if language != "python":
        return None
    return python_flaw(code)


def python_flaw(code: str) -> str | None:
    """Return why Python can't read the code, or None. The code is parsed, never run."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # odd escapes in generated code are no concern of the owner
            ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        line = getattr(error, "lineno", None)
        return f"Python can't read it{f' at line {line}' if line else ''}: {getattr(error, 'msg', error)}"
    return None
