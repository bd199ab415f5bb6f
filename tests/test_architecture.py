"""Who may import whom (design.md): the stages meet through files, not through each other."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
OURS = ("analysis", "harness", "infra", "locustfiles", "shop")
# package -> what of ours it may import beside itself
ALLOWED: dict[str, tuple[str, ...]] = {
    "shop": (),
    "analysis": (),
    "harness": ("analysis.evidence",),
    "locustfiles": ("harness",),
    "infra": (),
}
# The stages of the analysis: each may import those before it.
STAGES = (
    *("evidence", "closing", "database", "judging", "bulk", "measures"),
    *("verdict", "report", "terminal", "compare"),
)
PURE = ("judging", "measures")
# The same of the shop's packages; what starts them (wsgi, start, gunicorn_conf) imports any.
FLOORS = ("observation", "database", "orders", "web")
SHARED = ("errors", "settings", "__doc__")
MOST_MEMBERS = 10


def modules(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


def imported(module: Path) -> Iterator[str]:
    """Full names of all that a module imports, inside functions too."""
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (each.name for each in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} imports relatively"
            yield from (f"{node.module}.{each.name}" for each in node.names)


def is_under(name: str, package: str) -> bool:
    return name == package or name.startswith(f"{package}.")


@pytest.mark.parametrize("package", OURS)
def test_a_package_imports_of_ours_only_what_it_may(package: str) -> None:
    allowed = (package, *ALLOWED[package])
    wrong = [
        f"{module.relative_to(ROOT)}: {name}"
        for module in modules(package)
        for name in imported(module)
        if any(is_under(name, each) for each in OURS)
        and not any(is_under(name, each) for each in allowed)
    ]
    assert wrong == []


def test_stages_of_the_analysis_import_only_those_before_them() -> None:
    wrong = []
    for place, stage in enumerate(STAGES):
        after = [f"analysis.{each}" for each in (*STAGES[place + 1 :], "__main__")]
        for module in modules(f"analysis/{stage}"):
            names = [each for each in imported(module) if any(is_under(each, a) for a in after)]
            wrong += [f"{module.relative_to(ROOT)}: {name}" for name in names]
    assert wrong == []
    assert {each.parent.name for each in (ROOT / "analysis").glob("*/__init__.py")} == set(STAGES)


def test_packages_of_the_shop_import_only_those_before_them() -> None:
    folders = {each.parent.name for each in (ROOT / "shop").glob("*/__init__.py")}
    assert folders == {*FLOORS, "serving"}
    below = {name: FLOORS[:place] for place, name in enumerate(FLOORS)} | {"serving": ()}
    wrong = [
        f"{module.relative_to(ROOT)}: {name}"
        for folder, allowed in below.items()
        for module in modules(f"shop/{folder}")
        for name in imported(module)
        if is_under(name, "shop") and name.split(".")[1] not in {*allowed, folder, *SHARED}
    ]
    assert wrong == []


def test_judging_and_measures_are_pure() -> None:
    worldly = ("os", "io", "pathlib", "socket", "subprocess", "time", "tempfile", "duckdb")
    wrong = [
        f"{module.relative_to(ROOT)}: {name}"
        for stage in PURE
        for module in modules(f"analysis/{stage}")
        for name in imported(module)
        if any(is_under(name, each) for each in worldly)
    ]
    assert wrong == []


def test_a_package_has_at_most_ten_members() -> None:
    crowds = {}
    for package in OURS:
        for init in (ROOT / package).rglob("__init__.py"):
            folder = init.parent
            entries = (init, folder / "__main__.py")
            members = [each for each in folder.glob("*.py") if each not in entries]
            members += [each.parent for each in folder.glob("*/__init__.py")]
            if len(members) > MOST_MEMBERS:
                crowds[str(folder.relative_to(ROOT))] = len(members)
    assert crowds == {}


def test_only_one_module_of_the_analysis_talks_to_the_database() -> None:
    talking = {
        module.name
        for module in modules("analysis")
        if any(is_under(name, "psycopg") for name in imported(module))
    }
    assert talking == {"postgres.py"}


AWS = ("boto3", "botocore", "analysis.evidence.aws_client")


def test_of_the_analysis_only_what_reads_s3_and_the_data_api_talks_to_aws() -> None:
    talking = {
        module.name
        for module in modules("analysis")
        if any(is_under(name, each) for name in imported(module) for each in AWS)
    }
    assert talking == {"aws_client.py", "bucket.py", "data_api.py"}


def test_no_module_is_a_kitchen_sink() -> None:
    banned = {"utils", "util", "helpers", "common", "manager", "misc"}
    assert [m for package in OURS for m in modules(package) if m.stem.strip("_") in banned] == []


def test_locust_finds_only_files_with_users() -> None:
    loadable = [each.name for each in modules("locustfiles") if not each.name.startswith("_")]
    assert loadable == ["prober.py", "shoppers.py"]
    # Locust registers a locustfile under its bare name: it must not hide one of our packages.
    assert not {Path(name).stem for name in loadable} & set(OURS)


def test_listeners_of_locust_are_registered_in_one_place() -> None:
    registering = [m.name for m in modules("harness") if "add_listener" in m.read_text("utf-8")]
    assert registering == ["listeners.py"]


def test_public_is_what_has_no_underscore() -> None:
    listing = "\n__all__ ="
    assert [
        m for package in OURS for m in modules(package) if listing in m.read_text("utf-8")
    ] == []


MOST_LINES, MOST_LINES_OF_A_FUNCTION = 400, 50


def test_files_and_functions_are_short() -> None:
    files, functions = set(), set()
    for module in (each for package in OURS for each in modules(package)):
        text, name = module.read_text(encoding="utf-8"), str(module.relative_to(ROOT))
        if text.count("\n") > MOST_LINES:
            files.add(name)
        for node in ast.walk(ast.parse(text)):
            lines = getattr(node, "end_lineno", 0) - getattr(node, "lineno", 0) + 1
            if isinstance(node, ast.FunctionDef) and lines > MOST_LINES_OF_A_FUNCTION:
                functions.add(f"{name}: {node.name}")
    assert (files, functions) == (set(), set())
