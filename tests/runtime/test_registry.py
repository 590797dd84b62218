"""Specialists from three places; a broken one is reported and left out."""

from __future__ import annotations

from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from models.errors import ManifestError
from runtime import registry
from runtime.errors import NotFound, UsageError

GOOD = 'name = "haiku"\nrunner = "generate"\nsummary = "Writes haikus."\nmodels = ["smollm2-135m"]\n'


def _write(folder: Path, name: str, text: str) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_the_built_in_specialists_are_all_sound(tmp_path: Path) -> None:
    found = registry.load(tmp_path)
    assert found.broken == ()
    assert {"generate", "answer", "extract", "calculate", "when", "convert"} <= set(found.capabilities)


def test_the_owners_own_come_first_and_replace_one_of_the_same_name(tmp_path: Path) -> None:
    own = _write(tmp_path, "generate.toml", GOOD.replace("haiku", "generate"))
    entry = registry.load(tmp_path).serving("generate")
    assert entry is not None
    assert (entry.origin, entry.where) == ("owner", str(own))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("name = ", "Correct the file"),
        (GOOD.replace("generate", "telepathy"), "telepathy"),
        (GOOD + "colour = 3\n", "colour"),
        (GOOD + 'postconditions = ["is_true"]\n', "is_true"),
        ("x = 1\n" * 100_000, "larger than"),
    ],
)
def test_a_broken_spec_is_reported_and_left_out(tmp_path: Path, text: str, reason: str) -> None:
    _write(tmp_path, "bad.toml", text)
    found = registry.load(tmp_path)
    (broken,) = found.broken
    assert reason in broken.reason
    assert found.serving("calculate") is not None


def test_a_special_capability_falls_back_to_the_general_one(tmp_path: Path) -> None:
    found = registry.load(tmp_path)
    general, special = found.serving("extract"), found.serving("extract.event")
    assert general is special is not None
    assert found.serving("fly") is None
    assert found.offers("fly") == {}


def test_the_settings_choose_other_models(tmp_path: Path) -> None:
    found = registry.load(tmp_path, models_of={"generate": ("my-model",)})
    assert found.named("generate").spec.models == ("my-model",)


def test_computed_specialists_take_no_tokens(tmp_path: Path) -> None:
    found = registry.load(tmp_path)
    assert found.offers("calculate")["calculate"].max_tokens == 0
    assert found.offers("generate")["generate"].max_tokens > 0


def test_a_spec_is_checked_before_it_is_added(tmp_path: Path) -> None:
    own = tmp_path / "own"
    with pytest.raises(ManifestError):
        registry.add(_write(tmp_path, "bad.toml", "name = 3"), own)
    with pytest.raises(ManifestError):
        registry.add(tmp_path / "missing.toml", own)
    assert not own.exists()


def test_adding_and_removing_leaves_nothing(tmp_path: Path) -> None:
    own = tmp_path / "own"
    registry.add(_write(tmp_path, "any name.toml", GOOD), own)
    assert registry.load(own).named("haiku").origin == "owner"
    registry.remove("haiku", own)
    assert list(own.iterdir()) == []
    with pytest.raises(NotFound):
        registry.remove("haiku", own)


def test_a_name_that_differs_from_the_files_is_wrong_use(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="haiku"):
        registry.add(_write(tmp_path, "x.toml", GOOD), tmp_path / "own", "sonnet")


def test_a_path_in_a_name_never_leaves_the_folder(tmp_path: Path) -> None:
    with pytest.raises(ManifestError):
        registry.add(_write(tmp_path, "x.toml", GOOD.replace("haiku", "../evil")), tmp_path / "own")


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("tests.runtime.scripted:spec", "neither"),
        ("tests.runtime.no_such_module:x", "could not be loaded"),
    ],
)
def test_a_package_that_offers_nonsense_is_reported(value: str, reason: str) -> None:
    (found,) = registry.offered((EntryPoint("x", value, registry.GROUP),))
    assert isinstance(found, registry.Broken)
    assert reason in found.reason


def test_a_package_offers_a_specialist_of_its_own() -> None:
    (found,) = registry.offered((EntryPoint("x", "tests.runtime.test_registry:Shout", registry.GROUP),))
    assert isinstance(found, registry.Entry)
    assert (found.origin, found.capability, found.build) == ("package", "shout", Shout)


class Shout:
    """What another package would bring."""

    from models.specialist import SpecialistSpec as _Spec

    spec = _Spec(name="shout", runner="generate", summary="Says it louder.")

    def __init__(self, spec: object, pool: object) -> None:
        pass
