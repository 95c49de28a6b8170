"""Running what the plan wants: starting, leaving alone, cancelling, remembering failures.

The plan decides everything; this only keeps the tasks. An action that a new plan no longer starts is cancelled.
A failure is remembered against the action's id, so that the next plan can say when it is tried again.
"""

from __future__ import annotations

import asyncio
import time
import traceback
from collections.abc import Callable, Mapping
from functools import partial
from typing import Protocol

from telarchy.core.action import Action
from telarchy.core.capability import Capability
from telarchy.core.clock import SteadyClock
from telarchy.core.observation import Attempt, Progress, Running
from telarchy.core.plan import Decision, Plan, Step
from telarchy.errors import ActionFailed, HostUnreachable, SafetyRefusal, TelarchyError

FIRST_RETRY_SECONDS = 5.0
LONGEST_RETRY_SECONDS = 64 * 60.0
PROGRESS_SECONDS = 1.0  # statuses tell of progress at most this often

Outcome = tuple[str, str, str]  # outcome (Done | Failed | Refused | Cancelled), reason, message


class Log(Protocol):
    """Who is told about every finished action. `trace` is for a crash file, never for a person's screen."""

    def finished(self, step: Step, outcome: Outcome, seconds: float, trace: str = "") -> None: ...


def retry_delay(attempt: int) -> float:
    """Seconds before the next try after `attempt` failures: 5 s doubling up to 64 min (Garage's ceiling)."""
    return min(FIRST_RETRY_SECONDS * 2.0 ** (attempt - 1), LONGEST_RETRY_SECONDS)


class Executor:
    """Tasks by action id."""

    def __init__(
        self,
        capabilities: Mapping[str, Capability],
        clock: SteadyClock,
        log: Log,
        changed: Callable[[], None],
    ) -> None:
        self._capabilities = capabilities
        self._clock = clock
        self._log = log
        self._changed = changed
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self.running: dict[str, Running] = {}
        self.attempts: dict[str, Attempt] = {}
        self.on_progress: Callable[[], None] = lambda: None
        self._telling: asyncio.TimerHandle | None = None

    def apply(self, plan: Plan, *, only_of: frozenset[str] | None = None) -> None:
        """Bring the tasks in line with the plan. `only_of`: leave the tasks of other capabilities as they are."""
        wanted = {step.action.id: step for step in plan.steps if step.decision is Decision.START}
        for key, task in list(self._tasks.items()):
            mine = only_of is None or self.running[key].action.capability in only_of
            if key not in wanted and mine and not task.cancelling():
                task.cancel()
        for key, step in wanted.items():
            if key not in self._tasks and step.action.capability in self._capabilities:
                self.running[key] = Running(step.action)
                task = asyncio.create_task(self._run(step), name=f"{step.action.verb} {key}")
                self._tasks[key] = task
                task.add_done_callback(partial(self._never_began, key))

    def forgive(self) -> None:
        """Forget failures and refusals: a person changed something, or asked to try again."""
        self.attempts.clear()

    async def stop(self) -> None:
        """Let go of every task without stopping the jobs on hosts; they are found again by the next controller."""
        for capability in self._capabilities.values():
            capability.detach()
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)
        self._tasks.clear()
        if self._telling is not None:
            self._telling.cancel()

    async def _run(self, step: Step) -> None:
        action, started, trace = step.action, time.monotonic(), ""
        try:
            await self._capabilities[action.capability].act(
                action, lambda progress: self._report(action, progress)
            )
            outcome: Outcome = ("Done", "", "")
            self.attempts.pop(action.id, None)
        except asyncio.CancelledError:
            outcome = ("Cancelled", "NoLongerWanted", "the plan does not want it any more")
            self._end(step, outcome, started, "")
            raise
        except SafetyRefusal as refusal:
            outcome = ("Refused", refusal.rule, str(refusal))
            self._remember(action, refusal.rule, str(refusal), again=False)
        except ActionFailed as failure:
            outcome = ("Failed", failure.reason, str(failure))
            self._remember(action, failure.reason, str(failure), again=failure.transient)
        except HostUnreachable as failure:
            outcome = ("Failed", failure.reason, str(failure))
            self._remember(action, failure.reason, str(failure), again=True)
        except (TelarchyError, OSError, TimeoutError) as failure:
            message = str(failure) or type(failure).__name__
            outcome = ("Failed", "ActionFailed", message)
            self._remember(action, "ActionFailed", message, again=True)
        except Exception as bug:  # noqa: BLE001 - one action's bug must not stop the fleet; it is told, with its trace
            outcome = ("Failed", "InternalError", f"{type(bug).__name__}: {bug}")
            trace = traceback.format_exc()
            self._remember(action, "InternalError", outcome[2], again=True)
        self._end(step, outcome, started, trace)

    def _end(self, step: Step, outcome: Outcome, started: float, trace: str) -> None:
        self._tasks.pop(step.action.id, None)
        self.running.pop(step.action.id, None)
        self._log.finished(step, outcome, time.monotonic() - started, trace)
        self._changed()

    def _never_began(self, key: str, task: asyncio.Task[None]) -> None:
        """A task that was cancelled before its first step ran nothing, its own end included."""
        if self._tasks.get(key) is task:
            del self._tasks[key]
            self.running.pop(key, None)
            self._changed()

    def _remember(self, action: Action, reason: str, message: str, *, again: bool) -> None:
        count = self.attempts[action.id].count + 1 if action.id in self.attempts else 1
        not_before = self._clock.now() + retry_delay(count) if again else None
        self.attempts[action.id] = Attempt(count, reason, message, not_before)

    def _report(self, action: Action, progress: Progress) -> None:
        if action.id not in self.running:
            return
        before = self.running[action.id].progress
        self.running[action.id] = Running(action, progress)
        self.on_progress()
        if _shown(before) != _shown(progress) and self._telling is None:
            self._telling = asyncio.get_running_loop().call_later(PROGRESS_SECONDS, self._tell)

    def _tell(self) -> None:
        """Have statuses written again: how far running work is stands in them."""
        self._telling = None
        self._changed()


def _shown(progress: Progress) -> tuple[str, int]:
    """What a status makes of it: the phase, and tenths."""
    return progress.phase, progress.bytes * 10 // progress.total if progress.total else 0
