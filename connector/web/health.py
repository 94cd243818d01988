"""What others than people ask of a web server: whether it and its store are well (a load balancer, a
watchdog), and a picture for the tab (a browser)."""

from __future__ import annotations

from pathlib import Path

from flask import Blueprint, Response, jsonify, send_file
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from connector import __version__
from connector.store.database import Database

ICON = Path(__file__).parent / "static" / "icon.svg"


def health(db: Database) -> Blueprint:
    """The blueprint with `GET /health`, 200 while the store answers and else 503, and the picture."""
    bp = Blueprint("health", __name__)

    @bp.get("/health")
    def check() -> tuple[Response, int]:
        try:
            with db.read() as conn:
                conn.execute(text("SELECT 1"))
        except SQLAlchemyError:
            return jsonify(status="store does not answer", version=__version__), 503
        return jsonify(status="ok", version=__version__), 200

    @bp.get("/favicon.ico")
    def icon() -> Response:
        # Browsers ask for it whatever a page says, and an error each time would fill the log.
        return send_file(ICON, mimetype="image/svg+xml", max_age=86_400)

    return bp
