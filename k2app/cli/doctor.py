"""`k2 doctor`: every configured part, one line each."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import typer
from rich.console import Console
from rich.markup import escape

from k2app.operate.doctor.doctor import examine
from k2app.operate.doctor.findings import Finding, Verdict
from k2app.settings import Settings

SHOWN = {
    Verdict.OK: "[green]ok     [/green]",
    Verdict.WARNING: "[yellow]warning[/yellow]",
    Verdict.FAILED: "[bold red]failed [/bold red]",
}
"""How verdicts are printed: of one width, and told apart without colours."""

PART_WIDTH = 13
"""Columns of the longest part's name."""


def show_findings(settings: Settings, console: Console, *, as_json: bool) -> bool:
    """Print what is found, as it is found; returns whether everything works.

    As JSON: {"healthy": bool, "findings": [{"part", "verdict", "text", "advice"}, ...]}.
    """
    found: list[Finding] = []
    for finding in examine(settings, datetime.now(UTC)):
        found.append(finding)
        if not as_json:
            _print(console, finding)
    healthy = all(finding.verdict is not Verdict.FAILED for finding in found)
    if as_json:
        typer.echo(json.dumps({"healthy": healthy, "findings": [vars(finding) for finding in found]}))
    else:
        console.print(_sum(found))
    return healthy


def _print(console: Console, finding: Finding) -> None:
    line = f"{SHOWN[finding.verdict]}  {finding.part:{PART_WIDTH}} {escape(finding.text)}"
    console.print(line, soft_wrap=True, highlight=False)
    if finding.advice:
        console.print(f"{'':{PART_WIDTH + 10}}-> {escape(finding.advice)}", soft_wrap=True, highlight=False)


def _sum(found: list[Finding]) -> str:
    counts = {verdict: sum(one.verdict is verdict for one in found) for verdict in Verdict}
    if counts[Verdict.FAILED]:
        return f"\n{counts[Verdict.FAILED]} of {len(found)} checks failed"
    warned = f", {counts[Verdict.WARNING]} with a warning" if counts[Verdict.WARNING] else ""
    return f"\n{len(found)} checks passed{warned}"
