"""Streams that wait for answers are read at the same time; one writer keeps their order.

The SDK's ``sync_all`` is final and reads one stream after the other. So the first of our streams
that it comes to starts the reading of all of them, and writes whatever arrives, of any stream,
until its own is finished; the others then find their work partly or wholly done. All threads of
the tap are in this file, and they only read: SCHEMA, RECORD and STATE are written by the thread
that runs ``sync_all``.

Within a stream, pages are written part by part and in order, so a bookmark never covers what is
not written. A reader that is ahead waits; memory does not grow with what there is to read.
"""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from tap_journeys.sources.base import ApiStream, Page

POLL_S = 0.5  # how soon a waiting reader notices that its stream has stopped

T = TypeVar("T")
R = TypeVar("R")


class _End:
    """The last item of a part: how its reading ended."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.error = error


class _Lane:
    """The reading of one stream."""

    def __init__(self, stream: ApiStream, ready: queue.SimpleQueue[_Lane]) -> None:
        self.stream = stream
        self.parts: deque[queue.Queue[Page | _End]] = deque()
        self.planned = False  # no further parts will come
        self.stopped = False
        self._ready = ready
        self._room = threading.Semaphore(stream.width)

    def start(self) -> None:
        _thread(self._plan, self.stream.begin())

    def _plan(self, bookmark: Mapping[str, Any]) -> None:
        """Start a reader for each part, no more at once than the stream's width."""
        error: BaseException | None = None
        try:
            for part in self.stream.plan(bookmark):
                while not self._room.acquire(timeout=POLL_S):
                    if self.stopped:
                        return
                if self.stopped:
                    return
                pages: queue.Queue[Page | _End] = queue.Queue(self.stream.ahead)
                self.parts.append(pages)
                _thread(self._read, part, pages)
        except Exception as caught:  # said by the writer, in one line
            error = caught
        if error is not None:
            failed: queue.Queue[Page | _End] = queue.Queue()
            failed.put(_End(error))
            self.parts.append(failed)
        self.planned = True
        self._ready.put(self)

    def _read(self, part: Any, pages: queue.Queue[Page | _End]) -> None:
        error: BaseException | None = None
        try:
            for page in self.stream.read(part):
                if not self._put(pages, page):
                    return
        except Exception as caught:  # said by the writer, in one line
            error = caught
        self._put(pages, _End(error))

    def _put(self, pages: queue.Queue[Page | _End], item: Page | _End) -> bool:
        while not self.stopped:
            try:
                pages.put(item, timeout=POLL_S)
            except queue.Full:
                continue
            self._ready.put(self)
            return True
        return False

    def next_item(self) -> Page | _End | None:
        """What is to be written next, if it is there."""
        while self.parts:
            try:
                item = self.parts[0].get_nowait()
            except queue.Empty:
                return None
            if isinstance(item, _End):
                self.parts.popleft()
                self._room.release()
                if item.error is None:
                    continue
            return item
        return _End() if self.planned else None


class SideBySide:
    """The reading of all streams that are read by requests."""

    def __init__(self, streams: Sequence[ApiStream]) -> None:
        self._ready: queue.SimpleQueue[_Lane] = queue.SimpleQueue()
        self._lanes = [_Lane(stream, self._ready) for stream in streams]
        self._started = False

    def write_until_finished(self, stream: ApiStream) -> None:
        """Write the pages of all streams as they come, until this one has no more."""
        if not self._started:
            self._started = True
            for lane in self._lanes:
                lane.start()
        while not stream.finished:
            self._write(self._ready.get())

    def _write(self, lane: _Lane) -> None:
        """Write what a lane has ready."""
        while not lane.stream.finished and (item := lane.next_item()) is not None:
            if isinstance(item, _End):
                if item.error is not None:
                    lane.stream.give_up(item.error)
                lane.stopped = True
                lane.stream.end()
                return
            lane.stream.take(item)
            if lane.stream.stopped:
                lane.stopped = True
                lane.stream.end()


def _thread(target: Callable[..., None], *arguments: Any) -> None:
    # a daemon: a signal must not wait for a vendor's answer
    threading.Thread(target=target, args=arguments, daemon=True).start()


def together(call: Callable[[T], R], items: Iterable[T]) -> Iterator[tuple[T, R | Exception]]:
    """The results of a few independent calls, in order; an error in place of a result."""
    waiting: list[tuple[T, queue.SimpleQueue[R | Exception]]] = []

    def run(item: T, result: queue.SimpleQueue[R | Exception]) -> None:
        try:
            result.put(call(item))
        except Exception as error:  # handed to the caller
            result.put(error)

    for item in items:
        result: queue.SimpleQueue[R | Exception] = queue.SimpleQueue()
        waiting.append((item, result))
        _thread(run, item, result)
    for item, result in waiting:
        yield item, result.get()
