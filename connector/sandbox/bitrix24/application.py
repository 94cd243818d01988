"""The portal's one local application: whether it is installed, and what it left in the portal.

Holds only; what fills it are the methods, what reads it the queue and the pages. Source: reference
sections 1.3, 4.18 to 4.20.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Placement:
    """A place in the interface where a page of the application is shown; user_id 0: to everybody."""

    code: str
    handler: str
    user_id: int
    title: str
    description: str
    options: Mapping[str, Any]
    languages: Mapping[str, Any]


@dataclass(slots=True)
class Robot:
    """A robot or an activity of the designer. `waits` None: the designer decides (taken as yes)."""

    code: str
    handler: str
    user_id: int
    name: str
    waits: bool | None
    properties: Mapping[str, Any]
    returns: Mapping[str, Any]
    filter: Mapping[str, Any]
    is_robot: bool = True


@dataclass(slots=True)
class Workflow:
    """One run of a robot; `answer` comes with `bizproc.event.send`."""

    token: str
    robot: str
    document: tuple[str, str, str]
    waits: bool
    is_over: bool = False
    answer: Mapping[str, Any] | None = None
    log: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Sender:
    """A provider of text messages (`messageservice.sender.add`)."""

    code: str
    kind: str
    handler: str
    name: str


@dataclass(slots=True)
class TextMessage:
    """A message that the portal gave to a provider; status as the provider reports it."""

    id: str
    sender: str
    phone: str
    text: str
    status: str = "queued"


@dataclass(slots=True)
class Application:
    """What the portal knows of it. `token` is the application token, a secret of this installation.

    An application without an interface («API only») is installed at once, one with an interface when its
    page calls `BX24.installFinish()`.
    """

    token: str = field(repr=False)
    handler_url: str = ""
    install_url: str = ""
    is_installed: bool = True
    is_removed: bool = False
    version: int = 1
    placements: list[Placement] = field(default_factory=list)
    robots: dict[str, Robot] = field(default_factory=dict)
    workflows: dict[str, Workflow] = field(default_factory=dict)
    triggers: dict[str, str] = field(default_factory=dict)
    senders: dict[str, Sender] = field(default_factory=dict)
    messages: dict[str, TextMessage] = field(default_factory=dict)

    def wipe(self) -> None:
        """Removed from the portal: nothing of it stays, the robots' runs included."""
        self.is_installed, self.is_removed = False, True
        for left in (self.robots, self.workflows, self.triggers, self.senders, self.messages):
            left.clear()
        self.placements.clear()
