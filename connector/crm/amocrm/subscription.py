"""The account's webhook: found, made or repaired. Must not know what is done with its notices.

Source: amoCRM developers' docs, page «Вебхуки»: a POST of a known destination changes that webhook.
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from connector.crm.amocrm.api import AmoApi
from connector.crm.base import Subscription
from connector.crm.wild import Wild
from connector.errors import CrmError

#: Those of notes, tasks and talks only wake the reading of activities: no rule starts from them.
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
    "note_lead",
    "note_contact",
    "note_company",
    "add_task",
    "update_task",
    "delete_task",
    "add_talk",
    "update_talk",
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
    person. Ours at an earlier address are removed, for nobody answers there and an account has room for 100.
    Raises CrmError kind config without administrator's rights or on a plan without webhooks.
    """
    hooks = _all(api)
    known = next((hook for hook in hooks if hook.destination == destination), None)
    if known is None or known.is_disabled or not known.events.issuperset(EVENTS):
        saved = _save(api, destination, known.events if known else frozenset())
        if saved.is_disabled:
            _remove(api, destination)
            saved = _save(api, destination, saved.events)
        steps = (SWITCHED_OFF,) if saved.is_disabled else ()
    else:
        steps = ()
    # Last, so that a stop half-way leaves one webhook too many and never none.
    for hook in hooks:
        if is_earlier(hook.destination, destination):
            _remove(api, hook.destination)
    return Subscription(destination, created=known is None, manual_steps=steps)


def is_subscribed(api: AmoApi, destination: str) -> bool:
    """Whether amoCRM calls `destination` on all of `EVENTS`, and has not switched that off."""
    hook = next((hook for hook in _all(api) if hook.destination == destination), None)
    return hook is not None and not hook.is_disabled and hook.events.issuperset(EVENTS)


def is_earlier(known: str, destination: str) -> bool:
    """Whether `known` is where we were called before our host or our secret changed.

    Ours end with «account/secret»: the same end at another host, or the same host and account with another
    secret. Somebody else's hook at our host differs in the account, and is left alone.
    """
    old, new = urlsplit(known), urlsplit(destination)
    if known == destination or "/" not in new.path.strip("/"):
        return False
    if (old.query, old.fragment) != ("", ""):
        return False
    same_host = (old.scheme, old.netloc) == (new.scheme, new.netloc)
    same_account = old.path.rpartition("/")[0] == new.path.rpartition("/")[0]
    return same_account if same_host else _end(old.path) == _end(new.path)


def _end(path: str) -> list[str]:
    return path.rstrip("/").split("/")[-2:]


def _all(api: AmoApi) -> list[_Hook]:
    return list(api.pages("webhooks", "webhooks", _read))


def _remove(api: AmoApi, destination: str) -> None:
    """There is no delete by id; one that is gone already is no error."""
    try:
        api.put("DELETE", "webhooks", {"destination": destination})
    except CrmError as error:
        if error.kind != "not_found":
            raise


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
