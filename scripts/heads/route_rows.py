"""Requests with the capability that should answer them: hand-written ones, and rows of data sets as people ask them."""

from __future__ import annotations

import random
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from models.specialist import read_spec
from runtime.evals.halves import Half
from scripts.heads.sources import Sources, dev_half

ROOT = Path(__file__).parents[2]
REQUESTS = ROOT / "runtime" / "stages" / "requests.toml"
SPECS = ROOT / "models" / "specialists"
HAND_WEIGHT = 4.0
"""Of a hand-written request against a row of a data set: they are fewer, and more like what people type."""
STRANGE_WEIGHT = 0.5
"""Of a request out of scope of an assistant's intents. Many ask what a search would find, and search questions are
for `generate`, so each is bought with the other: of those left out, with a weight of 0 / .25 / .5 / 2 about 44 / 62 /
67 / 76 % are refused, and 92 / 87 / 82 / 77 % of search questions go to `generate`."""
WITH_FILE = frozenset({"answer", "extract", "summarize", "find", "filetype", "classify"})
"""Capabilities whose requests often come with a file."""

STRANGE = "strange"
WITH_TEXT = frozenset({"answer", "extract", "summarize", "find", "classify", "generate"})
PLACE_QUESTIONS = (
    "What kind of food is there?",
    "Where is it?",
    "Is it good for children?",
    "how expensive is it",
    "What is the name of the restaurant?",
    "What do customers think of it?",
    "which place is it close to?",
)
"""Questions about a restaurant that a short text describes."""

ASKS_GENERATE = (
    "definition fun_fact tell_joke meaning_of_life recipe ingredient_substitution travel_suggestion translate greeting "
    "thank_you goodbye what_are_your_hobbies are_you_a_bot cook_time calories meal_suggestion what_can_i_ask_you "
    "spelling what_is_your_name jump_start oil_change_how improve_credit_score food_last nutrition_info tire_change"
).split()
ASKS_COMPUTED = {"calculator": "calculate", "measurement_conversion": "convert", "date": "when"}
LEFT_OUT = (
    "oos yes no maybe repeat cancel next_holiday flip_coin roll_dice change_language whisper_mode change_accent "
    "change_speed user_name change_user_name ingredients_list plug_type vaccines international_visa carry_on taxes "
    "how_old_are_you where_are_you_from who_made_you who_do_you_work_for do_you_have_pets change_ai_name sync_device "
    "timezone restaurant_suggestion insurance rollover_401k gas_type apr credit_score order_checks distance"
).split()
"""Intents that are between the capabilities, so that either answer is fine."""
HOME_NONE = (
    "alarm",
    "audio",
    "calendar",
    "email",
    "iot",
    "lists",
    "music",
    "news",
    "play",
    "social",
    "takeaway",
    "transport",
    "weather",
)


@dataclass(frozen=True, slots=True)
class Ask:
    """One request with its right capability."""

    text: str
    capability: str
    has_files: bool = False
    has_functions: bool = False
    source: str = "hand"
    weight: float = 1.0
    root: str = ""
    """The hand-written request that this one was made from, so that both stay on one side of a split."""


def hand_written() -> list[Ask]:
    """Return the requests of requests.toml without those that need a pasted text, and those of the specs."""
    asks: list[Ask] = []
    for capability, kinds in tomllib.loads(REQUESTS.read_text(encoding="utf-8")).items():
        for kind, texts in kinds.items():
            if kind != "passage":
                made = {"has_files": kind == "file", "has_functions": kind == "functions"}
                asks += [Ask(text, capability, weight=HAND_WEIGHT, **made) for text in texts]
    for path in sorted(SPECS.glob("*.toml")):
        spec = read_spec(path)
        capability = spec.capability or spec.name
        for text in spec.requests:
            flags = (False, True) if capability in WITH_FILE else (False,)
            asks += [
                Ask(
                    text,
                    capability,
                    has_files=flag,
                    has_functions=capability == "call",
                    weight=HAND_WEIGHT / len(flags),
                )
                for flag in flags
            ]
    return asks


def passage_templates() -> list[tuple[str, str]]:
    """Return (template, capability) of the requests that come with a pasted text."""
    kinds = tomllib.loads(REQUESTS.read_text(encoding="utf-8"))
    return [(text, capability) for capability, each in kinds.items() for text in each.get("passage", [])]


