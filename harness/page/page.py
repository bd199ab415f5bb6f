"""The Chaos page in Locust's web UI: its routes, and who may ask for them.

What it shows is in `live_view.py`; its HTML, CSS and scripts are files in `web/`.
"""

import hmac
import json
import secrets
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from flask import Blueprint, Flask, Response, jsonify, make_response, request, send_file
from locust.web import WebUI

from harness.page.live_view import live_view
from harness.page.results import known_files
from harness.page.runs_seen import Watch

_WEB = Path(__file__).resolve().parent / "web"
_ASSETS = {
    "chaos.css": "text/css",
    "chaos.js": "text/javascript",
    "chart.js": "text/javascript",
    "navigation.js": "text/javascript",
}
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
)
# A report has scripts of its own. In a sandbox they are of no origin, and reach nothing here.
_REPORT_POLICY = "sandbox allow-scripts allow-downloads allow-popups"
_SHOWN = {".html", ".png"}
_TOKEN_HEADER = "X-Chaos-Token"  # noqa: S105 -- the name of a header
_HARMLESS = frozenset({"GET", "HEAD", "OPTIONS"})


class _Page:
    """The routes' functions. None raises: Locust's login would make a good answer of it."""

    def __init__(self, web_ui: WebUI, watch: Watch) -> None:
        self._web_ui = web_ui
        self._watch = watch
        self._token = secrets.token_urlsafe(24)

    def index(self) -> Response:
        """Answer the page, with the token that its buttons need."""
        html = (_WEB / "chaos.html").read_text(encoding="utf-8")
        return make_response(html.replace("{{ token }}", self._token))

    def live(self) -> Response:
        """Answer the run as it stands, as JSON."""
        view = live_view(
            self._watch,
            self._web_ui.environment,
            run_id=request.args.get("run", ""),
            since=request.args.get("since", 0, type=int),
            after=request.args.get("after", 0, type=int),
        )
        # Not by jsonify: in Locust's debug mode it indents, which takes ten times as long.
        return Response(json.dumps(view, separators=(",", ":")), mimetype="application/json")

    def inject(self) -> Response:
        """Fire the fault now."""
        watched = self._watch.newest
        if watched.run is None or watched.state != "running":
            return self._refuse("no users are there, so there is nothing to disturb")
        return self._answer(watched.run.inject_now())

    def stop(self) -> Response:
        """Stop the experiment, as the end of the run would."""
        run = self._watch.newest.run
        if run is None:
            return self._refuse("there is no run")
        return self._answer(run.hook.stop_now())

    def file(self, run_id: str, name: str) -> Response:
        """Send one of the known files of a run of this Locust."""
        directory = self._watch.directory(run_id)
        if directory is None or name not in known_files(directory.path):
            return make_response("no such file of a run of this Locust\n", 404)
        is_shown = Path(name).suffix in _SHOWN
        answer = send_file(directory.path / name, as_attachment=not is_shown, max_age=0)
        if name.endswith(".html"):
            answer.headers["Content-Security-Policy"] = _REPORT_POLICY
        return answer

    def asset(self, name: str) -> Response:
        """Send a stylesheet or a script."""
        if name not in _ASSETS:
            return make_response("no such file\n", 404)
        return send_file(_WEB / name, mimetype=_ASSETS[name], max_age=0)

    def may_act(self) -> bool:
        """Whether a request to act bears the page's token."""
        given = request.headers.get(_TOKEN_HEADER, "")
        return hmac.compare_digest(given.encode(), self._token.encode())

    def _answer(self, why_not: str) -> Response:
        return self._refuse(why_not) if why_not else jsonify({"done": True})

    def _refuse(self, why_not: str) -> Response:
        return make_response(jsonify({"done": False, "why": why_not}), 409)


