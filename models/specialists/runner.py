"""What every runner is made of: the spec that it follows, and the pool that it borrows models from."""

from __future__ import annotations

from models.specialist import Pool, SpecialistSpec


class Runner:
    """A specialist by its spec. Each kind adds `run`, see `models.types.Specialist`."""

    def __init__(self, spec: SpecialistSpec, pool: Pool) -> None:
        self._spec = spec
        self._pool = pool

    @property
    def name(self) -> str:
        return self._spec.name

    @property
    def capability(self) -> str:
        return self._spec.capability or self._spec.name
