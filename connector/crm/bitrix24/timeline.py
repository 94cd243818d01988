"""What we write into a portal: timeline comments with files, tasks, messages. Must not know why.

REST v2 has no idempotency keys, so each method that creates can look for its own trace first. A task of the
task module is chosen over a to-do of the deal («Дело»): it shows in the deal all the same, and beside that in
the person's own list with its deadline, reminders and a status that a head of department can see.
Source: Bitrix24 REST docs, pages «Комментарии таймлайна», «Задачи», «Чаты и уведомления».
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from datetime import datetime, timedelta

from connector.crm.bitrix24.api import B24Api
from connector.crm.wild import Malformed, Wild
from connector.domain import CrmFile

#: The portal's clock and ours may differ; anything that much older than `since` still counts as ours.
CLOCK_SKEW = timedelta(seconds=30)

TITLE_CHARS = 250
DONE = "5"

#: Who «owns» our notifications: a tag works for a webhook only together with this.
CLIENT_ID = "connector"


class Timeline:
    """Writes of one portal."""

    def __init__(self, api: B24Api) -> None:
        self._api = api

    def add_note(
        self, deal_id: str, text: str, files: Sequence[CrmFile], *, may_exist: bool, since: datetime
    ) -> str:
        """A comment with its files in one call. A comment cannot be empty: files alone bring their names."""
        comment = text or "\n".join(file.name for file in files)
        if may_exist:
            known = self._find_comment(deal_id, comment, since - CLOCK_SKEW)
            if known is not None:
                return known
        fields: dict[str, object] = {"ENTITY_ID": int(deal_id), "ENTITY_TYPE": "deal", "COMMENT": comment}
        if files:
            fields["FILES"] = [[file.name, base64.b64encode(file.content).decode()] for file in files]
        return self._api.call("crm.timeline.comment.add", {"fields": fields}, Wild.id, repeatable=False)

    def add_task(
        self,
        deal_id: str,
        text: str,
        *,
        responsible_id: str | None,
        due_at: datetime,
        may_exist: bool,
        since: datetime,
    ) -> str:
        """A task bound to the deal; without `responsible_id` it goes to the webhook's user."""
        title = _title(text)
        if may_exist:
            known = self._find_task(deal_id, title, responsible_id, since - CLOCK_SKEW)
            if known is not None:
                return known
        fields: dict[str, object] = {
            "TITLE": title,
            "RESPONSIBLE_ID": int(responsible_id or self._me()),
            "DEADLINE": due_at.isoformat(),
            "UF_CRM_TASK": [f"D_{deal_id}"],
        }
        if text.strip() != title:
            fields["DESCRIPTION"] = text
        return self._api.call(
            "tasks.task.add", {"fields": fields}, lambda result: result["task"]["id"].id(), repeatable=False
        )

    def complete_task(self, task_id: str, result: str) -> None:
        """Write the result under the task's description and close it.

        A missing task answers with an empty list.
        """
        found = self._api.find(
            "tasks.task.get",
            {"taskId": int(task_id), "select": ["ID", "STATUS", "DESCRIPTION"]},
            lambda answer: answer.get("task"),
        )
        if found is None or found.text_at("status") == DONE:
            return
        description = found.text_at("description")
        if result and result not in description:
            longer = f"{description}\n\n{result}".strip()
            self._api.call(
                "tasks.task.update",
                {"taskId": int(task_id), "fields": {"DESCRIPTION": longer}},
                lambda answer: answer,
            )
        self._api.call("tasks.task.complete", {"taskId": int(task_id)}, lambda answer: answer)

    def post_report(
        self,
        title: str,
        text: str,
        *,
        to_user_id: str,
        files: Sequence[CrmFile],
        may_exist: bool,
        since: datetime,
    ) -> str:
        """A message in the person's chat with the whole text, then a notification; the message's id.

        A notification with a tag takes the place of its earlier copy, so it may be repeated. Files do not
        go with a message through REST in one call: their names stand under the text.
        """
        message = f"[B]{title}[/B]\n\n{text}"
        if files:
            message += "\n\nФайлы отчёта: " + ", ".join(file.name for file in files)
        message_id = self._find_message(to_user_id, title, since - CLOCK_SKEW) if may_exist else None
        if message_id is None:
            message_id = self._api.call(
                "im.message.add",
                {"DIALOG_ID": to_user_id, "MESSAGE": message, "URL_PREVIEW": "N"},
                Wild.id,
                repeatable=False,
            )
        tag = hashlib.sha256(f"{to_user_id}|{title}".encode()).hexdigest()[:32]
        self._api.call(
            "im.notify.system.add",
            {
                "USER_ID": int(to_user_id),
                "MESSAGE": f"Готов отчёт: {title}. Текст – в личных сообщениях.",
                "TAG": f"CONNECTOR|REPORT|{tag}",
                "CLIENT_ID": CLIENT_ID,
            },
            lambda answer: answer,
        )
        return message_id

    def _me(self) -> str:
        return self._api.call("profile", {}, lambda answer: answer["ID"].id())

    def _find_comment(self, deal_id: str, comment: str, earliest: datetime) -> str | None:
        rows = self._api.offset(
            "crm.timeline.comment.list",
            {
                "filter": {"ENTITY_ID": int(deal_id), "ENTITY_TYPE": "deal"},
                "order": {"ID": "DESC"},
                "select": ["ID", "COMMENT", "CREATED"],
            },
            lambda result: result,
            lambda item: (item["ID"].id(), item.text_at("COMMENT"), item["CREATED"].iso()),
        )
        for comment_id, said, at in rows:
            if at < earliest:
                return None
            if said == comment.strip():
                return comment_id
        return None

    def _find_task(
        self, deal_id: str, title: str, responsible_id: str | None, earliest: datetime
    ) -> str | None:
        rows = self._api.offset(
            "tasks.task.list",
            {
                "filter": {"UF_CRM_TASK": f"D_{deal_id}", ">=CREATED_DATE": earliest.isoformat()},
                "order": {"ID": "desc"},
                "select": ["ID", "TITLE", "RESPONSIBLE_ID", "CREATED_DATE", "UF_CRM_TASK"],
            },
            lambda result: result["tasks"],
            _read_task,
        )
        for task_id, said, person, bound_to, at in rows:
            if at < earliest:
                return None
            if said == title and f"D_{deal_id}" in bound_to and responsible_id in (None, person):
                return task_id
        return None

    def _find_message(self, user_id: str, title: str, earliest: datetime) -> str | None:
        """Our message among the latest 50 of the dialog, known by its title: markup may come back changed."""
        messages = self._api.call(
            "im.dialog.messages.get",
            {"DIALOG_ID": user_id, "LIMIT": 50},
            lambda result: [
                (item["id"].id(), item.text_at("text"), item["date"].iso())
                for item in result["messages"].each()
            ],
        )
        return next(
            (message_id for message_id, said, at in messages if title in said and at >= earliest), None
        )


def _title(text: str) -> str:
    """A task's title: the first line, cut to what the field takes."""
    first = text.strip().partition("\n")[0].strip()
    return first if len(first) <= TITLE_CHARS else first[: TITLE_CHARS - 1] + "…"


def _read_task(item: Wild) -> tuple[str, str, str | None, tuple[str, ...], datetime]:
    bound = item.get("ufCrmTask") or Wild(None)
    try:
        links = tuple(link.text() for link in bound.each())
    except Malformed:
        links = ()
    return (
        item["id"].id(),
        item.text_at("title"),
        item.id_at("responsibleId"),
        links,
        item["createdDate"].iso(),
    )
