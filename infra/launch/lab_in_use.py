"""The lab that a run uses: the one that is up and free, or one raised for this run alone."""

from collections.abc import Callable, Mapping

from infra.lab.cloud.names import CREDENTIALS, REGION
from infra.lab.supervision.lab_folder import LabFolder, LabState, Lock
from infra.lab.supervision.raising import KEPT, PrivateLab


class LabInUse:
    """The kept lab if it is up and free, else a private one on addresses of its own."""

    def __init__(
        self,
        environment: Mapping[str, str],
        *,
        is_special: bool,
        check: Callable[[], None],
        progress: Callable[[str], None],
    ) -> None:
        """`check` is called before one is raised."""
        self._holder: PrivateLab | Lock
        self.folder = LabFolder(KEPT)
        # Whether it stays up when we have gone, and with it its database.
        self.is_kept = False
        state = self.folder.read_live()
        if state is not None and is_special:
            progress("the experiment wants a lab of its own: raising one more")
        elif state is not None and not state.is_well:
            progress("the lab that is up is not well (`make lab-status`): raising one more")
        elif state is not None:
            lock = self.folder.lock("use")
            if lock.try_take():
                self.is_kept, self._holder, self.state = True, lock, state
                progress("using the lab that is up (`make lab-status` shows it)")
                return
            progress("another run is using the lab that is up: raising one more")
        check()
        self._holder = private = PrivateLab(environment, progress=progress)
        self.folder, self.state = private.folder, private.state

    @property
    def holds(self) -> tuple[int, ...]:
        """The open files that keep it ours: whoever inherits one keeps it too."""
        return (self._holder.fileno(),)

    def close(self) -> None:
        """Give it back, or take it down."""
        self._holder.close()


def lab_environment(state: LabState) -> dict[str, str]:
    """What makes boto3 and the analysis talk to the lab instead of AWS and Aurora."""
    return {
        "AWS_ENDPOINT_URL": state.aws_endpoint,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_REGION": REGION,
        **CREDENTIALS,
        "DATABASE_URL": state.database_url,
    }
