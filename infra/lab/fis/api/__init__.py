"""FIS's API: the calls, the form of their requests, tokens, the catalogue, the safety lever.

Imports all of FIS but single actions.
"""
