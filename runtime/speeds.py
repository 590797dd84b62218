"""How fast models run, here and on other devices, learned from real use: never from what anybody says.

`learn` is pure. `Speeds` keeps what was learned in the journal's file, so that the first plan after a
start knows it already.
"""

from __future__ import annotations

from dataclasses import dataclass
from threading import Lock

from runtime.db import Database

WEIGHT = 0.3
"""Share of the newest run in the running averages: a device that got busy or hot is noticed within a few runs."""
LEAST_WRITTEN = 8
LEAST_READ = 32
"""Tokens below which a run says more about the clock than about the model."""
READ_FASTER = 8.0
"""How many times faster a model reads than it writes, where only both together were measured."""
MOST_TPS = 1e6
"""Above it a measurement is a defect."""

HERE = ""
"""This device, as a node id."""


@dataclass(frozen=True, slots=True)
class Speed:
    """Running averages of one model on one device. None: not measured yet."""

    prefill_tps: float | None = None
    decode_tps: float | None = None
    load_s: float | None = None
    runs: int = 0


@dataclass(frozen=True, slots=True)
class Run:
    """What was seen of one answer, by this device's clock."""

    seconds: float
    """From asking to the end."""
    read: int
    """Tokens of the prompt that were new to the model."""
    written: int
    """Tokens of the answer that this run wrote."""
    first_s: float | None = None
    """From asking to the first piece; None when the answer came in one."""
    cold: bool = False
    """Whether the model was loaded for it."""


def learn(speed: Speed, run: Run) -> Speed:
    """Return the averages after one more run.

    >>> learn(Speed(), Run(seconds=3.0, read=100, written=41, first_s=1.0)).decode_tps
    20.0
    """
    prefill, decode, load = speed.prefill_tps, speed.decode_tps, speed.load_s
    if run.first_s is None:
        decode = _mixed(decode, _together(run))
        prefill = prefill if prefill is not None or decode is None else decode * READ_FASTER
        return Speed(prefill, decode, load, speed.runs + 1)
    if run.written >= LEAST_WRITTEN:
        decode = _mixed(decode, _rate(run.written - 1, run.seconds - run.first_s))
    if run.cold:
        known = run.read / prefill if prefill else 0.0
        load = _average(load, max(0.0, run.first_s - known))
    elif run.read >= LEAST_READ:
        prefill = _mixed(prefill, _rate(run.read, run.first_s))
    return Speed(prefill, decode, load, speed.runs + 1)


def _together(run: Run) -> float | None:
    """Return the writing speed of a run of which only the whole time is known."""
    if run.cold or run.written < LEAST_WRITTEN:
        return None
    return _rate(run.written + run.read / READ_FASTER, run.seconds)


def _rate(tokens: float, seconds: float) -> float | None:
    return min(tokens / seconds, MOST_TPS) if seconds > 0 and tokens > 0 else None


def _mixed(known: float | None, newest: float | None) -> float | None:
    return known if newest is None else _average(known, newest)


def _average(known: float | None, newest: float) -> float:
    return newest if known is None else known + WEIGHT * (newest - known)


class Speeds:
    """What was learned, of this device and of others. Both calls may block for the disk; any thread may call."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._known: dict[tuple[str, str], Speed] | None = None
        self._lock = Lock()

    def known(self) -> dict[tuple[str, str], Speed]:
        """Return all that was learned, by node id (empty: this device) and model. Raises JournalError."""
        with self._lock:
            return dict(self._read())

    def observe(self, node: str, model: str, run: Run) -> None:
        """Learn from a run and keep it. Raises JournalError."""
        with self._lock:
            known = self._read()
            learned = known[node, model] = learn(known.get((node, model), Speed()), run)
            with self._database.writing() as db:
                db.execute(
                    "INSERT OR REPLACE INTO speed VALUES (?, ?, ?, ?, ?, ?)",
                    (node, model, learned.prefill_tps, learned.decode_tps, learned.load_s, learned.runs),
                )

    def _read(self) -> dict[tuple[str, str], Speed]:
        if self._known is None:
            with self._database.reading() as db:
                rows = db.execute("SELECT node, model, prefill_tps, decode_tps, load_s, runs FROM speed").fetchall()
            self._known = {(node, model): Speed(*figures) for node, model, *figures in rows}
        return self._known
