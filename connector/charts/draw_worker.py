"""The drawing process: specifications as JSON in, pictures as JSON out, then it ends.

It runs in a folder that holds the fonts, with no setting of ours; specifications may not name an address.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from connector.documents.protocol import pack

#: Seconds on the processor, for all charts.
CPU_S = 40
#: What it may really use; the engine reserves far more than that and never touches it.
DATA_BYTES = 2 * 1024 * 1024 * 1024

#: Numbers and dates on the axes, as Russian readers write them.
NUMBERS = {"decimal": ",", "thousands": "\u00a0", "grouping": [3], "currency": ["", "\u00a0₽"]}


def main() -> None:
    """Draw everything that stands on the standard input."""
    _limit()
    import vl_convert

    vl_convert.register_font_directory(".")
    answers = [_drawn(vl_convert, spec) for spec in json.loads(sys.stdin.buffer.read())]
    sys.stdout.write(json.dumps(answers))


def _drawn(engine: Any, spec: dict[str, Any]) -> dict[str, str]:
    given = {"allowed_base_urls": [], "format_locale": NUMBERS}
    try:
        png = engine.vegalite_to_png(spec, scale=2, **given)
        return {"png": pack(png), "svg": engine.vegalite_to_svg(spec, **given)}
    except ValueError as error:
        # Of a long JavaScript trace the first line tells what is wrong with the specification.
        return {"error": f"график не рисуется: {str(error).strip().splitlines()[0][:200]}"}


def _limit() -> None:
    if sys.platform == "win32":
        return
    import resource

    resource.setrlimit(resource.RLIMIT_CPU, (CPU_S, CPU_S))
    resource.setrlimit(resource.RLIMIT_DATA, (DATA_BYTES, DATA_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


if __name__ == "__main__":
    main()
