"""Jinja's words for a mistake in a template -> what a person should do about it. Pure."""

from __future__ import annotations

import re

from jinja2 import TemplateSyntaxError

from connector.documents.environment import TemplateEnvironment
from connector.playbook.words import unknown

_TAGS = (
    *("if", "elif", "else", "endif", "for", "endfor", "block", "endblock", "extends", "from", "import"),
    *("include", "macro", "endmacro", "set", "endset", "with", "endwith"),
)


def in_russian(error: TemplateSyntaxError) -> str:
    """The mistake in Russian; what Jinja says of a rare one is quoted."""
    text = str(error.message or "")
    if found := re.search(r"innermost block that needs to be closed is '(\w+)'", text):
        return f"не закрыто {{% {found[1]} %}}: выше нужно {{% end{found[1]} %}}"
    if found := re.match(r"Encountered unknown tag 'end(\w+)'", text):
        return f"лишнее {{% end{found[1]} %}}: открывающего {{% {found[1]} … %}} выше нет"
    if found := re.match(r"Encountered unknown tag '(.+?)'", text):
        return unknown("неизвестная команда", found[1], _TAGS)
    if text.startswith("No filter named 'safe'"):
        return "фильтр safe запрещён: название клиента стало бы разметкой; уберите его, всё экранируется само"
    if found := re.match(r"No (filter|test) named '(.+?)'", text):
        known = TemplateEnvironment().filters if found[1] == "filter" else TemplateEnvironment().tests
        what = "неизвестный фильтр" if found[1] == "filter" else "неизвестная проверка"
        return unknown(what, found[2], map(str, known))
    if found := re.match(r"unexpected char (.+?) at \d+", text):
        sign = found[1][1:-1]
        return f'знак {sign} внутри {{{{ }}}} и {{% %}} не пишут; текст там берут в прямые кавычки: "…"'
    if "end of print statement" in text:
        return f"не закрыты скобки: подстановка пишется {{{{ имя }}}}{_got(text)}"
    if "end of statement block" in text:
        return f"не закрыты скобки: команда пишется {{% … %}}{_got(text)}"
    if "Missing end of comment" in text:
        return "не закрыто пояснение: после {# нужно #}"
    if "Missing end of raw" in text:
        return "не закрыто {% raw %}: нужно {% endraw %}"
    if found := re.match(r"unexpected '(.+?)'", text):
        return (
            f"лишнее «{found[1]}» или пропущена скобка: подстановка пишется {{{{ имя }}}}, команда {{% … %}}"
        )
    if re.match(r"[Uu]nexpected end of template", text):
        return "шаблон обрывается: не закрыта скобка или команда"
    if found := re.match(r"expected token '(.+?)', got '(.+?)'", text):
        return f"нужно «{found[1]}», а стоит «{found[2]}»"
    return f"шаблон не читается: {text}"


def _got(text: str) -> str:
    found = re.search(r"got '(.+?)'", text)
    return f"; лишнее: «{found[1]}»" if found else ""
