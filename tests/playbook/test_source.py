"""YAML as text with places: nothing guessed, nothing executed, nothing unfolded without bounds."""

from __future__ import annotations

import time

import pytest

from connector.playbook import source


def problems(text: str | bytes) -> list[tuple[str, str]]:
    content = text if isinstance(text, bytes) else text.encode()
    return [(problem.place, problem.message) for problem in source.parse("a.yml", content).problems]


def test_scalars_stay_what_was_typed() -> None:
    document = source.parse(
        "a.yml", b"{on: 09:30, yes: no, id: 0042, d: 2026-12-01, n: null, t: ~, e: , q: ''}"
    )
    assert document.problems == []
    assert document.value == {
        "on": "09:30", "yes": "no", "id": "0042", "d": "2026-12-01", "n": None, "t": None, "e": None, "q": "",
    }  # fmt: skip


def test_places_lead_to_values_keys_and_ancestors() -> None:
    document = source.parse("a.yml", b"a:\n  b: [x,\n      y]\n")
    assert document.place(("a", "b", 1)) == "a.yml:3:7"
    assert document.place(("a", "b", source.KEY)) == "a.yml:2:3"
    assert document.place(("a", "b", 7, "c")) == "a.yml:2:6"


def test_anchors_and_merges_work() -> None:
    document = source.parse("a.yml", b"x: &l {a: 1, b: 2}\ny: {<<: *l, b: 3}\nz: *l\n")
    assert document.problems == []
    assert document.value == {"x": {"a": "1", "b": "2"}, "y": {"a": "1", "b": "3"}, "z": {"a": "1", "b": "2"}}


@pytest.mark.parametrize(
    ("text", "place", "message"),
    [
        ("a: 1\na: 2\n", "a.yml:2:1", "ключ «a» повторён"),
        ("a:\n\t- b\n", "a.yml:2:1", "табуляция"),
        ("a: b: c", "a.yml:1:5", "лишнее двоеточие"),
        ("a: [b", "a.yml:1:4", "скобка не закрыта"),
        ("a:\n- {b: 1\nc: 2\n", "a.yml:2:3", "скобка не закрыта"),
        ("a: 'b", "a.yml:1:6", "не закрыта кавычка"),
        ("a: 1\n b\nc", "a.yml:3:2", "после ключа нет двоеточия"),
        ("a:\n  - b\n c: d\n", "a.yml:3:2", "сбился отступ"),
        ("a: *b", "a.yml:1:4", "ссылка * на метку &, которой выше нет"),
        ("a: 1\n---\nb: 2\n", "a.yml:2:1", "в файле два документа"),
        ("a: %b", "a.yml:1:4", "текст, который начинается с этого знака, берут в кавычки"),
        ("a: !!python/object/apply:os.system [id]", "a.yml:1:4", "теги не разрешены"),
        ("a: !env HOME", "a.yml:1:4", "теги не разрешены"),
        ("a: &l [*l]", "a.yml:1:4", "ссылка * ведёт внутрь самой себя"),
        ("? [a]\n: b", "a.yml:1:3", "ключом может быть только слово"),
        ("a: {<<: 1}", "a.yml:1:9", "после << нужна ссылка"),
        ("a: \x07", "a.yml:1:4", "недопустимый управляющий символ"),
        ("имя: Анна".encode("cp1251"), "a.yml:1:1", "файл не в кодировке UTF-8"),
        ("a: b".encode("utf-16"), "a.yml:1:1", "файл не в кодировке UTF-8"),
    ],
)
def test_mistakes_of_syntax_are_named_in_russian(text: str | bytes, place: str, message: str) -> None:
    ((found_place, found_message),) = problems(text)
    assert found_place == place
    assert found_message.startswith(message)


def bomb() -> str:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (bomb(), "ссылки * разворачиваются больше"),
        ("a: &l x\nb: [" + "*l, " * 500 + "]", "слишком много ссылок *"),
        ("[" * 5000, "слишком глубокая вложенность"),
        ("{a: " * 5000, "слишком глубокая вложенность"),
        ("- x\n" * 6000, "слишком много значений"),
        ("a: " + "x" * 300_000, "файл больше 256 КБ"),
    ],
)
def test_bombs_are_refused_quickly(text: str, message: str) -> None:
    started = time.process_time()
    found = problems(text)
    assert time.process_time() - started < 5
    assert any(message in found_message for _, found_message in found), found
