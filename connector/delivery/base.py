"""What a channel is given: a letter, and how its identity stays the same when it is sent again."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from connector.domain import CrmFile


@dataclass(frozen=True, slots=True)
class Letter:
    """One message to one recipient. `message_id` is equal for two attempts at the same letter.

    `sender` is an address, with or without a name: «Северный ветер <office@example.ru>».
    """

    to: str
    subject: str
    text: str
    html: str
    message_id: str
    sender: str
    attachments: Sequence[CrmFile] = ()
    #: Pictures that the HTML shows as `cid:` and their name.
    pictures: Sequence[CrmFile] = ()


class Channel(Protocol):
    """A way out of the house."""

    def send(self, letter: Letter) -> None:
        """Return once the letter was accepted. Raises DeliveryError otherwise."""


class Messenger(Protocol):
    """A messenger or the like: one fixed place, such as a chat, with a limit for the length of a message."""

    def parts(self, title: str, text: str) -> list[str]:
        """The message in as many parts as its limit asks for, split between blocks."""

    def send(self, part: str, pictures: Sequence[CrmFile] = ()) -> None:
        """Return once the part was accepted. Raises DeliveryError otherwise."""


def message_id(account: str, key: str, sender: str) -> str:
    """A stable Message-ID: the same for the same account and key, so that a second copy is recognisable.

    sender: the address (or the domain) that the letter comes from; only its domain is used.
    """
    domain = sender.rpartition("@")[2].strip().rstrip(">").strip() or "localhost"
    digest = hashlib.sha256(f"{account}\0{key}".encode()).hexdigest()[:40]
    return f"<{digest}@{domain.encode('idna').decode('ascii')}>"
