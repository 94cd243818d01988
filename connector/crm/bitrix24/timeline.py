"""What we write about a deal: timeline comments with files, and tasks. Must not know why.

REST v2 has no idempotency keys, so each method that creates can look for its own trace first. A task of the
task module is chosen over a to-do of the deal («Дело»): it shows in the deal all the same, and beside that in
the person's own list with its deadline, reminders and a status that a head of department can see.
Source: Bitrix24 REST docs, pages «Комментарии таймлайна», «Задачи», «Дела».
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from datetime import datetime, timedelta

from connector.crm.bitrix24.api import B24Api
from connector.crm.bitrix24.tasks import DONE, TODO_PREFIX, links_of
from connector.crm.wild import Wild
from connector.domain import CrmFile

#: The portal's clock and ours may differ; anything that much older than `since` still counts as ours.
CLOCK_SKEW = timedelta(seconds=30)

TITLE_CHARS = 250


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
        return self._api.write("crm.timeline.comment.add", {"fields": fields}, Wild.id)

    def add_task(
        self,
        deal_id: str | None,
        text: str,
        *,
        responsible_id: str | None,
        due_at: datetime,
        may_exist: bool,
        since: datetime,
    ) -> str:
        """A task, bound to the deal if there is one; without `responsible_id` for the webhook's user."""
        title = _title(text)
        if may_exist:
            known = self._find_task(deal_id, title, responsible_id, since - CLOCK_SKEW)
            if known is not None:
                return known
        fields: dict[str, object] = {
            "TITLE": title,
            "RESPONSIBLE_ID": int(responsible_id or self._me()),
            "DEADLINE": due_at.isoformat(),
        }
        if deal_id is not None:
            fields["UF_CRM_TASK"] = [f"D_{deal_id}"]
        if text.strip() != title:
            fields["DESCRIPTION"] = text
        return self._api.write("tasks.task.add", {"fields": fields}, lambda result: result["task"]["id"].id())

    def task_answer(self, task_id: str) -> str | None:
        """The last result that was written down in a finished task, "" without one; None while it is open.

        Source: Bitrix24 REST docs, page «tasks.task.result.list».
        """
        status = self._api.find(
            "tasks.task.get",
            {"taskId": int(task_id), "select": ["ID", "STATUS"]},
            lambda answer: answer["task"].text_at("status") if answer.get("task") else DONE,
        )
        if status != DONE:
            return None if status is not None else ""
        texts = self._api.find(
            "tasks.task.result.list",
            {"taskId": int(task_id)},
            lambda answer: [item.text_at("text") for item in answer.each()],
        )
        return next((text for text in reversed(texts or []) if text), "")

    def complete_task(self, task_id: str, result: str) -> None:
        """Write the result under the task's description and close it; of a to-do too.

        A missing task answers with an empty list.
        """
        if task_id.startswith(TODO_PREFIX):
            self._complete_todo(task_id.removeprefix(TODO_PREFIX), result)
            return
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
            self._api.write(
                "tasks.task.update",
                {"taskId": int(task_id), "fields": {"DESCRIPTION": longer}},
                lambda answer: answer,
                repeatable=True,
            )
        self._api.write(
            "tasks.task.complete", {"taskId": int(task_id)}, lambda answer: answer, repeatable=True
        )

    def _complete_todo(self, activity_id: str, result: str) -> None:
        found = self._api.find("crm.activity.get", {"id": int(activity_id)}, lambda answer: answer)
        if found is None or found.text_at("COMPLETED") == "Y":
            return
        description = found.text_at("DESCRIPTION")
        fields = {"COMPLETED": "Y"}
        if result and result not in description:
            fields["DESCRIPTION"] = f"{description}\n\n{result}".strip()
        self._api.write(
            "crm.activity.update",
            {"id": int(activity_id), "fields": fields},
            lambda answer: answer,
            repeatable=True,
        )

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
        self, deal_id: str | None, title: str, responsible_id: str | None, earliest: datetime
    ) -> str | None:
        filters: dict[str, object] = {">=CREATED_DATE": earliest.isoformat()}
        if deal_id is not None:
            filters["UF_CRM_TASK"] = f"D_{deal_id}"
        rows = self._api.offset(
            "tasks.task.list",
            {
                "filter": filters,
                "order": {"ID": "desc"},
                "select": ["ID", "TITLE", "RESPONSIBLE_ID", "CREATED_DATE", "UF_CRM_TASK"],
            },
            lambda result: result["tasks"],
            _read_task,
        )
        for task_id, said, person, bound_to, at in rows:
            if at < earliest:
                return None
            is_there = deal_id is None or f"D_{deal_id}" in bound_to
            if said == title and is_there and responsible_id in (None, person):
                return task_id
        return None


def _title(text: str) -> str:
    """A task's title: the first line, cut to what the field takes."""
    first = text.strip().partition("\n")[0].strip()
    return first if len(first) <= TITLE_CHARS else first[: TITLE_CHARS - 1] + "…"


def _read_task(item: Wild) -> tuple[str, str, str | None, tuple[str, ...], datetime]:
    return (
        item["id"].id(),
        item.text_at("title"),
        item.id_at("responsibleId"),
        links_of(item),
        item["createdDate"].iso(),
    )
