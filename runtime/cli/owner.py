"""Whether the owner sits at this terminal and can be asked if something may leave."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from runtime.node import may_reach_hubs

if TYPE_CHECKING:
    from hub.consent import Asker


def owner_here(home: Path) -> Asker | None:
    """Return what puts questions to the owner here; None without a terminal, or without a hub to ask about."""
    if not may_reach_hubs(home):
        return None
    from runtime.cli.consenting import asker  # only where there are hubs

    return asker()
