"""What Terraform has made, as its outputs tell: all that a run against it needs to know."""

import json
import subprocess
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any
from urllib.parse import quote

from infra.aws.errors import AwsError, TerraformMissing
from infra.aws.terraform import HERE, terraform

OUTPUTS = "AWS_OUTPUTS"
# What only targets of experiments bear.
TARGET_TAG = "ChaosTarget"
_LIMIT_S = 120
_FIRST = "run `make aws-up` first"


class NoStack(AwsError):
    """Terraform's outputs cannot be had, or lack something."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """Outputs of infra/aws/outputs.tf, under their names there. No secret is among them."""

    region: str
    account_id: str
    alb_dns_name: str
    target_group_arn: str
    asg_name: str
    fis_experiment_template_id: str
    target_tags: Mapping[str, str]
    aurora_cluster_arn: str
    aurora_endpoint: str
    database_secret_arn: str
    database_name: str
    access_log_bucket: str
    access_log_prefix: str
    aurora_port: int = 5432
    aws_profile: str = ""
    tunnel_instance_id: str = ""

    @classmethod
    def parse(cls, text: str, *, source: str) -> "Stack":
        """Read `terraform output -json`: {NAME: {"value": ...}}; NoStack."""
        try:
            outputs: dict[str, Any] = {
                name: each["value"] for name, each in json.loads(text).items()
            }
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise NoStack(
                f"{source} is not what `terraform output -json` prints ({error})"
            ) from None
        known = {each.name: each for each in fields(cls)}
        found = {
            name: value for name, value in outputs.items() if name in known and value is not None
        }
        wanted = {"target_tags": dict, "aurora_port": int}
        wrong = [
            name
            for name, each in known.items()
            if (name not in found and each.default is MISSING)
            or (name in found and not isinstance(found[name], wanted.get(name, str)))
        ]
        if wrong:
            raise NoStack(
                f"{source} lacks {', '.join(wrong)}: has `make aws-up` of this version ended well?"
            )
        if TARGET_TAG not in found["target_tags"]:
            raise NoStack(f"{source}: target_tags lacks {TARGET_TAG}, which no other server bears")
        return cls(**found)

    @classmethod
    def read(cls, environment: Mapping[str, str]) -> "Stack":
        """Ask Terraform, or read the file that AWS_OUTPUTS names; NoStack, TerraformMissing."""
        named = environment.get(OUTPUTS)
        if named:
            try:
                return cls.parse(Path(named).read_text(encoding="utf-8"), source=named)
            except (OSError, UnicodeError) as error:
                raise NoStack(f"{OUTPUTS}={named} cannot be read: {error}") from None
        try:
            asked = subprocess.run(
                [terraform(), "output", "-json"],
                cwd=HERE,
                env=dict(environment),
                capture_output=True,
                text=True,
                timeout=_LIMIT_S,
                check=False,
            )
        except TerraformMissing as error:
            raise TerraformMissing(f"{_FIRST}: {error}") from None
        except (OSError, subprocess.TimeoutExpired) as error:
            raise NoStack(f"`terraform output` in infra/aws failed: {error}") from None
        if asked.returncode:
            why = " ".join(asked.stderr.split())[:300]
            raise NoStack(f"`terraform output` in infra/aws failed: {why}; {_FIRST}")
        if asked.stdout.strip() in {"", "{}"}:
            raise NoStack(f"Terraform has made nothing in infra/aws yet: {_FIRST}")
        return cls.parse(asked.stdout, source="`terraform output -json` in infra/aws")

    @property
    def host(self) -> str:
        """The shop's address."""
        return f"http://{self.alb_dns_name}"

    @property
    def database_url(self) -> str:
        """Its database, by way of the RDS Data API."""
        names = {"cluster": self.aurora_cluster_arn, "secret": self.database_secret_arn}
        query = "&".join(f"{name}={quote(arn, safe='')}" for name, arn in names.items())
        return f"rds-data://{self.region}/{self.database_name}?{query}"

    @property
    def access_log_uri(self) -> str:
        """Where the load balancer's log arrives."""
        return f"s3://{self.access_log_bucket}/{self.access_log_prefix}".rstrip("/")

    def environment(self, outside: Mapping[str, str]) -> dict[str, str]:
        """What a run adds to the environment; what is set there already stays."""
        ours = {
            "AWS_REGION": self.region,
            "AWS_DEFAULT_REGION": self.region,
            "AWS_PROFILE": self.aws_profile,
            "DATABASE_URL": self.database_url,
        }
        has_keys = bool(outside.get("AWS_ACCESS_KEY_ID"))
        return {
            name: value
            for name, value in ours.items()
            # An account's keys in the environment go before a profile.
            if value
            and not (name == "AWS_PROFILE" and has_keys)
            and (name.endswith("REGION") or not outside.get(name))
        }

    def arguments(self) -> list[str]:
        """Locust's arguments for it: what is watched, what is hit, and whose it has to be."""
        return [
            *("--target-group", self.target_group_arn),
            *("--expect-account", self.account_id),
            *("--guard-tag", f"{TARGET_TAG}={self.target_tags[TARGET_TAG]}"),
        ]