def from_data(sources: Sources) -> list[Ask]:
    """Return the requests made of training files and tuning halves."""
    draw = random.Random(20)
    return [
        *_wrapped({name: sources.tuning(name) for name in WRAPPED}, draw, WRAPS),
        *_intents(sources, draw),
        *_passages(sources, draw),
        *_short_texts(sources, draw),
        *_twisted(sources, draw),
        *_strange([*sources.train("clinc150"), *sources.tuning("clinc150")]),
    ]


def held_out() -> list[Ask]:
    """Return requests made of the reporting halves, in wordings that `from_data` does not use."""
    reporting: Half = "reporting"
    wrapped = _wrapped({name: dev_half(name, reporting) for name in WRAPPED}, random.Random(21), OTHER_WRAPS)
    return [*wrapped, *_strange(dev_half("clinc150", reporting))]


WRAPPED = (
    "bfcl e2e_extraction gsm8k home_assistant_intents humaneval ifeval mbpp mmlu mt_bench nq_open_rag pubmedqa svamp "
    "truthfulqa xquad"
).split()

WRAPS = {
    "answer": [
        "{p}\n\n{q}",
        "{q}\n\n{p}",
        "{q}\n{p}",
        "Context: {p}\n\nQuestion: {q}",
        "Based on this text: {p}\n{q}",
        "Text: {p}\nQuestion: {q}\nAnswer:",
        "Read this: {p} Now answer: {q}",
        "{p} According to this, {q}",
        "In the text below, {q} {p}",
        "This is from a book: {p} So {q}",
        "{p}\nWhat I want to know: {q}",
        "I found this on a page. {p}\n\n{q}",
        "Look at this paragraph. {p} {q}",
        "{q} It is said here: {p}",
        "Somebody sent me this: {p} Can you tell me {q}",
    ],
    "extract": [
        "Extract the fields {f} from this text: {p}",
        "{p}\n\nGive me {f} as JSON.",
        "Get {f} out of: {p}",
        "Turn this into a record: {p}",
        "Pull out the details: {p}",
        "Write down {f} of this place: {p}",
        "{p} List {f}.",
        "Fill in {f} for the following: {p}",
        "A table with {f}, from these words: {p}",
    ],
    "classify": [
        "Which of these labels fits: {f}? {p}",
        "{p}\nLabel ({f}):",
        "Classify this message as {f}: {p}",
        "Is this about {f}? {p}",
    ],
    "code": ["{p}", "{p}", "{p} Use Python."],
    "generate": ["{p}"],
}
OTHER_WRAPS = {
    "answer": [
        "Here is some material.\n{p}\n\nPlease tell me: {q}",
        "{q} Use this passage: {p}",
        "I am reading the following. {p} My question is: {q}",
    ],
    "extract": [
        "Please collect {f} from the following description.\n\n{p}",
        "Make JSON with the keys {f} out of the text. Text: {p}",
        "From '{p}' I need {f}.",
    ],
    "classify": [
        "Choose the best category for the text. Categories: {f}. Text: {p}",
        "'{p}' Should this go under {f}?",
        "Decide between {f} for: {p}",
    ],
    "code": ["{p}", "I need a program. {p}"],
    "generate": ["{p}", "Please: {p}"],
}


