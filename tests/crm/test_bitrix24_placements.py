"""What the portal says when somebody opens our tab in a deal."""

from __future__ import annotations

import json
from urllib.parse import urlencode

import pytest

from connector.crm.bitrix24.placements import DEAL_TAB, read_opened
from connector.errors import BadWebhook

FORM = "application/x-www-form-urlencoded"
SENT = {
    "AUTH_ID": "demo-access-token",
    "AUTH_EXPIRES": "3600",
    "REFRESH_ID": "demo-refresh-token",
    "APPLICATION_TOKEN": "demo-application-token",
    "member_id": "0123456789abcdef0123456789abcdef",
    "status": "L",
    "PLACEMENT": DEAL_TAB,
    "PLACEMENT_OPTIONS": json.dumps({"ID": "1042", "URI": "/crm/deal/details/1042/"}),
}


def posted(**other: str) -> bytes:
    return urlencode({**SENT, **other}).encode()


def test_the_tab_says_which_deal_and_proves_itself() -> None:
    opened = read_opened(posted(), FORM)
    assert (opened.deal_id, opened.account_id) == ("1042", SENT["member_id"])
    assert opened.token == "demo-application-token"
    assert "demo-application-token" not in repr(opened)


@pytest.mark.parametrize(
    ("other", "place"),
    [
        ({"PLACEMENT": "DEFAULT"}, "PLACEMENT"),
        ({"PLACEMENT_OPTIONS": "[]"}, "PLACEMENT_OPTIONS"),
        ({"PLACEMENT_OPTIONS": "{"}, "PLACEMENT_OPTIONS"),
        ({"PLACEMENT_OPTIONS": "[" * 100_000}, "PLACEMENT_OPTIONS"),
        ({"PLACEMENT_OPTIONS": '{"ID": "1042; drop"}'}, "ID"),
    ],
)
def test_a_body_that_is_no_opened_tab_is_refused_with_its_place(other: dict[str, str], place: str) -> None:
    with pytest.raises(BadWebhook, match=place):
        read_opened(posted(**other), FORM)
