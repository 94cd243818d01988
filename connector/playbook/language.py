"""The language of conditions: Jinja's expressions cut down to what a rule needs, checked piece by piece.

Allowed: variables of `facts.CONDITION_VARIABLES`, texts, numbers, comparisons, arithmetic, `and`, `or`,
`not`, and the few filters and tests below. No calls, so nothing can be started from a condition.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

from jinja2 import StrictUndefined, TemplateError, nodes
from jinja2.parser import Parser
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment

from connector.playbook.facts import CONDITION_VARIABLES
from connector.playbook.words import nearest, unknown

MAX_LENGTH = 1000


class BadCondition(Exception):
    """The text is no condition; carries every mistake in Russian."""

    def __init__(self, mistakes: list[str]) -> None:
        self.mistakes = tuple(mistakes)
        super().__init__("; ".join(mistakes))


class Environment(ImmutableSandboxedEnvironment):
    """Sandbox without functions whose arithmetic is exact and knows numbers only."""

    intercepted_binops = frozenset({"+", "-", "*", "/"})
    intercepted_unops = frozenset({"-"})

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        return super().call_binop(context, operator, _number(left), _number(right))

    def call_unop(self, context: Context, operator: str, arg: Any) -> Any:
        return super().call_unop(context, operator, _number(arg))


def _number(value: object) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, (int, float, Decimal)):
        raise TypeError("arithmetic on what is no number")
    # A float can only come from the condition's own text: its decimal digits are what was meant.
    return Decimal(str(value))


def _lower(value: str | None) -> str | None:
    return None if value is None else value.lower()


_FILTERS: Mapping[str, Any] = {"lower": _lower, "length": len}
#: Put behind decimal fractions by `source_of`; not for people.
_EXACT = "exact"
_TESTS: Mapping[str, Any] = {"none": lambda value: value is None}
_OPERATORS = {
    "eq": "==", "ne": "!=", "gt": ">", "gteq": ">=", "lt": "<", "lteq": "<=", "in": "in", "notin": "not in",
}  # fmt: skip
_ARITHMETIC: dict[type[nodes.Node], str] = {nodes.Add: "+", nodes.Sub: "-", nodes.Mul: "*", nodes.Div: "/"}
_FORBIDDEN: dict[type[nodes.Node], str] = {
    nodes.CondExpr: "«… if … else …»",
    nodes.Pow: "степень **",
    nodes.Mod: "остаток %",
    nodes.FloorDiv: "деление //",
    nodes.Concat: "склейку ~",
    nodes.Pos: "плюс перед числом",
    nodes.Dict: "фигурные скобки",
}
_HINT = "сравнивают знаками ==, !=, >, <, >=, <=, связывают словами and, or, not"
_GROUPS = sorted({name.partition(".")[0] for name in CONDITION_VARIABLES})


def make_environment() -> Environment:
    """A sandbox that knows nothing but the filters and tests of conditions."""
    environment = Environment(undefined=StrictUndefined)
    environment.globals.clear()
    environment.filters = {**_FILTERS, _EXACT: _number}
    environment.tests = dict(_TESTS)
    return environment


def parse(environment: Environment, text: str) -> nodes.Expr:
    """The tree of an expression, not yet checked for what is allowed. Raises BadCondition."""
    if not text.strip():
        raise BadCondition(["пустое условие"])
    if len(text) > MAX_LENGTH:
        raise BadCondition([f"условие длиннее {MAX_LENGTH} знаков"])
    try:
        parser = Parser(environment, text, state="variable")
        tree = parser.parse_expression()
        if not parser.stream.eos:
            extra = parser.stream.current.value
            raise BadCondition([f"лишнее после условия: «{extra}»; {_HINT}"])
        tree.set_environment(environment)
    except (TemplateError, ValueError, RecursionError) as error:
        raise BadCondition([_unreadable(error)]) from error
    return tree


def _unreadable(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "в условии слишком много скобок"
    text = str(getattr(error, "message", None) or error)
    if found := re.match(r"unexpected char '(.)'", text):
        return f'знак {found[1]} в условии не пишут; текст берут в прямые кавычки: deal.stage == "Договор"'
    if "end of template" in text:
        return f"условие обрывается; {_HINT}"
    return f"условие не читается: {text}; {_HINT}"


def find_forbidden(node: nodes.Node, *, inside: bool = False) -> Iterator[str]:
    """What is not allowed in the tree. `inside`: below a comparison, where and, or, not have no place."""
    match node:
        case nodes.And() | nodes.Or():
            if inside:
                yield "and и or не могут стоять внутри сравнения"
            yield from find_forbidden(node.left, inside=inside)
            yield from find_forbidden(node.right, inside=inside)
        case nodes.Not():
            if inside:
                yield "not не может стоять внутри сравнения"
            yield from find_forbidden(node.node, inside=inside)
        case nodes.Compare():
            if inside:
                yield "сравнение не может стоять внутри другого"
            yield from find_forbidden(node.expr, inside=True)
            for operand in node.ops:
                yield from find_forbidden(operand.expr, inside=True)
        case nodes.BinExpr() if type(node) in _ARITHMETIC:
            yield from find_forbidden(node.left, inside=True)
            yield from find_forbidden(node.right, inside=True)
        case nodes.Neg():
            yield from find_forbidden(node.node, inside=True)
        case nodes.Filter() | nodes.Test():
            yield from _check_extra(node)
        case nodes.List() | nodes.Tuple():
            for item in node.items:
                yield from find_forbidden(item, inside=True)
        case nodes.Const():
            pass
        case nodes.Name() | nodes.Getattr() | nodes.Getitem():
            yield from _check_variable(node)
        case nodes.Call():
            yield "вызывать функции в условии нельзя"
        case _:
            yield f"в условии нельзя использовать {_FORBIDDEN.get(type(node), type(node).__name__)}"


def _check_extra(node: nodes.Filter | nodes.Test) -> Iterator[str]:
    known = _FILTERS if isinstance(node, nodes.Filter) else _TESTS
    if node.name not in known:
        what = "неизвестный фильтр" if isinstance(node, nodes.Filter) else "неизвестная проверка"
        yield unknown(what, node.name, known)
    if node.args or node.kwargs or node.dyn_args or node.dyn_kwargs:
        yield f"у «{node.name}» не бывает скобок"
    if node.node is not None:
        yield from find_forbidden(node.node, inside=True)


def _check_variable(node: nodes.Name | nodes.Getattr | nodes.Getitem) -> Iterator[str]:
    match node:
        case nodes.Getattr(node=nodes.Name(name=group)):
            name = f"{group}.{node.attr}"
            if name not in CONDITION_VARIABLES:
                yield _unknown_variable(name)
            elif CONDITION_VARIABLES[name].kind == "fields":
                yield f'у {name} нужно назвать поле: {name}["Отрасль"]'
        case nodes.Getitem(node=nodes.Getattr(node=nodes.Name(name=group), attr=attribute), arg=argument):
            name = f"{group}.{attribute}"
            kind = CONDITION_VARIABLES[name].kind if name in CONDITION_VARIABLES else None
            if kind is None:
                yield _unknown_variable(name)
            elif kind != "fields" or not (
                isinstance(argument, nodes.Const) and isinstance(argument.value, str)
            ):
                yield f'{name}: в квадратных скобках бывает только название поля: deal.fields["Отрасль"]'
        case nodes.Name(name=name) if name in _GROUPS:
            choice = [known for known in CONDITION_VARIABLES if known.startswith(f"{name}.")]
            yield f"у «{name}» нужно сказать, что: {', '.join(choice)}"
        case nodes.Name(name=name):
            yield f"{unknown('неизвестная переменная', name, CONDITION_VARIABLES)}; текст берут в кавычки"
        case _:
            yield "точка и квадратные скобки бывают только у переменных"


def _unknown_variable(name: str) -> str:
    """The message on a name with a dot: the group in common must not make every name of it look near."""
    group, _, attribute = name.partition(".")
    choice = [known.partition(".")[2] for known in CONDITION_VARIABLES if known.startswith(f"{group}.")]
    if not choice:
        return unknown("неизвестная переменная", name, CONDITION_VARIABLES)
    guess = nearest(attribute, choice)
    hint = f"может быть, «{group}.{guess}»?" if guess else f"у {group} есть: {', '.join(choice)}"
    return f"неизвестная переменная «{name}»; {hint}"


def variables_of(node: nodes.Node) -> Iterator[tuple[str, tuple[str, ...]]]:
    """The variables an allowed tree reads: text and path, `deal.fields["a"]` and ("deal", "fields", "a")."""
    match node:
        case nodes.Getattr(node=nodes.Name(name=group), attr=attribute):
            yield source_of(node), (group, attribute)
        case nodes.Getitem(
            node=nodes.Getattr(node=nodes.Name(name=group), attr=attribute), arg=nodes.Const(value=key)
        ):
            yield source_of(node), (group, attribute, str(key))
        case _:
            for child in node.iter_child_nodes():
                yield from variables_of(child)


def source_of(node: nodes.Node, *, exact: bool = False) -> str:
    """The text of an allowed part without and, or, not.

    exact: as Jinja compiles it, with numbers like 0.1 made Decimal: a float is never equal to an amount.
    """

    def text(child: nodes.Node) -> str:
        return source_of(child, exact=exact)

    match node:
        case nodes.Compare():
            operands = [f" {_OPERATORS[operand.op]} {text(operand.expr)}" for operand in node.ops]
            return text(node.expr) + "".join(operands)
        case nodes.BinExpr():
            return f"({text(node.left)} {_ARITHMETIC[type(node)]} {text(node.right)})"
        case nodes.Neg():
            return f"-{text(node.node)}"
        case nodes.Filter(node=nodes.Node() as inner):
            return f"{text(inner)}|{node.name}"
        case nodes.Test():
            return f"{text(node.node)} is {node.name}"
        case nodes.List() | nodes.Tuple():
            return f"[{', '.join(text(item) for item in node.items)}]"
        case nodes.Const():
            is_marked = exact and isinstance(node.value, float)
            return _constant(node.value) + (f"|{_EXACT}" if is_marked else "")
        case nodes.Getitem():
            return f"{text(node.node)}[{text(node.arg)}]"
        case nodes.Getattr():
            return f"{text(node.node)}.{node.attr}"
        case nodes.Name():
            return node.name
        case _:
            raise AssertionError(f"not checked: {node!r}")


def _constant(value: object) -> str:
    if isinstance(value, str):
        escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
        return f'"{escaped}"'
    if value is None or isinstance(value, bool):
        return str(value).lower()
    return str(value)
