"""The board's Russian words, and names and texts of a portal made fit to be shown."""

from __future__ import annotations

import re

from connector.sandbox.state import ROBOT, Contact, Portal

REQUISITE_NAMES = {
    "full_name": "Полное наименование",
    "inn": "ИНН",
    "kpp": "КПП",
    "ogrn": "ОГРН",
    "address": "Юридический адрес",
    "bank_name": "Банк",
    "bik": "БИК",
    "account": "Расчётный счёт",
    "corr_account": "Корр. счёт",
    "director_name": "Руководитель",
    "director_post": "Должность руководителя",
    "basis": "Действует на основании",
}

NOTE_TITLES = {
    "common": "Примечание",
    "attachment": "Файл",
    "mail": "Письмо",
    "call_in": "Входящий звонок",
    "call_out": "Исходящий звонок",
    "sms_in": "Сообщение от клиента",
    "sms_out": "Сообщение клиенту",
    "call": "Звонок",
    "meeting": "Встреча",
    "activity": "Дело",
    "service_message": "Системное сообщение",
    "extended_service_message": "Системное сообщение",
}


def user_name(portal: Portal, user_id: int) -> str:
    """«Анна Азарова»."""
    if user_id == ROBOT:
        return "Не назначен"
    user = portal.users.get(user_id)
    return f"{user.name} {user.last_name}".strip() if user else f"Пользователь {user_id}"


def author_name(portal: Portal, user_id: int) -> str:
    """Who did something: a person, the CRM's robot, or a program with the keys of a person.

    Nobody sits at the board as the owner of the keys, so all that is done in that name came through the API.
    """
    if user_id == ROBOT:
        return "Робот CRM"
    name = user_name(portal, user_id)
    return f"{name}, через API" if user_id == api_user_id(portal) else name


def api_user_id(portal: Portal) -> int:
    """Whose keys the API's users have."""
    return min(portal.users, default=ROBOT)


def plain(text: str) -> str:
    """`text` without BB codes; a link keeps its address."""
    text = re.sub(r"\[url=([^\]]+)\](.*?)\[/url\]", r"\2 \1", text, flags=re.I | re.S)
    text = re.sub(r"\[/?(?:b|i|u|s|p|url|list|quote|code|color|size|\*)(?:=[^\]]*)?\]", "", text, flags=re.I)
    return re.sub(r"<br\s*/?>|\[br\]", "\n", text, flags=re.I).strip()


def full_name(contact: Contact) -> str:
    return " ".join(filter(None, (contact.last_name, contact.name, contact.second_name)))


def short_name(contact: Contact) -> str:
    """«Мятина П. Ю.»; the first name in full when there is no last one."""
    if not contact.last_name:
        return contact.name
    initials = [f"{name[0]}." for name in (contact.name, contact.second_name) if name]
    return "\u00a0".join([contact.last_name, *initials])
