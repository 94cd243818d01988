"""Changes to deals: only what differs is written, and a refusal says which field and why."""

from __future__ import annotations

from decimal import Decimal

import pytest

from connector.crm.base import DealWriter
from connector.domain import DealChanges, Outcome
from connector.errors import CrmError
from connector.sandbox.amocrm.world import UNSORTED_NAME
from connector.sandbox.state import Deal as PortalDeal
from tests.contract.office import Office, PatientClock, fresh_deal, seen

bitrix24_only = pytest.mark.parametrize("office", ["bitrix24"], indirect=True)


@pytest.fixture
def writer(office: Office) -> DealWriter:
    return office.client


def stage_after(office: Office, deal: PortalDeal, kind: str = "open") -> str:
    stages = office.portal.pipelines[deal.pipeline_id].stages
    return next(stage.code for stage in stages if stage.kind == kind and stage.code != deal.stage)


class TestDealChanges:
    def test_what_is_asked_for_is_changed_and_nothing_else(self, office: Office, writer: DealWriter) -> None:
        truth = fresh_deal(office, responsible_id=int(office.user_id))
        before = seen(office, truth)
        stage = stage_after(office, truth)
        assert writer.update_deal(before.id, DealChanges(name="Чай", stage_id=stage, amount=Decimal(2500)))
        after = seen(office, truth)
        assert (after.name, after.stage_id, after.amount) == ("Чай", stage, Decimal(2500))
        assert (after.responsible_id, after.pipeline_id) == (before.responsible_id, before.pipeline_id)

    def test_a_deal_that_is_like_that_is_not_written(self, office: Office, writer: DealWriter) -> None:
        truth = fresh_deal(office, responsible_id=int(office.user_id))
        same = DealChanges(
            name=truth.name,
            stage_id=truth.stage,
            pipeline_id=str(truth.pipeline_id),
            amount=truth.amount,
            responsible_id=office.user_id,
        )
        revision = office.portal.revision
        assert not writer.update_deal(str(truth.id), same)
        assert not writer.update_deal(str(truth.id), DealChanges())
        assert office.portal.revision == revision

    def test_what_others_changed_meanwhile_stays(self, office: Office, writer: DealWriter) -> None:
        truth = fresh_deal(office)
        office.portal.update_deal(truth.id, {"name": "Переименована человеком"}, by=int(office.user_id))
        assert writer.update_deal(str(truth.id), DealChanges(amount=Decimal(7)))
        assert seen(office, truth).name == "Переименована человеком"

    def test_a_deal_moves_to_another_pipeline(self, office: Office, writer: DealWriter) -> None:
        truth = fresh_deal(office)
        other = next(p for p in office.portal.pipelines.values() if p.id != truth.pipeline_id)
        assert writer.update_deal(str(truth.id), DealChanges(pipeline_id=str(other.id)))
        moved = seen(office, truth)
        open_stages = [s for s in other.stages if s.kind == "open" and s.name != UNSORTED_NAME]
        first = min(open_stages, key=lambda stage: stage.sort)
        assert (moved.pipeline_id, moved.stage_id) == (str(other.id), first.code)
        # The pipeline alone is no wish to begin anew there.
        assert not writer.update_deal(str(truth.id), DealChanges(pipeline_id=str(other.id)))

    def test_a_lost_deal_says_why(self, office: Office, writer: DealWriter) -> None:
        truth = fresh_deal(office)
        reason_id, _ = next(iter(office.portal.loss_reasons.items()))
        changes = DealChanges(stage_id=stage_after(office, truth, "lost"), loss_reason_id=str(reason_id))
        assert writer.update_deal(str(truth.id), changes)
        lost = seen(office, truth)
        assert (lost.outcome, lost.loss_reason_id) == (Outcome.LOST, str(reason_id))
        assert not writer.update_deal(str(truth.id), changes)

    def test_a_deal_goes_to_another_person(self, office: Office, writer: DealWriter) -> None:
        truth = fresh_deal(office)
        assert writer.update_deal(str(truth.id), DealChanges(responsible_id=office.user_id))
        assert seen(office, truth).responsible_id == office.user_id

    def test_a_deal_that_is_gone_is_not_found(self, writer: DealWriter) -> None:
        with pytest.raises(CrmError) as caught:
            writer.update_deal("987654321", DealChanges(name="Кофе"))
        assert caught.value.kind == "not_found"

    @pytest.mark.parametrize(
        ("changes", "said"),
        [
            (DealChanges(name=" "), "name"),
            (DealChanges(stage_id="C77:NOWHERE"), "C77:NOWHERE"),
            (DealChanges(pipeline_id="7777"), "7777"),
            (DealChanges(loss_reason_id="987654"), "987654"),
            (DealChanges(fields={"Поля нет": "x"}), "Поля нет"),
        ],
    )
    def test_what_cannot_be_is_refused_by_name_and_nothing_is_written(
        self, office: Office, writer: DealWriter, changes: DealChanges, said: str
    ) -> None:
        truth = fresh_deal(office)
        revision = office.portal.revision
        with pytest.raises(CrmError) as caught:
            writer.update_deal(str(truth.id), changes)
        assert caught.value.kind == "rejected"
        assert said in caught.value.detail
        assert office.portal.revision == revision


