"""What can go wrong in the lab.

LabError
├── PartFailed       a part (Envoy, PostgreSQL, a server, the control plane) did not start or died
├── LabBusy          a lab of that name is up already, or a run is using it
└── BadSetting       a setting that cannot be honoured
"""


class LabError(Exception):
    """One line for a person: what was wrong, where, and what to do."""


class PartFailed(LabError):
    """A part did not start in time, or ended by itself."""


class LabBusy(LabError):
    """The lab is in use already."""


class BadSetting(LabError):
    """A value from the environment or the command line that cannot be used."""
