"""What can go wrong in runtime/, and which exit code each error of any folder becomes.

CoveyError
├── UsageError           the command or request was put wrongly
│   └── NotFound             no trace, task or file of that name
├── ConfigError          the settings file is not valid
├── HomeNotWritable      Covey's folder can't be written
├── JournalError         the journal could not be read or written
│   ├── JournalCorrupt       the file is damaged
│   ├── JournalTooNew        a newer Covey wrote it
│   ├── JournalBusy          another program holds it
│   └── JournalFull          no room on the disk
└── DocumentError        a file that was given can't be used
    ├── DocumentMissing      no such file, or a folder
    ├── DocumentUnreadable   no permission, damaged or encrypted
    ├── DocumentBinary       not text
    ├── DocumentEmpty        nothing to read in it
    ├── DocumentTooLarge     above the bound
    └── DocumentInvalid      not what its name says: broken JSON or CSV
"""

from __future__ import annotations

from hub.errors import BadHub, HubError, UnknownHub
from models.errors import InputError, ModelsError, UnknownModel
from peers.errors import BadCode, BadNodeId, PeersError, UnknownPeer


class CoveyError(Exception):
    """Base of every error here. `str(error)` is one sentence that says what happened and what to do next."""

    code = "covey_error"


class UsageError(CoveyError):
    """The command or request was put wrongly; the message says how to put it."""

    code = "usage"


class NotFound(UsageError):
    """Nothing of that name is known here; the message says how to see the names."""

    code = "not_found"


class ConfigError(CoveyError):
    """The settings file is not valid; the message names the file, the line and the field."""

    code = "bad_settings"


class HomeNotWritable(CoveyError):
    """Covey's folder can't be written. Make it writable, or set COVEY_HOME to a folder that is."""

    code = "home_not_writable"


class JournalError(CoveyError):
    """The journal could not be read or written."""

    code = "journal_error"


class JournalCorrupt(JournalError):
    """The journal file is damaged. Move it away and run the command again: a fresh one is started."""

    code = "journal_corrupt"


class JournalTooNew(JournalError):
    """A newer Covey wrote the journal. Update this one, or set COVEY_HOME to another folder."""

    code = "journal_too_new"


class JournalBusy(JournalError):
    """Another program holds the journal. Try again in a moment."""

    code = "journal_busy"


class JournalFull(JournalError):
    """No room on the disk. Free some space and run the command again; what was written before is kept."""

    code = "disk_full"


class DocumentError(CoveyError):
    """A file that was given can't be used; the message names it and says why."""

    code = "bad_document"


class DocumentMissing(DocumentError):
    """There is no such file. Check the path."""

    code = "document_missing"


class DocumentUnreadable(DocumentError):
    """The file can't be read: no permission, damaged, encrypted, or only pictures."""

    code = "document_unreadable"


class DocumentBinary(DocumentError):
    """The file is not text."""

    code = "document_binary"


class DocumentEmpty(DocumentError):
    """There is nothing to read in the file."""

    code = "document_empty"


class DocumentTooLarge(DocumentError):
    """The file is larger than what is read at once."""

    code = "document_too_large"


class DocumentInvalid(DocumentError):
    """The content is not what the file's name says."""

    code = "document_invalid"


EXIT_CODES: tuple[tuple[type[BaseException], int], ...] = (
    (UsageError, 2),
    (DocumentMissing, 2),
    (ConfigError, 2),
    (UnknownModel, 2),
    (InputError, 2),
    (UnknownPeer, 2),
    (BadNodeId, 2),
    (BadCode, 2),
    (BadHub, 2),
    (UnknownHub, 2),
    (CoveyError, 1),
    (ModelsError, 1),
    (PeersError, 1),
    (HubError, 1),
    (KeyboardInterrupt, 130),
)
"""First match wins. 1: it failed; 2: it was asked wrongly; 130: the shell's convention for an interrupt."""


def exit_code(error: BaseException) -> int:
    """Return the exit code of the command that ended with this error."""
    return next((code for kind, code in EXIT_CODES if isinstance(error, kind)), 1)
