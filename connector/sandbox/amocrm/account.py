"""Read-mostly tables of the account: itself, users, roles, pipelines, statuses, loss reasons, sources.

Source: reference 4.7, 4.8, 4.9, 4.16.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import NAMESPACE_URL, uuid5
from zoneinfo import ZoneInfo

from connector.sandbox.amocrm.request import Call
from connector.sandbox.amocrm.wire import Reply, hal
from connector.sandbox.amocrm.world import Route, World

TASK_TYPES = ((1, "Связаться", "FOLLOW_UP"), (2, "Встреча", "MEETING"))
#: The group that every account has; whoever is in no team is in it.
GROUP: dict[str, Any] = {"id": 0, "name": "Отдел продаж", "uuid": None}
_FIRST_GROUP_ID = 481_000


def groups(world: World) -> dict[str, dict[str, Any]]:
    """The groups beside `GROUP`, by their names."""
    return {
        name: {"id": _FIRST_GROUP_ID + number, "name": name, "uuid": stable_uuid(world, f"group/{name}")}
        for name, number in world.portal.teams().items()
    }


_CASES = ("default", "genitive", "dative", "accusative", "instrumental", "prepositional")


def _forms(*words: str) -> dict[str, str]:
    return dict(zip(_CASES, words, strict=False))


#: What the account calls its leads; the documents show another word in the same shape.
ENTITY_NAMES: dict[str, Any] = {
    "leads": {
        "ru": {
            "gender": "f",
            "plural_form": _forms("сделки", "сделок", "сделкам", "сделки", "сделками", "сделках"),
            "singular_form": _forms("сделка", "сделки", "сделке", "сделку", "сделкой", "сделке"),
        },
        "en": {"singular_form": _forms("lead"), "plural_form": _forms("leads"), "gender": "f"},
        "es": {"singular_form": _forms("acuerdo"), "plural_form": _forms("acuerdos"), "gender": "m"},
    }
}


def stable_uuid(world: World, what: str) -> str:
    """A UUID that is the same on every start."""
    return str(uuid5(NAMESPACE_URL, f"amocrm/{world.account_id}/{what}"))


def account(world: World, call: Call) -> Reply:
    with_ = call.with_
    body: dict[str, Any] = {
        "id": world.account_id,
        "name": world.portal.name,
        "subdomain": world.subdomain,
        "current_user_id": call.user_id,
        "country": "RU",
        "currency": world.portal.currency,
        "currency_symbol": "₽",
        "customers_mode": world.customers_mode,
        "is_unsorted_on": True,
        "is_loss_reason_enabled": True,
        "is_helpbot_enabled": False,
        "is_technical_account": False,
        "contact_name_display_order": 1,
    }
    optional: dict[str, Any] = {
        "amojo_id": stable_uuid(world, "amojo"),
        "uuid": stable_uuid(world, "account"),
        "drive_url": world.base_url,
        "version": 16,
        "is_api_filter_enabled": world.switches.filters_paid,
        "entity_names": ENTITY_NAMES,
        "invoices_settings": {"lang": "ru", "invoices_catalog_id": None},
    }
    body |= {key: value for key, value in optional.items() if key in with_}
    body["_links"] = world.link("/api/v4/account")
    embedded = {key: value for key, value in _account_embedded(world).items() if key in with_}
    if embedded:
        body["_embedded"] = embedded
    return hal(body)


def _account_embedded(world: World) -> dict[str, Any]:
    offset = datetime.now(ZoneInfo(world.portal.timezone)).strftime("%z")
    return {
        "amojo_rights": {"can_direct": True, "can_create_groups": True},
        "users_groups": [GROUP, *groups(world).values()],
        "task_types": [
            {"id": i, "name": name, "color": None, "icon_id": None, "code": code}
            for i, name, code in TASK_TYPES
        ],
        "datetime_settings": {
            "date_pattern": "d.m.Y H:i",
            "short_date_pattern": "d.m.Y",
            "short_time_pattern": "H:i",
            "date_formant": "d.m.Y",
            "time_format": "H:i:s",
            "timezone": world.portal.timezone,
            "timezone_offset": f"{offset[:3]}:{offset[3:]}",
        },
    }


ROUTES = [
    Route("GET", "/api/v4/account", account),
]
