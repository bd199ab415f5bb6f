"""Spark as the engine, for runs that one machine does not hold: it reads Parquet, where that lies.

PySpark is no dependency of ours: it comes with the cluster, or from `requirements-spark.lock`.
Which cluster it is, and how it is reached, are Spark's own settings (SPARK_CONF_DIR, spark-submit);
unless they say otherwise it runs on this machine, on all of its cores.
"""
# ruff: noqa: S608 -- names and paths in queries go through name_of and _quoted

import logging
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from analysis.bulk.engine import Connect, Engine, EngineFailed
from analysis.bulk.statements import SPARK
from analysis.evidence.run_directory import RunDirectory
from analysis.evidence.sql.parquet import TEXT, TIME, check_type
from analysis.evidence.tables import Kind, Table

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

__all__ = ["in_spark"]

# What Spark calls our columns' types.
_TYPES = {"string": TEXT, "bigint": "BIGINT", "int": "INTEGER", "timestamp": TIME}
_PATTERN = "*?[]{}\\"
_SETTINGS = {
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.ansi.enabled": "true",  # what does not fit is an error, and not NULL
    "spark.sql.ansi.doubleQuotedIdentifiers": "false",
}


def in_spark(tables: str | None) -> Connect:
    """Return what connects to Spark; the tables lie in the folder `tables`, or with the run."""

    @contextmanager
    def connect(directory: RunDirectory, scratch: Path) -> Iterator[Engine]:
        try:
            from pyspark.errors import PySparkException  # noqa: PLC0415 -- it need not be there
            from pyspark.sql import SparkSession  # noqa: PLC0415
        except ImportError as error:
            message = f"PySpark is not installed ({error}); docs/scale.md says how, or judge "
            message += "without --engine spark"
            raise EngineFailed(message) from error
        if set(str(scratch.resolve())) & set(_PATTERN):
            message = (
                f"{directory.path}: Spark takes {' '.join(_PATTERN)} in a path for a pattern; "
            )
            message += "name the folder otherwise, or judge it without --engine spark"
            raise EngineFailed(message)
        with _explained(PySparkException), _session(SparkSession, scratch) as session:
            yield _Spark(session, directory, tables)

    return connect


@contextmanager
def _explained(failure: type[Exception]) -> Iterator[None]:
    try:
        yield
    except failure as error:
        # What Spark says first is what is wrong; below it are its plans and stacks.
        said = str(error).strip().splitlines() or [type(error).__name__]
        message = f"Spark: {said[0]}"
        raise EngineFailed(message) from error


@contextmanager
def _session(sessions: type["SparkSession"], scratch: Path) -> Iterator["SparkSession"]:
    """Give a session in a database of its own, which is gone afterwards."""
    builder = sessions.builder.appName("chaos-shop").config("spark.ui.showConsoleProgress", "false")
    builder = builder.config("spark.ui.enabled", "false").config(
        "spark.sql.warehouse.dir", str(scratch / "warehouse")
    )
    session = builder.getOrCreate()
    logging.getLogger("py4j").setLevel(logging.WARNING)
    name = f"judging_{uuid.uuid4().hex}"
    try:
        for setting, value in _SETTINGS.items():
            session.conf.set(setting, value)
        session.sql(f"CREATE DATABASE {name}")
        session.sql(f"USE {name}")
        yield session
    finally:
        session.sql("USE default")
        session.sql(f"DROP DATABASE IF EXISTS {name} CASCADE")
        session.stop()


class _Spark:
    dialect = SPARK

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
                message = f"{path}: in its column {column} is what no {kept_as} is, which Spark is "
                message += "not asked to make sense of; judge the run without --engine spark"
                raise EngineFailed(message)
        table.reader(list(types))  # says what is missing
        self.run(f"CREATE VIEW {name} AS SELECT * FROM parquet.{_quoted(path)}")
        return types

    def _path(self, table: Table[Any], name: str) -> str:
        if self._tables is not None:
            return f"{self._tables.rstrip('/')}/{name}.parquet"
        path = self._directory.stored(table.file_name)
        if path.suffix != ".parquet":
            message = f"Spark reads Parquet, and {path} is CSV: "
            message += "`python -m analysis finish RUN --evidence-format parquet` adds the other"
            raise EngineFailed(message)
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
