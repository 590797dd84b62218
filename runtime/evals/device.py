"""The specialists and the router of this device as the subject under test, by way of its node."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from importlib import import_module
from pathlib import Path

from pydantic import TypeAdapter

from models.heads.head import FOLDER
from models.pool import OPENERS
from models.specialist import RUNNERS, SpecialistSpec
from models.store import Store
from models.types import Request, Result
from runtime import paths
from runtime.evals.errors import SuiteSkipped
from runtime.evals.fingerprint import code_digest
from runtime.evals.routing import RoutingSubject
from runtime.evals.subject import Subject
from runtime.node import Node, open_node
from runtime.registry import Entry

BOTH = "runtime.evals.both"
"""Imported for suites that ask a hub."""
_SPEC: TypeAdapter[SpecialistSpec] = TypeAdapter(SpecialistSpec)


class DeviceSubject:
    """Runs each request on the specialist of its capability."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._store = Store(paths.models_dir(node.home))
        self._prints: dict[str, str] = {}

    async def run(self, request: Request) -> Result:
        self._entry(request.capability)
        return await self._node.run_capability(request)

    @property
    def router(self) -> RoutingSubject:
        return RoutingSubject(self._node.route, self)

    def both(self, capability: str) -> AbstractAsyncContextManager[Subject]:
        """Give this device and its hub as one subject. Raises SuiteSkipped where no hub may be asked."""
        found: AbstractAsyncContextManager[Subject] = import_module(BOTH).both(self._node, self, capability)
        return found

    def fingerprint(self, capability: str) -> str:
        if capability not in self._prints:
            self._prints[capability] = self._fingerprint(self._entry(capability).spec)
        return self._prints[capability]

    def _fingerprint(self, spec: SpecialistSpec) -> str:
        digest = hashlib.sha256(_SPEC.dump_json(spec))
        modules = [RUNNERS[spec.runner].partition(":")[0]]
        for manifest in self._store.installed().values():
            if manifest.kind == "text" and manifest.id not in spec.models:
                continue  # a specialist may use an encoder that its spec does not name, but no such text model
            modules.append(OPENERS.get(manifest.backend, "").partition(":")[0])
            digest.update("".join(manifest.digests).encode())
        digest.update(code_digest(modules).encode())
        head = FOLDER / f"{spec.head}.npz"
        if spec.head and head.is_file():
            digest.update(head.read_bytes())
        return digest.hexdigest()

    def _entry(self, capability: str) -> Entry:
        entry = self._node.registry.serving(capability)
        if entry is None:
            raise SuiteSkipped(
                f"No specialist here does {capability!r}. Add one with that capability, or choose another suite."
            )
        return entry


@asynccontextmanager
async def open_device(home: Path) -> AsyncIterator[DeviceSubject]:
    """Give this device's specialists, and put their models away afterwards. Raises ConfigError."""
    async with open_node(home) as node:
        yield DeviceSubject(node)
