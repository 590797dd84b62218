"""What `covey bench` counts and says."""

from __future__ import annotations

import json
from contextlib import nullcontext
from pathlib import Path

import pytest

from models.backends.scripted import ScriptedText
from models.manifest import Artifact, Manifest
from models.store import Store
from runtime import paths
from runtime.cli.bench import as_text
from runtime.cli.main import main
from runtime.measure import Measured, measure, together, verdict


async def test_a_model_is_measured_at_every_number_of_streams() -> None:
    model = ScriptedText(lambda call: "word " * 60, seconds_per_token=0.002)

    found = await measure("made-up", nullcontext(model))
    assert set(found.decode_tokens_s) == {1, 4, 8}
    assert 100 < found.decode_tokens_s[1] <= 500
    assert found.decode_tokens_s[8] > 2 * found.decode_tokens_s[1]
    assert found.prompt_tokens_s and model.running == 0


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
    assert "-: not measured, as a model has 40 s." in shown.splitlines()
    assert "not measured" not in as_text([_one(20)])


def test_without_a_model_it_says_what_to_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "--json"]) == 1
    assert "covey models pull" in json.loads(capsys.readouterr().out)["error"]["message"]


def test_a_model_that_writes_no_text_is_said_to_be_that(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = Store(paths.models_dir(paths.ensure_home(paths.home())))
    (tmp_path / "m.onnx").write_bytes(b"weights")
    digest = store.add_blob(tmp_path / "m.onnx")
    artifact = Artifact("model", "m.onnx", 7, digest)
    store.install(Manifest("mails", "labels", "classifier", "onnx", (artifact,), "MIT", labels=("a", "b")))
    assert main(["bench", "mails"]) == 2
    assert "mails does not write text" in capsys.readouterr().err
