terraform {
  required_version = ">= 1.9"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 6.60, < 7.0"
    }
  }
}

provider "aws" {
  region              = var.region
  profile             = var.aws_profile
  allowed_account_ids = var.account_id == null ? null : [var.account_id]

  # They do not reach what an Auto Scaling group launches: see the launch template's own tags.
  default_tags {
    tags = { Project = var.name }
  }
}

data "aws_caller_identity" "current" {}

data "aws_availability_zones" "available" {
  #checkov:skip=CKV_AWS_394:The first two are taken, however many there are
  state = "available"

  # Local Zones and the like have neither Aurora nor NAT gateways.
  filter {
    name   = "opt-in-status"
    values = ["opt-in-not-required"]
  }
}

locals {
  account_id = data.aws_caller_identity.current.account_id
  zones      = slice(data.aws_availability_zones.available.names, 0, 2)

  # FIS may stop what carries all of these, and its template looks for the same. The second one
  # keeps two labs in one account apart.
  target_tags = { ChaosTarget = "true", Project = var.name }
}
