"""What floors selected by until a day ago: one that is taken away by a slip of the pen, or mistyped, costs no digests.

Titles are what patterns make of paths. Without its pattern a title is struck off the record, and with it what its files
were read to be: what had rotted by the time that the pattern is back would be recorded as good.
"""

from __future__ import annotations

from telarchy.custody.roots import DAY, Memory
from telarchy.custody.titles import TitlePatterns
from telarchy.custody.trash import WatchedTime, number

KEPT = "custody/selected"


class SelectedLately:
    """Outlives the process."""

    def __init__(self, memory: Memory, watched: WatchedTime) -> None:
        self._memory, self._watched = memory, watched

    def with_those(self, patterns: TitlePatterns, *, sure: bool) -> TitlePatterns:
        """These patterns, and those that were declared until a day ago. `sure`: all that is declared could be read."""
        now = self._watched.now()
        kept = self._memory.get(KEPT)
        # For each pattern when it was missed first; None while it is declared.
        before: dict[str, float | None] = kept if isinstance(kept, dict) else {}
        after: dict[str, float | None] = dict.fromkeys(sorted(patterns.select))
        for pattern, left in before.items():
            if pattern not in after:
                left = now if left is None and sure else left
                if left is None or now - number(left) <= DAY:
                    after[pattern] = left
        if after != before:
            self._memory.put(KEPT, after)
        return TitlePatterns(after, patterns.exclude)
