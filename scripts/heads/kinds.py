"""Which set a head of intents is fitted on, and how; apart from the fit, so that naming heads imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Kind:
    """One head. Its numbers were chosen by the rows of a fifth of the training file, fitted on the others."""

    name: str
    data: str
    label: str = "intent"
    none: str = ""
    """The set's label for what is out of scope: fitted on, and answered with a refusal."""
    without: str = ""
    """A label whose rows are left out."""
    each: int = 0
    """Most training rows of a label; 0 takes all."""
    named: bool = False
    """The labels' names are fitted on too, as one more example each."""
    c: float = 30.0
    """Inverse regularisation."""
    words: int = 4096
    """Places for hashed words beside the vector."""
    word_weight: float = 0.7
    summary: str = "Intent of a short request"
