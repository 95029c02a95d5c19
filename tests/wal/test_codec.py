"""Records survive their bytes, whatever their columns are made of."""

from array import array

import pytest

from magicqueue_cores import make_core, records
from magicqueue_cores.contract import CoreOptions, NewJobs
from magicqueue_server.wal import format as fmt
from magicqueue_server.wal.checksum import CRC32C, PREFERRED, ZLIB_CRC32
from magicqueue_server.wal.decode import BadRecord, decode
from magicqueue_server.wal.encode import encode
from wal.sample_logs import NOW_MS, group_of, life, plain

HEADER = fmt.Header(
    number=1, salt=0x77013F9C, first_lsn=1, last_id=0, sequence=0, begun_ms=NOW_MS
)


def again(record: records.Record) -> records.Record:
    parts: list[bytes] = []
    size = encode(record, parts)
    data = b"".join(parts)
    assert len(data) == size
    assert size % 8 == 0
    (back,) = decode(memoryview(data))
    return back


@pytest.mark.parametrize("seed", range(20))
def test_what_a_core_reports_comes_back(seed: int) -> None:
    for group in life(seed, 40):
        for record in group:
            assert plain(again(record)) == plain(record)


def test_many_jobs_in_one_record() -> None:
    for size in (63, 64, 65, 1000):
        ids = list(range(5, 5 + size))
        assert plain(again(records.Acked(ids))) == plain(records.Acked(ids))
        pushed = records.Pushed(
            "q", 5, NOW_MS, [b"x" * (n % 9) for n in ids], NOW_MS, 0, 25, 0, jitters=True
        )
        assert plain(again(pushed)) == plain(pushed)


def test_columns_of_any_kind_are_the_same() -> None:
    ids = [3, 4, 5]
    wanted = again(records.Acked(ids))
    for column in (range(3, 6), tuple(ids), array("q", ids), memoryview(array("q", ids))):
        assert plain(again(records.Acked(column))) == plain(wanted)


def test_columns_of_numpy_are_the_same() -> None:
    numpy = pytest.importorskip("numpy")
    rows = numpy.arange(12, dtype=numpy.int64).reshape(3, 4)
    assert plain(again(records.Acked(rows[:, 1]))) == plain(records.Acked([1, 5, 9]))
    small = rows.astype(numpy.int32)
    assert plain(again(records.Acked(small[:, 1]))) == plain(records.Acked([1, 5, 9]))


def test_payloads_may_lie_in_a_line() -> None:
    line = bytearray(b'{"jobs":[{"data":1},{"data":"two"}]}')
    blob = records.PayloadBlob(memoryview(line), [17, 28], [18, 33])
    assert list(blob) == [b"1", b'"two"']
    assert blob[1] == b'"two"'
    assert list(blob[1:]) == [b'"two"']
    pushed = records.Pushed("q", 1, NOW_MS, blob, NOW_MS, [1, 2], 25, 0, [True, False])
    parts: list[bytes] = []
    encode(pushed, parts)
    line[:] = bytes(len(line))
    (back,) = decode(memoryview(b"".join(parts)))
    assert isinstance(back, records.Pushed)
    assert list(back.payloads) == [b"1", b'"two"']
    assert list(back.jitters) == [True, False]  # type: ignore[arg-type]  # a column


def test_the_whole_state_of_jobs_comes_back() -> None:
    core = make_core("python", CoreOptions())
    for queue in ("a", "b", "c"):
        jobs = NewJobs(payloads=[b"1", b"", b"333"], run_ats_ms=[0, NOW_MS + 9, 0])
        core.push(queue, jobs, NOW_MS)
    core.pull("a", 1, 100, 1000, 7, NOW_MS)
    core.fail([1], None, ["because"], NOW_MS)
    core.pull("b", 2, 100, 1000, 7, NOW_MS)
    moved = core.export(range(100))
    assert len(moved.ids) == 9
    assert plain(again(moved)) == plain(moved)
    assert plain(again(core.export([]))) == plain(core.export([]))


