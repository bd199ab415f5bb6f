"""Text files as others saved them: UTF-8 is read, all else is named with the way out. Pure.

A byte order mark at the beginning is taken and left out.
"""

from analysis.evidence.errors import EvidenceError

__all__ = ["UTF_8", "text_of", "why_not_utf_8"]

UTF_8 = "utf-8-sig"
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")


def text_of(content: bytes, *, of: object) -> str:
    """Return the text of a file that is named `of`; EvidenceError if it is empty or no UTF-8."""
    if not content.strip():
        message = f"{of} is empty; write it anew, or restore it from a copy"
        raise EvidenceError(message)
    try:
        text = content.decode(UTF_8)
    except UnicodeDecodeError as error:
        message = f"{of} {why_not_utf_8(content)}"
        raise EvidenceError(message) from error
    if "\0" in text[:2]:  # every second byte of UTF-16 is one where there is no mark to tell
        message = f"{of} {why_not_utf_8(_UTF_16[0])}"
        raise EvidenceError(message)
    return text


def why_not_utf_8(first: bytes) -> str:
    """Say what the encoding is, as far as the first bytes tell, and what to do."""
    if first.startswith(_UTF_16):
        return "is UTF-16, as PowerShell's > writes it; save it as UTF-8"
    return "is not UTF-8; save it as UTF-8"
