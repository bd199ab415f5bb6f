"""What can go wrong in `analysis`, and the exit code each error ends the command with.

AnalysisError            64   one line: what was wrong, where, what to do
 |- EvidenceError             a file of the run is missing, unreadable or contradicts itself
 |   `- TornLine              bytes that are not one whole line of a ledger
 |- UsageError                an argument that makes no sense
 `- DatabaseError             PostgreSQL could not be reached or read; never shows a password
     `- DatabaseAway              it may be back in a moment: starting, failing over, out of reach
"""

EXIT_USAGE = 64
EXIT_OUR_FAULT = 70
EXIT_INTERRUPTED = 130  # as a shell has it for Ctrl-C


class AnalysisError(Exception):
    """Something the user can put right; its text is the one line they see."""


class EvidenceError(AnalysisError):
    """A file of the run directory cannot be used as evidence."""


class TornLine(EvidenceError):
    """The bytes are not exactly one whole line of a ledger."""


class UsageError(AnalysisError):
    """The command was asked for something that it cannot do."""


class DatabaseError(AnalysisError):
    """The database could not be reached, or is not a shop's."""


class DatabaseAway(DatabaseError):
    """The database cannot be read just now, and waiting may heal that."""
