# Workers talk to the master, the master to Aurora, both to the load balancer and AWS; nobody to them.

resource "aws_security_group" "master" {
  name        = "${var.name}-master"
  description = "The load fleet's master: from its workers"
  vpc_id      = var.vpc_id
  tags        = { Name = "${var.name}-master" }
}

resource "aws_security_group" "worker" {
  name        = "${var.name}-worker"
  description = "The load fleet's workers: from nobody"
  vpc_id      = var.vpc_id
  tags        = { Name = "${var.name}-worker" }
}

resource "aws_vpc_security_group_ingress_rule" "master_from_workers" {
  security_group_id            = aws_security_group.master.id
  description                  = "Locust's own wire, which knows no passwords"
  referenced_security_group_id = aws_security_group.worker.id
  ip_protocol                  = "tcp"
  from_port                    = 5557
  to_port                      = 5557
}

resource "aws_vpc_security_group_egress_rule" "workers_to_master" {
  security_group_id            = aws_security_group.worker.id
  description                  = "Locust's own wire"
  referenced_security_group_id = aws_security_group.master.id
  ip_protocol                  = "tcp"
  from_port                    = 5557
  to_port                      = 5557
}

resource "aws_vpc_security_group_egress_rule" "master_to_database" {
  security_group_id            = aws_security_group.master.id
  description                  = "PostgreSQL to Aurora"
  referenced_security_group_id = var.database.security_group_id
  ip_protocol                  = "tcp"
  from_port                    = 5432
  to_port                      = 5432
}

resource "aws_vpc_security_group_egress_rule" "out" {
  for_each = {
    for pair in setproduct(["master", "worker"], [80, 443]) : "${pair[0]}-${pair[1]}" => pair
  }
  security_group_id = each.value[0] == "master" ? aws_security_group.master.id : aws_security_group.worker.id
  description       = each.value[1] == 80 ? "Orders to the load balancer" : "HTTPS to AWS and to the packages"
  cidr_ipv4         = "0.0.0.0/0"
  ip_protocol       = "tcp"
  from_port         = each.value[1]
  to_port           = each.value[1]
}

resource "aws_iam_role" "fleet" {
  for_each    = toset(["master", "worker"])
  name        = "${var.name}-${each.key}"
  description = "The load fleet's ${each.key}"

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { Service = "ec2.amazonaws.com" }
    }]
  })
}

resource "aws_iam_instance_profile" "fleet" {
  for_each = aws_iam_role.fleet
  name     = each.value.name
  role     = each.value.name
}

resource "aws_iam_role_policy_attachment" "ssm" {
  for_each   = aws_iam_role.fleet
  role       = each.value.name
  policy_arn = "arn:aws:iam::aws:policy/AmazonSSMManagedInstanceCore"
}

resource "aws_iam_role_policy_attachment" "run" {
  role       = aws_iam_role.fleet["master"].name
  policy_arn = var.run_policy_arn
}

resource "aws_iam_role_policy" "fleet" {
  for_each = aws_iam_role.fleet
  name     = "fetch-load-and-keep-evidence"
  role     = each.value.id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Effect   = "Allow"
        Action   = ["s3:GetObject"]
        Resource = ["arn:aws:s3:::${var.archive.bucket}/${var.archive.key}"]
      },
      {
        Effect   = "Allow"
        Action   = ["s3:ListBucket"]
        Resource = [var.evidence.arn]
      },
      {
        Effect   = "Allow"
        Action   = ["s3:GetObject", "s3:PutObject"]
        Resource = ["${var.evidence.arn}/*"]
      },
    ]
  })
}
