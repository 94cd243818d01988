"""What pydantic found wrong -> Russian problems with place and nearest right word."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from connector.errors import Problem
from connector.playbook.model import (
    ACTIONS,
    CompanyCalendar,
    Kpi,
    Person,
    ReportSchedule,
    Rule,
    Seller,
    StageMarks,
    Target,
    Trigger,
)
from connector.playbook.source import KEY, Path, place_in
from connector.playbook.words import nearest

#: pydantic's name of a mistake -> what a person should read.
_MESSAGES = {
    "string_type": "нужен текст",
    "tuple_type": "нужен список",
    "list_type": "нужен список",
    "mapping_type": "нужен набор «ключ: значение»",
    "dict_type": "нужен набор «ключ: значение»",
    "model_type": "нужен набор «ключ: значение»",
    "model_attributes_type": "нужен набор «ключ: значение»",
    "decimal_type": "нужно число",
    "date_type": "нужна дата",
    "time_type": "нужно время, например 09:30",
    "bool_type": "нужно true или false",
    "literal_error": "недопустимое значение",
    "too_short": "слишком мало значений",
}


def keys_of(model: type[BaseModel]) -> list[str]:
    """The keys a person may write in that part of the playbook, in the model's order."""
    keys = [info.alias or name for name, info in model.model_fields.items()]
    folded = next((name for name in ("task", "update") if model is ACTIONS[name]), None)
    return [folded, *keys] if folded else keys


#: Keys of nested parts -> their model.
_PARTS: dict[str, type[BaseModel]] = {"when": Trigger, "kpi": Kpi, **ACTIONS}

#: Sections of a file -> the model of their entries.
SECTIONS: dict[str, type[BaseModel]] = {
    "rules": Rule,
    "targets": Target,
    "staff": Seller,
    "reports": ReportSchedule,
    "people": Person,
    "calendar": CompanyCalendar,
    "stages": StageMarks,
}


def problems_of(
    error: ValidationError, model: type[BaseModel], label: str, places: Mapping[Path, str]
) -> Iterator[Problem]:
    """One problem a mistake; `label` names the entry («rules[2]»), `places` are those of its parts."""
    for detail in error.errors(include_url=False):
        if detail["type"] == "default_factory_not_called":
            continue  # Follows from another mistake of the same entry.
        path = _real_path(detail["loc"], places)
        is_key = detail["type"] == "extra_forbidden" or detail["loc"][-1:] == ("[key]",)
        yield Problem(
            place_in(places, (*path, KEY) if is_key else path),
            f"{dotted(label, path)}: {_message(detail, model)}",
        )


def dotted(label: str, path: Path) -> str:
    """`rules[2].do[1].send`: entries are counted from 1, as people do."""
    parts = [f"[{part + 1}]" if isinstance(part, int) else f".{part}" for part in path]
    return label + "".join(parts)


def _message(detail: ErrorDetails, model: type[BaseModel]) -> str:
    key = str(detail["loc"][-1]) if detail["loc"] else ""
    match detail["type"]:
        case "missing":
            return f"нет обязательного ключа «{key}»"
        case "extra_forbidden":
            if key in ACTIONS:
                return f"второе действие в одном пункте: поставьте перед «{key}» новую строку с «- »"
            message = unknown_key(key, keys_of(_model_at(detail["loc"][:-1], model)))
            # `{text: Позвонить, узнать}` makes a key of what stands after the comma.
            comma = detail["input"] is None
            advice = 'если это часть текста после запятой, возьмите весь текст в прямые кавычки: "…"'
            return f"{message}; {advice}" if comma else message
        case "union_tag_not_found":
            return _unknown_action(detail["input"])
        case "value_error":
            context: dict[str, Any] = detail.get("ctx", {})
            return str(context.get("error", detail["msg"]))
        case kind:
            return _MESSAGES.get(kind, f"недопустимое значение ({kind})")


def _unknown_action(item: object) -> str:
    words = [str(word) for word in item] if isinstance(item, dict) else [str(item)]
    guesses = [(word, guess) for word in words if (guess := nearest(word, ACTIONS))]
    if guesses:
        return "неизвестное действие «{}»; может быть, «{}»?".format(*guesses[0])
    return f"нет действия; есть: {', '.join(ACTIONS)}"


def unknown_key(key: str, known: list[str]) -> str:
    """The message on a key that does not exist, with the nearest that does."""
    guess = nearest(key, known)
    hint = f"может быть, «{guess}»?" if guess else f"есть: {', '.join(known)}"
    return f"неизвестный ключ «{key}»; {hint}"


def _model_at(path: tuple[int | str, ...], model: type[BaseModel]) -> type[BaseModel]:
    return next((_PARTS[part] for part in reversed(path) if isinstance(part, str) and part in _PARTS), model)


def _real_path(loc: tuple[int | str, ...], places: Mapping[Path, str]) -> Path:
    """pydantic's location without what the file has not: tags of a union, missing keys, `[key]`."""
    path: Path = ()
    for index, part in enumerate(loc):
        if part == "[key]":
            continue
        is_tag = index >= 2 and isinstance(loc[index - 1], int) and loc[index - 2] == "do"
        has_more = index + 1 < len(loc)
        if is_tag and has_more and (*path, loc[index + 1]) in places:
            continue
        if (*path, part) in places:
            path = (*path, part)
    return path
