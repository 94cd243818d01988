"""The generated past: plausible, repeatable, legal; and the folder it is written to and read from."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from connector.errors import ConfigError
from connector.sandbox.generate import FIRST_CLIENT, HOSTILE_CLIENT, generate
from connector.sandbox.history_files import read_history, write_history
from connector.sandbox.history_load import load, prepare
from connector.sandbox.history_tables import History
from connector.sandbox.state import Portal
from tests.sandbox.office import TODAY, past, portal


@pytest.fixture(scope="module")
def year() -> History:
    return generate(TODAY)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_history(past().history, tmp_path)
    return tmp_path


def spoil(folder: Path, table: str, line: int, old: str, new: str) -> None:
    path = folder / f"{table}.csv"
    lines = path.read_text(encoding="utf-8").split("\n")
    assert old in lines[line - 1]
    lines[line - 1] = lines[line - 1].replace(old, new, 1)
    path.write_text("\n".join(lines), encoding="utf-8")


def cell(folder: Path, table: str, line: int, column: str) -> str:
    lines = (folder / f"{table}.csv").read_text(encoding="utf-8").split("\n")
    return lines[line - 1].split(",")[lines[0].split(",").index(column)]


def test_same_day_and_seed_give_the_same_past() -> None:
    assert generate(TODAY, days=30) == generate(TODAY, days=30)
    assert generate(TODAY, days=30) != generate(TODAY, days=30, seed=8)


def test_a_year_is_of_the_size_of_a_real_department(year: History) -> None:
    kept = [deal for deal in year.deals if not deal.is_deleted]
    open_deals = [deal for deal in kept if deal.closed_at is None]
    won = [deal for deal in kept if deal.stage_id == 142]
    this_month = [deal for deal in won if deal.closed_at and deal.closed_at.date() >= date(2026, 11, 1)]
    assert 1500 <= len(year.deals) <= 2500
    assert 30 <= len(open_deals) <= 80
    assert 0.15 <= len(won) / (len(kept) - len(open_deals)) <= 0.4
    assert len(this_month) >= 20
    silent = [deal for deal in kept if deal.stage_id == 143 and deal.loss_reason_id is None]
    assert 0.1 <= len(silent) / (len(kept) - len(won) - len(open_deals)) <= 0.5


@pytest.mark.parametrize("days_back", [0, 9, 40, 200])
def test_every_open_stage_holds_a_deal_on_any_day(days_back: int) -> None:
    history = generate(TODAY - timedelta(days=days_back))
    standing = {deal.stage_id for deal in history.deals if deal.closed_at is None and not deal.is_deleted}
    assert {21, 22, 23, 24, 25, 26} <= standing


def test_nothing_happens_at_or_after_the_end(year: History) -> None:
    end = year.account.as_of_utc
    moments = [row.at for rows in (year.transitions, year.calls, year.messages) for row in rows]
    moments += [deal.created_at for deal in year.deals]
    moments += [moment for deal in year.deals for moment in (deal.closed_at, deal.deleted_at) if moment]
    moments += [task.completed_at for task in year.tasks if task.completed_at]
    moments += [task.created_at for task in year.tasks]
    moments += [meeting.held_at for meeting in year.meetings if meeting.held_at]
    moments += [moment for row in year.invoices for moment in (row.issued_at, row.paid_at) if moment]
    assert max(moments) < end


def test_each_deal_walks_from_stage_to_stage_without_a_gap(year: History) -> None:
    at: dict[int, int] = {}
    for move in year.transitions:
        assert move.from_stage_id == at.get(move.deal_id)
        at[move.deal_id] = move.to_stage_id
    assert at == {deal.deal_id: deal.stage_id for deal in year.deals}


def test_the_past_has_what_figures_stumble_over(year: History) -> None:
    moves = Counter((row.from_stage_id, row.to_stage_id) for row in year.transitions)
    same_second = Counter((row.deal_id, row.at) for row in year.transitions)
    assert any(start in (142, 143) for start, _ in moves), "a reopened deal"
    assert any(start and to < start < 142 for start, to in moves), "a step back"
    assert max(same_second.values()) > 1, "two moves in one second"
    assert any(deal.is_deleted for deal in year.deals)
    assert any(deal.manager_id is None for deal in year.deals)
    assert any(deal.channel_id is None for deal in year.deals)
    assert any(deal.price == 0 for deal in year.deals)
    assert any(deal.price is None for deal in year.deals)
    assert any(deal.utm_source != deal.utm_source.strip().lower() for deal in year.deals)
    early = {deal.deal_id: deal.created_at for deal in year.deals}
    assert any(call.at < early[call.deal_id] for call in year.calls), "a call before its deal"


def test_a_folder_reads_back_as_it_was_written(folder: Path) -> None:
    assert read_history(folder) == past().history


def test_a_folder_saved_by_a_data_frame_is_read_too(folder: Path) -> None:
    path = folder / "deals.csv"
    head, *rows = path.read_text(encoding="utf-8").splitlines()
    columns = head.split(",")
    spread = [columns.index(name) for name in ("manager_id", "channel_id", "loss_reason_id")]
    changed = []
    for row in rows:
        cells = row.split(",")
        for place in spread:
            cells[place] = f"{cells[place]}.0" if cells[place] else ""
        changed.append(",".join(cells))
    path.write_text("\ufeff" + "\r\n".join([head, *changed]) + "\r\n", encoding="utf-8")
    assert read_history(folder).deals == past().history.deals


@pytest.mark.parametrize(
    ("table", "column", "wrong", "said"),
    [
        ("deals", "created_at", "вчера", "created_at: 'вчера'"),
        ("deals", "price", "много", "price: 'много'"),
        ("deals", "is_deleted", "может быть", "is_deleted: 'может быть'"),
        ("deals", "stage_id", "777", "нет этапа 777 воронки 1"),
        ("calls", "direction", "вбок", "direction: 'вбок' не из [in, out]"),
        ("calls", "deal_id", "999999", "нет сделки 999999"),
        ("meetings", "status", "maybe", "status: 'maybe' не из [held, cancelled, planned]"),
        ("transitions", "to_stage_id", "", "to_stage_id: ''"),
    ],
)
def test_a_bad_cell_is_named_with_its_file_and_line(
    folder: Path, table: str, column: str, wrong: str, said: str
) -> None:
    path = folder / f"{table}.csv"
    lines = path.read_text(encoding="utf-8").split("\n")
    place = lines[0].split(",").index(column)
    number = next(n for n, text in enumerate(lines[1:], 2) if text.count(",") == lines[0].count(","))
    cells = lines[number - 1].split(",")
    cells[place] = wrong
    lines[number - 1] = ",".join(cells)
    path.write_text("\n".join(lines), encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        read_history(folder)
    assert any(
        problem.place.endswith(f"{table}.csv:{number}") and said in problem.message
        for problem in caught.value.problems
    ), str(caught.value)


def test_all_bad_rows_are_named_at_once(folder: Path) -> None:
    for line in (2, 5, 9):
        spoil(folder, "plans", line, cell(folder, "plans", line, "month"), "2026-13-01")
    with pytest.raises(ConfigError) as caught:
        read_history(folder)
    places = [problem.place.rpartition("plans.csv:")[2] for problem in caught.value.problems]
    assert places == ["2", "5", "9"]


def test_a_missing_table_or_column_is_named(folder: Path) -> None:
    (folder / "stages.csv").unlink()
    spoil(folder, "deals", 1, "loss_reason_id", "reason")
    with pytest.raises(ConfigError) as caught:
        read_history(folder)
    assert "stages.csv" in str(caught.value)
    assert "нет колонок: loss_reason_id" in str(caught.value)


def test_a_folder_without_an_account_is_no_history(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"account\.json"):
        read_history(tmp_path)


def test_a_broken_account_names_the_field(folder: Path) -> None:
    document = json.loads((folder / "account.json").read_text(encoding="utf-8"))
    del document["as_of_utc"]
    (folder / "account.json").write_text(json.dumps(document), encoding="utf-8")
    with pytest.raises(ConfigError, match="as_of_utc"):
        read_history(folder)


def test_both_portals_hold_the_same_past_in_their_own_codes() -> None:
    amo, b24 = portal("amocrm"), portal("bitrix24")
    assert set(amo.deals) == set(b24.deals)
    names = [
        Counter(made.stage(deal.pipeline_id, deal.stage).name for deal in made.deals.values())
        for made in (amo, b24)
    ]
    assert names[0] == names[1]
    assert {stage.code for stage in amo.pipelines[2].stages} == {"145", "31", "32", "33", "142", "143"}
    assert [stage.code for stage in b24.pipelines[0].stages][:2] == ["NEW", "PREPARATION"]
    assert [stage.code for stage in b24.pipelines[2].stages][-2:] == ["C2:WON", "C2:LOSE"]
    assert all(code.startswith("C2:") for code in (stage.code for stage in b24.pipelines[2].stages))


@pytest.mark.parametrize("dialect", ["amocrm", "bitrix24"])
def test_the_history_of_a_portal_ascends_and_ends_where_the_deal_stands(dialect: str) -> None:
    made = portal(dialect)
    last = {}
    previous = made.history[0]
    for row in made.history:
        assert (previous.id, previous.at) <= (row.id, row.at)
        previous = row
        last[row.deal_id] = (row.to_pipeline_id, row.to_stage)
    assert last == {deal.id: (deal.pipeline_id, deal.stage) for deal in made.deals.values()}


def test_new_entities_get_ids_above_the_past() -> None:
    made = portal("amocrm")
    for kind, table in (("deal", made.deals), ("contact", made.contacts), ("task", made.tasks)):
        assert made.new_id(kind) == max(table) + 1
    assert made.new_id("history") == made.history[-1].id + 1


def test_product_rows_sum_to_the_amount() -> None:
    with_rows = [deal for deal in portal("amocrm").deals.values() if deal.rows]
    assert {len(deal.rows) for deal in with_rows} == {1, 2, 3}
    for deal in with_rows:
        assert sum(row.price * row.quantity for row in deal.rows) == deal.amount
        assert all(row.price > 0 for row in deal.rows)


def test_deals_without_an_amount_have_no_rows() -> None:
    assert not any(deal.rows for deal in portal("amocrm").deals.values() if not deal.amount)


def test_a_company_that_buys_again_is_the_same_company() -> None:
    made = portal("amocrm")
    by_name = defaultdict(set)
    for deal in made.deals.values():
        by_name[deal.name.partition(" — ")[0]].add(deal.company_id)
    assert all(len(ids) == 1 for ids in by_name.values())
    bought_again = Counter(deal.company_id for deal in made.deals.values())
    assert max(bought_again.values()) > 1


def test_some_clients_lack_what_documents_need_and_the_first_one_does_not() -> None:
    made = portal("amocrm")
    contacts = made.contacts.values()
    assert 0 < sum(not contact.emails for contact in contacts) < len(contacts) / 5
    lacking = [c for c in made.companies.values() if c.requisites and not c.requisites.inn]
    assert 0 < len(lacking) < len(made.companies) / 5
    assert any(not deal.contact_ids for deal in made.deals.values())
    first = next(deal for deal in made.deals.values() if deal.name.startswith(FIRST_CLIENT))
    company = made.companies[first.company_id or 0]
    assert company.requisites and company.requisites.inn
    assert made.contacts[first.contact_ids[0]].emails
    assert made.stage(first.pipeline_id, first.stage).name == "Встреча назначена"
    assert first.updated_at == max(
        deal.updated_at for deal in made.deals.values() if deal.stage == first.stage and not deal.is_deleted
    )
    assert any(deal.name.startswith(HOSTILE_CLIENT) for deal in made.deals.values())


def test_the_two_portals_write_to_their_clients_at_different_addresses() -> None:
    addresses = [
        {email for contact in portal(name).contacts.values() for email in contact.emails}
        for name in ("amocrm", "bitrix24")
    ]
    assert addresses[0]
    assert not addresses[0] & addresses[1]


def test_a_folder_with_strange_numbers_is_loaded_by_its_own_ids() -> None:
    history = past().history
    stages = [
        row._replace(
            pipeline_id=row.pipeline_id + 40, stage_id=row.stage_id + (500 if row.stage_id < 142 else 0)
        )
        for row in history.stages
    ]
    deal = next(row for row in history.deals if row.stage_id == 142)._replace(
        pipeline_id=41, manager_id=None, name="Без тире", price=Decimal("10.50")
    )
    moves = [
        row._replace(pipeline_id=41, to_stage_id=142, from_stage_id=None)
        for row in history.transitions
        if row.deal_id == deal.deal_id
    ][:1]
    account = replace(history.account, pipelines={})
    made = History(account, managers=history.managers, stages=stages, deals=[deal], transitions=moves)
    for dialect, pipeline_id, code in (("amocrm", 41, "142"), ("bitrix24", 0, "WON")):
        into = Portal(dialect, name=dialect, timezone="UTC")  # type: ignore[arg-type]
        load(prepare(made), into)
        assert (into.deals[deal.deal_id].pipeline_id, into.deals[deal.deal_id].stage) == (pipeline_id, code)
        assert into.pipelines[pipeline_id].name == "Воронка 41"
        assert into.companies[1].name.endswith("»")


def inn_is_right(inn: str) -> bool:
    """The rule as the tax service words it, written apart from the maker's."""
    digits = [int(sign) for sign in inn]
    if len(digits) == 10:
        return (
            sum(d * w for d, w in zip(digits, [2, 4, 10, 3, 5, 9, 4, 6, 8], strict=False)) % 11 % 10
            == digits[9]
        )
    first = sum(d * w for d, w in zip(digits, [7, 2, 4, 10, 3, 5, 9, 4, 6, 8], strict=False)) % 11 % 10
    second = sum(d * w for d, w in zip(digits, [3, 7, 2, 4, 10, 3, 5, 9, 4, 6, 8], strict=False)) % 11 % 10
    return [first, second] == digits[10:]


