"""A cable is pulled while an answer is read: another device goes on with it, behind the last word."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from scripts.swarms.lan import missing
from scripts.swarms.nodes import pair, swarm
from tests.swarm.test_household import linked, released, until

QUESTION = "Why is the sky blue?"
"""Its answer is some two hundred tokens long: time enough to pull a cable."""
LINKED_S = 20.0


@pytest.mark.real
@pytest.mark.slow
@pytest.mark.timeout(300)
def test_an_answer_outlives_the_cable_of_the_device_that_writes_it(tmp_path: Path, models_home: Path) -> None:
    if why := missing():
        pytest.skip(f"network namespaces: {why}")
    store = models_home / "models"
    for name in ("kitchen", "attic"):
        (tmp_path / name).mkdir(mode=0o700)
        (tmp_path / name / "settings.toml").write_text('[models]\ngenerate = ["smollm2-135m"]\n', encoding="utf-8")
    models = {"kitchen": store, "attic": store}
    with swarm(["laptop", "kitchen", "attic"], tmp_path, on_lan=True, models=models) as (nodes, net):
        assert net is not None
        laptop = nodes["laptop"]
        for name in models:
            pair(nodes[name], laptop)
            until(partial(linked, laptop, name), LINKED_S)
        with laptop.terminal("ask", QUESTION, "--as", "generate") as reading:
            assert reading.stdout is not None
            begun = reading.stdout.read(20)
            (writer,) = [name for name in models if released(laptop, name, "generate")]
            net[writer].pull_cable()
            told = begun + reading.stdout.read()
        other = "attic" if writer == "kitchen" else "kitchen"
        assert f"{writer} was lost after " in told
        assert f"{other} went on with it" in told
        assert f"on {other} (paired device)" in told
        assert released(laptop, other, "generate")
