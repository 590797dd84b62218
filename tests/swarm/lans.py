"""Networks for tests: a home network in network namespaces, or a skip that says why there is none."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from scripts.swarms.lan import Lan, lan, missing


@contextmanager
def home_network(*hosts: str) -> Iterator[Lan]:
    """A home network with these hosts; the test is skipped where there can be none."""
    if why := missing():
        pytest.skip(f"network namespaces: {why}")
    with lan(hosts) as made:
        yield made
