"""Turning a routed request into a plan: which inputs the capability gets, under which marks and bounds.

Plans have one step: on the evidence, chains of small models lose more than they win.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import date

from models.specialist import SpecialistSpec
from models.types import Json, Label, Trust
from runtime.asking import Ask, Source
from runtime.checks import checks_of
from runtime.claims import Claim
from runtime.compile import CLEARANCE, Clearance, furthest
from runtime.errors import UsageError
from runtime.plan import Budget, Given, Plan, Step, StepId, single
from runtime.signatures import SIGNATURES

ONLY = StepId("s1")
"""Name of the step of a plan that has one."""
INLINE = "input"
"""Name that evidence gives to the request's own text."""


def plan(
    ask: Ask,
    claim: Claim,
    *,
    spec: SpecialistSpec,
    sources: Sequence[Source],
    floor: float,
    today: date,
    clearance: Clearance = CLEARANCE,
) -> Plan:
    """Return the plan for a claim. `spec` is the specialist that serves it, `floor` the least confidence.

    `clearance`: the highest label that may reach a tier.

    Raises UsageError when the request lacks an input that the capability needs.
    """
    assert claim.capability is not None
    inputs = assemble(spec.runner, ask, claim, sources, today)
    label = max((ask.label, *(source.label for source in sources)))
    untrusted = any(source.trust is Trust.UNTRUSTED for source in sources) or ask.trust is Trust.UNTRUSTED
    trust = Trust.UNTRUSTED if untrusted else Trust.OWNER
    return single(
        Step(
            id=ONLY,
            capability=claim.capability,
            inputs={name: _marked(name, value, ask, label, trust) for name, value in inputs.items()},
            label=label,
            trust=trust,
            ceiling=furthest(label, ask.ceiling, clearance),
            budget=Budget(ask.budget_tokens, ask.deadline_s),
            floor=floor,
            checks=checks_of(spec.runner, spec.postconditions),
            schema=ask.schema or spec.schema,
        )
    )


def _marked(name: str, value: Json, ask: Ask, label: Label, trust: Trust) -> Given:
    """Only what came along carries the documents' marks; the rest is as private and trusted as what was typed."""
    if name == "documents":
        return Given(value, label, trust)
    return Given(value, ask.label, ask.trust)


def assemble(runner: str, ask: Ask, claim: Claim, sources: Sequence[Source], today: date) -> dict[str, Json]:
    """Return the inputs for a kind of specialist, from the request's words and what came along."""
    made = _ASSEMBLE[runner](ask, claim, sources, today)
    fields = SIGNATURES[runner]
    slots = {name: value for name, value in claim.input.items() if fields.field(name)}
    kept = slots if runner in _BY_CLAIM else {name: value for name, value in slots.items() if name not in made}
    return {**made, **kept, **ask.given}


def _generate(ask: Ask, claim: Claim, sources: Sequence[Source], today: date) -> dict[str, Json]:
    made: dict[str, Json] = {"prompt": _text(ask)}
    if ask.history:
        made["history"] = [turn.to_json() for turn in ask.history]
    if sources:
        made["documents"] = _documents(sources)
    return made


def _answer(ask: Ask, claim: Claim, sources: Sequence[Source], today: date) -> dict[str, Json]:
    return {"question": _text(ask), "documents": _documents(_needed(sources, "answer", "a file to look in"))}


def _extract(ask: Ask, claim: Claim, sources: Sequence[Source], today: date) -> dict[str, Json]:
    inline = claim.input.get("text")
    made: dict[str, Json] = {"text": inline if isinstance(inline, str) else _text(ask)}
    if sources and not inline:
        made = {"text": _joined(sources), "instruction": _text(ask)}
    if ask.schema is not None:
        made["schema"] = dict(ask.schema)
    return made


def _classify(ask: Ask, claim: Claim, sources: Sequence[Source], today: date) -> dict[str, Json]:
    inline = claim.input.get("text")
    if isinstance(inline, str):
        return {"text": inline}
    return {"text": _joined(sources) if sources else _text(ask)}


def _code(ask: Ask, claim: Claim, sources: Sequence[Source], today: date) -> dict[str, Json]:
    text = _text(ask)
    return {"prompt": f"{text}\n\n{_joined(sources)}" if sources else text}


def _call(ask: Ask, claim: Claim, sources: Sequence[Source], today: date) -> dict[str, Json]:
    if not ask.functions and "functions" not in ask.given:
        raise UsageError("`call` needs the functions it may call. Name them in the request, or leave --as away.")
    return {"prompt": _text(ask), "functions": [dict(function) for function in ask.functions]}


