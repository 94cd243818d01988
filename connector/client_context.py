"""What the templates of `pages/` see: of a document only what stands on its face, and what may be done.

Pure. Addresses are relative, so that the pages work behind any proxy and below any path.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from connector.client_page import View
from connector.documents.freeze import thaw
from connector.documents.kit import Kit
from connector.documents.page import logo
from connector.store.archive import ArchivedDocument, ArchivedFile

_FORMATS = {"pdf": "PDF", "docx": "Word"}


def page_context(
    view: View, kit: Kit, *, home: str, word: str, press: str, own: bool = False, **said: str
) -> dict[str, Any]:
    """The context of «document» or «closed».

    home: the relative way to `/d/`. press: see `ClientPage.ask`. own: the visitor comes from the CRM, his
    looking is no client's. said: «сделано», «ошибка», «вопрос».
    """
    address = f"{home}{word}"
    page: dict[str, Any] = {
        "состояние": view.state,
        "адрес": address,
        "скрипт": f"{home}page.js",
        "нажатие": press,
        "можно_принять": view.may_accept,
        "можно_спросить": view.may_ask,
        **{name: text for name, text in said.items() if text},
    }
    if view.newer:
        page["новая_редакция"] = view.newer
    if view.pay_url:
        page["оплатить"] = view.pay_url
    if view.document is None:
        return {"страница": page}
    if view.state == "open":
        page["файлы"] = [_file(file, address, "?own=1" if own else "") for file in view.document.files]
        if not own:
            page["открыто"] = f"{address}/opened"
    if view.accepted is not None and view.accepted_at is not None:
        name = view.accepted.data.get("name")
        page["принято"] = {"когда": view.accepted_at.date(), **({"имя": name} if name else {})}
    return {"страница": page, **_face(view.document, kit, with_names=view.state == "open")}


def _face(document: ArchivedDocument, kit: Kit, *, with_names: bool) -> dict[str, Any]:
    """What the document says of itself. with_names: the client's and the manager's, too."""
    context = thaw(document.context)
    seller = _part(context, "продавец", "название", "телефон", "email", "сайт")
    picture = logo(kit, str(context.get("продавец", {}).get("логотип", "")))
    if picture:
        seller["логотип"] = picture
    face = {
        "документ": {
            "вид": document.kind,
            "название": document.title,
            "номер": document.number,
            "дата": document.issued_on,
            **_part(context, "документ", "действует_до", "редакция"),
            **({} if document.total is None else {"сумма": document.total, "валюта": document.currency}),
        },
        "продавец": seller,
    }
    if with_names:
        face["клиент"] = _part(context, "клиент", "название")
        face["менеджер"] = _part(context, "менеджер", "имя", "email")
    return face


def _part(context: Mapping[str, Any], section: str, *names: str) -> dict[str, Any]:
    given = context.get(section)
    return {name: given[name] for name in names if name in given} if isinstance(given, Mapping) else {}


def _file(file: ArchivedFile, address: str, mark: str) -> dict[str, Any]:
    join = "&" if mark else "?"
    return {
        "формат": _FORMATS.get(file.format, file.format.upper()),
        "название": file.name,
        "адрес": f"{address}/{file.format}{mark}",
        "скачать": f"{address}/{file.format}{mark}{join}download=1",
        "размер": f"{max(1, round(len(file.content) / 1024))} КБ",
    }
