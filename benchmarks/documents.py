"""Documents measured: our whole way beside bare WeasyPrint on the same HTML, in one run, turn by turn.

    .venv/bin/python benchmarks/documents.py [--rounds 20] [--memory 500]

Prints the time of each kind and its ratio to bare WeasyPrint, documents a second with one and with two render
processes, the memory of a render process while it makes 500 documents, and invoices of 300 and 1,000 rows.
Bare WeasyPrint is given every advantage: fonts and shared styles are read once, the HTML and the QR picture
are there already, and it runs in this process; ours makes both of the deal's data, in a process of its own.
Goal: at most 1.1 times the bare one. On a machine that does other work look at the time on the processor.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

from weasyprint import CSS, HTML
from weasyprint.text.fonts import FontConfiguration

from connector.documents.compose import Composer
from connector.documents.kit import Kit
from connector.documents.pdf import VARIANT, AssetFetcher, Assets
from connector.documents.render import RenderPool
from connector.documents.sample_deals import SAMPLES, Sample
from connector.documents.trial import sample_context
from connector.domain import ProductRow

ROOT = Path(__file__).resolve().parent.parent
#: Our makers that typeset one PDF and nothing else, so that the same work is compared.
PDF_KINDS = ("invoice", "act", "proposal")


LONG_ROUNDS = 3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--memory", type=int, default=500, help="documents made while memory is watched")
    options = parser.parse_args()
    kit = Kit.load(ROOT / "templates")
    with RenderPool(kit, 1) as pool:
        compare(kit, pool, options.rounds)
    throughput(kit, options.rounds * 2)
    memory(kit, options.memory)
    for rows in (300, 1000):
        long_invoice(kit, rows)


class Bare:
    """WeasyPrint alone, on the HTML and pictures that our composer had for a document."""

    def __init__(self, kit: Kit, kind: str, context: Mapping[str, Any]) -> None:
        self._assets = dict(kit.assets())
        self._fonts = FontConfiguration()
        styles = kit.text("documents/base.css")
        self._styles = CSS(string=styles, font_config=self._fonts, url_fetcher=AssetFetcher(self._assets))
        composer = Composer(kit)
        composer.__dict__["typesetter"] = self  # what the real one would be given comes here
        self._html = ""
        composer.compose(kind, context)

    def pdf(self, html: str, extra: Assets, *, draft: bool = False) -> bytes:
        self._html = html
        self._assets |= extra
        return b""

    def make(self) -> int:
        document = HTML(string=self._html, url_fetcher=AssetFetcher(self._assets))
        return len(
            document.write_pdf(stylesheets=[self._styles], font_config=self._fonts, pdf_variant=VARIANT)
        )


def compare(kit: Kit, pool: RenderPool, rounds: int) -> None:
    print(f"each kind, {rounds} times each, turn by turn; ms in the middle (the slowest; on the processor)")
    pool.warm_up()
    child = child_of(pool)
    for kind in (*PDF_KINDS, "contract"):
        context = sample_context(kit, SAMPLES["ooo"], kind)
        bare = Bare(kit, kind, context)
        makers: dict[str, Callable[[], object]] = {
            "bare": bare.make,
            "ours": lambda kind=kind, context=context: pool.render(kind, context),  # type: ignore[misc]
            "check": lambda kind=kind, context=context: pool.check(kind, context),  # type: ignore[misc]
        }
        for make in makers.values():
            make()
        times: dict[str, list[float]] = {name: [] for name in makers}
        cpu = dict.fromkeys(makers, 0.0)
        for _ in range(rounds):
            for name, make in makers.items():
                before = time.process_time() + cpu_s(child)
                times[name].append(seconds(make))
                cpu[name] += time.process_time() + cpu_s(child) - before
        wall = statistics.median(times["ours"]) / statistics.median(times["bare"])
        shown = ", ".join(f"{name} {middle(times[name], cpu[name] / rounds)}" for name in makers)
        word = " (it makes the Word file, too)" if kind == "contract" else ""
        print(f"  {kind:9} {shown}")
        print(f"  {'':9} ours / bare: {wall:.2f}, on the processor {cpu['ours'] / cpu['bare']:.2f}{word}")


def throughput(kit: Kit, documents: int) -> None:
    context = sample_context(kit, SAMPLES["ooo"], "invoice")
    rates = []
    for workers in (1, 2):
        with RenderPool(kit, workers) as pool, ThreadPoolExecutor(workers) as threads:
            list(threads.map(lambda _: pool.render("invoice", context), range(workers)))
            started = time.perf_counter()
            list(threads.map(lambda _: pool.render("invoice", context), range(documents)))
            rates.append(documents / (time.perf_counter() - started))
    ratio = rates[1] / rates[0]
    print(f"invoices a second: {rates[0]:.1f} with one process, {rates[1]:.1f} with two ({ratio:.2f} times)")


def memory(kit: Kit, documents: int) -> None:
    """All kinds in turn by one process; its resident memory after each fifth of them."""
    contexts = {kind: sample_context(kit, SAMPLES["ooo"], kind) for kind in kit.documents}
    kinds = list(kit.documents)
    with RenderPool(kit, 1) as pool:
        seen = []
        for number in range(documents):
            kind = kinds[number % len(kinds)]
            pool.render(kind, contexts[kind])
            if (number + 1) % max(documents // 5, 1) == 0:
                seen.append(rss_mb(child_of(pool)))
    shown = ", ".join(f"{megabytes:.0f}" for megabytes in seen)
    growth = seen[-1] / seen[0]
    print(f"memory over {documents} documents, MB: {shown}; the last is {growth:.2f} times the first")


def long_invoice(kit: Kit, rows: int) -> None:
    context = sample_context(kit, with_rows(SAMPLES["ooo"], rows), "invoice")
    bare = Bare(kit, "invoice", context)
    with RenderPool(kit, 1) as pool:
        pool.warm_up()
        child, times = child_of(pool), list[float]()
        began = cpu_s(child)
        for _ in range(LONG_ROUNDS):
            times.append(seconds(lambda: pool.render("invoice", context)))
        ours = cpu_s(child) - began
        peak, limit = peak_mb(child), pool._limits.wall(rows)
    began = time.process_time()
    for _ in range(LONG_ROUNDS):
        bare.make()
    ratio = ours / (time.process_time() - began)
    print(
        f"invoice of {rows} rows: {statistics.median(times):.1f} s, {ratio:.2f} times the bare one on the "
        f"processor; peak {peak:.0f} MB; its limit is {limit:.0f} s"
    )


def with_rows(sample: Sample, number: int) -> Sample:
    rows = tuple(
        ProductRow(f"Позиция {at}: деталь «Пример-{at}»", Decimal(at % 9 + 1), Decimal("1220.50"))
        for at in range(1, number + 1)
    )
    amount = sum((row.quantity * row.price for row in rows), Decimal(0))
    card = replace(sample.card, rows=rows, deal=replace(sample.card.deal, amount=amount))
    return replace(sample, card=card)


def seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def middle(taken: Iterable[float], cpu: float) -> str:
    times = sorted(taken)
    return f"{statistics.median(times) * 1000:.0f} ({times[-1] * 1000:.0f}; {cpu * 1000:.0f})"


def child_of(pool: RenderPool) -> int:
    process = pool._all[0]._process
    assert process is not None
    return process.pid


def cpu_s(pid: int) -> float:
    """What a process has used so far, in steps of the system's clock, which even out over the rounds."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def rss_mb(pid: int) -> float:
    return _status(pid, "VmRSS")


def peak_mb(pid: int) -> float:
    return _status(pid, "VmHWM")


def _status(pid: int, name: str) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name)) / 1024


if __name__ == "__main__":
    main()
