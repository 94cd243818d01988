"""With what a call is authorized, and what happens when the CRM no longer takes it.

`TokenSource` is what a client asks; `AuthorizedHttp` puts its answer into each call and repeats, once, a call
that was refused for its token. Must not know any CRM, nor how tokens are got or kept.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from connector.crm.http import Answer, HttpSession, Rate
from connector.errors import CrmError

#: A call is repeated with another token so often at most: the one that it has may be refused a moment after
#: another process has renewed it.
RENEWALS = 2


@dataclass(frozen=True, slots=True)
class Authorization:
    """A token and the address that calls begin with: where the account lives at present."""

    token: str = field(repr=False)
    base_url: str = field(repr=False)


class TokenSource(Protocol):
    """The account's authorization; shared by all clients of the account in this process, and thread-safe."""

    def current(self) -> Authorization:
        """What to call with now. CrmError «reauth» when only a person can help, RetryLater when it is being
        renewed."""

    def renewed(self, refused: Authorization) -> Authorization | None:
        """Another authorization after the CRM refused that one; None when there is no better one.

        Errors as those of `current`.
        """


@dataclass(frozen=True, slots=True)
class FixedToken:
    """A long-lived token, or the secret within a webhook's address: nothing can be renewed."""

    authorization: Authorization

    def current(self) -> Authorization:
        return self.authorization

    def renewed(self, refused: Authorization) -> Authorization | None:
        return None


@dataclass(frozen=True, slots=True)
class Signed:
    """What a token adds to a call: headers, and the JSON body as it leaves."""

    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    json_body: object = field(default=None, repr=False)


#: Puts a token (its first argument) into a call with that JSON body.
Sign = Callable[[str, object], Signed]


class AuthorizedHttp:
    """`HttpSession.send` with the account's present authorization.

    `home` is the beginning of all addresses of the account's own API; it is replaced by the present one.
    """

    def __init__(self, http: HttpSession, tokens: TokenSource, *, home: str, sign: Sign) -> None:
        self._http = http
        self._tokens = tokens
        self._home = home
        self._sign = sign
        self.wait_out = http.wait_out
        self.mask = http.mask

    def send(
        self,
        method: str,
        url: str,
        *,
        call: str,
        repeatable: bool,
        params: Mapping[str, object] | Sequence[tuple[str, object]] | None = None,
        json_body: object = None,
        body: bytes | None = None,
        rate: Rate | None = None,
    ) -> Answer:
        """As `HttpSession.send`. A refusal for the token comes before anything is done, so any call may be
        repeated after it."""
        authorization = self._tokens.current()
        for renewals_left in range(RENEWALS, -1, -1):
            self._http.hide(authorization.token)
            signed = self._sign(authorization.token, json_body)
            try:
                return self._http.send(
                    method,
                    self._at(url, authorization),
                    call=call,
                    repeatable=repeatable,
                    params=params,
                    json_body=signed.json_body,
                    body=body,
                    rate=rate,
                    headers=signed.headers,
                )
            except CrmError as error:
                renewed = self._tokens.renewed(authorization) if error.kind == "reauth" else None
                if renewed is None or renewals_left == 0:
                    raise
                authorization = renewed
        raise AssertionError("the last round returns or raises")

    def _at(self, url: str, authorization: Authorization) -> str:
        if url.startswith(self._home):
            return authorization.base_url + url.removeprefix(self._home)
        return url
