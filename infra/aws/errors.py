"""What can go wrong on the way to AWS.

AwsError
├── PackError         something that the servers need is not in the clone
└── TerraformMissing  neither Terraform nor OpenTofu is installed
"""

from __future__ import annotations


class AwsError(Exception):
    """One line that says what is wrong, where, and what to do."""


class PackError(AwsError):
    """Something that the servers need is not in the clone."""


class TerraformMissing(AwsError):
    """Neither Terraform nor OpenTofu is installed."""
