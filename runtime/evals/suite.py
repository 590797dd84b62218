"""A suite as data: which rows, how each becomes a request, what is expected, which metrics.

Suites are TOML files: those of Covey lie in `runtime/evals/suites/`, the owner's own in the folder
`evals/suites` of Covey's home. A suite of the owner replaces Covey's of the same name.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from runtime.evals.errors import SuiteError
from runtime.evals.metrics.risk import RIGHT
from runtime.evals.metrics.table import known, metric
from runtime.evals.wrap import READERS

BUILT_IN = Path(__file__).parent / "suites"
DEFAULT_LIMIT = 200
"""Rows: minutes, not hours, where each row asks a text model."""

Kind = Literal["each", "retrieve", "head", "route", "redact", "share", "live"]
QUICK_ROWS: Mapping[Kind, int] = {
    "each": 6,
    "retrieve": 30,
    "head": 200,
    "route": 200,
    "redact": 50,
    "share": 200,
    "live": 6,
}
"""Rows of a quick look at a suite: with all suites together under ten minutes on two cores."""

QUALITY = "quality"
"""Option of a `live` suite: the metric by which an answer is judged, row by row."""

_STRICT = ConfigDict(extra="forbid")
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,63}$")]


@dataclass(frozen=True, slots=True, config=_STRICT)
class Source:
    """Rows of one data set, and what is asked with each of them."""

    data: str
    """Folder under COVEY_DATA, or a `.jsonl` file beside the suite."""
    expect: Any
    """Template of the expected value."""
    input: dict[str, Any]
    """Template of the specialist's input."""
    file: str = "dev"
    where: dict[str, Any] | None = None
    """Only rows whose fields have these values."""
    limit: int | None = None
    """Most rows from this source."""
    group: str = ""
    """Reported apart under this name; a suite with several sources tells them apart by it."""
    also: str = ""
    """Field with further accepted values, where a row has it."""
    tests: str = ""
    """Template of a program that checks the answer; `<<answer>>` is replaced by the answer before it is run."""


@dataclass(frozen=True, slots=True, config=_STRICT)
class Retrieval:
    """How a query finds its passage: the pool is what all rows of the file expect."""

    prefix: str = ""
    """Put before the query, where the embedder was trained with one."""
    rerank: Annotated[int, Field(ge=0, le=100)] = 0
    """How many of the nearest are reranked; 0 leaves the order of the vectors."""
    depth: Annotated[int, Field(ge=1, le=1000)] = 100
    """How many are kept in order."""


@dataclass(frozen=True, slots=True, config=_STRICT)
class Head:
    """A classifier over sentence vectors, fitted on rows that are never reported."""

    name: str
    text: str = "text"
    label: str = "label"
    """Field of the label in the training rows."""
    file: str = "train"
    none: str = ""
    """The training label that means 'none of them'."""
    each: Annotated[int, Field(ge=0)] = 0
    """Most training rows of a label, the first ones; 0 takes all."""
    words: Annotated[int, Field(ge=0, le=65536)] = 0
    """Places for hashed words beside the vector (models/heads/wording.py)."""
    word_weight: float = 0.0


@dataclass(frozen=True, slots=True, config=_STRICT)
class Published:
    """What others say of their own way to choose, on their own rows."""

    share: Annotated[float, Field(ge=0, le=1)]
    """Handed over."""
    of_all: Annotated[float, Field(ge=0, le=1)]
    """Quality, as a share of the stronger model's."""
    words: str
    """Whose figure it is, and where it stands."""


