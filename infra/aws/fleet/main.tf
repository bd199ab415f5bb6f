locals {
  settings = {
    LOAD_HOST         = var.host
    LOAD_WORKERS      = var.workers
    LOAD_FIS_TEMPLATE = var.fis_template_id
    LOAD_EVIDENCE_URI = "s3://${var.evidence.bucket}"
  }
  archive = "s3://${var.archive.bucket}/${var.archive.key}"
}

resource "aws_instance" "master" {
  #checkov:skip=CKV_AWS_126:Locust counts its own CPU, and says when it is too little
  #checkov:skip=CKV_AWS_135:Optimised for EBS it is by its type
  ami                         = var.image_id
  instance_type               = var.instance_type
  subnet_id                   = var.subnet_ids[0]
  vpc_security_group_ids      = [aws_security_group.master.id]
  iam_instance_profile        = aws_iam_instance_profile.fleet["master"].name
  user_data_replace_on_change = true
  tags                        = { Name = "${var.name}-master" }
  volume_tags                 = { Name = "${var.name}-master", Project = var.project }

  user_data_base64 = base64encode(templatefile("${path.module}/../boot/user_data.sh.tftpl", {
    region  = var.region
    archive = local.archive
    sha256  = var.archive.sha256
    role    = "load-master"
    settings = merge(local.settings, {
      DB_ENDPOINT   = var.database.endpoint
      DB_PORT       = var.database.port
      DB_NAME       = var.database.name
      DB_SECRET_ARN = var.database.secret_arn
    })
  }))

  metadata_options {
    http_endpoint               = "enabled"
    http_tokens                 = "required"
    http_put_response_hop_limit = 1
  }

  root_block_device {
    encrypted   = true
    volume_type = "gp3"
    volume_size = 50
  }

  depends_on = [aws_iam_role_policy.fleet]
}

resource "aws_instance" "worker" {
  #checkov:skip=CKV_AWS_126:Locust counts its own CPU, and says when it is too little
  #checkov:skip=CKV_AWS_135:Optimised for EBS it is by its type
  count                       = var.workers
  ami                         = var.image_id
  instance_type               = var.instance_type
  subnet_id                   = var.subnet_ids[count.index % length(var.subnet_ids)]
  vpc_security_group_ids      = [aws_security_group.worker.id]
  iam_instance_profile        = aws_iam_instance_profile.fleet["worker"].name
  user_data_replace_on_change = true
  tags                        = { Name = "${var.name}-worker-${count.index + 1}" }
  volume_tags                 = { Name = "${var.name}-worker", Project = var.project }

  user_data_base64 = base64encode(templatefile("${path.module}/../boot/user_data.sh.tftpl", {
    region   = var.region
    archive  = local.archive
    sha256   = var.archive.sha256
    role     = "load-worker"
    settings = merge(local.settings, { LOAD_MASTER = aws_instance.master.private_ip })
  }))

  metadata_options {
    http_endpoint               = "enabled"
    http_tokens                 = "required"
    http_put_response_hop_limit = 1
  }

  root_block_device {
    encrypted   = true
    volume_type = "gp3"
    volume_size = 50
  }

  depends_on = [aws_iam_role_policy.fleet]
}

output "master_instance_id" {
  description = "Whose web UI, on its port 8089, Systems Manager reaches."
  value       = aws_instance.master.id
}

output "master_security_group_id" {
  description = "Of the master."
  value       = aws_security_group.master.id
}
