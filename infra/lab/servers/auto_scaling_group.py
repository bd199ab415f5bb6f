"""The Auto Scaling group, made live: it keeps the number of servers, and replaces bad ones."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from moto.autoscaling.models import Activity, InstanceState
from moto.ec2.models.instances import StateReason

from infra.lab.balancer.target_health import TargetHealth
from infra.lab.cloud.moto_server import backend
from infra.lab.cloud.names import GROUP
from infra.lab.errors import LabBusy
from infra.lab.processes.ports import is_listening
from infra.lab.processes.process_group import ProcessGroup
from infra.lab.servers.addresses import Network
from infra.lab.servers.machine import Machine, MachineState, Place
from infra.lab.settings import LabSettings

log = logging.getLogger(__name__)

# A server that has never answered is stuck, and not slow, after so many times the slowest boot.
_BOOTS = 10
_BOOT_LIMIT_S = 300.0

_COUNTED = frozenset({"Pending", "InService"})  # of a member's states
_CODES = {
    MachineState.PENDING: 0,
    MachineState.RUNNING: 16,
    MachineState.SHUTTING_DOWN: 32,
    MachineState.TERMINATED: 48,
    MachineState.STOPPING: 64,
    MachineState.STOPPED: 80,
}


class AutoScalingGroup:
    """All machines of the lab, and the group's decisions about them."""

    def __init__(
        self,
        *,
        settings: LabSettings,
        network: Network,
        health: TargetHealth,
        serve: Callable[[Place], ProcessGroup],
        now: Callable[[], float],
    ) -> None:
        self._settings = settings
        self._network = network
        self._health = health
        self._serve = serve
        self._now = now
        self._unfinished: dict[str, Activity] = {}
        self._in_service_at: dict[str, float] = {}
        self._has_booted: set[str] = set()
        # Who is unhealthy: why, and from when on it may be replaced for that.
        self._unhealthy: dict[str, tuple[str, float]] = {}
        self._joined: set[str] = set()
        self._slowest_boot_s = 0.0
        self._next_decision = 0.0
        # Whether all servers have been healthy at one time, as a run finds them.
        self.is_up = False
        self.machines: dict[str, Machine] = {}
        self.activities: list[Activity] = []

    @property
    def _record(self) -> Any:
        """Moto's record of the group; None where a user has deleted it."""
        return backend("autoscaling").autoscaling_groups.get(GROUP)

    @property
    def _members(self) -> list[InstanceState]:
        """The group's instances that count: not in standby, not leaving, not a user's own.

        (No machine stands for a user's own.)
        """
        states = [] if self._record is None else self._record.instance_states
        return [
            each
            for each in states
            if each.instance.id in self.machines and each.lifecycle_state in _COUNTED
        ]

    @property
    def _suspended(self) -> set[str]:
        """The processes that a user has suspended."""
        return {each["ProcessName"] for each in self._record.suspended_processes}

    @property
    def _grace_s(self) -> float:
        """As it is set, which AWS knows in whole seconds, unless a user has changed it."""
        known, set_s = self._record.health_check_grace_period, self._settings.health_check_grace_s
        return set_s if known == round(set_s) else float(known)

    def tick(self) -> None:
        """Let machines live, and from time to time take stock."""
        now = self._now()
        for machine in list(self.machines.values()):
            machine.tick()
        self._register_new(now)
        self._note_boots(now)
        self._deregister_old(now)
        self._health.note_not_running(
            {name: each.state for name, each in self.machines.items() if each.is_known_off}
        )
        if self._record is None:
            for machine in self.machines.values():
                machine.terminate()
        elif now >= self._next_decision:
            self._next_decision = now + self._settings.scaling_interval_s
            self._take_stock(now)

    def progress(self) -> tuple[int, int]:
        """How many servers are in service and how many have answered: neither ever falls."""
        return len(self._in_service_at), len(self._has_booted)

    def set_health(self, instance_id: str, *, is_healthy: bool, respects_grace: bool) -> bool:
        """Take a user's word for it, from the end of the grace period on or at once.

        False where it is no member.
        """
        member = next((each for each in self._members if each.instance.id == instance_id), None)
        if member is None:
            return False
        self._unhealthy.pop(instance_id, None)
        if not is_healthy:
            since = self._in_service_at.get(instance_id, self._now())
            at = since + (self._grace_s if respects_grace else 0.0)
            self._unhealthy[instance_id] = "a user health-check", at
        member.health_status = "Healthy" if is_healthy else "Unhealthy"
        return True

    def note_all(self, activities: Sequence[Activity]) -> None:
        """Add a user's activities, which are over, to the group's own."""
        for activity in activities:
            _end(activity, "Successful")
            self.activities.insert(0, activity)

    def ended(self) -> list[str]:
        """Ids of the machines whose server has ended by itself."""
        return [each.place.instance_id for each in self.machines.values() if each.has_lost_server]

    def close(self) -> None:
        """End every server."""
        for machine in self.machines.values():
            machine.close()

    # The group's own decisions.

    def _take_stock(self, now: float) -> None:
        suspended = self._suspended
        # Nothing is replaced before the lab is up: who is late is slow, and so would be the next.
        if self.is_up:
            if "HealthCheck" not in suspended:
                self._find_unhealthy(now)
            if not suspended & {"ReplaceUnhealthy", "Terminate"}:
                self._take_out_unhealthy(now)
        # A member counts until it has been found bad, whatever has become of it meanwhile.
        members = self._members
        record = self._record
        wanted = min(max(record.desired_capacity, record.min_size), record.max_size)
        for _ in range(0 if "Launch" in suspended else wanted - len(members)):
            self._launch()
        for size in range(len(members), wanted, -1):
            oldest = self._oldest_of_fullest_zone()
            if oldest is None or "Terminate" in suspended:
                break
            self._take_out(
                oldest,
                "in response to a difference between desired and actual capacity, "
                f"shrinking the capacity from {size} to {size - 1}",
                now,
            )

    def _find_unhealthy(self, now: float) -> None:
        for member in self._members:
            instance_id = member.instance.id
            cause = self._why_bad(instance_id, now)
            # What a user said may count later only, from the end of the grace period on.
            if cause is not None and self._unhealthy.get(instance_id, ("", now))[1] >= now:
                self._unhealthy[instance_id] = cause, now
                member.health_status = "Unhealthy"

    def _take_out_unhealthy(self, now: float) -> None:
        for member in self._members:
            cause, since = self._unhealthy.get(member.instance.id, ("", now))
            if cause and now >= since:
                self._take_out(member, f"in response to {cause}", now)

    def _why_bad(self, instance_id: str, now: float) -> str | None:
        # EC2's word needs no limit and knows no grace period.
        if self.machines[instance_id].is_known_off:
            return "an EC2 health check indicating it has been terminated or stopped"
        counts = "ELB" in self._record.health_check_type
        unhealthy_s = self._health.unhealthy_for_s(instance_id, now) if counts else 0.0
        if unhealthy_s >= self._settings.unhealthy_limit_s and unhealthy_s:
            is_in_grace = self._is_in_grace(instance_id, now)
            return None if is_in_grace else "an ELB system health check failure"
        return None

    def _is_in_grace(self, instance_id: str, now: float) -> bool:
        """Whether failed checks do not count yet: for the group's grace period from InService.

        A server that has yet to answer for the first time is let boot as long as this machine
        takes for that when it is busy; on a quick one the grace period is longer.
        """
        if now - self._in_service_at[instance_id] < self._grace_s:
            return True
        machine = self.machines[instance_id]
        if instance_id in self._has_booted or not machine.is_serving:
            return False
        return now - machine.server_started_at < min(_BOOTS * self._slowest_boot_s, _BOOT_LIMIT_S)

    def _note_boots(self, now: float) -> None:
        for instance_id in self._health.answered() - self._has_booted:
            self._has_booted.add(instance_id)
            took_s = now - self.machines[instance_id].server_started_at
            self._slowest_boot_s = max(self._slowest_boot_s, took_s)

    def _take_out(self, member: InstanceState, why: str, now: float) -> None:
        instance_id = member.instance.id
        self._finish(instance_id, "Cancelled")  # its launch, if it was not yet in service
        self._unfinished[instance_id] = self._begin(
            f"Terminating EC2 instance: {instance_id}",
            f"an instance was taken out of service {why}",
        )
        member.lifecycle_state = "Terminating"
        self._health.deregister(instance_id, now)
        machine = self.machines[instance_id]
        machine.terminate()
        if machine.state is MachineState.TERMINATED:  # it was so already
            self._forget_terminated(instance_id)

    def _forget_terminated(self, instance_id: str) -> None:
        """End its activity and its membership, but for one that has yet to be found bad."""
        self._finish(instance_id)
        if self._record is not None:
            self._record.instance_states = [
                each
                for each in self._record.instance_states
                if each.instance.id != instance_id or each.lifecycle_state in _COUNTED
            ]

    def _launch(self) -> None:
        zone = min(self._network.zones, key=self._zones_in_use().count)
        group = self._record
        try:
            address = self._network.allocate(zone)
        except LabBusy as error:
            failed = self._begin("Launching a new EC2 instance", "an instance was to be launched")
            failed.status_message = str(error)  # type: ignore[attr-defined]
            _end(failed, "Failed")
            return
        tags = {**group.get_propagated_tags(), "aws:autoscaling:groupName": GROUP}
        instance = (
            backend("ec2")
            .run_instances(
                group.image_id,
                1,
                None,
                [],
                instance_type=group.instance_type,
                tags={"instance": tags},
                placement=zone,
                subnet_id=self._subnet_in(zone),
                private_ip=address.private_ip,
                is_instance_type_default=False,
                launch_template={"LaunchTemplateId": group.ec2_launch_template.id},
            )
            .instances[0]
        )
        instance.autoscaling_group = group
        member = InstanceState(instance, lifecycle_state="Pending")
        group.instance_states.append(member)
        self._unfinished[instance.id] = self._begin(
            f"Launching a new EC2 instance: {instance.id}",
            "an instance was launched in response to a difference between desired and actual size",
        )
        self.machines[instance.id] = self._new_machine(instance, zone, address.host, address.port)
        self._note_state(self.machines[instance.id])

    def _new_machine(self, instance: Any, zone: str, host: str, port: int) -> Machine:
        place = Place(
            instance_id=instance.id,
            zone=zone,
            private_ip=instance.private_ip,
            address=host,
            port=port,
        )
        # Nobody waits for the first servers' boot: the run has not begun.
        at_once = replace(self._settings, pending_s=0.0, boot_s=0.0)
        return Machine(
            place=place,
            settings=self._settings if self.is_up else at_once,
            serve=self._serve,
            changed=self._note_state,
            now=self._now,
        )

    def _subnet_in(self, zone: str) -> str:
        ours: list[str] = self._record.vpc_zone_identifier.split(",")
        return next(each for each in ours if each in backend("ec2").subnets[zone])

    def _oldest_of_fullest_zone(self) -> InstanceState | None:
        """Of those that a user has not protected from scaling in."""
        free = [each for each in self._members if not each.protected_from_scale_in]
        zones = [self.machines[each.instance.id].place.zone for each in free]
        ours = [each for each in self._network.zones if each in zones]
        fullest = max(ours, key=self._zones_in_use().count, default="")
        return free[zones.index(fullest)] if fullest else None

    def _zones_in_use(self) -> list[str]:
        return [self.machines[each.instance.id].place.zone for each in self._members]

    def _register_new(self, now: float) -> None:
        """A machine joins the target group when it is running, whether or not it serves yet.

        The first servers are waited for: a target whose first check succeeds is healthy
        at once, one whose first check fails has to pass two.
        """
        members = self._members
        for member in members:
            machine = self.machines[member.instance.id]
            if member.lifecycle_state != "Pending" or machine.state is not MachineState.RUNNING:
                continue
            place = machine.place
            if not self.is_up and not (machine.is_serving and is_listening(*place.where)):
                continue
            member.lifecycle_state = "InService"
            self._in_service_at[place.instance_id] = now
            if "AddToLoadBalancer" not in self._suspended:
                self._health.register(place)
            self._finish(place.instance_id)
        healthy = sum(self._health.is_healthy(member.instance.id) for member in members)
        if healthy >= self._settings.desired_capacity:
            self.is_up = True

    def _deregister_old(self, now: float) -> None:
        """What has left the group, by whatever call, leaves the target group too."""
        members = {member.instance.id for member in self._members}
        for instance_id in set(self._health.instance_ids()) - members:
            # A user may have registered one that is in standby or detached.
            is_over = self.machines[instance_id].state is MachineState.TERMINATED
            if is_over or instance_id in self._joined:
                self._health.deregister(instance_id, now)
        self._joined = members

    # Records.

    def _begin(self, description: str, cause: str) -> Activity:
        started = datetime.now(UTC).replace(tzinfo=None)
        activity = Activity(
            description,
            f"At {started:%Y-%m-%dT%H:%M:%SZ} {cause}.",
            self._record,
            start_time=started,
        )
        activity.end_time = None  # type: ignore[assignment]  # moto has no unfinished activity
        activity.progress = 50
        self.activities.insert(0, activity)
        return activity

    def _finish(self, instance_id: str, status: str = "Successful") -> None:
        activity = self._unfinished.pop(instance_id, None)
        if activity is not None:
            _end(activity, status)

    def _note_state(self, machine: Machine) -> None:
        """Bring moto's instance in line with the machine."""
        instance_id = machine.place.instance_id
        instance = backend("ec2").get_instance(instance_id)
        instance._state.name = machine.state.value  # noqa: SLF001  (moto has no other way)
        instance._state.code = _CODES[machine.state]  # noqa: SLF001
        _explain(instance)
        log.info("%s %s", instance_id, machine.state.value)
        if machine.state is MachineState.TERMINATED:
            self._forget_terminated(instance_id)


def _end(activity: Activity, status: str) -> None:
    activity.status_code = status
    activity.progress = 100
    activity.end_time = datetime.now(UTC).replace(tzinfo=None)


def _explain(instance: Any) -> None:
    """Give the reason of its state as EC2 does: whoever stops an instance is a user to EC2."""
    if instance._state.name in {"pending", "running"}:  # noqa: SLF001
        instance._reason, instance.state_reason = "", StateReason()  # noqa: SLF001
    elif not instance._reason:  # noqa: SLF001
        instance._reason = f"User initiated ({datetime.now(UTC):%Y-%m-%d %H:%M:%S} GMT)"  # noqa: SLF001
        instance.state_reason = StateReason(
            "Client.UserInitiatedShutdown: User initiated shutdown", "Client.UserInitiatedShutdown"
        )
