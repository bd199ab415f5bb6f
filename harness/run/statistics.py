"""Locust's CSV files (`--csv-full-history`), one set per run and in its directory."""

import time
from pathlib import Path

import gevent
from locust.env import Environment
from locust.stats import PERCENTILES_TO_REPORT, StatsCSVFileWriter


class StatisticsFiles(StatsCSVFileWriter):
    """Writes `locust_*.csv` from `start` to `close`, whatever --csv says."""

    def __init__(self, environment: Environment, folder: Path) -> None:
        super().__init__(environment, PERCENTILES_TO_REPORT, str(folder / "locust"), True)
        self._greenlet: gevent.Greenlet[..., None] | None = None

    def start(self) -> None:
        """Write once a second from now on."""
        self._greenlet = gevent.spawn(self.stats_writer)

    def close(self) -> None:
        """Write the final numbers and close the files."""
        if self._greenlet is not None:
            self._greenlet.kill()
        for file, write in (
            (self.requests_csv_filehandle, lambda: self.requests_csv(self.requests_csv_writer)),
            (self.failures_csv_filehandle, lambda: self.failures_csv(self.failures_csv_writer)),
            (
                self.exceptions_csv_filehandle,
                lambda: self.exceptions_csv(self.exceptions_csv_writer),
            ),
        ):
            file.seek(0)
            write()  # type: ignore[no-untyped-call]
            file.truncate()
        self._stats_history_data_rows(self.stats_history_csv_writer, time.time())
        self.close_files()
