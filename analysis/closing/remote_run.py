"""A run that lies in S3: what is small of its evidence is copied here, its tables stay there."""

from pathlib import Path

from analysis.closing.bucket import Bucket
from analysis.evidence.errors import UsageError
from analysis.evidence.files.writing import whole_file
from analysis.evidence.run_directory import RUN_FILE, RunDirectory

# What judging asks for beside the large tables; an ALB's log comes by `fetch-access-log`.
_SMALL = (RUN_FILE, "snapshot_before.json", "products.csv", "events.csv")
_RUNS = Path("runs")


def fetch_small_evidence(uri: str) -> RunDirectory:
    """Copy into runs/NAME what is not there yet of s3://bucket/prefix/NAME (or s3a://)."""
    name = uri.rstrip("/").rpartition("/")[2]
    bucket = Bucket(
        uri.replace("s3a://", "s3://", 1).rstrip("/"),
        about="the run's evidence",
        way_out="reconcile the run again",
    )
    there = {
        each.key.removeprefix(f"{bucket.prefix}/"): each
        for each in bucket.objects(f"{bucket.prefix}/")
    }
    if RUN_FILE not in there or not name:
        raise UsageError(
            f"{uri} holds no {RUN_FILE}, so it is no run; write s3://bucket/prefix/RUN"
        )
    (_RUNS / name).mkdir(parents=True, exist_ok=True)
    directory = RunDirectory(_RUNS / name)
    for each in _SMALL:
        if each in there and not directory.has(each):
            with whole_file(directory.path / each) as file:
                file.writelines(bucket.read(there[each]))
    return directory