@dataclass(frozen=True, slots=True, config=_STRICT)
class Suite:
    """One thing that is measured."""

    name: Name
    summary: str
    """One sentence for people."""
    capability: str
    sources: tuple[Source, ...]
    metrics: Annotated[tuple[str, ...], Field(min_length=1)]
    """Names from the table of metrics; the first is the headline."""
    licence: str
    """Of the data."""
    kind: Kind = "each"
    """`each`: a request a row; `retrieve`: a pool of passages; `head`: a fitted head; `route`: the router; `redact`:
    what would be hidden before a text leaves; `share`: what is gained by handing hard requests to a stronger model, on
    recorded outcomes; `live`: the same with this device and its hub, which is asked every row."""
    half: Literal["reporting", "tuning", "all"] = "reporting"
    limit: int | None = DEFAULT_LIMIT
    """Rows by default; absent means 200, 0 means all."""
    reader: str = "as_is"
    """How the scored value is taken out of the output."""
    by: str = ""
    """Field whose values are also reported apart."""
    by_metric: str = ""
    """The metric that is; empty means the headline."""
    confusion: bool = False
    """Report which label was answered for which, each pair counted; for suites of few labels."""
    retrieval: Retrieval | None = None
    head: Head | None = None
    needs: tuple[str, ...] = ()
    """Programs that must be on the device, for example `bwrap`."""
    options: dict[str, Any] = Field(default_factory=dict)
    """For the metrics: the out-of-scope label, `k`, accepted types."""
    margin: Annotated[float, Field(gt=0, lt=1)] = 0.02
    """Largest loss that still counts as 'not worse' in a comparison, in units of the headline metric."""
    note: str = ""
    """What a reader of the figure must know."""
    published: tuple[Published, ...] = ()
    """Figures of others, drawn beside a curve."""

    @property
    def headline(self) -> str:
        return self.metrics[0]

    @property
    def higher_is_better(self) -> bool:
        return metric(self.headline).higher_is_better


_ADAPTER: TypeAdapter[Suite] = TypeAdapter(Suite)


def read_suite(path: Path) -> Suite:
    """Return the suite in a TOML file. Raises SuiteError naming the file and the field."""
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
        suite = _ADAPTER.validate_python(data)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"]) or "(top)"
        raise SuiteError(f"{path}: field {field}: {first['msg']}. Correct the field and try again.") from error
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SuiteError(f"{path}: {error}. Correct the file and try again.") from error
    _check(suite, path)
    return suite


def _check(suite: Suite, path: Path) -> None:
    for name in (*suite.metrics, suite.by_metric or suite.headline):
        if not known(name):
            raise SuiteError(f"{path}: there is no metric {name!r}. Use one that `covey eval --list` shows.")
    if suite.options.get("correct", "accuracy") not in RIGHT:
        raise SuiteError(f"{path}: field options.correct: use one of {', '.join(RIGHT)}.")
    if suite.reader not in READERS:
        raise SuiteError(f"{path}: there is no reader {suite.reader!r}. Use one of {', '.join(sorted(READERS))}.")
    if suite.kind == "retrieve" and suite.retrieval is None:
        raise SuiteError(f"{path}: a suite of kind 'retrieve' needs a [retrieval] table. Add it.")
    if suite.kind == "head" and suite.head is None:
        raise SuiteError(f"{path}: a suite of kind 'head' needs a [head] table. Add it.")
    if suite.kind == "live" and not known(str(suite.options.get(QUALITY, ""))):
        raise SuiteError(f"{path}: a suite of kind 'live' needs a metric in options.{QUALITY}. Name one.")
    if not suite.sources:
        raise SuiteError(f"{path}: the suite names no [[sources]]. Add the data set it runs on.")


def suite_files(own: Path) -> dict[str, Path]:
    """Return suite name to file, the owner's own folder winning over the built-in one."""
    found = {path.stem: path for path in sorted(BUILT_IN.glob("*.toml"))}
    found.update({path.stem: path for path in sorted(own.glob("*.toml"))})
    return found


def find_suite(name: str, own: Path) -> Suite:
    """Return the suite of that name. Raises SuiteError."""
    files = suite_files(own)
    if name not in files:
        raise SuiteError(f"There is no suite {name!r}. Choose one of {', '.join(sorted(files))}.")
    return read_suite(files[name])
