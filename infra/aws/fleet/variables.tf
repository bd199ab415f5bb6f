variable "name" {
  description = "What the fleet's names begin with."
  type        = string
}

variable "project" {
  description = "Value of the tag Project."
  type        = string
}

variable "workers" {
  description = "How many instances with a Locust worker for each core, beside the master's."
  type        = number
}

variable "instance_type" {
  description = "Of all of them; x86-64."
  type        = string
}

variable "image_id" {
  description = "Amazon Linux 2023."
  type        = string
}

variable "vpc_id" {
  description = "Where they are."
  type        = string
}

variable "subnet_ids" {
  description = "Private ones, with a way to the internet. The master is in the first."
  type        = list(string)
}

variable "region" {
  description = "Where they are."
  type        = string
}

variable "archive" {
  description = "The packed load generator, and its checksum."
  type        = object({ bucket = string, key = string, sha256 = string })
}

variable "evidence" {
  description = "The bucket that ledgers and runs go to."
  type        = object({ bucket = string, arn = string })
}

variable "database" {
  description = "Where the master reads the orders table."
  type = object({
    endpoint          = string
    port              = number
    name              = string
    secret_arn        = string
    security_group_id = string
  })
}

variable "host" {
  description = "The load balancer, as http://..."
  type        = string
}

variable "fis_template_id" {
  description = "The experiment that the master starts."
  type        = string
}

variable "run_policy_arn" {
  description = "What the master may ask of AWS."
  type        = string
}
