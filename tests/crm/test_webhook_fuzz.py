"""Whatever a stranger sends, the parsers answer with events or with BadWebhook, and soon."""

from __future__ import annotations

import json
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connector.crm.base import WebhookBody
from connector.errors import BadWebhook
from tests.crm.hooks import PARSERS, hook_files

CRMS = sorted(PARSERS)

_names = st.sampled_from(
    [
        b"account",
        b"leads",
        b"contacts",
        b"event",
        b"data",
        b"auth",
        b"document_id",
        b"subdomain",
        b"member_id",
        b"add",
        b"status",
        b"note",
        b"FIELDS",
        b"ID",
        b"id",
        b"0",
        b"1",
        b"2",
        b"",
        b"%00",
        b"%D0",
        b"type_code",
    ]
)
_values = st.sampled_from(
    [b"1", b"0", b"ONCRMDEALADD", b"DEAL_5", b"-1", b"1e9", b"", b"%00%FF", b"a" * 50]
) | (st.binary(max_size=20))
_key = st.builds(
    lambda first, rest: first + b"".join(b"[" + part + b"]" for part in rest),
    _names,
    st.lists(_names, max_size=6),
)
_form = st.lists(st.tuples(_key, _values), max_size=15).map(
    lambda pairs: b"&".join(key + b"=" + value for key, value in pairs)
)
_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["event", "account_id", "type_code", "data", "id", "x"]), inner, max_size=4
        )
    ),
    max_leaves=12,
).map(lambda value: json.dumps(value).encode())
_types = st.sampled_from(
    ["", "application/x-www-form-urlencoded", "application/json", "text/plain", "; charset=x", "a" * 300]
)


def parse(crm: str, body: bytes, content_type: str) -> WebhookBody | None:
    try:
        return PARSERS[crm](body, content_type)
    except BadWebhook:
        return None


@pytest.mark.parametrize("crm", CRMS)
@given(body=st.binary(max_size=200) | _form | _json, content_type=_types)
@settings(max_examples=300, deadline=None)
def test_only_bad_webhook_comes_out(crm: str, body: bytes, content_type: str) -> None:
    read = parse(crm, body, content_type)
    if read is not None:
        assert read.events
        json.dumps(read.payload).encode("utf-8")
        assert all("\0" not in event.entity_id and len(event.entity_id) <= 64 for event in read.events)


@pytest.mark.parametrize("crm", CRMS)
@given(data=st.data())
@settings(max_examples=200, deadline=None)
def test_a_damaged_delivery_is_read_or_refused(crm: str, data: st.DataObject) -> None:
    whole = data.draw(st.sampled_from([path.read_bytes() for path in hook_files(crm)]))
    cut = data.draw(st.integers(0, len(whole)))
    parse(crm, whole[:cut] + data.draw(st.binary(max_size=4)) + whole[cut + 1 :], "")


@pytest.mark.parametrize("crm", CRMS)
@pytest.mark.parametrize(
    "body",
    [
        b"a[" * 300_000,
        b"]" * 1_000_000,
        b"&" * 19_000 + b"a=1",
        b"&".join(b"a[]=%d" % number for number in range(19_999)),
        b"a" + b"[x]" * 100_000 + b"=1",
        b"%" * 1_000_000,
        b"account[subdomain]=a&account[id]=1&"
        + b"&".join(b"leads[add][%d][id]=%d" % (number, number) for number in range(19_000)),
        b'{"a":' * 100_000,
    ],
    ids=range(8),
)
def test_the_largest_bodies_take_bounded_time(crm: str, body: bytes) -> None:
    started = time.process_time()
    parse(crm, body, "application/json" if body.startswith(b"{") else "")
    assert time.process_time() - started < 2
