"""A deal whose every field tries to make us open an address or a file, and the shape of an HTML page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from html.parser import HTMLParser
from itertools import count
from pathlib import Path

from connector.domain import Company, Contact, DealCard
from tests.documents.samples import DEAL, ROWS, kit

SECRET_TEXT = "ne-dlya-chuzhih-glaz"
#: Fields that decide the sums: wrong ones hold every row back, so they are tried by themselves.
OF_SUMS = frozenset({"сделка.скидка", "сделка.отгрузка"})


def payloads(url: str, file: Path) -> list[str]:
    """Markup that makes a careless renderer open an address or a file of the server."""
    path = file.as_uri()
    svg = f'<svg xmlns="http://www.w3.org/2000/svg"><image href="{url}/svg"/><image href="{path}"/></svg>'
    return [
        f'<img src="{url}/img"><img src="{path}"><img src="{file}">',
        f'<link rel="stylesheet" href="{url}/css"><link rel="stylesheet" href="{path}">',
        f'<link rel="attachment" href="{path}"><link rel="attachment" href="{url}/attachment">',
        f'<a rel="attachment" href="{path}">x</a>',
        f"<style>@import url({url}/import); @import '{path}'; p {{ background: url({url}/p) }}</style>",
        f"<style>@font-face {{ font-family: x; src: url({url}/font) }} body {{ font-family: x }}</style>",
        f"<style>@page {{ background: url({url}/page); @top-left {{ content: url({path}) }} }}</style>",
        f'<object data="{url}/object"></object><embed src="{url}/embed"><iframe src="{url}/iframe"></iframe>',
        f'<base href="{url}/"><img src="relative.png">',
        f'<p style="background-image: url({url}/style); list-style: url({path})">x</p>',
        svg,
        f'<img src="data:image/svg+xml;utf8,{svg.replace("#", "%23")}">',
        f'<script src="{url}/script">fetch("{url}/js")</script>',
        f'<meta http-equiv="refresh" content="0; {url}/refresh"><video src="{url}/v" poster="{url}/w">',
        f'<img src="asset:../../{file.name}"><img src="asset:/{file}"><img src="font:../x">',
        f'<img srcset="{url}/srcset 2x"><input type="image" src="{url}/input">',
        "{{ 7*7 }}{% include 'x' %}</w:t></w:r><w:r><w:t>внедрение",
        "\u202eеинетав\x00\ud800\ufffe",
        "внедрение\r\nBcc: chuzhoy@client.example\u2028[ссылка]("
        + url
        + "/md) ![]("
        + url
        + "/mdi) <"
        + url
        + ">",
    ]


def hostile_deal(texts: Sequence[str], *, is_person: bool = False) -> DealCard:
    """The deal with one text after another in everything that a person fills in: each field that
    `fields.yml` names, names, posts, phones, addresses, tags, and products."""
    turn = count()

    def text() -> str:
        return texts[next(turn) % len(texts)]

    mapped = {
        owner: {
            titles[0]: text()
            for name, titles in kit().fields.items()
            if name.startswith(owner) and name not in OF_SUMS
        }
        for owner in ("сделка.", "клиент.")
    }
    contact = Contact(
        "3",
        f"Анна {text()}",
        emails=(text(),),
        phones=(text(),),
        post=text(),
        is_main=True,
        fields={**mapped["клиент."], text(): text()},
    )
    company = Company(
        "5",
        f"ООО {text()}",
        emails=(text(),),
        phones=(text(),),
        fields={**mapped["клиент."], text(): text()},
    )
    return DealCard(
        replace(DEAL, name=text(), tags=(text(), text()), fields={**mapped["сделка."], text(): text()}),
        (contact,),
        None if is_person else company,
        tuple(replace(row, name=f"{row.name} {text()}", unit=text()[:20]) for row in ROWS),
    )


class _Shape(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, tuple[str, ...]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, tuple(name for name, _ in attrs)))


def shape(html: str) -> list[tuple[str, tuple[str, ...]]]:
    """Every tag with the names of its attributes: what a stranger's text must not change."""
    parser = _Shape()
    parser.feed(html)
    return parser.found
