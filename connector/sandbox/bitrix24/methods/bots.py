"""Chat bots, as far as a portal's robot needs them: registered, written to, speaking.

A message to a bot (`im.message.add` with its id as the dialogue) waits in its queue until `Event.get` is
asked with a higher offset. Delivery to a bot's own handler is not played. Source: reference section 4.16.
"""

from __future__ import annotations

from typing import Any, Final

from connector.sandbox.bitrix24.call import Call, MethodTable
from connector.sandbox.bitrix24.params import as_map
from connector.sandbox.bitrix24.wire import RestError, missing_parameter, moment, parse_int

TABLE = MethodTable()

_PAGE: Final = 100
#: Bots are users of the portal, with ids above those of people.
_FIRST_ID: Final = 100_000


def _register(call: Call, code: str, name: str, event_mode: str) -> dict[str, Any]:
    """The bot of that code, made when it is new."""
    if not code:
        raise missing_parameter("code")
    known = next((bot for bot in call.site.bots.values() if bot["code"] == code), None)
    if known is not None:
        return known
    number = call.site.portal.new_id("bot", start=_FIRST_ID)
    bot = {"id": number, "code": code, "name": name or code, "eventMode": event_mode, "events": []}
    call.site.bots[number] = bot
    return bot


def _found(call: Call, *names: str) -> dict[str, Any]:
    given = next((call.params[name] for name in names if call.params.get(name) is not None), None)
    bot = call.site.bots.get(parse_int(given) or 0)
    if bot is None:
        raise RestError(400, "BOT_ID_ERROR", "Bot not found")
    return bot


def tell_bot(call: Call, bot_id: int, text: str, message_id: int) -> None:
    """A person wrote to the bot; nothing happens when there is none of that id."""
    bot = call.site.bots.get(bot_id)
    if bot is None:
        return
    data = {
        "bot": {"id": bot_id, "code": bot["code"]},
        "message": {"id": message_id, "text": text, "authorId": call.user_id},
        "chat": {"dialogId": str(call.user_id)},
    }
    bot["events"].append(
        {
            "eventId": call.site.portal.new_id("bot_event", start=1001),
            "type": "ONIMBOTV2MESSAGEADD",
            "date": moment(call.site.now(), call.site.zone),
            "data": data,
        }
    )


@TABLE.add("imbot.v2.Bot.register", scope="imbot")
def bot_register(call: Call) -> dict[str, Any]:
    """`fields`: code, properties.name, eventMode fetch | webhook. `botToken`: at most 40 signs."""
    fields = call.require_map("fields")
    if len(str(call.params.get("botToken") or "")) > 40:
        raise RestError(400, "BOT_TOKEN_ERROR", "Bot token is too long")
    name = str(as_map(fields.get("properties")).get("name") or "")
    mode = str(fields.get("eventMode") or "fetch")
    return _card(_register(call, str(fields.get("code") or ""), name, mode))


@TABLE.add("imbot.v2.Bot.get", scope="imbot")
def bot_get(call: Call) -> dict[str, Any]:
    return _card(_found(call, "botId"))


@TABLE.add("imbot.v2.Bot.list", scope="imbot")
def bot_list(call: Call) -> dict[str, Any]:
    cards = [_card(bot) for bot in call.site.bots.values()]
    return {"bots": [c["bot"] for c in cards], "users": [user for c in cards for user in c["users"]]}


@TABLE.add("imbot.v2.Bot.unregister", scope="imbot")
def bot_unregister(call: Call) -> dict[str, bool]:
    del call.site.bots[_found(call, "botId")["id"]]
    return {"result": True}


@TABLE.add("imbot.v2.Event.get", scope="imbot")
def event_get(call: Call) -> dict[str, Any]:
    """What waits for the bot; asking with a higher offset acknowledges all before it."""
    bot = _found(call, "botId")
    offset = parse_int(call.params.get("offset")) or 0
    bot["events"] = waiting = [event for event in bot["events"] if event["eventId"] >= offset]
    page = waiting[: min(parse_int(call.params.get("limit")) or _PAGE, _PAGE)]
    following = page[-1]["eventId"] + 1 if page else offset
    return {"events": page, "nextOffset": following, "hasMore": len(waiting) > len(page)}


@TABLE.add("imbot.v2.Chat.Message.send", scope="imbot")
def message_send(call: Call) -> dict[str, Any]:
    bot = _found(call, "botId")
    text = str(as_map(call.params.get("fields")).get("message") or "")
    return {"id": _speak(call, bot, call.require("dialogId"), text)}


@TABLE.add("imbot.register", scope="imbot")
def old_register(call: Call) -> int:
    name = str(as_map(call.params.get("PROPERTIES")).get("NAME") or "")
    number: int = _register(call, str(call.params.get("CODE") or ""), name, "webhook")["id"]
    return number


@TABLE.add("imbot.unregister", scope="imbot")
def old_unregister(call: Call) -> bool:
    del call.site.bots[_found(call, "BOT_ID")["id"]]
    return True


@TABLE.add("imbot.message.add", scope="imbot")
def old_message(call: Call) -> int:
    return _speak(
        call, _found(call, "BOT_ID"), call.require("DIALOG_ID"), str(call.params.get("MESSAGE") or "")
    )


def _speak(call: Call, bot: dict[str, Any], dialog: Any, text: str) -> int:
    if not text.strip():
        raise RestError(400, "MESSAGE_EMPTY", "Message can't be empty")
    return call.site.portal.add_notice(parse_int(dialog) or 0, f"{bot['name']}: {text}", "message").id


def _card(bot: dict[str, Any]) -> dict[str, Any]:
    first, _, last = str(bot["name"]).partition(" ")
    return {
        "bot": {
            "id": bot["id"],
            "code": bot["code"],
            "type": "bot",
            "isHidden": False,
            "isSupportOpenline": False,
            "isReactionsEnabled": True,
            "backgroundId": None,
            "language": "ru",
            "moduleId": "rest",
            "eventMode": bot["eventMode"],
            **dict.fromkeys(("countMessage", "countCommand", "countChat", "countUser"), 0),
        },
        "users": [
            {
                "id": bot["id"],
                "active": True,
                "name": bot["name"],
                "firstName": first,
                "lastName": last,
                "workPosition": "",
                "color": "#df532d",
                "avatar": "",
                "gender": "M",
                "birthday": "",
                "extranet": False,
                "bot": True,
                "connector": False,
                "externalAuthId": "bot",
                "status": "online",
                "idle": False,
                "lastActivityDate": "",
                "absent": False,
                "departments": [1],
                "phones": False,
                "type": "bot",
            }
        ],
    }
