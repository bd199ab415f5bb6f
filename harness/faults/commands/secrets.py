"""What must not be written down, taken out of a command or of what it printed."""

import os
import re

_SECRET_NAME = re.compile(
    r"PASSWORD|PASSWD|SECRET|TOKEN|CREDENTIAL|API_?KEY|PRIVATE|ACCESS_KEY|DATABASE_URL",
    re.IGNORECASE,
)
_IN_URL = re.compile(r"(?P<before>[a-z][a-z0-9+.-]*://[^\s:/@]*:)[^\s/]*@", re.IGNORECASE)
_NAMED = re.compile(
    r"(?P<before>[\w-]*(?:password|passwd|secret|token|api[_-]?key)[\w-]*[\"']?\s*[=: ]\s*)"
    r"(?:\"[^\"]*\"|'[^']*'|[^\s\"']+)",
    re.IGNORECASE,
)
_AWS_KEY = re.compile(r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b")
_SHORTEST = 6


def masked(text: str) -> str:
    """Return the text with `***` for secret variables' values, passwords in URLs, and such."""
    for name, value in os.environ.items():
        if len(value) >= _SHORTEST and _SECRET_NAME.search(name):
            text = text.replace(value, "***")
    text = _IN_URL.sub(r"\g<before>***@", text)
    return _AWS_KEY.sub("***", _NAMED.sub(r"\g<before>***", text))
