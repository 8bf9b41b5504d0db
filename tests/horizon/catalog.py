"""The panel's texts and their translations.

``python -m tests.horizon.catalog`` adds new texts to the catalogs of all languages,
drops old ones, and compiles the catalogs: Django reads the compiled ones.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timezone
from io import BytesIO
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.extract import (
    DEFAULT_KEYWORDS,
    extract_from_dir,
    extract_python,
)
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po
from django.utils.translation.template import templatize

import rax_scheduled_images_ext.horizon

FOLDER = Path(next(iter(rax_scheduled_images_ext.horizon.__path__)))
_KEYWORDS = {
    **DEFAULT_KEYWORDS,
    "gettext_lazy": None,
    "ngettext_lazy": (1, 2),
    "pgettext_lazy": ((1, "c"), 2),
}

_NEVER = datetime(2026, 1, 1, tzinfo=timezone.utc)
# Without times, which would change the file each time.
_HEADER = r"""msgid ""
msgstr ""
"Language: {language}\n"
"Plural-Forms: {plural}\n"
"Content-Type: text/plain; charset=utf-8\n"

"""


def template_messages(
    file: BytesIO, keywords: object, comment_tags: object, options: object
) -> Iterator[tuple[int, str, object, list[str]]]:
    """Extract the texts of a template, as Django itself understands it."""
    source = templatize(file.read().decode())
    file = BytesIO(source.encode())
    yield from extract_python(file, keywords, comment_tags, options)


def texts() -> Catalog:
    """Return a catalog of all texts, without a translation."""
    catalog = Catalog(fuzzy=False)
    found = extract_from_dir(
        FOLDER,
        [("**.py", "python"), ("templates/**.html", template_messages)],
        keywords=_KEYWORDS,
    )
    for _name, _line, message, _comments, context in found:
        catalog.add(message, context=context)
    return catalog


def translations() -> dict[Path, Catalog]:
    """Return the catalogs of all languages by their files."""
    found = {}
    for path in sorted(FOLDER.glob("locale/*/LC_MESSAGES/django.po")):
        language = path.parents[1].name
        with path.open("rb") as file:
            found[path] = read_po(file, locale=language)
    return found


def compiled(catalog: Catalog) -> bytes:
    """Return a catalog as Django reads it."""
    # Otherwise the file would change with the time.
    catalog.creation_date = catalog.revision_date = _NEVER
    file = BytesIO()
    write_mo(file, catalog)
    return file.getvalue()


def main() -> None:
    """Bring all catalogs up to date."""
    wanted = texts()
    for path, catalog in translations().items():
        catalog.update(wanted, no_fuzzy_matching=True, update_creation_date=False)
        catalog.obsolete.clear()
        with path.open("wb") as file:
            plural = catalog.plural_forms
            file.write(_HEADER.format(language=catalog.locale, plural=plural).encode())
            write_po(file, catalog, no_location=True, omit_header=True, width=88)
        path.with_suffix(".mo").write_bytes(compiled(catalog))


if __name__ == "__main__":
    main()
