"""FIS's API as HTTP: moto's, with requests checked by AWS's model, and calls that moto lacks."""

import json
from typing import TYPE_CHECKING, Any, cast

from botocore.model import Shape
from moto.core.utils import get_service_model
from moto.fis.exceptions import FISException
from moto.fis.responses import FISResponse

from infra.lab.fis.api.catalog import summaries
from infra.lab.fis.api.request_shape import check_shape
from infra.lab.fis.errors import InvalidRequest

if TYPE_CHECKING:
    from infra.lab.fis.api.control_plane import ControlPlane


class LiveFISResponse(FISResponse):
    """moto makes one for each request."""

    @property
    def _control_plane(self) -> "ControlPlane":
        return cast("ControlPlane", self.fis_backend)

    def call_action(self) -> Any:
        """Answer, unless the request has not the form it must have."""
        try:
            self._check_request()
        except FISException as error:
            headers = dict(error.get_headers()) | {"status": str(error.code)}
            return error.code, headers, error.get_body()
        return super().call_action()

    def _check_request(self) -> None:
        shape: Any = get_service_model("fis").operation_model(self._get_action()).input_shape
        sent = self._body() if self.body else {}
        request = {}
        for name, member in shape.members.items():
            value = self._value(name, member, sent)
            if value is not None:
                request[name] = value
        check_shape(shape, request)

    def _body(self) -> dict[str, Any]:
        try:
            body = json.loads(self.body)
        except ValueError as error:
            raise InvalidRequest("The body is not JSON.") from error
        if not isinstance(body, dict):
            raise InvalidRequest("The body is not a JSON object.")
        return body

    def _value(self, name: str, member: Shape, sent: dict[str, Any]) -> Any:
        key = member.serialization.get("name", name)
        match member.serialization.get("location"):
            case "uri":
                return (self.uri_match or {}).get(key)
            case "querystring":
                values = self.querystring.get(key)
                if not values or member.type_name == "list":
                    return values
                is_number = member.type_name == "integer" and values[0].isdecimal()
                return int(values[0]) if is_number else values[0]
            case _:
                return sent.get(key)

    def get_safety_lever(self) -> str:
        """As GetSafetyLever."""
        lever = self._control_plane.get_safety_lever(self._get_param("id"))
        return json.dumps({"safetyLever": lever})

    def update_safety_lever_state(self) -> str:
        """As UpdateSafetyLeverState."""
        state = self._get_param("state")
        lever = self._control_plane.update_safety_lever_state(
            self._get_param("id"), status=state["status"], reason=state["reason"]
        )
        return json.dumps({"safetyLever": lever})

    def get_action(self) -> str:
        """As GetAction."""
        return json.dumps({"action": self._control_plane.get_action(self._get_param("id"))})

    def list_actions(self) -> str:
        """As ListActions."""
        return self._page("actions", self._control_plane.list_actions)

    def get_target_resource_type(self) -> str:
        """As GetTargetResourceType."""
        kind = self._control_plane.get_target_resource_type(self._get_param("resourceType"))
        return json.dumps({"targetResourceType": kind})

    def list_target_resource_types(self) -> str:
        """As ListTargetResourceTypes."""
        return self._page("targetResourceTypes", self._control_plane.list_target_resource_types)

    def _page(self, what: str, list_them: Any) -> str:
        entries, token = list_them(
            max_results=self._get_int_param("maxResults"), next_token=self._get_param("nextToken")
        )
        page: dict[str, Any] = {what: summaries(entries)}
        return json.dumps(page | ({"nextToken": token} if token else {}))