def _embed(ask: Ask, claim: Claim, sources: Sequence[Source], today: date) -> dict[str, Json]:
    return {"texts": [source.text for source in sources] or [_text(ask)]}


def _names(ask: Ask, claim: Claim, sources: Sequence[Source], today: date) -> dict[str, Json]:
    return {"text": "\n\n".join(source.text for source in sources) or _text(ask)}


def _rerank(ask: Ask, claim: Claim, sources: Sequence[Source], today: date) -> dict[str, Json]:
    texts = [source.text for source in _needed(sources, "rerank", "files to rank")]
    return {"query": _text(ask), "passages": list(texts)}


def _summarize(ask: Ask, claim: Claim, sources: Sequence[Source], today: date) -> dict[str, Json]:
    inline = claim.input.get("text")
    if isinstance(inline, str):
        return {"documents": [{"name": INLINE, "text": inline}]}
    if not sources:  # `--as summarize` with the text itself
        return {"documents": [{"name": INLINE, "text": _text(ask)}]}
    return {"documents": _documents(sources), "instruction": _text(ask)}


def _calculate(ask: Ask, claim: Claim, sources: Sequence[Source], today: date) -> dict[str, Json]:
    return {"expression": _text(ask)}


def _convert(ask: Ask, claim: Claim, sources: Sequence[Source], today: date) -> dict[str, Json]:
    if not claim.input and not ask.given:
        raise UsageError('`convert` needs a quantity and two units. Ask for example: "5 miles in km".')
    return {}


def _when(ask: Ask, claim: Claim, sources: Sequence[Source], today: date) -> dict[str, Json]:
    return {"question": _text(ask), "today": today.isoformat()}


def _find(ask: Ask, claim: Claim, sources: Sequence[Source], today: date) -> dict[str, Json]:
    documents = _documents(_needed(sources, "find", "a file to search in"))
    quoted = _QUOTED.search(ask.text)
    if quoted is None and claim.stage == "similar":
        raise UsageError("`find` needs to know the words to look for. Put them in quotes.")
    return {"pattern": quoted[1] if quoted else _text(ask), "documents": documents}


def _table(ask: Ask, claim: Claim, sources: Sequence[Source], today: date) -> dict[str, Json]:
    tables = _needed(sources, "table", "a table (CSV)")
    if "query" not in claim.input and "query" not in ask.given:
        raise UsageError(
            "`table` did not understand what to work out. Name the columns as the table does, for example: "
            '"Who has the highest score?" or "What is the average score per class?"'
        )
    return {"documents": [{"name": source.name, "text": source.raw or source.text} for source in tables]}


def _filetype(ask: Ask, claim: Claim, sources: Sequence[Source], today: date) -> dict[str, Json]:
    if len(ask.files) != 1:
        raise UsageError("`filetype` looks at exactly one file. Give it with --file.")
    return {"path": str(ask.files[0].absolute())}


_Assemble = Callable[[Ask, Claim, Sequence[Source], date], dict[str, Json]]
_ASSEMBLE: Mapping[str, _Assemble] = {
    "generate": _generate,
    "answer": _answer,
    "extract": _extract,
    "classify": _classify,
    "code": _code,
    "call": _call,
    "embed": _embed,
    "names": _names,
    "rerank": _rerank,
    "summarize": _summarize,
    "calculate": _calculate,
    "convert": _convert,
    "when": _when,
    "find": _find,
    "table": _table,
    "filetype": _filetype,
}
_QUOTED = re.compile(r"[\"'“‘«]([^\"'“”‘’«»\n]{1,200})[\"'”’»]")
_BY_CLAIM = frozenset({"calculate", "convert", "when", "find", "table"})
"""Kinds whose claim has read the slots from the request: these win over the whole text."""


def reads_files(runner: str) -> bool:
    """Return whether the texts of the files are needed; a file's type is told from the file itself."""
    return runner != "filetype"


def _text(ask: Ask) -> str:
    text = ask.text.strip()
    if not text:
        raise UsageError("There is nothing to do: the request is empty. Write what you want after `covey ask`.")
    return text


def _documents(sources: Sequence[Source]) -> list[Json]:
    return [source.to_json() for source in sources]


def _joined(sources: Sequence[Source]) -> str:
    if len(sources) == 1:
        return sources[0].text
    return "\n\n".join(f"{source.name}:\n{source.text}" for source in sources)


def _needed(sources: Sequence[Source], capability: str, what: str) -> Sequence[Source]:
    if not sources:
        raise UsageError(f"`{capability}` needs {what}. Give it with --file, or pipe the text in.")
    return sources