def account_is_right(account: str, prefix: str) -> bool:
    total = sum(int(sign) * weight for sign, weight in zip(prefix + account, [7, 1, 3] * 8, strict=False))
    return len(account) == 20 and total % 10 == 0


def test_all_requisites_pass_their_check_digits() -> None:
    checked = 0
    for company in portal("amocrm").companies.values():
        details = company.requisites
        assert details is not None
        if not details.inn:
            continue
        checked += 1
        assert inn_is_right(details.inn)
        assert len(details.kpp) == 9
        assert len(details.ogrn) == 13
        assert int(details.ogrn[:12]) % 11 % 10 == int(details.ogrn[12])
        assert account_is_right(details.account, details.bik[-3:])
        assert account_is_right(details.corr_account, "0" + details.bik[4:6])
        assert details.corr_account.endswith(details.bik[-3:])
    assert checked > 100


def test_the_reading_of_a_long_table_tells_how_far_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("connector.sandbox.history_files.PROGRESS_ROWS", 10)
    write_history(generate(TODAY, days=20), tmp_path)
    heard: list[tuple[str, int]] = []
    history = read_history(tmp_path, lambda what, done, _: heard.append((what, done)))
    told = [done for what, done in heard if what == "читаю deals.csv"]
    assert told == list(range(10, len(history.deals) + 1, 10)) and told


