"""The one place that calls llama.cpp: a loaded model, its vocabulary and one context, with plain types.

Not here: which rows to compute (batch.py) and what to choose from them (sampling.py). Everything is
blocking and must be called from one thread.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import llama_cpp.llama_cpp as llama
import numpy as np
import psutil
from numpy.typing import NDArray

from models import gguf
from models.engine import memory
from models.errors import BackendError, BadArtifact, OutOfMemory

MAX_PIECE_BYTES = 4096
"""Bytes of the longest token text that is believed; the longest in public vocabularies is 256."""
SPARE_CELLS = 8
"""Tokens of state beyond those that requests may use; llama.cpp rounds up to the next 256."""

EXACT_KEYS = 30
"""GGML_TYPE_BF16: what keys are kept as in reproducible mode, beside values as ever (F16).

Where both are the same, llama.cpp goes three ways through attention, which round differently: one for a lone row
beyond 256 tokens of state, one for 64 rows of a sequence and more, one for all else. Where they differ it has only
the last. It takes the same memory."""

_log_lines: list[str] = []
_LOG_LINES_KEPT = 40


def _keep_log(level: int, text: bytes, _data: object) -> None:
    """Keep the library's last warnings for the error message; print nothing."""
    if level >= 3:  # GGML_LOG_LEVEL_WARN and above
        _log_lines.append(text.decode("utf-8", "replace").rstrip())
        del _log_lines[:-_LOG_LINES_KEPT]


_log = llama.llama_log_callback(_keep_log)
"""Held here for as long as the library may call it."""
_NEVER = llama.ggml_abort_callback(0)
"""Nothing to ask, for steps too short to be broken off: asking takes half a millisecond of each."""


@dataclass(frozen=True, slots=True)
class ContextSettings:
    """How the context of a model is laid out."""

    kv_tokens: int
    """Tokens of state, all sequences together."""
    sequences: int
    """Sequence numbers 0..sequences-1 may be used."""
    threads: int
    batch_rows: int = 512
    """Most rows of one decode call."""
    outputs: int = 0
    """Rows of one decode call whose logits may be wanted, beyond one a sequence."""
    shelf_tokens: int = 0
    """Tokens of state that will be kept beside the context: they are counted before memory is taken."""
    reproducible: bool = False
    """Round alike whatever else is running. A piece of memory of its own for each sequence: tokens of state then
    always lie in the order of the text, which is the order they are summed in. And `EXACT_KEYS`."""


@dataclass(frozen=True, slots=True)
class Row:
    """One token to compute."""

    token: int
    position: int
    sequence: int
    wants_logits: bool


class NoRoom(BackendError):
    """The state of another token does not fit; nothing was computed."""

    code = "no_room"


class Interrupted(BackendError):
    """Nobody wanted the step any more; nothing of it is kept."""

    code = "interrupted"


