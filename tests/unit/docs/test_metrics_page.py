from tests.console_blocks import ROOT


def test_metrics_page_is_what_the_metrics_say(generator):
    """The page lists every metric with its type, labels and meaning; `make docs` writes it anew."""
    assert generator("metrics_page").page() == (ROOT / "docs" / "metrics.md").read_text(), "run `make docs`"


def test_make_writes_the_page():
    """A program that no target runs would leave its page behind."""
    assert "docs/metrics_page.py" in (ROOT / "Makefile").read_text()
