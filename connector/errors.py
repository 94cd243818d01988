"""The errors that cross module borders: few classes, each says what to do next.

Texts of `ConfigError` and `HeldError` are read by people and are Russian; the rest is for the log.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

#: What the caller of a CRM should do: wait and repeat, renew the credentials, have a person change the
#: configuration, accept that the thing is not there, or give up on this very call.
CrmErrorKind = Literal["retry", "reauth", "config", "not_found", "rejected"]


class ConnectorError(Exception):
    """Root of all errors raised on purpose."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake in what a person wrote. `place` is `file:line:column` or the name of a variable."""

    place: str
    message: str

    def __str__(self) -> str:
        return f"{self.place}  {self.message}"


class ConfigError(ConnectorError):
    """Settings or playbook are wrong; carries every mistake at once."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(map(str, self.problems)))


class BadWebhook(ConnectorError):
    """A body that no CRM of ours sends; `path` names what is missing or malformed. Answered with 400."""

    def __init__(self, path: str, reason: str) -> None:
        self.path = path
        super().__init__(f"{path}: {reason}")


class CrmError(ConnectorError):
    """A call to a CRM failed. Never carries a token, a webhook secret or a body."""

    def __init__(
        self,
        kind: CrmErrorKind,
        *,
        account: str,
        call: str,
        code: str = "",
        status: int | None = None,
        detail: str = "",
        retry_after: timedelta | None = None,
    ) -> None:
        self.kind = kind
        self.account = account
        self.call = call
        self.code = code
        self.status = status
        self.detail = detail
        self.retry_after = retry_after
        parts = [f"{call}: {kind}"]
        if status is not None:
            parts.append(f"HTTP {status}")
        parts += [part for part in (code, detail) if part]
        super().__init__(", ".join(parts))


class RetryLater(ConnectorError):
    """The account's rate limit is used up: put the work back for `wait`, without counting an attempt."""

    def __init__(self, wait: timedelta) -> None:
        self.wait = wait
        super().__init__(f"rate limit: free again in {wait.total_seconds():.1f} s")


@dataclass(frozen=True, slots=True)
class MissingField:
    """A datum without which a document or message must not leave.

    `name` as the template knows it («клиент.инн»); `where` tells a person, in Russian, where to fill it in.
    """

    name: str
    where: str


class HeldError(ConnectorError):
    """A document or message waits for data; it goes by itself once the fields are filled.

    `what`: how people call what waits («Договор поставки»), in the nominative.
    """

    def __init__(self, reason: str, missing: Sequence[MissingField] = (), what: str = "") -> None:
        self.reason = reason
        self.missing = tuple(missing)
        self.what = what
        super().__init__(reason)


class RenderError(ConnectorError):
    """A template cannot be rendered whatever the data: a mistake in the template, or a limit exceeded."""

    def __init__(self, template: str, message: str, line: int | None = None) -> None:
        self.template = template
        self.line = line
        place = f"{template}:{line}" if line else template
        super().__init__(f"{place}: {message}")


class DeliveryError(ConnectorError):
    """A message was not accepted. `permanent` means that a repeat cannot help."""

    def __init__(self, channel: str, detail: str, *, permanent: bool) -> None:
        self.channel = channel
        self.permanent = permanent
        super().__init__(f"{channel}: {detail}")


class PlanTooLarge(ConnectorError):
    """One run would change more than it may; nothing was changed."""


class PaymentError(ConnectorError):
    """A call to a payment provider failed. `kind` «retry»: the same call may succeed later; «config»: a
    person has to change the settings; «rejected»: this very call will never succeed. Carries no key."""

    def __init__(self, kind: Literal["retry", "config", "rejected"], provider: str, detail: str) -> None:
        self.kind = kind
        self.provider = provider
        super().__init__(f"{provider}: {detail}")
