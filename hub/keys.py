"""Finds keys, tokens and passwords: by the forms of services, by the name before them, by their randomness."""

from __future__ import annotations

import itertools
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
    r"|(?<![A-Za-z0-9])eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*"  # JWT
    r"|\bnpm_[A-Za-z0-9]{30,}|\bpypi-[\w-]{20,}|\bhf_[A-Za-z0-9]{20,}|\bdop_v1_[a-f0-9]{40,}"
    r"|\bSG\.[\w-]{16,}\.[\w-]{16,}"
    r"|\bshp(?:at|ca|pa|ss)_[a-fA-F0-9]{32}|\bsq0[a-z]{3}-[\w-]{22,}|\bkey-[a-f0-9]{32}\b|\bAC[a-f0-9]{32}\b"
    r"|\b\d{8,10}:[A-Za-z0-9_-]{35}\b"  # Telegram
    r"|\bAGE-SECRET-KEY-1[A-Z0-9]{40,}|\b[5KL][1-9A-HJ-NP-Za-km-z]{50,51}\b"
    r"|\bxprv[1-9A-HJ-NP-Za-km-z]{50,}"  # age, coins
    r"|\b[a-z][a-z0-9+.-]{0,15}://[^\s/:@]*:[^\s/@]+@[^\s]+"  # user:password@host, :password@host
    r"|\b(?:Bearer|Basic) [A-Za-z0-9._~+/-]{16,}=*"
    r"|\bAuthorization[\"']?\s{0,3}[:=]\s{0,3}[\"']?"
    r"(?i:bearer|basic|digest|token|apikey|negotiate)\s{1,3}[^\s\"']{3,}"
    r"|\bmachine\s{1,3}\S{1,200}\s{1,3}login\s{1,3}\S{1,200}\s{1,3}password\s{1,3}\S+"  # .netrc
    r"|\bPuTTY-User-Key-File-\d|\bPrivate-Lines: ?\d"
    r"|(?<![\w-])(?:-u|--user)[ =]?[^\s:]{1,200}:\S+"
    r"|\bsshpass\s{1,3}-p\s{0,3}\S+|\b(?:mysql\w*|mariadb) (?:[^\n]{0,200} )?-p[^\s-]\S*"
    r"|(?<![\w-])--?(?:password|passwd|passphrase|pass|token|secret|(?:api|access|secret)-key)[ =]"
    r"[\"']?[^\s\"'-][^\s\"']*",
    re.DOTALL,
)
_NAMED = re.compile(
    r"\b(?:pass ?word|passwort|kennwort|wachtwoord|contrase[nñ]a|mot de passe|passwd|pwd|pw"
    r"|pass ?phrase|pass ?code|pass|secret|client[ _-]secret|(?:api|access"
    r"|private|secret|"
    r"encryption|account|license|wifi|wi-fi)[ _-]?key|(?:access|auth|refresh|api|bearer|session"
    r"|security)[ _-]?token|token"
    r"|pin|puk|otp|cvv|cvc|one[- ]time code|verification code|security code|door code|alarm code)\b"
    r"(?: (?:for|of|to|on|at) (?:the |my |our )?[\w.-]+(?: [\w.-]+)?)?"
    r"(?P<joint>\s*(?:is|was|lautet|ist)\s*[:=]?\s*|\s*[:=]+\s*|\s+[-–—]\s+|\s+)(?P<quote>[\"'`]?)(?P<value>[^\s\"'`,;]{3,200})",
    re.I,
)
_SPOKEN = re.compile(
    r"\b(?:my|our|your|his|her|their|the|das|mein|unser)\b(?: [\w-]{1,30}){0,3} "
    r"(?:password|passwort|kennwort|passphrase|passcode)(?: (?:for|of|to|on|at) [\w .'-]{1,40}?)? "
    r"(?:is|was|lautet|ist)[: ] ?(?P<value>[A-Za-z]{4,40}(?: [a-z]{3,12}){0,3})"
    r"(?=[.!?,;)\n]|$| (?:and|but|so|please|if|und)\b)",
    re.I,
)
"""A password said in a sentence, made of letters only."""
_STATES = frozenset(
    "wrong right correct incorrect invalid valid weak strong long short safe secure insecure unsafe lost known unknown "
    "public secret private gone missing there here empty good fine okay easy hard different same again blank broken "
    "stolen written hidden shown forgotten mine yours this that what none null falsch richtig abgelaufen sicher "
    "unsicher".split()
)
"""With words that end as in `expired`: what a sentence says of a password."""
_PARTICLES = frozenset(
    "case too not the very still about from only always never also just really out under your something being required "
    "this that what nicht".split()
)
"""The first of several words that say something of it."""
_JOINT = re.compile(
    r"(?P<joint>[\"'`]?[ \t]{0,4}(?::=|=>|=|:)[ \t]{0,4})"
    r"(?=(?P<quote>[\"'`]?)(?P<value>[^\s\"'`,;&<>=][^\s\"'`,;&<>]{0,199}))"
)
"""Between a name and its value, in environment files, JSON, YAML, connection strings and queries. It takes no letter of
the value: `a=b:token=c` holds two of them."""
_SECRET_NAME = re.compile(
    r"pass(?:word|wd|wort|phrase|code)|(?:^|[_.-])(?:pass|pwd?|psw|auth|otp|puk)(?=$|[_.-])|(?:^|[_.-])passe$"
    r"|secret(?!ar)|token(?!s|i[sz])|credential|kennwort|wachtwoord|contrase[nñ]a"
    r"|(?:api|access|private|secret|account|shared|signing|encryption|master|license|deploy|auth|session)[_.-]?key",
    re.I,
)
_NO_VALUE = frozenset("none null nil true false required optional string str redacted hidden".split())
NAME_CHARS = 80
"""Of a name before a joint."""
_KEY40 = re.compile(r"(?<![A-Za-z0-9/+=])[A-Za-z0-9/+]{40}(?![A-Za-z0-9/+=])")
"""What a cloud's secret key looks like: it may hold hardly any digit, but its letters change all the time."""
LEAST_CHANGES = 12
"""Between capitals, small letters and digits in such a key; a path of that length has about six."""
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
        if _is_value(found["value"], found["joint"], found["quote"]):
            yield Span(Kind.SECRET, *found.span("value"))
    for found in _SPOKEN.finditer(text):
        if _is_said(found["value"].casefold().split()):
            yield Span(Kind.SECRET, *found.span("value"))
    yield from _assigned(text)
    for cue in _SEED_CUE.finditer(text):
        words = _SEED.search(text, cue.end(), cue.end() + 300)
        if words:
            yield Span(Kind.SECRET, *words.span())
    for found in _RUN.finditer(text):
        if is_random(found[0]):
            yield Span(Kind.SECRET, *found.span())
    for found in _KEY40.finditer(text):
        if _changes(found[0]) >= LEAST_CHANGES and re.search(r"\d", found[0]):
            yield Span(Kind.SECRET, *found.span())


