"""Curves and strips as the attributes of SVG elements: no style is written into a page. `static/page.js` draws the same."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from eraser.console.throughput import SPARK_POINTS, Point
from eraser.domain.evidence import Extent

COURSE_WIDTH, COURSE_HEIGHT = 1000, 160
STRIP_WIDTH = 1000
LEAST_WIDTH = 3.0
"""Of something bad on the strip: it must be seen on a drive of any size."""


def spark_points(rates: Sequence[float]) -> str:
    """A small curve, 60 wide and 20 high, the newest value at the right."""
    if not rates:
        return ""
    most = max(*rates, 1.0)
    first = SPARK_POINTS - len(rates)
    return " ".join(f"{first + index + 0.5:g},{19 - 18 * rate / most:.1f}" for index, rate in enumerate(rates))


@dataclass(frozen=True, slots=True)
class Course:
    """A whole job's throughput: a curve for writing and one for verifying, each in pieces, and the greatest rate."""

    most: float
    seconds: float
    pieces: tuple[tuple[str, str], ...]
    """(`writing` or `verifying`, points of a polyline)"""


def course(points: Sequence[Point]) -> Course:
    """On a ground of 1000 by 160."""
    most = max((point.rate for point in points), default=0.0)
    seconds = points[-1].at_seconds if points else 0.0
    if most <= 0 or seconds <= 0:
        return Course(0.0, seconds, ())
    pieces: list[tuple[str, list[str]]] = []
    for point in points:
        kind = "verifying" if point.is_verifying else "writing"
        x = COURSE_WIDTH * point.at_seconds / seconds
        y = COURSE_HEIGHT * (1 - point.rate / most)
        if not pieces or pieces[-1][0] != kind:
            pieces.append((kind, []))
        pieces[-1][1].append(f"{x:.1f},{y:.1f}")
    return Course(most, seconds, tuple((kind, " ".join(found)) for kind, found in pieces))


@dataclass(frozen=True, slots=True)
class Mark:
    """A stretch of the strip, by its left edge and width."""

    x: float
    width: float


def marks(extents: Iterable[Extent], capacity_bytes: int) -> tuple[Mark, ...]:
    """Where they lie on the drive; those that would lie on each other at this size are one."""
    found: list[Mark] = []
    for extent in sorted(extents):
        x = STRIP_WIDTH * extent.offset_bytes / max(capacity_bytes, 1)
        width = max(LEAST_WIDTH, STRIP_WIDTH * extent.length_bytes / max(capacity_bytes, 1))
        x = min(x, STRIP_WIDTH - width)
        if found and x <= found[-1].x + found[-1].width:
            found[-1] = Mark(found[-1].x, max(found[-1].width, x + width - found[-1].x))
        else:
            found.append(Mark(x, width))
    return tuple(Mark(round(mark.x, 2), round(mark.width, 2)) for mark in found)