def _wrapped(rows: dict[str, list[dict[str, Any]]], draw: random.Random, wraps: dict[str, list[str]]) -> Iterator[Ask]:
    """Yield requests made of each set's rows, a bounded number of each."""

    def wrap(kind: str, p: str, q: str = "", f: str = "") -> str:
        return draw.choice(wraps[kind]).format(p=p, q=q, f=f)

    for row in rows["xquad"]:
        if row["lang"] == "en" and draw.random() < 0.8:
            yield Ask(wrap("answer", row["context"][:900], row["question"]), "answer", source="xquad")
            if draw.random() < 0.5:
                yield Ask(row["question"], "answer", has_files=True, source="xquad file")
    for row in rows["pubmedqa"][:110]:
        yield Ask(wrap("answer", " ".join(row["contexts"])[:900], row["question"]), "answer", source="pubmedqa")
        yield Ask(row["question"], "answer", has_files=True, source="pubmedqa file")
    for row in rows["nq_open_rag"][:300]:
        yield Ask(_asked(row["question"], draw), "generate", source="nq")
    for row in rows["nq_open_rag"][300:420]:
        yield Ask(wrap("answer", row["passage"], row["question"]), "answer", source="nq passage")
    for row in rows["nq_open_rag"][420:500]:
        yield Ask(_asked(row["question"], draw), "answer", has_files=True, source="nq file")
    for row in rows["e2e_extraction"][:180]:
        yield Ask(wrap("extract", row["text"], f=", ".join(row["slots"])), "extract", source="e2e")
    for row in rows["mbpp"]:
        yield Ask(wrap("code", row["text"]), "code", source="mbpp")
    for row in rows["humaneval"]:
        yield Ask(
            f"Complete this function.\n{row['prompt']}" if draw.random() < 0.6 else row["prompt"],
            "code",
            source="humaneval",
        )
    for row in rows["bfcl"][:400]:
        text = " ".join(turn["content"] for turn in row["messages"] if turn["role"] == "user")
        yield Ask(text, "call", has_functions=True, source="bfcl")
    for row in rows["ifeval"]:
        yield Ask(wrap("generate", row["prompt"]), "generate", has_files=draw.random() < 0.15, source="ifeval")
    for row in rows["gsm8k"][:140]:
        yield Ask(row["question"], "generate", source="gsm8k")
    for row in rows["svamp"][:60]:
        yield Ask(row["text"], "generate", source="svamp")
    for row in rows["mmlu"][:120]:
        options = "\n".join(f"{letter}) {choice}" for letter, choice in zip("ABCD", row["choices"], strict=True))
        yield Ask(f"{row['question']}\n{options}", "generate", source="mmlu")
    for row in rows["truthfulqa"][:200]:
        yield Ask(row["question"], "generate", source="truthfulqa")
    for row in rows["mt_bench"]:
        if row["category"] in {"writing", "roleplay", "stem", "humanities", "reasoning"}:
            yield Ask(row["turns"][0], "generate", source="mt_bench")
        if row["category"] == "coding":
            yield Ask(row["turns"][0], "code", source="mt_bench")
    home = {
        lang: [row for row in rows["home_assistant_intents"] if row["lang"] == lang]
        for lang in ("en", "de", "es", "fr", "nl")
    }
    for row in [*home["en"][:160], *(row for lang in ("de", "es", "fr", "nl") for row in home[lang][:15])]:
        yield Ask(row["text"], "none", source="home")
    for row in home["en"][160:230]:
        yield Ask(row["text"], "call", has_functions=True, source="home functions")
    for row in home["en"][230:250]:
        yield Ask(row["text"], "none", has_files=True, source="home file")


def _intents(sources: Sources, draw: random.Random) -> Iterator[Ask]:
    """Yield requests of the intent sets: most want what no specialist can know or do."""
    counts: dict[str, int] = {}

    def some(intent: str, most: int) -> bool:
        counts[intent] = counts.get(intent, 0) + 1
        return counts[intent] <= most

    for row in sources.train("clinc150"):
        intent = row["intent"]
        if intent in ASKS_GENERATE and some(intent, 12):
            yield Ask(row["text"], "generate", source="clinc")
        elif intent in ASKS_COMPUTED and some(intent, 70):
            yield Ask(row["text"], ASKS_COMPUTED[intent], source="clinc")
        elif intent not in LEFT_OUT and intent not in ASKS_GENERATE and intent not in ASKS_COMPUTED and some(intent, 5):
            yield Ask(row["text"], "none", has_files=draw.random() < 0.1, source="clinc")
    for row in sources.train("hwu64"):
        scenario, intent = row["scenario"], row["intent"]
        if (scenario in HOME_NONE or intent in {"qa_stock", "qa_currency"}) and some(intent, 8):
            yield Ask(row["text"], "none", source="hwu")
        elif intent in {"qa_definition", "cooking_recipe", "general_joke"} and some(intent, 40):
            yield Ask(row["text"], "generate", source="hwu")
        elif intent == "qa_maths" and some(intent, 70):
            yield Ask(row["text"], "calculate", source="hwu")
    for row in sources.train("snips"):
        if row["intent"] not in {"SearchCreativeWork", "RateBook"} and some(row["intent"], 15):
            yield Ask(row["text"], "none", source="snips")


