"""Another integration at amoCRM's API, beside our client.

It makes what our client never makes (calls of telephony, forms, fields, lists) and tells the JSON as it is.
"""

from __future__ import annotations

from typing import Any

import requests

from tests.contract.office import Office


class Desk:
    """Writes and reads as another integration of the same account would."""

    def __init__(self, office: Office) -> None:
        told = office.sandbox.describe()["amocrm"]
        self._base = f"{told['base_url']}/api/v4"
        self._people = f"{told['base_url']}/sandbox/api/amocrm"
        self._headers = {"Authorization": f"Bearer {told['token']}"}

    def get(self, path: str) -> Any:
        answer = requests.get(f"{self._base}/{path}", headers=self._headers, timeout=10)
        answer.raise_for_status()
        return answer.json() if answer.content else None

    def post(self, path: str, body: Any) -> Any:
        answer = requests.post(f"{self._base}/{path}", headers=self._headers, json=body, timeout=10)
        assert answer.status_code < 300, answer.text
        return answer.json()

    def patch(self, path: str, body: Any) -> Any:
        answer = requests.patch(f"{self._base}/{path}", headers=self._headers, json=body, timeout=10)
        assert answer.status_code < 300, answer.text
        return answer.json()

    def by_hand(self, action: str, **body: Any) -> Any:
        """What people do in the interface and no API can: delete, restore, merge, write in a chat."""
        answer = requests.post(f"{self._people}/{action}", json=body, timeout=10)
        assert answer.status_code < 300, answer.text
        return answer.json()

    def add_field(self, entity: str, kind: str, name: str, **more: Any) -> int:
        made = self.post(f"{entity}/custom_fields", [{"name": name, "type": kind, **more}])
        return int(made["_embedded"]["custom_fields"][0]["id"])

    def values(self, deal_id: int | str, field_id: int) -> Any:
        """The values of one field of a deal as amoCRM has them; None for an empty field."""
        fields = self.get(f"leads/{deal_id}")["custom_fields_values"] or []
        return next((field["values"] for field in fields if field["field_id"] == field_id), None)
