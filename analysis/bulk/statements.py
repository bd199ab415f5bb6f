"""The SQL that tells the undisputed attempts of a run from the disputed ones: text, and no more.

From the views `a` (attempts) and `o` (rows of the orders table), whose cells are values: NULL where
a cell is empty, or spelled otherwise than we spell it; `is_ours` says that nothing of that kind is
in the way. It is common SQL but for what `Dialect` names, so that other engines run the same text.

An attempt is undisputed if nothing else in the run bears or names its id, its order's key or its
row's id, nor tried the order again, and it is one of five kinds:

1. acknowledged, and the row that its reply named bears its id and key, and what was ordered
2. without a definite answer, and such a row is its, which no reply names
3. without a definite answer, and no row bears its id or key: the table is whole, and at rest
4. rejected, and no row bears its id or key
5. unsent, and no row does

Then it is a component of its own among attempts and rows: the exact judge would find the same of it
whatever the others are, and the same of the others without it. All else is disputed: kind 0.

Ids are compared as text where an attempt meets its row. Who else bears one is asked of hashes, and
where two share a hash by chance, both are disputed.
"""

from collections.abc import Callable
from dataclasses import dataclass

from analysis.evidence.records import Outcome, Verdict
from analysis.evidence.sql.parquet import TIME, TIME_FORMAT, as_text
from analysis.judging.undisputed import FIRST_TOLD, Question

# What the client knew of each kind, and what is found of it.
KINDS = {
    1: (Outcome.ACKNOWLEDGED, Verdict.CONFIRMED),
    2: (Outcome.INDETERMINATE, Verdict.COMMITTED),
    3: (Outcome.INDETERMINATE, Verdict.ABSENT),
    4: (Outcome.REJECTED, Verdict.CLEAN),
    5: (Outcome.UNSENT, Verdict.CLEAN),
}


@dataclass(frozen=True, slots=True)
class Dialect:
    """What engines call by different names."""

    hash: str  # of a text as a whole number, NULL of NULL
    time: str  # of microseconds as our cells spell it, NULL of NULL
    microseconds: str  # of a point in time
    as_text: Callable[[str, str], str]  # of a type and a value: the cell that CSV has for it
    matches: str  # whether a whole text is of a pattern
    text: str  # the type


DUCKDB = Dialect(
    hash="CASE WHEN {0} IS NOT NULL THEN hash({0}) END",
    time=f"strftime(make_timestamp({{}}), '{TIME_FORMAT}')",
    microseconds="epoch_us({})",
    as_text=as_text,
    matches="regexp_full_match({}, '{}')",
    text="VARCHAR",
)


def _as_text_in_spark(kind: str, value: str) -> str:
    text = f"date_format({value}, {_JAVA_FORMAT})" if kind == TIME else f"CAST({value} AS STRING)"
    return f"coalesce({text}, '')"


_JAVA_FORMAT = "\"yyyy-MM-dd'T'HH:mm:ss.SSSSSS'Z'\""
SPARK = Dialect(
    hash="CASE WHEN {0} IS NOT NULL THEN xxhash64({0}) END",
    time=f"date_format(timestamp_micros({{}}), {_JAVA_FORMAT})",
    microseconds="unix_micros({})",
    as_text=_as_text_in_spark,
    matches="({} RLIKE '(?s)^({})(?!.)')",  # its $ may be followed by a line's end
    text="STRING",
)

