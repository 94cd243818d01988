"""Messengers and the like through Apprise: one address a channel, which is a secret of the settings.

Apprise passes on what is longer than a service takes, and the service then loses it: here it is split first.
Neither an address nor what a service said of it gets into an error or a log.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from connector.delivery.split import length, split
from connector.domain import CrmFile
from connector.errors import ConfigError, DeliveryError, Problem

# Apprise is loaded where it is used: most installations have no channel, and it brings a hundred services.
# It writes addresses, tokens in them, into its log.
logging.getLogger("apprise").setLevel(logging.CRITICAL + 1)

#: What no service minds, where Apprise knows no limit.
LONGEST = 30_000
#: Left free in each message: a service may add a line of its own.
MARGIN = 16


class AppriseMessenger:
    """One channel. name: as the playbook calls it; url: Apprise's address of the service, a secret."""

    def __init__(self, name: str, url: str, *, variable: str = "") -> None:
        """Raises ConfigError, which names the variable and not the address, for one not readable."""
        self._name = name
        self._service: Any = _service(url)
        if self._service is None:
            raise ConfigError(
                [
                    Problem(
                        variable or f"NOTIFY_{name.upper()}",
                        "адрес не читается: нужен адрес Apprise, например tgram://токен/чат",
                    )
                ]
            )

    @property
    def limit(self) -> int:
        """The longest message that the service takes, in UTF-16 units."""
        return max(2, min(int(self._service.body_maxlen), LONGEST) - MARGIN)

    def parts(self, title: str, text: str) -> list[str]:
        """The title as the first line, then the text; «(2/3)» in front of every part but the first."""
        limit = self.limit
        parts = split(f"{title}\n\n{text}", limit)
        if len(parts) == 1:
            return parts
        parts = split(f"{title}\n\n{text}", max(2, limit - length("(999/999)\n")))
        return [
            part if number == 1 else f"({number}/{len(parts)})\n{part}"
            for number, part in enumerate(parts, 1)
        ]

    def send(self, part: str, pictures: Sequence[CrmFile] = ()) -> None:
        """Return once the service has taken the part. Errors: DeliveryError, worth a repeat."""
        import apprise

        attached = None
        if pictures and self._service.attachment_support:
            attached = apprise.AppriseAttachment(
                [_memory(file.content, name=file.name, mimetype=file.mime_type) for file in pictures]
            )
        client = apprise.Apprise()
        client.add(self._service)
        try:
            is_taken = client.notify(
                body=part, title="", body_format=apprise.NotifyFormat.TEXT, attach=attached
            )
        except Exception as error:
            # Its text may carry the address.
            raise DeliveryError(self._name, type(error).__name__, permanent=False) from None
        if not is_taken:
            raise DeliveryError(self._name, "сервис не принял сообщение", permanent=False)


def messengers(addresses: Mapping[str, str]) -> dict[str, AppriseMessenger]:
    """The channels of one account by name. Raises ConfigError that names every variable that is wrong."""
    problems: list[Problem] = []
    found = {}
    for name, url in addresses.items():
        try:
            found[name] = AppriseMessenger(name, url)
        except ConfigError as error:
            problems += error.problems
    if problems:
        raise ConfigError(problems)
    return found


def _memory(content: bytes, *, name: str, mimetype: str) -> Any:
    from apprise.attachment.memory import AttachMemory

    return AttachMemory(content, name=name, mimetype=mimetype)  # type: ignore[no-untyped-call]


def _service(url: str) -> Any:
    import apprise

    try:
        return apprise.Apprise.instantiate(url, suppress_exceptions=True)
    except Exception:
        return None
