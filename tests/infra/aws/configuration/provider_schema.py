"""What the AWS provider allows, derived from a package that a registry holds.

`python -m tests.infra.aws.configuration.provider_schema` writes provider_schema.json anew: of
every type that infra/aws uses, each argument with its type, whether it is required, and each
block. Its source is the generated code of the wheel `cdktn-provider-aws` (70 MB), which names for
each argument what the provider's own schema says; the provider itself is in none of the
registries.
"""

import io
import json
import re
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path
from typing import Any

from infra import ROOT

PACKAGE = "cdktn-provider-aws==25.8.1"
HERE = Path(__file__).resolve().parent
SCHEMA = HERE / "provider_schema.json"
CONFIGURATION = ROOT / "infra" / "aws"

Block = dict[str, Any]

_USED = re.compile(r'^(resource|data) "aws_(\w+)"', re.MULTILINE)
_CLASS = re.compile(r"^class (\w+) extends .*?^}", re.MULTILINE | re.DOTALL)
_WRITER = re.compile(r"^function (\w+)ToHclTerraform\(struct\).*?^}", re.MULTILINE | re.DOTALL)
_SETTABLE = re.compile(
    r"^\s+(\w+): \{\n\s+value: .*\n\s+isBlock: (true|false),\n"
    r'\s+type: "(\w+)",\n\s+storageClassType: "(\w+)",',
    re.MULTILINE,
)
_MEMBER = re.compile(
    r"^    // (\w+) - computed: (\w+), optional: (\w+), required: (\w+)\n"
    r"(.*?)(?=^    // |^    \w+\()",
    re.MULTILINE | re.DOTALL,
)
_NESTED = re.compile(r'= new (\w+?)(List|Map|OutputReference)\(this, "\w+"(?:, (true|false))?\)')
_GETTER = re.compile(r"get(\w+)Attribute\(")
_TYPES = {
    "string": "string",
    "number": "number",
    "boolean": "bool",
    "stringList": "string",
    "numberList": "number",
    "stringMap": "string",
}
_GETTERS: dict[str, Any] = {
    "String": "string",
    "Number": "number",
    "Boolean": "bool",
    "StringMap": ["map", "string"],
    "List": ["list", "string"],
    "NumberList": ["list", "number"],
}


def used_types() -> set[tuple[str, str]]:
    """Of every `resource` and `data` in infra/aws: (kind, type without `aws_`)."""
    return {
        (found[1], found[2])
        for path in CONFIGURATION.rglob("*.tf")
        if ".terraform" not in path.parts
        for found in _USED.finditer(path.read_text(encoding="utf-8"))
    }


class Source:
    """One generated file: the class of a resource, and those of its blocks."""

    def __init__(self, code: str) -> None:
        self._classes = {found[1]: found[0] for found in _CLASS.finditer(code)}
        self._writers = {found[1].lower(): found[0] for found in _WRITER.finditer(code)}

    def top(self) -> Block:
        """The block of the resource itself."""
        name = next(
            name
            for name, body in self._classes.items()
            if re.search(r"^    static tfResourceType = ", body, re.MULTILINE)
            or "extends cdktn.TerraformProvider" in body
        )
        return self._block(self._classes[name], self._classes[name])

    def _nested(self, name: str) -> Block:
        return self._block(
            self._classes[f"{name}OutputReference"], self._writers.get(name.lower(), "")
        )

    def _block(self, members: str, writer: str) -> Block:
        settable = {found[1]: found for found in _SETTABLE.finditer(writer)}
        block: Block = {"attributes": {}, "blocks": {}}
        for name, computed, optional, required, body in _MEMBER.findall(members):
            use = " ".join(
                word
                for word, said in (
                    ("required", required),
                    ("optional", optional),
                    ("computed", computed),
                )
                if said == "true"
            )
            nested = _NESTED.search(body)
            if name in settable and settable[name][2] == "true":
                block["blocks"][name] = self._nested_block(nested, settable[name], required)
            else:
                block["attributes"][name] = [self._type(nested, settable.get(name), body), use]
        return block

    def _bare(self, settable: re.Match[str]) -> Block:
        """A block of the provider's own configuration, whose members bear no remarks."""
        writer = self._writers[settable[4].removesuffix("List").lower()]
        return {
            "attributes": {
                found[1]: [self._type(None, found, ""), "optional"]
                for found in _SETTABLE.finditer(writer)
            },
            "blocks": {},
        }

    def _nested_block(
        self, nested: re.Match[str] | None, settable: re.Match[str], required: str
    ) -> Block:
        if nested is None:
            return {"nesting": settable[3], "min": 0, "max": 0, **self._bare(settable)}
        is_single = settable[3] == "struct"
        return {
            "nesting": "single" if is_single else settable[3],
            "min": 1 if required == "true" and not is_single else 0,
            "max": 1 if nested[2] == "OutputReference" and not is_single else 0,
            **self._nested(nested[1]),
        }

    def _type(self, nested: re.Match[str] | None, settable: re.Match[str] | None, body: str) -> Any:
        if nested:
            inner = self._nested(nested[1])
            fields = {name: about[0] for name, about in inner["attributes"].items()}
            if nested[2] == "OutputReference":
                return ["object", fields]
            collection = "map" if nested[2] == "Map" else "set" if nested[3] == "true" else "list"
            return [collection, ["object", fields]]
        if settable:
            kind = _TYPES.get(settable[4], "string")
            return kind if settable[3] == "simple" else [settable[3], kind]
        if "new cdktn.StringMap(" in body:
            return ["map", "string"]
        getter = _GETTER.search(body)
        kind = _GETTERS[getter[1]] if getter else "string"
        return ["set", kind[1]] if "Fn.tolist(" in body else kind


def derive(archive: tarfile.TarFile) -> dict[str, Any]:
    """The schema of all types in use."""

    def code(folder: str) -> str:
        file = archive.extractfile(f"package/lib/{folder}/index.js")
        assert file, folder
        return file.read().decode()

    about = archive.extractfile("package/package.json")
    assert about
    provider = json.load(about)["cdktn"]["provider"]
    schema: dict[str, Any] = {
        "source": PACKAGE,
        "provider": f"{provider['name']} {provider['version']}",
        "configuration": Source(code("provider")).top(),
        "resource": {},
        "data": {},
    }
    for kind, name in sorted(used_types()):
        folder = name.replace("_", "-") if kind == "resource" else f"data-aws-{name}"
        schema[kind][f"aws_{name}"] = Source(code(folder.replace("_", "-"))).top()
    return schema


def main() -> None:
    """Fetch the package and write the schema, a type in each line."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", PACKAGE]
        subprocess.run([*command, "--dest", folder], check=True)
        (wheel,) = Path(folder).glob("*.whl")
        with zipfile.ZipFile(wheel) as files:
            (inner,) = (name for name in files.namelist() if name.endswith(".jsii.tgz"))
            with tarfile.open(fileobj=io.BytesIO(files.read(inner))) as archive:
                schema = derive(archive)
    lines = [f'"{key}": {json.dumps(schema[key])}' for key in ("source", "provider")]
    lines.append(f'"configuration": {json.dumps(schema["configuration"], sort_keys=True)}')
    for kind in ("resource", "data"):
        types = [f'"{n}": {json.dumps(b, sort_keys=True)}' for n, b in schema[kind].items()]
        lines.append(f'"{kind}": {{\n' + ",\n".join(types) + "\n}")
    SCHEMA.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
