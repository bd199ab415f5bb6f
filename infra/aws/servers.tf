data "aws_ssm_parameter" "image" {
  name = "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64"
}

resource "aws_launch_template" "server" {
  name                   = "${var.name}-server"
  image_id               = data.aws_ssm_parameter.image.insecure_value
  instance_type          = var.instance_type
  vpc_security_group_ids = [aws_security_group.servers.id]
  update_default_version = true

  user_data = base64encode(templatefile("${path.module}/boot/user_data.sh.tftpl", {
    region  = var.region
    archive = "s3://${aws_s3_object.shop.bucket}/${aws_s3_object.shop.key}"
    sha256  = filesha256(var.shop_archive)
    role    = "shop"
    settings = {
      DB_ENDPOINT       = aws_rds_cluster.main.endpoint
      DB_PORT           = aws_rds_cluster.main.port
      DB_NAME           = aws_rds_cluster.main.database_name
      DB_SECRET_ARN     = local.secret_arn
      SHOP_WORKERS      = var.shop_workers
      SHOP_STOCK_FACTOR = var.stock_factor
    }
  }))

  iam_instance_profile {
    arn = aws_iam_instance_profile.server.arn
  }

  metadata_options {
    http_endpoint               = "enabled"
    http_tokens                 = "required"
    http_put_response_hop_limit = 1
  }

  block_device_mappings {
    device_name = "/dev/xvda"

    ebs {
      volume_size           = 8
      volume_type           = "gp3"
      encrypted             = true
      delete_on_termination = true
    }
  }

  monitoring {
    enabled = true
  }

  tag_specifications {
    resource_type = "volume"
    tags          = { Name = "${var.name}-server", Project = var.name }
  }
}

resource "aws_autoscaling_group" "servers" {
  name                      = "${var.name}-asg"
  min_size                  = 2
  max_size                  = 4
  desired_capacity          = 2
  vpc_zone_identifier       = aws_subnet.private[*].id
  target_group_arns         = [aws_lb_target_group.shop.arn]
  health_check_type         = "ELB"
  health_check_grace_period = 120
  wait_for_elb_capacity     = 2
  wait_for_capacity_timeout = "15m"

  launch_template {
    id      = aws_launch_template.server.id
    version = aws_launch_template.server.latest_version
  }

  dynamic "tag" {
    for_each = merge({ Name = "${var.name}-server" }, local.target_tags)

    content {
      key                 = tag.key
      value               = tag.value
      propagate_at_launch = true
    }
  }

  # Whoever boots has to find the tables' database and a way out.
  depends_on = [
    aws_rds_cluster_instance.writer,
    aws_route.through_nat,
    aws_iam_role_policy.server,
    aws_lb_listener.http,
  ]
}
