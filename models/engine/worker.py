"""The worker process of one loaded language model: `python -m models.engine.worker`.

Reads messages from standard input and answers on standard output (models/engine/README.md lists
them). It ends when its input ends, so it can't outlive its node. llama.cpp may abort: then this
process is gone, and the node says so and starts another.
"""

from __future__ import annotations

import contextlib
import gc
import logging
import math
import os
import queue
import signal
import sys
import threading
import time
from dataclasses import astuple
from pathlib import Path
from typing import Any, BinaryIO

import llama_cpp

from models.backend import Constraint, Sampling
from models.conversations import ConversationFiles
from models.engine import framing
from models.engine.answering import Answer, Scoring
from models.engine.batch import Batch, BatchSettings
from models.engine.compiling import Compiling
from models.engine.constrain import Constrainer, Matcher
from models.engine.counting import PIECE_CHARS, Counting
from models.engine.library import ContextSettings, Library
from models.engine.lookup import MOST_PROPOSED, Lookup
from models.engine.prefixes import FEWEST_TOKENS, PrefixFiles
from models.engine.prompts import Prompts
from models.engine.seats import Job
from models.engine.text import TextStream
from models.engine.unforeseen import place, unforeseen
from models.errors import InputError, ModelsError, OtherWeights, OutOfMemory
from models.types import Usage

logger = logging.getLogger(__name__)

Frame = dict[str, Any]
Inbox = queue.SimpleQueue[Frame | None]
"""Messages that came, None once no more can."""

BETWEEN_STEPS_S = 0.02
"""Seconds for which messages are read and texts counted between two steps, or as long as the last step took; what is
left waits for the next time."""
_WORK = frozenset({"generate", "score", "count", "compiled"})
STATE_VERSION = 3
"""Of what is kept of a state: files of an earlier one are not read."""


