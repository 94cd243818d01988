"""What an amoCRM account says of itself: zone, currency, paid options, task types, whose token this is.

Must not know what is done with it.
Source: amoCRM developers' docs, pages «Параметры аккаунта», «Пользователи».
"""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from connector.clock import Clock
from connector.crm.amocrm.api import AmoApi
from connector.crm.amocrm.wire import user
from connector.crm.wild import Malformed, Wild
from connector.domain import AccountInfo
from connector.errors import CrmError

#: How long the account's own settings (zone, currency, paid options) are believed.
SETTINGS_AGE = timedelta(hours=1)

DEFAULT_ZONE = "Europe/Moscow"

#: The built-in task type «Встреча»; an account may have types of its own beside it.
MEETING = 2

_WITH = ("with", "drive_url,datetime_settings,is_api_filter_enabled,task_types")


@dataclass(frozen=True, slots=True)
class Settings:
    """What the account says of itself. `meeting_types`: ids of the task types that are meetings."""

    id: str
    name: str
    user_id: str
    currency: str
    zone: ZoneInfo
    drive_url: str
    is_filterable: bool
    meeting_types: frozenset[int]


class Account:
    """The settings of one account, read at most once in `SETTINGS_AGE`. Safe to share between threads."""

    def __init__(self, api: AmoApi, clock: Clock) -> None:
        self._api = api
        self._clock = clock
        self._lock = threading.Lock()
        self._known: tuple[datetime, Settings] | None = None

    def settings(self, *, fresh: bool = False) -> Settings:
        now = self._clock.now()
        with self._lock:
            if not fresh and self._known is not None and now - self._known[0] < SETTINGS_AGE:
                return self._known[1]
        settings = self._api.one("account", _read_settings, [_WITH])
        if settings is None:
            raise self._api.unexpected("GET /api/v4/account", "no account")
        with self._lock:
            self._known = (now, settings)
        return settings

    def info(self) -> AccountInfo:
        settings = self.settings(fresh=True)
        name, is_admin = self._token_owner(settings.user_id)
        return AccountInfo(
            account_id=settings.id,
            name=settings.name,
            timezone=settings.zone.key,
            currency=settings.currency,
            user_id=settings.user_id,
            user_name=name,
            is_admin=is_admin,
        )

    def _token_owner(self, user_id: str) -> tuple[str, bool]:
        """Name and rights of the token's user. Where users are refused, the list of webhooks tells the
        rights: only an administrator may read it."""
        try:
            owner = self._api.one(f"users/{user_id}", user)
        except CrmError as error:
            if error.kind != "config":
                raise
            owner = None
        if owner is not None:
            return owner.name, owner.is_admin
        try:
            self._api.page("webhooks", "webhooks", lambda item: item["id"].id())
        except CrmError as error:
            if error.kind != "config":
                raise
            return "", False
        return "", True


def _read_settings(item: Wild) -> Settings:
    embedded = item.get("_embedded") or Wild({})
    times = embedded.get("datetime_settings") or Wild({})
    filterable = item.get("is_api_filter_enabled")
    return Settings(
        id=item["id"].id(),
        name=item.text_at("name", "subdomain"),
        user_id=item["current_user_id"].id(),
        currency=item.text_at("currency") or "RUB",
        zone=_zone(times.text_at("timezone") or DEFAULT_ZONE),
        drive_url=item.text_at("drive_url"),
        is_filterable=filterable is not None and filterable.flag(),
        meeting_types=_meeting_types(embedded),
    )


def _meeting_types(embedded: Wild) -> frozenset[int]:
    """The built-in meeting, and the account's own types that people named one."""
    named = re.compile(r"встреч|meeting", re.IGNORECASE)
    own = {
        kind["id"].int()
        for kind in (embedded.get("task_types") or Wild(None)).each()
        if kind.text_at("code").upper() == "MEETING" or named.search(kind.text_at("name"))
    }
    return frozenset({MEETING, *own})


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        raise Malformed("answer['_embedded']['datetime_settings']['timezone']", "is no time zone") from None
