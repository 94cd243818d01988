"""Pictures of charts, drawn in a process of their own that ends with the report.

The drawing library brings a JavaScript engine: it costs 100 MB and most of a second to start, and what it
reserves cannot be limited as a render process is. So it lives as long as one report's charts, and no longer.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from connector.charts.spec import Chart, filled
from connector.documents.protocol import unpack
from connector.errors import RenderError

#: For all charts of one report.
WALL_S = 60.0

_OURS = str(Path(__file__).parents[2])


@dataclass(frozen=True, slots=True)
class Picture:
    """One chart drawn. `png` has two pixels for one of the specification, for sharp text on a phone."""

    name: str
    title: str
    alt: str
    png: bytes
    svg: str


def draw(charts: Sequence[Chart], sources: Mapping[str, str], fonts: Mapping[str, bytes]) -> list[Picture]:
    """Pictures of the charts, in their order. sources, fonts: files of the kit by name.

    Raises RenderError for a mistake in a specification and for charts beyond the limits.
    """
    if not charts:
        return []
    specs = [filled(chart, sources) for chart in charts]
    with tempfile.TemporaryDirectory(prefix="connector-charts-") as folder:
        for name, content in fonts.items():
            (Path(folder) / Path(name).name).write_bytes(content)
        drawn = _ask(json.dumps(specs, ensure_ascii=False).encode(), folder, charts)
    pictures = []
    for chart, answer in zip(charts, drawn, strict=True):
        if "error" in answer:
            raise RenderError(f"charts/{chart.name}.vl.json", answer["error"])
        png, svg = unpack(answer["png"]), answer["svg"]
        pictures.append(Picture(chart.name, chart.title, chart.alt, png, svg))
    return pictures


def _ask(specs: bytes, folder: str, charts: Sequence[Chart]) -> list[dict[str, str]]:
    environment = {key: os.environ[key] for key in ("PATH", "SYSTEMROOT") if key in os.environ}
    paths = [_OURS, *(path for path in sys.path if path and path != _OURS)]
    try:
        done = subprocess.run(
            [sys.executable, "-m", "connector.charts.draw_worker"],
            input=specs,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**environment, "PYTHONPATH": os.pathsep.join(paths), "HOME": folder, "LANG": "C.UTF-8"},
            cwd=folder,
            timeout=WALL_S,
            start_new_session=True,
            check=True,
        )
        answers: list[dict[str, str]] = json.loads(done.stdout)
    except (subprocess.SubprocessError, OSError, ValueError):
        names = ", ".join(chart.name for chart in charts)
        raise RenderError(f"charts ({names})", "графики не уложились в предел времени или памяти") from None
    return answers