class Worker:
    """Serves one model over a pair of pipes."""

    def __init__(self, inbox: Inbox, replies: BinaryIO, load: Frame, cancelled: set[int]) -> None:
        """`cancelled` holds the requests whose cancelling has been read and not handled yet."""
        self._inbox = inbox
        self._replies = replies
        self._cancelled = cancelled
        rows = int(load["rows"])
        slots, scratch = int(load["slots"]), int(load["scratch"])
        self._scratch = scratch
        self._library = Library(
            str(load["path"]),
            ContextSettings(
                kv_tokens=int(load["kv_tokens"]),
                sequences=slots + scratch,
                threads=int(load["threads"]),
                batch_rows=rows,
                outputs=MOST_PROPOSED,
                shelf_tokens=int(load["shelf_tokens"]),
                reproducible=bool(load["reproducible"]),
            ),
        )
        self._vocabulary = self._library.vocabulary
        limit = min(int(load["context_tokens"]), int(load["kv_tokens"]))
        self._prompts = Prompts(self._vocabulary, self._library.chat_template, limit=limit)
        self._prefixes = self._open_prefixes(load)
        self._batch = Batch(
            self._library,
            BatchSettings(
                context_tokens=int(load["context_tokens"]),
                kv_tokens=int(load["kv_tokens"]),
                slots=slots,
                scratch=scratch,
                rows=rows,
                shelf_tokens=int(load["shelf_tokens"]),
                show_s=float(load["show_s"]),
                shares_prefixes=self._library.shares_prefixes,
            ),
            progressed=self._progressed,
            done=self._done,
            failed=self._failed,
            prefixes=self._prefixes,
            conversations=self._open_conversations(load),
            cancelled=cancelled.__contains__,
        )
        self._counting = Counting(self._prompts.count)
        self._step_s = 0.0
        self._constrainer: Constrainer | None = None
        self._compiling = Compiling(self._matcher, self._compiled)
        _write(replies, {"op": "loaded", "trained_context": self._library.trained_context})

    def _open_prefixes(self, load: Frame) -> PrefixFiles | None:
        if not load["prefix_folder"] or not self._library.shares_prefixes:
            return None
        return PrefixFiles(Path(load["prefix_folder"]), _scope(load))

    def _open_conversations(self, load: Frame) -> ConversationFiles | None:
        return ConversationFiles(_scope(load)) if self._library.shares_prefixes else None

    def serve(self) -> None:
        """Answer messages until the input ends."""
        while self._turn():
            pass

    def _turn(self) -> bool:
        """Read messages, count texts and compute a step, each for a while. False once the input has ended."""
        until = time.monotonic() + max(BETWEEN_STEPS_S, self._step_s)
        if not self._receive(until if self._batch.busy else math.inf):
            return False
        for number in tuple(self._cancelled):  # their messages may wait behind others
            self._batch.cancel(number)
        self._count_on(until)
        began = time.monotonic()
        if self._batch.busy:
            self._batch.step()
        self._step_s = time.monotonic() - began
        self._replies.flush()  # what a step gave goes out at once: each time wakes the node
        return True

    def _receive(self, until: float) -> bool:
        """Handle what has come; wait for it where nothing else is to be done. False once the input has ended."""
        inbox = self._inbox
        while not self._busy or (not inbox.empty() and time.monotonic() < until):
            if inbox.empty():
                self._batch.keep_conversations()
            message = inbox.get()
            if message is None:
                self._batch.keep_conversations()
                self._compiling.close()  # it looks at the vocabulary
                self._library.close()
                return False
            self._handle(message)
            self._replies.flush()
        return True

    def _count_on(self, until: float) -> None:
        """Count what is still to be counted, one piece at least."""
        while self._counting.busy:
            number = self._counting.current
            try:
                tokens = self._counting.go_on()
            except Exception as error:  # as in any other message
                self._counting.cancel(number)
                self._refuse(number, unforeseen(error))
                continue
            if tokens is not None:
                self._send({"op": "count", "id": number, "tokens": tokens})
            if time.monotonic() >= until:
                return

    @property
    def _busy(self) -> bool:
        return self._batch.busy or self._counting.busy

    def _handle(self, message: Frame) -> None:
        number = int(message.get("id", 0))
        if number in self._cancelled and message["op"] in _WORK:
            return  # its cancelling is still to be handled
        try:
            match message["op"]:
                case "generate":
                    self._generate(number, message)
                case "compiled" if (answer := self._compiling.take(number)) is not None:
                    self._batch.submit(answer)
                case "compiled":
                    pass  # nobody wants it any more
                case "score":
                    self._score(number, message)
                case "count" if len(message["text"]) > PIECE_CHARS:
                    self._counting.begin(number, str(message["text"]))
                case "count":
                    self._send({"op": "count", "id": number, "tokens": self._prompts.count(str(message["text"]))})
                case "cancel":
                    self._batch.cancel(number)
                    self._counting.cancel(number)
                    self._compiling.cancel(number)
                    self._cancelled.discard(number)
                    self._send({"op": "cancelled", "id": number})
                case "forget":
                    self._batch.forget(Path(message["conversation"]) if message["conversation"] else None)
                    self._send({"op": "forgotten", "id": number})
                case other:
                    raise InputError(f"A worker does not know the message {other!r}.")
        except ModelsError as error:
            self._refuse(number, error)
        except Exception as error:  # whatever one request brings about, the others go on
            self._refuse(number, unforeseen(error))

    def _generate(self, number: int, message: Frame) -> None:
        resumed = tuple(message["resume_tokens"])
        if any(not 0 <= token < self._vocabulary.size for token in resumed):  # the library would end the process
            raise OtherWeights("The answer was begun by another model than the one here, so it begins again.")
        prompt, own = self._prompts.made(message)
        answer = Answer(
            id=number,
            prompt=prompt,
            own=own,
            keep=_kept(own, self._prefixes),
            asker=str(message["asker"]),
            conversation=Path(message["conversation"]) if message["conversation"] else None,
            max_tokens=int(message["max_tokens"]),
            sampling=Sampling(*message["sampling"]),
            vocabulary=self._vocabulary,
            text=TextStream(message["stop"]),
            deadline=_deadline(message),
            measured=bool(message["signals"] or message["details"]),
            details=[] if message["details"] else None,
            alternatives=min(int(message["alternatives"]), self._vocabulary.size),
            lookup=Lookup() if message["copies"] and self._library.shares_prefixes else None,
        )
        if (constraint := message["constraint"]) is not None:
            self._compiling.begin(answer, resumed, Constraint(constraint[0], constraint[1]))
            return
        answer.begin(resumed)
        self._batch.submit(answer)

    def _score(self, number: int, message: Frame) -> None:
        prompt, own = self._prompts.made(message)
        labels = [self._vocabulary.tokens(label, control=False) for label in message["labels"]]
        scoring = Scoring(
            id=number,
            prompt=prompt,
            own=own,
            keep=_kept(own, self._prefixes),
            labels=labels,
            at_once=self._scratch,
            end=self._prompts.end,
            asker=str(message["asker"]),
            deadline=_deadline(message),
        )
        scoring.begin()
        self._batch.submit(scoring)

    def _matcher(self, constraint: Constraint) -> Matcher:
        """Compile a constraint; called in a thread of its own."""
        if self._constrainer is None:
            vocabulary = self._vocabulary
            self._constrainer = Constrainer(vocabulary.pointer, vocabulary.size, self._prompts.end)
        return self._constrainer.matcher(constraint)

    def _compiled(self, number: int) -> None:
        self._inbox.put({"op": "compiled", "id": number})

    def _progressed(self, answer: Answer) -> None:
        piece = answer.take_owed()
        if piece is not None:
            more: Frame = {"before": answer.before} if answer.before else {}
            answer.before = ""
            if answer.details is not None:
                more["details"] = [astuple(detail) for detail in answer.details_of(piece)]
            place = {"id": answer.id, "index": piece.index}
            self._send({"op": "delta", **place, "text": piece.text, "tokens": piece.token_ids, **more})

    def _done(self, job: Job, usage: Usage, probabilities: list[float]) -> None:
        figures = [
            usage.prompt_tokens,
            usage.cached_tokens,
            usage.completion_tokens,
            usage.seconds,
            usage.model_seconds,
        ]
        if isinstance(job, Scoring):
            self._send({"op": "scores", "id": job.id, "probabilities": probabilities, "usage": figures})
            return
        self._progressed(job)
        signals = astuple(job.signals.signals())[:5]
        end = {"text": job.text.text, "reason": job.ending, "tokens": job.tokens}
        self._send({"op": "finish", "id": job.id, **end, "signals": signals, "usage": figures})

    def _failed(self, job: Job, error: ModelsError) -> None:
        self._refuse(job.id, error)

    def _refuse(self, number: int, error: ModelsError) -> None:
        self._send({"op": "error", "id": number, "code": error.code, "message": str(error)})

    def _send(self, message: Frame) -> None:
        self._replies.write(framing.encode(message))


