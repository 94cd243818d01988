"""Changes to a deal: what differs from the portal's present state is sent, and nothing else.

The deal is read, compared and written with `crm.item.update`, which moves between pipelines too:
`crm.deal.update` ignores a stage of another pipeline without a word. What comes back is checked, for the
portal answers «done» to fields that it left out. Must not know why a deal is changed.
Source: Bitrix24 REST docs, pages «crm.item.update», «crm.deal.update».
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from connector.crm.bitrix24 import fields as custom
from connector.crm.bitrix24.api import B24Api
from connector.crm.bitrix24.directory import FieldInfo
from connector.crm.bitrix24.wire import DEAL, Wire
from connector.crm.wild import Wild
from connector.domain import DealChanges, Outcome, Pipeline
from connector.errors import CrmError

METHOD = "crm.item.update"


@dataclass(frozen=True, slots=True)
class DealUpdate:
    """One change of one deal, with the portal's settings at hand."""

    api: B24Api
    reader: Wire

    def make(self, deal_id: str, changes: DealChanges) -> bool:
        """Send the difference; False when there is none.

        Raises CrmError: «not_found» for a deal that is gone, «rejected» with the field and the reason for
        what the portal cannot take; nothing is written then.
        """
        if changes.add_tags or changes.remove_tags:
            raise self._refusal("NO_TAGS", "tags: у сделок Битрикс24 нет тегов")
        item = self.api.call("crm.item.get", _item(deal_id), lambda result: result["item"])
        with self.api.understanding("crm.item.get"):
            wanted = self._wanted(item, changes)
        different = {name: value for name, value in wanted.items() if not self._is_same(item, name, value)}
        if not different:
            return False
        if "opportunity" in different:
            # Without this the portal counts the amount anew from the product rows.
            different["isManualOpportunity"] = "Y"
        if "categoryId" in different:
            # A move between pipelines takes both; the stage alone would be ignored.
            different["stageId"] = wanted["stageId"]
        after = self.api.write(
            METHOD, {**_item(deal_id), "fields": different}, lambda result: result["item"], repeatable=True
        )
        self._check_taken(after, different)
        return True

    def _wanted(self, item: Wild, changes: DealChanges) -> dict[str, object]:
        """The fields that `changes` speaks of, with the values they should have."""
        wanted: dict[str, object] = {}
        if changes.name is not None:
            if not changes.name.strip():
                raise self._refusal("BAD_FIELD_VALUE", "name: название сделки не может быть пустым")
            wanted["title"] = changes.name.strip()
        if changes.responsible_id is not None:
            wanted["assignedById"] = int(changes.responsible_id)
        if changes.amount is not None:
            wanted["opportunity"] = str(changes.amount)
        wanted |= self._place(item, changes)
        loss_field = self.reader.directory.loss_field
        if changes.loss_reason_id is not None and loss_field is not None:
            if changes.loss_reason_id not in loss_field.choices:
                raise self._refusal(
                    "BAD_FIELD_VALUE", f"{loss_field.title}: нет причины {changes.loss_reason_id}"
                )
            reason = int(changes.loss_reason_id)
            wanted[loss_field.code] = [reason] if loss_field.is_multiple else reason
        for name, text in changes.fields.items():
            info = custom.find(self.reader.directory.fields, name)
            if info is None:
                raise self._refusal("UNKNOWN_FIELD", f"fields[{name!r}]: в сделках нет такого поля")
            wanted[info.code] = self._encoded(info, text, item)
        return wanted

    def _place(self, item: Wild, changes: DealChanges) -> dict[str, object]:
        """The pipeline and stage to stand in; empty when no move is asked for."""
        stage_id = self._reason_stage(changes) or changes.stage_id
        if stage_id is None and changes.pipeline_id is None:
            return {}
        pipelines = self.reader.directory.pipelines
        if stage_id is None:
            chosen = next((one for one in pipelines if one.id == changes.pipeline_id), None)
            if chosen is not None and chosen.id == item["categoryId"].id():
                return {}
            stages = chosen.stages if chosen is not None else ()
            stage_id = next((stage.id for stage in stages if stage.outcome is Outcome.OPEN), None)
        pipeline = self._pipeline_with(pipelines, stage_id, changes.pipeline_id)
        return {"categoryId": int(pipeline.id), "stageId": stage_id}

    def _reason_stage(self, changes: DealChanges) -> str | None:
        """The lost stage that is the reason, where the portal has no field for reasons."""
        directory = self.reader.directory
        if changes.loss_reason_id is None or directory.loss_field is not None:
            return None
        if changes.loss_reason_id not in directory.reasons:
            raise self._refusal("BAD_FIELD_VALUE", f"loss_reason_id: нет стадии {changes.loss_reason_id}")
        return changes.loss_reason_id

    def _pipeline_with(
        self, pipelines: tuple[Pipeline, ...], stage_id: str | None, pipeline_id: str | None
    ) -> Pipeline:
        for pipeline in pipelines:
            if pipeline_id in (None, pipeline.id) and stage_id and pipeline.stage(stage_id) is not None:
                return pipeline
        place = f" в воронке {pipeline_id}" if pipeline_id else ""
        raise self._refusal("UNKNOWN_STAGE", f"stage_id: нет стадии {stage_id or '(первой)'}{place}")

    def _encoded(self, info: FieldInfo, text: str, item: Wild) -> object:
        currency = item.text_at("currencyId") or "RUB"
        try:
            return custom.encode(info, text, zone=self.reader.zone, currency=currency)
        except custom.BadValue as reason:
            raise self._refusal("BAD_FIELD_VALUE", f"{info.title}: {reason}") from None

    def _is_same(self, item: Wild, name: str, value: object) -> bool:
        info = (
            self.reader.directory.fields.get(name) or _STANDARD.get(name) or FieldInfo(name, name, "string")
        )
        return custom.is_same(info, item.get(name), value)

    def _check_taken(self, after: Wild, sent: Mapping[str, object]) -> None:
        """The portal is silent about a stage or a person that it did not take. Texts are not compared: it
        may trim and clean them."""
        left = [name for name in _CHECKED if name in sent and not self._is_same(after, name, sent[name])]
        if left:
            raise self._refusal("NOT_TAKEN", f"портал не изменил: {', '.join(left)}")

    def _refusal(self, code: str, detail: str) -> CrmError:
        return CrmError("rejected", account=self.api.account, call=METHOD, code=code, detail=detail)


#: What is looked up in the portal's answer to a change.
_CHECKED = ("categoryId", "stageId", "assignedById")

#: How the fields that every deal has are compared.
_STANDARD = {
    "opportunity": FieldInfo("opportunity", "opportunity", "double"),
    "assignedById": FieldInfo("assignedById", "assignedById", "user"),
    "categoryId": FieldInfo("categoryId", "categoryId", "integer"),
}


def _item(deal_id: str) -> dict[str, object]:
    return {"entityTypeId": DEAL, "id": int(deal_id), "useOriginalUfNames": "Y"}
