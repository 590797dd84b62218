"""Draws a curve of quality against hub share as an SVG: plain text, no library, the same bytes for the same figures."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from runtime.evals.metrics.share import Point
from runtime.evals.suite import Published

WIDTH, HEIGHT = 720, 440
LEFT, RIGHT, TOP, BOTTOM = 64, 150, 44, 52
"""Room for the labels at each side."""
MARGIN = 0.06
"""Of the range of qualities, above and below."""
MARKING, ORACLE, LENGTH, RANDOM, OTHERS = "#0b57a4", "#2e7d32", "#b26a00", "#777777", "#9c27b0"
MARKED = "#c2185b"
LINE_PIXELS = 15
"""Between two lines of the legend."""

Places = list[tuple[float, float]]


def drawn(
    title: str,
    curve: Sequence[Point],
    published: Sequence[Published] = (),
    *,
    marked: tuple[float, float] | None = None,
) -> str:
    """Return the SVG. The curve has at least two points. `marked`: share and quality of what is marked as it stands."""
    plot = _Plot(_range(curve, published, marked))
    others = [(one.share, one.of_all * curve[-1].random) for one in published]
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" '
        'font-family="sans-serif" font-size="12">',
        f"<title>{escape(title)}</title>",
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>',
        _text(LEFT, 22, title, size=15),
        *plot.axes(),
        plot.band(curve),
        plot.line([(p.share, p.random) for p in curve], RANDOM, dashes="6 4"),
        plot.line([(p.share, p.length) for p in curve], LENGTH, dashes="2 3"),
        plot.line([(p.share, p.oracle) for p in curve], ORACLE),
        plot.line([(p.share, p.marking) for p in curve], MARKING, width=2.5),
        *plot.ends(curve),
        *(plot.diamond(place) for place in others),
        *([plot.dot(marked)] if marked else []),
        *_legend(published=bool(published), marked=marked is not None),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _range(
    curve: Sequence[Point], published: Sequence[Published], marked: tuple[float, float] | None
) -> tuple[float, float]:
    values = [v for p in curve for v in (p.marking, *p.interval, p.random, p.length, p.oracle)]
    values += [one.of_all * curve[-1].random for one in published]
    values += [marked[1]] if marked else []
    low, high = min(values), max(values)
    room = max(high - low, 0.01) * MARGIN
    return low - room, high + room


class _Plot:
    """From shares and qualities to places on the page."""

    def __init__(self, qualities: tuple[float, float]) -> None:
        self._low, self._high = qualities

    def place(self, share: float, quality: float) -> tuple[float, float]:
        x = LEFT + share * (WIDTH - LEFT - RIGHT)
        y = TOP + (self._high - quality) / (self._high - self._low) * (HEIGHT - TOP - BOTTOM)
        return round(x, 1), round(y, 1)

    def axes(self) -> list[str]:
        out = []
        for n in range(6):
            share, quality = n / 5, self._low + n / 5 * (self._high - self._low)
            x, _ = self.place(share, self._low)
            _, y = self.place(0, quality)
            out.append(f'<path d="M{x} {TOP}V{HEIGHT - BOTTOM}M{LEFT} {y}H{WIDTH - RIGHT}" stroke="#e4e4e4"/>')
            out.append(_text(x, HEIGHT - BOTTOM + 18, f"{share:.0%}", anchor="middle"))
            out.append(_text(LEFT - 8, y + 4, f"{100 * quality:.1f}", anchor="end"))
        out.append(_text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 12, "share asked at the hub", anchor="middle"))
        out.append(_text(LEFT - 56, TOP - 10, "quality, %"))
        return out

    def line(self, points: Places, colour: str, *, width: float = 1.5, dashes: str = "") -> str:
        places = " ".join(f"{x},{y}" for x, y in (self.place(*point) for point in points))
        dashed = f' stroke-dasharray="{dashes}"' if dashes else ""
        return f'<polyline points="{places}" fill="none" stroke="{colour}" stroke-width="{width}"{dashed}/>'

    def band(self, curve: Sequence[Point]) -> str:
        there = [self.place(p.share, p.interval[1]) for p in curve]
        back = [self.place(p.share, p.interval[0]) for p in reversed(curve)]
        places = " ".join(f"{x},{y}" for x, y in [*there, *back])
        return f'<polygon points="{places}" fill="{MARKING}" fill-opacity="0.12"/>'

    def ends(self, curve: Sequence[Point]) -> list[str]:
        x, y = self.place(0, curve[0].random)
        right, top = self.place(1, curve[-1].random)
        return [
            f'<circle cx="{x}" cy="{y}" r="4" fill="{RANDOM}"/><circle cx="{right}" cy="{top}" r="4" fill="{RANDOM}"/>',
            _text(x + 8, y + 14, f"all here {100 * curve[0].random:.1f}"),
            _text(right + 8, top + 4, f"all hub {100 * curve[-1].random:.1f}"),
        ]

    def diamond(self, point: tuple[float, float]) -> str:
        x, y = self.place(*point)
        return f'<path d="M{x} {round(y - 6, 1)}l6 6l-6 6l-6 -6z" fill="{OTHERS}"/>'

    def dot(self, point: tuple[float, float]) -> str:
        x, y = self.place(*point)
        return f'<circle cx="{x}" cy="{y}" r="6" fill="#ffffff" stroke="{MARKED}" stroke-width="3"/>'


def _legend(*, published: bool, marked: bool) -> list[str]:
    entries = [("marking, 95 %", MARKING), ("oracle", ORACLE), ("longest first", LENGTH), ("at random", RANDOM)]
    entries += [("published by others", OTHERS)] if published else []
    entries += [("as Covey marks now", MARKED)] if marked else []
    x, out = WIDTH - RIGHT + 10, []
    for n, (words, colour) in enumerate(entries):
        y = HEIGHT - BOTTOM - 8 - n * LINE_PIXELS
        out.append(f'<rect x="{x}" y="{y - 8}" width="10" height="8" fill="{colour}"/>')
        out.append(_text(x + 14, y, words, size=11))
    return out


def _text(x: float, y: float, words: str, *, anchor: str = "start", size: int = 12) -> str:
    return f'<text x="{x}" y="{y}" text-anchor="{anchor}" font-size="{size}">{escape(words)}</text>'
