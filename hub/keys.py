"""Finds keys, tokens and passwords: by the forms of services, by the word before them, by their randomness."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator

from hub.spans import Kind, Span

_FORMS = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY(?: BLOCK)?-----(?:.*?-----END [A-Z ]*PRIVATE KEY(?: BLOCK)?-----|.*)"  # PEM, PGP
    r"|\b(?:AKIA|ASIA|AGPA|AIDA|AROA)[0-9A-Z]{16}\b"  # AWS
    r"|\bgh[pousr]_[A-Za-z0-9]{30,}|\bgithub_pat_\w{22,}|\bglpat-[\w-]{20,}"  # GitHub, GitLab
    r"|\bxox[abeoprs]-[\w-]{10,}|\bxapp-[\w-]{10,}|hooks\.slack\.com/services/[\w/]+"  # Slack
    r"|\b(?:sk|pk|rk)[-_](?:live|test|proj|ant|or|svcacct)[-_][\w-]{16,}"
    r"|\bsk-[A-Za-z0-9]{20,}"  # Stripe and model hosts
    r"|\bAIza[\w-]{35}|\bya29\.[\w-]{20,}|\bGOCSPX-[\w-]{20,}"  # Google
    r"|\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*"  # JWT
    r"|\bnpm_[A-Za-z0-9]{30,}|\bpypi-[\w-]{20,}|\bhf_[A-Za-z0-9]{20,}|\bdop_v1_[a-f0-9]{40,}"
    r"|\bSG\.[\w-]{16,}\.[\w-]{16,}"
    r"|\bshp(?:at|ca|pa|ss)_[a-fA-F0-9]{32}|\bsq0[a-z]{3}-[\w-]{22,}|\bkey-[a-f0-9]{32}\b|\bAC[a-f0-9]{32}\b"
    r"|\b\d{8,10}:[A-Za-z0-9_-]{35}\b"  # Telegram
    r"|\bAGE-SECRET-KEY-1[A-Z0-9]{40,}|\b[5KL][1-9A-HJ-NP-Za-km-z]{50,51}\b"
    r"|\bxprv[1-9A-HJ-NP-Za-km-z]{50,}"  # age, coins
    r"|\b[a-z][a-z0-9+.-]{0,15}://[^\s/:@]+:[^\s/@]+@[^\s]+"  # user:password@host
    r"|\b(?:Bearer|Basic) [A-Za-z0-9._~+/-]{16,}=*",
    re.DOTALL,
)
_NAMED = re.compile(
    r"\b(?:pass ?word|passwort|passwd|pwd|pass ?phrase|pass ?code|pass|secret|client[ _-]secret|(?:api|access"
    r"|private|secret|"
    r"encryption|account|license|wifi|wi-fi)[ _-]?key|(?:access|auth|refresh|api|bearer|session"
    r"|security)[ _-]?token|token"
    r"|pin|puk|otp|cvv|cvc|one[- ]time code|verification code|security code|door code|alarm code)\b"
    r"(?: (?:for|of|to|on|at) (?:the |my |our )?[\w.-]+(?: [\w.-]+)?)?"
    r"(?P<joint>\s*(?:is|was|lautet|ist)\s*[:=]?\s*|\s*[:=]+\s*|\s+)[\"'`]?(?P<value>[^\s\"'`,;]{3,200})",
    re.I,
)
_SEED_CUE = re.compile(r"\b(?:seed|recovery|mnemonic|backup)[ -](?:phrase|words?|key)\b|\bmnemonic\b", re.I)
_SEED = re.compile(r"\b(?:[a-z]{3,8}[ ,\n]+){11,23}[a-z]{3,8}\b")
_RUN = re.compile(r"(?<![\w+/=.-])[A-Za-z0-9+/=_-]{20,}(?![\w+/=-])")
_HEX = re.compile(r"[0-9a-f]+|[0-9A-F]+")
_UUID = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}", re.I)
LEAST_BITS, LEAST_HEX_BITS = 3.6, 3.0
"""Entropy a sign, of base64 and of hexadecimal digits. English of that length has below 3.5 and hardly any digits."""
HEX_CHARS = 32
"""Shorter hexadecimal numbers are commit ids and colours."""


def keys(text: str) -> Iterator[Span]:
    """Yield every key, token or password."""
    yield from (Span(Kind.SECRET, *found.span()) for found in _FORMS.finditer(text))
    for found in _NAMED.finditer(text):
        if _is_value(found["value"], found["joint"]):
            yield Span(Kind.SECRET, *found.span("value"))
    for cue in _SEED_CUE.finditer(text):
        words = _SEED.search(text, cue.end(), cue.end() + 300)
        if words:
            yield Span(Kind.SECRET, *words.span())
    for found in _RUN.finditer(text):
        if is_random(found[0]):
            yield Span(Kind.SECRET, *found.span())


def _is_value(value: str, joint: str) -> bool:
    """Whether what follows `password` is one: `hunter2`, `1234`, `Correct-Horse`; not `reset`, `please` or `is`."""
    bare = value.strip(".!?()[]{}<>")
    digits = sum(map(str.isdigit, bare))
    mixed = digits > 0 or not bare.isalpha() or (not bare.islower() and not bare.istitle() and not bare.isupper())
    if ":" in joint or "=" in joint:
        return len(bare) >= 3 and (mixed or len(bare) >= 6)
    if not joint.strip():
        return (digits > 0 and digits < len(bare) >= 6) or (digits == len(bare) and 4 <= digits <= 8)
    return len(bare) >= 3 and (digits > 0 or re.search(r"[!@#$%^&*_+=~]", bare) is not None)


def is_random(run: str) -> bool:
    """Whether a run of signs looks drawn by a machine.

    >>> is_random("mF9vR2xKqL8sT4wZ7bN1cY6p"), is_random("pneumonoultramicroscopicsilico")
    (True, False)
    """
    if _UUID.fullmatch(run):
        return False
    bits = entropy(run)
    if _HEX.fullmatch(run):
        return len(run) >= HEX_CHARS and bits >= LEAST_HEX_BITS and not run.isdigit()
    kinds = [any(map(test, run)) for test in (str.isdigit, str.islower, str.isupper)]
    words = re.findall(r"[A-Za-z]{5,}", run)
    spelled = sum(map(len, words)) > 0.7 * len(run) and "-" in run + "_"
    return all(kinds) and bits >= LEAST_BITS and sum(map(str.isdigit, run)) >= 2 and not spelled


def entropy(text: str) -> float:
    """Return the bits a sign."""
    counts = Counter(text).values()
    return -sum(count / len(text) * math.log2(count / len(text)) for count in counts)
