"""Every document, letter and client page made for three invented deals: a render shows what no reading does.

A missing datum is no mistake here: the deal that lacks it would wait for it. A template that cannot be
rendered, or takes too long, is one.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from decimal import Decimal
from typing import Any

from connector.documents import context as contexts
from connector.documents import money, vat
from connector.documents.company import Seller
from connector.documents.context import Issued
from connector.documents.kit import Kit
from connector.documents.messages import render_message
from connector.documents.page import render_page
from connector.documents.render import Limits, RenderPool
from connector.documents.sample_deals import DAY, MANAGER, SAMPLES, Sample
from connector.domain import DealCard
from connector.errors import Problem, RenderError

#: What one document of a sample may take: a dozen rows are typeset in a second on a slow machine.
LIMITS = Limits(wall_s=20.0, cpu_s=20)
#: Where a page for the client would be: drafts and samples have none.
SAMPLE_PAGE = "https://example.ru/d/sample"

_SAMPLE = " (пример: "
_FILES = [
    {"формат": form, "название": form, "адрес": "w/1", "скачать": "w/1?download=1", "размер": "1 КБ"}
    for form in ("PDF", "Word")
]
_PAGE: Mapping[str, Any] = {
    "состояние": "open",
    "адрес": "w",
    "новая_редакция": "v",
    "скрипт": "page.js",
    "открыто": "w/opened",
    "оплатить": SAMPLE_PAGE,
    "можно_принять": True,
    "можно_спросить": True,
    "нажатие": "press",
    "сделано": "question",
    "ошибка": "Ошибка.",
    "вопрос": "Когда доставка?",
    "файлы": _FILES,
    "принято": {"когда": DAY, "имя": MANAGER.name},
}


def sample_context(kit: Kit, sample: Sample, kind: str | None, variant: str = "") -> dict[str, Any]:
    """What a document (`kind`) or a letter (None) sees of a sample; every kind is issued, as № 1."""
    if sample.is_without_vat:
        kit = _without_vat(kit)
    seller = kit.seller(sample.pipeline)
    card = _sold_by(seller, sample.card)
    issued = [
        Issued(other, template.title, template.number(1, DAY), DAY, card.deal.amount, SAMPLE_PAGE)
        for other, template in kit.documents.items()
        if kind is None and template.series(seller.key)
    ]
    return contexts.build(
        card,
        kit=kit,
        kind=kind,
        responsible=MANAGER,
        stage_name=sample.stage,
        pipeline_name=sample.pipeline,
        number=kit.documents[kind].number(1, DAY) if kind is not None else None,
        issued_on=DAY,
        variant=variant,
        attachments=issued,
    )


def _without_vat(kit: Kit) -> Kit:
    sellers = {key: replace(seller, rate=None) for key, seller in kit.companies.sellers.items()}
    return replace(kit, companies=replace(kit.companies, sellers=sellers))


def _sold_by(seller: Seller, card: DealCard) -> DealCard:
    """The sample as this company sells: its own rate where a row has none or one that it may not use, and
    the amount with the VAT that it adds."""
    if seller.rate is None:
        return replace(card, rows=tuple(replace(row, vat_rate=None) for row in card.rows))
    allowed = vat.rates_of(seller.rate, DAY)
    rows = tuple(
        row if row.vat_rate in allowed or row.is_vat_free else replace(row, vat_rate=seller.rate)
        for row in card.rows
    )
    if not seller.adds_vat:
        return replace(card, rows=rows)
    bases: dict[Decimal, Decimal] = {}
    for row in rows:
        rate = row.vat_rate or Decimal(0)
        bases[rate] = bases.get(rate, Decimal(0)) + money.times(row.price, row.quantity)
    amount = sum((base + vat.vat_on_top(base, rate) for rate, base in bases.items()), Decimal(0))
    return replace(card, rows=rows, deal=replace(card.deal, amount=amount))


def changed_kinds(before: Kit, after: Kit) -> list[str]:
    """Kinds of documents that look otherwise by the newer kit, or that it alone has."""
    return [
        kind
        for kind in after.documents
        if kind not in before.documents or before.fingerprint(kind) != after.fingerprint(kind)
    ]


def run(kit: Kit, *, kinds: Collection[str] | None = None, workers: int = 1) -> list[Problem]:
    """Mistakes of all letters, all pages and documents of `kinds` (None: all), each once. Raises ConfigError
    when the machine lacks Pango, RenderProcessError when no render process starts."""
    problems = [*_letters(kit), *_pages(kit)]
    chosen = list(kit.documents if kinds is None else kinds)
    tries = [
        (kind, page, sample)
        for sample in SAMPLES.values()
        for kind in chosen
        for page in kit.documents[kind].pages
    ]
    if tries:
        with (
            RenderPool(kit, min(workers, len(tries)), LIMITS) as pool,
            ThreadPoolExecutor(min(workers, len(tries))) as threads,
        ):
            found = threads.map(lambda one: _document(kit, pool, *one), tries)
            problems += [problem for problem in found if problem is not None]
    once: dict[tuple[str, str], Problem] = {}
    for problem in problems:  # that one sample shows a mistake is enough
        once.setdefault((problem.place, problem.message.rpartition(_SAMPLE)[0]), problem)
    return list(once.values())


def _document(kit: Kit, pool: RenderPool, kind: str, page: str, sample: Sample) -> Problem | None:
    try:
        pool.draft(kind, sample_context(kit, sample, kind, page if page != kind else ""))
    except RenderError as error:
        return _problem(error, f"documents/{page}.html", sample)
    return None


def _letters(kit: Kit) -> Iterator[Problem]:
    for sample in SAMPLES.values():
        context = sample_context(kit, sample, None)
        for name in kit.messages:
            try:
                render_message(kit, name, context, draft=True)
            except RenderError as error:
                yield _problem(error, f"messages/{name}.md", sample)


def _pages(kit: Kit) -> Iterator[Problem]:
    """Mistakes of the pages with all that they can show at once."""
    for sample in SAMPLES.values():
        for kind in kit.documents:
            context = sample_context(kit, sample, kind)
            said = {**context["документ"], "редакция": 2}
            if "итого" in context:
                said |= {"сумма": context["итого"]["сумма"], "валюта": context["итого"]["валюта"]}
            for name in ("document", "closed"):
                try:
                    render_page(kit, name, {**context, "документ": said, "страница": _PAGE})
                except RenderError as error:
                    yield _problem(error, f"pages/{name}.html", sample)


def _problem(error: RenderError, default: str, sample: Sample) -> Problem:
    file = error.template if "/" in error.template else default
    message = str(error).partition(": ")[2]
    return Problem(f"{file}:{error.line}" if error.line else file, f"{message}{_SAMPLE}{sample.title})")
