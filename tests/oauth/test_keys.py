"""The key of the stored tokens: missing, wrong, changed."""

from __future__ import annotations

import pytest

from connector.config import Config
from connector.errors import ConfigError
from connector.store.schema import oauth_grants
from connector.store.sealing import Sealer, new_key
from tests.commands.typed import typed
from tests.oauth.stand import BOTH, Stand, of_amocrm

pytestmark = of_amocrm


def test_a_wrong_key_stops_everything_with_a_sentence(stand: Stand) -> None:
    for command in ("status", "check", "backfill"):
        said = typed(command, env={**stand.env, "SECRET_KEY": new_key()})
        assert said.code == 1
        assert "SECRET_KEY" in said.err and "верните прежний ключ" in said.err
        assert "ничего не запущено" in said.err


def test_a_missing_key_is_named_among_the_settings(stand: Stand) -> None:
    with pytest.raises(ConfigError) as caught:
        Config.from_env({**stand.env, "SECRET_KEY": ""})
    assert [problem.place for problem in caught.value.problems] == ["SECRET_KEY"]


@pytest.mark.parametrize(
    "key", ["short", "ы" * 44, "=" * 44, f"{'A' * 43}=,no"], ids=["short", "cyrillic", "empty", "second"]
)
def test_a_malformed_key_is_named_and_not_shown(stand: Stand, key: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Config.from_env({**stand.env, "SECRET_KEY": key})
    assert [problem.place for problem in caught.value.problems] == ["SECRET_KEY"]
    assert key not in str(caught.value)


@BOTH
def test_a_key_is_changed_by_naming_the_new_one_first(stand: Stand) -> None:
    old, new = stand.env["SECRET_KEY"], new_key()
    before = stand.stored()
    changing = stand.another(SECRET_KEY=f"{new},{old}")
    changing.prepare()
    changing.close()
    after = stand.another(SECRET_KEY=new)
    after.prepare()
    assert after.grants.find("main") == before
    after.close()
    with pytest.raises(ConfigError):
        stand.app.prepare()


def test_what_was_sealed_for_one_account_is_not_taken_for_anothers(stand: Stand) -> None:
    with stand.app.db.begin() as conn:
        sealed = conn.execute(oauth_grants.select()).one().sealed
        conn.execute(oauth_grants.update().values(account="other"))
    with pytest.raises(ConfigError, match="other"):
        Sealer([stand.env["SECRET_KEY"]]).open("other", sealed)
    with pytest.raises(ConfigError):
        stand.app.grants.find("other")


def test_a_lost_key_is_cured_by_a_new_consent(stand: Stand) -> None:
    env = {**stand.env, "SECRET_KEY": new_key()}
    said = typed("connect", stand.crm, "--code", stand.code(), env=env)
    assert "Согласие получено" in said.out, said.err
    assert "Доступ есть" in said.out
    assert typed("status", env=env).code == 0
