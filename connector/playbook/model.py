"""What the head of sales wrote, as frozen models; their fields are the keys of `templates/playbook/*.yml`.

Built by `load.py` from files or by hand from Python. Knows what is right in itself (a date, a due, a choice),
not what exists around it: other sections are `load.py`'s, the CRM and the templates `check.py`'s business.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date, time
from decimal import Decimal
from typing import Annotated, Any, ClassVar, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    PrivateAttr,
    Tag,
    model_validator,
)

from connector.playbook import fields
from connector.playbook.calendar import WORK_ENDS_AT, WORK_STARTS_AT, WorkingCalendar
from connector.playbook.due import parse_due
from connector.playbook.source import Path, place_in
from connector.playbook.words import unknown

Repeat = Literal["once_per_deal", "every_entry", "once_per_day"]
REPEATS: tuple[Repeat, ...] = ("once_per_deal", "every_entry", "once_per_day")

#: Recipients that are not roles of `people`.
CLIENT = "client"
RESPONSIBLE = "responsible"

#: Words of `enters` and `leaves` that mean every stage with that outcome.
OUTCOMES = ("won", "lost")

#: `attach: materials/...` is a file of `templates/materials`; anything else is a document of the same rule.
MATERIALS = "materials/"


def _due(value: str) -> str:
    parse_due(value)
    return value


def _email(value: str) -> str:
    if not re.fullmatch(r"[^@\s,;<>]+@[^@\s,;<>]+\.[^@\s,;<>]+", value):
        raise ValueError(f"«{value}»: нужен адрес электронной почты")
    return value


def _text(value: str) -> str:
    if not value.strip():
        raise ValueError("пустой текст")
    return value.strip()


def _slug(value: str) -> str:
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,31}", value):
        raise ValueError(f"«{value}»: нужны строчные латинские буквы, цифры и «_», не больше 32 знаков")
    return value


Name = Annotated[str, AfterValidator(fields.name)]
Text = Annotated[str, AfterValidator(_text)]
Slug = Annotated[str, AfterValidator(_slug)]
Names = Annotated[tuple[Name, ...], BeforeValidator(fields.one_or_many)]
Slugs = Annotated[tuple[Slug, ...], BeforeValidator(fields.one_or_many)]
Flag = Annotated[bool, BeforeValidator(fields.truth)]
Day = Annotated[date, BeforeValidator(fields.day)]
Count = Annotated[Decimal, BeforeValidator(fields.count)]


class _Model(BaseModel):
    """Frozen, no unknown keys; Python may use the field's name where YAML has another word."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", validate_by_name=True, validate_by_alias=True, strict=False
    )


class Entry(_Model):
    """One entry of a section, which remembers where it and its parts were written."""

    _places: Mapping[Path, str] = PrivateAttr(default_factory=dict)

    @property
    def place(self) -> str:
        """`file:line:column` of the entry; empty when it was built by hand."""
        return self.place_of()

    def place_of(self, *path: str | int) -> str:
        """Where the part at `path` (keys as in the file) stands, or its nearest ancestor."""
        return place_in(self._places, path)

    def remember(self, places: Mapping[Path, str]) -> None:
        """Keep where the parts were written; called once, by the loader."""
        self._places = places


#: What Connector learns of a deal by itself, and how people call it.
HAPPENINGS: dict[str, str] = {
    "document.opened": "клиент открыл документ",
    "document.accepted": "клиент принял документ",
    "document.question": "клиент задал вопрос по документу",
    "paid": "счёт оплачен",
}


def _happening(value: str) -> str:
    if value not in HAPPENINGS:
        raise ValueError(unknown("неизвестное событие", value, HAPPENINGS))
    return value


class Trigger(_Model):
    """What starts a rule: a move of the deal, or a happening; all that is given must hold. See
    `evaluate.matches`.
    """

    pipeline: Name | None = None
    happens: Annotated[
        tuple[Annotated[str, AfterValidator(_happening)], ...], BeforeValidator(fields.one_or_many)
    ] = ()
    document: Slug | None = None
    enters: Names = ()
    leaves: Names = ()
    created: Flag = False

    @model_validator(mode="after")
    def _says_when(self) -> Trigger:
        moves = self.enters or self.leaves or self.created
        if not (moves or self.happens):
            raise ValueError("не сказано, когда: нужно enters, leaves, created: true или happens")
        if moves and self.happens:
            raise ValueError("happens не сочетается с enters, leaves и created: это разные поводы")
        if self.document is not None and not self.happens:
            raise ValueError("document уточняет happens, а его нет")
        if self.created and self.leaves:
            raise ValueError("created и leaves вместе невозможны: новая сделка ниоткуда не уходит")
        return self


class DocumentAction(_Model):
    """Make a document, number it, keep it and put it into the deal. `id` is what `attach` calls it by.

    renew: it takes the place (and the number) of the deal's document of that kind, which is void then.
    """

    name: ClassVar[str] = "document"
    kind: Slug = Field(alias="document")
    id: Slug = Field(default_factory=lambda data: data.get("kind", ""))
    renew: Annotated[bool, BeforeValidator(fields.truth)] = False


