"""The command line: one module per verb or small group, loaded only when it is used.

Ctrl-C while Python still imports, or already ends, meets nobody who could tell it in a sentence. So it ends the process
without a word then, as it ends most programs. Only where this process is the program: others keep their handlers.
"""

import os
import signal
import sys

from telarchy.runtime.terminal import has_terminal

IS_PROGRAM = sys.argv[0].rpartition("/")[2] in ("telarchy", "kubectl-telarchy", "__main__.py")


def interrupts_end_it() -> None:
    """Until the verb begins, and after it."""
    if IS_PROGRAM and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)


def interrupts_are_told() -> None:
    """From here on Ctrl-C is a KeyboardInterrupt. Who ignores it (`nohup`, `&` in scripts) goes on to."""
    if IS_PROGRAM and signal.getsignal(signal.SIGINT) is signal.SIG_DFL:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def hangups_mean_to_look() -> None:
    """SIGHUP asks `run` to look again, and must not end one that has yet to look for the first time: systemd takes
    what a SIGHUP ended for something that meant to end, and leaves it so. With its terminal gone it ends."""
    on_terminal = has_terminal()

    def hang_up(number: int, frame: object) -> None:
        if on_terminal and not has_terminal():
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)

    if IS_PROGRAM and "run" in sys.argv and signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:
        signal.signal(signal.SIGHUP, hang_up)


interrupts_end_it()
hangups_mean_to_look()
