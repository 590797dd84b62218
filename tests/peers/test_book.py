"""Pairing, revoking, and what other devices may say about it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from models.types import Label
from peers import tombstones
from peers.book import (
    MAX_NOTICES,
    Book,
    Effect,
    counter_of,
    find,
    forgotten,
    is_expired,
    with_heard,
    with_paired,
    with_peer,
    with_revoked,
)
from peers.errors import PeerBookError, UnknownPeer
from peers.grants import guest_device, own_device
from peers.identity import Identity
from peers.node_id import NodeId, of_key
from peers.peerstore import PeerStore
from peers.policy import Place, RecipientKind
from peers.tombstones import Tombstone, is_genuine
from tests.peers.nodes import new_identity, paired_with


@dataclass(frozen=True)
class Home:
    """This device and three others."""

    me: Identity
    kitchen: Identity
    phone: Identity
    garage: Identity


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return Home(*(new_identity(tmp_path_factory.mktemp(name)) for name in ("me", "kitchen", "phone", "garage")))


@pytest.fixture
def book(home: Home) -> Book:
    """Kitchen and phone are paired; the phone has admin."""
    book = with_paired(Book(), paired_with(home.kitchen, "kitchen", counter=10), own_device(), now_ns=1)
    admin = replace(own_device(), admin=True)
    return with_paired(book, paired_with(home.phone, "phone", counter=20), admin, now_ns=2)


def revoked(issuer: Identity, subject: Identity, counter: int = 50) -> Tombstone:
    return tombstones.sign(issuer, subject.node_id, counter, now_ns=9)


def test_a_paired_device_is_found_by_name_and_by_the_letters_of_its_id(home: Home, book: Book) -> None:
    for text in ("kitchen", " Kitchen ", home.kitchen.node_id, home.kitchen.node_id[:7].lower()):
        assert find(book, text).node_id == home.kitchen.node_id
    assert find(book, "kitchen").recipient().kind is RecipientKind.PEER


def test_an_unknown_name_says_which_are_known(home: Home, book: Book) -> None:
    with pytest.raises(UnknownPeer, match=r"Paired are kitchen, phone\."):
        find(book, "garage")
    with pytest.raises(UnknownPeer, match="covey pair"):
        find(Book(), "garage")
    with pytest.raises(UnknownPeer):
        find(book, "")


def test_two_devices_of_one_name_can_be_told_apart(home: Home, book: Book) -> None:
    both = with_paired(book, paired_with(home.garage, "Kitchen"), own_device(), now_ns=3)
    assert {peer.name for peer in both.peers.values()} == {"kitchen", "phone", "Kitchen 2"}
    again = with_paired(both, paired_with(home.garage, "Kitchen 2", counter=99), own_device(), now_ns=3)
    assert len(again.peers) == 3


def test_a_recipient_carries_the_label_and_place_of_its_grant(home: Home) -> None:
    book = with_paired(Book(), paired_with(home.garage, "visitor"), guest_device(100), now_ns=3)
    to = find(book, "visitor").recipient()
    assert (to.ceiling, to.place, to.id) == (Label.PUBLIC, Place.AWAY, home.garage.node_id)
    assert not is_expired(find(book, "visitor"), 99)
    assert is_expired(find(book, "visitor"), 100)


def test_the_owner_revokes_and_the_device_is_gone(home: Home, book: Book) -> None:
    after = with_revoked(book, revoked(home.me, home.kitchen))
    assert home.kitchen.node_id not in after.peers
    assert counter_of(after, home.kitchen.node_id) == 50
    assert after.notices[0].name == "kitchen"


def test_facts_about_a_revoked_device_do_not_bring_it_back(home: Home, book: Book) -> None:
    """A task that ends after the revocation writes its figures."""
    peer = find(book, "kitchen")
    after = with_revoked(book, revoked(home.me, home.kitchen))
    assert with_peer(after, replace(peer, seen_ns=99)).peers == after.peers


def test_only_pairing_again_in_person_beats_a_revocation(home: Home, book: Book) -> None:
    said = revoked(home.me, home.kitchen, counter=50)
    after = with_revoked(book, said)
    number = counter_of(after, home.kitchen.node_id) + 1
    again = with_paired(after, paired_with(home.kitchen, "kitchen", counter=number), own_device(), now_ns=5)
    heard, effect = with_heard(again, said, home.me.node_id)
    assert (effect, home.kitchen.node_id in heard.peers) == (Effect.NOTHING, True)


def test_a_revocation_by_a_device_with_admin_binds(home: Home, book: Book) -> None:
    after, effect = with_heard(book, revoked(home.phone, home.kitchen), home.me.node_id)
    assert effect is Effect.BINDS
    assert home.kitchen.node_id not in after.peers


def test_elsewhere_it_is_a_warning_so_that_one_hostile_device_does_not_evict_all(home: Home, book: Book) -> None:
    after, effect = with_heard(book, revoked(home.kitchen, home.phone), home.me.node_id)
    assert effect is Effect.WARNING
    assert home.phone.node_id in after.peers
    assert [(notice.binds, notice.name) for notice in after.notices] == [(False, "phone")]


def test_what_a_stranger_says_is_not_even_noted(home: Home, book: Book) -> None:
    after, effect = with_heard(book, revoked(home.garage, home.kitchen), home.me.node_id)
    assert (after, effect) == (book, Effect.NOTHING)


def test_a_device_whose_admin_ended_does_not_bind_any_more(home: Home, book: Book) -> None:
    without = with_revoked(book, revoked(home.me, home.phone))
    _, effect = with_heard(without, revoked(home.phone, home.kitchen), home.me.node_id)
    assert effect is Effect.NOTHING


def test_nobody_revokes_this_device_on_itself(home: Home, book: Book) -> None:
    assert with_heard(book, revoked(home.phone, home.me), home.me.node_id) == (book, Effect.NOTHING)


def test_a_revocation_heard_twice_or_older_than_the_pairing_does_nothing(home: Home, book: Book) -> None:
    said = revoked(home.kitchen, home.phone)
    after, _ = with_heard(book, said, home.me.node_id)
    assert with_heard(after, said, home.me.node_id) == (after, Effect.NOTHING)
    older = revoked(home.phone, home.kitchen, counter=9)
    assert with_heard(book, older, home.me.node_id) == (book, Effect.NOTHING)


def test_a_hostile_device_can_not_flood_out_what_binds(home: Home, book: Book) -> None:
    book = with_revoked(book, revoked(home.me, home.garage))
    stone = revoked(home.kitchen, home.phone)
    for counter in range(100, 300):
        book, _ = with_heard(book, replace(stone, counter=counter), home.me.node_id)
        book, effect = with_heard(book, replace(stone, subject=of_key(b"%d" % counter)), home.me.node_id)
        assert effect is Effect.NOTHING
    assert [(notice.binds, notice.tombstone.counter) for notice in book.notices] == [(True, 50), (False, 100)]


def test_the_owner_is_warned_again_only_when_the_device_was_paired_again_meanwhile(home: Home, book: Book) -> None:
    book, _ = with_heard(book, revoked(home.kitchen, home.phone), home.me.node_id)
    assert with_heard(book, revoked(home.kitchen, home.phone, counter=60), home.me.node_id) == (book, Effect.NOTHING)
    again = with_paired(book, paired_with(home.phone, "phone", counter=61), own_device(), now_ns=5)
    _, effect = with_heard(again, revoked(home.kitchen, home.phone, counter=62), home.me.node_id)
    assert effect is Effect.WARNING


def test_even_a_device_with_admin_can_not_fill_the_memory(home: Home, book: Book) -> None:
    stone = revoked(home.phone, home.kitchen)
    for number in range(MAX_NOTICES + 20):
        book, _ = with_heard(book, replace(stone, subject=of_key(b"%d" % number)), home.me.node_id)
    assert len(book.notices) == MAX_NOTICES


def test_forgetting_takes_names_and_warnings_and_keeps_the_number(home: Home, book: Book) -> None:
    after = with_revoked(book, revoked(home.me, home.kitchen))
    after, _ = with_heard(after, revoked(home.phone, home.kitchen, counter=60), home.me.node_id)
    gone = forgotten(after, home.kitchen.node_id)
    assert {notice.name for notice in gone.notices} == {""}
    assert counter_of(gone, home.kitchen.node_id) == 60


def test_a_tombstone_is_genuine_only_as_it_was_signed(home: Home) -> None:
    stone = revoked(home.phone, home.kitchen)
    assert is_genuine(stone)
    for changed in (
        replace(stone, subject=home.me.node_id),
        replace(stone, counter=51),
        replace(stone, time_ns=1),
        replace(stone, issuer=home.me.node_id),
        replace(stone, issuer=home.me.node_id, certificate=home.me.certificate_der),
        replace(stone, certificate=b"nonsense"),
        replace(stone, signature=b""),
    ):
        assert not is_genuine(changed)
    assert not is_genuine(revoked(home.phone, home.kitchen, counter=2**52 + 1))


class Liar:
    """Signs with its own key, and shows its own certificate, under another device's name."""

    def __init__(self, real: Identity, name: NodeId) -> None:
        self.node_id = name
        self.certificate_der = real.certificate_der
        self.sign = real.sign


