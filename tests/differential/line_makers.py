"""Request lines in many forms: most are right, some are rare, some are wrong."""

import json
import random
from collections.abc import Callable

QUEUES = ("q", "jobs", "été", 'say "x"', 'say \\"x\\"', "long" * 20)
DATA: tuple[bytes, ...] = (
    b"1",
    b"-0.5e+10",
    b"null",
    b"true",
    b'"text"',
    b'"\\u00e9\\n\\ud83d\\ude00"',
    b"[]",
    b"{}",
    b'{"i":12345}',
    b'{"a":[1,2,{"b":null}],"a":"twice", "c" : "x"}',
    b'"' + b"x" * 200 + b'"',
    b'"' + b"y" * 70_000 + b'"',
    '"naïve 日本 😀"'.encode(),
    b"123456789012345678901234567890",
    b"[" * 20 + b"]" * 20,
)
BAD_DATA: tuple[bytes, ...] = (
    b"01",
    b"NaN",
    b"[1,]",
    b'"\\ud800"',
    b'"\xff"',
    b"[" * 513 + b"]" * 513,
    b"1" * 4301,
    b"",
    b'"\t"',
    b"{'a':1}",
)


class Lines:
    """Makes random lines; `ids` is about how many jobs there may be by now."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.ids = 1
        self._makers: tuple[tuple[Callable[[], bytes], int], ...] = (
            (self.push, 30),
            (self.push_batch, 8),
            (self.pull, 25),
            (self.pull_batch, 8),
            (self.ack, 20),
            (self.ack_batch, 8),
            (self.fail, 10),
            (self.fail_batch, 5),
            (self.heartbeat, 6),
            (self.release, 5),
            (self.other, 8),
            (self.noise, 3),
        )

    def line(self) -> bytes:
        """Any line, with its end."""
        makers, weights = zip(*self._makers, strict=True)
        line: bytes = self.rng.choices(makers, weights)[0]()
        if self.rng.random() < 0.03:
            line = self._mangled(line)
        ends = (b"\n", b"\n", b"\n", b"\n", b"\r\n", b" \n", b"\n\n", b"\n\r\n")
        return line + self.rng.choice(ends)

    def push(self) -> bytes:
        self.ids += 1
        return self._request(b"PUSH", [(b"queue", self._queue()), *self._job()])

    def push_batch(self) -> bytes:
        rng = self.rng
        count = rng.choice((0, 1, 2, 3, 20))
        self.ids += count
        jobs = [self._job() for _ in range(count)]
        if rng.random() < 0.5:  # as clients do: the same options for most jobs
            usual = self._job()[1:]
            jobs = [job[:1] + usual if rng.random() < 0.8 else job for job in jobs]
        fields = [(b"queue", self._queue())]
        if rng.random() < 0.5:
            fields += self._job()[1:]
        fields.append((b"jobs", self._list([self._object(job) for job in jobs])))
        return self._request(b"PUSHB", fields)

    def pull(self) -> bytes:
        return self._request(b"PULL", [(b"queue", self._queue()), *self._pull_options()])

    def pull_batch(self) -> bytes:
        count = self.rng.choice((b"1", b"3", b"50", b"99999", b"0", b"1.0", b"null"))
        fields = [(b"queue", self._queue()), (b"count", count), *self._pull_options()]
        return self._request(b"PULLB", fields)

    def ack(self) -> bytes:
        return self._request(b"ACK", self._verdict())

    def ack_batch(self) -> bytes:
        return self._request(b"ACKB", [(b"ids", self._ids())])

    def fail(self) -> bytes:
        return self._request(b"FAIL", [*self._verdict(), *self._error(), *self._retry()])

    def fail_batch(self) -> bytes:
        items = [
            self._object([*self._verdict(), *self._error(), *self._retry()])
            for _ in range(self.rng.randrange(4))
        ]
        return self._request(b"FAILB", [(b"jobs", self._list(items))])

    def heartbeat(self) -> bytes:
        fields = self._verdict() if self.rng.random() < 0.3 else [(b"ids", self._ids())]
        if self.rng.random() < 0.6:
            values = (b"50", b"3000", b"0", b"null", b"9007199254740991")
            fields.append((b"lease", self.rng.choice(values)))
        return self._request(b"HEARTBEAT", fields)

    def release(self) -> bytes:
        fields = self._verdict() if self.rng.random() < 0.3 else [(b"ids", self._ids())]
        if self.rng.random() < 0.3:
            fields.append((b"delay", self.rng.choice((b"0", b"40", b"null", b"-1"))))
        return self._request(b"RELEASE", fields)

    def other(self) -> bytes:
        queue = (b"queue", self._queue())
        name, fields = self.rng.choice(
            (
                (b"STATS", []),
                (b"STATS", [queue]),
                (b"QUEUES", []),
                (b"GETJOB", [(b"id", self._id())]),
                (b"PAUSE", [queue]),
                (b"RESUME", [queue]),
                (b"RESUME", [queue]),
                (b"DRAIN", [queue]),
                (b"DEAD", [queue]),
                (b"RETRYDEAD", [queue]),
                (b"PURGEDEAD", [queue]),
                (b"PING", []),
            )
        )
        return self._request(name, fields)

    def noise(self) -> bytes:
        return self.rng.choice(
            (b"", b"   ", b"{}", b"[1]", b"hello", b'{"cmd":"NOPE"}', b'{"cmd":1}', b"{")
        )

    def _job(self) -> list[tuple[bytes, bytes]]:
        rng = self.rng
        data = rng.choice(DATA) if rng.random() < 0.97 else rng.choice(BAD_DATA)
        fields = [(b"data", data)]
        if rng.random() < 0.4:
            values = (b"0", b"5", b"-3", b"2147483647", b"null", b"2147483648", b"true")
            fields.append((b"priority", rng.choices(values, (9, 9, 9, 2, 3, 1, 1))[0]))
        if rng.random() < 0.2:
            values = (b"0", b"40", b"9007199254740991", b"null", b"-1", b"1.5", b"3")
            fields.append((b"delay", rng.choices(values, (5, 9, 1, 3, 1, 1, 1))[0]))
        if rng.random() < 0.05:
            fields.append((b"run_at", rng.choice((b"1", b"1700000000100", b"null"))))
        if rng.random() < 0.2:
            fields.append(
                (b"max_attempts", rng.choice((b"1", b"2", b"0", b"null", b'"2"')))
            )
        if rng.random() < 0.2:
            fields.append((b"backoff", rng.choice((b"0", b"20", b"4000000", b"null"))))
        if rng.random() < 0.2:
            fields.append((b"jitter", rng.choice((b"true", b"false", b"null", b"1"))))
        return fields

    def _pull_options(self) -> list[tuple[bytes, bytes]]:
        rng = self.rng
        fields = [(b"timeout", rng.choices((b"0", b"30", b"-1"), (30, 2, 1))[0])]
        if rng.random() < 0.5:
            values = (b"50", b"1000", b"null", b"0", b'"9"', b"9007199254740991")
            fields.append((b"lease", rng.choices(values, (9, 9, 2, 1, 1, 1))[0]))
        return fields

    def _id(self) -> bytes:
        rng = self.rng
        recent = max(1, self.ids - rng.randrange(30))
        text = b"%d" % rng.choice((recent, recent, rng.randrange(self.ids + 2)))
        forms = (text, b'"%b"' % text, b"-" + text, text + b".0", b'"x"', b"0" + text)
        return rng.choices(forms, (40, 4, 1, 1, 1, 1))[0]

    def _verdict(self) -> list[tuple[bytes, bytes]]:
        fields = [(b"id", self._id())]
        if self.rng.random() < 0.3:
            values = (b"1", b"2", b"3", b"null", b"0")
            fields.append((b"attempt", self.rng.choices(values, (9, 5, 2, 2, 1))[0]))
        return fields

    def _ids(self) -> bytes:
        items = [
            self._object(self._verdict()) if self.rng.random() < 0.2 else self._id()
            for _ in range(self.rng.randrange(8))
        ]
        return self._list(items)

    def _error(self) -> list[tuple[bytes, bytes]]:
        if self.rng.random() < 0.4:
            return []
        values = (
            b'"why"',
            b'"a\\n\\"b\\u00e9"',
            b"null",
            b'"\\udc00"',
            b"7",
            '"é"'.encode(),
        )
        return [(b"error", self.rng.choices(values, (9, 4, 2, 1, 1, 4))[0])]

    def _retry(self) -> list[tuple[bytes, bytes]]:
        """What FAIL may say of the retry: a right value mostly, of one or both."""
        rng = self.rng
        fields = []
        if rng.random() < 0.1:
            values = (b"false", b"true", b"null", b"0")
            fields.append((b"retry", rng.choices(values, (9, 3, 2, 1))[0]))
        if rng.random() < 0.1:
            waits = (b"0", b"30", b"null", b"9007199254740991", b"-1")
            fields.append((b"delay", rng.choices(waits, (4, 9, 2, 1, 1))[0]))
        return fields

    def _queue(self) -> bytes:
        name = self.rng.choices(QUEUES, (20, 5, 3, 2, 2, 1))[0]
        text = json.dumps(name, ensure_ascii=self.rng.random() < 0.2)
        return self.rng.choices(
            (text.encode(), b'""', b"7", b'"a\\u0000b"'), (60, 1, 1, 1)
        )[0]

    def _request(self, name: bytes, fields: list[tuple[bytes, bytes]]) -> bytes:
        rng = self.rng
        if rng.random() < 0.1:
            name = name.lower()
        every = [(b"cmd", b'"%b"' % name), *fields]
        if rng.random() < 0.2:
            every.append(
                (
                    b"rid",
                    rng.choice(
                        (
                            b"7",
                            b'"a"',
                            b"1.5",
                            b"null",
                            b"[1]",
                            b'"\\n"',
                            b'"%b"' % (b"z" * 300),
                        )
                    ),
                )
            )
        return self._object(every)

    def _object(self, fields: list[tuple[bytes, bytes]]) -> bytes:
        rng = self.rng
        fields = list(fields)
        if rng.random() < 0.1:
            extra = rng.choice(
                (
                    b'"x":[1,{"y":2}]',
                    b'"error":"e"',
                    b'"ttl":5',
                    b'"ids":[1]',
                    b'"retry":false',
                )
            )
            key, _, value = extra.partition(b":")
            fields.append((key.strip(b'"'), value))
        if rng.random() < 0.03:
            fields.append(rng.choice(fields))
        if rng.random() < 0.15:
            rng.shuffle(fields)
        gaps = (b"", b" ", b"\t  ") if rng.random() < 0.1 else (b"",)

        def gap() -> bytes:
            return rng.choice(gaps)

        members = []
        for key, value in fields:
            odd = rng.random() < 0.005
            name = b"\\u%04x" % key[0] + key[1:] if odd else key
            members.append(b'%b"%b"%b:%b%b%b' % (gap(), name, gap(), gap(), value, gap()))
        return b"{" + b",".join(members) + b"}"

    def _list(self, items: list[bytes]) -> bytes:
        comma = self.rng.choice((b",", b",", b",", b" , "))
        return b"[" + comma.join(items) + b"]"

    def _mangled(self, line: bytes) -> bytes:
        rng = self.rng
        if not line:
            return line
        at = rng.randrange(len(line))
        change = rng.choice((b"", b"}", b'"', b",", b"\\", b"0", b"\x80", b" ", b"\x01"))
        return line[:at] + change + line[at + rng.randrange(2) :]
