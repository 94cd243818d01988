"""The playbook against what exists: pipelines, stages, users and loss reasons of the CRM, and the templates.

Everything is handed in; nothing here asks a CRM or reads a file.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import partial
from types import MappingProxyType

from connector.domain import LossReason, Pipeline, User
from connector.errors import Problem
from connector.playbook.condition import comparisons
from connector.playbook.model import (
    MATERIALS,
    OUTCOMES,
    DocumentAction,
    Playbook,
    Rule,
    SendAction,
    StageMarks,
    UpdateAction,
)
from connector.playbook.people import ADMIN, find_user
from connector.playbook.stages import circles, target_stage
from connector.playbook.words import fold, same, unknown


def check_against_crm(
    playbook: Playbook,
    pipelines: Sequence[Pipeline],
    users: Sequence[User],
    loss_reasons: Sequence[LossReason],
) -> list[Problem]:
    """Every name in the playbook that the CRM does not have, with its place and the nearest that it has."""
    problems: list[Problem] = []
    for rule in playbook.rules:
        problems += _check_trigger(rule, pipelines)
        problems += _check_condition(rule, pipelines, users, loss_reasons)
        problems += _check_updates(rule, pipelines, users, playbook.people.roles)
    problems += circles(playbook, pipelines)
    problems += _check_people(playbook, users)
    for marks in playbook.stages:
        problems += _check_marks(marks, pipelines)
    for target in playbook.targets:
        for name in target.split:
            if find_user(name, users) is None:
                message = unknown("план: в CRM нет пользователя", name, (user.name for user in users))
                problems.append(Problem(target.place_of("split", name), message))
    for seller in playbook.staff:
        if find_user(seller.user, users) is None:
            message = unknown(
                "сотрудники: в CRM нет пользователя", seller.user, (user.name for user in users)
            )
            problems.append(Problem(seller.place_of("user"), message))
    return problems


def check_tags(playbook: Playbook) -> list[Problem]:
    """Rules that write tags, for a CRM whose deals have none."""
    return [
        Problem(rule.place_of("do", at), "в этой CRM у сделок нет тегов: уберите tags и remove_tags")
        for rule in playbook.rules
        for at, action in enumerate(rule.do)
        if isinstance(action, UpdateAction) and (action.tags or action.remove_tags)
    ]


def check_names(
    playbook: Playbook,
    documents: Collection[str],
    messages: Collection[str],
    reports: Collection[str],
    *,
    materials: Collection[str] | None = None,
    channels: Collection[str] = ("email",),
    promised: Mapping[str, Collection[str]] = MappingProxyType({}),
) -> list[Problem]:
    """Every document, message, report, material and channel that the playbook names and that does not exist.

    `materials` are files of the kit as `attach` names them («materials/price.pdf»); None: unchecked.
    `promised`: kinds of documents that a letter says are attached; its rule must make and attach them.
    """
    problems = []
    for rule in playbook.rules:
        for index, action in enumerate(rule.do):
            wrong: list[tuple[tuple[str | int, ...], str]] = []
            if isinstance(action, DocumentAction) and action.kind not in documents:
                wrong.append((("document",), unknown("нет шаблона документа", action.kind, documents)))
            elif isinstance(action, SendAction):
                wrong += _wrong_in_send(action, messages, materials, channels)
                wrong += _broken_promises(action, rule, promised.get(action.message, ()))
            problems += [
                Problem(rule.place_of("do", index, *path), f"правило «{rule.name}»: {message}")
                for path, message in wrong
            ]
    problems += circles(playbook)
    problems += [
        Problem(report.place_of("report"), unknown("нет отчёта", report.report, reports))
        for report in playbook.reports
        if report.report not in reports
    ]
    return problems


def _wrong_in_send(
    action: SendAction,
    messages: Collection[str],
    materials: Collection[str] | None,
    channels: Collection[str],
) -> Iterator[tuple[tuple[str | int, ...], str]]:
    if action.message not in messages:
        yield ("send",), unknown("нет шаблона письма", action.message, messages)
    for number, channel in enumerate(action.by):
        if channel not in channels:
            yield ("by", number), unknown("нет канала", channel, channels)
    for number, attachment in enumerate(action.attach):
        if attachment.startswith(MATERIALS) and materials is not None and attachment not in materials:
            known = [file for file in materials if file.startswith(MATERIALS) and not file.endswith(".yml")]
            message = unknown("нет файла", attachment, known)
            yield ("attach", number), message if known else f"{message}: положите его в папку materials"


def _broken_promises(
    action: SendAction, rule: Rule, promised: Collection[str]
) -> Iterator[tuple[tuple[str | int, ...], str]]:
    kinds = {made.id: made.kind for made in rule.do if isinstance(made, DocumentAction)}
    attached = {kinds.get(name) for name in action.attach}
    for kind in promised:
        if kind not in attached:
            yield (
                ("send",),
                f"письмо «{action.message}» обещает вложение «{kind}», а правило его не прикладывает: "
                f"нужны document: {kind} и attach: [{kind}]",
            )


def _check_trigger(rule: Rule, pipelines: Sequence[Pipeline]) -> Iterator[Problem]:
    label = f"правило «{rule.name}»"
    searched = list(pipelines)
    if rule.when.pipeline is not None:
        searched = [pipeline for pipeline in pipelines if same(pipeline.name, rule.when.pipeline)]
        if not searched:
            known = (pipeline.name for pipeline in pipelines)
            message = unknown("в CRM нет воронки", rule.when.pipeline, known)
            yield Problem(rule.place_of("when", "pipeline"), f"{label}: {message}")
            searched = list(pipelines)
    for key, stages in (("enters", rule.when.enters), ("leaves", rule.when.leaves)):
        for index, stage in enumerate(stages):
            if fold(stage) not in OUTCOMES and not _pipelines_with(stage, searched):
                message = _unknown_stage(stage, searched, pipelines)
                yield Problem(rule.place_of("when", key, index), f"{label}, {key}: {message}")


def _check_updates(
    rule: Rule, pipelines: Sequence[Pipeline], users: Sequence[User], roles: Collection[str]
) -> Iterator[Problem]:
    """Stages, pipelines and people that `update` names."""
    label = f"правило «{rule.name}», update"
    for index, action in enumerate(rule.do):
        if not isinstance(action, UpdateAction):
            continue
        place = partial(rule.place_of, "do", index, "update")
        # Without a pipeline of its own the deal stays in the one that it is in.
        named = action.pipeline or rule.when.pipeline
        searched = [p for p in pipelines if named is None or same(p.name, named)]
        if action.pipeline is not None and not searched:
            message = unknown("в CRM нет воронки", action.pipeline, (known.name for known in pipelines))
            yield Problem(place("pipeline"), f"{label}: {message}")
        elif action.stage is not None and target_stage(searched or pipelines, action) is None:
            message = _unknown_stage(action.stage, searched or pipelines, pipelines)
            yield Problem(place("stage"), f"{label}: {message}")
        who = action.responsible
        if who is not None and who not in roles:
            user = find_user(who, users)
            if user is None:
                people = (*roles, *(user.name for user in users if user.is_active))
                message = unknown("нет ни роли, ни пользователя", who, people)
                yield Problem(place("responsible"), f"{label}: {message}")
            elif not user.is_active:
                yield Problem(place("responsible"), f"{label}: пользователь «{user.name}» в CRM отключён")


def check_fields(playbook: Playbook, fields: Collection[str]) -> list[Problem]:
    """Every custom field of a deal that `update` names and the CRM does not have; `fields`: names and ids."""
    return [
        Problem(
            rule.place_of("do", index, "update", "fields", name),
            f"правило «{rule.name}», update: {unknown('в CRM нет поля сделки', name, fields)}",
        )
        for rule in playbook.rules
        for index, action in enumerate(rule.do)
        if isinstance(action, UpdateAction)
        for name in action.field_values
        if not any(same(name, known) for known in fields)
    ]


def _check_marks(marks: StageMarks, pipelines: Sequence[Pipeline]) -> Iterator[Problem]:
    """A pipeline or a stage that is marked and that the CRM does not have."""
    searched = pipelines
    if marks.pipeline is not None:
        searched = [known for known in pipelines if same(known.name, marks.pipeline)]
        if not searched:
            message = unknown("в CRM нет воронки", marks.pipeline, (known.name for known in pipelines))
            yield Problem(marks.place_of("pipeline"), message)
            return
    for key, stage in (("qualified", marks.qualified), ("key", marks.key)):
        if stage is not None and not _pipelines_with(stage, searched):
            yield Problem(marks.place_of(key), _unknown_stage(stage, searched, pipelines))


def _unknown_stage(stage: str, searched: Sequence[Pipeline], pipelines: Sequence[Pipeline]) -> str:
    elsewhere = _pipelines_with(stage, pipelines)
    if elsewhere:
        return f"этап «{stage}» есть только в воронке «{elsewhere[0].name}»"
    where = f"в воронке «{searched[0].name}» нет этапа" if len(searched) == 1 else "в CRM нет этапа"
    return unknown(where, stage, (known.name for pipeline in searched for known in pipeline.stages))


def _pipelines_with(stage: str, pipelines: Sequence[Pipeline]) -> list[Pipeline]:
    return [pipeline for pipeline in pipelines if any(same(known.name, stage) for known in pipeline.stages)]


def _check_condition(
    rule: Rule, pipelines: Sequence[Pipeline], users: Sequence[User], loss_reasons: Sequence[LossReason]
) -> Iterator[Problem]:
    """Texts that a condition compares with names of the CRM: they must be equal to the letter."""
    if rule.condition is None:
        return
    known = {
        "deal.pipeline": ("в CRM нет воронки", [pipeline.name for pipeline in pipelines]),
        "deal.stage": (
            "в CRM нет этапа",
            [stage.name for pipeline in pipelines for stage in pipeline.stages],
        ),
        "deal.loss_reason": ("в CRM нет причины отказа", [reason.name for reason in loss_reasons]),
        "deal.outcome": ("нет исхода", ["open", "won", "lost"]),
        "responsible.name": ("в CRM нет пользователя", [user.name for user in users]),
    }
    for comparison in comparisons(rule.condition):
        what, names = known.get(comparison.variable, ("", [comparison.text]))
        if comparison.text not in names:
            message = unknown(what, comparison.text, names)
            yield Problem(rule.place_of("if"), f"правило «{rule.name}», if: {message}")


def _check_people(playbook: Playbook, users: Sequence[User]) -> Iterator[Problem]:
    for role, person in playbook.people.roles.items():
        if person.user is None:
            continue
        place, user = person.place_of("user"), find_user(person.user, users)
        if user is None and fold(person.user) == ADMIN:
            yield Problem(place, f"people.{role}: в CRM нет активного администратора")
        elif user is None:
            known = (user.name for user in users if user.is_active)
            yield Problem(place, f"people.{role}: {unknown('в CRM нет пользователя', person.user, known)}")
        elif not user.is_active:
            yield Problem(place, f"people.{role}: пользователь «{user.name}» в CRM отключён")
        elif len([other for other in users if other.is_active and same(other.name, person.user)]) > 1:
            yield Problem(
                place, f"people.{role}: пользователей «{user.name}» несколько; укажите номер или почту"
            )
