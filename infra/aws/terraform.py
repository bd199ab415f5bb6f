"""Where the configuration is, and the program that reads it."""

import shutil
from pathlib import Path

from infra.aws.errors import TerraformMissing

HERE = Path(__file__).resolve().parent


def terraform() -> str:
    """Path of Terraform, or of OpenTofu where that is what there is; TerraformMissing."""
    found = shutil.which("terraform") or shutil.which("tofu")
    if found is None:
        raise TerraformMissing(
            "neither terraform nor tofu is installed: get Terraform 1.9 or later from "
            "https://developer.hashicorp.com/terraform/install and try again"
        )
    return found
