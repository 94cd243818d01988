"""One file as an answer, with a name that may be Russian."""

from __future__ import annotations

import io

from flask import Response, send_file


def file_response(content: bytes, mime_type: str, name: str, *, inline: bool = False) -> Response:
    """The file, shown by the browser (`inline`) or saved by it; never kept in a cache."""
    response = send_file(io.BytesIO(content), mime_type, as_attachment=not inline, download_name=name)
    response.headers["Cache-Control"] = "no-store"
    return response
