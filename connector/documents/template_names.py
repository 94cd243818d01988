"""Names that a template may ask for, and those in a template that do not exist. Pure.

A name that is missing at a render means missing data; a slip of the template's author must not look like
that, nor wait for the first deal to be found.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from jinja2 import Environment, nodes

from connector.playbook.words import nearest

#: None: a value, or a part that has whatever names people gave it. A dict: a section. A list of one: a list.
Names = Any

_PARTY = (
    *("вид", "название", "полное_название", "инн", "кпп", "огрн", "адрес", "банк", "бик", "счёт", "корсчёт"),
    *("директор", "должность", "основание", "директор_родительный", "должность_родительный", "действующего"),
    *("именуемое", "email", "телефон", "паспорт"),
)
_ISSUED = dict.fromkeys(("вид", "название", "номер", "дата", "сумма", "ссылка"))


def known_names(kinds: Iterable[str]) -> dict[str, Names]:
    """All that `context.build` gives, as a tree. kinds: the kinds of documents that the kit has."""
    return {
        "сделка": dict.fromkeys(
            (
                *("ид", "название", "сумма", "валюта", "этап", "воронка", "отрасль", "создана", "метки"),
                *("поля", "предоплата"),
            )
        ),
        "клиент": dict.fromkeys((*_PARTY, "подписант", "поля")),
        "контакт": dict.fromkeys(("имя", "обращение", "email", "телефон", "должность", "поля")),
        "менеджер": dict.fromkeys(("имя", "email")),
        "продавец": dict.fromkeys(
            (
                *_PARTY,
                "город",
                "сайт",
                "бухгалтер",
                "ндс_основание",
                "логотип",
                "печать",
                "подпись",
                "позиция",
            )
        ),
        "сегодня": None,
        "экономика": [dict.fromkeys(("подпись", "значение", "единица"))],
        "кейсы": [dict.fromkeys(("название", "текст", "результат"))],
        "документы": dict.fromkeys(kinds, _ISSUED),
        "вложения": [_ISSUED],
        # Of letters: where the attached invoice is paid. Documents have an «оплата» of their own.
        "оплата": dict.fromkeys(("ссылка",)),
        "товары": [
            dict.fromkeys(
                (
                    *("номер", "название", "количество", "единица", "цена", "цена_без_скидки"),
                    *("полная_цена", "скидка", "скидка_документа", "скидка_всего"),
                    *("сумма", "сумма_с_ндс", "ставка", "картинка", "описание"),
                )
            )
        ],
        "опции": [dict.fromkeys(("название", "цена", "описание"))],
        "итого": {
            **dict.fromkeys(("сумма", "сумма_строк", "валюта", "позиций", "скидка", "скидка_на_документ")),
            **dict.fromkeys(("ндс", "ндс_сверху", "без_ндс", "строка_ндс", "предоплата", "остаток")),
            "ндс_по_ставкам": [dict.fromkeys(("ставка", "подпись", "сумма"))],
        },
    }


#: Names that only documents have, and those that the text of a contract adds.
OF_DOCUMENTS: Mapping[str, Names] = {
    "документ": dict.fromkeys(
        ("вид", "название", "номер", "дата", "год", "редакция", "действует_до", "вариант")
    ),
    "оплата": dict.fromkeys(("назначение", "qr")),
    "преамбула": None,
    "разделы": [{"номер": None, "название": None, "пункты": [dict.fromkeys(("номер", "текст"))]}],
}

#: What the pages for clients see: of the document only what stands on its face.
OF_PAGES: Mapping[str, Names] = {
    "документ": dict.fromkeys(
        ("вид", "название", "номер", "дата", "редакция", "действует_до", "сумма", "валюта")
    ),
    "продавец": dict.fromkeys(("название", "телефон", "email", "сайт", "логотип")),
    "клиент": dict.fromkeys(("название",)),
    "менеджер": dict.fromkeys(("имя", "email")),
    "страница": {
        **dict.fromkeys(("состояние", "адрес", "новая_редакция", "скрипт", "открыто", "оплатить")),
        **dict.fromkeys(("можно_принять", "можно_спросить", "нажатие", "сделано", "ошибка", "вопрос")),
        "файлы": [dict.fromkeys(("формат", "название", "адрес", "скачать", "размер"))],
        "принято": dict.fromkeys(("когда", "имя")),
    },
}


def unknown_names(
    environment: Environment, source: str, known: Mapping[str, Names]
) -> Iterator[tuple[int, str]]:
    """(line, Russian message) for each name in the template that `known` has not."""
    tree = environment.parse(source)
    free = {node.name for node in tree.find_all(nodes.Name) if node.ctx == "load"} - _own_names(tree)
    # A macro's parameter that bears the name of a section is that section.
    parameters = {name.name for macro in tree.find_all(nodes.Macro) for name in macro.args}
    seen: dict[str, Names] = {name: known[name] for name in free | parameters if name in known}
    for loop in tree.find_all(nodes.For):
        over = _resolve(loop.iter, seen)
        if isinstance(loop.target, nodes.Name) and isinstance(over, list):
            seen[loop.target.name] = over[0]
    for node in tree.find_all(nodes.Name):
        if node.name in free and node.name not in known:
            yield node.lineno, _message(node.name, node.name, "", known)
    accesses: list[nodes.Getattr | nodes.Getitem] = [*tree.find_all(nodes.Getattr)]
    accesses += tree.find_all(nodes.Getitem)
    for access in accesses:
        owner, name = _resolve(access.node, seen), _attribute(access)
        if isinstance(owner, dict) and name is not None and name not in owner:
            path = _path(access.node)
            yield access.lineno, _message(f"{path}.{name}", name, f"{path}.", owner)


def _own_names(tree: nodes.Template) -> set[str]:
    """What the template itself gives a name to: macros, imports, loops, parameters; and Jinja's own names."""
    own = {"loop", "self", "super", "caller", "varargs", "kwargs"}
    own |= {node.name for node in tree.find_all(nodes.Name) if node.ctx != "load"}
    own |= {node.name for node in tree.find_all(nodes.Macro)}
    own |= {node.target for node in tree.find_all(nodes.Import)}
    for imported in tree.find_all(nodes.FromImport):
        own |= {name[-1] if isinstance(name, tuple) else name for name in imported.names}
    return own


