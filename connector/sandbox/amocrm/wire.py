"""Answers as amoCRM words them: HAL for success, problem+json for refusals, HTML where the real one has HTML.

Knows no entity. Source: reference 2.3 (statuses), 2.4 (error bodies).
Details of 403, 405 and 422 are unverified.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

HAL = "application/hal+json"
PROBLEM = "application/problem+json"

#: Unix seconds that datetime can hold; others are refused before they raise.
MAX_UNIX = 253_402_300_799

TITLES = {
    400: "Bad Request",
    401: "Unauthorized",
    402: "Payment Required",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    413: "Request Entity Too Large",
    415: "Unsupported Media Type",
    422: "Unprocessable Entity",
    429: "Too Many Requests",
}


@dataclass(frozen=True, slots=True)
class Reply:
    """One HTTP answer."""

    status: int
    body: bytes = b""
    content_type: str = HAL
    headers: Mapping[str, str] = field(default_factory=dict)

    def json(self) -> Any:
        return json.loads(self.body)


class ApiError(Exception):
    """Ends a request with the `reply` inside."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply.status)
        self.reply = reply


def hal(body: Any, status: int = 200) -> Reply:
    return Reply(status, json.dumps(body, ensure_ascii=False).encode())


def no_content() -> Reply:
    return Reply(204)


def problem(status: int, detail: str, **extra: Any) -> Reply:
    """The problem body; keys of `extra` stand before the common ones, as in the captures."""
    body = {**extra, "title": TITLES[status], "type": f"https://httpstatus.es/{status}", "status": status}
    return Reply(status, json.dumps({**body, "detail": detail}, ensure_ascii=False).encode(), PROBLEM)


def html(status: int, title: str) -> Reply:
    """nginx's own page: what a blocked or too quick client gets."""
    page = (
        f"<html>\r\n<head><title>{status} {title}</title></head>\r\n<body>\r\n"
        f"<center><h1>{status} {title}</h1></center>\r\n<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n"
    )
    return Reply(status, page.encode(), "text/html")


def not_found(detail: str) -> ApiError:
    return ApiError(problem(404, detail))


@dataclass(frozen=True, slots=True)
class Violation:
    """One broken rule of a request; `path` is dotted and relative to the item."""

    code: str
    path: str
    detail: str


def wrong_type(path: str, wanted: str) -> Violation:
    return Violation("InvalidType", path, f"This value should be of type {wanted}.")


def not_a_choice(path: str) -> Violation:
    return Violation("NotSupportedChoice", path, "The value you selected is not a valid choice.")


def missing(path: str) -> Violation:
    return Violation("FieldMissing", path, "This field is missing.")


def blank(path: str) -> Violation:
    return Violation("NotBlank", path, "This value should not be blank.")


def unknown_entity(path: str, kind: str, entity_id: object) -> Violation:
    return Violation("EntityNotFound", path, f"{kind} with id = {entity_id} not found")


def invalid(violations: Mapping[str, Sequence[Violation]]) -> ApiError:
    """The 400 of a failed batch; `violations` by request_id. One bad item fails all."""
    blocks = [
        {
            "request_id": request_id,
            "errors": [{"code": v.code, "path": v.path, "detail": v.detail} for v in found],
        }
        for request_id, found in violations.items()
    ]
    return ApiError(problem(400, "Request validation failed", **{"validation-errors": blocks}))


def untyped(error: ApiError) -> ApiError:
    """The same error without `type`, as the refusal of a webhook's address was seen."""
    body = json.loads(error.reply.body)
    del body["type"]
    return ApiError(replace(error.reply, body=json.dumps(body, ensure_ascii=False).encode()))


def unix(moment: datetime | None) -> int | None:
    return int(moment.timestamp()) if moment else None


def from_unix(value: Any) -> datetime | None:
    """A moment from Unix seconds; None when `value` is no such number."""
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MAX_UNIX:
        return None
    return datetime.fromtimestamp(value, UTC)
