"""Leads of a portal: enquiries that nobody has taken yet. Must not know what becomes of the deal.

REST cannot convert a lead: the deal, the contact and the company are made here and bound, then the lead is
put into its successful stage. Each thing made carries the lead's number as its origin, so that a repeat finds
it. In the simple mode of the CRM there are no leads.
Source: Bitrix24 REST docs, pages «Лиды», «crm.item.add», «crm.settings.mode.get», «crm.duplicate.findbycomm».
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from connector.clock import Clock
from connector.crm.bitrix24.api import B24Api
from connector.crm.bitrix24.directory import Directory
from connector.crm.bitrix24.listing import LongList
from connector.crm.bitrix24.wire import COMPANY, CONTACT, DEAL, multifield
from connector.crm.wild import Wild
from connector.domain import IncomingLead, Outcome
from connector.errors import CrmError

LEAD: Final = 1

#: Answer of crm.settings.mode.get for a CRM without leads; 1 is the one with them.
SIMPLE: Final = "2"

#: Who made what we made; with the lead's number it is the key of a repeat.
ORIGINATOR: Final = "connector"

#: Codes of the SOURCE directory that every portal has, in our words; open lines are «1|TELEGRAM».
KINDS: Final = {
    "WEBFORM": "form",
    "WEB": "form",
    "CALLBACK": "form",
    "STORE": "form",
    "EMAIL": "mail",
    "CALL": "call",
}

#: What a deal takes over from its lead.
_INHERITED: Final = (
    *(
        "title",
        "comments",
        "sourceId",
        "sourceDescription",
        "currencyId",
        "opportunity",
        "isManualOpportunity",
    ),
    *("utmSource", "utmMedium", "utmCampaign", "utmContent", "utmTerm"),
)


@dataclass(frozen=True, slots=True)
class _Stages:
    """The lead's stages by their semantics: where it waits, where it ends well, where badly."""

    first: str
    won: str
    lost: str
    final: frozenset[str]


