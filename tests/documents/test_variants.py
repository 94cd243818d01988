"""Two looks of one document or letter: the same deal always gets the same one, whoever asks and whenever."""

from __future__ import annotations

from collections import Counter

import pytest

from connector.documents import trial, variants
from connector.documents.kit import Kit
from connector.documents.render import RenderPool
from connector.documents.variants import Variant, choose
from connector.errors import ConfigError
from tests.documents.samples import kit

DEALS = [str(number) for number in range(2000)]


def shares(*given: Variant) -> Counter[str]:
    return Counter(choose(given, "main", deal, "proposal") for deal in DEALS)


def test_shares_are_kept_and_the_choice_never_changes() -> None:
    half, most = Variant("a", 50), Variant("b", 50)
    assert abs(shares(half, most)["a"] - 1000) < 120
    assert abs(shares(Variant("a", 10), Variant("b", 90))["a"] - 200) < 70
    for deal in DEALS[:50]:
        assert choose((half, most), "main", deal, "x") == choose((most, half), "main", deal, "x")
    by_name = [choose((half, most), "main", deal, "other") for deal in DEALS]
    assert by_name != [choose((half, most), "main", deal, "proposal") for deal in DEALS]


def test_a_changed_share_moves_no_more_deals_than_it_must() -> None:
    before, after = (Variant("a", 50), Variant("b", 50)), (Variant("a", 60), Variant("b", 50))
    moved = Counter((choose(before, "main", deal, "x"), choose(after, "main", deal, "x")) for deal in DEALS)
    assert moved["a", "b"] == 0
    assert 0 < moved["b", "a"] < 200


def test_a_stopped_variant_goes_to_no_further_deal_and_stays_with_those_that_have_it() -> None:
    stopped = (Variant("a", 0), Variant("b", 50))
    assert shares(*stopped) == {"b": len(DEALS)}
    assert choose(stopped, "main", "1", "x", kept="a") == "a"
    assert choose(stopped, "main", "1", "x", kept="deleted") == "b"
    assert choose((), "main", "1", "x", kept="a") == ""


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"a": 50}, "хотя бы два"),
        (["a", "b"], "хотя бы два"),
        ({"a": 50, "b": "много"}, "«b»"),
        ({"a": 50, "b": -1}, "«b»"),
        ({"a": 0, "b": 0}, "остановлены"),
    ],
)
def test_wrong_shares_are_a_sentence(given: object, message: str) -> None:
    assert message in variants.read(given)[1]


def with_variants(shares: str = "{proposal: 50, proposal_short: 50}") -> dict[str, bytes]:
    files = dict(kit().files)
    text = kit().text("documents/documents.yml")
    files["documents/documents.yml"] = text.replace(
        "название: Коммерческое предложение", f"название: Коммерческое предложение\n  варианты: {shares}"
    ).encode()
    files["documents/proposal_short.html"] = (
        b'{% extends "base.html" %}{% block '
        + "текст".encode()
        + b" %}<p>"
        + "Коротко: {{ итого.сумма|деньги(итого.валюта) }}".encode()
        + b"</p>{% endblock %}"
    )
    letter = kit().text("messages/welcome.md")
    files["messages/welcome_warm.md"] = letter.encode()
    files["messages/welcome.md"] = letter.replace(
        "тема:", "варианты: {welcome: 50, welcome_warm: 50}\nтема:"
    ).encode()
    return files


def test_each_variant_is_tried_rendered_and_known_by_its_own_version() -> None:
    both = Kit.from_files(with_variants())
    assert both.documents["proposal"].pages == ("proposal", "proposal_short")
    assert both.fingerprint("proposal", "proposal") != both.fingerprint("proposal", "proposal_short")
    sample = trial.SAMPLES["ooo"]
    with RenderPool(both) as pool:
        sizes = {
            variant: len(pool.render("proposal", context)[0].content)
            for variant in both.documents["proposal"].pages
            if (context := trial.sample_context(both, sample, "proposal", variant))
        }
    assert sizes["proposal_short"] < sizes["proposal"] / 2
    broken = with_variants()
    broken["documents/proposal_short.html"] = broken["documents/proposal_short.html"].replace(
        "итого.сумма".encode(), "клиент.название".encode()
    )
    (problem,) = trial.run(Kit.from_files(broken), kinds=["proposal"])
    assert "documents/proposal_short.html" in problem.place


@pytest.mark.parametrize(
    ("shares", "message"),
    [
        ("{proposal: 50, proposal_long: 50}", "нет шаблона templates/documents/proposal_long.html"),
        ("{proposal: 50}", "хотя бы два"),
    ],
)
def test_a_kit_with_wrong_variants_is_refused(shares: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Kit.from_files(with_variants(shares))
