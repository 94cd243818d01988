"""The client's own case in figures: what a proposal counts on numbers that he named.

The rows stand in `documents/economics.yml` under Russian names and are edited by the head of sales. A formula
is four operations over numbers and names, counted exactly in Decimal; it calls nothing. Pure.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal, DecimalException, localcontext
from typing import Any

from connector.documents.yaml_file import YamlFile
from connector.errors import ConfigError
from connector.playbook.words import nearest, unknown

FILE = "documents/economics.yml"
#: What every formula knows beside the rows above it: the total of the deal.
TOTAL = "сумма"
_ROW_KEYS = ("имя", "подпись", "поле", "формула", "единица", "знаков", "скрыть")
_LONGEST = 200
_NUMBER = re.compile(r"-?\d{1,15}(?:[.,]\d{1,6})?")


@dataclass(frozen=True, slots=True)
class Row:
    """One figure of the client's case: from a field of the CRM, or counted from the figures above it."""

    name: str
    label: str
    fields: tuple[str, ...]
    formula: str
    unit: str = ""
    digits: int = 0
    is_hidden: bool = False


def read_rows(text: str) -> tuple[Row, ...]:
    """The rows in their order. Raises ConfigError with every mistake, by line."""
    file = YamlFile(FILE, text)
    for key in sorted(map(str, set(file.data) - {"экономика"})):
        file.problem(unknown("неизвестный ключ", key, ("экономика",)), key)
    rows: list[Row] = []
    for at, given in _dicts(file, "экономика"):
        row = _row(file, at, given, [TOTAL, *(above.name for above in rows)])
        if row is not None:
            rows.append(row)
    if file.problems:
        raise ConfigError(file.problems)
    return tuple(rows)


def counted(
    rows: Sequence[Row], total: Decimal, field: Callable[[Sequence[str]], tuple[str, str]]
) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """(rows for the template, faults by name) of the client's case.

    field: titles of CRM fields -> (title, text) of the first that is filled in. No rows at all when one of
    the fields is empty: half a calculation convinces nobody. A field that is no number is a fault.
    """
    known: dict[str, Decimal] = {TOTAL: total}
    shown: list[dict[str, Any]] = []
    faults: dict[str, str] = {}
    for row in rows:
        if row.fields:
            title, text = field(row.fields)
            if not text:
                return [], {}
            number = _number(text)
            if number is None:
                faults["экономика"] = f"Сделка → поле «{title}» («{text[:40]}» — не число)"
                return [], faults
            value = number
        else:
            try:
                with localcontext() as context:
                    context.prec = 60
                    value = _value(ast.parse(row.formula, mode="eval").body, row.formula, known)
                    value = value.quantize(Decimal(1).scaleb(-row.digits), ROUND_HALF_UP)
            except DecimalException:
                faults["экономика"] = f"templates/{FILE} → «{row.label}»: на этих числах не сосчитать"
                return [], faults
        known[row.name] = value
        if not row.is_hidden:
            shown.append({"подпись": row.label, "значение": value, "единица": row.unit})
    return shown, faults


def _dicts(file: YamlFile, key: str) -> list[tuple[tuple[str | int, ...], Mapping[str, Any]]]:
    given = file.data.get(key) or []
    if not isinstance(given, list) or not all(isinstance(item, dict) for item in given):
        file.problem(f"«{key}» — это список", key)
        return []
    return [((key, number), item) for number, item in enumerate(given)]


def _unknown_keys(file: YamlFile, at: tuple[str | int, ...], given: Mapping[str, Any], known: Any) -> None:
    for key in sorted(map(str, set(given) - set(known))):
        file.problem(unknown("неизвестный ключ", key, known), *at, key)


def _row(
    file: YamlFile, at: tuple[str | int, ...], given: Mapping[str, Any], known: Sequence[str]
) -> Row | None:
    _unknown_keys(file, at, given, _ROW_KEYS)
    name, formula = str(given.get("имя") or ""), str(given.get("формула") or "")
    fields = given.get("поле") or []
    fields = tuple(map(str, fields if isinstance(fields, list) else [fields]))
    digits = given.get("знаков", 0)
    if not name.isidentifier() or name in known:
        file.problem("имя — одно слово без пробелов, у каждой строки своё", *at)
    if bool(fields) == bool(formula):
        file.problem("нужно либо «поле» (из CRM), либо «формула»", *at)
    elif formula and (message := _mistake(formula, known)):
        file.problem(message, *at, "формула")
    if not isinstance(digits, int) or isinstance(digits, bool) or not 0 <= digits <= 6:
        file.problem("знаков после запятой: от 0 до 6", *at, "знаков")
        return None
    label, unit = str(given.get("подпись") or name), str(given.get("единица") or "")
    return Row(name, label, fields, formula, unit, digits, given.get("скрыть") in (True, "да"))


def _mistake(formula: str, known: Sequence[str]) -> str:
    """What is wrong with a formula; "" for nothing. known: the names that may stand in it."""
    if len(formula) > _LONGEST:
        return f"формула длиннее {_LONGEST} знаков"
    try:
        tree = ast.parse(formula, mode="eval").body
        _value(tree, formula, dict.fromkeys(known, Decimal(1)))
    except SyntaxError:
        return "формулу не разобрать: числа, имена строк выше, + - * / и скобки; дробь пишется с точкой"
    except DecimalException:
        return ""  # with other numbers it may well be counted
    except KeyError as error:
        name = str(error.args[0])
        guess = nearest(name, list(known))
        hint = f"может быть, «{guess}»?" if guess else f"есть: {', '.join(known)}"
        return f"в формуле неизвестное имя «{name}»; {hint}"
    except ValueError as error:
        return str(error)
    return ""


def _value(node: ast.expr, source: str, known: Mapping[str, Decimal]) -> Decimal:
    """Errors: KeyError for an unknown name, ValueError for what no formula may do, DecimalException."""
    match node:
        case ast.Constant(value=int() | float()) if not isinstance(node.value, bool):
            # The digits as they were written: a float would lose some of them.
            written = ast.get_source_segment(source, node) or ""
            if not re.fullmatch(r"\d{1,15}(?:\.\d{1,6})?", written):
                raise ValueError(f"число «{written[:20]}» не понять: дробь пишется с точкой")
            return Decimal(written)
        case ast.Name(id=name):
            return known[name]
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_value(operand, source, known)
        case ast.BinOp(left=left, op=ast.Add() | ast.Sub() | ast.Mult() | ast.Div() as sign, right=right):
            first, second = _value(left, source, known), _value(right, source, known)
            if isinstance(sign, ast.Add):
                return first + second
            if isinstance(sign, ast.Sub):
                return first - second
            return first * second if isinstance(sign, ast.Mult) else first / second
    raise ValueError("в формуле можно только числа, имена строк выше, + - * / и скобки")


def _number(text: str) -> Decimal | None:
    """A number as people type it into a field: «1 200», «12,5»."""
    squeezed = re.sub(r"\s", "", text)
    return Decimal(squeezed.replace(",", ".")) if _NUMBER.fullmatch(squeezed) else None
