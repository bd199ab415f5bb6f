"""`shop.wsgi:app`: the shop with its settings from the environment.

It comes up without the database, so that a worker which is replaced during an outage
does not take its server down. The tables are made once per server, by
`shop.gunicorn_conf`, or by `python -m shop.start` where another server is used.
"""

from shop.observation.logs import start_logging
from shop.start import load_settings_or_exit
from shop.web.app import create_app

start_logging()
app = create_app(load_settings_or_exit())
