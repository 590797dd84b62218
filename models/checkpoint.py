"""Reads what a Hugging Face checkpoint folder says about itself, and refuses what can't or must not be converted.

Only JSON and the header of the weights are read here: no weights, no pickles, and never code that came along.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from models import safetensors
from models.add import plain
from models.errors import BadArtifact, InputError

Kind = Literal["encoder", "reranker", "classifier", "tagger"]

MODEL_TYPES = (
    "albert",
    "bert",
    "camembert",
    "deberta-v2",
    "distilbert",
    "electra",
    "modernbert",
    "mpnet",
    "roberta",
    "xlm-roberta",
)
"""Each was converted, and gave the same numbers as before to seven digits."""
TYPED = ("albert", "bert", "electra")
"""Of these, the ones that are told which of two texts a token belongs to."""
OFFSET = {"camembert": 2, "mpnet": 2, "roberta": 2, "xlm-roberta": 2}
"""Positions that some of them keep for padding."""
TOKENIZERS = ("tokenizer.json", "vocab.txt", "vocab.json", "spiece.model", "sentencepiece.bpe.model", "spm.model")
LONGEST_CONTEXT = 512
"""Tokens; beyond that one text takes a second and more on a small device."""
MAX_JSON_BYTES = 8 * 1024 * 1024
"""Far above what any config or header of such a model has; stops a file that would fill the memory."""
MAX_LABELS = 1000
MAX_LABEL_CHARS = 64


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What is known of a checkpoint before its weights are read."""

    folder: Path
    kind: Kind
    architecture: str
    model_type: str
    parameters: int
    dimensions: int
    context_tokens: int
    labels: tuple[str, ...]
    """Of a classifier or tagger, in the order of its output."""
    pooling: Literal["cls", "mean"]
    """How an encoder makes one vector out of many."""
    licence: str

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of what the model is given."""
        return ("input_ids", "attention_mask", *(("token_type_ids",) if self.model_type in TYPED else ()))


def read(folder: Path) -> Checkpoint:
    """Return what a folder holds. Raises InputError, BadArtifact."""
    if not (folder / "config.json").is_file():
        raise InputError(
            f"{folder} has no config.json, so it is no Hugging Face checkpoint; "
            "give the folder that `save_pretrained` wrote, or a GGUF file."
        )
    config = _json(folder / "config.json")
    if "auto_map" in config:
        raise BadArtifact(f"{folder.name} needs code of its own, which is never run; use a checkpoint without it.")
    if "quantization_config" in config:
        raise BadArtifact(f"{folder.name} is quantized already; use the original, which is converted better.")
    kind, architecture = _kind(config, folder)
    model_type = str(config["model_type"])
    dimensions = config.get("hidden_size") or config.get("dim")
    if not isinstance(dimensions, int) or dimensions < 1:
        raise BadArtifact(f"config.json of {folder.name} names no hidden_size; get the checkpoint again.")
    if not any((folder / name).is_file() for name in TOKENIZERS):
        raise BadArtifact(f"{folder.name} has no tokenizer (tokenizer.json or vocab.txt); save it there too.")
    return Checkpoint(
        folder=folder,
        kind=kind,
        architecture=architecture,
        model_type=model_type,
        parameters=safetensors.parameters(folder),
        dimensions=dimensions,
        context_tokens=_context(config, model_type, folder),
        labels=_labels(config, folder) if kind in ("classifier", "tagger") else (),
        pooling=_pooling(folder) if kind == "encoder" else "mean",
        licence=_licence(folder),
    )


def _kind(config: dict[str, Any], folder: Path) -> tuple[Kind, str]:
    named, labels = config.get("architectures"), config.get("id2label")
    architecture = plain(str(named[0])) if isinstance(named, list) and named else ""
    if config.get("model_type") not in MODEL_TYPES:
        raise BadArtifact(
            f"{folder.name} is a {str(config.get('model_type'))[:40]!r} model ({architecture[:60] or 'nameless'}), "
            f"which is not supported; those that are: {', '.join(MODEL_TYPES)}. "
            "A model that writes text is added as a GGUF file."
        )
    if architecture.endswith("ForTokenClassification"):
        return "tagger", architecture
    if architecture.endswith("ForSequenceClassification"):
        if config.get("problem_type") == "multi_label_classification":
            raise BadArtifact(f"{folder.name} gives a text several labels at once, which is not supported; use one.")
        return ("reranker" if isinstance(labels, dict) and len(labels) == 1 else "classifier"), architecture
    embeds = (folder / "modules.json").is_file()  # a sentence-transformers folder
    if embeds or (architecture.endswith("Model") and "For" not in architecture):
        return "encoder", architecture
    raise BadArtifact(
        f"{folder.name} is a {architecture[:60] or 'nameless architecture'}, which is not supported; "
        "use a checkpoint for sequence classification, token classification or embedding."
    )


def _labels(config: dict[str, Any], folder: Path) -> tuple[str, ...]:
    given = config.get("id2label") or {"0": "LABEL_0", "1": "LABEL_1"}  # what transformers assumes
    try:
        labels = tuple(str(given[str(number)]).strip() for number in range(len(given)))
    except (KeyError, TypeError) as error:
        raise BadArtifact(f"id2label in config.json of {folder.name} has gaps; number the labels from 0.") from error
    if not 1 < len(labels) <= MAX_LABELS:
        raise BadArtifact(f"{folder.name} has {len(labels)} labels; between 2 and {MAX_LABELS} are supported.")
    for label in labels:
        if not label or len(label) > MAX_LABEL_CHARS or not label.isprintable() or labels.count(label) > 1:
            raise BadArtifact(
                f"{label[:40]!r} can't be a label of {folder.name}; give each a short name of its own in config.json."
            )
    return labels


def _context(config: dict[str, Any], model_type: str, folder: Path) -> int:
    positions = config.get("max_position_embeddings")
    most = positions - OFFSET.get(model_type, 0) if isinstance(positions, int) else LONGEST_CONTEXT
    for name in ("sentence_bert_config.json", "tokenizer_config.json"):
        if (folder / name).is_file():
            said = _json(folder / name)
            for limit in (said.get("max_seq_length"), said.get("model_max_length")):
                most = min(most, limit) if isinstance(limit, int) and limit > 0 else most
    if most < 8:
        raise BadArtifact(f"config.json of {folder.name} leaves room for {most} tokens; get the checkpoint again.")
    return min(most, LONGEST_CONTEXT)


def _pooling(folder: Path) -> Literal["cls", "mean"]:
    """Return how a sentence-transformers folder pools; the mean where nothing is said."""
    file = folder / "1_Pooling" / "config.json"
    further = [path.name for path in folder.iterdir() if path.is_dir() and path.name[1:].startswith("_Dense")]
    if further:
        raise BadArtifact(f"{folder.name} has a further layer ({further[0]}), which is not supported; use one without.")
    if not file.is_file():
        return "mean"
    said = _json(file)
    modes = [name for name, on in said.items() if name.startswith("pooling_mode_") and on is True]
    modes = modes or [f"pooling_mode_{said.get('pooling_mode', 'mean')}_tokens"]
    match modes:
        case ["pooling_mode_cls_token" | "pooling_mode_cls_tokens"]:
            return "cls"
        case ["pooling_mode_mean_tokens"]:
            return "mean"
    raise BadArtifact(f"{folder.name} pools by {', '.join(modes)}, which is not supported; use one with CLS or mean.")


def _licence(folder: Path) -> str:
    """Return the licence that the model card names in its front matter."""
    card = folder / "README.md"
    if not card.is_file():
        return "unknown"
    with card.open(encoding="utf-8", errors="replace") as file:
        head = file.read(8192).splitlines()
    for line in head[1:] if head[:1] == ["---"] else ():
        key, _, value = line.partition(":")
        if line == "---":
            break
        if key == "license" and value.strip():
            return plain(value.strip())[:40]
    return "unknown"


def _json(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > MAX_JSON_BYTES:
            raise BadArtifact(f"{path.name} is too large to be what its name says; get the checkpoint again.")
        found = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise BadArtifact(f"{path.name} of {path.parent.name} is damaged; get the checkpoint again.") from error
    except OSError as error:
        raise InputError(f"{path} can't be read ({error.strerror}); check its permissions.") from error
    if not isinstance(found, dict):
        raise BadArtifact(f"{path.name} of {path.parent.name} is damaged; get the checkpoint again.")
    return found