def _passages(sources: Sources, draw: random.Random) -> Iterator[Ask]:
    """Yield the hand-written templates, each around several texts."""
    texts = [row["context"] for row in sources.tuning("xquad") if row["lang"] == "en"]
    texts += [row["text"] for row in sources.tuning("e2e_extraction")[200:260]]
    texts += [" ".join(row["contexts"]) for row in sources.tuning("pubmedqa")[120:180]]
    texts += [row["passage"] for row in sources.tuning("nq_open_rag")[500:600]]
    for template, capability in passage_templates():
        for text in draw.sample(texts, 7):
            cut = draw.choice((70, 150, 300, 700))
            yield Ask(
                template.replace("{passage}", text[:cut]), capability, source="templates", weight=1.5, root=template
            )


def _short_texts(sources: Sources, draw: random.Random) -> Iterator[Ask]:
    """Yield the hand-written requests that carry their text after a colon, around other short texts.

    What is wanted stands before the colon; the text behind it may speak of anything.
    """
    texts = [row["text"] for name in ("clinc150", "banking77", "snips") for row in sources.train(name)[:3000]]
    texts += [row["text"] for row in sources.tuning("e2e_extraction")[260:600]]
    texts += [" ".join(row["tokens"]) for row in sources.train("wnut17")[:600]]
    texts += [" ".join(row["context"].split()[:18]) for row in sources.tuning("xquad") if row["lang"] == "en"]
    for ask in hand_written():
        front, colon, back = ask.text.partition(": ")
        if ask.capability in WITH_TEXT and colon and not ask.has_files and len(back) > 15:
            for text in draw.sample(texts, 6):
                yield Ask(f"{front}: {text}", ask.capability, source="short texts", weight=1.5, root=ask.text)
    places = [row for row in sources.tuning("e2e_extraction")[600:] if len(row["slots"]) > 2]
    for row in places[:100]:
        yield Ask(
            draw.choice(WRAPS["answer"]).format(p=row["text"], q=draw.choice(PLACE_QUESTIONS)),
            "answer",
            source="short texts",
        )


def _twisted(sources: Sources, draw: random.Random) -> Iterator[Ask]:
    """Yield labelled texts asked as classification, free requests beside functions, and gibberish."""
    banking = sources.train("banking77")
    intents = sorted({row["intent"].replace("_", " ") for row in banking})
    for row in banking[:220]:
        labels = [row["intent"].replace("_", " "), *draw.sample(intents, draw.choice((1, 2, 4)))]
        draw.shuffle(labels)
        wrap = draw.choice(WRAPS["classify"])
        yield Ask(wrap.format(p=row["text"], f=_listed(labels, draw)), "classify", source="banking")
    for row in sources.train("wnut17")[:60]:
        yield Ask(f"Which names are mentioned here: {' '.join(row['tokens'])}", "extract", source="wnut")
    for text in (
        "hello",
        "thanks a lot",
        "tell me a joke",
        "write a poem about the sea",
        "good morning",
        "who are you?",
        "explain what an API is",
        "write a short story about a robot",
    ):
        yield Ask(text, "generate", has_functions=True, weight=3.0)
    for _ in range(60):
        words = [
            "".join(draw.choices("bcdfghjklmnpqrstvwxzaeiou0123456789$#", k=draw.randint(2, 9)))
            for _ in range(draw.randint(1, 6))
        ]
        yield Ask(" ".join(words), "none", has_files=draw.random() < 0.2, source="gibberish")


def _strange(rows: Sequence[dict[str, Any]]) -> Iterator[Ask]:
    """Yield the requests that people made up to be out of an assistant's scope."""
    for row in rows:
        if row["intent"] == "oos":
            yield Ask(row["text"], "none", source=STRANGE, weight=STRANGE_WEIGHT, root=row["text"])


def _listed(labels: Sequence[str], draw: random.Random) -> str:
    joined = ", ".join(labels)
    return joined if draw.random() < 0.4 else " or ".join((", ".join(labels[:-1]), labels[-1]))


def _asked(question: str, draw: random.Random) -> str:
    """Search questions come without a question mark; people type both."""
    return f"{question}?" if draw.random() < 0.5 else question
