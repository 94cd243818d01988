"""Whether this process and its store are well, for a load balancer or a watchdog."""

from __future__ import annotations

from flask import Blueprint, Response, jsonify
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from connector import __version__
from connector.store.database import Database


def health(db: Database) -> Blueprint:
    """The blueprint with `GET /health`: 200 while the store answers, else 503."""
    bp = Blueprint("health", __name__)

    @bp.get("/health")
    def check() -> tuple[Response, int]:
        try:
            with db.read() as conn:
                conn.execute(text("SELECT 1"))
        except SQLAlchemyError:
            return jsonify(status="store does not answer", version=__version__), 503
        return jsonify(status="ok", version=__version__), 200

    return bp
