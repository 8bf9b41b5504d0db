"""The panel in other languages."""

from __future__ import annotations

from gettext import GNUTranslations
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from django.utils import translation

from rax_scheduled_images_ext.horizon.words import keep_words
from rax_scheduled_images_ext.model.keep import Keep

from . import catalog
from .dashboard import PANEL, Dashboard

TRANSLATIONS = catalog.translations()


@pytest.mark.parametrize("path", TRANSLATIONS, ids=lambda path: path.parts[-3])
def test_each_text_is_translated_and_compiled(path: Path) -> None:
    """If this fails: ``python -m tests.horizon.catalog``, and translate what is new."""
    found = TRANSLATIONS[path]

    def keys(texts: Any) -> set[Any]:
        return {(each.id, each.context) for each in texts if each.id}

    assert keys(found) == keys(catalog.texts())
    parts = [each.string for each in found if each.id]
    assert all(all(text) if isinstance(text, tuple) else text for text in parts)
    there = BytesIO(path.with_suffix(".mo").read_bytes())
    wanted = BytesIO(catalog.compiled(found))
    assert _read(there) == _read(wanted)


def _read(file: BytesIO) -> dict[Any, Any]:
    texts: dict[Any, Any] = vars(GNUTranslations(file))["_catalog"]
    return {key: text for key, text in texts.items() if key}


@pytest.mark.parametrize(
    ("language", "words"),
    [
        ("en", "the newest 2, 7 daily, 1 weekly, all of the last 30 days"),
        ("de", "die neuesten 2, 7 tägliche, 1 wöchentliches, alle der letzten 30 Tage"),
    ],
)
def test_rules_are_a_sentence(language: str, words: str) -> None:
    with translation.override(language):
        keep = Keep(last=2, daily=7, weekly=1, within_days=30)
        assert keep_words(keep) == words


def test_the_panel_in_german(admin: Dashboard) -> None:
    path = f"{PANEL}{admin.id_of('web1')}/schedule/"
    shown = admin.send(path, "schedule_form", when="SATURDAY", last="1")
    admin.again(shown, path, "schedule_form")
    page = admin.get(PANEL, headers={"Accept-Language": "de"})
    assert page.rows[0][:4] == [
        "web1",
        "Noch kein Abbild",
        "wöchentlich am Samstag",
        "das neueste Abbild",
    ]
    assert "Geplante Abbilder" in page.soup.text