_JUDGING = """
    -- Each attempt beside the row that bears its id.
    CREATE VIEW found AS
    SELECT a.*, o.is_there, o.id AS row_id, o.okey AS row_key, o.total, o.created, o.committed,
      coalesce(a.aid, o.aid) AS id,
      CASE
        WHEN NOT coalesce(a.is_ours, false) THEN 0
        WHEN o.is_there AND NOT coalesce(o.is_ours AND o.okey = a.okey
          AND o.product = a.product AND o.quantity = a.quantity, false) THEN 0
        WHEN a.outcome = 'acknowledged' THEN
          CASE WHEN o.id = a.order_id AND a.http IN (200, 201) AND a.error = '' THEN 1 ELSE 0 END
        WHEN a.outcome = 'indeterminate' THEN
          CASE WHEN NOT {may_be_absent} THEN 0 WHEN o.is_there THEN 2 ELSE 3 END
        WHEN o.is_there OR a.order_id IS NOT NULL THEN 0
        WHEN a.outcome = 'rejected' THEN 4
        WHEN a.outcome = 'unsent' THEN 5
        ELSE 0
      END AS kind
    FROM a FULL JOIN o ON a.aid = o.aid;

    -- What is counted of them, and hashes of their ids: texts stay where they are.
    CREATE TABLE joined AS
    SELECT kind,
      {hash[id]} AS aid,
      CASE WHEN okey IS NOT NULL THEN {hash[okey]}
           ELSE {hash[concat('attempt ', coalesce(id, ''))]} END AS okey,
      CASE WHEN kind IN (1, 2) THEN row_id WHEN kind = 0 THEN order_id END AS order_id,
      CASE WHEN kind = 0 THEN {hash[retry_of]} END AS retry_of,
      CASE WHEN kind = 0 THEN {hash[row_key]} END AS row_key,
      CASE WHEN kind = 0 THEN row_id END AS row_id,
      CASE WHEN kind = 0 THEN is_there END AS is_row,
      due, sent, ended, http, error,
      CASE WHEN kind IN (1, 2) THEN product END AS product,
      CASE WHEN kind IN (1, 2) THEN quantity END AS quantity,
      CASE WHEN kind = 1 THEN created END AS created,
      CASE WHEN kind = 2 THEN total END AS total,
      committed, {hash[server]} AS server, {hash[root]} AS root
    FROM found;

    -- Ids that the disputed bear or name, or that are there twice.
    CREATE TABLE shared_ids AS
    SELECT aid AS it FROM joined WHERE kind = 0 AND aid IS NOT NULL
    UNION SELECT retry_of FROM joined WHERE retry_of IS NOT NULL
    UNION SELECT aid FROM joined WHERE kind > 0 GROUP BY aid HAVING count(*) > 1;

    CREATE TABLE shared_keys AS
    SELECT okey AS it FROM joined WHERE kind = 0 AND okey IS NOT NULL
    UNION SELECT row_key FROM joined WHERE row_key IS NOT NULL
    UNION SELECT okey FROM joined WHERE kind > 0 GROUP BY okey HAVING count(*) > 1;

    CREATE TABLE shared_rows AS
    SELECT order_id AS it FROM joined WHERE kind = 0 AND order_id IS NOT NULL
    UNION SELECT row_id FROM joined WHERE row_id IS NOT NULL
    UNION SELECT order_id FROM joined WHERE kind IN (1, 2) GROUP BY order_id HAVING count(*) > 1;

    -- And what each server answered last, by which its address is known in a log.
    CREATE TABLE last_answered AS
    SELECT server, max(sent) AS sent FROM joined
    WHERE kind > 0 AND server IS NOT NULL GROUP BY server;

    CREATE TABLE demoted AS
    SELECT aid FROM joined WHERE kind > 0 AND (aid IN (SELECT it FROM shared_ids)
      OR okey IN (SELECT it FROM shared_keys) OR order_id IN (SELECT it FROM shared_rows))
    UNION SELECT joined.aid FROM joined JOIN last_answered
      ON joined.server = last_answered.server AND joined.sent = last_answered.sent
      WHERE kind > 0;

    -- The stories of the first that are committed are told, for which all is wanted of them.
    CREATE VIEW hidden AS
    SELECT aid, sent FROM joined
    WHERE kind = 2 AND NOT EXISTS (SELECT 1 FROM demoted WHERE demoted.aid = joined.aid);

    CREATE TABLE disputed AS
    SELECT aid FROM joined WHERE kind = 0 AND aid IS NOT NULL
    UNION SELECT aid FROM demoted
    UNION SELECT aid FROM hidden WHERE sent <= (SELECT max(sent) FROM (
      SELECT sent FROM hidden ORDER BY sent LIMIT {first_told}) AS first_ones);

    CREATE VIEW undisputed AS
    SELECT * FROM joined
    WHERE kind > 0 AND NOT EXISTS (SELECT 1 FROM disputed WHERE disputed.aid = joined.aid);

    -- Their lines of reconciliation.csv, in which no cell needs quotes.
    CREATE VIEW lines AS
    SELECT a.sent, a.aid AS id, concat('attempt,', a.aid, ',', a.okey, ',',
      coalesce(CAST(undisputed.order_id AS {text}), ''), ',', CAST(a.product AS {text}), ',',
      CAST(a.quantity AS {text}), ',', a.outcome, ',', coalesce(CAST(a.http AS {text}), ''), ',',
      a.error, CASE undisputed.kind WHEN 1 THEN ',confirmed,order_id,1,,,,'
                                    WHEN 2 THEN ',committed,key,1,,,,'
                                    WHEN 3 THEN ',absent,key,0,,,,' ELSE ',clean,key,0,,,,' END,
      coalesce({time[undisputed.committed]}, ''), chr(13)) AS line
    FROM a JOIN undisputed ON {hash[a.aid]} = undisputed.aid;
"""

