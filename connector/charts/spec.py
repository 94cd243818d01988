"""A chart's specification: read, checked, filled with rows. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from connector.errors import Problem, RenderError

FOLDER = "charts/"
SUFFIX = ".vl.json"
#: Colours and fonts that all charts share.
STYLE = "charts/style.json"

#: More marks than this tell a phone's reader nothing.
MAX_ROWS = 400


@dataclass(frozen=True, slots=True)
class Chart:
    """One chart of a report. `name` is that of its specification; `alt` says in words what it shows.

    rows: column -> text, whole number or exact decimal text is not allowed: a length is a plain number, and
    its caption a text of its own.
    """

    name: str
    title: str
    alt: str
    rows: tuple[Mapping[str, str | int | None], ...]


def filled(chart: Chart, sources: Mapping[str, str]) -> dict[str, Any]:
    """The specification with the chart's rows and title, for the drawing process.

    Raises RenderError when there is no such specification or it is broken.
    """
    name = f"{FOLDER}{chart.name}{SUFFIX}"
    if name not in sources:
        raise RenderError(name, "нет такого графика в папке reports")
    spec, problem = _read(sources[name])
    style, wrong = _read(sources.get(STYLE, "{}"))
    if spec is None or style is None:
        raise RenderError(name if spec is None else STYLE, problem or wrong)
    spec["data"] = {"values": [dict(row) for row in chart.rows[:MAX_ROWS]]}
    spec["title"] = chart.title
    spec["config"] = {**style, **spec.get("config", {})}
    return spec


def check_specs(sources: Mapping[str, str], where: str) -> list[Problem]:
    """Every mistake in the specifications among `sources`. where: the folder, as people know it."""
    problems = []
    for name in sorted(sources):
        if name == STYLE or name.endswith(SUFFIX):
            _, problem = _read(sources[name])
            if problem:
                problems.append(Problem(f"{where}/{name}", problem))
    return problems


def _read(source: str) -> tuple[dict[str, Any] | None, str]:
    """The specification, or what is wrong with it."""
    try:
        spec = json.loads(source)
    except ValueError as error:
        return None, f"это не JSON: {error}"
    if not isinstance(spec, dict):
        return None, "нужен объект JSON в фигурных скобках"
    if place := _address_in(spec):
        return None, f"{place}: график не читает адресов и файлов, данные даёт отчёт"
    return spec, ""


def _address_in(part: Any, path: str = "") -> str:
    """Where the specification asks for an address; "" when nowhere."""
    items: Sequence[tuple[Any, Any]] = ()
    if isinstance(part, dict):
        items = list(part.items())
    elif isinstance(part, list):
        items = list(enumerate(part))
    for key, value in items:
        here = f"{path}.{key}".lstrip(".")
        if key in ("url", "href") or (found := _address_in(value, here)):
            return here if key in ("url", "href") else found
    return ""
