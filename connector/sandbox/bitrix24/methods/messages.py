"""`messageservice.*`: an application as a provider of text messages.

No method of REST sends a message: the portal's own robots and people do (`send_text`, for tests and the
board), and the provider's handler gets the form. Source: reference section 4.20.
"""

from __future__ import annotations

import secrets
from typing import Any, Final

from connector.sandbox.bitrix24.application import Sender, TextMessage
from connector.sandbox.bitrix24.call import Call, MethodTable
from connector.sandbox.bitrix24.event_bodies import Pairs, flatten
from connector.sandbox.bitrix24.site import Site
from connector.sandbox.bitrix24.wire import RestError

TABLE = MethodTable()

_STATUSES: Final = frozenset({"queued", "sent", "delivered", "undelivered", "failed"})


def send_text(
    site: Site, code: str, phone: str, text: str, owner: tuple[int, int], user_id: int
) -> TextMessage:
    """The portal hands a message to a provider. LookupError when there is no such provider."""
    sender = site.application.senders.get(code)
    if sender is None:
        raise LookupError(f"no provider with the code {code}")
    message = TextMessage(secrets.token_hex(16), code, phone, text)
    site.application.messages[message.id] = message

    form: dict[str, Any] = {
        "module_id": "crm",
        "bindings": [{"OWNER_TYPE_ID": owner[0], "OWNER_ID": owner[1]}],
        "properties": {"phone_number": phone, "message_text": text},
        "type": sender.kind,
        "code": code,
        "message_id": message.id,
        "message_to": phone,
        "message_body": text,
        "ts": int(site.clock.now().timestamp()),
        "auth": site.oauth.auth_block(user_id, with_refresh=True),
    }
    pairs: Pairs = [pair for name, value in form.items() for pair in flatten(name, value)]
    site.events.post(sender.handler, f"message for {code}", pairs)
    return message


def _sender(call: Call) -> Sender:
    found = call.site.application.senders.get(str(call.params.get("CODE") or ""))
    if found is None:
        raise RestError(400, "ERROR_SENDER_NOT_FOUND", "Sender not found!")
    return found


@TABLE.add("messageservice.sender.add", scope="messageservice", app_only="ACCESS_DENIED")
def sender_add(call: Call) -> bool:
    call.require_admin()
    code, handler = str(call.params.get("CODE") or ""), str(call.params.get("HANDLER") or "")
    name = call.params.get("NAME")
    if not code or not name:
        raise RestError(400, "ERROR_SENDER_VALIDATION_FAILURE", "Empty sender code or name!")
    if not handler.startswith(("http://", "https://")):
        raise RestError(400, "ERROR_WRONG_HANDLER_URL", "Wrong handler URL")
    if code in call.site.application.senders:
        raise RestError(400, "ERROR_SENDER_ALREADY_INSTALLED", "Sender already installed!")
    kind = str(call.params.get("TYPE") or "SMS").upper()
    title = next(iter(name.values())) if isinstance(name, dict) else name
    call.site.application.senders[code] = Sender(code, kind, handler, str(title))
    return True


@TABLE.add("messageservice.sender.list", scope="messageservice", app_only="ACCESS_DENIED")
def sender_list(call: Call) -> list[str]:
    return list(call.site.application.senders)


@TABLE.add("messageservice.sender.update", scope="messageservice", app_only="ACCESS_DENIED")
def sender_update(call: Call) -> bool:
    call.require_admin()
    sender = _sender(call)
    sender.handler = str(call.params.get("HANDLER") or sender.handler)
    sender.name = str(call.params.get("NAME") or sender.name)
    return True


@TABLE.add("messageservice.sender.delete", scope="messageservice", app_only="ACCESS_DENIED")
def sender_delete(call: Call) -> bool:
    call.require_admin()
    del call.site.application.senders[_sender(call).code]
    return True


@TABLE.add("messageservice.message.status.update", scope="messageservice", app_only="ACCESS_DENIED")
def status_update(call: Call) -> bool:
    sender, status = _sender(call), str(call.params.get("STATUS") or "")
    message = call.site.application.messages.get(str(call.params.get("MESSAGE_ID") or ""))
    if message is None or message.sender != sender.code:
        raise RestError(400, "ERROR_MESSAGE_NOT_FOUND", "Message not found!")
    if status not in _STATUSES:
        raise RestError(400, "ERROR_MESSAGE_STATUS_INCORRECT", "Message status incorrect!")
    message.status = status
    return True


@TABLE.add("messageservice.message.status.get", scope="messageservice", app_only="ACCESS_DENIED")
def status_get(call: Call) -> str:
    message = call.site.application.messages.get(str(call.params.get("MESSAGE_ID") or ""))
    if message is None:
        raise RestError(400, "ERROR_MESSAGE_NOT_FOUND", "Message not found!")
    return message.status