class Library:
    """A model and its context. Raises BadArtifact or OutOfMemory when it can't be loaded."""

    def __init__(self, path: str, settings: ContextSettings) -> None:
        llama.llama_log_set(_log, ctypes.c_void_p(0))
        llama.llama_backend_init()
        available = psutil.virtual_memory().available
        self.settings = settings
        self._check_memory(Path(path), available)
        self._model = self._load(path, available)
        self.vocabulary = Vocabulary(self._model)
        self.trained_context = int(llama.llama_model_n_ctx_train(self._model))
        self._context = self._open(settings)
        self._memory = llama.llama_get_memory(self._context)
        self._window = int(llama.llama_model_n_swa(self._model))
        self._batch = llama.llama_batch_init(settings.batch_rows, 0, 1)
        self._given_up: Callable[[], bool] = bool
        self._asks = llama.ggml_abort_callback(lambda _: self._given_up())
        self._logits_row = ctypes.c_float * self.vocabulary.size

    @staticmethod
    def _load(path: str, available: int) -> Any:
        params = llama.llama_model_default_params()
        params.n_gpu_layers = 0
        params.load_mode = llama.LLAMA_LOAD_MODE_MMAP
        if memory.has_room(Path(path), available):
            params.load_mode = llama.LLAMA_LOAD_MODE_NONE
        model = llama.llama_model_load_from_file(path.encode(), params)
        if not model:
            raise BadArtifact(f"llama.cpp can't load this model: {_reason()}. Pull or add the model again.")
        return model

    def _check_memory(self, weights: Path, available: int) -> None:
        """Raise OutOfMemory if weights and all state are more than is available (bytes), before any is taken."""
        tokens = self.settings.kv_tokens + self.settings.shelf_tokens
        needed = memory.Footprint(weights.stat().st_size, gguf.state_token_bytes(weights) * tokens)
        memory.check(needed, available, tokens=tokens)

    def _open(self, settings: ContextSettings) -> Any:
        params = llama.llama_context_default_params()
        params.n_ctx = settings.kv_tokens + SPARE_CELLS
        params.n_batch = settings.batch_rows
        params.n_ubatch = settings.batch_rows
        params.n_seq_max = settings.sequences
        params.n_outputs_max = settings.sequences + settings.outputs
        params.n_threads = settings.threads
        params.n_threads_batch = settings.threads
        params.kv_unified = not settings.reproducible
        if settings.reproducible:
            params.type_k = EXACT_KEYS
        params.flash_attn_type = llama.LLAMA_FLASH_ATTN_TYPE_ENABLED
        context = llama.llama_init_from_model(self._model, params)
        if not context:
            raise OutOfMemory(
                f"There is no memory for {settings.kv_tokens} tokens of context: {_reason()}. Choose a smaller context."
            )
        return context

    @property
    def shares_prefixes(self) -> bool:
        """False for a model whose state can't be cut in the middle."""
        recurrent = llama.llama_model_is_recurrent(self._model) or llama.llama_model_is_hybrid(self._model)
        return not recurrent

    @property
    def chat_template(self) -> str | None:
        text = llama.llama_model_chat_template(self._model, None)
        return text.decode("utf-8", "replace") if text else None

    def use_threads(self, threads: int) -> None:
        """Compute with so many threads from now on."""
        llama.llama_set_n_threads(self._context, threads, threads)

    def decode(self, rows: Sequence[Row], given_up: Callable[[], bool] | None = None) -> list[NDArray[np.float32]]:
        """Compute the rows; return the logits of those that want them, in order, each of shape (vocabulary,).

        `given_up` is asked some hundred times on the way, in this thread, and ends the step when it says so.
        The arrays are views that hold until the next call. Raises NoRoom, Interrupted, BackendError.
        """
        if len(rows) > self.settings.batch_rows:  # llama.cpp would write past its arrays, then end the process
            raise BackendError(
                f"A step of {len(rows)} rows is longer than the {self.settings.batch_rows} agreed on; ask for less."
            )
        if given_up is not None:
            self._given_up = given_up
        llama.llama_set_abort_callback(self._context, self._asks if given_up else _NEVER, None)
        batch = self._batch
        batch.n_tokens = len(rows)
        for i, row in enumerate(rows):
            batch.token[i] = row.token
            batch.pos[i] = row.position
            batch.n_seq_id[i] = 1
            batch.seq_id[i][0] = row.sequence
            batch.logits[i] = row.wants_logits
        status = llama.llama_decode(self._context, batch)
        if status == 1:
            raise NoRoom("The context is full.")
        if status == 2:
            raise Interrupted("The step was broken off.")
        if status != 0:
            raise BackendError(f"llama.cpp could not compute a step (status {status}: {_reason()}). Ask again.")
        return [self._logits(i) for i, row in enumerate(rows) if row.wants_logits]

    def _logits(self, i: int) -> NDArray[np.float32]:
        pointer = llama.llama_get_logits_ith(self._context, i)
        row = self._logits_row.from_address(ctypes.addressof(pointer.contents))
        return np.frombuffer(memoryview(row), np.float32)

    def copy(self, source: int, target: int, length: int) -> None:
        """Give an empty `target` the first `length` tokens of `source`'s state.

        Between pieces of memory llama.cpp copies only when it next computes, and then what `source` holds by then.
        """
        if not self.settings.reproducible:
            llama.llama_memory_seq_cp(self._memory, source, target, 0, length)
            return
        copied = self.restore(target, self.state(source))
        assert copied, "what fits one sequence fits another"
        self.cut(target, length)

    def goes_on(self, sequence: int, length: int) -> bool:
        """Return whether the state of the first `length` tokens is there as far as the next token looks back.

        Layers that look back a window only have their older tokens overwritten, first come, when others need the place.
        """
        first = llama.llama_memory_seq_pos_min(self._memory, sequence)
        return bool(0 <= first <= max(0, length - self._window))

    def cut(self, sequence: int, length: int) -> None:
        """Forget a sequence's state from place `length` on."""
        llama.llama_memory_seq_rm(self._memory, sequence, length, -1)

    def state(self, sequence: int) -> bytes:
        """Return the state of a sequence as bytes that `restore` takes."""
        size = llama.llama_state_seq_get_size(self._context, sequence)
        state: bytes = _UNWRITTEN(None, size)  # written to in place: a second copy of megabytes takes as long again
        llama.llama_state_seq_get_data(self._context, _at(state), size, sequence)
        return state

    def restore(self, sequence: int, state: bytes) -> bool:
        """Give an empty sequence a state; False where it does not fit this context."""
        return bool(llama.llama_state_seq_set_data(self._context, _at(state), len(state), sequence))

    def close(self) -> None:
        llama.llama_batch_free(self._batch)
        llama.llama_free(self._context)
        llama.llama_model_free(self._model)


