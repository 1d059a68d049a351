"""Pages that programs write: up to date, and about everything."""

import pytest

from k2app.lake.tables import SPECS
from tests.console_blocks import ROOT

PAGES = {
    "cli_page": "cli.md",
    "http_page": "http-api.md",
    "data_dictionary": "data-dictionary.md",
    "rooms": "architecture.md",
}
"""Page by the program that writes it."""


@pytest.mark.parametrize("program", PAGES)
def test_page_is_what_its_program_writes(generator, program):
    """What stands there follows from the code of now; `make docs` writes it anew."""
    assert generator(program).page() == (ROOT / "docs" / PAGES[program]).read_text(), "run `make docs`"


@pytest.mark.parametrize("program", [*PAGES, "settings_page", "client_methods", "tour"])
def test_make_writes_every_page(program):
    """A program that no target runs would leave its page behind."""
    assert f"docs/{program}.py" in (ROOT / "Makefile").read_text()


@pytest.mark.parametrize("name", SPECS)
def test_every_column_says_what_it_means(name):
    """In the table itself, where any engine shows it."""
    assert [] == [field.name for field in SPECS[name].schema.fields if not field.doc]
