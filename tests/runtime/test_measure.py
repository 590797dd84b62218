"""What `covey bench` counts and says."""

from __future__ import annotations

import json
from contextlib import nullcontext
from pathlib import Path

import pytest

from models.add import add_files
from models.backends.scripted import ScriptedText
from models.errors import OutOfMemory
from models.manifest import Artifact, Manifest
from models.store import Store
from runtime import paths
from runtime.cli import bench
from runtime.cli.bench import as_text
from runtime.cli.main import main
from runtime.measure import Measured, measure, together, verdict
from tests.models import tiny_gguf


async def test_a_model_is_measured_at_every_number_of_streams() -> None:
    model = ScriptedText(lambda call: "word " * 60, seconds_per_token=0.002)

    found = await measure("made-up", nullcontext(model))
    assert set(found.decode_tokens_s) == {1, 4, 8}
    assert 100 < found.decode_tokens_s[1] <= 500
    assert found.decode_tokens_s[8] > 2 * found.decode_tokens_s[1]
    assert found.prompt_tokens_s and model.running == 0


async def test_a_context_that_the_owner_made_small_is_measured_too() -> None:
    model = ScriptedText(lambda call: "word " * 60, seconds_per_token=0.001, context_tokens=256)
    found = await measure("made-up", nullcontext(model))
    assert found.prompt_tokens_s and set(found.decode_tokens_s) == {1, 4, 8}


@pytest.mark.parametrize(
    ("times", "rate"),
    [
        ([], 0.0),
        ([[(1.0, 1)]], 0.0),
        ([[(0.0, 1), (1.0, 2), (2.0, 2)]], 2.0),
        ([[(0.0, 1), (1.0, 1)], [(2.0, 1), (3.0, 1)]], 0.0),
    ],
)
def test_only_the_time_in_which_all_write_is_counted(times: list[list[tuple[float, int]]], rate: float) -> None:
    assert together(times) == rate


def _one(rate: float, *, name: str = "small", memory: int = 10**8) -> Measured:
    return Measured(name, 1.0, 100.0, {1: rate, 4: 2 * rate, 8: 3 * rate} if rate else {}, memory)


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (
            [_one(100)],
            "Good for conversation with small: it writes 15 times as fast as one reads, for about 8 at a time",
        ),
        ([_one(100), _one(20, name="big", memory=10**9)], "Good for conversation with big: it writes 3 times"),
        ([_one(100), _one(2, name="big", memory=10**9)], "Good for conversation with small"),
        ([_one(2)], "small writes 2 tokens a second here, slower than one reads"),
        ([_one(0)], "too slow"),
    ],
)
def test_the_sentence_fits_the_device(found: list[Measured], words: str) -> None:
    assert words in verdict(found)
    assert verdict(found).endswith(".")


def test_what_was_not_measured_is_a_dash_and_it_is_said_why() -> None:
    shown = as_text([Measured("small", 1.0, None, {}, 10**8)])
    assert shown.splitlines()[1].split() == ["small", "1.0", "-", "-", "-", "-", "100"]
    assert "-: not measured. A model has 40 s, and answers at once need room beside each other." in shown.splitlines()
    assert "not measured" not in as_text([_one(20)])


def test_of_a_tuned_model_nothing_is_said_about_tuning() -> None:
    assert "covey models tune" not in as_text([_one(20)]) and "tune small" in as_text([_one(20)], ["small"])


def test_without_a_model_it_says_what_to_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "--json"]) == 1
    assert "covey models pull" in json.loads(capsys.readouterr().out)["error"]["message"]


def test_one_model_that_can_not_be_measured_costs_only_its_own_figures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    store = Store(paths.models_dir(paths.ensure_home(paths.home())))
    for name in ("good", "bad"):
        (tmp_path / f"{name}.gguf").write_bytes(tiny_gguf.gguf({**tiny_gguf.KEYS, "general.name": name}))
        add_files([tmp_path / f"{name}.gguf"], store)

    async def measured(name: str, loading: object) -> Measured:
        if name == "bad":
            raise OutOfMemory("bad does not fit.")
        return _one(20, name=name)

    monkeypatch.setattr(bench, "measure", measured)
    assert main(["bench", "--json"]) == 0
    shown = capsys.readouterr()
    told = json.loads(shown.out)
    assert [one["model"] for one in told["models"]] == ["good"] and told["failed"] == {"bad": "bad does not fit."}
    assert "bad could not be measured: bad does not fit." in shown.err
    assert told["untuned"] == ["good"]
    assert main(["bench", "good", "bad"]) == 1
    assert "`covey models tune good` finds what is fastest here." in capsys.readouterr().out
    assert main(["bench", "bad"]) == 1


def test_a_model_that_writes_no_text_is_said_to_be_that(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = Store(paths.models_dir(paths.ensure_home(paths.home())))
    (tmp_path / "m.onnx").write_bytes(b"weights")
    digest = store.add_blob(tmp_path / "m.onnx")
    artifact = Artifact("model", "m.onnx", 7, digest)
    store.install(Manifest("mails", "labels", "classifier", "onnx", (artifact,), "MIT", labels=("a", "b")))
    assert main(["bench", "mails"]) == 2
    assert "mails does not write text" in capsys.readouterr().err
