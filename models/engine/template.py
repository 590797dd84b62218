"""Rendering a model's own chat template, which is a program from a file that need not be trusted.

It runs in jinja's immutable sandbox with a bound on time, size and memory. The text of each message is put
in afterwards, as plain text: a control token that a user types never becomes one.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from jinja2 import TemplateError as JinjaError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from models.backend import Message
from models.errors import TemplateError

try:
    import resource
except ModuleNotFoundError:  # Windows has none
    resource = None  # type: ignore[assignment]

MAX_TEMPLATE_CHARS = 64 * 1024
"""Characters. The longest template seen in a public model is about 20,000."""
MAX_RENDERED_CHARS = 256 * 1024
"""Characters, message texts not counted: stops a template that grows without end."""
MAX_RENDER_S = 1.0
"""Seconds. A normal template takes below a millisecond."""
MAX_COMPILE_S = 10.0
"""Seconds; what is constant in a template is computed then. A long one takes .1 s on a desktop's processor."""
MAX_MEMORY_BYTES = 256 * 1024**2
"""Bytes beyond what the process has: stops a template that doubles a text, or pads one to any width. A normal one takes
less than a megabyte; other threads of the process may want some at the same moment."""

_OPEN, _CLOSE = "\ue000", "\ue001"
"""Private-use characters that stand for message texts while the template runs."""

FALLBACK = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] "
    "+ '<|im_end|>' + '\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
"""ChatML, for a model file without a template."""


class _Late(BaseException):
    """No `Exception`: jinja takes one in what is constant for an error that is to come when it is rendered."""


@dataclass(frozen=True, slots=True)
class PromptPart:
    """A stretch of a prompt. Only in a `control` stretch may text become control tokens."""

    text: str
    control: bool


class _Sandbox(ImmutableSandboxedEnvironment):
    """Refuses, beyond jinja's own sandbox, the operators that can fill the memory."""

    intercepted_binops = frozenset({"*", "**", "%"})

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        numbers = isinstance(left, int | float) and isinstance(right, int | float)
        if operator == "**" or (operator == "*" and not numbers):
            raise JinjaError(f"the operator {operator} is not allowed here")
        if operator == "%" and isinstance(left, str):
            raise JinjaError("string formatting is not allowed here")
        return super().call_binop(context, operator, left, right)


class ChatTemplate:
    """One compiled template. Raises TemplateError from the constructor and from `render`."""

    def __init__(self, source: str, *, bos: str = "", eos: str = "") -> None:
        if len(source) > MAX_TEMPLATE_CHARS:
            raise TemplateError(
                f"The model's chat template has {len(source)} characters, more than the {MAX_TEMPLATE_CHARS} allowed. "
                "Use a model file with a smaller template."
            )
        sandbox = _Sandbox(trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"])
        sandbox.filters.pop("center", None)  # pads to any width
        sandbox.globals.pop("lipsum", None)
        sandbox.globals["raise_exception"] = _raise
        sandbox.globals["strftime_now"] = lambda pattern: ""
        self._words = {"bos_token": bos, "eos_token": eos}
        with _mapped(), _memory_limit(), _time_limit(MAX_COMPILE_S):
            self._template = sandbox.from_string(source)

    def render(self, messages: Sequence[Message]) -> list[PromptPart]:
        """Return the prompt up to where the assistant's turn begins."""
        texts = [message.content for message in messages]
        turns = [{"role": m.role, "content": f"{_OPEN}{i}{_CLOSE}"} for i, m in enumerate(messages)]
        pieces: list[str] = []
        size = 0
        with _mapped(), _memory_limit(), _time_limit(MAX_RENDER_S):
            for piece in self._template.generate(messages=turns, add_generation_prompt=True, **self._words):
                size += len(piece)
                if size > MAX_RENDERED_CHARS:
                    raise TemplateError("The model's chat template writes without end. Use another model file.")
                pieces.append(piece)
        return _split("".join(pieces), texts)


def _split(rendered: str, texts: list[str]) -> list[PromptPart]:
    parts: list[PromptPart] = []
    used: set[int] = set()
    rest = rendered
    while _OPEN in rest:
        before, _, after = rest.partition(_OPEN)
        number, _, rest = after.partition(_CLOSE)
        if not number.isdecimal() or int(number) >= len(texts):
            raise TemplateError("The model's chat template rewrites the messages. Use another model file.")
        if before:
            parts.append(PromptPart(before, True))
        parts.append(PromptPart(texts[int(number)], False))
        used.add(int(number))
    if rest:
        parts.append(PromptPart(rest, True))
    if len(used) < len(texts):
        raise TemplateError("The model's chat template leaves out a message. Use another model file.")
    return parts


def _raise(message: object = "") -> NoReturn:
    raise JinjaError(str(message))


@contextmanager
def _mapped() -> Iterator[None]:
    """Turn whatever a template raises into one sentence."""
    try:
        yield
    except TemplateError:
        raise
    except MemoryError as error:
        most = MAX_MEMORY_BYTES // 1024**2
        raise TemplateError(f"The model's chat template takes more than {most} MB. Use another model file.") from error
    except Exception as error:  # a template may raise anything that Python can
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise TemplateError(f"The model's chat template failed ({reason[:200]}). Use another model file.") from error


@contextmanager
def _time_limit(seconds: float) -> Iterator[None]:
    """Interrupt the body after `seconds`; without effect where alarms are not to be had."""
    if not _is_alone() or not hasattr(signal, "setitimer"):
        yield
        return

    def expired(_signal: int, _frame: object) -> NoReturn:
        raise _Late

    before: Callable[..., Any] | int | None = signal.signal(signal.SIGALRM, expired)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    except _Late as error:
        raise TemplateError("The model's chat template did not end in time. Use another model file.") from error
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@contextmanager
def _memory_limit() -> Iterator[None]:
    """Bound what the process may take during the body; without effect where the system keeps no such bound."""
    taken = _taken_bytes()
    if not _is_alone() or resource is None or taken is None:
        yield
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    most = taken + MAX_MEMORY_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (most if soft == resource.RLIM_INFINITY else min(most, soft), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def _taken_bytes() -> int | None:
    """Return how much address space the process has; None where it can't be told."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:  # no Linux
        return None


def _is_alone() -> bool:
    """Both limits are the whole process's: they are set by one thread only, the one that signals come to."""
    return threading.current_thread() is threading.main_thread()
