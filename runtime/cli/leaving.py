"""What `covey ask --dry-run` shows of the hubs: the exact bytes that each would be sent, and what is hidden in them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from hub.consent import Question
from hub.showing import as_sent, differences
from models.types import Json, Request, Tier
from runtime.asking import Ask
from runtime.cli import render
from runtime.node import Node
from runtime.own_hubs import OwnHubs, Preview
from runtime.plan import Given
from runtime.prepare import Prepared


async def previews(node: Node, asked: Ask, prepared: Prepared | None) -> list[Preview]:
    """Return what the hubs that the tier allows would be sent, should this device not be sure."""
    far = node.far
    if prepared is None or prepared.problems or not isinstance(far, OwnHubs):
        return []
    step = prepared.plan.step(prepared.plan.output)
    given = {name: source.value for name, source in step.inputs.items() if isinstance(source, Given)}
    request = Request(step.capability, given, step.label, budget_tokens=step.budget.tokens, seed=asked.seed)
    found = await far.previews(request)
    return [one for one in found if one.hub.place == "home" or asked.ceiling is Tier.HUB]


def as_text(found: Sequence[Preview]) -> Iterator[str]:
    """Yield the lines for people."""
    for one in found:
        yield ""
        if one.letter is None:
            yield f"Should this device not be sure, {one.hub.name} would be sent nothing: {one.why}"
            continue
        letter = one.letter
        cost = f"for at most {letter.most.money:.4f} of your money" if letter.most.money else "free of charge"
        yield (
            f"Should this device not be sure, {one.hub.name} would be sent {len(letter.body)} bytes, {cost}; "
            f"{one.why}. What changes in them:"
        )
        question = Question(letter.wish, letter.before, letter.brief.texts, letter.body, letter.most.money, one.why)
        yield from (f"  {render.harmless(line)}" for line in differences(question))
        yield "The exact bytes:"
        yield as_sent(letter.body)


def as_json(found: Sequence[Preview]) -> list[Json]:
    """Return the same for programs."""
    return [
        {
            "hub": one.hub.name,
            "place": one.hub.place,
            "would_send": one.letter is not None,
            "why": one.why,
            "bytes": len(one.letter.body) if one.letter else 0,
            "body": one.letter.body.decode() if one.letter else None,
            "hidden": one.letter.hidden if one.letter else 0,
            "label": one.letter.label.name.lower() if one.letter else None,
            "most_money": one.letter.most.money if one.letter else 0.0,
        }
        for one in found
    ]
