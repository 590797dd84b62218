"""What every bench is given: the models, how many times to measure, and where to say how far it is."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from models.backends.llama import LlamaModel
from models.backends.llama_settings import LlamaSettings
from models.engine.environment import cores
from models.store import Store
from models.tuned import as_run
from models.types import ModelId
from runtime import paths
from scripts.benches.figures import Report

MODEL = "smollm2-135m"


@dataclass(frozen=True, slots=True)
class Setup:
    """One run of a bench."""

    home: Path
    """Covey's folder that holds the models."""
    model: str
    full: bool
    keep: Callable[[Report], None] = lambda report: None
    """Told what is measured so far, by benches that take long: a time limit does not lose it."""

    def count(self, small: int, full: int) -> int:
        """Return how many times to do something."""
        return full if self.full else small

    @property
    def model_file(self) -> Path:
        """The weights, as tuned where they are. Raises NotInstalled."""
        store = Store(paths.models_dir(self.home))
        manifest = store.get(self.model)
        return store.path(as_run(manifest, store.tuned(manifest)), "model")

    @contextmanager
    def as_shipped(self) -> Iterator[Setup]:
        """Give the same over a Covey folder with this model alone, its weights as shipped. Raises ModelsError."""
        here = Store(paths.models_dir(self.home))
        manifest = here.get(self.model)
        with tempfile.TemporaryDirectory(prefix="covey-shipped-") as folder:
            store = Store(paths.models_dir(Path(folder)))
            for artifact in manifest.artifacts:
                store.add_blob(here.path(manifest, artifact.role))
            store.install(manifest)
            yield replace(self, home=Path(folder))

    @property
    def threads(self) -> int:
        """The physical cores that may be used: what a node takes by default, and what the reference is given."""
        return cores()

    @asynccontextmanager
    async def loaded(self, **settings: Any) -> AsyncIterator[LlamaModel]:
        """Give the model in a worker of its own, without a node around it."""
        chosen = LlamaSettings(**{"threads": self.threads, **settings})
        model = await LlamaModel.load(ModelId(self.model), self.model_file, (), chosen)
        try:
            yield model
        finally:
            await model.close()


def say(text: str) -> None:
    """Show how far it is."""
    print(f"  {text}", file=sys.stderr, flush=True)
