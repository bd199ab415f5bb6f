"""The AWS account: moto's server, what Terraform would have made in it, and calls that act.

Imports the parts that its calls act on: `servers`, `balancer`, `database`, `fis`.
"""
