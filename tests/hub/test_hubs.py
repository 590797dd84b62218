"""The list of hubs: what may be in it, where keys are, and what is left after a hub is gone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from hub.book import Hub, Price, in_order
from hub.credentials import Credentials
from hub.errors import BadHub, HubBookError, KeyUnusable, UnknownHub
from hub.hubs import Hubs
from models.types import Label
from peers.policy import Place
from peers.secret import Secret
from runtime.node import has_hubs

FAR = Hub("far", "https://hub.example/v1/", "big", "away")


class Ring:
    """A keyring in memory."""

    def __init__(self, *, broken: bool = False) -> None:
        self.kept: dict[str, str] = {}
        self.broken = broken

    def get_password(self, service: str, name: str) -> str | None:
        return self.kept.get(name)

    def set_password(self, service: str, name: str, password: str) -> None:
        if self.broken:
            raise RuntimeError("locked")
        self.kept[name] = password

    def delete_password(self, service: str, name: str) -> None:
        del self.kept[name]


def test_a_hub_is_kept_with_its_key_apart_and_both_for_the_owner_alone(tmp_path: Path) -> None:
    hubs = Hubs(tmp_path)
    assert not has_hubs(tmp_path)
    added = hubs.add(FAR, Secret("sk-1"))
    assert (added.url, added.key) == ("https://hub.example/v1", "file")
    assert Hubs(tmp_path).all() == [added] and has_hubs(tmp_path)
    assert b"sk-1" not in (tmp_path / "hubs" / "hubs.json").read_bytes()
    for path in (tmp_path / "hubs").rglob("*"):
        assert path.stat().st_mode & 0o077 == 0
    hubs.remove("far")
    assert hubs.all() == [] and not (tmp_path / "hubs" / "keys" / "far").exists()
    with pytest.raises(UnknownHub, match="None was added yet"):
        hubs.get("far")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"name": "Far Away"}, "is no name for a hub"),
        ({"name": "../far"}, "is no name for a hub"),
        ({"url": "hub.example/v1"}, "no address of a hub"),
        ({"url": "ftp://hub.example/v1"}, "no address of a hub"),
        ({"url": "https://hub.example/v1?key=x"}, "no address of a hub"),
        ({"url": "https://me:pass@hub.example/v1"}, "holds a password"),
        ({"url": "http://hub.example/v1"}, "everybody on the way can read"),
        ({"url": "http://192.168.1.7:4490/v1"}, "covey hub serve"),
        ({"model": ""}, "--model NAME"),
        ({"ceiling": Label.SECRET}, "never leaves this device"),
        ({"pin": "abc"}, "64 hexadecimal digits"),
    ],
)
def test_a_hub_that_is_described_wrongly_is_refused_with_the_cure(
    tmp_path: Path, change: dict[str, object], says: str
) -> None:
    with pytest.raises(BadHub, match=says):
        Hubs(tmp_path).add(replace(FAR, **change), None)  # type: ignore[arg-type]


def test_a_new_hub_may_see_nothing_but_what_is_public_or_redacted() -> None:
    assert FAR.ceiling is Label.PUBLIC
    assert FAR.recipient().place is Place.AWAY


def test_the_price_of_a_hub_elsewhere_must_be_known_and_the_owners_own_is_free() -> None:
    assert FAR.price is None
    assert replace(FAR, prices={"big": Price(2, 8)}).price == Price(2, 8)
    assert replace(FAR, prices={"other": Price(2, 8)}).price is None
    own = replace(FAR, place="home").price
    assert own is not None and own.cost(10**6, 10**6) == 0


def test_own_machines_are_tried_first() -> None:
    near = replace(FAR, name="near", place="home")
    assert in_order({"far": FAR, "near": near}) == [near, FAR]


def test_a_keyring_is_used_where_there_is_one(tmp_path: Path) -> None:
    ring = Ring()
    kept = Credentials(tmp_path / "keys", ring=ring)
    hub = replace(FAR, key=kept.put("far", Secret("sk-1")))
    assert (hub.key, ring.kept, (tmp_path / "keys").exists()) == ("keyring", {"far": "sk-1"}, False)
    assert kept.get(hub) == Secret("sk-1")
    kept.forget(hub)
    with pytest.raises(KeyUnusable, match="Give it again"):
        kept.get(hub)


@pytest.mark.parametrize("text", ["", "two\nlines", "sk-é", "x" * 5000])
def test_what_is_no_key_is_not_kept_and_not_repeated(tmp_path: Path, text: str) -> None:
    with pytest.raises(BadHub, match=r"(?i)no key") as raised:
        Credentials(tmp_path, use_system=False).put("far", Secret(text))
    assert not text or text not in str(raised.value)


def test_a_damaged_list_is_said_and_not_overwritten(tmp_path: Path) -> None:
    hubs = Hubs(tmp_path)
    hubs.add(FAR, None)
    file = tmp_path / "hubs" / "hubs.json"
    file.write_text('{"hubs": {"far": 7}}')
    with pytest.raises(HubBookError, match="is damaged"):
        hubs.add(replace(FAR, name="near"), None)
    assert file.read_text() == '{"hubs": {"far": 7}}'
    file.write_text('{"format": 99}')
    with pytest.raises(HubBookError, match="newer Covey"):
        hubs.all()
