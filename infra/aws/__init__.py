"""The architecture on AWS: Terraform beside this file, and what packs the shop for it."""
