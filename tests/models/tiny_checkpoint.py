"""Makes and trains tiny checkpoints: `python -m tests.models.tiny_checkpoint FOLDER`, where PyTorch is installed.

Three folders, each with the files that `save_pretrained` writes: `mails` (sequence classification), `places` (token
classification) and `vectors` (embedding). And `rows.csv`: texts with labels that the models have not been trained on.
"""

from __future__ import annotations

import csv
import json
import random
import sys
from pathlib import Path

import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.normalizers import Lowercase
from tokenizers.pre_tokenizers import Whitespace
from tokenizers.processors import BertProcessing
from transformers import BertConfig, BertForSequenceClassification, BertForTokenClassification, BertModel

TOPICS = {
    "billing": "invoice card charged refund price amount bill cost paid money".split(),
    "delivery": "parcel courier late address box door arrived tracking shipped lost".split(),
    "technical": "screen crash button error update install frozen login slow password".split(),
}
PLACES = "oslo lima cairo delhi perth quito".split()
FILLERS = "the a my was is and again please why when it this still not on at with for from you".split()
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
WORDS = [*SPECIAL, *FILLERS, *PLACES, *(word for words in TOPICS.values() for word in words)]
LENGTH = 10
STEPS, BATCH = 300, 16


def main(folder: Path) -> None:
    random.seed(0)
    torch.manual_seed(0)
    torch.set_num_threads(1)  # for models so small, threads only wait for each other
    labels = list(TOPICS)
    mails = BertForSequenceClassification(config(id2label=dict(enumerate(labels))))
    train(mails, lambda: (row := mail(), labels.index(row[1])), lambda logits: logits)
    save(mails, folder / "mails", licence="apache-2.0")
    places = BertForTokenClassification(config(id2label={0: "O", 1: "B-place"}))
    train(places, visit, lambda logits: logits[:, 1:-1].flatten(0, 1))
    save(places, folder / "places")
    save(BertModel(config()), folder / "vectors")
    pooling = folder / "vectors" / "1_Pooling"
    pooling.mkdir()
    (pooling / "config.json").write_text(
        json.dumps({"pooling_mode_mean_tokens": True, "pooling_mode_cls_token": False})
    )
    (folder / "vectors" / "modules.json").write_text("[]")
    with (folder / "rows.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("text", "label"), *(mail() for _ in range(120))])


def config(**more: object) -> BertConfig:
    return BertConfig(
        vocab_size=len(WORDS),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=40,
        **more,
    )


def mail() -> tuple[str, str]:
    """Return a text about one topic, and its name."""
    topic = random.choice(list(TOPICS))
    words = [random.choice(FILLERS) for _ in range(LENGTH - 3)] + random.choices(TOPICS[topic], k=3)
    random.shuffle(words)
    return " ".join(words), topic


def visit() -> tuple[tuple[str, str], list[int]]:
    """Return a text with places in it, and which of its words they are."""
    words = [random.choice(PLACES if random.random() < 0.3 else FILLERS) for _ in range(LENGTH)]
    return (" ".join(words), ""), [int(word in PLACES) for word in words]


def train(model: torch.nn.Module, draw, counted) -> None:
    """Train on rows that `draw` gives; all are of one length, so a batch needs no padding."""
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    encode = tokenizer().encode
    for _ in range(STEPS):
        rows = [draw() for _ in range(BATCH)]
        logits = counted(model(input_ids=torch.tensor([encode(text).ids for (text, _), _ in rows])).logits)
        loss = torch.nn.functional.cross_entropy(logits, torch.tensor([wanted for _, wanted in rows]).flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    model.eval()


def tokenizer() -> Tokenizer:
    made = Tokenizer(WordLevel({word: number for number, word in enumerate(WORDS)}, unk_token="[UNK]"))
    made.normalizer = Lowercase()
    made.pre_tokenizer = Whitespace()
    made.post_processor = BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    made.add_special_tokens(SPECIAL)
    return made


def save(model, folder: Path, licence: str = "") -> None:
    model.save_pretrained(folder)
    tokenizer().save(str(folder / "tokenizer.json"))
    if licence:
        (folder / "README.md").write_text(f"---\nlicense: {licence}\n---\n# A model\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
