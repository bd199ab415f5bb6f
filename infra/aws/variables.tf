variable "aws_profile" {
  description = "Profile of the AWS CLI to use. Default: whatever the environment says."
  type        = string
  default     = null
}

variable "region" {
  description = "Region in which all of it is made."
  type        = string
  default     = "us-east-1"

  validation {
    condition     = can(regex("^[a-z]{2}(-[a-z]+)+-[0-9]$", var.region))
    error_message = "region must be a Region's code, such as us-east-1."
  }
}

variable "account_id" {
  description = "Refuse to touch any other account than this one. Default: the profile's, whichever it is."
  type        = string
  default     = null

  validation {
    condition     = var.account_id == null || can(regex("^[0-9]{12}$", var.account_id))
    error_message = "account_id must be twelve digits."
  }
}

variable "name" {
  description = "What every name begins with, and the tag Project of everything. One lab per name."
  type        = string
  default     = "chaos-lab"

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,14}[a-z0-9]$", var.name))
    error_message = "name must have 3 to 16 lower-case letters, digits and dashes, and begin with a letter: load balancers and buckets allow no more."
  }
}

variable "vpc_cidr" {
  description = "Addresses of the VPC, a /16. Its subnets are /24s of it."
  type        = string
  default     = "10.0.0.0/16"

  validation {
    condition     = can(cidrhost(var.vpc_cidr, 0)) && endswith(var.vpc_cidr, "/16")
    error_message = "vpc_cidr must be a /16, such as 10.0.0.0/16."
  }
}

variable "allowed_cidrs" {
  description = "Who may reach the load balancer. `make aws-plan` and `aws-up` fill in the address they are called from."
  type        = list(string)

  validation {
    condition     = length(var.allowed_cidrs) > 0 && alltrue([for each in var.allowed_cidrs : can(cidrnetmask(each))])
    error_message = "allowed_cidrs must list IPv4 addresses as CIDR blocks, such as [\"192.0.2.7/32\"]: the load balancer has no others."
  }
  validation {
    condition     = var.is_open_to_the_world || alltrue([for each in var.allowed_cidrs : try(tonumber(split("/", each)[1]), 32) >= 8])
    error_message = "allowed_cidrs names more than a /8: that is the world. Set is_open_to_the_world = true if you mean it."
  }
}

variable "is_open_to_the_world" {
  description = "Allows allowed_cidrs to be the whole internet, as in the article. The shop has no login."
  type        = bool
  default     = false
}

variable "instance_type" {
  description = "Of the shop's servers; x86-64."
  type        = string
  default     = "t3.micro"

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]*\\.[a-z0-9]+$", var.instance_type)) && !can(regex("^[a-z]+[0-9]+[a-z]*g[a-z]*\\.", var.instance_type))
    error_message = "instance_type must be an x86-64 type, such as t3.micro: the image is one for x86-64."
  }
}

variable "shop_workers" {
  description = "gunicorn's processes per server, as SHOP_WORKERS."
  type        = number
  default     = 4

  validation {
    condition     = var.shop_workers >= 1 && var.shop_workers <= 256 && floor(var.shop_workers) == var.shop_workers
    error_message = "shop_workers must be a whole number from 1 to 256."
  }
}

variable "stock_factor" {
  description = "Multiplies the article's stock when the tables are first filled: 840 pieces are gone in seconds under load."
  type        = number
  default     = 100

  validation {
    condition     = var.stock_factor >= 1 && var.stock_factor <= 1000000 && floor(var.stock_factor) == var.stock_factor
    error_message = "stock_factor must be a whole number from 1 to 1000000."
  }
}

variable "shop_archive" {
  description = "The packed shop, as `python -m infra.aws pack` writes it; its folder has load.tar.gz, too."
  type        = string
  default     = "../../build/aws/shop.tar.gz"
}

variable "aurora_version" {
  description = "Version of Aurora PostgreSQL. Of a major one alone, AWS takes the minor one that it prefers."
  type        = string
  default     = "17"

  validation {
    condition     = can(regex("^1[5-9](\\.[0-9]+)?$", var.aurora_version))
    error_message = "aurora_version must be of PostgreSQL 15 or later, such as 17 or 17.5."
  }
}

variable "aurora_capacity" {
  description = "Aurora Serverless v2's least and greatest capacity, in ACU of 2 GiB each."
  type        = object({ min = number, max = number })
  default     = { min = 0.5, max = 4 }

  validation {
    # 0 would pause it, and the first orders of a run would wait for it to wake up.
    condition     = var.aurora_capacity.min >= 0.5 && var.aurora_capacity.max >= var.aurora_capacity.min && var.aurora_capacity.max <= 256
    error_message = "aurora_capacity must be from 0.5 to 256 ACU, and max no less than min."
  }
}

variable "stops_on_alarms" {
  description = "Whether FIS aborts the experiment when an alarm of alarms.tf fires. Off: its 5XX are what a run is to see."
  type        = bool
  default     = false
}

variable "has_tunnel" {
  description = "Whether to make a small instance through which Systems Manager reaches the database."
  type        = bool
  default     = true
}

variable "fleet_workers" {
  description = "Locust workers of the load fleet, on instances of their own. 0: no fleet."
  type        = number
  default     = 0

  validation {
    condition     = var.fleet_workers >= 0 && var.fleet_workers <= 100 && floor(var.fleet_workers) == var.fleet_workers
    error_message = "fleet_workers must be a whole number from 0 to 100."
  }
}

variable "fleet_instance_type" {
  description = "Of the fleet's master and workers; x86-64. A Locust process uses one core."
  type        = string
  default     = "c7i.large"

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]*\\.[a-z0-9]+$", var.fleet_instance_type)) && !can(regex("^[a-z]+[0-9]+[a-z]*g[a-z]*\\.", var.fleet_instance_type))
    error_message = "fleet_instance_type must be an x86-64 type, such as c7i.large: the image is one for x86-64."
  }
}

variable "log_days" {
  description = "How long logs and evidence are kept, in days."
  type        = number
  default     = 30

  validation {
    condition     = contains([1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365], var.log_days)
    error_message = "log_days must be one that CloudWatch knows: 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180 or 365."
  }
}
