"""What can go wrong in `harness`, and the exit code each error ends Locust with.

LoadError              70   a fault of ours; its text is the one line people see
 |- BadArgument        64   an argument, or something it names, that cannot be used
 `- LedgerFailed       70   an attempt could not be recorded, so none may be sent
NotConnected                proof that no byte of a request left this machine
ReplyTooLong                an OSError: a reply was given up because it would not end
RequestFailed               what Locust's statistics are told of a failed request
"""

EXIT_BROKEN = 1
EXIT_UNDECIDED = 2
EXIT_USAGE = 64
EXIT_OUR_FAULT = 70


class LoadError(Exception):
    """A run cannot start or go on; the text says what was wrong and what to do."""

    exit_code = EXIT_OUR_FAULT


class BadArgument(LoadError):
    """An argument makes no sense, or what it names does not exist."""

    exit_code = EXIT_USAGE


class LedgerFailed(LoadError):
    """The ledger cannot be written: the disk is full, or the file is closed."""


class NothingMore(Exception):
    """Nothing may begin any more; what was to be sent was not."""


class NotConnected(Exception):
    """No connection to the shop was made, so no byte of the request was sent.

    Not an OSError: client libraries wrap those, or take them for other things.

    `token` is the ledger's word for the cause: connect_refused, connect_timeout, dns, or the
    class name of what went wrong.
    """

    def __init__(self, token: str, text: str) -> None:
        super().__init__(text)
        self.token = token


class ReplyTooLong(OSError):
    """A reply brought more bytes than any reply of a shop would."""


class RequestFailed(Exception):
    """A failed request's short and stable name, which is what Locust's tables show."""

    def __repr__(self) -> str:
        return str(self)
