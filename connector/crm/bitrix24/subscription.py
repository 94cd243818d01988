"""How a portal comes to call us: an application binds its handlers itself, beside a webhook a person clicks.

Texts are Russian, read by the integrator. Source: Bitrix24 REST docs, pages «Исходящий вебхук», «События»,
«event.bind», «event.get», «event.unbind».
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from connector.crm.base import Subscription
from connector.crm.bitrix24 import automation
from connector.crm.bitrix24.api import BATCH, CONNECTOR, B24Api, Params
from connector.crm.bitrix24.events import OfflineQueue
from connector.crm.wild import Wild
from connector.errors import CrmError

#: Events of an outgoing webhook that are of use, with their names in the portal's list.
EVENTS = {
    "ONCRMDEALADD": "Создание сделки",
    "ONCRMDEALUPDATE": "Обновление сделки",
    "ONCRMDEALDELETE": "Удаление сделки",
    "ONCRMCONTACTADD": "Создание контакта",
    "ONCRMCONTACTUPDATE": "Обновление контакта",
    "ONCRMCOMPANYADD": "Создание компании",
    "ONCRMCOMPANYUPDATE": "Обновление компании",
    "ONCRMACTIVITYADD": "Создание дела",
    "ONCRMACTIVITYUPDATE": "Обновление дела",
    "ONCRMACTIVITYDELETE": "Удаление дела",
    "ONTASKADD": "Создание задачи",
    "ONTASKUPDATE": "Обновление задачи",
    "ONTASKDELETE": "Удаление задачи",
}

#: What an application binds: a move to another pipeline is told to applications alone.
APP_EVENTS: Final = (*EVENTS, "ONCRMDEALMOVETOCATEGORY", "ONCRMCONTACTDELETE", "ONCRMCOMPANYDELETE")

#: Rights of the inbound webhook that the calls need, with their names in the portal's form.
SCOPES = {
    "crm": "CRM (crm)",
    "user": "Пользователи (user)",
    "task": "Задачи (task)",
    "im": "Чат и уведомления (im)",
}

#: Rights that add something, and what is lost without them.
EXTRA_SCOPES: Final = {
    "department": "отделы сотрудников в отчётах (department)",
    "telephony": "длительность звонков и пропущенные (telephony)",
    "disk": "файлы отчётов на Диске (disk)",
    "log": "отчёты в Ленте (log)",
    "bizproc": "запуск бизнес-процессов и робот Коннектора (bizproc)",
    "salescenter": "ссылки на оплату (salescenter)",
}

#: Narrower rights that are enough in place of a wide one.
_ENOUGH = {"user": {"user", "user_brief", "user_basic"}}


@dataclass(frozen=True, slots=True)
class _Bound:
    """A handler that the portal knows of. `source`: that of an offline one; None where it is not told."""

    event: str
    handler: str
    is_offline: bool
    source: str | None


def manual_steps(destination: str, scopes: Iterable[str]) -> tuple[str, ...]:
    """Steps in Russian, in their order; first the rights that the inbound webhook lacks."""
    granted = {scope.strip().lower() for scope in scopes}
    missing = [name for scope, name in SCOPES.items() if not granted & _ENOUGH.get(scope, {scope})]
    steps = []
    if missing:
        steps.append(
            f"Откройте входящий вебхук Коннектора и добавьте права: {', '.join(missing)}. Сохраните вебхук."
        )
    events = ", ".join(f"«{title}» ({name})" for name, title in EVENTS.items())
    return (
        *steps,
        "В Битрикс24 откройте «Разработчикам → Другое → Исходящий вебхук».",
        f"В поле «URL вашего обработчика» вставьте адрес: {destination}",
        f"В списке событий отметьте: {events}.",
        "Нажмите «Создать» и скопируйте «Токен приложения» из карточки вебхука "
        "в переменную APPLICATION_TOKEN.",
        "Исходящий вебхук не сообщает о переносе сделки в другую воронку и не хранит события, которые "
        "не удалось доставить: такие изменения Коннектор находит сам при сверке, раз в несколько минут. "
        "Очередь событий портал ведёт только для локального приложения.",
        *missing_extras(granted),
    )


def missing_extras(granted: Iterable[str]) -> list[str]:
    """One sentence on the rights that may be added; empty when all are there."""
    have = set(granted)
    lacking = [what for scope, what in EXTRA_SCOPES.items() if scope not in have]
    return [f"Без дополнительных прав недоступны: {'; '.join(lacking)}."] if lacking else []


def subscribe(api: B24Api, queue: OfflineQueue, destination: str) -> Subscription:
    """Make an application's portal call `destination`, or say what a person does where a webhook may not.

    The application's handlers are bound, those of earlier addresses unbound, the queue opened, the robot put
    in. Repeating it changes nothing. Raises CrmError when the portal refuses a handler.
    """
    scopes = api.call("scope", {}, lambda result: [scope.text().lower() for scope in result.each()])
    if not api.is_application:
        return Subscription(destination, created=False, manual_steps=manual_steps(destination, scopes))
    bound = _bound(api)
    missing = [event for event in APP_EVENTS if event not in _online(bound, destination)]
    stale = [
        one for one in bound if not one.is_offline and one.event in APP_EVENTS and one.handler != destination
    ]
    # New handlers first: between the two no event may fall through.
    _carry_out(api, [("event.bind", {"event": event, "handler": destination}) for event in missing])
    if missing and _is_admin(api):
        bound = _bound(api)
        left = [event for event in APP_EVENTS if event not in _online(bound, destination)]
        if left:
            raise CrmError(
                "rejected",
                account=api.account,
                call="event.bind",
                code="NOT_BOUND",
                detail=f"портал не подписал нас на события: {', '.join(left)}",
            )
    _carry_out(api, [("event.unbind", {"event": one.event, "handler": one.handler}) for one in stale])
    steps = [
        *missing_extras(scopes),
        *_open_queue(api, queue, bound),
        *_put_robot_in(api, destination, scopes),
    ]
    return Subscription(destination, created=bool(missing), manual_steps=tuple(steps))


def is_subscribed(api: B24Api, destination: str) -> bool | None:
    """Whether all our events go to `destination`; None for a webhook, which may not ask, and for a token of
    no administrator, who is not shown all."""
    if not api.is_application:
        return None
    is_bound = _online(_bound(api), destination).issuperset(APP_EVENTS)
    return is_bound or (False if _is_admin(api) else None)


def _is_admin(api: B24Api) -> bool:
    return api.call("profile", {}, lambda me: (admin := me.get("ADMIN")) is not None and admin.flag())


def _online(bound: Iterable[_Bound], destination: str) -> set[str]:
    return {one.event for one in bound if not one.is_offline and one.handler == destination}


def _open_queue(api: B24Api, queue: OfflineQueue, bound: Iterable[_Bound]) -> tuple[str, ...]:
    """Bind the offline queue where the portal has one; a sentence for a person where it has not."""
    try:
        source = CONNECTOR if queue.has_sources else ""
        offline = {one.event for one in bound if one.is_offline and one.source in (source, None)}
        named: Params = {"auth_connector": source} if source else {}
        _carry_out(
            api,
            [
                ("event.bind", {"event": event, "event_type": "offline", **named})
                for event in APP_EVENTS
                if event not in offline
            ],
        )
    except CrmError as error:
        if error.kind != "config":
            raise
        return (
            "Очередь событий не подключена: откройте приложение Коннектора в портале под администратором "
            "и повторите команду connect. До этого пропущенные события находит сверка.",
        )
    return ()


def _put_robot_in(api: B24Api, destination: str, scopes: Iterable[str]) -> tuple[str, ...]:
    """The robot «Коннектор: выполнить правило», where business processes are within our rights."""
    if "bizproc" not in scopes:
        return ()
    try:
        automation.install(api, destination)
    except CrmError as error:
        if error.kind not in ("config", "rejected"):
            raise
        return (f"Робот Коннектора не установлен: {error.detail or error.code}.",)
    return ()


def _carry_out(api: B24Api, commands: list[tuple[str, Params]]) -> None:
    """All commands, 50 in a request. What is bound already is refused with a text in the portal's language,
    so that refusal is passed over: whether all is bound is read afterwards."""
    for begin in range(0, len(commands), BATCH):
        some = {f"command{place}": command for place, command in enumerate(commands[begin : begin + BATCH])}
        _carry_out_some(api, some)


def _carry_out_some(api: B24Api, commands: dict[str, tuple[str, Params]]) -> None:
    answers = api.batch(commands)
    for key in commands:
        try:
            answers.read(key, lambda answer: answer)
        except CrmError as error:
            if error.code != "ERROR_CORE":
                raise


def _bound(api: B24Api) -> list[_Bound]:
    return api.call(
        "event.get",
        {},
        lambda rows: [
            _Bound(
                row.text_at("event").upper(),
                row.text_at("handler"),
                row.text_at("offline") == "1",
                _source_of(row),
            )
            for row in rows.each()
        ],
    )


def _source_of(row: Wild) -> str | None:
    """How the portal names the source of an offline handler is not documented: two spellings are known."""
    for name in ("connector_id", "auth_connector"):
        found = row.get(name)
        if found is not None:
            return found.text()
    return None