def test_nobody_revokes_in_the_name_of_another_device(home: Home) -> None:
    """The statement and its signature fit together; only the key is not the one of the device that it names."""
    stone = tombstones.sign(Liar(home.phone, home.me.node_id), home.kitchen.node_id, 50, now_ns=1)  # type: ignore[arg-type]
    assert not is_genuine(stone)


def test_the_book_is_the_same_after_a_restart(home: Home, book: Book, tmp_path: Path) -> None:
    whole = with_revoked(book, revoked(home.me, home.phone))
    PeerStore(tmp_path).change(lambda _: whole)
    loaded = PeerStore(tmp_path).book()
    assert replace(loaded, latest_ns=0, latest_since_start_ns=0) == whole
    assert is_genuine(loaded.notices[0].tombstone)
    assert (tmp_path / "peers.json").stat().st_mode & 0o777 == 0o600


def test_a_change_by_another_process_is_seen_at_once(home: Home, book: Book, tmp_path: Path) -> None:
    mine, other = PeerStore(tmp_path), PeerStore(tmp_path)
    mine.change(lambda _: book)
    assert len(other.book().peers) == 2
    mine.change(lambda known: with_revoked(known, revoked(home.me, home.kitchen)))
    assert len(other.book().peers) == 1


@pytest.mark.parametrize("content", [b"", b"{", b'{"peers": 7}', b'{"format": 2}'])
def test_a_damaged_or_newer_file_is_a_sentence_and_is_not_overwritten(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "peers.json").write_bytes(content)
    store = PeerStore(tmp_path)
    with pytest.raises(PeerBookError, match=r"\.$"):
        store.book()
    with pytest.raises(PeerBookError):
        store.change(lambda book: book)
    assert (tmp_path / "peers.json").read_bytes() == content
