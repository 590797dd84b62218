"""Conversations' state on disk, so that a next turn need not read the whole history again.

Files are named and sealed with a secret of this node, so that a file tells nothing by its name and none
that was put there by somebody else is believed. They are readable by the owner only, and `forget` removes them.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import os
import secrets
import struct
import tempfile
from collections.abc import Sequence
from pathlib import Path

from models import state_folder

MAX_FOLDER_BYTES = 256 * 1024 * 1024
"""Bytes of all files together, 10 to 20 conversations of a thousand tokens; the one used longest ago goes first."""
SECRET = "secret"
SECRET_BYTES = 32

_SEAL_BYTES = 32
_COUNT = struct.Struct(">I")


class ConversationFiles:
    """The states of conversations with one model. `scope` names it, its settings and the library's version.

    A conversation is named by a path, of the folder and its id: no such file exists, see `_path`.
    """

    def __init__(self, scope: str) -> None:
        self._scope = scope.encode()

    def tokens(self, conversation: Path) -> list[int]:
        """Return the tokens whose state is kept, none if nothing is; not yet checked against the seal."""
        with contextlib.suppress(OSError, struct.error):
            with self._path(conversation).open("rb") as file:
                file.seek(_SEAL_BYTES)
                (count,) = _COUNT.unpack(file.read(_COUNT.size))
                if 4 * count <= os.fstat(file.fileno()).st_size:  # else as much memory would be taken to read it into
                    return list(struct.unpack(f">{count}I", file.read(4 * count)))
        return []

    def read(self, conversation: Path) -> tuple[list[int], bytes] | None:
        """Return tokens and state; None where there is none, or it is not what was written."""
        path = self._path(conversation)
        try:
            content = path.read_bytes()
        except OSError:
            return None
        body = content[_SEAL_BYTES:]
        if not hmac.compare_digest(content[:_SEAL_BYTES], self._seal(conversation, body)):
            with contextlib.suppress(OSError):
                path.unlink()
            return None
        with contextlib.suppress(OSError):
            os.utime(path)
        (count,) = _COUNT.unpack_from(body)
        start = _COUNT.size + 4 * count
        return list(struct.unpack_from(f">{count}I", body, _COUNT.size)), body[start:]

    def write(self, conversation: Path, tokens: Sequence[int], state: bytes) -> None:
        """Keep a state. A disk that refuses costs only the time to compute it again."""
        with contextlib.suppress(OSError):
            body = _COUNT.pack(len(tokens)) + struct.pack(f">{len(tokens)}I", *tokens) + state
            path = self._path(conversation)
            state_folder.put(path, self._seal(conversation, body), body, most_bytes=MAX_FOLDER_BYTES)

    def _path(self, conversation: Path) -> Path:
        model = hashlib.sha256(self._scope).hexdigest()[:16]
        return conversation.parent / f"{_name(conversation)}-{model}.state"

    def _seal(self, conversation: Path, body: bytes) -> bytes:
        # The digest first: sealing costs one pass over the state, which may be 20 MB.
        words = b"\0".join((b"seal", conversation.name.encode(), self._scope, hashlib.sha256(body).digest()))
        return hmac.digest(_secret(conversation.parent), words, "sha256")


def forget(folder: Path, conversation: str = "") -> int:
    """Remove the states of one conversation, or of all; return how many files there were."""
    if not (folder / SECRET).exists():
        return 0
    return state_folder.remove(folder, f"{_name(folder / conversation)}-*" if conversation else "*")


def expire(folder: Path, older_than_s: float) -> int:
    """Remove the states that nobody has used for so long; return how many."""
    return state_folder.expire(folder, older_than_s)


def _name(conversation: Path) -> str:
    return hmac.digest(_secret(conversation.parent), b"name\0" + conversation.name.encode(), "sha256").hex()


def _secret(folder: Path) -> bytes:
    """Return this node's secret, made at first use. Raises OSError."""
    path = folder / SECRET
    try:
        return path.read_bytes()
    except FileNotFoundError:
        pass
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with contextlib.suppress(FileExistsError):  # another process was quicker
        handle, name = tempfile.mkstemp(dir=folder, prefix=".new-")  # mode 0600
        try:
            with open(handle, "wb") as file:
                file.write(secrets.token_bytes(SECRET_BYTES))
            os.link(name, path)
        finally:
            Path(name).unlink(missing_ok=True)
    return path.read_bytes()
