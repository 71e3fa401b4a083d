"""The queue drops its oldest items, or waits for room."""

import threading

from dvfl_mmaction.deployment.live.latest_queue import LatestQueue


def taken(queue):
    items = []
    while not queue.is_finished:
        items.append(queue.get())
    return items


def test_a_full_queue_drops_its_oldest_items_and_counts_them():
    queue = LatestQueue(2)
    for item in range(5):
        queue.put(item)
    queue.close()
    assert taken(queue) == [3, 4]
    assert queue.dropped == 3


def test_without_dropping_a_full_queue_waits_for_room():
    queue = LatestQueue(2, drop_oldest=False)

    def fill():
        for item in range(50):
            queue.put(item)
        queue.close()

    thread = threading.Thread(target=fill)
    thread.start()
    assert taken(queue) == list(range(50))
    thread.join()
    assert queue.dropped == 0


def test_stale_items_are_dropped_for_newer_ones_but_not_the_last():
    queue = LatestQueue(4)
    for item in range(4):
        queue.put(item)
    assert queue.get(is_stale=lambda item: item < 2) == 2
    assert queue.get(is_stale=lambda item: True) == 3
    assert queue.dropped == 2


def test_an_empty_queue_gives_none_after_the_timeout():
    queue = LatestQueue(1)
    assert queue.get(timeout_s=0.01) is None
    assert not queue.is_finished


def test_closing_releases_a_thread_that_waits_and_ignores_new_items():
    full = LatestQueue(1, drop_oldest=False)
    full.put('kept')
    waiting = threading.Thread(target=full.put, args=('too late',))
    waiting.start()
    full.close()
    waiting.join(10)
    assert not waiting.is_alive()
    assert taken(full) == ['kept']
    empty, found = LatestQueue(1), []
    waiting = threading.Thread(target=lambda: found.append(empty.get()))
    waiting.start()
    empty.close()
    waiting.join(10)
    assert found == [None]