class SendAction(_Model):
    """Send a message with attachments: to the client, the responsible user or a role of `people`."""

    name: ClassVar[str] = "send"
    message: Slug = Field(alias="send")
    attach: Names = ()
    by: Slugs = ("email",)
    to: Name = CLIENT

    @model_validator(mode="after")
    def _has_channel(self) -> SendAction:
        if not self.by:
            raise ValueError("by: не назван ни один канал")
        return self


class TaskAction(_Model):
    """Give a task to the responsible user or to a role of `people`."""

    name: ClassVar[str] = "task"
    text: Text
    due: Annotated[str, AfterValidator(_due)] = "1 working day"
    to: Name = RESPONSIBLE

    @model_validator(mode="before")
    @classmethod
    def _unfold(cls, data: Any) -> Any:
        """`task: {text: ..., due: ...}` and `task: ...` with `due` beside it are the same."""
        if not isinstance(data, dict) or "task" not in data:
            return data
        task, beside = data["task"], {key: value for key, value in data.items() if key != "task"}
        if isinstance(task, dict):
            if twice := sorted(set(task) & set(beside)):
                raise ValueError(f"«{twice[0]}» сказано дважды")
            return {**task, **beside}
        return {"text": task, **beside}


class NoteAction(_Model):
    """Write a note into the deal."""

    name: ClassVar[str] = "note"
    text: Text = Field(alias="note")


class UpdateAction(_Model):
    """Change the deal: its stage, responsible user, custom fields, tags.

    `responsible` is a role of `people` or a user of the CRM. starts_rules: other rules may act on the move as
    if a person had made it; by default our own moves start nothing.
    """

    name: ClassVar[str] = "update"
    stage: Name | None = None
    pipeline: Name | None = None
    responsible: Name | None = None
    field_values: Mapping[Name, str] = Field(default_factory=dict, alias="fields")
    tags: Names = ()
    remove_tags: Names = ()
    starts_rules: Flag = False

    @model_validator(mode="before")
    @classmethod
    def _unfold(cls, data: Any) -> Any:
        """`update: {stage: ...}` is the set of what to change."""
        if not isinstance(data, dict) or "update" not in data:
            return data
        if len(data) > 1 or not isinstance(data["update"], dict):
            raise ValueError("update: нужен набор «ключ: значение», например {stage: Договор отправлен}")
        return data["update"]

    @model_validator(mode="after")
    def _changes_something(self) -> UpdateAction:
        if not (self.stage or self.responsible or self.field_values or self.tags or self.remove_tags):
            raise ValueError("update: не сказано, что менять: stage, responsible, fields, tags, remove_tags")
        if self.stage is None and (self.pipeline is not None or self.starts_rules):
            raise ValueError("update: pipeline и starts_rules говорят о переходе; нужен stage")
        return self


ACTIONS: dict[str, type[_Model]] = {
    action.name: action for action in (DocumentAction, SendAction, TaskAction, NoteAction, UpdateAction)
}


def _action_of(value: Any) -> str | None:
    if isinstance(value, dict):
        return next((name for name in ACTIONS if name in value), None)
    return getattr(value, "name", None)


Action = Annotated[
    Annotated[DocumentAction, Tag("document")]
    | Annotated[SendAction, Tag("send")]
    | Annotated[TaskAction, Tag("task")]
    | Annotated[NoteAction, Tag("note")]
    | Annotated[UpdateAction, Tag("update")],
    Discriminator(_action_of),
]


class Rule(Entry):
    """«When a deal moves so, and this holds, do that.»

    repeat: once_per_deal: the first match of a deal is the only one that acts; every_entry: each match acts;
    once_per_day: the first match of a deal on a local day acts.
    """

    name: Name
    when: Trigger
    condition: Text | None = Field(default=None, alias="if")
    repeat: Annotated[Repeat, BeforeValidator(lambda value: fields.one_of(value, REPEATS))] = "once_per_deal"
    do: tuple[Action, ...]

    @property
    def moves_deals(self) -> bool:
        """Whether it puts deals into another stage."""
        return any(isinstance(action, UpdateAction) and action.stage for action in self.do)

    @model_validator(mode="after")
    def _does_something(self) -> Rule:
        if not self.do:
            raise ValueError("do: не названо ни одно действие")
        return self


class Kpi(_Model):
    """What a month asks for beside revenue, of the whole department."""

    calls: Count | None = None
    meetings: Count | None = None
    contracts: Count | None = None
    invoices: Count | None = None
    won: Count | None = None


class StageMarks(Entry):
    """From which stage on a deal counts as qualified, and from which one as promising, in reports on leads.

    `pipeline` None: in each pipeline that has such stages and no entry of its own.
    """

    pipeline: Name | None = None
    qualified: Name | None = None
    key: Name | None = None

    @model_validator(mode="after")
    def _marks_something(self) -> StageMarks:
        if self.qualified is None and self.key is None:
            raise ValueError("не назван ни один этап: нужен qualified или key")
        return self


