"""A webhook that the CRM has switched off, or somebody has deleted, comes back by itself."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import requests

from connector.sandbox.app import Sandbox
from tests.e2e.stand import Stand


def hooks(stand: Stand) -> list[dict[str, object]]:
    door = stand.sandbox.describe()["amocrm"]
    answer = requests.get(
        f"{door['base_url']}/api/v4/webhooks",
        headers={"Authorization": f"Bearer {door['token']}"},
        timeout=10,
    )
    found: list[dict[str, object]] = answer.json()["_embedded"]["webhooks"] if answer.content else []
    return [hook for hook in found if hook["destination"] == stand.hook_url and not hook["disabled"]]


def test_deleted_webhook_comes_back_and_the_missed_move_is_made_good(
    own_sandbox: Sandbox, tmp_path: Path
) -> None:
    with Stand(own_sandbox, "amocrm", f"sqlite:///{tmp_path}/connector.db") as stand:
        assert not stand.app.hook_watch.check("main")  # nothing was ever heard: connect has not been run yet
        deal_id = stand.add_deal(email="watch@example.ru")
        stand.settle()
        assert not stand.app.hook_watch.check("main")
        door = own_sandbox.describe()["amocrm"]
        gone = requests.delete(
            f"{door['base_url']}/api/v4/webhooks",
            headers={"Authorization": f"Bearer {door['token']}"},
            json={"destination": stand.hook_url},
            timeout=10,
        )
        assert gone.ok
        assert hooks(stand) == []
        stand.move(deal_id, "Счёт выставлен")
        assert stand.app.hook_watch.check("main")
        assert len(hooks(stand)) == 1
        assert stand.app.status().accounts[0].hook_repaired_at is not None
        stand.app.reconcile.run("main", grace=timedelta())
        stand.wait_for(lambda: stand.file_names(deal_id), "the invoice of the missed move")
