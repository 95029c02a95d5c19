"""Jobs as rows of a table, claimed with SKIP LOCKED: what a queue in PostgreSQL does best.

Producers insert in batches, workers claim a batch and delete it, each step one statement
and one commit on a connection of its own. No queue on rows does less for a job.
"""

import threading
import time

import psycopg

SCHEMA = """
drop table if exists jobs;
create table jobs (
  id bigint generated always as identity primary key, queue text not null,
  priority int not null default 0, state smallint not null default 0,
  run_at bigint not null default 0, lease_until bigint,
  attempts int not null default 0, data bytea not null
) with (fillfactor = 70);
create index on jobs (queue, priority desc, id) where state = 0
"""
PUSH = "insert into jobs (queue, data) select 'q', unnest(%b::bytea[])"
CLAIM = """
update jobs set state = 2, attempts = attempts + 1, lease_until = %s
 where id = any(array(select id from jobs where queue = 'q' and state = 0
                       order by priority desc, id limit %s for update skip locked))
returning id, data
"""
ACK = "delete from jobs where id = any(%s)"
AHEAD = 50
"""So many batches may wait for workers."""


class Run:
    """Counts what threads do for a while."""

    def __init__(self, dsn, batch, seconds):
        self.dsn = dsn
        self.batch = batch
        self.bodies = [b'{"i":%d}' % number for number in range(batch)]
        self.end = time.perf_counter() + seconds
        self.pushed = 0
        self.settled = 0
        self.lock = threading.Lock()

    def connect(self):
        return psycopg.connect(self.dsn, autocommit=True, prepare_threshold=1)

    def produce(self, ahead):
        with self.connect() as connection:
            while time.perf_counter() < self.end:
                if ahead and self.pushed - self.settled > ahead * self.batch:
                    time.sleep(0.001)
                    continue
                connection.execute(PUSH, (self.bodies,))
                with self.lock:
                    self.pushed += self.batch

    def work(self):
        with self.connect() as connection:
            while time.perf_counter() < self.end:
                ids = [row[0] for row in connection.execute(CLAIM, (1, self.batch))]
                if not ids:
                    time.sleep(0.001)
                    continue
                connection.execute(ACK, (ids,))
                with self.lock:
                    self.settled += len(ids)


def rows_per_s(dsn, batch, seconds, producers, workers):
    """Give how many jobs went their way a second: were stored, or (workers) deleted."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(SCHEMA)
    began = time.perf_counter()
    run = Run(dsn, batch, seconds)
    ahead = AHEAD if workers else 0
    threads = [
        threading.Thread(target=run.produce, args=(ahead,)) for _ in range(producers)
    ]
    threads += [threading.Thread(target=run.work) for _ in range(workers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    done = run.settled if workers else run.pushed
    return done / (time.perf_counter() - began)
