"""The ground that all foreign clients stand on: node, its packages, names and certificates."""

from __future__ import annotations

import json

import pytest

from connector.sandbox.app import Sandbox
from tests.clients.conftest import port_of
from tests.clients.javascript import FOLDER, Node
from tests.clients.tls_front import Authority, front

pytestmark = pytest.mark.node


def test_a_script_talks_to_the_sandbox(sandbox: Sandbox, node: Node) -> None:
    told = sandbox.describe()["amocrm"]
    found = node.run("plain.mjs", {"url": told["base_url"], "token": told["token"]})
    assert (found["status"], found["account"]["id"]) == (200, told["account_id"])


def test_a_script_reaches_the_sandbox_by_a_name_over_tls(
    sandbox: Sandbox, node: Node, authority: Authority
) -> None:
    told = sandbox.describe()["amocrm"]
    given = {"url": "https://sandbox.amocrm.ru", "token": told["token"]}
    with front(authority, ("sandbox.amocrm.ru",), port_of(sandbox)) as tls:
        found = node.run("plain.mjs", given, hosts=tls.hosts, ca_file=tls.ca_file)
        assert (found["status"], found["account"]["id"]) == (200, told["account_id"])
        with pytest.raises(AssertionError, match="fetch failed"):  # the name is checked: not our authority
            node.run("plain.mjs", given, hosts=tls.hosts)


def test_the_lock_file_pins_every_package_and_names_no_registry() -> None:
    packages = json.loads((FOLDER / "package-lock.json").read_text())["packages"]
    wanted = json.loads((FOLDER / "package.json").read_text())["dependencies"]
    assert all(version[0].isdigit() for version in wanted.values())
    assert not any("resolved" in package for package in packages.values())
    assert all(package.get("integrity") for name, package in packages.items() if name)
