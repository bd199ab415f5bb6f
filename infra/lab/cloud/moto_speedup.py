"""Has moto start in half the time: what it reads once too often, or for nobody, it reads no more.

To be called before anything of moto's services is imported.
"""

import gc
from functools import cache
from typing import Any

from infra.lab.cloud.names import REGION


@cache
def hasten_moto() -> None:
    """Have it read each model once, only the lab's Region's offers, and no images for ECS."""
    # Nearly all that is made out of JSON stays: to look for rubbish in it is for nothing.
    gc.set_threshold(100_000)

    from botocore import loaders  # noqa: PLC0415

    # Each of moto's many sessions would parse the same megabytes of JSON anew.
    loaders.create_loader = cache(loaders.create_loader)

    from moto.core import utils as core  # noqa: PLC0415
    from moto.utilities import utils as files  # noqa: PLC0415

    # And each of its services would search the folders of all the others.
    core.create_loader = cache(core.create_loader)  # type: ignore[attr-defined]  # imported there
    read_all = files.load_resource

    def read(resource: str) -> Any:
        is_elsewhere = "/instance_type_offerings/" in resource and f"/{REGION}." not in resource
        # The lab has no ECS; of each of its 1,200 images moto would make a volume and a snapshot.
        is_for_ecs = "/ecs/optimized_amis/" in resource
        return [] if is_elsewhere or is_for_ecs else read_all(resource)

    files.load_resource = read
