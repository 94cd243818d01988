"""Foreign data with its path: every look-up either gives what was asked for or says where it is not.

Used by the webhook parsers and the wire modules alone; past them nothing touches a CRM's own dict. Must not
know any CRM.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation

#: Identifiers of both CRMs are positive whole numbers; this many digits fit the columns that keep them.
_ID = re.compile(r"[0-9]{1,20}\Z", re.ASCII)

#: Unix times outside 2000..2100 are damage, not dates.
_EARLIEST, _LATEST = 946_684_800, 4_102_444_800


class Malformed(ValueError):
    """Foreign data is not what its sender promised; `path` names the place."""

    def __init__(self, path: str, reason: str) -> None:
        self.path = path
        self.reason = reason
        super().__init__(f"{path} {reason}")


@dataclass(frozen=True, slots=True)
class Wild:
    """A value from outside and the path that led to it."""

    value: object
    path: str = "body"

    def __getitem__(self, key: str | int) -> Wild:
        """The part called `key`; Malformed when it is missing or empty (null)."""
        found = self.get(key)
        if found is None:
            raise Malformed(f"{self.path}[{key!r}]", "is missing")
        return found

    def get(self, key: str | int) -> Wild | None:
        """The part called `key`; None when it is missing or null, or when there can be no parts."""
        part = self._part(key)
        return None if part is None else Wild(part, f"{self.path}[{key!r}]")

    def _part(self, key: str | int) -> object:
        if isinstance(self.value, dict):
            # PHP sends lists as maps with the keys "0", "1", …
            return self.value.get(key if isinstance(key, str) or key in self.value else str(key))
        if isinstance(self.value, list) and isinstance(key, int):
            return self.value[key] if -len(self.value) <= key < len(self.value) else None
        return None

    def each(self) -> Iterator[Wild]:
        """The parts of a list, or of a map that PHP made of one; nothing for anything else."""
        if isinstance(self.value, Mapping):
            for key, part in self.value.items():
                if part is not None:
                    yield Wild(part, f"{self.path}[{key!r}]")
        elif isinstance(self.value, list):
            for index, part in enumerate(self.value):
                if part is not None:
                    yield Wild(part, f"{self.path}[{index}]")

    def names(self) -> list[str]:
        """The names of the parts; Malformed when this is no map."""
        if not isinstance(self.value, Mapping):
            raise Malformed(self.path, "is not a map")
        return [str(key) for key in self.value]

    @property
    def is_map(self) -> bool:
        return isinstance(self.value, Mapping)

    def text(self) -> str:
        """A string as it came, or the text of a number; Malformed for anything else."""
        if isinstance(self.value, str):
            return self.value
        if isinstance(self.value, bool) or not isinstance(self.value, int | float | Decimal):
            raise Malformed(self.path, "is not a text")
        return str(self.value)

    def id(self) -> str:
        """An identifier: 1 to 20 digits; Malformed for anything else."""
        text = self.text()
        if not _ID.match(text):
            raise Malformed(self.path, "is not an identifier")
        return text

    def int(self) -> int:
        """A whole number, from a number or its text; Malformed for anything else."""
        text = self.text()
        if not re.fullmatch(r"-?[0-9]{1,18}", text, re.ASCII):
            raise Malformed(self.path, "is not a whole number")
        return int(text)

    def flag(self) -> bool:
        """True for true, 1, «1», «Y»; False for false, 0, «0», «N» and the empty text."""
        if isinstance(self.value, bool):
            return self.value
        text = self.text().upper()
        if text not in {"1", "Y", "TRUE", "0", "N", "FALSE", ""}:
            raise Malformed(self.path, "is not a flag")
        return text in {"1", "Y", "TRUE"}

    def decimal(self) -> Decimal:
        """A number, from a number or its text; Malformed for anything else, also for infinities."""
        try:
            number = Decimal(self.text())
        except InvalidOperation:
            raise Malformed(self.path, "is not a number") from None
        if not number.is_finite():
            raise Malformed(self.path, "is not a finite number")
        return number

    def unix(self) -> datetime:
        """Unix seconds as an aware UTC moment; Malformed for anything else."""
        seconds = self.int()
        if not _EARLIEST <= seconds <= _LATEST:
            raise Malformed(self.path, "is not a time")
        return datetime.fromtimestamp(seconds, UTC)

    def iso(self) -> datetime:
        """An ISO 8601 moment with its offset, as aware UTC; Malformed for anything else."""
        try:
            moment = datetime.fromisoformat(self.text())
        except ValueError:
            raise Malformed(self.path, "is not a time") from None
        if moment.tzinfo is None:
            raise Malformed(self.path, "is a time without an offset")
        return moment.astimezone(UTC)

    def text_at(self, *keys: str) -> str:
        """The first of these parts that holds a text, without outer spaces; «» when none does."""
        for key in keys:
            part = self._part(key)
            # Texts by far the most: without a path for each of them a page is read in two thirds of the time.
            if isinstance(part, str):
                text = part.strip()
            elif part is None or isinstance(part, bool | Mapping | list):
                continue
            else:
                text = Wild(part, f"{self.path}[{key!r}]").text().strip()
            if text:
                return text
        return ""

    def id_at(self, key: str) -> str | None:
        """The identifier called `key`; None when it is missing or 0, which both CRMs write for «nobody»."""
        part = self._part(key)
        if part is None or part == "" or part == []:
            return None
        found = Wild(part, f"{self.path}[{key!r}]").id()
        return None if found.strip("0") == "" else found
