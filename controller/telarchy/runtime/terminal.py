"""Whether a person's terminal stands behind this process."""

import os


def has_terminal() -> bool:
    """Whether there is a terminal, and it is still there."""
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return False
    return True