@pytest.mark.parametrize(
    ("table", "column", "said"),
    [
        ("deals", "manager_id", "manager_id: нет менеджера 9999"),
        ("deals", "stage_id", "stage_id: нет этапа 9999"),
        ("transitions", "deal_id", "deal_id: нет сделки 9999"),
        ("calls", "deal_id", "deal_id: нет сделки 9999"),
    ],
)
def test_a_row_that_points_nowhere_is_named_with_file_line_and_column(
    tmp_path: Path, table: str, column: str, said: str
) -> None:
    write_history(generate(TODAY, days=20), tmp_path)
    path = tmp_path / f"{table}.csv"
    lines = path.read_text(encoding="utf-8").splitlines()
    cells = lines[3].split(",")
    cells[lines[0].split(",").index(column)] = "9999"
    lines[3] = ",".join(cells)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        read_history(tmp_path)
    found = [problem for problem in caught.value.problems if problem.message.startswith(said)]
    assert [problem.place for problem in found] == [f"{path}:4"]


def test_lines_are_counted_through_cells_of_several_lines_and_empty_rows(tmp_path: Path) -> None:
    write_history(generate(TODAY, days=20), tmp_path)
    path = tmp_path / "managers.csv"
    head, first, second, third, *rest = path.read_text(encoding="utf-8").splitlines()
    number, name, tail = first.split(",", 2)
    broken = third.replace(third.split(",")[0], "много", 1)
    text = [head, f'{number},"{name}\nвторая строка",{tail}', "", second, broken, *rest]
    path.write_text("\n".join(text) + "\n", encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        read_history(tmp_path)
    assert [problem.place for problem in caught.value.problems] == [f"{path}:6"]
