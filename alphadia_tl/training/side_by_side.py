"""Small networks gain little from a second processor: two trainings side by side gain more."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import torch

T = TypeVar("T")
Jobs = Mapping[str, Callable[[], T]]


class CancelledError(Exception):
    """What runs beside this has failed."""


@dataclass
class _Lane(Generic[T]):
    """Jobs that run one after the other, with threads of their own."""

    jobs: Jobs[T]
    threads: int
    failed: threading.Event
    job: str = ""
    done: dict[str, T] = field(default_factory=dict)
    error: BaseException | None = None

    def run(self) -> None:
        torch.set_num_threads(self.threads)
        token = _lane.set(self)
        try:
            for name, job in self.jobs.items():
                self.job = name
                self.done[name] = job()
        except BaseException as error:  # raised again by whoever waits
            self.error = error
            self.failed.set()
        finally:
            _lane.reset(token)


_lane: ContextVar[_Lane[Any] | None] = ContextVar("lane", default=None)


def stop_if_cancelled() -> None:
    """Raise `CancelledError` where what runs beside the caller has failed; long work asks once in a while."""
    lane = _lane.get()
    if lane is not None and lane.failed.is_set():
        raise CancelledError


def run_side_by_side(here: Jobs[T], beside: Jobs[T]) -> dict[str, T]:
    """Run two rows of jobs at the same time, each with half of torch's threads.

    With one thread, or nothing on one side, all jobs run one after the other. What is logged meanwhile begins
    with the job's name.

    ``here`` are the jobs of the calling thread, ``beside`` those of another. The latter may not draw from torch's
    global random state: the numbers that each side gets would depend on chance. What a job raises is raised; the other
    side then stops where it next calls `stop_if_cancelled`.
    """
    threads = torch.get_num_threads()
    if threads < 2 or not here or not beside:
        return {name: job() for name, job in (*here.items(), *beside.items())}
    failed = threading.Event()
    other = _Lane(beside, threads // 2, failed)
    own = _Lane(here, threads - threads // 2, failed)
    thread = threading.Thread(target=other.run, name="beside")
    with _named_lines():
        thread.start()
        try:
            own.run()
            thread.join()
        finally:  # an interrupt while it waits
            failed.set()
            thread.join()
            torch.set_num_threads(threads)
    errors = [e for e in (own.error, other.error) if e is not None]
    for error in sorted(errors, key=lambda e: isinstance(e, CancelledError)):
        raise error
    return own.done | other.done


@contextlib.contextmanager
def _named_lines() -> Iterator[None]:
    make = logging.getLogRecordFactory()

    def named(*args: object, **kwargs: object) -> logging.LogRecord:
        record = make(*args, **kwargs)
        lane = _lane.get()
        if lane is not None:
            record.msg = f"[{lane.job}] {record.msg}"
        return record

    logging.setLogRecordFactory(named)
    try:
        yield
    finally:
        logging.setLogRecordFactory(make)
