"""The account's webhook: found, made or repaired. Must not know what is done with its notices.

Source: amoCRM developers' docs, page «Вебхуки»: a POST of a known destination changes that webhook.
"""

from __future__ import annotations

from dataclasses import dataclass

from connector.crm.amocrm.api import AmoApi
from connector.crm.base import Subscription
from connector.crm.wild import Wild

#: Notes and tasks are left out: we write them ourselves, and no rule starts from them.
EVENTS = (
    "add_lead",
    "update_lead",
    "delete_lead",
    "restore_lead",
    "status_lead",
    "responsible_lead",
    "add_contact",
    "update_contact",
    "add_company",
    "update_company",
)

SWITCHED_OFF = (
    "amoCRM отключила вебхук и не включает его сама. Откройте «Настройки → Интеграции → WebHooks», "
    "найдите адрес Коннектора и включите его."
)


@dataclass(frozen=True, slots=True)
class _Hook:
    destination: str
    events: frozenset[str]
    is_disabled: bool


def subscribe(api: AmoApi, destination: str) -> Subscription:
    """Make amoCRM call `destination` on `EVENTS`, keeping further events that somebody added by hand.

    A webhook that amoCRM switched off is saved again, then made anew; what still stays off is left to a
    person. Raises CrmError kind config without administrator's rights or on a plan without webhooks.
    """
    known = _find(api, destination)
    if known is not None and not known.is_disabled and known.events.issuperset(EVENTS):
        return Subscription(destination, created=False)
    saved = _save(api, destination, known.events if known else frozenset())
    if saved.is_disabled:
        api.put("DELETE", "webhooks", {"destination": destination})
        saved = _save(api, destination, saved.events)
    steps = (SWITCHED_OFF,) if saved.is_disabled else ()
    return Subscription(destination, created=known is None, manual_steps=steps)


def _find(api: AmoApi, destination: str) -> _Hook | None:
    hooks, _ = api.page("webhooks", "webhooks", _read, [("filter[destination]", destination)])
    return next((hook for hook in hooks if hook.destination == destination), None)


def _save(api: AmoApi, destination: str, more: frozenset[str]) -> _Hook:
    body = {"destination": destination, "settings": sorted({*EVENTS, *more})}
    # Saving the same destination twice leaves one webhook, so a repeat does no harm.
    return api.saved("POST", "webhooks", body, _read)


def _read(item: Wild) -> _Hook:
    disabled = item.get("disabled")
    return _Hook(
        destination=item["destination"].text(),
        events=frozenset(event.text() for event in (item.get("settings") or Wild(None)).each()),
        is_disabled=disabled is not None and disabled.flag(),
    )
