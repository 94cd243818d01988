"""Tasks of deals: those of the task module, and the to-dos («Дела») that the CRM keeps itself.

People use either for «what comes next», so both are tasks to us. Must not know what a task is about.
Source: Bitrix24 REST docs, pages «tasks.task.list», «Дела: список», «Универсальное дело».
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from datetime import datetime
from typing import Final

from connector.crm.bitrix24 import activities
from connector.crm.bitrix24.activities import moment_at
from connector.crm.bitrix24.api import B24Api, Params
from connector.crm.bitrix24.changes import ChangeList, Names
from connector.crm.bitrix24.wire import DEAL
from connector.crm.wild import Malformed, Wild
from connector.domain import CrmTask

#: Begins the id of a to-do: its numbers and those of tasks overlap.
TODO_PREFIX: Final = "todo:"

#: Status of a finished task, and what may also stand there: 2 waits, 3 in work, 4 to be checked, 6 put off.
DONE: Final = "5"

_NAMES: Final = Names(("tasks",), "ID", "CHANGED_DATE", "id", "changedDate")
_SELECT: Final = (
    *("ID", "TITLE", "DESCRIPTION", "STATUS", "RESPONSIBLE_ID", "CREATED_DATE", "CHANGED_DATE"),
    *("DEADLINE", "CLOSED_DATE", "UF_CRM_TASK"),
)


def read_tasks(api: B24Api, since: datetime | None, deal_id: str | None) -> Iterator[CrmTask]:
    """Tasks and to-dos of deals that changed at or after `since`, oldest change first."""
    lists = (_of_module(api, since, deal_id), _todos(api, since, deal_id))
    for _, task in heapq.merge(*lists, key=lambda pair: pair[0]):
        if task is not None and task.deal_id is not None and deal_id in (None, task.deal_id):
            yield task


def _of_module(
    api: B24Api, since: datetime | None, deal_id: str | None
) -> Iterator[tuple[datetime, CrmTask | None]]:
    filters = {} if deal_id is None else {"UF_CRM_TASK": f"D_{deal_id}"}
    params: Params = {"filter": filters, "select": list(_SELECT)}

    def read(item: Wild) -> CrmTask | None:
        return _task(item, deal_id)

    return ChangeList(api, "tasks.task.list", params, _NAMES, read).since(since)


def _todos(
    api: B24Api, since: datetime | None, deal_id: str | None
) -> Iterator[tuple[datetime, CrmTask | None]]:
    filters: dict[str, object] = {"PROVIDER_ID": "CRM_TODO"}
    if deal_id is not None:
        filters |= {"OWNER_TYPE_ID": DEAL, "OWNER_ID": int(deal_id)}
    params: Params = {"filter": filters, "select": list(activities.SELECT)}
    return ChangeList(api, activities.LIST, params, activities.NAMES, _todo).since(since)


def _task(item: Wild, wanted_deal: str | None) -> CrmTask | None:
    links = [link.removeprefix("D_") for link in links_of(item) if link.startswith("D_")]
    if not links:
        return None
    is_done = item.text_at("status") == DONE
    changed_at = item["changedDate"].iso()
    return CrmTask(
        id=item["id"].id(),
        deal_id=wanted_deal if wanted_deal in links else links[0],
        text="\n".join(filter(None, (item.text_at("title"), item.text_at("description")))),
        responsible_id=item.id_at("responsibleId"),
        created_at=item["createdDate"].iso(),
        updated_at=changed_at,
        due_at=moment_at(item, "deadline"),
        completed_at=(moment_at(item, "closedDate") or changed_at) if is_done else None,
    )


def _todo(item: Wild) -> CrmTask | None:
    if item.text_at("OWNER_TYPE_ID") != str(DEAL) or item.text_at("PROVIDER_ID") != "CRM_TODO":
        return None
    changed_at, completed = item["LAST_UPDATED"].iso(), item.get("COMPLETED")
    return CrmTask(
        id=f"{TODO_PREFIX}{item['ID'].id()}",
        deal_id=item["OWNER_ID"].id(),
        text="\n".join(dict.fromkeys(filter(None, (item.text_at("SUBJECT"), item.text_at("DESCRIPTION"))))),
        responsible_id=item.id_at("RESPONSIBLE_ID"),
        created_at=item["CREATED"].iso(),
        updated_at=changed_at,
        due_at=moment_at(item, "DEADLINE") or moment_at(item, "END_TIME"),
        # The portal does not say when a to-do was ticked off: nothing changes it afterwards as a rule.
        completed_at=changed_at if completed is not None and completed.flag() else None,
    )


def links_of(item: Wild) -> tuple[str, ...]:
    """What a task is bound to: «D_10», «CO_5»; `false` stands there for nothing."""
    try:
        return tuple(link.text() for link in (item.get("ufCrmTask") or Wild(None)).each())
    except Malformed:
        return ()