@bitrix24_only
def test_bitrix24_has_no_tags_and_says_so(office: Office, writer: DealWriter) -> None:
    truth = fresh_deal(office)
    with pytest.raises(CrmError, match="NO_TAGS"):
        writer.update_deal(str(truth.id), DealChanges(name="Чай", add_tags=("vip",)))
    assert seen(office, truth).name == truth.name


#: A field of each type: what is written, what is read, and the same said in another way.
FIELDS = [
    ("string", "N", "Самовывоз", "Самовывоз", "Самовывоз"),
    ("integer", "N", "1 200", "1200", "1200"),
    ("double", "N", "12,5", "12.5", "12.50"),
    ("boolean", "N", "да", "да", "1"),
    ("date", "N", "15.03.2026", "2026-03-15", "2026-03-15"),
    ("money", "N", "1500,50", "1500.50", "1500.5|RUB"),
    ("url", "N", "https://crm.example/1", "https://crm.example/1", "https://crm.example/1"),
    ("enumeration", "N", "почта", "Почта", "Почта"),
    ("enumeration", "Y", "Почта, Курьер", "Почта, Курьер", "Почта\nКурьер"),
    ("string", "Y", "раз\nдва", "раз, два", "раз, два"),
]


@bitrix24_only
@pytest.mark.parametrize(("kind", "multiple", "written", "read", "again"), FIELDS)
def test_a_field_of_any_type_is_written_as_people_say_it(
    office: Office, kind: str, multiple: str, written: str, read: str, again: str
) -> None:
    name = f"Поле {kind} {multiple}"
    code = f"{kind}_{multiple}".upper()
    make_field(office, code, name, kind, multiple)
    truth = fresh_deal(office)
    # The settings of a portal are believed for an hour: a client that has just begun knows the field.
    client = office.again(office.limiter, PatientClock())
    assert client.update_deal(str(truth.id), DealChanges(fields={name: written}))
    found = client.deal(str(truth.id))
    assert found is not None
    assert found.fields[name] == read
    assert not client.update_deal(str(truth.id), DealChanges(fields={f"UF_CRM_{code}": again}))
    assert client.update_deal(str(truth.id), DealChanges(fields={name: ""}))
    found = client.deal(str(truth.id))
    assert found is not None
    assert name not in found.fields


def make_field(office: Office, code: str, name: str, kind: str, multiple: str) -> None:
    office.sandbox.bitrix24.site.own_user_fields[f"UF_CRM_{code}"] = {
        "ENTITY": "deal",
        "USER_TYPE_ID": kind,
        "MULTIPLE": multiple,
        "LABEL": name,
        "LIST": [{"ID": 901, "VALUE": "Почта"}, {"ID": 902, "VALUE": "Курьер"}]
        if kind == "enumeration"
        else [],
    }
