"""What a portal's settings say: pipelines, stages, sources, loss reasons, names and values of custom fields.

Pure; deals are read with its help, because a deal carries codes only.
Source: Bitrix24 REST docs, pages «crm.category.list», «crm.status.list», «crm.item.fields».
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from connector.crm.wild import Wild
from connector.domain import LossReason, Outcome, Pipeline, Stage

OUTCOMES = {"S": Outcome.WON, "F": Outcome.LOST}

#: Names that people give a field with the reason for a loss.
_LOSS_FIELD = re.compile(r"причина\s+(отказа|проигрыша|потери|закрытия)\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class FieldInfo:
    """A custom field: its name as people see it, its type, and the values of a list by their ids."""

    code: str
    title: str
    type: str
    choices: Mapping[str, str] = field(default_factory=dict)
    is_multiple: bool = False
    is_required: bool = False


@dataclass(frozen=True, slots=True)
class Directory:
    """One reading of a portal's settings.

    `reasons` maps the ids of loss reasons to names. They come from the list field «Причина отказа» when there
    is one. Without it they are the lost stages that say more than «lost»: every portal has one general lost
    stage, which is no reason, and may have others («Не устроила цена»), which are.
    """

    pipelines: tuple[Pipeline, ...]
    sources: Mapping[str, str]
    fields: Mapping[str, FieldInfo]
    loss_field: FieldInfo | None
    reasons: Mapping[str, str]

    def loss_reasons(self) -> list[LossReason]:
        return [LossReason(reason_id, name) for reason_id, name in self.reasons.items()]


def read_directory(categories: Wild, statuses: Wild, fields: Wild) -> Directory:
    """From the answers of crm.category.list, crm.status.list (unfiltered) and crm.item.fields (deals)."""
    rows = list(statuses.each())
    custom = read_fields(fields)
    loss_field = next((info for info in custom.values() if _LOSS_FIELD.search(info.title)), None)
    pipelines = [_pipeline(category, rows) for category in categories["categories"].each()]
    # The default pipeline has id 0 and comes first in people's minds, whatever its sort.
    ordered = sorted(pipelines, key=lambda pipeline: not pipeline.is_main)
    return Directory(
        pipelines=tuple(ordered),
        sources={
            row["STATUS_ID"].text(): row["NAME"].text()
            for row in rows
            if row.text_at("ENTITY_ID") == "SOURCE"
        },
        fields=custom,
        loss_field=loss_field,
        reasons=dict(loss_field.choices) if loss_field is not None else _telling_stages(rows),
    )


def read_fields(result: Wild) -> dict[str, FieldInfo]:
    """Custom fields by their original codes, from crm.item.fields."""
    found: dict[str, FieldInfo] = {}
    described = result["fields"]
    for name in described.names():
        info = described[name]
        code = info.text_at("upperName") or name
        if not code.startswith("UF_"):
            continue
        choices = {item["ID"].id(): item["VALUE"].text() for item in (info.get("items") or Wild(None)).each()}
        found[code] = FieldInfo(
            code,
            info.text_at("title") or code,
            info.text_at("type"),
            choices,
            is_multiple=_is_set(info, "isMultiple"),
            is_required=_is_set(info, "isRequired"),
        )
    return found


def _is_set(info: Wild, name: str) -> bool:
    flag = info.get(name)
    return flag is not None and flag.flag()


def _pipeline(category: Wild, rows: list[Wild]) -> Pipeline:
    pipeline_id = category["id"].id()
    entity = "DEAL_STAGE" if pipeline_id == "0" else f"DEAL_STAGE_{pipeline_id}"
    stages = [_stage(pipeline_id, row) for row in rows if row.text_at("ENTITY_ID") == entity]
    # Won and lost come last whatever number they bear.
    stages.sort(key=lambda stage: (stage.outcome is not Outcome.OPEN, stage.sort))
    default = category.get("isDefault")
    return Pipeline(
        id=pipeline_id,
        name=category["name"].text(),
        stages=tuple(stages),
        is_main=default is not None and default.flag(),
    )


def _stage(pipeline_id: str, row: Wild) -> Stage:
    return Stage(
        pipeline_id=pipeline_id,
        id=row["STATUS_ID"].text(),
        name=row["NAME"].text(),
        sort=row["SORT"].int(),
        # Won and lost are told by the semantics alone: codes and names can be anything.
        outcome=OUTCOMES.get(row.text_at("SEMANTICS"), Outcome.OPEN),
    )


def _telling_stages(rows: list[Wild]) -> dict[str, str]:
    """Lost stages beside the general one. That one is the portal's own: EXTRA.SEMANTICS is «failure»."""
    found: dict[str, str] = {}
    for row in rows:
        is_stage = row.text_at("ENTITY_ID").startswith("DEAL_STAGE")
        is_general = (row.get("EXTRA") or Wild({})).text_at("SEMANTICS") == "failure"
        if is_stage and row.text_at("SEMANTICS") == "F" and not is_general:
            found[row["STATUS_ID"].text()] = row["NAME"].text()
    return found