def _resolve(node: nodes.Node, seen: Mapping[str, Names]) -> Names:
    """What the expression is in the tree of names; None when that cannot be told."""
    if isinstance(node, nodes.Name):
        return seen.get(node.name)
    if isinstance(node, nodes.Getattr | nodes.Getitem):
        owner, name = _resolve(node.node, seen), _attribute(node)
        if isinstance(owner, dict) and name is not None:
            return owner.get(name)
        if isinstance(owner, list) and isinstance(node, nodes.Getitem):
            return owner[0]
    return None


def _attribute(node: nodes.Getattr | nodes.Getitem) -> str | None:
    if isinstance(node, nodes.Getattr):
        return None if node.attr in ("items", "keys", "values") else node.attr
    argument = node.arg
    return argument.value if isinstance(argument, nodes.Const) and isinstance(argument.value, str) else None


def _path(node: nodes.Node) -> str:
    if isinstance(node, nodes.Getattr | nodes.Getitem):
        name = _attribute(node)
        return f"{_path(node.node)}.{name}" if name else _path(node.node)
    return node.name if isinstance(node, nodes.Name) else ""


def _message(path: str, name: str, prefix: str, known: Iterable[str]) -> str:
    choice = list(known)
    guess = nearest(name, choice)
    hint = f"может быть, «{prefix}{guess}»?" if guess else f"есть: {', '.join(choice)}"
    return f"неизвестное имя «{path}»; {hint}"
