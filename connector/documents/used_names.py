"""Which data a template prints, as dotted names: to tell where PDF and Word file of a kind differ. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from jinja2 import nodes

#: Names that only one of the two can or need print: pictures, and what base.html says of each document.
ONE_SIDED = frozenset(
    {
        *(
            "продавец.логотип",
            "продавец.печать",
            "продавец.подпись",
            "оплата.qr",
            "документ.вид",
            "документ.вариант",
        ),
        *("документ.название", "документ.редакция", "продавец.вид", "клиент.вид"),
    }
)


def used(trees: Iterable[nodes.Template], known: Mapping[str, object]) -> set[str]:
    """Names with their section («клиент.инн», «товары.цена») in all of the trees together.

    A macro that is given a section uses what it takes of its parameter.
    """
    all_trees = list(trees)
    macros = {macro.name: macro for tree in all_trees for macro in tree.find_all(nodes.Macro)}
    found: set[str] = set()
    for tree in all_trees:
        loops = {
            loop.target.name: path
            for loop in tree.find_all(nodes.For)
            if isinstance(loop.target, nodes.Name) and (path := _path(loop.iter, {}))
        }
        for access in tree.find_all(nodes.Getattr):
            path = _path(access, loops)
            if path and path.partition(".")[0] in known:
                found.add(path)
        for call in tree.find_all(nodes.Call):
            if isinstance(call.node, nodes.Name) and call.node.name in macros:
                found |= _through(macros[call.node.name], call, known)
    return {name for name in found if not any(other.startswith(f"{name}.") for other in found)} - ONE_SIDED


def _through(macro: nodes.Macro, call: nodes.Call, known: Mapping[str, object]) -> set[str]:
    found = set()
    for parameter, given in zip(macro.args, call.args, strict=False):
        if isinstance(given, nodes.Name) and given.name in known:
            for access in macro.find_all(nodes.Getattr):
                if isinstance(access.node, nodes.Name) and access.node.name == parameter.name:
                    found.add(f"{given.name}.{access.attr}")
    return found


def _path(node: nodes.Node, loops: Mapping[str, str]) -> str:
    if isinstance(node, nodes.Name):
        return loops.get(node.name, node.name)
    if isinstance(node, nodes.Getattr):
        owner = _path(node.node, loops)
        return f"{owner}.{node.attr}" if owner else ""
    return ""
