"""Where everything lies in the picture of a map: stages as boxes, flows as bands, losses below."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

WIDTH, TOP, TALLEST = 1000.0, 58.0, 110.0  # of the drawing and its boxes, in its own units
LEAST = 3.0  # height of a box, and width of a band, of a single journey
BOX = 0.62  # share of a column that the box takes
LIFT, THICKEST_BACK = 26.0, 6.0  # of the arcs of those that went back
LOSSES = 3  # kinds of loss that are named under a stage


class Box(NamedTuple):
    """A stage."""

    x: float
    y: float
    width: float
    height: float
    stage: str
    entered: int
    there: int
    dwell: str
    losses: tuple[str, ...]
    lost_width: float


class Band(NamedTuple):
    """A flow between two stages."""

    path: str
    width: float
    backward: bool
    title: str


class Picture(NamedTuple):
    """A whole map."""

    boxes: list[Box]
    bands: list[Band]
    base: float  # where the boxes stand
    dark: float | None  # width of the unseen part of the bar


def picture(drawn: Mapping[str, Any]) -> Picture:
    """A map of :func:`journeys.maps.draw`, to scale: heights and widths are numbers of journeys."""
    stops = drawn["stages"]
    column = WIDTH / max(1, len(stops))
    most = max((stop["entered"] for stop in stops), default=1)
    base = TOP + TALLEST
    boxes = {
        stop["stage"]: box(stop, round(place * column + column * (1 - BOX) / 2, 1), column, most)
        for place, stop in enumerate(stops)
    }
    names = list(boxes)
    bands = [
        band(boxes, names, flow, most)
        for flow in drawn["flows"]
        if flow["from"] in boxes and flow["to"] in boxes and flow["from"] != flow["to"]
    ]
    dark = drawn["visibility"]["dark_share"]
    return Picture(
        list(boxes.values()),
        sorted(bands, key=lambda each: -each.width),
        base,
        None if dark is None else round(dark * WIDTH, 1),
    )


def box(stop: Mapping[str, Any], x: float, column: float, most: int) -> Box:
    """A stage as a box: as high as many entered it."""
    height = scaled(stop["entered"], most)
    lost = stop["lost"]
    named = [f"{name.replace('_', ' ')} {n:,}" for name, n in list(lost.items())[:LOSSES]]
    dwell = stop["dwell_days"]
    return Box(
        x,
        TOP + TALLEST - height,
        round(column * BOX, 1),
        height,
        stop["stage"],
        stop["entered"],
        stop["open"],
        days(dwell["p50"]) if dwell["n"] else "",
        tuple(named),
        scaled(sum(lost.values()), most) if lost else 0.0,
    )


def band(boxes: Mapping[str, Box], names: list[str], flow: Mapping[str, Any], most: int) -> Band:
    """A flow: forward between the boxes, backward in an arc above them."""
    one, other = boxes[flow["from"]], boxes[flow["to"]]
    backward = names.index(flow["from"]) > names.index(flow["to"])
    width = scaled(flow["count"], most)
    if backward:
        start = (one.x + one.width / 2, one.y)
        end = (other.x + other.width / 2, other.y)
        lift = min(one.y, other.y) - LIFT
        width = min(width, THICKEST_BACK)
        bends = ((start[0], lift), (end[0], lift))
    else:
        start = (one.x + one.width, one.y + one.height / 2)
        end = (other.x, other.y + other.height / 2)
        bend = (end[0] - start[0]) / 2
        bends = ((start[0] + bend, start[1]), (end[0] - bend, end[1]))
    places = " ".join(f"{x:.1f} {y:.1f}" for x, y in (*bends, end))
    path = f"M{start[0]:.1f} {start[1]:.1f} C{places}"
    return Band(path, width, backward, f"{flow['from']} to {flow['to']}: {flow['count']:,}")


def scaled(count: int, most: int) -> float:
    """How high or wide so many journeys are drawn."""
    return round(max(LEAST, TALLEST * count / most), 1)


def days(length: float) -> str:
    """A length that people can read: ``20 min``, ``3 h``, ``4.7 d``."""
    if length < 1 / 24:
        return f"{length * 1440:.0f} min"
    if length < 1:
        return f"{length * 24:.0f} h"
    return f"{length:.1f} d" if length < 10 else f"{length:.0f} d"
