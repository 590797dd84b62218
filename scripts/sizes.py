"""Prints how large the code is: lines for each folder, and the files that ask for a second look."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path

LONG_LINES = 400
"""Near this, look for the second idea inside."""


def main() -> int:
    listed = subprocess.run(["git", "ls-files", "*.py"], capture_output=True, text=True, check=True).stdout
    lines = {name: len(Path(name).read_bytes().splitlines()) for name in listed.splitlines() if Path(name).exists()}
    folders: Counter[str] = Counter()
    files: Counter[str] = Counter()
    for name, count in lines.items():
        folders[name.partition("/")[0]] += count
        files[name.partition("/")[0]] += 1
    for folder, count in sorted(folders.items()):
        print(f"{folder:<8} {count:>6} lines in {files[folder]:>3} files")
    for name, count in sorted(lines.items(), key=lambda item: -item[1]):
        if count > LONG_LINES:
            print(f"long: {name} has {count} lines")
    return 0


if __name__ == "__main__":
    sys.exit(main())
