"""Spark as the engine, for runs that one machine does not hold: it reads Parquet, where that lies.

PySpark is no dependency of ours: it comes with the cluster, or from `requirements-spark.lock`.
Which cluster it is, and how it is reached, are Spark's own settings (SPARK_CONF_DIR, spark-submit);
unless they say otherwise it runs on this machine, on all of its cores.
"""
# ruff: noqa: S608 -- paths in queries go through _quoted and literal

import logging
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from analysis.bulk.engine import Connect, Engine, EngineFailed
from analysis.bulk.statements import SPARK
from analysis.evidence.run_directory import RunDirectory
from analysis.evidence.sql.duck import literal
from analysis.evidence.sql.parquet import TEXT, TIME, check_type
from analysis.evidence.tables import Kind, Table

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

# What Spark calls our columns' types.
_TYPES = {"string": TEXT, "bigint": "BIGINT", "int": "INTEGER", "timestamp": TIME}
_PATTERN = "*?[]{}\\"
_SETTINGS = {
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.ansi.enabled": "true",  # what does not fit is an error, and not NULL
    "spark.sql.ansi.doubleQuotedIdentifiers": "false",
    "spark.sql.legacy.timeParserPolicy": "CORRECTED",  # else S is milliseconds
    "spark.sql.legacy.createHiveTableByDefault": "false",
}


def in_spark(tables: str | None) -> Connect:
    """Return what connects to Spark; the tables lie in the folder `tables`, or with the run."""

    @contextmanager
    def connect(directory: RunDirectory, scratch: Path) -> Iterator[Engine]:
        try:
            from py4j.protocol import Py4JError  # noqa: PLC0415 -- it need not be there
            from pyspark.errors import PySparkException  # noqa: PLC0415
            from pyspark.sql import SparkSession  # noqa: PLC0415
        except ImportError as error:
            raise EngineFailed(
                f"PySpark is not installed ({error}); docs/scale.md says how, or judge the run "
                "without --engine spark"
            ) from error
        if set(str(scratch.resolve())) & set(_PATTERN):
            raise EngineFailed(
                f"{directory.path}: Spark takes {' '.join(_PATTERN)} in a path for a pattern; name "
                "the folder otherwise, or judge the run without --engine spark"
            )
        try:
            with _session(SparkSession, scratch) as session:
                yield _Spark(session, directory, tables)
        except (PySparkException, Py4JError) as error:
            # What is said first is what is wrong; below it are plans and stacks.
            said = " ".join(str(error).split("\n")[:2]).strip() or type(error).__name__
            raise EngineFailed(f"Spark: {said}") from error

    return connect


@contextmanager
def _session(sessions: type["SparkSession"], scratch: Path) -> Iterator["SparkSession"]:
    """Give a session in a database of its own, which is gone afterwards."""
    logging.getLogger("py4j").setLevel(logging.WARNING)
    builder = sessions.builder.appName("chaos-shop").config("spark.ui.enabled", "false")
    was_there = sessions.getActiveSession() is not None
    # Its settings are ours alone; a session that was there before goes on as it was.
    session = builder.config("spark.ui.showConsoleProgress", "false").getOrCreate().newSession()
    name = f"judging_{uuid.uuid4().hex}"
    try:
        for setting, value in _SETTINGS.items():
            session.conf.set(setting, value)
        # A cluster has a place of its own, which all of its machines see.
        is_here = session.conf.get("spark.master", "").startswith("local")
        place = f" LOCATION {literal(scratch / 'tables')}" if is_here else ""
        session.sql(f"CREATE DATABASE {name}{place}")
        session.sql(f"USE {name}")
        yield session
    finally:
        with suppress(Exception):  # a cluster that is gone has told why already
            session.sql("USE default")
            session.sql(f"DROP DATABASE IF EXISTS {name} CASCADE")
        if not was_there:
            with suppress(Exception):
                session.stop()


class _Spark:
    dialect = SPARK
    failures: tuple[type[Exception], ...] = ()

    def __init__(
        self, session: "SparkSession", directory: RunDirectory, tables: str | None
    ) -> None:
        self._session = session
        self._directory = directory
        self._tables = tables

    def open(self, table: Table[Any], name: str) -> dict[str, str]:
        path = self._path(table, name)
        found = self._session.read.parquet(path)
        types = {}
        for column, kind in found.dtypes:
            if column not in table.columns:
                continue
            is_money = kind.startswith("decimal(")
            types[column] = kind.upper() if is_money else _TYPES.get(kind, kind)
            kept_as = table.columns[column].kind
            check_type(Path(path), column, kept_as, types[column])
            if types[column] == TEXT and kept_as is not Kind.TEXT:
                raise EngineFailed(
                    f"{path}: in its column {column} is what no {kept_as} is, which Spark is not "
                    "asked to make sense of; judge the run without --engine spark"
                )
        table.reader(list(types))  # says what is missing
        self.run(f"CREATE VIEW {name} AS SELECT * FROM parquet.{_quoted(path)}")
        return types

    def _path(self, table: Table[Any], name: str) -> str:
        if self._tables is not None:
            return f"{self._tables.rstrip('/')}/{name}.parquet"
        path = self._directory.stored(table.file_name)
        if path.suffix != ".parquet":
            raise EngineFailed(
                f"Spark reads Parquet, and {path} is CSV; `python -m analysis finish "
                f"{self._directory.path} --parquet` adds the other"
            )
        return f"file://{path.resolve()}"

    def run(self, statement: str) -> None:
        self._session.sql(statement)

    def rows(self, query: str) -> Iterator[tuple[Any, ...]]:
        yield from map(tuple, self._session.sql(query).toLocalIterator(prefetchPartitions=True))

    def give(self, name: str, columns: Mapping[str, str], rows: Iterable[Sequence[Any]]) -> None:
        types = ["STRING" if each == "text" else each for each in columns.values()]
        schema = ", ".join(map(" ".join, zip(columns, types, strict=True)))
        self.run(f"DROP TABLE IF EXISTS {name}")
        self._session.createDataFrame([tuple(each) for each in rows], schema).write.saveAsTable(
            name
        )

    def write(self, query: str, *, header: str, target: Path) -> None:
        with target.open("w", encoding="utf-8", newline="") as file:
            file.write(f"{header}\n")
            for (line,) in self.rows(query.format(name="line")):
                file.write(f"{line}\n")


def _quoted(path: str) -> str:
    return "`" + path.replace("`", "``") + "`"
