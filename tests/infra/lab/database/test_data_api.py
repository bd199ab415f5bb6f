"""What the Data API says to who names what there is not: by codes that AWS's model has."""

from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from infra.lab.cloud.names import REGION
from infra.lab.database.data_api import CLUSTER_ARN, SECRET_ARN, DataApi
from infra.lab.database.postgres import Postgres
from infra.lab.processes.guard import Guard
from tests.data_api import served

pytestmark = pytest.mark.lab

OURS = {"resourceArn": CLUSTER_ARN, "secretArn": SECRET_ARN, "database": "shop"}


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with Guard() as guard:
        server = Postgres(folder=tmp_path_factory.mktemp("postgres"), guard=guard)
        server.start()
        api = DataApi(server.url)
        with served(api) as address:
            yield boto3.client(
                "rds-data",
                endpoint_url=address,
                region_name=REGION,
                aws_access_key_id="lab",
                aws_secret_access_key="lab",
            )
        api.close()
        server.stop()


def test_who_names_what_there_is_is_answered(client: Any) -> None:
    assert client.execute_statement(sql="SELECT 1", **OURS)["records"] == [[{"longValue": 1}]]


@pytest.mark.parametrize(
    ("changed", "code", "status"),
    [
        ({"resourceArn": f"{CLUSTER_ARN}-2"}, "DatabaseNotFoundException", 404),
        ({"secretArn": f"{SECRET_ARN}-2"}, "SecretsErrorException", 400),
        # As AWS answers with PostgreSQL behind it (aws-cli's issue 8577).
        ({"database": "other"}, "DatabaseErrorException", 400),
    ],
    ids=["cluster", "secret", "database"],
)
def test_who_names_what_there_is_not_is_refused(
    client: Any, changed: dict[str, str], code: str, status: int
) -> None:
    asked = OURS | changed
    calls: dict[str, Callable[[], object]] = {
        "ExecuteStatement": lambda: client.execute_statement(sql="SELECT 1", **asked),
        "BeginTransaction": lambda: client.begin_transaction(**asked),
    }
    for call, make in calls.items():
        with pytest.raises(ClientError) as caught:
            make()
        response: Any = caught.value.response
        assert response["Error"]["Code"] == code
        assert response["ResponseMetadata"]["HTTPStatusCode"] == status
        operation = client.meta.service_model.operation_model(call)
        assert code in {each.name for each in operation.error_shapes}
        if "database" in changed:
            said = 'ERROR: database "other" does not exist; SQLState: 3D000'
            assert response["Error"]["Message"] == said
