"""Notifications, messages and the live feed: all become notices of the shared portal.

Source: reference section 4.16.
"""

from __future__ import annotations

from typing import Any, Final

from connector.sandbox.bitrix24.call import PAGE_SIZE, Call, MethodTable, Page
from connector.sandbox.bitrix24.files import store_pairs
from connector.sandbox.bitrix24.methods.bots import tell_bot
from connector.sandbox.bitrix24.params import as_list
from connector.sandbox.bitrix24.wire import RestError, moment, parse_int

TABLE = MethodTable()

_ATTACH_LIMIT: Final = 60_000


def _text(call: Call) -> str:
    text = str(call.params.get("MESSAGE") or "")
    if not text.strip() and not call.params.get("ATTACH"):
        raise RestError(400, "MESSAGE_EMPTY", "Message can't be empty")
    if len(str(call.params.get("ATTACH") or "")) > _ATTACH_LIMIT:
        raise RestError(400, "ATTACH_OVERSIZE", "You have exceeded the maximum allowable size of attach")
    return text


def _notify(call: Call) -> int:
    """An equal TAG replaces the older notice of that user."""
    user_id = parse_int(call.params.get("USER_ID", call.params.get("to"))) or 0
    if user_id not in call.site.portal.users:
        raise RestError(400, "USER_ID_EMPTY", "User ID can't be empty")
    text = _text(call)
    portal = call.site.portal
    tag = str(call.params.get("TAG") or "")
    with portal.lock:
        if tag:
            portal.notices.pop(call.site.notice_tags.get((user_id, tag), 0), None)
        notice = portal.add_notice(user_id, text)
        if tag:
            call.site.notice_tags[user_id, tag] = notice.id
    return notice.id


@TABLE.add("im.notify.system.add", scope="im")
def notify_system(call: Call) -> int:
    return _notify(call)


@TABLE.add("im.notify.personal.add", scope="im")
def notify_personal(call: Call) -> int:
    return _notify(call)


@TABLE.add("im.notify", scope="im")
def notify(call: Call) -> int:
    return _notify(call)


def _dialog(call: Call) -> tuple[int, str]:
    """The person written to, or 0 and the kind of notice that a chat's message is."""
    dialog = str(call.params.get("DIALOG_ID") or call.params.get("USER_ID") or "")
    if dialog.isdigit() and int(dialog) in call.site.portal.users:
        return int(dialog), "message"
    if dialog.startswith("chat") and parse_int(dialog[4:]) in call.site.chats:
        return 0, dialog
    raise RestError(400, "DIALOG_ID_EMPTY", "Dialog ID can't be empty")


@TABLE.add("im.message.add", scope="im")
def message_add(call: Call) -> int:
    bot_id = parse_int(call.params.get("DIALOG_ID")) or 0
    if bot_id in call.site.bots:
        notice = call.site.portal.add_notice(bot_id, _text(call), "message")
        tell_bot(call, bot_id, notice.text, notice.id)
        return notice.id
    user_id, kind = _dialog(call)
    return call.site.portal.add_notice(user_id, _text(call), kind).id


@TABLE.add("im.chat.add", scope="im")
def chat_add(call: Call) -> int:
    number = call.site.portal.new_id("chat")
    call.site.chats[number] = str(call.params.get("TITLE") or "")
    return number


@TABLE.add("im.dialog.messages.get", scope="im")
def dialog_messages(call: Call) -> dict[str, Any]:
    """The newest messages of a dialog, newest first; at most LIMIT (20)."""
    user_id, kind = _dialog(call)
    limit = parse_int(call.params.get("LIMIT")) or 20
    with call.site.portal.lock:
        found = [n for n in call.site.portal.notices.values() if (n.user_id, n.kind) == (user_id, kind)]
    messages = [
        {
            "id": notice.id,
            "chat_id": parse_int(kind[4:]) or user_id,
            "author_id": call.user_id,
            "date": moment(notice.at, call.site.zone),
            "text": notice.text,
            "params": {},
        }
        for notice in sorted(found, key=lambda n: -n.id)[:limit]
    ]
    return {"chat_id": parse_int(kind[4:]) or user_id, "messages": messages, "users": [], "files": []}


@TABLE.add("log.blogpost.add", scope="log")
def blogpost_add(call: Call) -> int:
    """A post in the live feed: a notice to each person in DEST, to all for UA."""
    text = str(call.params.get("POST_MESSAGE") or "")
    if not text.strip():
        raise RestError(400, "ERROR_CORE", "Post message is empty")
    title = str(call.params.get("POST_TITLE") or "")
    users = call.site.portal.users
    places = [str(item) for item in as_list(call.params.get("DEST", ["UA"]))]
    reached: set[int] = set()
    for place in places:
        if place == "UA" or place.startswith("DR"):
            reached |= {user.id for user in users.values() if user.is_active}
        elif place.startswith("U") and parse_int(place[1:]) in users:
            reached.add(int(place[1:]))
    for user_id in sorted(reached):
        call.site.portal.add_notice(user_id, f"{title}\n{text}".strip(), "post")
    post_id = call.site.portal.new_id("blogpost")
    call.site.posts[post_id] = {
        "ID": str(post_id),
        "PUBLISH_STATUS": "P",
        "TITLE": title,
        "AUTHOR_ID": str(call.user_id),
        "DETAIL_TEXT": text,
        "DATE_PUBLISH": moment(call.site.now(), call.site.zone),
        "_TO": " ".join(places),
        "_FILES": " ".join(
            str(file.id) for file in store_pairs(call.site, as_list(call.params.get("FILES")))
        ),
    }
    return post_id


@TABLE.add("log.blogpost.get", scope="log")
def blogpost_get(call: Call) -> Page:
    """Posts for a recipient (LOG_RIGHTS, by default all), the newest first."""
    wanted = {str(item) for item in as_list(call.params.get("LOG_RIGHTS", ["UA"]))}
    number = parse_int(call.params.get("POST_ID"))
    rows = [
        {name: value for name, value in post.items() if not name.startswith("_")}
        for post_id, post in sorted(call.site.posts.items(), reverse=True)
        if number in (None, post_id) and (number or not wanted.isdisjoint(post["_TO"].split()))
    ]
    return Page(rows[:PAGE_SIZE], total=len(rows))
