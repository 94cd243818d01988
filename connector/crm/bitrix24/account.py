"""What a portal says of itself and of its people: zone, currency, owner of the access, employees.

Source: Bitrix24 REST docs, pages «profile», «server.time», «user.get», «department.get».
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from connector.crm.bitrix24 import wire
from connector.crm.bitrix24.api import B24Api, Batch
from connector.crm.wild import Malformed, Wild
from connector.domain import AccountInfo, User
from connector.errors import CrmError

#: What a Russian zone is called when the portal tells its offset only; hours east of Greenwich.
ZONES: Final = {
    2: "Europe/Kaliningrad",
    3: "Europe/Moscow",
    4: "Europe/Samara",
    5: "Asia/Yekaterinburg",
    6: "Asia/Omsk",
    7: "Asia/Krasnoyarsk",
    8: "Asia/Irkutsk",
    9: "Asia/Yakutsk",
    10: "Asia/Vladivostok",
    11: "Asia/Magadan",
    12: "Asia/Kamchatka",
}


def account_info(api: B24Api) -> AccountInfo:
    """The portal and whose access this is. The portal's `member_id`, which its webhooks carry, is told to
    applications only; the account id is the portal's host."""
    answers = api.batch(
        {"me": ("profile", {}), "now": ("server.time", {}), "currency": ("crm.currency.base.get", {})}
    )
    host = urlsplit(api.base).hostname or ""
    me, zone_name = answers.read("me", lambda result: (_owner(result), result.text_at("TIME_ZONE")))
    return AccountInfo(
        account_id=host,
        name=host,
        timezone=answers.read("now", lambda now: zone_of(zone_name, now.text()).key),
        currency=_currency(answers),
        user_id=me.id,
        user_name=me.name,
        is_admin=me.is_admin,
    )


def read_users(api: B24Api) -> list[User]:
    """All employees, the dismissed ones too, with their first department; guests of the portal are left out.

    Of administrators only the owner of the access is known to be one: user.get does not tell them.
    """
    owner = api.call("profile", {}, _owner)
    departments = _departments(api)
    rows = api.offset(
        "user.get",
        {"sort": "ID", "order": "ASC"},
        lambda result: result,
        lambda item: (item.text_at("USER_TYPE"), wire.user(item, departments)),
    )
    return [
        replace(user, is_admin=owner.is_admin and user.id == owner.id)
        for kind, user in rows
        if kind in ("employee", "")
    ]


def zone_of(name: str, server_time: str) -> ZoneInfo:
    """The zone called `name`, else the Russian one with the offset of the server's time."""
    try:
        if name:
            return ZoneInfo(name)
        offset = datetime.fromisoformat(server_time).utcoffset() or timedelta()
    except (ZoneInfoNotFoundError, ValueError):
        raise Malformed("result['TIME_ZONE']", "is no time zone") from None
    return ZoneInfo(ZONES.get(round(offset.total_seconds() / 3600), "Europe/Moscow"))


def _departments(api: B24Api) -> Mapping[str, str]:
    """Names by ids; none without the right to read them."""
    try:
        rows = api.offset(
            "department.get",
            {"sort": "ID", "order": "ASC"},
            lambda result: result,
            lambda item: (item["ID"].id(), item.text_at("NAME")),
        )
        return dict(rows)
    except CrmError as error:
        if error.kind != "config":
            raise
        return {}


def _currency(answers: Batch) -> str:
    """The portal's base currency; the rouble where the access may not ask."""
    try:
        return answers.read("currency", Wild.text)
    except CrmError as error:
        if error.kind != "config":
            raise
        return "RUB"


def _owner(profile: Wild) -> User:
    admin = profile.get("ADMIN")
    return replace(wire.user(profile), is_admin=admin is not None and admin.flag())
