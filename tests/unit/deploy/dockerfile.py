"""A Dockerfile's instructions, for a file without heredocs and without comments inside instructions."""

import json
import re
from dataclasses import dataclass
from pathlib import Path

DOCKERFILE = Path(__file__).parents[3] / "Dockerfile"


@dataclass(frozen=True)
class Instruction:
    """One instruction: its name, and the text after it."""

    name: str
    text: str

    @property
    def words(self) -> list[str]:
        return [word for word in self.text.split() if not word.startswith("--")]

    @property
    def options(self) -> list[str]:
        return [word for word in self.text.split() if word.startswith("--")]

    @property
    def exec_form(self) -> list[str]:
        """The command line of ENTRYPOINT, CMD or HEALTHCHECK; fails unless it is a JSON list, run without a shell."""
        found = json.loads(self.text[self.text.index("[") :])
        assert all(isinstance(part, str) for part in found)
        return found


def stages(path: Path = DOCKERFILE) -> list[list[Instruction]]:
    """Instructions by stage; each begins with its FROM."""
    lines = [line for line in path.read_text().splitlines() if not line.startswith("#")]
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines))
    found: list[list[Instruction]] = []
    for line in filter(None, map(str.strip, joined.splitlines())):
        name, _, text = line.partition(" ")
        if name == "FROM":
            found.append([])
        found[-1].append(Instruction(name, text.strip()))
    return found


def named(stage: list[Instruction], name: str) -> list[Instruction]:
    """Instructions of this name."""
    return [one for one in stage if one.name == name]


def only(stage: list[Instruction], name: str) -> Instruction:
    """The one instruction of this name."""
    (found,) = named(stage, name)
    return found
