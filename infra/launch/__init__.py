"""Behind `make chaos-load`, `make web` and `make fis-stop`: raise what is needed, run Locust.

May import `infra.lab` and `infra.aws`; neither imports it. Locust and the analysis are reached
as commands.
"""
