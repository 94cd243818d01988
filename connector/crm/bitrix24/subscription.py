"""What a person does in the portal so that it calls us: an inbound webhook may not subscribe to events.

Russian, read by the integrator. Source: Bitrix24 REST docs, pages «Исходящий вебхук» and «События».
"""

from __future__ import annotations

from collections.abc import Iterable

#: Events of an outgoing webhook that are of use, with their names in the portal's list.
EVENTS = {
    "ONCRMDEALADD": "Создание сделки",
    "ONCRMDEALUPDATE": "Обновление сделки",
    "ONCRMDEALDELETE": "Удаление сделки",
    "ONCRMCONTACTADD": "Создание контакта",
    "ONCRMCONTACTUPDATE": "Обновление контакта",
    "ONCRMCOMPANYADD": "Создание компании",
    "ONCRMCOMPANYUPDATE": "Обновление компании",
}

#: Rights of the inbound webhook that the calls need, with their names in the portal's form.
SCOPES = {
    "crm": "CRM (crm)",
    "user": "Пользователи (user)",
    "task": "Задачи (task)",
    "im": "Чат и уведомления (im)",
}

#: Narrower rights that are enough in place of a wide one.
_ENOUGH = {"user": {"user", "user_brief", "user_basic"}}


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
        "Исходящий вебхук не сообщает о переносе сделки в другую воронку: "
        "такие переносы Коннектор находит сам при сверке, раз в несколько минут.",
    )
