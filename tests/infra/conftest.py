"""What is tested against moto here has it start as the lab does."""

from infra.lab.cloud.moto_speedup import hasten_moto

hasten_moto()
