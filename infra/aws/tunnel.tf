# A small instance through which Systems Manager forwards a local port to Aurora. It has no open
# port and no key, and it carries no target tag: FIS cannot stop it.

resource "aws_security_group" "tunnel" {
  count       = var.has_tunnel ? 1 : 0
  name        = "${var.name}-tunnel"
  description = "The tunnel: from nobody, to Aurora and Systems Manager"
  vpc_id      = aws_vpc.main.id
  tags        = { Name = "${var.name}-tunnel" }
}

resource "aws_vpc_security_group_egress_rule" "tunnel_to_database" {
  count                        = var.has_tunnel ? 1 : 0
  security_group_id            = aws_security_group.tunnel[0].id
  description                  = "PostgreSQL to Aurora"
  referenced_security_group_id = aws_security_group.database.id
  ip_protocol                  = "tcp"
  from_port                    = 5432
  to_port                      = 5432
}

resource "aws_vpc_security_group_egress_rule" "tunnel_to_aws" {
  count             = var.has_tunnel ? 1 : 0
  security_group_id = aws_security_group.tunnel[0].id
  description       = "HTTPS to Systems Manager"
  cidr_ipv4         = "0.0.0.0/0"
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
}

resource "aws_vpc_security_group_ingress_rule" "database_from_tunnel" {
  count                        = var.has_tunnel ? 1 : 0
  security_group_id            = aws_security_group.database.id
  description                  = "PostgreSQL from the tunnel"
  referenced_security_group_id = aws_security_group.tunnel[0].id
  ip_protocol                  = "tcp"
  from_port                    = 5432
  to_port                      = 5432
}

resource "aws_iam_role" "tunnel" {
  count              = var.has_tunnel ? 1 : 0
  name               = "${var.name}-tunnel"
  description        = "The tunnel to Aurora"
  assume_role_policy = local.only_ec2
}

resource "aws_iam_role_policy_attachment" "tunnel_ssm" {
  count      = var.has_tunnel ? 1 : 0
  role       = aws_iam_role.tunnel[0].name
  policy_arn = "arn:aws:iam::aws:policy/AmazonSSMManagedInstanceCore"
}

resource "aws_iam_instance_profile" "tunnel" {
  count = var.has_tunnel ? 1 : 0
  name  = "${var.name}-tunnel"
  role  = aws_iam_role.tunnel[0].name
}

resource "aws_instance" "tunnel" {
  #checkov:skip=CKV_AWS_126:It only forwards bytes; nobody looks at its figures
  #checkov:skip=CKV_AWS_135:Optimised for EBS it is by its type; it hardly touches its disk
  count                  = var.has_tunnel ? 1 : 0
  ami                    = data.aws_ssm_parameter.image.insecure_value
  instance_type          = "t3.nano"
  subnet_id              = aws_subnet.private[0].id
  vpc_security_group_ids = [aws_security_group.tunnel[0].id]
  iam_instance_profile   = aws_iam_instance_profile.tunnel[0].name
  tags                   = { Name = "${var.name}-tunnel" }
  volume_tags            = { Name = "${var.name}-tunnel", Project = var.name }

  metadata_options {
    http_endpoint               = "enabled"
    http_tokens                 = "required"
    http_put_response_hop_limit = 1
  }

  root_block_device {
    encrypted = true
  }

  lifecycle {
    ignore_changes = [ami] # a newer image is no reason to cut somebody's tunnel
  }

  depends_on = [aws_route.through_nat]
}
