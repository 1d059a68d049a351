"""Commands in the documents: every one is there, and takes the options that it is given."""

import re
import shlex
from pathlib import Path

import pytest
from typer.main import get_command

from k2app.cli.k2 import app as k2
from k2app.cli.k2_query import app as k2_query
from tests.console_blocks import FENCE, ROOT, blocks, pages
from tests.unit.deploy.compose_file import ComposeFile
from web.openapi import document

PROGRAMS = {"k2": get_command(k2), "k2-query": get_command(k2_query)}

SHELL = frozenset({"cat", "cd", "cp", "export", "mkdir", "mv", "pg_dump", "python3", "wc"})
"""Programs that are not ours, whose options are not looked at."""

DOCKER = {"up", "down", "stop", "run", "exec", "ps", "logs", "pull", "config", "restart"}
"""Commands of docker compose. Source: docs.docker.com/reference/cli/docker/compose."""

TAKES_VALUE = {"-f", "--file", "--profile", "-e", "--user"}
"""Options of docker compose whose value is the next word."""

COMMANDS = [
    (block.page, command.text) for page in pages() for block in blocks(page) for command in block.commands
]


def check(line: str) -> None:
    """Check every command of a line: of pipes, of `$(...)`, in front of a comment."""
    line = line.partition("\n")[0].partition(" <<")[0]
    for inner in re.findall(r"\$\(([^()]+)\)", line):
        check(inner)
    words = shlex.split(re.sub(r"\$\([^()]+\)", "INNER", line), comments=True)
    for part in split(words):
        check_words(part)


def split(words: list[str]) -> list[list[str]]:
    """Commands between pipes and `&&`, without variables in front, redirections and `&` behind."""
    found: list[list[str]] = [[]]
    for word in words:
        if word in {"|", "&&", ";", "&"}:
            found.append([])
        elif found[-1] or not re.match(r"[A-Z]\w*=", word):
            found[-1].append(word)
    return [part for part in found if part]


def check_words(words: list[str]) -> None:
    program, *arguments = words
    if program in PROGRAMS:
        parse(program, arguments)
    elif program == "docker":
        check_compose(arguments)
    elif program == "curl":
        check_url(arguments)
    elif program == "make":
        assert arguments[0] in targets(), f"no target {arguments[0]}"
    else:
        assert program in SHELL, f"not a command that documents use: {program}"


def parse(program: str, arguments: list[str]) -> None:
    """Have Typer parse a command line, and run nothing."""
    command, path = PROGRAMS[program], [program]
    while hasattr(command, "commands"):
        name = arguments.pop(0)
        assert name in command.commands, f"{' '.join(path)} has no command {name}"
        command = command.commands[name]
        path.append(name)
    if "--help" not in arguments:
        command.make_context(" ".join(path), arguments)


def check_compose(arguments: list[str]) -> None:
    """The command is one of Compose's, the services are in the file, and so on for what they run."""
    assert arguments.pop(0) == "compose"
    command, *rest = arguments
    assert command in DOCKER, f"docker compose has no command {command}"
    services = {service.name for service in ComposeFile().services}
    plain = [word for at, word in enumerate(rest) if word[0] != "-" and rest[at - 1] not in TAKES_VALUE]
    if command not in {"run", "exec"}:
        assert set(plain) <= services, f"no such services: {set(plain) - services}"
        return
    assert plain[0] in services, f"no service {plain[0]}"
    inner = rest[rest.index(plain[0]) + 1 :]
    check_words(inner if command == "exec" else ["k2", *inner])


def check_url(arguments: list[str]) -> None:
    """A path that is asked for is one of the server's."""
    url = next(word for word in arguments if "://" in word or word.startswith("$K2_URL"))
    path = re.sub(r"^(https?://[^/]+|\$K2_URL)", "", url).partition("?")[0]
    assert path in document()["paths"], f"no path {path}"


def targets() -> set[str]:
    return set(re.findall(r"^([a-z-]+):.*##", (ROOT / "Makefile").read_text(), re.MULTILINE))


@pytest.mark.parametrize(("page", "line"), COMMANDS)
def test_command_parses(page, line):
    """With the options that it is given; those that need nothing are run, by `tests/e2e/test_readme_tour.py`."""
    assert page
    check(line)


def inline(page: Path) -> list[str]:
    """Commands of ours that stand in the text of a page, those that one may choose from aside."""
    spans = re.findall(r"`([^`]+)`", FENCE.sub("", page.read_text()))
    said = (re.sub(r"^(K2_\w+=\S+ )+", "", " ".join(span.split())) for span in spans)
    return [text for text in said if re.match(r"k2(-query)?( |$)", text) and "|" not in text]


def check_inline(text: str) -> None:
    """The command is there, and has the options; what must be given may be left out."""
    program, *words = shlex.split(text)
    command, options = PROGRAMS[program], [word for word in words if word.startswith("-")]
    while hasattr(command, "commands") and words and not words[0].startswith("-"):
        name = words.pop(0)
        assert name in command.commands, f"{text}: no command {name}"
        command = command.commands[name]
    # Options behind a program alone are those of its commands; Typer takes none between the two.
    below = getattr(command, "commands", {})
    assert not set(words) & set(below), f"{text}: the command comes first"
    known = {
        name for one in (command, *below.values()) for parameter in one.params for name in parameter.opts
    }
    known |= {"--help"} | ({"--install-completion", "--show-completion"} if below else set())
    assert set(options) <= known, f"{text}: no options {set(options) - known}"


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_in_the_text_are_there(page):
    """As far as they are written out."""
    for text in inline(page):
        check_inline(text)


@pytest.mark.parametrize(
    "text", ["k2 lod", "k2-query --url http://x trades", "k2 tag make x", "k2 trim --dry", "k2-query"]
)
def test_wrong_commands_in_the_text_are_found(text):
    """Or the test above would prove nothing; the bare name of a program is right."""
    if text == "k2-query":
        check_inline(text)
        return
    with pytest.raises(AssertionError):
        check_inline(text)


@pytest.mark.parametrize(
    "line",
    [
        "k2 lod a.csv",
        "k2 load a.csv --typ trades",
        "k2 load a.csv",
        "k2-query trades | k2 nothing",
        "export A=$(k2 nothing)",
        "docker compose runn x",
        "docker compose run --rm k2 lod",
        "docker compose stop worker-9",
        "curl http://127.0.0.1:6066/v1/tades",
        "make nothing",
        "nothing",
    ],
)
def test_wrong_commands_are_found(line):
    """Or the test above would prove nothing."""
    with pytest.raises(Exception, match=r".+"):
        check(line)


def test_make_targets_exist():
    """Wherever a page says `make something`."""
    said = {name for page in pages() for name in re.findall(r"`make ([a-z-]+)`", page.read_text())}
    assert said
    assert said <= targets()


def fences(page: Path) -> list[tuple[str, str]]:
    return [(match["info"], match["text"]) for match in FENCE.finditer(page.read_text())]


def test_commands_with_a_prompt_stand_in_console_blocks():
    """A block of another kind would not be checked."""
    found = [
        (page.name, info) for page in pages() for info, text in fences(page) if re.search(r"(?m)^\$ ", text)
    ]
    assert [] == [(name, info) for name, info in found if info.split()[:1] != ["console"]]
