"""Calls of amoCRM's API v4: addresses, paging, envelopes, error bodies. Must not know what an entity means.

Source: amoCRM developers' docs, pages «Ограничения», «Коды ошибок», «Фильтрация» and each entity's page.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from typing import TypeVar

from connector.clock import Clock
from connector.config import AccountConfig
from connector.crm.http import MAX_TURN_WAIT, ErrorRules, Fault, HttpSession, Rate, RateLimiter
from connector.crm.tokens import Authorization, AuthorizedHttp, FixedToken, Signed, TokenSource
from connector.crm.wild import Malformed, Wild
from connector.errors import CrmError, CrmErrorKind

T = TypeVar("T")
Params = Sequence[tuple[str, object]]
Reader = Callable[[Wild], T]

#: Largest page of most lists; events give at most 100 and fall back to 50 above that.
PAGE = 250
EVENTS_PAGE = 100

#: The filter of events takes no more ids than this.
EVENT_IDS = 10

#: So many ids of ten digits keep an address below the 8 KB that web servers take.
IDS_PER_ADDRESS = 200

#: amoCRM's 7 a second without a burst, one every 160 ms. Which kind of window counts them is not documented.
#: Eight requests take 1.12 s at this pace, so no second holds more than 7 of them, sliding or fixed, unless
#: the network brings one 120 ms nearer to another; a bucket of 7 is never emptied.
PER_SECOND = 6.25
MOST_A_SECOND = 7

#: Numbers of the older API that still stand in the texts of errors.
BY_CODE: dict[str, CrmErrorKind] = {
    # No such account here: it moved, or the address in the settings is wrong.
    "101": "reauth",
    "110": "reauth",
    "111": "reauth",
    "112": "reauth",
    "113": "config",
    "244": "config",
    "288": "config",
    "402": "config",
    "426": "config",
}


def read_error(status: int, body: object) -> Fault | None:
    """What an error body says: a validator's code with every «path: reason», an old number, or the title."""
    if status < 400 or not isinstance(body, dict):
        return None
    wild = Wild(body)
    detail = wild.text_at("hint", "detail", "title")
    found = [
        violation
        for name in ("validation-errors", "errors")
        for item in (wild.get(name) or Wild(None)).each()
        for violation in _violations(item.get("errors"))
    ]
    if found:
        reasons = (f"{one.text_at('path')}: {one.text_at('detail')}".strip(": ") for one in found)
        return Fault(found[0].text_at("code"), "; ".join(reasons))
    number = re.search(r"Код ошибки (\d+)", detail)
    if status in (401, 404) and re.search(r"account not found|аккаунт не найден", detail, re.IGNORECASE):
        # It must not be taken for a thing that is not there: of a moved account nothing would be left.
        return Fault("101", detail)
    return Fault(number.group(1) if number else "", detail)


def _violations(errors: Wild | None) -> list[Wild]:
    """The violations of one item: a list of them, or, as sources tell it, a single one."""
    if errors is None:
        return []
    return [errors] if errors.is_map and errors.get("code") is not None else list(errors.each())


RULES = ErrorRules(read_error, BY_CODE)