NUMBERS = {
    # Of these rows no key says whose they are: any attempt's, for all that is known.
    "keyless": "SELECT count(*) FROM joined WHERE is_row AND row_key IS NULL",
    "groups": "SELECT kind, http, error, product, count(*), sum(quantity), sum(total), "
    "max(created - ended), min(created - sent) FROM undisputed GROUP BY kind, http, error, product",
    "from_due": "SELECT CASE WHEN ended > due THEN ended - due ELSE 0 END AS took, count(*) "
    "FROM undisputed WHERE due IS NOT NULL GROUP BY 1",
    "from_sent_of_due": "SELECT ended - sent AS took, count(*) FROM undisputed "
    "WHERE due IS NOT NULL GROUP BY 1",
    "from_sent_of_others": "SELECT ended - sent AS took, count(*) FROM undisputed "
    "WHERE due IS NULL GROUP BY 1",
    # Of the bounds on the clocks' offset that each of the confirmed gives, as `clock` sorts them.
    "edges": "SELECT created - ended AS place, 0 AS is_end FROM undisputed WHERE kind = 1 "
    "UNION ALL SELECT created - sent, 1 FROM undisputed WHERE kind = 1 ORDER BY place, is_end",
}

# All lines of reconciliation.csv: those of attempts by when they were sent, and then those of rows.
# Those of the disputed are in the table `given`.
LINES = (
    "SELECT line AS {name} FROM (SELECT sent, id, 0 AS number, line FROM lines "
    "UNION ALL SELECT * FROM given) AS all_lines "
    "ORDER BY sent NULLS LAST, id NULLS LAST, number"
)


def judging(question: Question, dialect: Dialect) -> list[str]:
    """Return the statements that tell them apart, in an engine's dialect."""
    text = _JUDGING.format(
        may_be_absent=str(question.may_be_absent and not question.has_log).lower(),
        first_told=FIRST_TOLD,
        hash=_Calls(dialect.hash),
        time=_Calls(dialect.time),
        text=dialect.text,
    )
    return text.split(";")[:-1]


class _Calls(dict[str, str]):
    """`calls[x]` is the SQL of a call with x; str.format looks it up as `{calls[x]}`."""

    def __init__(self, of: str) -> None:
        super().__init__()
        self._of = of

    def __missing__(self, argument: str) -> str:
        return self._of.format(argument)
