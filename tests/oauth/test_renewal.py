"""A pair is renewed in time, after a refusal, wherever the account moved; else a person is told."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Any

import pytest

from connector.errors import CrmError
from connector.sandbox.amocrm.switches import Switches
from tests.oauth.stand import BOTH, Stand, of_amocrm, of_bitrix24


def alarms(log: pytest.LogCaptureFixture) -> list[str]:
    return [r.getMessage() for r in log.records if getattr(r, "action", "") == "consent_needed"]


def problem(stand: Stand) -> str:
    state = stand.app.grants.state("main")
    assert state is not None
    return state.problem


def test_a_good_token_is_used_as_it_is(stand: Stand) -> None:
    assert stand.name()
    assert stand.name()
    assert stand.token_calls == 0


@BOTH
def test_a_token_that_is_over_is_renewed_before_the_call(stand: Stand) -> None:
    old = stand.stored()
    stand.age()
    assert stand.name()
    assert stand.token_calls == 1
    new = stand.stored()
    assert new.grant.refresh_token != old.grant.refresh_token
    assert new.grant.expires_at > stand.app.clock.now()
    assert stand.name()
    assert stand.token_calls == 1


def test_a_refused_token_is_renewed_once_and_the_call_repeated(stand: Stand) -> None:
    stand.spoil()
    assert stand.name()
    assert stand.token_calls == 1


@of_bitrix24
def test_bitrix24s_expired_token_is_renewed(stand: Stand) -> None:
    stand.spoil()
    stand.change(access_token=stand.side.oauth.first_token)
    stand.side.oauth.expire_access_tokens()
    assert stand.name()
    assert stand.token_calls == 1


def test_a_write_is_repeated_too_and_done_once(stand: Stand) -> None:
    """A refusal for the token comes before anything is done."""
    deal = next(iter(stand.app.clients["main"].deals()))
    stand.spoil()
    client = stand.app.clients["main"]
    before = len(stand.sandbox.portals[stand.crm].tasks)
    client.add_task(deal.id, "Позвонить", responsible_id=None, due_at=deal.updated_at, since=deal.updated_at)
    assert len(stand.sandbox.portals[stand.crm].tasks) == before + 1
    assert stand.token_calls == 1


@BOTH
def test_another_process_takes_the_new_pair_without_asking(stand: Stand) -> None:
    other = stand.another()
    try:
        assert other.clients["main"].account_info().name
        stand.spoil()
        assert stand.name()
        refused = other.tokens["main"].current()
        assert other.clients["main"].account_info().name
        assert stand.token_calls == 1
        assert refused is not None
    finally:
        other.close()


@BOTH
def test_a_revoked_consent_is_told_once_and_clearly(stand: Stand, caplog: pytest.LogCaptureFixture) -> None:
    stand.change(refresh_token="spent long ago")
    stand.age()
    for _ in range(3):
        with pytest.raises(CrmError) as caught:
            stand.name()
        assert caught.value.kind == "reauth"
    assert stand.token_calls == 1, "what was refused a moment ago is not tried again"
    assert len(alarms(caplog)) == 1
    assert alarms(caplog) == [problem(stand)]
    assert f"connector connect {stand.crm} --account main" in problem(stand)
    assert not stand.app.status().is_well


@BOTH
def test_everything_goes_on_after_a_new_consent(stand: Stand) -> None:
    stand.change(refresh_token="spent long ago")
    stand.age()
    with pytest.raises(CrmError):
        stand.name()
    stand.consent()
    assert stand.name()
    assert problem(stand) == ""
    assert stand.app.status().is_well


def test_wrong_client_secret_is_another_alarm_and_heals_by_itself(
    stand: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("connector.crm.oauth.PROBE_EVERY", timedelta(0))
    stand.age()
    secret, stand.side.oauth.client_secret = stand.side.oauth.client_secret, "another"
    with pytest.raises(CrmError) as caught:
        stand.name()
    assert caught.value.kind == "reauth"
    assert "CLIENT_SECRET" in problem(stand)
    stand.side.oauth.client_secret = secret
    assert stand.name()
    assert problem(stand) == ""


def test_while_the_old_token_works_a_failed_renewal_stops_nothing(
    stand: Stand, caplog: pytest.LogCaptureFixture
) -> None:
    stand.change(refresh_token="spent long ago")
    stand.age(is_over=False)
    assert stand.name()
    assert len(alarms(caplog)) == 1
    assert stand.name()
    assert stand.token_calls == 1


@pytest.mark.parametrize("status", [500, 502, 403])
def test_an_oauth_server_in_trouble_is_no_revocation(stand: Stand, status: int, caplog: Any) -> None:
    path = "access_token" if stand.crm == "amocrm" else "/oauth/token"
    stand.age()
    stand.sandbox.faults.fail_next(1, status, "<html>", path_part=path)
    with pytest.raises(CrmError) as caught:
        stand.name()
    assert caught.value.kind == "retry"
    assert problem(stand) == ""
    assert not alarms(caplog)


def test_a_fresh_token_that_is_refused_is_told_instead_of_renewed_for_ever(stand: Stand) -> None:
    stand.change(access_token="stale")
    with pytest.raises(CrmError) as caught:
        stand.name()
    assert caught.value.kind == "reauth"
    assert stand.token_calls == 0
    assert "только что выданный" in problem(stand)


@pytest.mark.parametrize("status", ["401", "404"])
@of_amocrm
def test_amocrms_account_is_found_where_it_moved(stand: Stand, status: Any) -> None:
    amo = stand.sandbox.amocrm
    amo.world.switches.old_host_status = status
    stand.change(obtained_at=stand.app.clock.now() - timedelta(hours=1))
    amo.oauth.move(stand.sandbox.base_url.replace("127.0.0.1", "localhost"), "novoe")
    assert stand.name()
    assert "localhost" in stand.stored().grant.base_url
    assert stand.token_calls == 2, "at the old host and at the new one"
    stand.age()
    assert stand.name()
    assert stand.token_calls == 3, "the new host is remembered"
    other = stand.another()
    assert other.clients["main"].account_info().name
    other.close()


@of_bitrix24
def test_bitrix24s_portal_is_found_where_it_moved(stand: Stand) -> None:
    new = stand.sandbox.base_url.replace("127.0.0.1", "localhost")
    stand.side.site.base_url = new
    stand.age()
    assert stand.name()
    assert stand.stored().grant.base_url == f"{new}/rest"


@of_bitrix24
def test_bitrix24s_other_oauth_server_gives_the_code_its_pair_and_renews_it(stand: Stand) -> None:
    """Bitrix24 has two OAuth servers: one of them cannot be reached from here."""
    away, here = "http://127.0.0.1:9", stand.sandbox.base_url
    for order in (f"{away},{here}", f"{here},{away}"):
        other = stand.another(OAUTH_URL=order)
        try:
            other.consent.take_code("main", stand.code())
            assert stand.stored().grant.server_url == here
            for gave in (here, away, ""):
                stand.age()
                stand.change(server_url=gave)
                vars(other).pop("tokens", None)
                vars(other).pop("clients", None)
                before = stand.stored().grant.refresh_token
                assert other.clients["main"].account_info().name
                assert stand.stored().grant.refresh_token != before
        finally:
            other.close()


@of_amocrm
def test_a_moved_account_is_never_taken_for_deleted_deals(stand: Stand) -> None:
    deal = next(iter(stand.app.clients["main"].deals()))
    stand.sandbox.amocrm.oauth.move("http://nowhere.invalid", "nowhere")
    with pytest.raises(CrmError) as caught:
        stand.app.clients["main"].deal(deal.id)
    assert caught.value.kind == "reauth"


@of_amocrm
def test_amocrm_that_kills_access_with_the_pair_is_borne(stand: Stand) -> None:
    switches: Switches = stand.sandbox.amocrm.world.switches
    switches.refresh_kills_access = True
    other = stand.another()
    assert other.clients["main"].account_info().name
    stand.age(is_over=False)
    assert stand.name()
    assert other.clients["main"].account_info().name
    assert stand.token_calls == 1
    other.close()


@BOTH
def test_no_secret_is_in_the_log_nor_in_the_store(
    stand: Stand, caplog: pytest.LogCaptureFixture, tmp_path: Any
) -> None:
    caplog.set_level(logging.DEBUG)
    first = stand.stored().grant
    stand.age()
    assert stand.name()
    second = stand.stored().grant
    stand.change(refresh_token="spent-long-ago-and-secret")
    stand.age()
    with pytest.raises(CrmError) as caught:
        stand.name()
    said = (
        caplog.text + repr(vars(caught.value)) + repr(first) + repr(stand.stored()) + repr(stand.app.config)
    )
    with stand.app.db.read() as conn:
        from connector.store.schema import oauth_grants, oauth_states

        said += repr(conn.execute(oauth_grants.select()).all()) + repr(
            conn.execute(oauth_states.select()).all()
        )
    secrets = [stand.env["CLIENT_SECRET"], stand.env["SECRET_KEY"], "spent-long-ago-and-secret"]
    secrets += [token for grant in (first, second) for token in (grant.access_token, grant.refresh_token)]
    for secret in secrets:
        assert secret not in said