class Leads:
    """Leads of one portal; `directory` gives the settings of its deals."""

    def __init__(self, api: B24Api, clock: Clock, directory: Callable[[], Directory]) -> None:
        self._api = api
        self._clock = clock
        self._directory = directory

    def incoming(self, since: datetime | None) -> Iterator[IncomingLead]:
        """Leads in their first stage, by ascending id; nothing in the simple mode."""
        stages = self._stages()
        if stages is None:
            return
        filters: dict[str, object] = {"=stageId": stages.first}
        if since is not None:
            filters[">=createdTime"] = since.isoformat()
        params = {"entityTypeId": LEAD, "select": ["*"], "filter": filters}
        sources = self._directory().sources
        yield from LongList(
            self._api, self._clock, "crm.item.list", params, lambda item: _incoming(item, sources), key="id"
        ).rows()

    def accept(self, lead_id: str, responsible_id: str | None, stage_id: str | None) -> str:
        """The deal's id; a lead accepted before gives the deal of that time.

        Raises CrmError: «not_found» when there is no such lead, «rejected» when it was turned down.
        """
        stages = self._stages()
        if stages is None:
            raise self._refusal("NO_LEADS", "в портале включён простой режим CRM: лидов нет")
        lead = self._lead(lead_id)
        known = self._find(DEAL, lead_id)
        if known is None and lead.text_at("stageId") == stages.lost:
            raise self._refusal("LEAD_IS_LOST", f"лид {lead_id} уже отклонён")
        with self._api.understanding("crm.item.get"):
            deal_id = known or self._make_deal(lead, lead_id, responsible_id, stage_id)
        self._copy_rows(lead_id, deal_id)
        if lead.text_at("stageId") != stages.won:
            self._move(lead_id, stages.won)
        return deal_id

    def decline(self, lead_id: str) -> None:
        """Put the lead into its failed stage. One that is gone or final already is left alone."""
        stages = self._stages()
        if stages is None:
            return
        try:
            if self._lead(lead_id).text_at("stageId") not in stages.final:
                self._move(lead_id, stages.lost)
        except CrmError as error:
            if error.kind != "not_found":
                raise

    def _stages(self) -> _Stages | None:
        """None in the simple mode."""
        answers = self._api.batch(
            {
                "mode": ("crm.settings.mode.get", {}),
                "stages": ("crm.status.list", {"filter": {"ENTITY_ID": "STATUS"}, "order": {"SORT": "ASC"}}),
            }
        )
        if answers.read("mode", Wild.text) == SIMPLE:
            return None
        return answers.read("stages", _read_stages)

    def _lead(self, lead_id: str) -> Wild:
        return self._api.call(
            "crm.item.get", {"entityTypeId": LEAD, "id": int(lead_id)}, lambda result: result["item"]
        )

    def _make_deal(self, lead: Wild, lead_id: str, responsible_id: str | None, stage_id: str | None) -> str:
        place = self._place(stage_id)
        contact_id, company_id = self._contact_of(lead, lead_id), self._company_of(lead, lead_id)
        fields: dict[str, object] = {
            name: found.value for name in _INHERITED if (found := lead.get(name)) is not None
        }
        fields |= place
        fields["leadId"] = int(lead_id)
        fields["assignedById"] = int(responsible_id or lead["assignedById"].id())
        if contact_id is not None:
            fields["contactIds"] = [int(contact_id)]
        if company_id is not None:
            fields["companyId"] = int(company_id)
        return self._make(DEAL, lead_id, fields)

    def _place(self, stage_id: str | None) -> dict[str, object]:
        """The pipeline of that stage; without a stage the main pipeline's first."""
        pipelines = self._directory().pipelines
        for pipeline in pipelines:
            for stage in pipeline.stages:
                if stage_id == stage.id or (stage_id is None and stage.outcome is Outcome.OPEN):
                    return {"categoryId": int(pipeline.id), "stageId": stage.id}
        raise self._refusal("UNKNOWN_STAGE", f"stage_id: нет стадии {stage_id}")

    def _contact_of(self, lead: Wild, lead_id: str) -> str | None:
        """The lead's contact: its own, one made before, one with the same phone or e-mail, else a new one."""
        own = lead.id_at("contactId") or next(
            (one.id() for one in (lead.get("contactIds") or Wild(None)).each()), None
        )
        names = {name: lead.text_at(name) for name in ("name", "secondName", "lastName", "post", "honorific")}
        phones, emails = multifield(lead, "PHONE"), multifield(lead, "EMAIL")
        if own is not None or not (phones or emails or any(names.values())):
            return own
        known = (
            self._find(CONTACT, lead_id)
            or self._with_value("PHONE", phones)
            or self._with_value("EMAIL", emails)
        )
        if known is not None:
            return known
        if not any(names[name] for name in ("name", "secondName", "lastName")):
            names["name"] = lead.text_at("title")
        fields: dict[str, object] = {name: text for name, text in names.items() if text}
        fields["fm"] = [
            {"typeId": type_id, "valueType": "WORK", "value": value}
            for type_id, values in (("PHONE", phones), ("EMAIL", emails))
            for value in values
        ]
        fields["assignedById"] = int(lead["assignedById"].id())
        return self._make(CONTACT, lead_id, fields)

    def _company_of(self, lead: Wild, lead_id: str) -> str | None:
        own, title = lead.id_at("companyId"), lead.text_at("companyTitle")
        if own is not None or not title:
            return own
        fields = {"title": title, "assignedById": int(lead["assignedById"].id())}
        return self._find(COMPANY, lead_id) or self._make(COMPANY, lead_id, fields)

    def _make(self, entity_type: int, lead_id: str, fields: Mapping[str, object]) -> str:
        origin = {"originatorId": ORIGINATOR, "originId": _origin(lead_id)}
        return self._api.write(
            "crm.item.add",
            {"entityTypeId": entity_type, "fields": {**fields, **origin}},
            lambda result: result["item"]["id"].id(),
        )

    def _find(self, entity_type: int, lead_id: str) -> str | None:
        """What was made from this lead earlier."""
        return self._api.call(
            "crm.item.list",
            {
                "entityTypeId": entity_type,
                "select": ["id"],
                "filter": {"=originatorId": ORIGINATOR, "=originId": _origin(lead_id)},
                "order": {"id": "ASC"},
                "start": -1,
            },
            lambda result: next((item["id"].id() for item in result["items"].each()), None),
        )

    def _with_value(self, type_id: str, values: tuple[str, ...]) -> str | None:
        if not values:
            return None
        return self._api.call(
            "crm.duplicate.findbycomm",
            {"type": type_id, "values": list(values[:20]), "entity_type": "CONTACT"},
            lambda found: next((one.id() for one in (found.get("CONTACT") or Wild(None)).each()), None),
        )

    def _copy_rows(self, lead_id: str, deal_id: str) -> None:
        """The lead's goods become the deal's, unless the deal has some."""
        commands = {
            key: ("crm.item.productrow.list", {"filter": {"=ownerType": key, "=ownerId": int(one)}})
            for key, one in (("L", lead_id), ("D", deal_id))
        }
        answers = self._api.batch(commands)
        wanted = answers.read("L", lambda result: [_row(item) for item in result["productRows"].each()])
        present = answers.read("D", lambda result: list(result["productRows"].each()))
        if wanted and not present:
            self._api.write(
                "crm.item.productrow.set",
                {"ownerType": "D", "ownerId": int(deal_id), "productRows": wanted},
                lambda result: result,
                repeatable=True,
            )

    def _move(self, lead_id: str, stage_id: str) -> None:
        self._api.write(
            "crm.item.update",
            {"entityTypeId": LEAD, "id": int(lead_id), "fields": {"stageId": stage_id}},
            lambda result: result,
            repeatable=True,
        )

    def _refusal(self, code: str, detail: str) -> CrmError:
        return CrmError("rejected", account=self._api.account, call="crm.item.add", code=code, detail=detail)


