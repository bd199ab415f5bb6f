"""An instance's user data, from its template, without Terraform; a test compares the two."""

import re
from collections.abc import Mapping

from infra import ROOT
from infra.aws.pack import BOOT


def user_data(*, archive: str, sha256: str, role: str, settings: Mapping[str, object]) -> str:
    """What `templatefile` makes of it; `archive` is s3://bucket/key."""
    text = (ROOT / BOOT / "user_data.sh.tftpl").read_text(encoding="utf-8")
    lines = "\n".join(f"{name}={settings[name]}" for name in sorted(settings))
    text = re.sub(r"\$\{join\(.*?\]\)\}", lambda _: lines, text)
    values = {"region": "us-east-1", "role": role, "sha256": sha256, "archive": archive}
    for name, value in values.items():
        text = text.replace(f"${{{name}}}", value)
    return text.replace("$${", "${")
