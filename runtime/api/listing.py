"""`GET /v1/models` and `GET /v1/models/{name}`: which names a client may use here."""

from __future__ import annotations

from pathlib import Path

from aiohttp import web

from models.catalog import catalog
from models.errors import ManifestError, UnknownModel
from models.specialist import Pool
from models.store import Store
from models.types import Json
from runtime import paths
from runtime.api.openai import ORCHESTRATOR


class Offered:
    """The text models of one node, and the node itself under the name `covey`."""

    def __init__(self, home: Path, pool: Pool) -> None:
        self._store = Store(paths.models_dir(home))
        self._pool = pool

    def check(self, name: str) -> None:
        """Raise UnknownModel for a name that is no text model. Whether it is installed, the pool says."""
        if name not in self._known():
            raise UnknownModel(f"There is no chat model {name!r} here. The names are at /v1/models.")

    def names(self) -> list[str]:
        """Return what can be used now, best known first."""
        return [ORCHESTRATOR, *self._pool.installed(self._known())]

    async def handle_list(self, request: web.Request) -> web.Response:
        return web.json_response({"object": "list", "data": [_entry(name) for name in self.names()]})

    async def handle_one(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        if name not in self.names():
            raise UnknownModel(f"There is no chat model {name!r} here. The names are at /v1/models.")
        return web.json_response(_entry(name))

    def _known(self) -> list[str]:
        """Return the text models of the catalog and those that the owner added."""
        names = {name: manifest for name, manifest in catalog().items() if manifest.kind == "text"}
        for name in self._store.recorded_ids():
            try:
                manifest = self._store.recorded(name)
            except ManifestError:  # the store logs it when it is used
                continue
            if manifest is not None and manifest.kind == "text":
                names[manifest.id] = manifest
        return list(names)


def _entry(name: str) -> dict[str, Json]:
    return {"id": name, "object": "model", "created": 0, "owned_by": "covey"}
