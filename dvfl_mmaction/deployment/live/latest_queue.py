"""A bounded queue between two threads that can drop its oldest items."""

import threading
from collections import deque
from collections.abc import Callable


class LatestQueue:
    """A queue of bounded size.

    Args:
        size: Most items that wait.
        drop_oldest: Whether a full queue drops its oldest item for a new
            one; otherwise the new one waits for room.

    Attributes:
        dropped: Number of items that were dropped.
    """

    def __init__(self, size: int, drop_oldest: bool = True):
        self.size = size
        self.drop_oldest = drop_oldest
        self.dropped = 0
        self._items = deque()
        self._changed = threading.Condition()
        self._closed = False

    def put(self, item):
        """Add an item; a closed queue ignores it."""
        with self._changed:
            if self.drop_oldest:
                while len(self._items) >= self.size:
                    self._items.popleft()
                    self.dropped += 1
            else:
                self._changed.wait_for(
                    lambda: self._closed or len(self._items) < self.size
                )
            if not self._closed:
                self._items.append(item)
                self._changed.notify_all()

    def get(
        self,
        timeout_s: float | None = None,
        is_stale: Callable[[object], bool] | None = None,
    ):
        """Take the oldest item.

        Args:
            timeout_s: Longest time to wait; None for no limit.
            is_stale: Items for which this is true are dropped while a newer
                one waits.

        Returns:
            None if there is none after ``timeout_s``, or if the queue is
            closed and empty.
        """
        with self._changed:
            self._changed.wait_for(
                lambda: self._closed or self._items, timeout_s
            )
            if not self._items:
                return None
            item = self._items.popleft()
            while self._items and is_stale and is_stale(item):
                item = self._items.popleft()
                self.dropped += 1
            self._changed.notify_all()
            return item

    def close(self):
        """Accept no more items; those that wait can still be taken."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    @property
    def is_finished(self) -> bool:
        """Whether it is closed and empty."""
        with self._changed:
            return self._closed and not self._items
