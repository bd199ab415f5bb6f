"""Chaos Shop: products, stock and orders over HTTP. It knows nothing of being tested.

Start it with `python -m gunicorn --config python:shop.gunicorn_conf shop.wsgi:app`.
"""