def test_the_frame_shown_in_the_format_is_what_is_written() -> None:
    pushed = records.Pushed(
        "emails", 7, NOW_MS, [b'{"to":1}'], NOW_MS, 0, 25, 0, jitters=False
    )
    group = group_of([pushed])
    head = fmt.frame_head(HEADER, 9, 8, fmt.DATA, 0, group.parts)
    shown = "4d 51 46 72  XX 00 00 00  -- -- -- --  01 00 00 00  09 00 00 00 00 00 00 00"
    shown += " 08 00 00 00 00 00 00 00"
    shown = shown.replace("XX", f"{group.body_bytes:02x}")
    for byte, text in zip(head, shown.split(), strict=True):
        assert text in {"--", f"{byte:02x}"}
    body = b"".join(group.parts)
    assert group.body_bytes == 88
    assert body[:16].hex(" ") == "01 00 06 00 01 00 00 00 58 00 00 00 00 00 00 00"
    assert body[64:72].hex(" ") == "00 00 00 00 08 00 00 00"
    assert body[72:] == b'emails{"to":1}\0\0'


@pytest.mark.parametrize("algorithm", sorted({ZLIB_CRC32, PREFERRED}))
def test_a_frame_has_to_be_whole(algorithm: int) -> None:
    header = fmt.Header(
        number=1,
        salt=5,
        first_lsn=1,
        last_id=0,
        sequence=0,
        begun_ms=0,
        algorithm=algorithm,
    )
    parts = [b"a" * 24]
    data = fmt.frame_head(header, 1, 0, fmt.DATA, 0, parts) + parts[0]
    frame = fmt.read_frame(header, memoryview(data), 0)
    assert frame is not None
    assert bytes(frame.body) == parts[0]
    for size in range(len(data)):
        assert fmt.read_frame(header, memoryview(data[:size]), 0) is None
    for bit in range(8 * len(data)):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        assert fmt.read_frame(header, memoryview(bytes(flipped)), 0) is None
    other = fmt.Header(number=1, salt=6, first_lsn=1, last_id=0, sequence=0, begun_ms=0)
    assert fmt.read_frame(other, memoryview(data), 0) is None


def test_crc32c_is_the_one_of_rfc_3720() -> None:
    crc32c = pytest.importorskip("crc32c")
    from magicqueue_server.wal.checksum import checksum  # noqa: PLC0415 - where it is there

    assert crc32c.crc32c(b"123456789") == 0xE3069283
    assert checksum(CRC32C)(b"123456789", 0) == 0xE3069283
    assert checksum(CRC32C)(b"6789", checksum(CRC32C)(b"12345", 0)) == 0xE3069283
    assert checksum(ZLIB_CRC32)(b"123456789", 0) == 0xCBF43926


def test_a_header_survives_the_loss_of_a_copy() -> None:
    data = fmt.header_bytes(HEADER)
    assert len(data) == fmt.FRAMES_AT
    for bit in range(8 * len(data)):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        assert fmt.read_header(bytes(flipped)) == HEADER
        assert not fmt.header_copies_agree(HEADER, bytes(flipped))
    assert fmt.header_copies_agree(HEADER, data)
    assert fmt.read_header(bytes(128)) is None


def test_a_newer_version_is_refused() -> None:
    newest = fmt.VERSION
    newer = fmt.Header(
        number=1, salt=1, first_lsn=1, last_id=0, sequence=0, begun_ms=0, version=newest + 1
    )
    with pytest.raises(
        fmt.NewerVersion,
        match=f"version {newest + 1}, and this MagicQueue knows up to {newest}",
    ):
        fmt.read_header(fmt.header_bytes(newer))


@pytest.mark.parametrize(
    "body",
    [
        bytes(16),
        b"\x01" + bytes(15),
        b"\x63\0\0\0\0\0\0\0\x10\0\0\0\0\0\0\0",
        b"\x05\0\0\0\x09\0\0\0\x20\0\0\0\0\0\0\0" + bytes(16),
        b"\x05\0\0\0\x09\0\0\0\xff\0\0\0\0\0\0\0" + bytes(16),
        b"\x05\0",
    ],
)
def test_bytes_that_are_no_records_are_refused(body: bytes) -> None:
    with pytest.raises(BadRecord):
        list(decode(memoryview(body)))


def test_names_of_segments() -> None:
    assert fmt.segment_name(1) == "0000000000000001.wal"
    assert fmt.segment_number("00000000000000ff.wal") == 255
    for name in (
        "lock",
        "ff.wal",
        "spare-1",
        "00000000000000fg.wal",
        "00000000000000ff.wax",
    ):
        assert fmt.segment_number(name) is None
