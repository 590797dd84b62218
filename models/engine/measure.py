"""The process that makes or measures one file of weights: `python -m models.engine.measure`.

Reads one message, answers with one (models/engine/README.md) and ends. It may abort: llama.cpp does on
some files. It ends by itself when its input closes, so it can't outlive the one who asked.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from typing import Any, BinaryIO

import numpy as np

from models import sample
from models.engine import framing
from models.engine.library import ContextSettings, Library, Row, quantize
from models.errors import BackendError, ModelsError

WINDOW_TOKENS = 512
"""The sample is read in windows of this length, each from an empty state."""
UNCOUNTED_TOKENS = 64
"""At the start of a window a model guesses; these tokens are read and not counted."""
OUTPUT_ROWS = 64
"""Rows of logits at a time: 40 MB for a vocabulary of 150,000."""
PROMPT_TOKENS = 512
DECODE_TOKENS = 24
WIDTH = 8
"""Answers at once, for what they write together."""
REPEATS = 3
"""The fastest of so many counts: what other programs take away is not the model's doing."""
REPEATS_S = 15.0
"""Seconds after which no further repeat begins: a slow model needs no three to tell settings apart."""

Frame = dict[str, Any]


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the one who asked to handle
    requests = sys.stdin.buffer
    replies = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # the library may print; the pipe is ours alone
    message = framing.read(requests)
    if message is None:
        return
    threading.Thread(target=_end_with, args=(requests,), daemon=True).start()
    try:
        reply = _answer(message)
    except ModelsError as error:
        reply = {"op": "failed", "code": error.code, "message": str(error)}
    except MemoryError:
        reply = {"op": "failed", "code": BackendError.code, "message": "There is not enough memory for this."}
    with contextlib.suppress(BrokenPipeError):
        replies.write(framing.encode(reply))
        replies.flush()


def _end_with(pipe: BinaryIO) -> None:
    pipe.read(1)
    os._exit(1)  # a step of the library can't be interrupted otherwise


def _answer(message: Frame) -> Frame:
    if message["op"] == "quantize":
        quantize(message["source"], message["target"], message["layout"], message["threads"])
        return {"op": "quantized"}
    return _measure(message)


def _measure(message: Frame) -> Frame:
    settings: list[tuple[int, int]] = message["settings"]
    most_rows = max(rows for _, rows in settings)
    library = Library(
        message["path"],
        ContextSettings(
            kv_tokens=PROMPT_TOKENS + DECODE_TOKENS * WIDTH,
            sequences=WIDTH,
            threads=max(threads for threads, _ in settings),
            batch_rows=most_rows,
            outputs=OUTPUT_ROWS,
        ),
    )
    tokens = library.vocabulary.tokens(sample.text(), control=False)[: message["sample_tokens"]]
    perplexity = _perplexity(library, tokens) if message["perplexity"] else None
    speeds = []
    for threads, rows in settings:
        library.use_threads(threads)
        speeds.append((threads, rows, *_speed(library, tokens, rows)))
    library.close()
    return {"op": "measured", "perplexity": perplexity, "speeds": speeds}


def _perplexity(library: Library, tokens: list[int]) -> float:
    """Return e to the mean surprise, in nats, at the sample's tokens."""
    surprise, counted = 0.0, 0
    first = [] if library.vocabulary.bos is None else [library.vocabulary.bos]
    length = WINDOW_TOKENS - len(first)
    for start in range(0, len(tokens), length):
        window = [*first, *tokens[start : start + length]]
        for begin in range(0, len(window), OUTPUT_ROWS):
            chunk = window[begin : begin + OUTPUT_ROWS]
            logits = library.decode([Row(token, begin + i, 0, True) for i, token in enumerate(chunk)])
            for place, row in enumerate(logits, begin + 1):  # the row at a token says what comes after it
                if UNCOUNTED_TOKENS <= place < len(window):
                    surprise += _surprise(row.astype(np.float64), window[place])
                    counted += 1
        library.cut(0, 0)
    if not counted or not np.isfinite(surprise):
        raise BackendError("The model gives no sensible figures for this text; choose another layout.")
    return float(np.exp(surprise / counted))


def _surprise(row: np.ndarray[Any, np.dtype[np.float64]], token: int) -> float:
    peak = row.max()
    return float(np.log(np.exp(row - peak).sum()) + peak - row[token])


def _speed(library: Library, tokens: list[int], rows: int) -> tuple[float, float, float]:
    """Return (prompt tokens, tokens of one answer, tokens of eight answers together) a second."""
    prompt = tokens[:PROMPT_TOKENS]
    best = [float("inf")] * 3
    started = time.perf_counter()
    for _ in range(REPEATS):
        took = (_read(library, prompt, rows), _write(library, tokens, 1), _write(library, tokens, WIDTH))
        best = [min(pair) for pair in zip(best, took, strict=True)]
        if time.perf_counter() - started > REPEATS_S:
            break
    _forget(library)
    return len(prompt) / best[0], DECODE_TOKENS / best[1], DECODE_TOKENS * WIDTH / best[2]


def _read(library: Library, prompt: list[int], rows: int) -> float:
    """Return the seconds that the prompt takes from an empty state."""
    _forget(library)
    began = time.perf_counter()
    for start in range(0, len(prompt), rows):
        chunk = prompt[start : start + rows]
        last = len(prompt) - 1 - start
        library.decode([Row(token, start + i, 0, i == last) for i, token in enumerate(chunk)])
    return time.perf_counter() - began


def _write(library: Library, tokens: list[int], width: int) -> float:
    """Return the seconds that some tokens of so many answers at once take, each after the prompt that was read."""
    length = min(len(tokens), PROMPT_TOKENS)
    library.cut(0, length)
    for sequence in range(1, width):
        library.copy(0, sequence, length)
    began = time.perf_counter()
    for i in range(DECODE_TOKENS):
        library.decode([Row(tokens[PROMPT_TOKENS + i], length + i, sequence, True) for sequence in range(width)])
    return time.perf_counter() - began


def _forget(library: Library) -> None:
    for sequence in range(WIDTH):
        library.cut(sequence, 0)


if __name__ == "__main__":
    main()
