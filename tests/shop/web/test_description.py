"""The description says what the shop does: requests made at random from it find nothing else."""

import warnings
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
import schemathesis
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.examples import examples

pytestmark = pytest.mark.lab

MakeShop = Callable[..., Flask]
Rows = Callable[[str], list[tuple[object, ...]]]

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
# Of each operation that has parameters or a body; the rest has hardly more than one case.
CASES = {"POST /orders": 1800, "GET /orders": 400}
FEWER_CASES = 240
LEAST_CASES = examples(2500).max_examples


@pytest.mark.slow
@pytest.mark.timeout(1200)  # it is all work and no waiting: a busy machine takes that much longer
def test_no_request_made_from_the_description_gets_an_answer_that_is_not_in_it(
    make_shop: MakeShop, rows: Rows
) -> None:
    # No answer is that the shop is too busy, however busy the machine is.
    limits = ("lock_timeout_ms", "statement_timeout_ms", "request_timeout_ms")
    shop = make_shop(**dict.fromkeys(limits, 60_000))
    # Every other product is sold out, so that some orders find one that is.
    rows("UPDATE products SET stock = CASE WHEN id % 2 = 0 THEN 0 ELSE 2000000000 END")
    schema = schemathesis.openapi.from_wsgi("/openapi.json", shop)
    tried: Counter[str] = Counter()
    statuses: Counter[int] = Counter()
    for result in schema.get_all_operations():
        assert isinstance(result, Ok), result
        _try(result.ok(), tried, statuses)
    assert sum(tried.values()) >= LEAST_CASES, tried
    # It was no walk through refusals alone.
    assert statuses.keys() >= {200, 201, 400, 404, 422}, statuses
    if settings().max_examples >= 100:  # in few cases it is chance whether one is sold out
        assert statuses[409], statuses


def _try(operation: Any, tried: Counter[str], statuses: Counter[int]) -> None:
    modes = [schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE]
    has_input = operation.definition.raw.get("parameters")
    for mode in modes if has_input else modes[:1]:
        most = CASES.get(operation.label, FEWER_CASES) // 2 if has_input else 1

        @settings(
            examples(most),
            derandomize=True,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy(generation_mode=mode))
        def ask(case: Any) -> None:
            answer = case.call()
            tried[operation.label] += 1
            statuses[answer.status_code] += 1
            case.validate_response(answer, checks=CHECKS)

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ask()


def test_the_description_names_every_endpoint(client: FlaskClient) -> None:
    described = client.get("/openapi.json").get_json()
    assert described["openapi"].startswith("3.1")
    rules = {
        (rule.rule.replace("<row_id:", "{").replace(">", "}"), method.lower())
        for rule in client.application.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    assert {(path, verb) for path, verbs in described["paths"].items() for verb in verbs} == rules
