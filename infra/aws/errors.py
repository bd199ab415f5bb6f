"""What can go wrong on the way to AWS.

AwsError
├── PackError         something that the servers need is not in the clone
├── TerraformMissing  neither Terraform nor OpenTofu is installed
├── NoStack           Terraform's outputs cannot be had, or lack something
├── NotFit            the account is not in a state for a fault, or cannot be asked
└── NoTunnel          there is nothing to go through, or no program that could
"""


class AwsError(Exception):
    """One line that says what is wrong, where, and what to do."""


class PackError(AwsError):
    """Something that the servers need is not in the clone."""


class TerraformMissing(AwsError):
    """Neither Terraform nor OpenTofu is installed."""
