# A private bucket: encrypted, nobody's without TLS, and not emptied by Terraform.

variable "name" {
  description = "Of the bucket."
  type        = string
}

variable "days" {
  description = "How long its objects are kept, in days; null for ever."
  type        = number
}

variable "statements" {
  description = "Of its policy, beside the one that wants TLS."
  type        = any
  default     = []
}

resource "aws_s3_bucket" "this" {
  #checkov:skip=CKV_AWS_18:A log of who reads a lab's logs would need a log of its own
  #checkov:skip=CKV_AWS_21:Objects are written once, under names that do not come again
  #checkov:skip=CKV_AWS_144:What a lab keeps needs no second Region
  #checkov:skip=CKV_AWS_145:Encrypted with S3's own key, the only one that an ALB writes with; none of it is secret
  #checkov:skip=CKV2_AWS_62:Nobody waits for news of it
  bucket = var.name
}

resource "aws_s3_bucket_public_access_block" "this" {
  bucket                  = aws_s3_bucket.this.id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_server_side_encryption_configuration" "this" {
  bucket = aws_s3_bucket.this.id

  rule {
    apply_server_side_encryption_by_default {
      sse_algorithm = "AES256"
    }
  }
}

resource "aws_s3_bucket_lifecycle_configuration" "this" {
  bucket = aws_s3_bucket.this.id

  rule {
    id     = "unfinished-uploads-and-old-objects"
    status = "Enabled"

    filter {}

    abort_incomplete_multipart_upload {
      days_after_initiation = 1
    }

    dynamic "expiration" {
      for_each = var.days == null ? [] : [var.days]

      content {
        days = expiration.value
      }
    }
  }
}

resource "aws_s3_bucket_policy" "this" {
  bucket = aws_s3_bucket.this.id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat(
      [{
        Sid       = "OnlyWithTLS"
        Effect    = "Deny"
        Principal = "*"
        Action    = "s3:*"
        Resource  = [aws_s3_bucket.this.arn, "${aws_s3_bucket.this.arn}/*"]
        Condition = { Bool = { "aws:SecureTransport" = "false" } }
      }],
      var.statements,
    )
  })

  # S3 takes one change of a bucket's access at a time.
  depends_on = [aws_s3_bucket_public_access_block.this]
}

output "name" {
  description = "Of the bucket, once its policy is there."
  value       = aws_s3_bucket.this.id
  depends_on  = [aws_s3_bucket_policy.this]
}

output "arn" {
  description = "Of the bucket."
  value       = aws_s3_bucket.this.arn
}
