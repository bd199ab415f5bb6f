# Who may talk to whom: allowed addresses to the ALB, the ALB to the servers, the servers to Aurora.

resource "aws_security_group" "alb" {
  name        = "${var.name}-alb"
  description = "The load balancer: from allowed addresses, to the servers"
  vpc_id      = aws_vpc.main.id
  tags        = { Name = "${var.name}-alb" }
}

resource "aws_security_group" "servers" {
  name        = "${var.name}-servers"
  description = "The servers: from the load balancer, to Aurora and AWS"
  vpc_id      = aws_vpc.main.id
  tags        = { Name = "${var.name}-servers" }
}

resource "aws_security_group" "database" {
  name        = "${var.name}-aurora"
  description = "Aurora: from the servers, to nobody"
  vpc_id      = aws_vpc.main.id
  tags        = { Name = "${var.name}-aurora" }
}

resource "aws_vpc_security_group_ingress_rule" "alb_from_allowed" {
  #checkov:skip=CKV_AWS_260:variables.tf refuses the world unless is_open_to_the_world says so
  for_each          = toset(var.allowed_cidrs)
  security_group_id = aws_security_group.alb.id
  description       = "HTTP from ${each.value}"
  cidr_ipv4         = each.value
  ip_protocol       = "tcp"
  from_port         = 80
  to_port           = 80
}

# Whoever asks for the ALB by name from within the VPC comes out of a NAT gateway.
resource "aws_vpc_security_group_ingress_rule" "alb_from_fleet" {
  count             = var.fleet_workers > 0 ? 2 : 0
  security_group_id = aws_security_group.alb.id
  description       = "HTTP from the load fleet, through its NAT gateway"
  cidr_ipv4         = "${aws_eip.nat[count.index].public_ip}/32"
  ip_protocol       = "tcp"
  from_port         = 80
  to_port           = 80
}

resource "aws_vpc_security_group_egress_rule" "alb_to_servers" {
  security_group_id            = aws_security_group.alb.id
  description                  = "HTTP and health checks to the servers"
  referenced_security_group_id = aws_security_group.servers.id
  ip_protocol                  = "tcp"
  from_port                    = 80
  to_port                      = 80
}

resource "aws_vpc_security_group_ingress_rule" "servers_from_alb" {
  #checkov:skip=CKV_AWS_260:It names the load balancer's security group, and no addresses
  security_group_id            = aws_security_group.servers.id
  description                  = "HTTP from the load balancer"
  referenced_security_group_id = aws_security_group.alb.id
  ip_protocol                  = "tcp"
  from_port                    = 80
  to_port                      = 80
}

resource "aws_vpc_security_group_egress_rule" "servers_to_database" {
  security_group_id            = aws_security_group.servers.id
  description                  = "PostgreSQL to Aurora"
  referenced_security_group_id = aws_security_group.database.id
  ip_protocol                  = "tcp"
  from_port                    = 5432
  to_port                      = 5432
}

# S3, Secrets Manager, Systems Manager, packages of Python: all of them HTTPS.
resource "aws_vpc_security_group_egress_rule" "servers_to_aws" {
  security_group_id = aws_security_group.servers.id
  description       = "HTTPS to AWS and to the packages"
  cidr_ipv4         = "0.0.0.0/0"
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
}

resource "aws_vpc_security_group_ingress_rule" "database_from_servers" {
  security_group_id            = aws_security_group.database.id
  description                  = "PostgreSQL from the servers"
  referenced_security_group_id = aws_security_group.servers.id
  ip_protocol                  = "tcp"
  from_port                    = 5432
  to_port                      = 5432
}
