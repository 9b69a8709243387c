"""Passphrases kept out of the evidence: a guest may echo what is typed at the wrong moment."""

from collections.abc import Iterable

from vmdk2kvm.model.luks import Secret

_STARS = b"***"


class Scrubber:
    """Replaces secrets in texts, and in a stream whose pieces may end inside one."""

    def __init__(self, secrets: Iterable[Secret]) -> None:
        # the longest first: one may begin with another
        self._secrets = sorted({each.reveal() for each in secrets} - {b""}, key=len, reverse=True)
        self._held = b""

    def feed(self, chunk: bytes) -> bytes:
        """What of the stream may be shown now; the beginning of a secret is held back."""
        whole = self._replaced(self._held + chunk)
        kept = max((_overlap(whole, secret) for secret in self._secrets), default=0)
        shown, self._held = whole[: len(whole) - kept], whole[len(whole) - kept :]
        return shown

    def flush(self) -> bytes:
        """What was held back at the end of the stream."""
        held, self._held = self._held, b""
        return held

    def text(self, text: str) -> str:
        raw = text.encode("utf-8", "surrogateescape")
        clean = self._replaced(raw)
        return text if clean == raw else clean.decode("utf-8", "surrogateescape")

    def _replaced(self, content: bytes) -> bytes:
        for secret in self._secrets:
            content = content.replace(secret, _STARS)
        return content


def _overlap(content: bytes, secret: bytes) -> int:
    """How many bytes at the end of `content` begin `secret`."""
    longest = min(len(secret) - 1, len(content))
    return next((size for size in range(longest, 0, -1) if content.endswith(secret[:size])), 0)
