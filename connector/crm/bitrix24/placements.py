"""A tab of ours in each deal's card, and what the portal says when somebody opens it. Must not know the page.

The portal opens the tab with a POST that anybody could make: it proves itself by the application's token.
Source: Bitrix24 REST docs, pages «placement.bind», «placement.get», «placement.unbind», «Вкладка в карточке».
"""

from __future__ import annotations

import json
from typing import Final

from connector.crm.base import OpenedPage
from connector.crm.bitrix24.api import B24Api
from connector.crm.form import read_form
from connector.crm.wild import Malformed, Wild
from connector.errors import BadWebhook, CrmError

DEAL_TAB: Final = "CRM_DEAL_DETAIL_TAB"
TITLE: Final = "Коннектор"


def show_tab(api: B24Api, address: str) -> bool:
    """Open `address` in a tab of every deal, in place of an earlier address; False for a webhook, which may
    not. Repeating it changes nothing. Raises CrmError.
    """
    if not api.is_application:
        return False
    bound = _bound(api)
    if address not in bound:
        # An error body of this method comes with HTTP 200.
        api.call(
            "placement.bind",
            {
                "PLACEMENT": DEAL_TAB,
                "HANDLER": address,
                "TITLE": TITLE,
                "DESCRIPTION": "Что Коннектор сделал по этой сделке и почему",
                "LANG_ALL": {"ru": {"TITLE": TITLE}, "en": {"TITLE": "Connector"}},
            },
            lambda answer: answer,
            repeatable=False,
        )
    for stale in bound - {address}:
        _unbind(api, stale)
    return True


def hide_tab(api: B24Api) -> None:
    """Take our tabs out of the deals again."""
    for address in _bound(api) if api.is_application else ():
        _unbind(api, address)


def read_opened(body: bytes, content_type: str) -> OpenedPage:
    """What the POST of an opened tab says; `BadWebhook` when it is none."""
    root = read_form(body, content_type)
    try:
        if root["PLACEMENT"].text() != DEAL_TAB:
            raise Malformed(root["PLACEMENT"].path, "is not the tab of a deal")
        options = root["PLACEMENT_OPTIONS"]
        try:
            said = Wild(json.loads(options.text()), options.path)
        except (json.JSONDecodeError, RecursionError):
            raise Malformed(options.path, "is no JSON") from None
        return OpenedPage(root["member_id"].text(), said["ID"].id(), root.text_at("APPLICATION_TOKEN"))
    except Malformed as error:
        raise BadWebhook(error.path, error.reason) from None


def _bound(api: B24Api) -> set[str]:
    return api.call(
        "placement.get",
        {},
        lambda rows: {row.text_at("handler") for row in rows.each() if row.text_at("placement") == DEAL_TAB},
    )


def _unbind(api: B24Api, address: str) -> None:
    try:
        api.call("placement.unbind", {"PLACEMENT": DEAL_TAB, "HANDLER": address}, lambda answer: answer)
    except CrmError as error:
        if error.kind != "not_found":
            raise
