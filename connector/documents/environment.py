"""The one Jinja of the product: what a template may do, and what happens when a datum is missing.

Templates are written by people and filled with strangers' text, so the environment is sandboxed, escapes
by itself, has no globals, knows a short list of filters, and lets nothing be called but macros. It knows
nothing of documents or CRMs.

A missing name does not stop a render: it is noted, with its full path, and the caller gets all of them at
once (`collect_missing`). Asking `{% if клиент.кпп %}` is allowed and notes nothing.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from jinja2 import BaseLoader, FunctionLoader, Template, Undefined, UndefinedError
from jinja2.exceptions import SecurityError
from jinja2.runtime import BlockReference, Macro
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import missing as jinja_missing

from connector.documents import russian, words
from connector.documents.names import genitive_name, genitive_post

#: Filters of Jinja that a template of ours may use. None makes a long text out of a short one, and `safe`
#: is not among them on purpose.
_STANDARD_FILTERS = (
    *("abs", "capitalize", "count", "dictsort", "e", "escape", "first", "groupby", "int", "join", "last"),
    *("length", "list", "lower", "map", "max", "min", "reject", "rejectattr", "replace", "round", "select"),
    *("selectattr", "sort", "sum", "title", "trim", "unique", "upper"),
)
#: Compiled texts that an environment keeps: more than the clauses of any contract.
_KEPT_TEXTS = 512
_DICT_METHODS = frozenset({"items", "keys", "values"})


@dataclass(slots=True)
class Missing:
    """What a render asked for and did not get.

    `faulty` maps names that are filled in wrongly to what is wrong; even a test of such a name counts as use,
    so that a wrong КПП does not quietly drop out of a document. In a draft the name itself is printed.
    """

    faulty: Mapping[str, str] = field(default_factory=dict)
    names: dict[str, None] = field(default_factory=dict)
    is_draft: bool = False


_current: ContextVar[Missing | None] = ContextVar("missing", default=None)


@contextmanager
def collect_missing(faulty: Mapping[str, str] | None = None, *, draft: bool = False) -> Iterator[Missing]:
    """Within it, missing names are noted in the result instead of raising UndefinedError."""
    found = Missing(faulty or {}, is_draft=draft)
    token = _current.set(found)
    try:
        yield found
    finally:
        _current.reset(token)


class Section(dict[str, Any]):
    """A dict of a context that knows its path in it: «клиент», «товары[2]»."""

    __slots__ = ("_path",)

    def __init__(self, items: Mapping[str, Any], path: str) -> None:
        super().__init__(items)
        self._path = path


def wrap(context: Mapping[str, Any]) -> dict[str, Any]:
    """A context whose dicts are Sections, so that a missing name can be told with its path."""
    return {key: _wrapped(value, key) for key, value in context.items()}


def _wrapped(value: Any, path: str) -> Any:
    if isinstance(value, Mapping):
        return Section({key: _wrapped(item, f"{path}.{key}") for key, item in value.items()}, path)
    if isinstance(value, list | tuple):
        return [_wrapped(item, f"{path}[{number}]") for number, item in enumerate(value, 1)]
    return value


class Absent(Undefined):
    """A name that the context does not have. Printing, counting or comparing it notes it as missing."""

    __slots__ = ()

    @property
    def _full_path(self) -> str:
        owner, name = self._undefined_obj, str(self._undefined_name)
        if isinstance(owner, Absent):
            return f"{owner._full_path}.{name}"
        if isinstance(owner, Section):
            return f"{owner._path}.{name}"
        return name if owner is jinja_missing else f"({type(owner).__name__}).{name}"

    def _note(self) -> None:
        found = _current.get()
        if found is None:
            raise UndefinedError(f"нет значения «{self._full_path}»")
        found.names[self._full_path] = None

    def __bool__(self) -> bool:
        found = _current.get()
        if found is not None and self._full_path in found.faulty:
            self._note()
        return False

    def __str__(self) -> str:
        self._note()
        found = _current.get()
        return f"[{self._full_path}]" if found is not None and found.is_draft else ""

    def __iter__(self) -> Iterator[Any]:
        self._note()
        return iter(())

    def __len__(self) -> int:
        self._note()
        return 0

    def __eq__(self, other: object) -> bool:
        self._note()
        return False

    def __ne__(self, other: object) -> bool:
        self._note()
        return True

    def __hash__(self) -> int:
        self._note()
        return 0

    def __contains__(self, item: object) -> bool:
        self._note()
        return False

    def _absent_again(self, *_: Any) -> Absent:
        self._note()
        return self

    def _is_false(self, _: object) -> bool:
        self._note()
        return False

    __lt__ = __le__ = __gt__ = __ge__ = _is_false  # type: ignore[assignment]
    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = _absent_again  # type: ignore[assignment]
    __truediv__ = __rtruediv__ = __floordiv__ = __rfloordiv__ = _absent_again  # type: ignore[assignment]
    __mod__ = __rmod__ = __pow__ = __rpow__ = __neg__ = __pos__ = _absent_again  # type: ignore[assignment]
    __int__ = __float__ = __complex__ = __len__  # type: ignore[assignment]


def loader(sources: Mapping[str, str]) -> BaseLoader:
    """Templates from memory that keep their names, so that an error can tell its place."""
    return FunctionLoader(lambda name: (sources[name], name, None) if name in sources else None)


class TemplateEnvironment(ImmutableSandboxedEnvironment):
    """See the module. `autoescape` is False only where another escaping is at work."""

    intercepted_binops = frozenset({"*", "**", "%"})

    def __init__(self, loader: BaseLoader | None = None, *, autoescape: bool = True, **options: Any) -> None:
        super().__init__(
            loader=loader,
            autoescape=autoescape,
            undefined=Absent,
            trim_blocks=True,
            lstrip_blocks=True,
            **options,
        )
        self.globals.clear()
        standard = {name: _noting(self.filters[name]) for name in _STANDARD_FILTERS}
        self.filters.clear()
        self.filters.update(standard)
        self.filters.update({name: _noting(function) for name, function in RUSSIAN_FILTERS.items()})
        self.filters.update({"default": _default, "d": _default, "иначе": _default})
        # Clauses and the parts of a Word file are texts without a name, the same in every document.
        self._of_text = functools.lru_cache(_KEPT_TEXTS)(super().from_string)
        self.compile_expression = functools.lru_cache(_KEPT_TEXTS)(super().compile_expression)  # type: ignore[method-assign]

    def from_string(self, source: Any, *args: Any, **options: Any) -> Template:
        if isinstance(source, str) and not args and not options:
            return self._of_text(source)
        return super().from_string(source, *args, **options)

    def getattr(self, obj: Any, attribute: str) -> Any:
        if isinstance(obj, Section):
            if attribute in obj:
                return obj[attribute]
            if attribute in _DICT_METHODS:
                return getattr(obj, attribute)
            return self.undefined(obj=obj, name=attribute)
        if isinstance(obj, Absent):
            return self.undefined(obj=obj, name=attribute)
        return super().getattr(obj, attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        if isinstance(obj, Section | Absent) and isinstance(argument, str):
            return self.getattr(obj, argument)
        if isinstance(obj, Absent):
            return self.undefined(obj=obj, name=str(argument))
        return super().getitem(obj, argument)

    def is_safe_callable(self, obj: Any) -> bool:
        """Macros, blocks, and the views of a dict; no method of a text, which could grow without limit."""
        if isinstance(obj, Macro | BlockReference):
            return True
        owner = getattr(obj, "__self__", None)
        return isinstance(owner, dict) and getattr(obj, "__name__", "") in _DICT_METHODS

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        """Arithmetic on numbers only: `"a" * 10**9` and `"%999999999d" % 1` are refused."""
        if not all(isinstance(side, int | Decimal | Absent) for side in (left, right)):
            raise SecurityError(f"действие «{operator}» возможно только с числами")
        if operator == "**" and abs(int(right)) > 12:
            raise SecurityError("степень не больше двенадцатой")
        return super().call_binop(context, operator, left, right)


def _noting(function: Callable[..., Any]) -> Callable[..., Any]:
    """`function` that, given an absent value, notes it and gives it back."""

    @functools.wraps(function)
    def filtered(*args: Any, **options: Any) -> Any:
        for value in args[:2]:
            if isinstance(value, Absent):
                value._note()
                return value
        return function(*args, **options)

    return filtered


def _default(value: Any, instead: Any = "", boolean: bool = False) -> Any:
    if isinstance(value, Undefined):
        bool(value)  # a faulty name is noted even so
        return instead
    return instead if boolean and not value else value


def _day(value: date | datetime) -> date:
    if not isinstance(value, date):
        raise TypeError("нужна дата")
    return value.date() if isinstance(value, datetime) else value


def _decimal(value: Decimal | int | str) -> Decimal:
    if isinstance(value, bool | float):
        raise TypeError("нужна точная сумма")
    return Decimal(value)


def _genitive(value: str) -> Any:
    """A name or a post in the genitive; in doubt the document is held."""
    text = str(value)
    found = genitive_name(text) or genitive_post(text)
    if found is not None:
        return found
    absent = Absent(name=f"родительный падеж: {text}")
    absent._note()
    return absent


def _initials(value: str) -> str:
    """«Иванов Иван Иванович» -> «Иванов И. И.»; anything but a full name stays."""
    parts = str(value).split()
    if len(parts) not in (2, 3):
        return str(value)
    return parts[0] + russian.NBSP + russian.NBSP.join(f"{part[0]}." for part in parts[1:])


def _lower_first(value: str) -> str:
    text = str(value)
    return text[:1].lower() + text[1:]


#: What templates call beside the standard filters; each has its line in the documentation of templates.
RUSSIAN_FILTERS: dict[str, Callable[..., Any]] = {
    "деньги": lambda value, currency="RUB": russian.money(_decimal(value), currency),
    "сумма": lambda value: russian.number(_decimal(value)),
    "прописью": lambda value, currency="RUB": words.amount_in_words(_decimal(value), currency),
    "число_прописью": lambda value: words.number_in_words(int(value)),
    "число": lambda value: russian.quantity(_decimal(value)),
    "процент": lambda value: russian.percent(_decimal(value)),
    "дата": lambda value: russian.date_in_words(_day(value)),
    "дата_кратко": lambda value: russian.short_date(_day(value)),
    "родительный": _genitive,
    "инициалы": _initials,
    "с_маленькой": _lower_first,
    "склонение": lambda value, one, few, many: words.plural(int(value), (one, few, many)),
}
