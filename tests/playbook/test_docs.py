"""`docs/rop.md` documents exactly the keys and variables that exist, and its examples are right."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pydantic import BaseModel

from connector.playbook.condition import find_mistakes
from connector.playbook.due import parse_due
from connector.playbook.facts import CONDITION_VARIABLES
from connector.playbook.load import parse_playbook
from connector.playbook.mistakes import SECTIONS, keys_of
from connector.playbook.model import ACTIONS, REPEATS, Kpi, Trigger

TEXT = (Path(__file__).parents[2] / "docs" / "rop.md").read_text("utf-8")
MODELS: list[type[BaseModel]] = [*SECTIONS.values(), Trigger, Kpi, *ACTIONS.values()]


def documented(marker: str) -> list[str]:
    """The first column of the table after `<!-- keys: marker -->`."""
    table = TEXT.split(f"<!-- keys: {marker} -->\n", 1)[1].split("\n\n", 1)[0]
    return re.findall(r"^\| `([^`]+)` \|", table, re.MULTILINE)


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_every_key_is_documented_and_no_other(model: type[BaseModel]) -> None:
    assert sorted(documented(model.__name__)) == sorted(keys_of(model))


def test_every_table_belongs_to_a_model() -> None:
    markers = set(re.findall(r"<!-- keys: (\w+) -->", TEXT))
    assert markers == {model.__name__ for model in MODELS} | {"sections", "variables"}


def test_sections_and_variables_are_documented() -> None:
    assert documented("sections") == list(SECTIONS)
    assert documented("variables") == list(CONDITION_VARIABLES)


def test_words_of_repeat_are_documented() -> None:
    assert all(f"`{word}`" in TEXT for word in REPEATS)


def test_the_examples_are_right() -> None:
    examples = re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)
    sections = [example for example in examples if not example.startswith("if:")]
    people = next(example for example in sections if example.startswith("people:"))
    for example in sections:
        assert parse_playbook(example if example == people else example + people)
    conditions = re.findall(r"^\s*if: (.+)$", TEXT, re.MULTILINE)
    assert len(conditions) > 4
    assert [find_mistakes(condition) for condition in conditions] == [()] * len(conditions)


def test_the_dues_that_are_named_are_understood() -> None:
    sentence = TEXT.split("Сроки: ", 1)[1].split("\n\n", 1)[0]
    dues = re.findall(r"`([^`]+)`", sentence)
    assert len(dues) == 14
    for due in dues:
        parse_due(due)
