"""Small drawings in SVG: a course over time, and bars beside each other.

They are part of the page, so they need no script and no file, and their colours are those of the style sheet (classes,
never attributes of style, which the page's content security policy forbids). Each has a title that says in words what
the eye sees, for those who hear the page.
"""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup, escape

WIDTH, HEIGHT = 240, 48
MOST_POINTS = 240
WIDEST_BAR = 40

Point = tuple[float, float]
"""Seconds, and a number."""


def course(points: Sequence[Point], what: str, width: int = WIDTH, height: int = HEIGHT) -> Markup:
    """A number over time, from 0 to its largest value."""
    points = points[-MOST_POINTS:]
    if len(points) < 2:
        return Markup('<span class="quiet">not enough seen yet</span>')
    first, last = points[0][0], points[-1][0]
    most = max(number for _, number in points) or 1.0
    span = max(last - first, 1e-9)
    places = [
        f"{(at - first) / span * width:.1f},{height - 2 - number / most * (height - 4):.1f}" for at, number in points
    ]
    line = " ".join(places)
    title = f"{what}: now {quantity(points[-1][1])}, at most {quantity(most)} in the last {max(span / 60, 1):.0f} min"
    return Markup(
        '<svg class="course" role="img" viewBox="0 0 {w} {h}" width="{w}" height="{h}" preserveAspectRatio="none">'
        '<title>{title}</title><polygon class="area" points="0,{h} {line} {w},{h}"/>'
        '<polyline class="line" points="{line}"/></svg>'
    ).format(w=width, h=height, title=title, line=line)


def bars(numbers: Sequence[tuple[str, float]], what: str, width: int = 480, height: int = 72) -> Markup:
    """Numbers beside each other, each with its name as a title."""
    numbers = numbers[:MOST_POINTS]
    most = max((number for _, number in numbers), default=0) or 1.0
    step = min(width / max(len(numbers), 1), WIDEST_BAR)
    width = round(max(step * len(numbers), 1))
    drawn = [
        Markup('<rect class="bar" x="{}" y="{}" width="{}" height="{}"><title>{}: {}</title></rect>').format(
            f"{index * step:.1f}",
            f"{height - number / most * height:.1f}",
            f"{max(step - 1, 0.5):.1f}",
            f"{number / most * height:.1f}",
            name,
            quantity(number),
        )
        for index, (name, number) in enumerate(numbers)
    ]
    return Markup(
        '<svg class="bars" role="img" viewBox="0 0 {w} {h}" width="{w}" height="{h}"><title>{what}</title>{drawn}</svg>'
    ).format(w=width, h=height, what=what, drawn=Markup("").join(drawn))


def share(part: float, whole: float, what: str) -> Markup:
    """A bar that is filled as far as `part` is of `whole`."""
    filled = 0.0 if whole <= 0 else min(1.0, part / whole) * 120
    return Markup(
        '<svg class="share" role="img" viewBox="0 0 120 10" width="120" height="10"><title>{what}</title>'
        '<rect class="ground" width="120" height="10"/><rect class="bar" width="{filled}" height="10"/></svg>'
    ).format(what=escape(what), filled=f"{filled:.1f}")


def quantity(number: float) -> str:
    """A number in at most four figures: 950, 1.2 k, 3.4 M."""
    for size, unit in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(number) >= size:
            return f"{number / size:.1f} {unit}"
    return f"{number:.0f}" if number == int(number) else f"{number:.1f}"


def size(number: float) -> str:
    """Bytes: 950 B, 1.2 KiB."""
    for power, unit in ((40, "TiB"), (30, "GiB"), (20, "MiB"), (10, "KiB")):
        if number >= 1 << power:
            return f"{number / (1 << power):.1f} {unit}"
    return f"{number:.0f} B"
