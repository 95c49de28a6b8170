"""Noticing that somebody undoes what is done: another controller, with another declaration for the same folder.

Two that do not know of each other would start and stop the same services for ever, and viewers would have neither.
What was put several times within a short while, and was not there any more each time, is left for some minutes.
"""

from __future__ import annotations

from collections import deque

from telarchy.streaming.actions import PutKeys, PutService, StreamingAction

MOST = 4  # times that the same thing is put
MOST_RELOADS = 8  # an edge that changes its source and returns reloads the same again
SPAN_SECONDS = 120.0  # within
PAUSE_SECONDS = 300.0
WHY = "it was undone each time, several times within minutes: another controller seems to have this endpoint, too"


class Contests:
    """What was put lately, by the action's id."""

    def __init__(self) -> None:
        self._done: dict[str, deque[float]] = {}

    def note(self, action: StreamingAction, now: float) -> None:
        """It was carried out."""
        if isinstance(action, PutKeys | PutService):
            most = MOST_RELOADS if isinstance(action, PutService) and action.how == "reload" else MOST
            self._done.setdefault(action.id, deque(maxlen=most)).append(now)
        for one, times in list(self._done.items()):
            if now - times[-1] > PAUSE_SECONDS:
                del self._done[one]

    def until(self, now: float) -> dict[str, float]:
        """Actions that wait, and until when."""
        return {
            one: times[-1] + PAUSE_SECONDS
            for one, times in self._done.items()
            if len(times) == times.maxlen
            and times[-1] - times[0] <= SPAN_SECONDS
            and now < times[-1] + PAUSE_SECONDS
        }
