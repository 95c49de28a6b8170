"""The command line: one module per verb or small group, loaded only when it is used.

Ctrl-C while Python still imports, or already ends, meets nobody who could tell it in a sentence. So it ends the process
without a word then, as it ends most programs. Only where this process is the program: others keep their handlers.
"""

import signal
import sys

IS_PROGRAM = sys.argv[0].rpartition("/")[2] in ("telarchy", "kubectl-telarchy", "__main__.py")


def interrupts_end_it() -> None:
    """Until the verb begins, and after it."""
    if IS_PROGRAM and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)


def interrupts_are_told() -> None:
    """From here on Ctrl-C is a KeyboardInterrupt. Who ignores it (`nohup`, `&` in scripts) goes on to."""
    if IS_PROGRAM and signal.getsignal(signal.SIGINT) is signal.SIG_DFL:
        signal.signal(signal.SIGINT, signal.default_int_handler)


interrupts_end_it()
