"""Tells whether a text holds program code, which is never sent: not even with names replaced."""

from __future__ import annotations

import re

_FENCE = re.compile(r"^ {0,3}(?:```|~~~)", re.M)
_STRONG = tuple(
    re.compile(pattern, re.M)
    for pattern in (
        r"^[ \t]*(?:async\s+)?def\s+\w+\s*\(.*\)\s*(?:->.*)?:",
        r"^[ \t]*class\s+\w+\s*(?:\(.*\))?\s*[:{]\s*$",
        r"^[ \t]*(?:from\s+[\w.]+\s+import\s+[\w*, (]+|import\s+[\w.]+(?:\s+as\s+\w+)?\s*;?)$",
        r"^[ \t]*#\s*include\s*[<\"]",
        r"^[ \t]*(?:export\s+|async\s+|public\s+|private\s+|static\s+)*(?:function\s*\w*|fn\s+\w+"
        r"|func\s+\w+)\s*\([^)]*\).*\{",
        r"^[ \t]*(?:public|private|protected|static|final)\s+(?:\w+(?:<[^>]*>)?\s+)+\w+\s*[(=;{]",
        r"^[ \t]*(?:const|let|var|val)\s+[\w{}\[\], :<>]+\s*=\s*\S",
        r"^[ \t]*(?:int|void|char|float|double|bool|auto|string|long|unsigned)\s*\*?\s+\w+\s*(?:\(|=|;|\[)",
        r"\b(?:SELECT\s+.+\s+FROM\s+\w+|INSERT\s+INTO\s+\w+|UPDATE\s+\w+\s+SET\s+\w+\s*=|CREATE\s+TABLE\s+\w+"
        r"|DELETE\s+FROM\s+\w+)",
        r"(?i)\bselect\s+[\w*,.\s]+\s+from\s+\w+(?:\s+(?:where|join|group by|order by)\b.*[=<>]|\s*;)",
        r"^[ \t]*#!\s*/",
        r"^[ \t]*(?:\$|>>>)\s+\w+",
        r"^[ \t]*<(?:\?php|!DOCTYPE|html|script|div|svg|style)\b",
        r"=>\s*[{(\w]|\)\s*=>|\blambda\s+\w+\s*:",
        r"^[ \t]*(?:if|while|for|switch)\s*\(.*\)\s*\{",
        r"^[ \t]*(?:sudo\s+\w+|apt(?:-get)?\s+install|pip\s+install|git\s+(?:clone|commit|push|pull)|docker\s+run"
        r"|curl\s+-)",
        r"\b\w+(?:\.\w+)*\([^()]*\)\s*;\s*$",
        r"\b(?:console\.log|System\.out\.print\w*|println!|fmt\.Print\w*|printf|std::\w+)\b",
        r"^[ \t]*(?:return|raise|throw)\b[^.?!]*[\[({=+*/;_].*$",
        r"^[ \t]+return\s.*\w\(.*\)\s*$",
        r"^[ \t]*FROM\s+[\w./-]+:[\w.-]+\s*$",
        r"^[ \t]*(?:print|len|range|open|input)\([^()]*\)\s*$",
    )
)
_WEAK = tuple(
    re.compile(pattern, re.M)
    for pattern in (
        r"[;{}]\s*$",
        r"^[ \t]*(?:if|elif|else|for|while|try|except|with|finally)\b.*:\s*$",
        r"^[ \t]*[\w.\[\]\"']+\s*(?:[-+*/|&]?=)\s*[\w\"'\[({-].*$",
        r"^[ \t]*(?:return|break|continue|pass|end|fi|done|esac)\s*;?\s*$",
        r"^[ \t]*(?://|/\*|--\s)",
        r"^[ \t]*[\w.]+\([^()]*\)\s*$",
        r"^[ \t]*</?\w+[^>]*>\s*$",
        r"==|!=|&&|\|\||::|->|\+\+|\w\[\w+\]",
    )
)
LINE_CHARS = 300
"""Of a line that is looked at: patterns take time with the square of it, and code is told by how a line begins."""
WEAK_LINES = 2
"""Lines that look like code in one way each; one alone may be an equation, a list or a label with its value."""


def holds_code(text: str) -> bool:
    """Return whether there is code in the text, in a fence or not.

    >>> holds_code("def area(r):\\n    return 3.14 * r * r"), holds_code("Return the books; then call Ann.")
    (True, False)
    """
    lines = [line[:LINE_CHARS] for line in text.splitlines() if line.strip()]
    if any(pattern.search(line) for line in lines for pattern in (_FENCE, *_STRONG)):
        return True
    return sum(any(pattern.search(line) for pattern in _WEAK) for line in lines) >= WEAK_LINES