class Vocabulary:
    """Text to tokens and back."""

    def __init__(self, model: Any) -> None:
        self.pointer = llama.llama_model_get_vocab(model)
        self.size = int(llama.llama_vocab_n_tokens(self.pointer))
        self.eos = int(llama.llama_vocab_eos(self.pointer))
        self.bos = int(llama.llama_vocab_bos(self.pointer)) if llama.llama_vocab_get_add_bos(self.pointer) else None
        self._pieces: dict[int, bytes] = {}
        self._buffer = ctypes.create_string_buffer(MAX_PIECE_BYTES)

    def tokens(self, text: str, *, control: bool) -> list[int]:
        """Return the tokens of a text; only with `control` do names of control tokens become them."""
        data = text.encode("utf-8", "replace")
        room = len(data) + 8
        buffer = (llama.llama_token * room)()
        count = llama.llama_tokenize(self.pointer, data, len(data), buffer, room, False, control)
        if count < 0:
            raise BackendError("llama.cpp could not split the text into tokens. Shorten it and ask again.")
        return list(buffer[:count])

    def piece(self, token: int) -> bytes:
        """Return the bytes of a token; nothing for a control token."""
        known = self._pieces.get(token)
        if known is None:
            size = llama.llama_token_to_piece(self.pointer, token, self._buffer, MAX_PIECE_BYTES, 0, False)
            known = self._pieces[token] = bytes(self._buffer[: max(0, size)])  # type: ignore[arg-type]
        return known

    def ends(self, token: int) -> bool:
        """True for a token that ends a turn."""
        return bool(llama.llama_vocab_is_eog(self.pointer, token))

    def name(self, token: int) -> str:
        text = llama.llama_vocab_get_text(self.pointer, token)
        return text.decode("utf-8", "replace") if text else ""


_UNWRITTEN = ctypes.pythonapi.PyBytes_FromStringAndSize
"""Makes bytes of a length that are still to be written, which the C API allows while nobody else has them."""
_UNWRITTEN.restype = ctypes.py_object
_UNWRITTEN.argtypes = [ctypes.c_char_p, ctypes.c_ssize_t]


def _at(state: bytes) -> Any:
    """Return where the bytes lie."""
    return ctypes.cast(ctypes.c_char_p(state), ctypes.POINTER(ctypes.c_uint8))


_LAYOUTS = {
    "bf16": llama.LLAMA_FTYPE_MOSTLY_BF16,
    "f16": llama.LLAMA_FTYPE_MOSTLY_F16,
    "q8_0": llama.LLAMA_FTYPE_MOSTLY_Q8_0,
    "q6_k": llama.LLAMA_FTYPE_MOSTLY_Q6_K,
    "q4_k_m": llama.LLAMA_FTYPE_MOSTLY_Q4_K_M,
    "iq4_nl": llama.LLAMA_FTYPE_MOSTLY_IQ4_NL,
    "q4_0": llama.LLAMA_FTYPE_MOSTLY_Q4_0,
}


def quantize(source: str, target: str, layout: str, threads: int) -> None:
    """Write the weights of a file in another layout. Raises BackendError."""
    llama.llama_log_set(_log, ctypes.c_void_p(0))
    llama.llama_backend_init()
    params = llama.llama_model_quantize_default_params()
    params.nthread = threads
    params.ftype = _LAYOUTS[layout]
    params.allow_requantize = True
    status = llama.llama_model_quantize(source.encode(), target.encode(), ctypes.byref(params))
    if status != 0:
        raise BackendError(f"llama.cpp can't write this model as {layout}: {_reason()}. Try another layout.")


def _reason() -> str:
    """Return what the library last said: the error itself, where it only repeats afterwards that it failed."""
    lines = [line for line in _log_lines if line]
    errors = [line for line in lines if "error" in line]
    return (errors or lines)[-1][:300] if lines else "no reason given"
