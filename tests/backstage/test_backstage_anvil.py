import os
import signal
import time

from posthouse.backstage.anvil import Anvil, shared_table
from posthouse.backstage.anvil_table import BUCKETS, DEPTH, SEATS
from posthouse.system.log import DaemonLog


class Sink:
    def __init__(self):
        self.texts = []

    def write(self, _label, _process_id, _severity, text):
        self.texts.append(text)


class Clock:
    def __init__(self):
        self.now = 1_000_000.0

    def __call__(self):
        return self.now


def anvil(seat=None, sink=None, clock=None, interval=600.0):
    return Anvil(DaemonLog("postfix/anvil", sink or Sink()), seat, 60.0, interval, clock or Clock())


def test_connections_and_events_are_counted_by_service_and_client():
    counts = anvil()
    assert counts.connect("smtp", "192.0.2.1") == (1, 1)
    assert counts.connect("smtp", "192.0.2.1") == (2, 2)
    assert counts.connect("smtp", "192.0.2.2") == (1, 1)
    assert counts.connect("submission", "192.0.2.1") == (1, 1)
    counts.disconnect("smtp", "192.0.2.1")
    assert counts.connect("smtp", "192.0.2.1") == (2, 3)
    assert [counts.message("smtp", "192.0.2.1") for _ in range(2)] == [1, 2]
    assert counts.recipient("smtp", "192.0.2.1") == 1
    assert counts.tls_sessions_so_far("smtp", "192.0.2.1") == 0
    assert counts.new_tls_session("smtp", "192.0.2.1") == 1
    assert [counts.tls_sessions_so_far("smtp", "192.0.2.1") for _ in range(2)] == [1, 1]
    assert counts.tls_sessions_so_far("smtp", "192.0.2.9") == 0
    assert counts.authentication("smtp", "192.0.2.1") == 1


def test_a_time_unit_ends_with_the_first_event_after_it():
    clock = Clock()
    counts = anvil(clock=clock)
    counts.connect("smtp", "192.0.2.1")
    clock.now += 60
    assert counts.connect("smtp", "192.0.2.1") == (2, 2)
    clock.now += 1
    assert counts.connect("smtp", "192.0.2.1") == (3, 1)


def test_a_connection_that_nobody_counted_may_end():
    counts = anvil()
    counts.disconnect("smtp", "192.0.2.1")
    assert counts.connect("smtp", "192.0.2.1") == (1, 1)
    counts.disconnect("smtp", "192.0.2.1")
    counts.disconnect("smtp", "192.0.2.1")
    assert counts.connect("smtp", "192.0.2.1") == (1, 2)


def test_workers_at_one_table_count_together_to_the_last_event():
    table = shared_table()
    workers = []
    for _ in range(4):
        seat = table.seat()
        pid = os.fork()
        if not pid:
            counts = Anvil(DaemonLog("postfix/anvil", Sink()), seat)
            for number in range(2000):
                counts.connect("smtp", f"192.0.2.{number % 5}")
                counts.message("smtp", "192.0.2.9")
                if number % 2:
                    counts.disconnect("smtp", f"192.0.2.{number % 5}")
            os._exit(0)
        workers.append(pid)
    assert all(os.waitpid(pid, 0)[1] == 0 for pid in workers)
    counts = Anvil(DaemonLog("postfix/anvil", Sink()), table.seat())
    assert counts.message("smtp", "192.0.2.9") == 8001
    open_now = sum(counts.connect("smtp", f"192.0.2.{number}")[0] for number in range(5))
    assert open_now == 4 * 1000 + 5


def test_connections_of_a_killed_worker_are_gone_and_the_others_stay():
    table = shared_table()
    ours, its = table.seat(), table.seat()
    counts = anvil(ours)
    counts.connect("smtp", "192.0.2.1")
    readable, writable = os.pipe()
    pid = os.fork()
    if not pid:
        other = anvil(its)
        for _ in range(5):
            other.connect("smtp", "192.0.2.1")
        with table:  # it dies while it holds the lock
            os.write(writable, b"x")
            time.sleep(60)
        os._exit(0)
    os.read(readable, 1)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    os.close(readable)
    os.close(writable)
    assert counts.connect("smtp", "192.0.2.1") == (7, 7)
    its.vacate()
    assert counts.connect("smtp", "192.0.2.1") == (3, 8)


def test_a_seat_is_given_once_until_it_is_vacant():
    table = shared_table()
    seats = [table.seat() for _ in range(SEATS)]
    assert len({seat.number for seat in seats}) == SEATS
    assert table.seat() is None
    seats[7].vacate()
    assert table.seat().number == 7


def test_peaks_are_logged_once_for_all_workers_and_begin_anew():
    table, sink, clock = shared_table(), Sink(), Clock()
    first, second = anvil(table.seat(), sink, clock), anvil(table.seat(), sink, clock)
    first.connect("smtp", "192.0.2.1")
    second.connect("smtp", "192.0.2.1")
    second.connect("smtp", "192.0.2.2")
    second.message("smtp", "192.0.2.2")
    first.report()
    second.report()
    texts = [text.split(" at ")[0].split("statistics: ")[1] for text in sink.texts]
    assert texts == [
        "max connection rate 2/60s for (smtp:192.0.2.1)",
        "max connection count 2 for (smtp:192.0.2.1)",
        "max message rate 1/60s for (smtp:192.0.2.2)",
        "max cache size 2",
    ]
    clock.now += 600
    first.connect("smtp", "192.0.2.3")
    assert len(sink.texts) == 7, "the interval is over: a report by itself"


def test_old_clients_make_room_and_busy_ones_keep_their_counts():
    sink, clock = Sink(), Clock()
    counts = anvil(sink=sink, clock=clock, interval=1e9)
    clients = [f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}" for number in range(BUCKETS * DEPTH)]
    counted = [client for client in clients if counts.message("smtp", client) == 1]
    assert len(counted) == len(clients)
    again = sum(counts.message("smtp", client) == 2 for client in clients)
    assert 0.85 * len(clients) < again < len(clients), "some buckets were full, and their last clients not counted"
    assert len(sink.texts) == 1
    assert "can be counted" in sink.texts[0]
    clock.now += 61
    assert [counts.message("smtp", "192.0.2.1"), counts.message("smtp", "192.0.2.1")] == [1, 2]
