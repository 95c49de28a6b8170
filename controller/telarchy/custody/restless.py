"""Titles that change while they are copied: a download that is not done, a recording that goes on.

Every version of such a title is another action, so that no failed action speaks for the next one. Without a
memory of its own each save of a file would begin a copy that the next save makes worthless.
"""

from __future__ import annotations

FIRST_SECONDS = 5.0
LONGEST_SECONDS = 300.0  # what comes to rest is noticed at least so soon
FORGOTTEN_SECONDS = 3600.0


class Restless:
    """When such titles may be tried again: sooner at first, then more and more rarely."""

    def __init__(self) -> None:
        self._titles: dict[str, tuple[int, float]] = {}  # title -> times in a row, when to try again

    def changed(self, title: str, now: float) -> None:
        """It was not the same at the end of a copy as at its beginning."""
        count = self._titles.get(title, (0, 0.0))[0] + 1
        self._titles[title] = (count, now + min(LONGEST_SECONDS, FIRST_SECONDS * 2.0 ** min(count - 1, 10)))

    def held_still(self, title: str) -> None:
        """It was copied."""
        self._titles.pop(title, None)

    def until(self, now: float) -> dict[str, float]:
        """The titles to leave alone now, each with the time until when, in seconds since the epoch."""
        for title, (_, at) in list(self._titles.items()):
            if now - at > FORGOTTEN_SECONDS:
                del self._titles[title]
        return {title: at for title, (_, at) in self._titles.items() if at > now}
