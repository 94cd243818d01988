"""Materials that accompany an offer: for now, cases by industry, picked for the client's own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from connector.documents.yaml_file import YamlFile
from connector.errors import ConfigError

FILE = "materials/index.yml"


@dataclass(frozen=True, slots=True)
class Case:
    """A story of a client. No industries means that it suits anyone."""

    title: str
    industries: tuple[str, ...]
    text: str
    result: str


def read_cases(text: str) -> tuple[Case, ...]:
    """The cases in their order. Raises ConfigError with every mistake."""
    file = YamlFile(FILE, text)
    found = []
    for number, given in enumerate(file.data.get("кейсы") or []):
        if not isinstance(given, dict) or not all(
            given.get(key) for key in ("название", "текст", "результат")
        ):
            file.problem("у кейса должны быть «название», «текст» и «результат»", "кейсы", number)
            continue
        industries = tuple(str(name).casefold() for name in given.get("отрасли") or ())
        found.append(Case(str(given["название"]), industries, str(given["текст"]), str(given["результат"])))
    if file.problems:
        raise ConfigError(file.problems)
    return tuple(found)


def pick(cases: Sequence[Case], tags: Sequence[str], limit: int = 2) -> list[Case]:
    """Cases of the industries named in `tags` (any case of letters), then those that suit anyone."""
    wanted = {tag.strip().casefold() for tag in tags}
    same = [case for case in cases if wanted.intersection(case.industries)]
    return [*same, *(case for case in cases if not case.industries)][:limit]