class AmoApi:
    """One account's API. Every method raises CrmError, or RetryLater when the rate limit is used up."""

    def __init__(
        self,
        account: AccountConfig,
        *,
        limiter: RateLimiter,
        clock: Clock,
        patience: timedelta = MAX_TURN_WAIT,
        tokens: TokenSource | None = None,
    ) -> None:
        self.account = account.name
        self._base = account.url
        # The file service is another host with its own door: uploads need not wait for calls of the API.
        self._files_rate = Rate(f"amocrm-files:{account.name}", PER_SECOND, 1)
        http = HttpSession(
            account.name,
            limiter=limiter,
            rate=Rate(f"amocrm:{account.name}", PER_SECOND, 1, most=MOST_A_SECOND),
            clock=clock,
            rules=RULES,
            secrets=(account.token, account.hook_secret),
            timeout_s=(5, 20),
            patience=patience,
        )
        tokens = tokens or FixedToken(Authorization(account.token, account.url))
        self._http = AuthorizedHttp(http, tokens, home=account.url, sign=_bearer)

    def one(self, path: str, read: Reader[T], params: Params = ()) -> T | None:
        """The thing at `path`; None when there is none (amoCRM says 204 or 404)."""
        call = f"GET {_shape(path)}"
        try:
            data = self._http.send("GET", self._url(path), call=call, repeatable=True, params=params).data
        except CrmError as error:
            if error.kind == "not_found":
                return None
            raise
        return None if data is None else self._read(call, read, data)

    def page(self, path: str, collection: str, read: Reader[T], params: Params = ()) -> tuple[list[T], bool]:
        """One page of a list and whether another follows. An empty list is a 204 without a body."""
        call = f"GET {_shape(path)}"
        data = self._http.send("GET", self._url(path), call=call, repeatable=True, params=params).data
        if data is None:
            return [], False

        def read_page(body: Wild) -> tuple[list[T], bool]:
            rows = [read(item) for item in body["_embedded"][collection].each()]
            links = body.get("_links")
            return rows, links is not None and links.get("next") is not None

        return self._read(call, read_page, data)

    def pages(
        self, path: str, collection: str, read: Reader[T], params: Params = (), *, size: int = PAGE
    ) -> Iterator[T]:
        """All rows of a list, a page at a time. The end is a missing link, never a short page."""
        number, more = 1, True
        while more:
            rows, more = self.page(path, collection, read, [*params, ("limit", size), ("page", number)])
            yield from rows
            number += 1

    def add(self, path: str, collection: str, items: Sequence[Mapping[str, object]]) -> list[str]:
        """Create things; their ids in the order given.

        Never repeated blindly: amoCRM knows no idempotency key.
        """
        call = f"POST {_shape(path)}"
        data = self._http.send(
            "POST", self._url(path), call=call, repeatable=False, json_body=list(items)
        ).data

        def read_ids(body: Wild) -> list[str]:
            rows = list(body["_embedded"][collection].each())
            if len(rows) != len(items):
                raise Malformed(body.path, f"names {len(rows)} of {len(items)} new {collection}")
            return [row["id"].id() for row in rows]

        return self._read(call, read_ids, data)

    def put(self, method: str, path: str, body: object) -> None:
        """A write whose repeat changes nothing further."""
        self._http.send(
            method, self._url(path), call=f"{method} {_shape(path)}", repeatable=True, json_body=body
        )

    def start(self, address: str, body: object) -> None:
        """Begin something that must not begin twice; `address` from the root, for it may be of the API v2."""
        call = f"POST {re.sub(r'/[0-9]+', '/{id}', address)}"
        self._http.send("POST", f"{self._base}{address}", call=call, repeatable=False, json_body=body)

    def saved(self, method: str, path: str, body: object, read: Reader[T]) -> T:
        """Like `put`; what the answer says of the thing."""
        call = f"{method} {_shape(path)}"
        data = self._http.send(method, self._url(path), call=call, repeatable=True, json_body=body).data
        return self._read(call, read, data)

    def file_service(
        self, method: str, url: str, read: Reader[T], *, json_body: object = None, body: bytes | None = None
    ) -> T:
        """A call of the file service, which lives at an address of its own and takes the same token."""
        call = f"{method} file service"
        data = self._http.send(
            method,
            url,
            call=call,
            repeatable=method == "GET",
            json_body=json_body,
            body=body,
            rate=self._files_rate,
        ).data
        return self._read(call, read, data)

    def by_ids(
        self, path: str, collection: str, ids: Sequence[str], read: Reader[T], *, filterable: bool
    ) -> list[T]:
        """The things with these ids, as far as they exist; one request where the account may filter."""
        if filterable and len(ids) > 1:
            found: list[T] = []
            for start in range(0, len(ids), IDS_PER_ADDRESS):
                chosen: Params = [("filter[id][]", one) for one in ids[start : start + IDS_PER_ADDRESS]]
                found += self.pages(path, collection, read, chosen)
            return found
        return [thing for one in ids if (thing := self.one(f"{path}/{one}", read)) is not None]

    def unexpected(self, call: str, detail: str) -> CrmError:
        """The error for an answer that is not what the documentation promises."""
        return CrmError(
            "rejected", account=self.account, call=call, code="UNEXPECTED_ANSWER", detail=detail[:300]
        )

    def _url(self, path: str) -> str:
        return f"{self._base}/api/v4/{path}"

    def _read(self, call: str, read: Reader[T], data: object) -> T:
        try:
            return read(Wild(data, "answer"))
        except Malformed as error:
            raise self.unexpected(call, str(error)) from error


def _bearer(token: str, json_body: object) -> Signed:
    return Signed({"Authorization": f"Bearer {token}"}, json_body)


def _shape(path: str) -> str:
    """A path without its ids, so that equal calls look equal in logs."""
    return "/api/v4/" + re.sub(r"\b(\d+|[0-9a-f]{16,})\b", "{id}", path)