def _assigned(text: str) -> Iterator[Span]:
    """Yield the values of names such as `DB_PASSWORD` or `"client_secret"`."""
    for found in _JOINT.finditer(text):
        start = found.start()
        while start > max(0, found.start() - NAME_CHARS) and (text[start - 1].isalnum() or text[start - 1] in "_.-"):
            start -= 1
        name = text[start : found.start()]
        if not _SECRET_NAME.search(name):
            continue
        begin, end = found.span("value")
        last = not text[end : end + 2].strip(" \t\r\"'`,;}")
        if _is_assigned(name, found["joint"], found["quote"], found["value"], last=last):
            yield Span(Kind.SECRET, begin, end)


def _is_assigned(name: str, joint: str, quote: str, value: str, *, last: bool) -> bool:
    """Whether it is a setting and no sentence: `API_TOKEN: how do I get one?` is a sentence."""
    bare = value.strip(".!?()[]{}*")
    if not any(map(str.isalnum, bare)) or bare.startswith("$") or bare.casefold() in _NO_VALUE:
        return False
    identifier = re.search(r"[_.-]\w|[a-z][A-Z]", name) is not None or (name.isupper() and len(name) > 3)
    setting = identifier or joint[0] in "\"'`"
    if joint == "=" or (quote and (setting or "=" in joint or name[:4].casefold() == "pass")):
        return True
    return setting and (last or not bare.isalpha())


def _changes(run: str) -> int:
    kinds = [(sign.isupper(), sign.isdigit()) for sign in run if sign.isalnum()]
    return sum(one != other for one, other in itertools.pairwise(kinds))


def _is_value(value: str, joint: str, quote: str) -> bool:
    """Whether what follows `password` is one: `hunter2`, `1234`, `Correct-Horse`; not `reset`, `please` or `is`."""
    bare = value.strip(".!?()[]{}<>")
    digits = sum(map(str.isdigit, bare))
    mixed = digits > 0 or not bare.isalpha() or (not bare.islower() and not bare.istitle() and not bare.isupper())
    if quote and joint.strip():
        return len(bare) >= 3
    if ":" in joint or "=" in joint:
        return len(bare) >= 3 and (mixed or len(bare) >= 6)
    if not joint.strip():
        return (digits > 0 and digits < len(bare) >= 6) or (digits == len(bare) and 4 <= digits <= 8)
    return len(bare) >= 3 and (digits > 0 or re.search(r"[!@#$%^&*_+=~]", bare) is not None)


def _is_said(words: list[str]) -> bool:
    """Whether these words are a password, and do not tell how one is."""
    if len(words) > 1:
        return words[0] not in _PARTICLES
    return words[0] not in _STATES and not words[0].endswith(("ed", "ing", "able", "ible", "ly"))


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
