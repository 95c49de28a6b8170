"""Python's collector of reference cycles, tuned for a program that stays.

Nearly all that a controller holds after its start (modules, models, what is known of the fleet) stays as long as it
does. To walk through it again takes 50 ms and more, in which nothing else happens, and a title of ten thousand files
set it off time and again.
"""

from __future__ import annotations

import gc

YOUNG = 20_000  # objects more than were freed, before the young ones are looked through (Python's own: 700)


def spare_what_stays() -> None:
    """Look for cycles among what comes from now on only. Call it once, when all is loaded."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG, *gc.get_threshold()[1:])
