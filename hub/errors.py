"""What can go wrong in hub/.

HubError
└── RedactionError         nothing was sent, or an answer was not taken
    ├── TextTooLong            too much to be checked
    └── PlaceholderInvented    an answer names a placeholder that hides nothing
"""

from __future__ import annotations


class HubError(Exception):
    """Base of every error here. `str(error)` is one sentence that says what happened and what to do next."""

    code = "hub_error"


class RedactionError(HubError):
    """What was hidden, and what came back, do not fit together."""

    code = "redaction_error"


class TextTooLong(RedactionError):
    """The text is too long to be checked for what must be hidden. Send less of it."""

    code = "text_too_long"


class PlaceholderInvented(RedactionError):
    """The answer names a placeholder that hides nothing. Ask again, or keep the request on this device."""

    code = "placeholder_invented"
