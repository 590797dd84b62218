"""The process that turns a checkpoint into an int8 ONNX file: `python -m models.convert FOLDER`.

FOLDER holds `job.json` (`Job`); beside it come `model.onnx`, `tokenizer.json`, `outputs.npz` (what the model
says to the given texts, before and after) and `reply.json`, which is empty or says what failed. Needs the
extra `export`. It is a process of its own because PyTorch takes a gigabyte and talks a lot.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
import transformers
from numpy.typing import NDArray
from onnxruntime.quantization import QuantType, quantize_dynamic
from tokenizers import Encoding, Tokenizer

MODEL, TOKENIZER, OUTPUTS, JOB, REPLY = "model.onnx", "tokenizer.json", "outputs.npz", "job.json", "reply.json"
CLASSES = {
    "encoder": "AutoModel",
    "reranker": "AutoModelForSequenceClassification",
    "classifier": "AutoModelForSequenceClassification",
    "tagger": "AutoModelForTokenClassification",
}
EXAMPLE_TOKENS = 7
"""Length of the text that the model is traced with; any other than 1 will do."""
UNUSED = ("pooler.", "position_ids")
"""Weights that an encoder may lack: its vectors do not come from them."""

Matrix = NDArray[np.float32]


class Refused(Exception):
    """The checkpoint can't be converted; the message says why, without a full stop."""


@dataclass(frozen=True, slots=True)
class Job:
    """What is to be done."""

    folder: str
    """The checkpoint."""
    kind: str
    inputs: list[str]
    context_tokens: int
    pooling: str
    texts: list[str]
    """To run before and after; of a reranker each with the next."""


def main(work: Path) -> None:
    threading.Thread(target=_end_with_caller, daemon=True).start()
    job = Job(**json.loads((work / JOB).read_text(encoding="utf-8")))
    failed = ""
    try:
        _convert(job, work)
    except Refused as error:
        failed = str(error)
    except Exception as error:  # three libraries, each with errors of its own: the caller makes a sentence of it
        failed = f"{type(error).__name__}: {(str(error).strip().splitlines() or [''])[0][:200]}"
    (work / REPLY).write_text(json.dumps({"failed": failed}), encoding="utf-8")


def _end_with_caller() -> None:
    """End when the other end of the input is gone: whoever asked was killed, and nobody wants the result."""
    os.read(0, 1)
    os._exit(1)


def _convert(job: Job, work: Path) -> None:
    transformers.logging.set_verbosity_error()
    tokenizer = _tokenizer(Path(job.folder), work / TOKENIZER)
    model = _model(job)
    known = model.config.vocab_size
    if tokenizer.get_vocab_size(with_added_tokens=True) > known:
        raise Refused(f"its tokenizer knows more tokens than the model ({known})")
    plain = _Plain(model, job.inputs)
    _export(plain, job, work / "float.onnx")
    _quantize(work / "float.onnx", work / MODEL)
    encodings = list(_encodings(job, tokenizer))
    session = onnxruntime.InferenceSession(str(work / MODEL), providers=["CPUExecutionProvider"])
    before = [_judged(plain(*map(torch.from_numpy, feed)).numpy()[0], job) for feed in _feeds(job, encodings)]
    after = [
        _judged(session.run(None, dict(zip(job.inputs, feed, strict=True)))[0][0], job)
        for feed in _feeds(job, encodings)
    ]
    for outputs, which in ((before, "it gives"), (after, "with weights of 8 bits it gives")):
        if not all(np.isfinite(output).all() for output in outputs):
            raise Refused(f"{which} no numbers (NaN) for some texts")
    np.savez(work / OUTPUTS, before=np.concatenate(before), after=np.concatenate(after))


def _tokenizer(folder: Path, target: Path) -> Tokenizer:
    if (folder / TOKENIZER).is_file():
        shutil.copyfile(folder / TOKENIZER, target)
    else:
        made = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        made.backend_tokenizer.save(str(target))
    try:
        tokenizer = Tokenizer.from_file(str(target))
    except Exception as error:  # the library raises no narrower one
        raise Refused(f"its {TOKENIZER} is damaged or none ({str(error).rstrip('.')})") from error
    tokenizer.no_padding()
    return tokenizer


