"""Reports of ours in a portal: a person's messages, or the live feed of a department. Must not know figures.

A report goes to an employee (his number), or into the feed to all («UA»), to a group («SG3») or a department
(«DR1»). Source: Bitrix24 REST docs, pages «im.message.add», «im.notify.system.add», «log.blogpost.add»,
«log.blogpost.get».
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Final

from connector.crm.bitrix24 import disk
from connector.crm.bitrix24.api import B24Api
from connector.crm.bitrix24.timeline import CLOCK_SKEW
from connector.crm.wild import Wild
from connector.domain import CrmFile

#: Who «owns» our notifications: a tag works for a webhook only together with this.
CLIENT_ID: Final = "connector"

EVERYBODY: Final = "UA"

#: Recipients of the live feed, as it names them.
_FEED: Final = re.compile(r"UA|(U|SG|DR)[0-9]{1,18}")


def post_report(
    api: B24Api,
    title: str,
    text: str,
    *,
    to: str,
    files: Sequence[CrmFile],
    may_exist: bool,
    since: datetime,
) -> str:
    """The id of the message or post. With `may_exist` one of that title from `since` on is taken for ours."""
    earliest = since - CLOCK_SKEW
    if _FEED.fullmatch(to):
        return _to_feed(api, title, text, to, files, earliest if may_exist else None)
    return _to_person(api, title, text, to, files, earliest, may_exist=may_exist)


def _to_person(
    api: B24Api,
    title: str,
    text: str,
    to: str,
    files: Sequence[CrmFile],
    earliest: datetime,
    *,
    may_exist: bool,
) -> str:
    """A message in the person's chat with the whole text, then a notification.

    A notification with a tag takes the place of its earlier copy, so it may be repeated. Files go onto the
    person's drive and the message links them; without the right to the drive their names stand there.
    """
    message_id = _find_message(api, to, title, earliest) if may_exist else None
    if message_id is None:
        message = f"[B]{title}[/B]\n\n{text}"
        if files:
            message += f"\n\nФайлы отчёта: {_links(api, to, files, earliest, may_exist=may_exist)}"
        message_id = api.write(
            "im.message.add", {"DIALOG_ID": to, "MESSAGE": message, "URL_PREVIEW": "N"}, Wild.id
        )
    tag = hashlib.sha256(f"{to}|{title}".encode()).hexdigest()[:32]
    api.write(
        "im.notify.system.add",
        {
            "USER_ID": int(to),
            "MESSAGE": f"Готов отчёт: {title}. Текст – в личных сообщениях.",
            "TAG": f"CONNECTOR|REPORT|{tag}",
            "CLIENT_ID": CLIENT_ID,
        },
        lambda answer: answer,
        repeatable=True,
    )
    return message_id


def _links(api: B24Api, to: str, files: Sequence[CrmFile], earliest: datetime, *, may_exist: bool) -> str:
    stored = disk.put(api, to, files, may_exist=may_exist, since=earliest)
    if stored is None:
        return ", ".join(file.name for file in files)
    return ", ".join(f"[URL={one.url}]{one.name}[/URL]" if one.url else one.name for one in stored)


def _to_feed(
    api: B24Api, title: str, text: str, to: str, files: Sequence[CrmFile], earliest: datetime | None
) -> str:
    known = _find_post(api, to, title, earliest) if earliest is not None else None
    if known is not None:
        return known
    params: dict[str, object] = {"POST_TITLE": title, "POST_MESSAGE": text, "DEST": [to]}
    if files:
        params["FILES"] = [[file.name, base64.b64encode(file.content).decode()] for file in files]
    return api.write("log.blogpost.add", params, Wild.id)


def _find_message(api: B24Api, user_id: str, title: str, earliest: datetime) -> str | None:
    """Our message among the latest 50 of the dialog, known by its title: markup may come back changed."""
    messages = api.call(
        "im.dialog.messages.get",
        {"DIALOG_ID": user_id, "LIMIT": 50},
        lambda result: [
            (item["id"].id(), item.text_at("text"), item["date"].iso()) for item in result["messages"].each()
        ],
    )
    return next((message_id for message_id, said, at in messages if title in said and at >= earliest), None)


def _find_post(api: B24Api, to: str, title: str, earliest: datetime) -> str | None:
    """Our post among the latest 50 for that recipient."""
    posts = api.call(
        "log.blogpost.get",
        {"LOG_RIGHTS": to},
        lambda rows: [
            (row["ID"].id(), row.text_at("TITLE"), _day(row.text_at("DATE_PUBLISH"))) for row in rows.each()
        ],
    )
    # The docs promise ISO 8601 and show «21.10.2015 17:00:50» without an offset: the day is sure, give or
    # take one.
    first = (earliest - timedelta(days=1)).date()
    return next((post_id for post_id, said, day in posts if said == title and day and day >= first), None)


def _day(text: str) -> date | None:
    russian = re.match(r"(\d{2})\.(\d{2})\.(\d{4})", text)
    try:
        if russian:
            return date(int(russian[3]), int(russian[2]), int(russian[1]))
        return date.fromisoformat(text[:10])
    except ValueError:
        return None