def _origin(lead_id: str) -> str:
    return f"lead:{lead_id}"


def _read_stages(rows: Wild) -> _Stages:
    stages = [(row["STATUS_ID"].text(), row.text_at("SEMANTICS"), _is_general(row)) for row in rows.each()]
    first = next((code for code, semantics, _ in stages if semantics not in ("S", "F")), "NEW")
    won = next((code for code, semantics, _ in stages if semantics == "S"), "CONVERTED")
    # Of several failed stages the portal's own one: the others name reasons, and which fits we cannot know.
    failed = sorted(
        (not is_general, place, code) for place, (code, s, is_general) in enumerate(stages) if s == "F"
    )
    final = frozenset(code for code, semantics, _ in stages if semantics in ("S", "F"))
    return _Stages(first, won, failed[0][2] if failed else "JUNK", final)


def _is_general(row: Wild) -> bool:
    return (row.get("EXTRA") or Wild({})).text_at("SEMANTICS") == "failure"


def _incoming(item: Wild, sources: Mapping[str, str]) -> IncomingLead:
    source = item.text_at("sourceId")
    person = " ".join(filter(None, (item.text_at(name) for name in ("name", "secondName", "lastName"))))
    has_chat = item.get("hasImol")
    if item.id_at("webformId") is not None:
        kind = "form"
    elif "|" in source or (has_chat is not None and has_chat.flag()):
        kind = "chat"
    else:
        kind = KINDS.get(source, "other")
    return IncomingLead(
        id=item["id"].id(),
        kind=kind,
        created_at=item["createdTime"].iso(),
        channel=sources.get(source, source) or None,
        name=person or item.text_at("companyTitle", "title"),
        phones=multifield(item, "PHONE"),
        emails=multifield(item, "EMAIL"),
        text="\n".join(filter(None, (item.text_at("title"), item.text_at("comments")))),
    )


def _row(item: Wild) -> dict[str, object]:
    names = (
        *("productId", "productName", "price", "quantity", "discountTypeId", "discountRate", "discountSum"),
        *("taxRate", "taxIncluded", "measureCode", "measureName", "sort"),
    )
    return {name: found.value for name in names if (found := item.get(name)) is not None}