def _kept(own: int, prefixes: PrefixFiles | None) -> int:
    """Return how many tokens of a specialist's own prompt are to be kept on disk."""
    return own if prefixes is not None and own >= FEWEST_TOKENS else 0


def _scope(load: Frame) -> str:
    """Return what the bytes of a state depend on."""
    settings = [load["reproducible"], load["kv_tokens"], load["threads"]]
    scope = [STATE_VERSION, load["digest"], llama_cpp.__version__, *settings]
    return "\n".join(map(str, scope))


def _deadline(message: Frame) -> float | None:
    seconds = message.get("deadline_s")
    return None if seconds is None else time.monotonic() + float(seconds)


def _write(pipe: BinaryIO, message: Frame) -> None:
    pipe.write(framing.encode(message))
    pipe.flush()


def _read_into(inbox: Inbox, pipe: BinaryIO, loaded: threading.Event, cancelled: set[int]) -> None:
    with contextlib.suppress(framing.BrokenFrame, OSError):
        while (message := framing.read(pipe)) is not None:
            if message["op"] == "cancel":
                cancelled.add(int(message["id"]))
            inbox.put(message)
    if not loaded.is_set():
        os._exit(1)  # the node is gone, and loading can't be interrupted otherwise
    inbox.put(None)


def main(serving: type[Worker] = Worker) -> None:
    """Load the model named by the first message, then serve."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the node's to handle
    requests = sys.stdin.buffer
    replies = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # the library may print; the pipe is ours alone
    load = framing.read(requests)
    if load is None:
        return
    inbox: Inbox = queue.SimpleQueue()
    loaded = threading.Event()
    cancelled: set[int] = set()
    threading.Thread(target=_read_into, args=(inbox, requests, loaded, cancelled), daemon=True).start()
    try:
        worker = serving(inbox, replies, load, cancelled)
        loaded.set()
    except ModelsError as error:
        _write(replies, {"op": "failed", "code": error.code, "message": str(error)})
        return
    except MemoryError:
        refusal = OutOfMemory("There is not enough memory to load this model. Close other programs and try again.")
        _write(replies, {"op": "failed", "code": refusal.code, "message": str(refusal)})
        return
    gc.freeze()  # what is loaded stays: looking through it for garbage would stop every answer for a moment
    try:
        worker.serve()
    except BrokenPipeError:
        return
    except Exception as error:  # of which requests it was, and what of their state holds, nobody knows
        logger.critical("a fault in its loop, %s", place(error))
        os._exit(1)  # Python would abort: the other thread still reads, and it can't be ended


if __name__ == "__main__":
    main()
