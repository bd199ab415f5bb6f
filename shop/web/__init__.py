"""Requests and answers: the Flask application, its endpoints, errors and description.

Imports all other packages of the shop but `serving`.
"""
