"""All methods of the portal by their lower-case names; one module a group, one line each to enter it."""

from __future__ import annotations

from connector.sandbox.bitrix24 import batch
from connector.sandbox.bitrix24.call import Method
from connector.sandbox.bitrix24.methods import (
    activities,
    activity_bindings,
    app,
    catalogue,
    chat,
    classic,
    common,
    directories,
    disk,
    history,
    items,
    products,
    requisite_links,
    requisites,
    tasks,
    timeline,
    workflows,
)

_TABLES = (
    batch.TABLE,
    activities.TABLE,
    activity_bindings.TABLE,
    app.TABLE,
    catalogue.TABLE,
    chat.TABLE,
    classic.TABLE,
    common.TABLE,
    directories.TABLE,
    disk.TABLE,
    history.TABLE,
    items.TABLE,
    products.TABLE,
    requisite_links.TABLE,
    requisites.TABLE,
    tasks.TABLE,
    timeline.TABLE,
    workflows.TABLE,
)

METHODS: dict[str, Method] = {name: method for table in _TABLES for name, method in table.methods.items()}
