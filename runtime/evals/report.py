"""What a run found, as values: figures with intervals, what they were measured with, and the run's own file."""

from __future__ import annotations

import json
import os
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from models.types import Json
from runtime.evals.errors import RunMissing
from runtime.evals.metrics import share
from runtime.evals.metrics.intervals import Figure, Paired, figure, paired, taking_part, verdict
from runtime.evals.metrics.labels import correct
from runtime.evals.metrics.outcome import Outcome, Rows
from runtime.evals.metrics.share import Point
from runtime.evals.metrics.table import metric
from runtime.evals.run import Run
from runtime.evals.suite import Published, Suite

LEAST_GROUP_ROWS = 5
"""A value of the `by` field with fewer rows gets no figure of its own."""


Confusion = tuple[tuple[str, str, int], ...]
"""Expected label, answered label (`refused` for none), and how many rows; sorted."""
REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Comparison:
    """This run against an earlier one, on the rows that both have."""

    against: str
    metric: str
    paired: Paired
    verdict: str


@dataclass(frozen=True, slots=True)
class Report:
    """One suite, measured."""

    suite: str
    run_id: str
    rows: int
    metrics: Mapping[str, Figure]
    """The headline first."""
    seconds: float
    """Wall time of this run."""
    models: Mapping[str, tuple[str, ...]]
    cached: int = 0
    """Rows whose answer was kept from an earlier run."""
    errors: Mapping[str, int] = field(default_factory=dict)
    first_error: str = ""
    groups: Mapping[str, Figure] = field(default_factory=dict)
    """One metric for each value of the suite's `by` field, or for each of its sources."""
    group_metric: str = ""
    origin: str = ""
    """Which rows: the suite's half of its data, or the file that was given."""
    comparison: Comparison | None = None
    note: str = ""
    confusion: Confusion = ()
    curve: tuple[Point, ...] = ()
    """Quality against the share handed over, where the suite is about that."""
    published: tuple[Published, ...] = ()

    @property
    def marked(self) -> tuple[float, float] | None:
        """The share that Covey hands over with the bounds it has, and the quality that gives; None: not measured."""
        handed, quality = (self.metrics.get(name) for name in ("marked_share", "marked_quality"))
        if handed is None or quality is None or handed.value is None or quality.value is None:
            return None
        return handed.value, quality.value

    def to_json(self) -> dict[str, Json]:
        """Return the object that `--json` prints."""
        out: dict[str, Json] = {
            "suite": self.suite,
            "rows": self.rows,
            "metrics": {name: _figure_json(found) for name, found in self.metrics.items()},
            "seconds": round(self.seconds, 3),
            "models": {model: list(digests) for model, digests in self.models.items()},
            "run_id": self.run_id,
            "origin": self.origin,
            "cached": self.cached,
            "errors": dict(self.errors),
        }
        if self.errors:
            out["first_error"] = self.first_error
        if self.groups:
            out["group_metric"] = self.group_metric
            out["groups"] = {name: _figure_json(found) for name, found in self.groups.items()}
        if self.confusion:
            out["confusion"] = [{"expected": e, "answered": a, "rows": n} for e, a, n in self.confusion]
        if self.curve:
            out["curve"] = [_point_json(point) for point in self.curve]
        if self.note:
            out["note"] = self.note
        if self.comparison:
            out["comparison"] = _comparison_json(self.comparison)
        return out


def report(suite: Suite, run: Run, *, run_id: str, origin: str, against: Path | None = None) -> Report:
    """Return the report of a run. Raises RunMissing where the run to compare with has no such rows."""
    figures = {name: figure(metric(name), run.outcomes, suite.options) for name in suite.metrics}
    return Report(
        suite.name,
        run_id,
        len(run.outcomes),
        figures,
        run.seconds,
        dict(sorted(run.models.items())),
        run.cached,
        dict(run.errors),
        run.first_error,
        _groups(suite, run.outcomes),
        suite.by_metric or suite.headline,
        origin,
        compare(suite, run.outcomes, against) if against else None,
        " ".join([*filter(None, [suite.note]), *share.verdicts(figures)]),
        confusion(run.outcomes) if suite.confusion else (),
        share.points(taking_part(share.rows(run.outcomes, suite.options))) if suite.kind in ("share", "live") else (),
        suite.published,
    )


def confusion(outcomes: Sequence[Outcome]) -> Confusion:
    """Return how often each label was answered for each; a further accepted label counts as the expected one."""
    counts: Counter[tuple[str, str]] = Counter()
    for one in outcomes:
        answered = one.expected if correct(one) else REFUSED if one.answer is None else one.answer
        counts[str(one.expected), str(answered)] += 1
    return tuple((expected, answered, rows) for (expected, answered), rows in sorted(counts.items()))


