"""JSON as the shop writes it: compact, its fields in the order in which they were written."""

import json
from typing import Any

from flask import Response
from flask.json.provider import DefaultJSONProvider

# Made once: json.dumps makes one for each text that is not quite plain.
ENCODER = json.JSONEncoder(separators=(",", ":"))


class ShopJSON(DefaultJSONProvider):
    """Flask's way to JSON, by our encoder."""

    def response(self, *args: Any, **kwargs: Any) -> Response:
        """Return an answer with the arguments as its body."""
        body = ENCODER.encode(self._prepare_response_obj(args, kwargs))
        return Response(f"{body}\n", mimetype=self.mimetype)
