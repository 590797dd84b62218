"""What all models run by onnxruntime share: the session, the tokenizer, and threads to run them in.

Each text is run by itself. An int8 model scales its activations by the largest value in the batch,
so in company a text's vector would depend on the other texts (bge-small, 400 short texts: cosine to
the lone vector down to .990, another nearest neighbour for 9 in 100). Alone it depends on the text
only. `threads` texts run side by side, one thread each, which costs little: 907 short texts a second
against 1022 in batches of 16, 168 against 171 texts of 100 tokens, 21 against 9 of 512 tokens
(docs/performance.md has more, and `scripts/bench embedding` measures it).
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from tokenizers import Encoding, Tokenizer

from models.backends import onnx_threads
from models.errors import BackendError, BadArtifact, InputError, OutOfMemory
from models.manifest import Manifest
from models.types import Digest, ModelId

Vectors = NDArray[np.float32]

SAFE_CONTEXT_TOKENS = 512
"""What a BERT-like encoder can read when its manifest does not say more."""
MAX_WINDOWS = 64
"""Windows of one text, each up to 0.1 s of work; more is a document that wants to be indexed in chunks."""
MAX_TEXT_CHARS = 1_000_000
"""Checked before tokenizing, which takes about a second for this much."""
NOTHING = 0
"""Token that stands for a text of none, where the tokenizer puts no mark at its ends: padding, in such vocabularies."""
SLICE_TEXTS = 8
"""Texts that a thread takes at once: small enough that cancelling or another caller waits at most about 0.1 s."""
_SURROGATE = re.compile("[\ud800-\udfff]")
"""Half a character, as JSON from elsewhere may have: no tokenizer takes it."""
CPU_OVERHEAD = 2.5
"""Resident bytes for each byte of an int8 file, working memory included (measured: 34 MB file, 85 MB)."""


class OnnxModel:
    """A loaded model of any kind. The constructor blocks. Raises BadArtifact, OutOfMemory."""

    def __init__(self, manifest: Manifest, model_path: Path, tokenizer_path: Path, threads: int) -> None:
        self._manifest = manifest
        self._memory_bytes = manifest.memory_bytes or int(_size(manifest, model_path) * CPU_OVERHEAD)
        self._tokenizer = _open_tokenizer(manifest, tokenizer_path)
        self._session = _open_session(manifest, model_path)
        self._inputs = frozenset(node.name for node in self._session.get_inputs())
        self._limit = min(manifest.context_tokens, manifest.max_context_tokens or SAFE_CONTEXT_TOKENS)
        with _loading(manifest.id, model_path):
            self._width = int(self._run(self._tokenizer.encode("a")).shape[-1])
        self._check(model_path)
        self._threads = max(1, threads)
        self._closed = False
        self._executor = onnx_threads.take(self._threads)

    def _check(self, model_path: Path) -> None:
        """Raises BadArtifact for a model that gives something else than its manifest says.

        Called before the threads are taken, which only `close` gives back.
        """

    @property
    def id(self) -> ModelId:
        return self._manifest.model_id

    @property
    def artifacts(self) -> tuple[Digest, ...]:
        return self._manifest.digests

    @property
    def memory_bytes(self) -> int:
        return self._memory_bytes

    async def close(self) -> None:
        """Stop taking work; what is running ends by itself within a slice."""
        if not self._closed:
            self._closed = True
            onnx_threads.release(self._threads)

    async def _map(self, work: Callable[[Encoding], Vectors], items: Sequence[Encoding]) -> list[Vectors]:
        """Return work(item) for each, `threads` at a time, leaving room for other callers between slices."""
        loop = asyncio.get_running_loop()
        order = sorted(range(len(items)), key=lambda index: len(items[index].ids))
        slices = [order[start : start + SLICE_TEXTS] for start in range(0, len(order), SLICE_TEXTS)]
        if len(order) <= SLICE_TEXTS:
            slices = [order[start :: self._threads] for start in range(min(self._threads, len(order)))]
        done: dict[int, Vectors] = {}
        for first in range(0, len(slices), self._threads):
            if self._closed:
                raise BackendError(f"{self.id} was closed before this request was done; ask again.")
            wave = slices[first : first + self._threads]
            runs = [loop.run_in_executor(self._executor, _each, work, [items[i] for i in part]) for part in wave]
            for part, outputs in zip(wave, await asyncio.gather(*runs), strict=True):
                done.update(zip(part, outputs, strict=True))
        return [done[index] for index in range(len(items))]

    def _run(self, encoding: Encoding) -> Vectors:
        ids = np.array([encoding.ids or [NOTHING]], dtype=np.int64)
        feed = {
            "input_ids": ids,
            "attention_mask": np.ones_like(ids),
            "token_type_ids": np.array([encoding.type_ids or [0]], dtype=np.int64),
        }
        with _mapped(self._manifest.id):
            output = self._session.run(None, {name: feed[name] for name in self._inputs})[0]
        row: Vectors = np.asarray(output[0], dtype=np.float32)
        if not np.isfinite(row).all():  # no JSON can carry it, and no comparison with it means anything
            raise BackendError(f"{self._manifest.id} gives no numbers for this text (NaN); use another model for it.")
        return row

    def _plain(self, text: str) -> Encoding:
        if len(text) > MAX_TEXT_CHARS:
            raise InputError(f"A text of {len(text)} characters is too long (at most {MAX_TEXT_CHARS}); split it.")
        return self._tokenizer.encode(_SURROGATE.sub("\ufffd", text), add_special_tokens=False)

    def _tokenize(self, texts: Sequence[str]) -> tuple[list[Encoding], list[int]]:
        """Return the windows of all texts, each ready to run, and for each window the place of its text."""
        room = self._limit - self._tokenizer.num_special_tokens_to_add(False)
        windows: list[Encoding] = []
        owners: list[int] = []
        for owner, text in enumerate(texts):
            parts = [self._tokenizer.post_process(part) for part in self._windows(self._plain(text), room)]
            windows += parts
            owners += [owner] * len(parts)
        return windows, owners

    def _windows(self, encoding: Encoding, room: int) -> list[Encoding]:
        """Return the encoding in parts of at most `room` tokens."""
        if len(encoding.ids) > room * MAX_WINDOWS:
            raise InputError(
                f"A text of {len(encoding.ids)} tokens is too long for {self.id}, which reads at most "
                f"{room * MAX_WINDOWS}; split it into parts and ask for each."
            )
        encoding.truncate(room)
        return [encoding, *encoding.overflowing]


def _each(work: Callable[[Encoding], Vectors], items: Sequence[Encoding]) -> list[Vectors]:
    return [work(item) for item in items]


def _size(manifest: Manifest, path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError as error:
        raise BadArtifact(f"{path} can't be read ({error.strerror}); run `covey models pull {manifest.id}`.") from error


def _open_tokenizer(manifest: Manifest, path: Path) -> Tokenizer:
    _size(manifest, path)
    with _loading(manifest.id, path):
        tokenizer = Tokenizer.from_file(str(path))
        tokenizer.no_padding()
        tokenizer.no_truncation()
        tokenizer.encode_special_tokens = True  # "[SEP]" typed by a user stays plain text
    return tokenizer


def _open_session(manifest: Manifest, path: Path) -> onnxruntime.InferenceSession:
    with _loading(manifest.id, path):
        return onnxruntime.InferenceSession(str(path), session_options(), providers=["CPUExecutionProvider"])


def session_options() -> onnxruntime.SessionOptions:
    """Return options under which a run computes in the thread that asks for it, and leaves none behind that spins."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    for pool in ("intra_op", "inter_op"):
        options.add_session_config_entry(f"session.{pool}.allow_spinning", "0")
    options.log_severity_level = 4  # failures are raised; the library need not print them as well
    return options


@contextmanager
def _loading(model: str, path: Path) -> Iterator[None]:
    try:
        yield
    except MemoryError as error:
        raise OutOfMemory(f"There is not enough memory to load {model}; close a program or another model.") from error
    except Exception as error:  # both libraries raise bare Exception and RuntimeError for a bad file
        raise BadArtifact(
            f"{path.name} is damaged or not a file that {model} can be loaded from; "
            f"run `covey models remove {model}`, then `covey models pull {model}`."
        ) from error


@contextmanager
def _mapped(model: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # its errors have no base class of their own
        raise BackendError(f"{model} failed on this input; ask again, or run `covey models verify {model}`.") from error
