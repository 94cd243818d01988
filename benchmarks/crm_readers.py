"""What `crm_clients.py` measures, one client a process: all deals with their contacts, by its own means.

    python benchmarks/crm_readers.py CLIENT OFFICE

OFFICE is the JSON that `crm_office.py` printed. Prints one JSON line: deals, contacts, seconds, CPU seconds,
the growth of memory at its peak. The clients' code is unmodified: names lead to the sandbox as a line in the
hosts file would do it, and the sandbox's authority is trusted.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import resource
import socket
import ssl
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

Found = tuple[int, int]

#: Contacts a request, as amoCRM takes them.
AT_ONCE = 200


def connector(crm: str, office: dict[str, Any]) -> Callable[[], Found]:
    """As `connector backfill` reads: in the background, over the limit that all processes share."""
    client = _connector_client(crm, office)

    def read() -> Found:
        deals = contacts = 0
        for _, found in client.contacts_of(client.deals()):
            deals += 1
            contacts += len(found)
        return deals, contacts

    return read


def connector_calls(crm: str, office: dict[str, Any]) -> Callable[[], Found]:
    """Single calls in the background for as long as the office says: what the limit gives over time."""
    client = _connector_client(crm, office)
    client.deal("1")
    seconds, burst = office["seconds"], {"amocrm": 0, "bitrix24": 30}[crm]
    counted: list[float] = []

    def read() -> Found:
        end = time.monotonic() + seconds

        def work() -> None:
            while time.monotonic() < end:
                client.deal("1")
                counted.append(time.monotonic())

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        steady = sorted(counted)[burst:]
        return len(steady) - 1, round((steady[-1] - steady[0]) * 1000)

    return read


def _connector_client(crm: str, office: dict[str, Any]) -> Any:
    from connector.clock import SystemClock
    from connector.config import AccountConfig
    from connector.crm import CRMS
    from connector.crm.share import BackgroundShare
    from connector.store.database import Database
    from connector.store.rate_limits import SharedLimiter
    from tests.e2e.unlimited import NoLimit

    database = Database(f"sqlite:///{tempfile.mkdtemp()}/connector.db")
    database.upgrade()
    clock = SystemClock()
    limiter = BackgroundShare(SharedLimiter(database, clock), clock) if office["limits_on"] else NoLimit()
    if crm == "amocrm":
        account = AccountConfig("bench", "amocrm", office["amo"], office["amo_token"])
    else:
        account = AccountConfig("bench", "bitrix24", office["b24"].rstrip("/"))
    patience = timedelta(minutes=30)
    client = CRMS[crm].make_client(account, limiter=limiter, clock=clock, patience=patience)
    client.pipelines()
    return client


def aioamocrm(office: dict[str, Any]) -> Callable[[], Found]:
    """Its own iterator for leads, and for contacts by their ids, four such requests at once."""
    import httpx
    from aioamocrm import AmoCRMClient, LongLivedToken

    class ByName(httpx.AsyncHTTPTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            request.extensions = {**request.extensions, "sni_hostname": request.url.host}
            request.url = request.url.copy_with(host="127.0.0.1", port=office["tls_port"])
            return await super().handle_async_request(request)

    async def go() -> Found:
        deals = contacts = 0
        trusted = ssl.create_default_context(cafile=office["ca_file"])
        async with httpx.AsyncClient(transport=ByName(verify=trusted), timeout=60) as http:
            options: dict[str, Any] = {} if office["limits_on"] else {"rate_limit": None}
            amo = AmoCRMClient(
                auth=LongLivedToken(office["amo_token"]), subdomain="sandbox", http=http, **options
            )

            async def some(ids: list[int]) -> int:
                return len([one async for one in amo.contacts.iterate(filter={"id": ids})])

            ids: dict[int, None] = {}
            tasks: list[asyncio.Task[int]] = []
            async for lead in amo.leads.iterate(with_=["contacts"]):
                deals += 1
                ids |= dict.fromkeys(_linked(lead.model_dump()))
                if len(ids) >= AT_ONCE:
                    tasks.append(asyncio.create_task(some(list(ids)[:AT_ONCE])))
                    ids = dict.fromkeys(list(ids)[AT_ONCE:])
                    if len(tasks) >= 4:
                        contacts += await tasks.pop(0)
            if ids:
                tasks.append(asyncio.create_task(some(list(ids))))
            for task in tasks:
                contacts += await task
        return deals, contacts

    return lambda: asyncio.run(go())


def _linked(lead: dict[str, Any]) -> list[int]:
    embedded = lead.get("embedded") or lead.get("_embedded") or {}
    return [one["id"] for one in lead.get("contacts") or embedded.get("contacts") or []]


def amochka(office: dict[str, Any]) -> Callable[[], Found]:
    from amochka import AmoCRMClient, CacheConfig

    token = json.dumps({"access_token": office["amo_token"], "expires_at": time.time() + 86400})
    options = {} if office["limits_on"] else {"rate_limit": 10**6}
    amo = AmoCRMClient(
        base_url=office["amo"],
        token_file=token,
        cache_config=CacheConfig.disabled(),
        disable_logging=True,
        **options,
    )

    def read() -> Found:
        deals = contacts = 0
        ids: dict[int, None] = {}
        for lead in amo.iter_leads(include_contacts=True):
            deals += 1
            ids |= dict.fromkeys(_linked(lead))
            if len(ids) >= AT_ONCE:
                contacts += sum(1 for _ in amo.iter_contacts(contact_ids=list(ids)[:AT_ONCE]))
                ids = dict.fromkeys(list(ids)[AT_ONCE:])
        if ids:
            contacts += sum(1 for _ in amo.iter_contacts(contact_ids=list(ids)))
        return deals, contacts

    return read


def fast_bitrix24(office: dict[str, Any]) -> Callable[[], Found]:
    from fast_bitrix24 import Bitrix

    # Its switch for «no limit» ends in a KeyError; a limit that is out of reach does what it should.
    options: dict[str, Any] = {}
    if not office["limits_on"]:
        options = {"requests_per_second": 1e6, "request_pool_size": 10**6}
    bitrix = Bitrix(office["b24"], verbose=False, **options)

    def read() -> Found:
        found = [bitrix.get_all("crm.item.list", {"entityTypeId": kind, "select": ["*"]}) for kind in (2, 3)]
        return len(found[0]), len(found[1])

    return read


def b24pysdk(office: dict[str, Any]) -> Callable[[], Found]:
    from b24pysdk import BitrixWebhook, Client

    host, _, rest = office["b24"].removeprefix("https://").partition("/rest/")
    client = Client(BitrixWebhook(domain=host, webhook_token=rest.strip("/")))

    def rows(kind: int) -> Iterator[Any]:
        yield from client.crm.item.list(entity_type_id=kind, select=["*"]).as_list_fast().result

    def read() -> Found:
        return sum(1 for _ in rows(2)), sum(1 for _ in rows(3))

    return read


CLIENTS: dict[str, Callable[[dict[str, Any]], Callable[[], Found]]] = {
    "connector-amocrm": lambda office: connector("amocrm", office),
    "connector-bitrix24": lambda office: connector("bitrix24", office),
    "calls-amocrm": lambda office: connector_calls("amocrm", office),
    "calls-bitrix24": lambda office: connector_calls("bitrix24", office),
    "aioamocrm": aioamocrm,
    "amochka": amochka,
    "fast_bitrix24": fast_bitrix24,
    "b24pysdk": b24pysdk,
}


def by_name(office: dict[str, Any]) -> None:
    """The CRMs' names lead to the sandbox, and its certificates are trusted."""
    real = socket.getaddrinfo

    def look_up(host: Any, port: Any, *args: Any, **kwargs: Any) -> Any:
        name = host.decode() if isinstance(host, bytes) else host
        if str(name).endswith((".amocrm.ru", ".bitrix24.ru")):
            return real("127.0.0.1", office["tls_port"], *args, **kwargs)
        return real(host, port, *args, **kwargs)

    socket.getaddrinfo = look_up
    os.environ["REQUESTS_CA_BUNDLE"] = os.environ["SSL_CERT_FILE"] = office["ca_file"]
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy", "HTTP_PROXY", "http_proxy"):
        os.environ.pop(name, None)


def main() -> None:
    logging.disable(logging.WARNING)
    office = json.loads(sys.argv[2])
    by_name(office)
    read = CLIENTS[sys.argv[1]](office)
    before, began = resource.getrusage(resource.RUSAGE_SELF), time.monotonic()
    deals, contacts = read()
    seconds, after = time.monotonic() - began, resource.getrusage(resource.RUSAGE_SELF)
    told = {
        "deals": deals,
        "contacts": contacts,
        "seconds": seconds,
        "cpu_s": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
        "peak_mb": (after.ru_maxrss - before.ru_maxrss) / 1024,
    }
    print(json.dumps(told))


if __name__ == "__main__":
    main()
