"""Cheap clues about a request that its vector does not hold: what came with it, and its shape."""

from __future__ import annotations

import re

WHOLE_CHARS = 220
"""A request up to this length is embedded whole. Of a longer one only the sentences at both ends are: what is wanted
stands there, and a pasted text between them would drown it (and take a hundred milliseconds instead of a few)."""
END_CHARS = 150
LEAST_END_CHARS = 40
"""A first sentence such as "Read this." says too little alone, and gets the next one with it."""

LEAST_FRONT_CHARS = 12

_CODE = re.compile(
    r"```|^\s*(def|class|import|from|#include|SELECT|function|public|const|let|var)\b.*[(:;{]|=>|==|\);", re.M
)
_ARITHMETIC = re.compile(r"\d\s*(?:[-+*/^×÷%]|x|times|plus|minus|divided by)\s*\d|\d\s*%", re.I)
_QUOTED = re.compile(r"['\"‘“«][^'\"’”»\n]{1,40}['\"’”»]")
_CHOICE = re.compile(r"\w+, [\w ]{1,24},? or \w+|:\s*\w[\w ]{0,24}, \w[\w ]{0,24}, ", re.I)
_SENTENCE_END = re.compile(r"(?<=[.!?:])\s+|\n+")
_CLAUSE_END = re.compile(r"(?<=[.!?:])\s+|\n+|\s(?=['\"‘“]\w+ \w+ \w+)")
_QUESTION = re.compile(r"\?|\b(?:who|what|when|where|which|why|how)\b", re.I)
_MATERIAL = re.compile(
    r"\b(?:text|passage|paragraph|context|article|document|file|letter|e-?mail|report|contract|notes?|message|review|"
    r"sentence|invoice|manual|attached|attachment|below|following|according)\b",
    re.I,
)
_WORD = re.compile(r"[a-z]+", re.I)
_OPTIONS = re.compile(r"(?:^|\s)\(?[A-D][).]\s", re.M)


def shorten(text: str) -> str:
    """Return the part of a request that is embedded."""
    flat = " ".join(text.split())
    if len(flat) <= WHOLE_CHARS:
        return flat
    first, last = ends(text)
    return f"{first} … {last}"


def front(text: str) -> str:
    """Return what a request opens with, up to a colon, the end of a sentence or a quotation of several words.

    It says what is wanted where the rest is the text to work on, as in "Shorten this: ...".
    """
    opening = ""
    for part in _CLAUSE_END.split(text):
        opening = " ".join(f"{opening} {part}".split())
        if len(opening) >= LEAST_FRONT_CHARS:
            break
    return opening[:END_CHARS]


def ends(text: str) -> tuple[str, str]:
    """Return the sentences (or lines) that a text begins and ends with, each of bounded length."""
    parts = [" ".join(part.split()) for part in _SENTENCE_END.split(text) if part.strip()]
    first, last = "", ""
    for part in parts:
        first = f"{first} {part}".strip()
        if len(first) >= LEAST_END_CHARS:
            break
    for part in reversed(parts):
        last = f"{part} {last}".strip()
        if len(last) >= LEAST_END_CHARS:
            break
    return first[:END_CHARS], last[-END_CHARS:]


def clues(text: str, *, has_files: bool, has_functions: bool) -> list[float]:
    """Return the clues as numbers 0..1, always in this order."""
    letters = _WORD.findall(text)
    digits = sum(character.isdigit() for character in text)
    is_long = len(text) > WHOLE_CHARS
    first, last = ends(text)
    return [
        float(has_files),
        float(has_functions),
        float(bool(_CODE.search(text))),
        float(bool(_ARITHMETIC.search(text))),
        float(bool(_QUOTED.search(first) or _QUOTED.search(last))),
        float(bool(_CHOICE.search(first) or _CHOICE.search(last))),
        float(len(_OPTIONS.findall(text)) >= 3),
        float(is_long),
        float(is_long and (_is_question(last) or _is_question(first))),
        float(bool(_MATERIAL.search(text))),
        float("\n" in text.strip()),
        min(1.0, digits / max(1, len(text)) * 4),
        min(1.0, len(letters) / 40),
        min(1.0, len(letters) / 160),
        _strangeness(letters),
    ]


def words_of(text: str) -> frozenset[str]:
    """Return the words that a request begins and ends with, spelled one way; its first word also as `^word`."""
    first, last = ends(text)
    found = [_plain(word) for word in _WORD.findall(f"{first} {last}")]
    return frozenset([*found, f"^{found[0]}"] if found else [])


def _plain(word: str) -> str:
    """British and American spelling, singular and plural are one word here."""
    word = word.lower().replace("isation", "ization")
    word = f"{word[:-3]}ize" if word.endswith("ise") and len(word) > 5 else word
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word


def _is_question(sentence: str) -> bool:
    return bool(_QUESTION.search(sentence))


def _strangeness(letters: list[str]) -> float:
    """Return the share of words that hardly look like words: no vowel, or five consonants in a row."""
    long = [word.lower() for word in letters if len(word) > 2]
    odd = [word for word in long if not re.search("[aeiouy]", word) or re.search("[^aeiouy]{5}", word)]
    return len(odd) / len(long) if long else 0.0
