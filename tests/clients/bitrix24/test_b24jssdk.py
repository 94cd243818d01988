"""@bitrix24/b24jssdk, the vendor's own for JavaScript, unmodified."""

from __future__ import annotations

from urllib.parse import parse_qs

import pytest

from tests.clients.bitrix24.conftest import OAUTH_HOSTS, Office
from tests.clients.javascript import Node

pytestmark = pytest.mark.node


def test_lists_batches_and_a_deal_over_a_webhook(office: Office, node: Node) -> None:
    there = office.for_script()["deals"]
    found = node.run("b24jssdk.mjs", office.for_script(), hosts=office.tls.hosts, ca_file=office.tls.ca_file)
    assert there > 1000 and found["listed"] == found["fetched"] == there
    assert found["categories"] == len(office.portal.pipelines) and "WON" in found["stages"]
    deal = office.portal.deals[found["number"]]
    assert (deal.name, deal.amount) == ("из JavaScript", 70)
    assert int(found["task"]) in office.portal.tasks
    assert (found["title"], found["fifty"]) == ("a & b", 50)
    assert any("Item not found" in message for message in found["lost"])


def test_full_bucket_is_waited_out(office: Office, node: Node) -> None:
    office.sandbox.faults.limits_on = True
    site = office.b24.site
    while site.bucket.admit("127.0.0.1", site.clock.now()):
        pass
    given = office.for_script(oauth_host=OAUTH_HOSTS[0])
    found = node.run("b24jssdk_oauth.mjs", given, hosts=office.tls.hosts, ca_file=office.tls.ca_file)
    assert found["bound"] is True and found["number"] in office.portal.deals


@pytest.mark.parametrize("host", OAUTH_HOSTS)
def test_expired_token_is_renewed_at_either_oauth_host(office: Office, node: Node, host: str) -> None:
    oauth = office.b24.oauth
    office.b24.switches.oauth_server = f"https://{host}"
    token, refresh = oauth.event_token(1)[0], oauth.new_refresh_token(1)
    oauth.expire_access_tokens()
    given = office.for_script(oauth_host=host, oauth_token=token, refresh_token=refresh)
    found = node.run("b24jssdk_oauth.mjs", given, hosts=office.tls.hosts, ca_file=office.tls.ca_file)
    assert found["renewed"]["serverEndpoint"] == f"https://{host}/rest/"
    assert found["renewed"]["refreshToken"] != refresh and found["bound"] is True
    body = parse_qs(office.hooks.wait_for(1)[0].body.decode())
    assert body["data[FIELDS][ID]"] == [str(found["number"])]
    assert body["auth[server_endpoint]"] == [f"https://{host}/rest/"]