def add_chaos_page(web_ui: WebUI, watch: Watch, *, base_path: str) -> None:
    """Add the page and the way to it, before the web UI starts to answer."""
    app = web_ui.app
    if app is None:
        return
    page = _Page(web_ui, watch)
    chaos = Blueprint("chaos", __name__, url_prefix=f"{base_path.rstrip('/')}/chaos")
    routes: dict[str, Callable[..., Response]] = {
        "/": page.index,
        "/live": page.live,
        "/runs/<run_id>/<name>": page.file,
    }
    for rule, answer in routes.items():
        chaos.add_url_rule(rule, answer.__name__, _behind_login(web_ui, answer), methods=["GET"])
    # Nothing is in these that is not in the clone; Locust's own are open before the login too.
    chaos.add_url_rule("/assets/<name>", "asset", page.asset, methods=["GET"])
    for answer in (page.inject, page.stop):
        chaos.add_url_rule(
            f"/{answer.__name__}",
            answer.__name__,
            _behind_login(web_ui, _with_token(page, answer)),
            methods=["POST"],
        )
    app.before_request(_refuse_other_sites)
    # The first of these is the last to be applied: after Locust's own, which opens all to all.
    app.after_request_funcs.setdefault(None, []).insert(0, _close)
    app.register_blueprint(chaos)
    _add_way(web_ui, app, base_path)
    _say_that_it_begins(app, watch)


def _behind_login(web_ui: WebUI, answer: Callable[..., Response]) -> Callable[..., Response]:
    guarded: Callable[..., Response] = web_ui.auth_required_if_enabled(  # type: ignore[no-untyped-call]
        answer
    )
    return guarded


def _with_token(page: _Page, answer: Callable[[], Response]) -> Callable[[], Response]:
    def answer_if_it_may() -> Response:
        return answer() if page.may_act() else make_response("reload the page first\n", 403)

    return answer_if_it_may


def _refuse_other_sites() -> Response | None:
    """Refuse what another site's page makes a browser ask for, of Locust's own routes too."""
    if request.method in _HARMLESS:
        return None
    origin = request.headers.get("Origin")
    is_elsewhere = origin is not None and urlsplit(origin).netloc != request.host
    if is_elsewhere or request.headers.get("Sec-Fetch-Site") in {"cross-site", "same-site"}:
        return make_response("this may only be asked for from this page itself\n", 403)
    return None


def _close(response: Response) -> Response:
    """Let no other site read our page, which holds the token, nor frame or guess its parts."""
    if request.blueprint != "chaos":
        return response
    for name in tuple(response.headers.keys()):
        if name.lower().startswith("access-control-"):
            response.headers.pop(name)
    response.headers.setdefault("Content-Security-Policy", _POLICY)
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Referrer-Policy"] = "no-referrer"
    response.headers.setdefault("Cache-Control", "no-store")
    return response


def _add_way(web_ui: WebUI, app: Flask, base_path: str) -> None:
    """Put a tab among Locust's, and a link where it shows none."""
    # The tab's own content would be a table: navigation.js goes to the page instead.
    web_ui.template_args["extended_tabs"] = [
        *web_ui.template_args.get("extended_tabs", []),
        {"title": "Chaos", "key": "chaos"},
    ]
    front = {f"{base_path.rstrip('/')}/", base_path or "/"}

    @app.after_request
    def add_link(response: Response) -> Response:
        is_front = request.endpoint == "locust.index" and request.path in front
        if is_front and response.mimetype == "text/html" and not response.direct_passthrough:
            html = response.get_data(as_text=True)
            script = '<script src="./chaos/assets/navigation.js" defer></script>'
            response.set_data(html.replace("</body>", f"{script}</body>", 1))
        return response


def _say_that_it_begins(app: Flask, watch: Watch) -> None:
    """Keep Locust's page from going back to its form while a run gets ready, which takes seconds.

    And let the form have our arguments in our order: one that belongs to another is beside it.
    """
    app.jinja_env.policies["json.dumps_kwargs"] = {"sort_keys": False}

    @app.after_request
    def add_state(response: Response) -> Response:
        is_asked = request.endpoint == "locust.request_stats" and response.is_json
        if is_asked and watch.has_run and watch.newest.state == "preparing":
            found = response.get_json()
            response.set_data(app.json.dumps({**found, "state": "spawning"}))
        return response
