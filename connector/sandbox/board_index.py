"""Which notes and tasks belong to which deal: a portal with a hundred thousand deals opens at once."""

from __future__ import annotations

from collections import defaultdict

from connector.sandbox.state import Change, Note, Portal, Task


class Index:
    """Ids of the notes and tasks of each deal, kept up to date by listening to the portal."""

    def __init__(self, portal: Portal) -> None:
        self.notes: defaultdict[int, list[int]] = defaultdict(list)
        self.tasks: defaultdict[int, list[int]] = defaultdict(list)
        with portal.lock:
            for note in portal.notes.values():
                self._add(self.notes, note)
            for task in portal.tasks.values():
                self._add(self.tasks, task)
            portal.listen(self._hear)

    def _hear(self, change: Change) -> None:
        table = {"note": self.notes, "task": self.tasks}.get(change.entity)
        if table is None:
            return
        if change.before is not None and change.before.entity == "deal":
            ids = table[change.before.entity_id]
            if change.entity_id in ids:
                ids.remove(change.entity_id)
        if change.action != "delete":
            self._add(table, change.after)

    @staticmethod
    def _add(table: defaultdict[int, list[int]], entry: Note | Task) -> None:
        if entry.entity == "deal" and entry.entity_id is not None:
            table[entry.entity_id].append(entry.id)
