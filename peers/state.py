"""What makes a node this very node: key, ledger, audit log and list of peers, in one folder that is made at once.

A disk that was copied to another machine would give two devices one key. So the folder says which
machine it was made on; elsewhere it is put aside, and the copy becomes a node of its own.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from peers import identity
from peers.audit import Audit
from peers.errors import IdentityError
from peers.identity import Identity
from peers.ledger import KEEP_DAYS, Ledger
from peers.node_id import short
from peers.peerstore import PeerStore
from peers.private_files import alone, cure, make_folder, sync_folder, write_whole

FOLDER = "node"
MACHINE_FILE = "machine"


@dataclass(frozen=True, slots=True)
class NodeState:
    """The open parts."""

    folder: Path
    identity: Identity
    ledger: Ledger
    audit: Audit
    peers: PeerStore
    notice: str = ""
    """A sentence that the owner should see, or nothing."""

    def settle(self) -> None:
        """Wait until all is on the disk that was to follow soon; blocks."""
        self.peers.settle()
        self.ledger.settle()
        self.audit.chain.settle()


def open_state(home: Path, *, machine: str, ledger_days: int = KEEP_DAYS) -> NodeState:
    """Open the node in this home, or make one. Raises IdentityError.

    `machine`: what `machine.machine_mark` says; empty where it is not known, and then copies are not noticed.
    """
    folder = home / FOLDER
    try:
        make_folder(home)
        with alone(folder):
            notice = _put_aside_copy(folder, machine)
            if not folder.is_dir():
                _make(folder, machine)
    except TimeoutError as error:
        raise IdentityError(f"Another program holds {folder}. Try again in a moment.") from error
    except OSError as error:
        raise IdentityError(
            f"This device's key can't be kept in {folder} ({error.strerror}). "
            f"{cure(error, 'Make that folder writable.')}"
        ) from error
    own = identity.load(folder)
    return NodeState(
        folder, own, Ledger(folder, own, keep_days=ledger_days), Audit(folder, own), PeerStore(folder), notice
    )


def _put_aside_copy(folder: Path, machine: str) -> str:
    """Move a folder away that was made on another machine, and return the sentence about it."""
    if not machine or not folder.is_dir():
        return ""
    marked = _marked(folder)
    if marked == machine:
        return ""
    if not marked:  # made where the machine was not known
        write_whole(folder / MACHINE_FILE, machine.encode())
        return ""
    old = short(identity.load(folder).node_id)
    aside = folder.with_name(f"{folder.name}-of-{old}")
    for count in range(2, 1000):
        if not aside.exists():
            break
        aside = folder.with_name(f"{folder.name}-of-{old}-{count}")
    folder.rename(aside)
    return (
        f"This folder was copied from another machine, so this device now has a key of its own and no paired devices. "
        f"Pair it with `covey pair`; what was copied is kept in {aside}."
    )


def _make(folder: Path, machine: str) -> None:
    """Make the whole folder beside its place and move it there, so that no half-made one is ever used."""
    part = folder.with_name(f".{folder.name}.{os.getpid()}.part")
    shutil.rmtree(part, ignore_errors=True)
    make_folder(part)
    try:
        own = identity.create(part)
        Ledger(part, own).chain.create()
        Audit(part, own).chain.create()
        write_whole(part / MACHINE_FILE, machine.encode())
        part.rename(folder)
    except BaseException:  # whatever it is, no half of a node stays behind
        shutil.rmtree(part, ignore_errors=True)
        raise
    sync_folder(folder.parent)


def _marked(folder: Path) -> str:
    try:
        return (folder / MACHINE_FILE).read_text(encoding="ascii", errors="replace").strip()
    except FileNotFoundError:
        return ""
