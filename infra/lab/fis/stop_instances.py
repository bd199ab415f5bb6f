"""`aws:ec2:stop-instances`: servers leave in good order, then are off."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from infra.lab.fis.action import Servers, registers

_OFF = frozenset({"stopped", "terminated"})


@registers("aws:ec2:stop-instances")
class StopInstances:
    """Done when every target is off. FIS starts them again only if the template says so."""

    def __init__(
        self,
        servers: Servers,
        targets: Mapping[str, Sequence[str]],
        parameters: Mapping[str, str],  # noqa: ARG002  (none are honoured yet)
    ) -> None:
        self._servers = servers
        self._instance_ids = list(targets.get("Instances", ()))

    def inject(self) -> None:
        """Stop each."""
        for instance_id in self._instance_ids:
            self._servers.stop(instance_id)

    def is_done(self) -> bool:
        """Whether all are off."""
        return all(self._servers.state_of(each) in _OFF for each in self._instance_ids)

    def heal(self) -> None:
        """Nothing: FIS leaves stopped instances stopped."""
