"""Each figure is against the reference's own fastest configuration."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest

from scripts.benches import build, one_stream, page, shared_prefix
from scripts.benches.figures import Report, alone
from scripts.benches.servers import Running

LLAMA_BENCH = """#!{python}
import json, sys
asked = dict(zip(sys.argv[1::2], sys.argv[2::2]))
rate = 50.0 + (asked["-fa"] == ("1" if asked["-n"] == "0" else "0"))
assert asked["-r"] == "3", "one run says too little"
print(json.dumps([{{"avg_ts": rate + ("-lm" in asked) / 4}}]))
"""
"""As fast with flash attention at prompts as without it at decode."""


async def test_llama_bench_has_the_options_that_are_best_for_each_row(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    program = build.program("llama-bench")
    program.parent.mkdir(parents=True)
    program.write_text(LLAMA_BENCH.format(python=sys.executable))
    program.chmod(0o700)
    setup = SimpleNamespace(full=True, model_file=tmp_path, threads=2)
    prompt, _ = await one_stream.best(setup, "prompt", ("-p", "300", "-n", "0"))
    decode, tried = await one_stream.best(setup, "decode", ("-p", "0", "-n", "64", "-d", "300"))
    assert prompt == ("-fa", "1", "-lm", "none")
    assert decode == ("-fa", "0", "-lm", "none")
    assert {"options": "-fa 1", "for": "decode", "figure": 50.0} in tried
    assert len(tried) == len(one_stream.CHOICES)


class Servers:
    """Notes what was started and asked, and how each did."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, int]] = []

    @asynccontextmanager
    async def start(self, name: str) -> AsyncIterator[Running]:
        self.asked.append((f"{name} starts", 0))
        yield Running(name, 1, 0.1)

    async def ask(self, url: str, first: int) -> shared_prefix.Round:
        self.asked.append((url, first))
        return float(len(self.asked)), 0.1


async def test_what_is_warm_is_measured_on_the_server_that_is_best_warm() -> None:
    servers = Servers()
    cold, warm = await shared_prefix.cold_and_warm(
        partial(servers.start, "cold"), partial(servers.start, "warm"), servers.ask
    )
    assert servers.asked == [("cold starts", 0), ("cold", 0), ("warm starts", 0), ("warm", 0), ("warm", 16)]
    assert (cold[0], warm[0]) == (2.0, 5.0)


async def test_one_server_that_is_best_both_ways_is_started_once() -> None:
    servers = Servers()
    start = partial(servers.start, "one")
    await shared_prefix.cold_and_warm(start, start, servers.ask)
    assert servers.asked == [("one starts", 0), ("one", 0), ("one", 16)]


def test_the_page_says_for_which_row_a_configuration_was_tried() -> None:
    tried = [{"options": "-fa on", "for": "warm", "figure": 9.5}, {"options": "-x", "for": "cold", "failed": "no"}]
    machine = {"processor": "p", "cores": 2, "llama_cpp_python": "1", "load_before": 0.0}
    section = page.section(Report("x", "y", (alone("speed", "", [1.0]),), settings={"tried": tried}), machine)
    assert "| options | for | figure |\n|---|---|---|\n| `-fa on` | warm | 9.5 |\n| `-x` | cold | no |" in section
