"""A run that lies in S3: what is small of its evidence is copied here, its tables stay there."""

from pathlib import Path

from analysis.closing.bucket import Bucket
from analysis.evidence.errors import UsageError
from analysis.evidence.files.writing import whole_file
from analysis.evidence.run_directory import RUN_FILE, RunDirectory

# What judging asks for beside the large tables; an ALB's log comes by `fetch-access-log`.
_SMALL = (RUN_FILE, "snapshot_before.json", "products.csv", "events.csv")
_RUNS = Path("runs")
_ORIGIN_FILE = "lies_in.txt"


def fetch_small_evidence(uri: str) -> RunDirectory:
    """Copy what is small of s3://bucket/prefix/NAME (or s3a://) into runs/NAME, anew each time.

    A folder of that name that is no copy of this very run is left alone: UsageError, since with
    another run's settings and stock the tables would be judged wrong.
    """
    place = uri.replace("s3a://", "s3://", 1).rstrip("/")
    bucket = Bucket(place, about="the run's evidence", way_out="reconcile the run again")
    folder = f"{bucket.prefix}/"
    name = bucket.prefix.rpartition("/")[2]
    there = {each.key.removeprefix(folder): each for each in bucket.objects(folder)}
    if RUN_FILE not in there or name in {"", ".", ".."}:
        raise UsageError(
            f"{uri} holds no {RUN_FILE}, so it is no run; write s3://bucket/prefix/RUN"
        )
    path = _RUNS / name
    origin = path / _ORIGIN_FILE
    if path.is_symlink() or (path.exists() and not _says(origin, place)):
        raise UsageError(f"{path} is there and no copy of {uri}; move it away")
    path.mkdir(parents=True, exist_ok=True)
    origin.write_text(f"{place}\n", encoding="utf-8")
    for each in _SMALL:
        if each in there:
            with whole_file(path / each) as file:
                file.writelines(bucket.read(there[each]))
        else:
            (path / each).unlink(missing_ok=True)
    return RunDirectory(path)


def _says(origin: Path, place: str) -> bool:
    return origin.is_file() and origin.read_text(encoding="utf-8").strip() == place
