import importlib.util
from pathlib import Path

DOCS = Path(__file__).parents[3] / "docs"


def test_settings_page_is_what_the_settings_say():
    """The page lists every setting with its default and meaning; `make docs` writes it anew."""
    spec = importlib.util.spec_from_file_location("settings_page", DOCS / "settings_page.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.page() == (DOCS / "settings.md").read_text(), "run `make docs`"
