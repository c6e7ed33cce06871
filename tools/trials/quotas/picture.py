"""A picture of what was measured, as SVG: for each number of producers a panel with each broker's rate, second by
second, and the limit; below, how much memory it held meanwhile."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tools.trials.quotas.load import Series

WIDTH, PANEL, MEMORY, GAP, LEFT, TOP = 860, 150, 70, 44, 64, 46
COLOURS = {"ottla": "#1a6fb5", "kafka": "#c2571a"}
INK, FAINT = "#333333", "#bbbbbb"


def picture(measured: Mapping[int, Sequence[Series]], limit: float, offered: float, seconds: float) -> str:
    """The whole picture. Rates are bytes a second, times seconds."""
    height = TOP + len(measured) * (PANEL + MEMORY + 2 * GAP)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" '
        f'font-size="12" fill="{INK}">',
        f'<rect width="{WIDTH}" height="{height}" fill="white"/>',
        text(LEFT, 20, f"Producers that offer {offered / 1e6:g} MB/s and may send {limit / 1e6:g} MB/s together", 15),
    ]
    for column, (name, colour) in enumerate(COLOURS.items()):
        parts.append(text(LEFT + 90 * column, 38, f"— {name}", 13, colour))
    at = TOP + 12
    for producers, series in measured.items():
        parts += _panel(at, f"{producers} producer{'s' if producers > 1 else ''}", series, limit, offered, seconds)
        at += PANEL + MEMORY + 2 * GAP
    return "\n".join([*parts, "</svg>", ""])


def _panel(
    top: float, title: str, measured: Sequence[Series], limit: float, offered: float, seconds: float
) -> list[str]:
    most = offered * 1.25
    parts = [text(LEFT, top - 4, f"{title}: MB/s, second by second", 13)]
    parts += _frame(top, PANEL, [(value, f"{value / 1e6:g}") for value in (0.0, limit, offered)], most, seconds)
    for series in measured:
        rates = [(second + 0.5, series.rate(second, 1)) for second in range(int(seconds))]
        parts.append(_line(rates, top, PANEL, most, seconds, COLOURS[series.broker]))
    below = top + PANEL + GAP
    heaviest = max(held for series in measured for _, held in series.memory) * 1.1
    parts.append(text(LEFT, below - 4, "memory of the broker, MB"))
    parts += _frame(below, MEMORY, [(0.0, "0"), (heaviest / 1.1, f"{heaviest / 1.1e6:.0f}")], heaviest, seconds)
    for series in measured:
        held = [(at, float(size)) for at, size in series.memory]
        parts.append(_line(held, below, MEMORY, heaviest, seconds, COLOURS[series.broker]))
    return parts


def _frame(top: float, height: float, marks: Sequence[tuple[float, str]], most: float, seconds: float) -> list[str]:
    """Lines at some values, with what they say, and the seconds below."""
    parts = []
    for value, words in marks:
        y = top + height * (1 - value / most)
        parts.append(f'<line x1="{LEFT}" y1="{y:.1f}" x2="{WIDTH - 20}" y2="{y:.1f}" stroke="{FAINT}"/>')
        parts.append(text(LEFT - 8, y + 4, words, anchor="end"))
    for second in range(0, int(seconds) + 1, 10):
        parts.append(text(_x(second, seconds), top + height + 15, f"{second} s", anchor="middle"))
    return parts


def _line(
    points: Sequence[tuple[float, float]], top: float, height: float, most: float, seconds: float, colour: str
) -> str:
    shown = " ".join(
        f"{_x(at, seconds):.1f},{top + height * (1 - min(value, most) / most):.1f}" for at, value in points
    )
    return f'<polyline points="{shown}" fill="none" stroke="{colour}" stroke-width="1.6"/>'


def _x(second: float, seconds: float) -> float:
    return LEFT + (WIDTH - 20 - LEFT) * second / seconds


def text(x: float, y: float, words: str, size: int = 12, colour: str = INK, anchor: str = "start") -> str:
    """Some words at a place."""
    return f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" fill="{colour}" text-anchor="{anchor}">{words}</text>'