class Target(Entry):
    """The revenue a month should bring; `split` maps users' names to weights (percentages or any shares).

    `month` is its first day; None (`every`) stands for each month that has no target of its own. kpi: numbers
    by metric beside the revenue; `funnel`: they follow from the department's own funnel.
    """

    month: Annotated[date | None, BeforeValidator(fields.month)]
    revenue: Annotated[Decimal, BeforeValidator(fields.money)]
    kpi: Annotated[
        Annotated[
            Annotated[Kpi, Tag("numbers")] | Annotated[Literal["funnel"], Tag("word")],
            Discriminator(lambda value: "word" if isinstance(value, str) else "numbers"),
        ]
        | None,
        BeforeValidator(fields.kpi),
    ] = None
    split: Mapping[Name, Annotated[Decimal, BeforeValidator(fields.weight)]] = Field(default_factory=dict)


class Seller(Entry):
    """How a person of the department works: days away, the first and the last day, a newcomer's ramp.

    ramp: shares of full power by month since `since`; without it a newcomer starts by the usual quarters.
    """

    user: Name
    vacation: Annotated[
        tuple[Annotated[tuple[date, date], BeforeValidator(fields.spell)], ...],
        BeforeValidator(fields.one_or_many),
    ] = ()
    since: Day | None = None
    until: Day | None = None
    ramp: Annotated[tuple[Decimal, ...], BeforeValidator(fields.percents)] | None = None

    @model_validator(mode="after")
    def _is_in_order(self) -> Seller:
        if self.since and self.until and self.until < self.since:
            raise ValueError("until: последний день раньше первого")
        if self.ramp is not None and self.since is None:
            raise ValueError("ramp: к разгону нужен since, первый день работы")
        return self


class ReportSchedule(Entry):
    """Which report goes when to whom. `name` tells two of one report apart; `zone` is where `at` and `on`
    are read, None for the account's own. `by`: `crm`, `feed` (for all in the CRM), `email`, or a messenger of
    the settings.
    """

    report: Slug
    at: Annotated[time, BeforeValidator(fields.clock_time)]
    on: Annotated[tuple[str, ...], BeforeValidator(fields.report_days)]
    to: Names
    by: Slugs = ("crm", "email")
    zone: Annotated[str, BeforeValidator(fields.zone)] | None = None
    name: Name = Field(default_factory=lambda data: data.get("report", ""))

    @model_validator(mode="after")
    def _has_recipient(self) -> ReportSchedule:
        if not self.to:
            raise ValueError("to: не назван ни один получатель")
        return self


class Person(Entry):
    """Who stands behind a role: a user of the CRM (name, id, e-mail or `admin`) and where letters to him go.

    Without `email` the address that the CRM knows is used.
    """

    user: Name | None = None
    email: Annotated[str, AfterValidator(_email)] | None = None

    @model_validator(mode="after")
    def _is_somebody(self) -> Person:
        if self.user is None and self.email is None:
            raise ValueError("нужно user (имя пользователя CRM) или email")
        return self


class People(_Model):
    """Persons by role. A role is any word; reports and tasks call people by it."""

    roles: Mapping[str, Person] = Field(default_factory=dict)

    def get(self, role: str) -> Person | None:
        """The person of that role; None when nobody has it."""
        return self.roles.get(role)

    @property
    def owner(self) -> Person | None:
        return self.get("owner")

    @property
    def head_of_sales(self) -> Person | None:
        return self.get("head_of_sales")


class CompanyCalendar(Entry):
    """The company's own days, over the official calendar, and its working hours."""

    days_off: tuple[Day, ...] = ()
    working_days: tuple[Day, ...] = ()
    hours: Annotated[tuple[time, time], BeforeValidator(fields.hours)] = (WORK_STARTS_AT, WORK_ENDS_AT)

    @model_validator(mode="after")
    def _no_day_is_both(self) -> CompanyCalendar:
        if both := sorted(set(self.days_off) & set(self.working_days)):
            raise ValueError(f"{both[0]:%d.%m.%Y} назван и выходным, и рабочим")
        return self


class Playbook(_Model):
    """All files of the playbook together."""

    rules: tuple[Rule, ...] = ()
    targets: tuple[Target, ...] = ()
    staff: tuple[Seller, ...] = ()
    reports: tuple[ReportSchedule, ...] = ()
    people: People = People()
    calendar: CompanyCalendar = CompanyCalendar()
    stages: tuple[StageMarks, ...] = ()

    @property
    def working_calendar(self) -> WorkingCalendar:
        """The official calendar with the company's own days and hours."""
        own = self.calendar
        return WorkingCalendar(frozenset(own.days_off), frozenset(own.working_days), *own.hours)

    def target_for(self, month: date) -> Target | None:
        """The target of the month that `month` lies in: its own, else that of every month, else None."""
        first = month.replace(day=1)
        by_month = {target.month: target for target in self.targets}
        target = by_month.get(first) or by_month.get(None)
        return target.model_copy(update={"month": first}) if target else None