def _model(job: Job) -> Any:
    model, about = getattr(transformers, CLASSES[job.kind]).from_pretrained(
        job.folder,
        use_safetensors=True,
        local_files_only=True,
        trust_remote_code=False,
        attn_implementation="eager",
        dtype=torch.float32,
        output_loading_info=True,
        ignore_mismatched_sizes=True,
    )
    for name, has, wanted in sorted(about["mismatched_keys"]):
        raise Refused(f"its weights have {name} of {_sides(has)} numbers where config.json asks for {_sides(wanted)}")
    missing = [name for name in about["missing_keys"] if job.kind != "encoder" or not name.startswith(UNUSED)]
    if missing:
        raise Refused(f"its weights lack {sorted(missing)[0]} and {len(missing) - 1} others")
    for name, weights in model.named_parameters():
        if not torch.isfinite(weights).all():
            raise Refused(f"{name} holds what is no number (NaN or infinite), as after a training that went wrong")
    return model.eval()


def _sides(shape: Sequence[int]) -> str:
    return " × ".join(map(str, shape))


class _Plain(torch.nn.Module):
    """A model that takes its inputs in order and returns one tensor."""

    def __init__(self, model: Any, inputs: Sequence[str]) -> None:
        super().__init__()
        self._model = model
        self._inputs = tuple(inputs)

    @torch.no_grad()
    def forward(self, *given: Any) -> Any:
        output = self._model(**dict(zip(self._inputs, given, strict=True)), return_dict=True)
        return output.logits if "logits" in output else output.last_hidden_state


def _export(plain: _Plain, job: Job, target: Path) -> None:
    given = tuple(torch.ones((2, EXAMPLE_TOKENS), dtype=torch.int64) for _ in job.inputs)
    texts, tokens = torch.export.Dim("texts", min=1, max=64), torch.export.Dim("tokens", min=1, max=job.context_tokens)
    torch.onnx.export(
        plain,
        given,
        f=str(target),
        input_names=job.inputs,
        output_names=["output"],
        dynamic_shapes=(tuple({0: texts, 1: tokens} for _ in given),),
        dynamo=True,
        external_data=False,
        verbose=False,
    )


def _quantize(source: Path, target: Path) -> None:
    """Write weights of 8 bits, each row with a scale of its own.

    Seven of the bits are used: on processors with AVX2 and nothing newer, sums of full ones overflow.
    """
    graph = onnx.load(str(source))
    del graph.graph.value_info[:]  # shapes noted by the exporter; the quantizer infers its own and insists on them
    onnx.save(graph, str(source))
    quantize_dynamic(str(source), str(target), per_channel=True, reduce_range=True, weight_type=QuantType.QInt8)


def _encodings(job: Job, tokenizer: Tokenizer) -> Iterator[Encoding]:
    tokenizer.enable_truncation(job.context_tokens)
    for text, following in zip(job.texts, [*job.texts[1:], *job.texts[:1]], strict=True):
        yield tokenizer.encode(text, following) if job.kind == "reranker" else tokenizer.encode(text)


def _feeds(job: Job, encodings: Sequence[Encoding]) -> Iterator[list[NDArray[np.int64]]]:
    for encoding in encodings:
        fields = {
            "input_ids": encoding.ids,
            "attention_mask": encoding.attention_mask,
            "token_type_ids": encoding.type_ids,
        }
        yield [np.array([fields[name]], dtype=np.int64) for name in job.inputs]


def _judged(output: Matrix, job: Job) -> Matrix:
    """Return what counts of one output: a vector of the text, its label's numbers, or those of each token."""
    if job.kind == "tagger":
        return output
    if job.kind == "encoder":
        output = output[0] if job.pooling == "cls" else output.mean(axis=0)
        output = output / max(float(np.linalg.norm(output)), 1e-12)
    return output[None, :]


if __name__ == "__main__":
    main(Path(sys.argv[1]))
