"""What a template may do, and what it may not."""

from __future__ import annotations

import time
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jinja2 import TemplateAssertionError, UndefinedError
from jinja2.exceptions import SecurityError

from connector.documents.environment import RUSSIAN_FILTERS, TemplateEnvironment, collect_missing, wrap

DATA: dict[str, Any] = {
    "клиент": {"название": "ООО «А & Б» <b>", "инн": "7707083893"},
    "товары": [{"цена": Decimal("12345.6")}, {"цена": Decimal(1), "скидка": Decimal(2)}],
    "день": date(2026, 11, 24),
    "сумма": Decimal("10000.25"),
}


def render(source: str, faulty: dict[str, str] | None = None) -> tuple[str, list[str]]:
    """The text, and the names that were missing."""
    with collect_missing(faulty) as missing:
        text = TemplateEnvironment().from_string(source).render(wrap(DATA))
    return text, list(missing.names)


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("{{ клиент.название }}", "ООО «А &amp; Б» &lt;b&gt;"),
        ("{{ сумма|деньги }}", "10 000,25 ₽"),
        ("{{ сумма|деньги('USD') }}", "10 000,25 $"),
        ("{{ сумма|прописью }}", "Десять тысяч рублей 25 копеек"),
        ("{{ день|дата }}", "24 ноября 2026 г."),
        ("{{ день|дата_кратко }}", "24.11.2026"),
        ("{{ 'Лесной Иван Петрович'|родительный }}", "Лесного Ивана Петровича"),
        ("{{ 'Генеральный директор'|родительный }}", "генерального директора"),
        ("{{ 'Лесной Иван Петрович'|инициалы }}", "Лесной И. П."),
        ("{{ 21|число_прописью }}", "двадцать один"),
        ("{{ 3|склонение('день', 'дня', 'дней') }}", "дня"),
        ("{{ товары[1].цена * 3 + 1 }}", "4"),
        ("{{ клиент.кпп|default('—') }}", "—"),
        ("{% if клиент.кпп %}да{% else %}нет{% endif %}", "нет"),
        ("{% for ключ, значение in клиент.items() %}{{ ключ }} {% endfor %}", "название инн "),
        ("{% macro м(т) %}[{{ т }}]{% endmacro %}{{ м(сумма|сумма) }}", "[10 000,25]"),
        ("{{ товары|map(attribute='цена')|sum }}", "12346.6"),
    ],
)
def test_what_templates_do(source: str, text: str) -> None:
    found, missing = render(source)
    assert (found.replace("\u00a0", " "), missing) == (text, [])


@pytest.mark.parametrize(
    ("source", "missing"),
    [
        ("{{ клиент.кпп }} {{ клиент.огрн }}", ["клиент.кпп", "клиент.огрн"]),
        ("{{ договор.номер }}", ["договор.номер"]),
        ("{{ клиент.банк.бик.код }}", ["клиент.банк.бик.код"]),
        ("{{ клиент['поле с пробелом'] }}", ["клиент.поле с пробелом"]),
        ("{{ клиент.итог|деньги }}{{ клиент.день|дата|upper }}", ["клиент.итог", "клиент.день"]),
        ("{% for т in товары %}{{ т.скидка|деньги }}{% endfor %}", ["товары[1].скидка"]),
        ("{% for т in услуги %}x{% endfor %}", ["услуги"]),
        ("{{ услуги|length }}{{ услуги[0].цена }}", ["услуги", "услуги.0.цена"]),
        ("{% if клиент.вид == 'ИП' %}{% endif %}", ["клиент.вид"]),
        ("{% if 'а' in клиент.вид %}{% endif %}", ["клиент.вид"]),
        ("{{ клиент.а + 1 }}{{ 2 * клиент.б }}{{ клиент.в > 1 }}", ["клиент.а", "клиент.б", "клиент.в"]),
        ("{{ 'Заяц Иван Петрович'|родительный }}", ["родительный падеж: Заяц Иван Петрович"]),
        ("{{ клиент.кпп ~ 'x' }}", ["клиент.кпп"]),
        ("{{ [клиент.кпп]|join }}", ["клиент.кпп"]),
    ],
)
def test_each_missing_name_is_noted_with_its_path(source: str, missing: list[str]) -> None:
    assert render(source)[1] == missing


def test_a_faulty_name_cannot_drop_out_by_a_test_or_a_default() -> None:
    faulty = {"клиент.кпп": "опечатка"}
    assert render("{% if клиент.кпп %}КПП{% endif %}", faulty)[1] == ["клиент.кпп"]
    assert render("{{ клиент.кпп|default('') }}", faulty)[1] == ["клиент.кпп"]
    assert render("{{ клиент.кпп or '' }}", faulty)[1] == ["клиент.кпп"]


def test_outside_a_collection_a_missing_name_is_an_error() -> None:
    with pytest.raises(UndefinedError, match=r"клиент\.кпп"):
        TemplateEnvironment().from_string("{{ клиент.кпп }}").render(wrap(DATA))


@pytest.mark.parametrize(
    "source",
    [
        "{{ 'a' * 10**9 }}",
        "{{ '%999999999d' % 1 }}",
        "{{ 10 ** 999999999 }}",
        "{{ [0] * 999999999 }}",
        "{{ 'a'.center(999999999) }}",
        "{{ '{:999999999}'.format(1) }}",
        "{{ 'a'.join(['b']) }}",
        "{{ клиент.update({}) }}",
        "{{ ''.__class__ }}{{ ''.__class__.__mro__ }}",
        "{{ клиент.__init__.__globals__ }}",
        "{{ клиент._path }}",
        "{{ (1).__class__.__bases__ }}",
        "{{ сумма.__reduce__() }}",
        "{{ день.strftime('%999999999d') }}",
    ],
)
def test_growth_and_escape_are_refused(source: str) -> None:
    started = time.monotonic()
    try:
        text, missing = render(source)
    except SecurityError:
        pass
    else:
        assert missing, text
        assert "object" not in text
    assert time.monotonic() - started < 1


@pytest.mark.parametrize("name", ["range", "lipsum", "cycler", "namespace", "dict", "joiner", "self._x"])
def test_there_are_no_globals(name: str) -> None:
    assert render("{{ " + name + " }}")[1]


@pytest.mark.parametrize("filter_", ["safe", "center", "format", "xmlattr", "tojson", "indent", "batch"])
def test_other_filters_do_not_exist(filter_: str) -> None:
    with pytest.raises(TemplateAssertionError):
        TemplateEnvironment().compile("{{ сумма|" + filter_ + " }}")


@given(st.text())
def test_whatever_the_data_are_they_are_text(text: str) -> None:
    found = TemplateEnvironment().from_string("<p>{{ x }}</p>").render({"x": text})
    inner = found[3:-4]
    assert "<" not in inner
    assert ">" not in inner


def test_data_are_never_a_template() -> None:
    assert TemplateEnvironment().from_string("{{ x }}").render({"x": "{{ 7*7 }}"}) == "{{ 7*7 }}"


def test_amounts_are_never_floats() -> None:
    for name in ("деньги", "сумма", "прописью", "число", "процент"):
        with pytest.raises(TypeError):
            RUSSIAN_FILTERS[name](0.1)