def compare(suite: Suite, outcomes: list[Outcome], against: Path) -> Comparison:
    """Return this run's headline against an earlier run's. Raises RunMissing."""
    earlier = read_run(against)
    table: dict[str, list[float | None]] | None = earlier["values"].get(suite.headline)
    if table is None:
        raise RunMissing(f"{against} holds no {suite.headline}, so it is no run of {suite.name}. Name another run.")
    mine = metric(suite.headline).rows(outcomes, suite.options)
    places = [place for place, one in enumerate(outcomes) if one.id in table]
    if not places:
        raise RunMissing(f"{against} has none of these rows. Compare with a run on the same rows.")
    other = np.array([table[outcomes[place].id] for place in places], dtype=np.float64)
    found = paired(mine[places], other, metric(suite.headline))
    if found is None:
        raise RunMissing(f"No row counts in both runs. Compare with a run of {suite.name} on the same rows.")
    sentence = verdict(found, suite.margin, higher_is_better=suite.higher_is_better)
    return Comparison(str(earlier["report"]["run_id"]), suite.headline, found, sentence)


def write_run(folder: Path, suite: Suite, made: Report, outcomes: list[Outcome]) -> Path:
    """Keep the report with each row's numbers, for later comparisons; return the file."""
    values = {name: _by_row(outcomes, metric(name).rows(outcomes, suite.options)) for name in suite.metrics}
    answers = [{"id": o.id, "expected": o.expected, "answer": o.answer, "refused": o.refused} for o in outcomes]
    body = {"report": made.to_json(), "values": values, "answers": answers}
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{made.run_id}.json"
    handle, name = tempfile.mkstemp(dir=folder, prefix=".new-")
    with open(handle, "w", encoding="utf-8") as file:
        json.dump(body, file, ensure_ascii=False)
        file.flush()
        os.fsync(file.fileno())
    Path(name).replace(path)
    return path


def read_run(path: Path) -> dict[str, Any]:
    """Return an earlier run. Raises RunMissing."""
    try:
        body = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RunMissing(f"{path} is no run that can be read ({error}). Name a run that `covey eval` kept.") from error
    if not isinstance(body, dict) or not {"report", "values"} <= set(body):
        raise RunMissing(f"{path} is not a run of `covey eval`. Name a run id that it printed, or that run's file.")
    return body


def find_run(name: str, folder: Path) -> Path:
    """Return the file of a run id or of a path. Raises RunMissing."""
    for path in (folder / f"{name}.json", Path(name)):
        if path.is_file():
            return path
    raise RunMissing(f"There is no run {name!r}. Give a run id that `covey eval` printed, or a run's file in {folder}.")


def _groups(suite: Suite, outcomes: list[Outcome]) -> dict[str, Figure]:
    names = sorted({o.group for o in outcomes if o.group})
    parts = {name: [o for o in outcomes if o.group == name] for name in names}
    chosen = metric(suite.by_metric or suite.headline)
    return {name: figure(chosen, part, suite.options) for name, part in parts.items() if len(part) >= LEAST_GROUP_ROWS}


def _by_row(outcomes: list[Outcome], rows: Rows) -> dict[str, list[float | None]]:
    return {
        one.id: [None if np.isnan(number) else float(number) for number in line]
        for one, line in zip(outcomes, rows, strict=True)
    }


def _figure_json(found: Figure) -> dict[str, Json]:
    interval: Json = [round(bound, 5) for bound in found.interval] if found.interval else None
    return {"value": None if found.value is None else round(found.value, 5), "interval": interval, "rows": found.rows}


def _point_json(point: Point) -> dict[str, Json]:
    numbers: dict[str, Json] = {
        "share": point.share,
        "marking": round(point.marking, 5),
        "interval": [round(bound, 5) for bound in point.interval],
        "random": round(point.random, 5),
        "length": round(point.length, 5),
        "oracle": round(point.oracle, 5),
    }
    return numbers


def _comparison_json(found: Comparison) -> dict[str, Json]:
    low, high = found.paired.interval
    return {
        "against": found.against,
        "metric": found.metric,
        "difference": round(found.paired.difference, 5),
        "interval": [round(low, 5), round(high, 5)],
        "p_value": found.paired.p_value,
        "better": found.paired.better,
        "worse": found.paired.worse,
        "rows": found.paired.rows,
        "verdict": found.verdict,
    }
