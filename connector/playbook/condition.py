"""Conditions of rules: how they are tried on a deal, and how they explain themselves.

`and`, `or` and `not` are walked here, each part between them is compiled by Jinja on its own, so that the
trace shows the value of every part. A part that cannot be computed ends the whole condition with
`ConditionError`: never false, and under `not` never true.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal

from jinja2 import TemplateError, UndefinedError, nodes
from jinja2.environment import TemplateExpression

from connector.playbook.facts import sample_facts
from connector.playbook.language import (
    BadCondition,
    Environment,
    find_forbidden,
    make_environment,
    parse,
    source_of,
    variables_of,
)

#: (what was looked at, its value): values are texts, numbers as texts, truth values, None or lists of these.
Trace = list[tuple[str, object]]


class ConditionError(Exception):
    """A part could not be computed on this deal; the text is Russian."""


@dataclass(frozen=True, slots=True)
class Leaf:
    """A part without and, or, not. `variables` are what it reads: text and path in the facts."""

    text: str
    variables: tuple[tuple[str, tuple[str, ...]], ...]
    expression: TemplateExpression


@dataclass(frozen=True, slots=True)
class Branch:
    operator: str
    parts: tuple[Condition, ...]


Condition = Leaf | Branch


@dataclass(frozen=True, slots=True)
class Comparison:
    """A variable compared with a text that is written in the condition."""

    variable: str
    text: str


@functools.lru_cache(maxsize=512)
def compile_condition(text: str) -> Condition:
    """The condition ready to be tried. Raises BadCondition with every mistake in it."""
    environment = make_environment()
    tree = parse(environment, text)
    mistakes = list(dict.fromkeys(find_forbidden(tree)))
    if mistakes:
        raise BadCondition(mistakes)
    condition = _build(environment, tree)
    mistakes = list(_try_out(condition))
    if mistakes:
        raise BadCondition(mistakes)
    return condition


def find_mistakes(text: str) -> tuple[str, ...]:
    """Every mistake in the condition, in Russian; empty when it can be used."""
    try:
        compile_condition(text)
    except BadCondition as error:
        return error.mistakes
    return ()


def holds(condition: Condition, facts: Mapping[str, object], trace: Trace) -> bool:
    """Whether the condition holds; what was looked at on the way is added to `trace`.

    As in Python, parts after the one that decides are not looked at. Raises ConditionError.
    """
    if isinstance(condition, Leaf):
        return _leaf_holds(condition, facts, trace)
    if condition.operator == "not":
        return not holds(condition.parts[0], facts, trace)
    decisive = condition.operator == "or"
    return next((decisive for part in condition.parts if holds(part, facts, trace) is decisive), not decisive)


def comparisons(text: str) -> list[Comparison]:
    """Which variables the condition compares with which written texts. Raises BadCondition."""
    compile_condition(text)
    tree = parse(make_environment(), text)
    found = []
    for compare in [tree, *tree.find_all(nodes.Compare)]:
        if not isinstance(compare, nodes.Compare):
            continue
        sides = [compare.expr, *(operand.expr for operand in compare.ops)]
        variables = [source_of(side) for side in sides if isinstance(side, nodes.Getattr)]
        constants = [item for side in sides for item in [side, *side.find_all(nodes.Const)]]
        found += [
            Comparison(variable, constant.value)
            for variable in variables
            for constant in constants
            if isinstance(constant, nodes.Const) and isinstance(constant.value, str)
        ]
    return list(dict.fromkeys(found))


def plain(value: object) -> object:
    """A value as the trace keeps it: what JSON can hold, numbers with all their digits."""
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, (tuple, list)):
        return [plain(item) for item in value]
    if isinstance(value, Decimal):
        return f"{value:f}"
    return str(value)


def _leaf_holds(leaf: Leaf, facts: Mapping[str, object], trace: Trace) -> bool:
    for name, path in leaf.variables:
        if name != leaf.text:
            trace.append((name, plain(_look_up(path, facts))))
    try:
        value = leaf.expression(**facts)
        result = bool(value)
    except (TemplateError, ArithmeticError, TypeError, ValueError, LookupError) as error:
        reason = _reason(error)
        trace.append((leaf.text, f"ошибка: {reason}"))
        raise ConditionError(f"{leaf.text}: {reason}") from error
    trace.append((leaf.text, plain(value)))
    return result


def _look_up(path: tuple[str, ...], facts: object) -> object:
    for key in path:
        facts = facts.get(key) if isinstance(facts, Mapping) else None
    return facts


def _reason(error: Exception) -> str:
    if isinstance(error, UndefinedError):
        return "такого значения нет"
    if isinstance(error, ArithmeticError):
        return "деление на ноль или слишком большое число"
    return "значения не сочетаются: одно из них пусто или другого вида"


def _build(environment: Environment, node: nodes.Expr) -> Condition:
    match node:
        case nodes.And() | nodes.Or():
            operator = "and" if isinstance(node, nodes.And) else "or"
            return Branch(operator, (_build(environment, node.left), _build(environment, node.right)))
        case nodes.Not():
            return Branch("not", (_build(environment, node.node),))
    text = source_of(node)
    expression = environment.compile_expression(source_of(node, exact=True), undefined_to_none=False)
    return Leaf(text, tuple(dict.fromkeys(variables_of(node))), expression)


def _try_out(condition: Condition) -> Iterator[str]:
    """Parts that cannot be computed even on a deal with everything filled in."""
    if isinstance(condition, Branch):
        for part in condition.parts:
            yield from _try_out(part)
        return
    try:
        bool(condition.expression(**sample_facts()))
    except ArithmeticError:
        pass  # Division by a value that the sample happens to make zero; a real deal may differ.
    except (TemplateError, TypeError, ValueError, LookupError):
        # Custom fields are empty in the sample, which only equality and `not` can take.
        if not any(path[:2] == ("deal", "fields") for _, path in condition.variables):
            yield f"«{condition.text}» не вычислить: сравнивается разное, например текст с числом"
