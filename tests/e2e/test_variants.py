"""A and B at work: which variant a deal got is a fact, and stays its own when the shares are changed."""

from __future__ import annotations

import shutil
from pathlib import Path

from sqlalchemy import select

from connector.documents.variants import choose
from connector.sandbox.app import Sandbox
from connector.store import archive
from connector.store.schema import deliveries
from tests.e2e.stand import TEMPLATES, Stand

PLAIN, WARM = "invoice_sent", "invoice_warm"


def kit_with_variants(folder: Path) -> Path:
    kit = folder / "kit"
    shutil.copytree(TEMPLATES, kit)
    shutil.copy(kit / "documents/invoice.html", kit / "documents/invoice_new.html")
    shutil.copy(kit / f"messages/{PLAIN}.md", kit / f"messages/{WARM}.md")
    write(
        kit, "documents/documents.yml", "invoice:\n", "invoice:\n  варианты: {invoice: 50, invoice_new: 50}\n"
    )
    write(kit, f"messages/{PLAIN}.md", "тема:", f"варианты: {{{PLAIN}: 50, {WARM}: 50}}\nтема:")
    return kit


def write(kit: Path, name: str, old: str, new: str) -> None:
    file = kit / name
    text = file.read_text("utf-8")
    assert old in text
    file.write_text(text.replace(old, new, 1), "utf-8")


def test_the_variant_of_a_deal_is_kept_shown_and_taken_again_for_a_correction(
    own_sandbox: Sandbox, sqlite_url: str, tmp_path: Path
) -> None:
    kit = kit_with_variants(tmp_path)
    with Stand(own_sandbox, "amocrm", sqlite_url, templates=kit) as stand:
        deals = [stand.add_deal(email=f"variant-{number}@example.ru") for number in range(6)]
        for deal_id in deals:
            stand.move(deal_id, "Счёт выставлен")
        stand.wait_for(lambda: len(own_sandbox.mailbox.letters()) == len(deals), "all letters")
        stand.settle()
        template = stand.app.kit.documents["invoice"]
        letter = stand.app.kit.messages[PLAIN]
        with stand.app.db.read() as conn:
            kept = {deal_id: archive.of_deal(conn, "main", str(deal_id))[0] for deal_id in deals}
            sent = conn.execute(select(deliveries.c.recipient, deliveries.c.variant)).all()
            versions = set(conn.execute(select(deliveries.c.template_sha256)).scalars())
        for number, deal_id in enumerate(deals):
            wanted = choose(template.variants, "main", str(deal_id), "invoice")
            assert kept[deal_id].variant == wanted
            assert kept[deal_id].template_sha256 == stand.app.kit.fingerprint("invoice", wanted)
            said = choose(letter.variants, "main", str(deal_id), PLAIN)
            assert dict(map(tuple, sent))[f"variant-{number}@example.ru"] == said
            assert f"вариант «{wanted}»" in stand.story(deal_id)
            assert f"вариант «{said}»" in stand.story(deal_id)
        assert versions <= {stand.app.kit.letter_sha256(name) for name in (PLAIN, WARM)}

        first = kept[deals[0]]
        stopped = (
            "{invoice: 0, invoice_new: 50}" if first.variant == "invoice" else "{invoice: 50, invoice_new: 0}"
        )
        write(kit, "documents/documents.yml", "{invoice: 50, invoice_new: 50}", stopped)
        stand.wait_for(
            lambda: any(not v.share for v in stand.app.kit.documents["invoice"].variants), "the new shares"
        )
        stand.app.register.reissue("main", first.id, "другая сумма")
        stand.settle()
        other = stand.add_deal(email="later@example.ru")
        stand.move(other, "Счёт выставлен")
        stand.wait_for(lambda: len(own_sandbox.mailbox.letters()) == len(deals) + 1, "the later letter")
        with stand.app.db.read() as conn:
            corrected = archive.of_deal(conn, "main", str(deals[0]))[-1]
            (later,) = archive.of_deal(conn, "main", str(other))
        assert (corrected.version, corrected.variant) == (2, first.variant)
        assert later.variant != first.variant
        entries = stand.app.register.entries(
            "main", first.issued_on.replace(day=1), later.issued_on.replace(year=2999)
        )
        assert {entry.variant for entry in entries} >= {first.variant, later.variant}
