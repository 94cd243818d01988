"""Payload-first checks: a recorded delivery is read from `tests/fixtures/<crm>/` and parsed."""

from __future__ import annotations

from pathlib import Path

from connector.crm.amocrm.webhook import parse_webhook as parse_amocrm
from connector.crm.base import WebhookBody
from connector.crm.bitrix24.webhook import parse_webhook as parse_bitrix24
from connector.domain import EventKind

FIXTURES = Path(__file__).parent.parent / "fixtures"
PARSERS = {"amocrm": parse_amocrm, "bitrix24": parse_bitrix24}
TYPES = {".form": "application/x-www-form-urlencoded", ".json": "application/json"}


def hook_files(crm: str) -> list[Path]:
    """All recorded deliveries of one CRM."""
    return sorted(path for path in (FIXTURES / crm).iterdir() if path.suffix in TYPES)


def read_hook(path: Path) -> WebhookBody:
    return PARSERS[path.parent.name](path.read_bytes(), TYPES[path.suffix])


def check_webhook(crm: str, name: str, expect: list[tuple[EventKind, str]]) -> WebhookBody:
    """Parse the delivery called `name` and compare its events with (kind, id) pairs."""
    path = next(path for path in hook_files(crm) if path.stem == name)
    body = read_hook(path)
    assert [(event.kind, event.entity_id) for event in body.events] == expect
    return body
