"""What a JSON Schema refers to, and whether it only ever refers back to itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import cast

from models.errors import ConstraintError
from models.types import Json


def references(value: Json) -> Iterator[str]:
    """Yield every `$ref` inside a schema."""
    for part in _parts(value):
        reference = part.get("$ref")
        if isinstance(reference, str):
            yield reference


def refuse_circles(schema: Mapping[str, Json]) -> None:
    """Raise ConstraintError when a part of the schema is described by itself alone: no value is or is not of that kind.

    A part that holds itself further inside, in `properties` or `items`, is no circle.
    """
    root, done = cast(dict[str, Json], schema), set[int]()
    if any(_returns(part, root, done) for part in _parts(root)):
        raise ConstraintError(
            "The schema refers back to itself where it should say what a value is. Give that part a `type`, and refer "
            "to it from inside its `properties` or `items`."
        )


def _parts(value: Json) -> Iterator[dict[str, Json]]:
    if isinstance(value, dict):
        yield value
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _parts(inner)


def _returns(start: dict[str, Json], root: dict[str, Json], done: set[int]) -> bool:
    """Return whether what must also hold of a value leads back to where it was. `done`: ids of parts where it ends."""
    way, steps = {id(start)}, [(start, iter(_same(start, root)))]
    while steps:
        part, rest = steps[-1]
        after = next((one for one in rest if id(one) not in done), None)
        if after is None:
            steps.pop()
            way.discard(id(part))
            done.add(id(part))
        elif id(after) in way:
            return True
        else:
            way.add(id(after))
            steps.append((after, iter(_same(after, root))))
    return False


def _same(part: dict[str, Json], root: dict[str, Json]) -> list[dict[str, Json]]:
    """Return the parts that must hold of the same value."""
    reference, every = part.get("$ref"), part.get("allOf")
    same = list(every) if isinstance(every, list) else []
    if isinstance(reference, str):
        same.append(_target(reference, root))
    return [one for one in same if isinstance(one, dict)]


def _target(reference: str, root: dict[str, Json]) -> Json:
    """Return the part of that pointer; None where there is none, or it is named in another way."""
    if reference != "#" and not reference.startswith("#/"):
        return None
    found: Json = root
    for name in reference.removeprefix("#").split("/")[1:]:
        found = found.get(name.replace("~1", "/").replace("~0", "~")) if isinstance(found, dict) else None
    return found
