"""Where the shop runs: `infra.lab` on one machine, `infra/aws` on AWS."""
