"""What is under test, behind one interface: the node, a scripted one, the router, a fitted head, a retriever."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from models.types import Request, Result


class Subject(Protocol):
    """Answers requests, and names all that its answers depend on."""

    async def run(self, request: Request) -> Result:
        """Return the result of one request. Raises ModelsError."""
        ...

    def fingerprint(self, capability: str) -> str:
        """Return a digest of code, spec and weights: equal only where equal requests have equal answers."""
        ...


class ScriptedSubject:
    """Answers from a function; counts what it was asked."""

    def __init__(self, reply: Callable[[Request], Result], version: str = "scripted") -> None:
        self._reply = reply
        self._version = version
        self.asked: list[Request] = []

    async def run(self, request: Request) -> Result:
        self.asked.append(request)
        return self._reply(request)

    def fingerprint(self, capability: str) -> str:
        return f"{self._version}/{capability}"
