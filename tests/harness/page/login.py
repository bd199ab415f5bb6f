"""A locustfile beside ours that gives `--web-login` a door: whoever asks for /let-me-in is in."""

import secrets

from locust import events
from flask import redirect
from flask_login import UserMixin, login_user
from locust.env import Environment
from werkzeug.wrappers import Response


class Guest(UserMixin):  # type: ignore[misc]
    """The one user there is."""

    id = "guest"


def add_login(environment: Environment, **_: object) -> None:
    web_ui = environment.web_ui
    if web_ui is None or web_ui.app is None or not web_ui.web_login:
        return
    web_ui.app.secret_key = secrets.token_hex()
    web_ui.login_manager.user_loader(lambda _: Guest())

    @web_ui.app.route("/let-me-in")
    def let_in() -> Response:
        login_user(Guest())
        return redirect("/chaos/")


events.init.add_listener(add_login)  # type: ignore[no-untyped-call]
