"""`imopenlines.crm.*`: chats of open lines at CRM objects, and writing to the client there.

A first contact is not possible this way: a chat exists once the client wrote (`client_wrote`, for tests and
the board). Source: reference section 4.20.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from connector.sandbox.bitrix24.call import Call, MethodTable
from connector.sandbox.bitrix24.events import Notice
from connector.sandbox.bitrix24.kinds import entity_by_code
from connector.sandbox.bitrix24.params import as_list
from connector.sandbox.bitrix24.site import Site
from connector.sandbox.bitrix24.wire import RestError, is_yes, parse_int

TABLE = MethodTable()


@dataclass(slots=True)
class OpenChat:
    """A dialogue with a client; `messages` are (author's user id or 0 for the client, text)."""

    id: int
    connector: str
    title: str
    owner: tuple[str, int]
    users: set[int] = field(default_factory=set)
    messages: list[tuple[int, str]] = field(default_factory=list)
    is_active: bool = True


def client_wrote(
    site: Site, connector: str, title: str, owner: tuple[str, int], text: str, users: set[int]
) -> OpenChat:
    """A client wrote through a connector: the chat, new or known, and ONOPENLINEMESSAGEADD."""
    chat = next(
        (c for c in site.open_chats.values() if (c.connector, c.owner) == (connector, owner)), None
    ) or OpenChat(site.portal.new_id("chat"), connector, title, owner)
    site.open_chats[chat.id] = chat
    chat.users |= users
    chat.messages.append((0, text))
    data = {
        "DATA": [
            {
                "connector": {"connector_id": connector, "line_id": "1", "chat_id": str(chat.id)},
                "chat": {"id": str(chat.id)},
                "message": {"id": str(site.portal.new_id("message")), "text": text},
                "extra": {"CRM_ENTITY_TYPE": owner[0].upper(), "CRM_ENTITY_ID": str(owner[1])},
            }
        ]
    }
    site.events.tell(Notice("ONOPENLINEMESSAGEADD", data, 0, system=True))
    return chat


def _owner(call: Call) -> tuple[str, int]:
    entity = entity_by_code(call.site, str(call.params.get("CRM_ENTITY_TYPE") or ""))
    if entity is None:
        raise RestError(400, "CRM_ENTITY_TYPE_WRONG", "CRM entity type is wrong")
    number = parse_int(call.params.get("CRM_ENTITY")) or 0
    if entity.find(call.site, number) is None:
        raise RestError(400, "CRM_ENTITY_NOT_FOUND", "CRM entity is not found")
    return entity.code, number


def _chats(call: Call, *, active_only: bool = False) -> list[OpenChat]:
    owner = _owner(call)
    found = [chat for chat in call.site.open_chats.values() if chat.owner == owner]
    return [chat for chat in found if chat.is_active or not active_only]


@TABLE.add("imopenlines.crm.chat.get", scope="imopenlines")
def chat_get(call: Call) -> list[dict[str, str]]:
    chats = _chats(call, active_only=is_yes(call.params.get("ACTIVE_ONLY", "Y")))
    return [
        {"CHAT_ID": str(chat.id), "CONNECTOR_ID": chat.connector, "CONNECTOR_TITLE": chat.title}
        for chat in chats
    ]


@TABLE.add("imopenlines.crm.chat.getlastid", scope="imopenlines")
def chat_last(call: Call) -> int:
    chats = _chats(call)
    if not chats:
        raise RestError(400, "CRM_CHAT_EMPTY", "No chat is found")
    return max(chat.id for chat in chats)


def _chat(call: Call) -> OpenChat:
    number = parse_int(call.params.get("CHAT_ID"))
    chats = _chats(call)
    chosen = [chat for chat in chats if chat.id == number] if number else chats[-1:]
    if not chosen:
        raise RestError(400, "CRM_CHAT_EMPTY", "No chat is found")
    return chosen[0]


@TABLE.add("imopenlines.crm.chat.user.add", scope="imopenlines")
def chat_user_add(call: Call) -> int:
    chat, user_id = _chat(call), parse_int(call.params.get("USER_ID")) or 0
    if user_id not in call.site.portal.users:
        raise RestError(400, "ERROR_USER_ID", "User is not found")
    chat.users.add(user_id)
    return chat.id


@TABLE.add("imopenlines.crm.chat.user.delete", scope="imopenlines")
def chat_user_delete(call: Call) -> int:
    chat = _chat(call)
    chat.users.discard(parse_int(call.params.get("USER_ID")) or 0)
    return chat.id


@TABLE.add("imopenlines.crm.message.add", scope="imopenlines")
def message_add(call: Call) -> int:
    """The employee who speaks must be in the chat."""
    chat, user_id = _chat(call), parse_int(call.params.get("USER_ID")) or 0
    text = "".join(str(part) for part in as_list(call.params.get("MESSAGE")))
    if not text.strip():
        raise RestError(400, "MESSAGE_EMPTY", "Message can't be empty")
    if user_id not in chat.users:
        raise RestError(400, "ACCESS_DENIED", "You don't have access to the chat")
    chat.messages.append((user_id, text))
    return call.site.portal.new_id("message")
