"""What can go wrong in hub/.

HubError
├── RedactionError         nothing was sent, or an answer was not taken
│   ├── TextTooLong            too much to be checked
│   ├── NamesNotSought         nobody looked for names in a text
│   └── PlaceholderInvented    an answer names a placeholder that hides nothing
├── HubBookError           the list of hubs, rules or spending could not be read or written
├── UnknownHub             no hub of that name
├── BadHub                 a hub was described wrongly
├── KeyUnusable            the key of a hub could not be read or kept
└── HubUnusable            this request gets no answer from that hub (also a ModelsError)
    ├── KeptHere               it was not sent: the owner's rules, or what it holds
    │   ├── Blocked                it holds a secret, or code
    │   ├── MeaningLost            the answer depends on what would be hidden
    │   ├── NoConsent              the owner said no, or could not be asked
    │   ├── OverBudget             it could cost more than is left
    │   └── NoPrice                nobody knows what it costs
    ├── HubUnreachable         nobody answers there
    ├── HubUntrusted           its certificate is not valid for it
    ├── HubMoved               it sends the request elsewhere
    ├── HubBusy                it has no room now
    ├── KeyRefused             it does not take the key
    ├── HubFailed              it failed
    ├── HubSilent              it stopped speaking
    ├── HubCut                 its answer ended in the middle
    ├── HubEndless             its answer does not end
    ├── HubNonsense            what it says is no answer
    ├── WrongModel             another model answered
    └── HubResting             it failed several times and is left alone for a while
"""

from __future__ import annotations

from models.errors import ModelsError


class HubError(Exception):
    """Base of every error here. `str(error)` is one sentence that says what happened and what to do next."""

    code = "hub_error"


class RedactionError(HubError):
    """What was hidden, and what came back, do not fit together."""

    code = "redaction_error"


class TextTooLong(RedactionError):
    """The text is too long to be checked for what must be hidden. Send less of it."""

    code = "text_too_long"


class NamesNotSought(RedactionError):
    """Names were not looked for in a text that is to be sent. Ask again; it stays here."""

    code = "names_not_sought"


class PlaceholderInvented(RedactionError):
    """The answer names a placeholder that hides nothing. Ask again, or keep the request on this device."""

    code = "placeholder_invented"


class HubBookError(HubError):
    """A file of the hubs could not be read or written; the message names it and the cure."""

    code = "hub_book_error"


class UnknownHub(HubError):
    """No hub of that name. Run `covey hub list` to see them."""

    code = "unknown_hub"


class BadHub(HubError):
    """A hub was described wrongly; the message says what to put instead."""

    code = "bad_hub"


class KeyUnusable(HubError):
    """The key of a hub could not be read or kept. Give it again with `covey hub add`."""

    code = "key_unusable"


class HubUnusable(HubError, ModelsError):
    """This request gets no answer from that hub.

    Also a ModelsError: a hub behind the specialists' interface fails as a local one does.
    """

    code = "hub_unusable"
    retryable = False
    """Whether the same request may well succeed a moment later."""


class KeptHere(HubUnusable):
    """Nothing was sent."""

    code = "kept_here"


class Blocked(KeptHere):
    """It holds a key, a password or program code. Take that out, or ask on this device."""

    code = "blocked"


class MeaningLost(KeptHere):
    """The answer depends on something that would be hidden."""

    code = "meaning_lost"


class NoConsent(KeptHere):
    """The owner said no, or could not be asked. `covey hub allow` makes a rule."""

    code = "no_consent"


class OverBudget(KeptHere):
    """It could cost more than the budget leaves. `covey budget` shows and changes it."""

    code = "over_budget"


class NoPrice(KeptHere):
    """Nobody knows what this model costs, so it is not used. Give its price with `covey hub add`."""

    code = "no_price"


class HubUnreachable(HubUnusable):
    """Nobody answers there. Check the address and the network."""

    code = "hub_unreachable"
    retryable = True


class HubUntrusted(HubUnusable):
    """Its certificate is not valid for it, so nothing was sent."""

    code = "hub_untrusted"


class HubMoved(HubUnusable):
    """It sends the request elsewhere, and that is not followed. Add the hub under its new address."""

    code = "hub_moved"


class HubBusy(HubUnusable):
    """It has no room now."""

    code = "hub_busy"
    retryable = True

    def __init__(self, message: str, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s
        """Seconds after which it wants to be asked again; None where it does not say."""


class KeyRefused(HubUnusable):
    """It does not take the key: wrong, revoked, or not for this model."""

    code = "key_refused"


class HubFailed(HubUnusable):
    """It failed."""

    code = "hub_failed"
    retryable = True


class HubSilent(HubUnusable):
    """It stopped speaking."""

    code = "hub_silent"


class HubCut(HubUnusable):
    """Its answer ended in the middle, so it was not taken."""

    code = "hub_cut"


class HubEndless(HubUnusable):
    """Its answer does not end; it was cut off."""

    code = "hub_endless"


class HubNonsense(HubUnusable):
    """What it says is no answer as the OpenAI chat API has it."""

    code = "hub_nonsense"


class WrongModel(HubUnusable):
    """Another model answered than the one asked for, so its answer was not taken."""

    code = "wrong_model"


class HubResting(HubUnusable):
    """It failed several times in a row and is left alone for a while."""

    code = "hub_resting"
