"""Every specification of the kit draws; a broken or reaching one is named."""

from __future__ import annotations

import io
import json
from decimal import Decimal
from pathlib import Path

import pytest
from PIL import Image

from connector.charts import Chart, check_specs, draw
from connector.errors import RenderError
from connector.reports import charting
from connector.reports.charting import ChannelBar, StageBar
from connector.reports.losses import NO_REASON, Losses, ReasonLine
from connector.reports.render import read_templates

TEMPLATES = Path(__file__).parents[2] / "templates"
SOURCES = read_templates(TEMPLATES)
FONTS = {file.name: file.read_bytes() for file in (TEMPLATES / "fonts").glob("*.ttf")}

LOSSES = Losses(
    10,
    Decimal(900_000),
    (
        ReasonLine("Дорого", 6, 0.6, Decimal(600_000)),
        ReasonLine(NO_REASON, 4, 0.4, Decimal(300_000)),
    ),
)
PLAN_FACT = {"имя": "Отдел", "план": 10, "факт": 6, "по графику": 7, "подпись": "6 ₽ · 60 %"}
PACE = [{"день": day, "сумма": day * 1000, "линия": line} for day in (1, 15, 30) for line in ("план", "факт")]

ALL = (
    Chart("plan_fact", "План и факт", "план", (PLAN_FACT,)),
    Chart("pace", "Нарастающим итогом", "темп", tuple(PACE)),
    *charting.losses("Почему отказывают", LOSSES, "RUB"),
    *charting.funnel("Воронка", [StageBar("Заявка", 9, None), StageBar("Счёт", 2, Decimal(22), True)]),
    *charting.channels("Заявки", [ChannelBar("Сайт", 20, 5), ChannelBar("Реклама", 30, 2)]),
)


def test_every_chart_of_the_kit_is_drawn_for_a_phone_in_its_own_colours_and_letters() -> None:
    assert {f"charts/{chart.name}.vl.json" for chart in ALL} == {n for n in SOURCES if n.endswith(".vl.json")}
    for picture in draw(ALL, SOURCES, FONTS):
        image = Image.open(io.BytesIO(picture.png)).convert("RGB")
        # Two pixels for one: at 360 px of a phone nothing is scaled down.
        assert 600 < image.width <= 720
        inks = {colour for _, colour in image.getcolors(1 << 20) or ()}
        # Okabe–Ito, which people with any colour vision tell apart.
        assert inks & {(0, 114, 178), (213, 94, 0)}, picture.name
        assert picture.title in picture.svg and "PT Sans" in picture.svg


def test_captions_are_the_words_of_the_report() -> None:
    (chart,) = charting.losses("Почему отказывают", LOSSES, "RUB")
    assert [row["подпись"] for row in chart.rows] == ["6 · 600\u00a0000\u00a0₽", "4 · 300\u00a0000\u00a0₽"]
    assert [row["причина"] for row in chart.rows] == ["есть", "нет"]
    assert "Причина не указана: 4" in chart.alt
    assert charting.losses("Почему отказывают", Losses(0, Decimal(0), ()), "RUB") == ()


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("{", "это не JSON"),
        ("[]", "нужен объект"),
        ('{"data": {"url": "https://example.ru/x.json"}, "mark": "bar"}', "data.url"),
        ('{"layer": [{"mark": {"type": "image", "url": "file:///etc/passwd"}}]}', "layer.0.mark.url"),
    ],
)
def test_a_broken_or_reaching_specification_is_named(spec: str, said: str) -> None:
    sources = {**SOURCES, "charts/funnel.vl.json": spec}
    (problem,) = check_specs(sources, "templates/reports")
    assert problem.place == "templates/reports/charts/funnel.vl.json" and said in problem.message
    with pytest.raises(RenderError, match="funnel"):
        draw([chart for chart in ALL if chart.name == "funnel"], sources, FONTS)


def test_a_specification_that_cannot_be_drawn_is_an_error_of_that_template() -> None:
    sources = {**SOURCES, "charts/funnel.vl.json": json.dumps({"mark": "no such mark"})}
    with pytest.raises(RenderError, match=r"charts/funnel\.vl\.json"):
        draw([chart for chart in ALL if chart.name == "funnel"], sources, FONTS)
