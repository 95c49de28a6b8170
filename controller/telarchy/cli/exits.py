"""Exit codes. They are part of the interface: scripts depend on them."""

from __future__ import annotations

OK = 0
ERROR = 1
CHANGES = 2
NOT_SETTLED = 3
USAGE = 64
BUG = 70
INTERRUPTED = 130
READER_GONE = 141
TERMINATED = 143

TEXT = """\
Exit codes:

  0    done; for `plan`: nothing would be done; for `run --until-settled`: everything declared is so
  1    an error, told on stderr; for `validate`: errors in manifests (with --strict, warnings too);
       for `schema --check`: the files are stale
  2    `plan` only: there are changes to make (waiting and held ones count)
  3    `run --until-settled` and `reconcile --wait`: not settled before the timeout
  64   the command line itself is wrong
  70   a bug in Telarchy; the details are in a crash file that the message names
  130  interrupted with Ctrl-C
  141  whoever read the output went away (as in `telarchy events | head -1`)
  143  `run --until-settled`: told to stop (SIGTERM) before everything was as declared
"""
