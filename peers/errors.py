"""What can go wrong in peers/.

PeersError
├── IdentityError          this node's key can't be used
├── BadNodeId              a text that is no node id
├── RecordError            the ledger or the audit log could not be read or written
│   ├── RecordBroken           entries were changed, removed or put back
│   ├── RecordBusy             another program holds it
│   └── RecordFull             no room on the disk
├── ReleaseError           nothing was sent
│   ├── ReleaseRefused         the policy says no
│   └── NotReleased            a value that no release stands behind, or for another recipient
├── PairingError           two devices could not be paired
│   ├── PairingFailed          the other side did not prove that it knows the code
│   ├── WindowClosed           no pairing window is open
│   └── BadCode                what was typed is no pairing code
├── PeerBookError          the file of paired devices could not be read or written
├── UnknownPeer            no paired device of that name
├── DiscoveryError         devices can't be looked for on this network
├── GrantRefused           a paired device asked for more than it was granted
├── WorkLoops              work came back to a device that it has passed
├── LinkError              a paired device could not be used just now (also a ModelsError)
│   ├── PeerUnreachable        nobody answers at its addresses
│   ├── WrongPeer              somebody else answers there; nothing was sent
│   ├── PeerBusy               it has no room now and says when to come back
│   └── PeerLost               it vanished while it worked
└── ProtocolError          the wire
    ├── LocalProtocolError     we were about to send what the specification forbids
    └── RemoteProtocolError    the other side sent what the specification forbids
        └── VersionMismatch        no common version, or an older one than before
"""

from __future__ import annotations

from models.errors import ModelsError


class PeersError(Exception):
    """Base of every error here. `str(error)` is one sentence that says what happened and what to do next."""

    code = "peers_error"


class IdentityError(PeersError):
    """This node's key can't be used; the message names the file and the cure."""

    code = "identity_error"


class BadNodeId(PeersError):
    """The text is no node id; the message says which part is mistyped. Read it again from the other screen."""

    code = "bad_node_id"


class RecordError(PeersError):
    """The ledger or the audit log could not be read or written."""

    code = "record_error"


class RecordBroken(RecordError):
    """Entries were changed, removed or put back, so nothing is added and nothing leaves.

    Run `covey ledger verify` to see which.
    """

    code = "record_broken"


class RecordBusy(RecordError):
    """Another program holds the file. Try again in a moment."""

    code = "record_busy"


class RecordFull(RecordError):
    """The disk is full, so nothing can be written down and nothing leaves. Free some space and try again."""

    code = "disk_full"


class ReleaseError(PeersError):
    """Nothing was sent."""

    code = "release_error"


class ReleaseRefused(ReleaseError):
    """The policy does not let this go to that recipient; the message says which rule."""

    code = "release_refused"


class NotReleased(ReleaseError):
    """Something tried to send a value that was not released to that recipient. Report it: this is a defect."""

    code = "not_released"


class PairingError(PeersError):
    """Two devices could not be paired."""

    code = "pairing_error"


class PairingFailed(PairingError):
    """The devices did not agree on the code. Check the code on the other screen and try again."""

    code = "pairing_failed"


class WindowClosed(PairingError):
    """No pairing window is open. Run `covey pair` on one device and type its code on the other within two minutes."""

    code = "pairing_closed"


class BadCode(PairingError):
    """What was typed is no pairing code: it has six digits, or is the text of a QR code."""

    code = "bad_code"


class PeerBookError(PeersError):
    """The file of paired devices could not be read or written."""

    code = "peer_book_error"


class UnknownPeer(PeersError):
    """No paired device of that name. Run `covey peers list` to see them."""

    code = "unknown_peer"


class DiscoveryError(PeersError):
    """Devices can't be looked for on this network; the message says why. Name their addresses instead."""

    code = "discovery_error"


class GrantRefused(PeersError):
    """A paired device asked for more than its owner granted. Change that with `covey peers grant`."""

    code = "grant_refused"


class WorkLoops(PeersError):
    """Work came back to a device that it has passed. Ask with `--tier device`."""

    code = "work_loops"


class LinkError(PeersError, ModelsError):
    """A paired device could not be used just now.

    Also a ModelsError: a remote specialist fails as a local one does, and the work is tried elsewhere.
    """

    code = "link_error"


class PeerUnreachable(LinkError):
    """Nobody answers at the addresses of that device. Check that it is on and runs `covey up`."""

    code = "peer_unreachable"


class WrongPeer(LinkError):
    """Another device answers at that address, so nothing was sent. Pair again if the device was set up afresh."""

    code = "wrong_peer"


class PeerBusy(LinkError):
    """The device has no room for more work now."""

    code = "peer_busy"

    def __init__(self, message: str, retry_after_s: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s
        """Seconds after which asking again makes sense."""


class PeerLost(LinkError):
    """The device vanished while it worked; what it had said so far is kept."""

    code = "peer_lost"


class ProtocolError(PeersError):
    """The wire."""

    code = "protocol_error"


class LocalProtocolError(ProtocolError):
    """We were about to send what the specification forbids. Report it: this is a defect."""

    code = "local_protocol_error"


class RemoteProtocolError(ProtocolError):
    """The other device sent what the specification forbids. Update Covey on both devices."""

    code = "remote_protocol_error"


class VersionMismatch(RemoteProtocolError):
    """The two devices speak no common version, or an older one than before. Update Covey on both."""

    code = "version_mismatch"
