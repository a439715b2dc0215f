"""A log that comes in broken streams has each line once and in order, and names every gap."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from dag.core.pod.log import PodLog

START = datetime(2026, 1, 1, tzinfo=UTC)


def stamped(moment: datetime, text: str) -> bytes:
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond:06}000Z {text}".encode()


class Server:
    """A server of lines like a kubelet: it begins at a whole second, and old lines may be gone."""

    def __init__(self, lines: list[tuple[datetime, str]]) -> None:
        self.lines = lines

    def stream(self, since: datetime | None, first: int, until: int) -> list[bytes]:
        floor = since.replace(microsecond=0) if since else START - timedelta(days=1)
        return [
            stamped(moment, text)
            for moment, text in self.lines[first:until]
            if moment.replace(microsecond=0) >= floor
        ]


lines_with_times = st.lists(
    # Steps are at most 1.5 s and often 0, so several lines have the same timestamp, and some the
    # same text.
    st.tuples(st.sampled_from([0, 0, 0, 1, 400_000, 1_500_000]), st.sampled_from("abc")),
    min_size=1,
    max_size=60,
)


def with_times(steps: list[tuple[int, str]]) -> list[tuple[datetime, str]]:
    moment, lines = START, []
    for step, text in steps:
        moment += timedelta(microseconds=step)
        lines.append((moment, text))
    return lines


@given(lines_with_times, st.lists(st.integers(0, 60), max_size=6))
def test_each_line_comes_once_and_in_order_however_often_the_stream_breaks(
    steps: list[tuple[int, str]], cuts: list[int]
) -> None:
    lines = with_times(steps)
    server, log, seen = Server(lines), PodLog(), list[str]()
    # At each cut the writer has got so far. The follower reads that much, then the stream breaks.
    for until in [*sorted(cuts), len(lines)]:
        for line in server.stream(log.resume(), 0, until):
            if (text := log.feed(line)) is not None:
                seen.append(text.decode())
    assert seen == [text for _, text in lines]
    assert log.lines == len(lines)
    assert log.gaps == []


@given(lines_with_times, st.data())
def test_lines_that_rotation_tore_out_are_named_where_they_are_missing(
    steps: list[tuple[int, str]], data: st.DataObject
) -> None:
    lines = [
        (moment, f"{number} {text}") for number, (moment, text) in enumerate(with_times(steps))
    ]
    read = data.draw(st.integers(1, len(lines)))
    lost = data.draw(st.integers(0, len(lines) - read))
    server, log = Server(lines), PodLog()
    for line in server.stream(log.resume(), 0, read):
        log.feed(line)
    after = [log.feed(line) for line in server.stream(log.resume(), read + lost, len(lines))]
    assert [text.decode() for text in after if text is not None] == [
        text for _, text in lines[read + lost :]
    ]
    # Rotation removed the last line that was seen, so a gap is named even where nothing was lost:
    # from outside both cases look the same.
    assert [gap.after_line for gap in log.gaps] == ([read] if after else [])


def test_stdout_and_stderr_may_come_with_times_that_go_back() -> None:
    first, second = START + timedelta(milliseconds=2), START + timedelta(milliseconds=1)
    log = PodLog()
    both = [stamped(first, "out"), stamped(second, "err")]
    for line in both:
        log.feed(line)
    log.resume()
    again = [log.feed(line) for line in [*both, stamped(first, "new")]]
    assert again == [None, None, b"new"]
    assert log.gaps == []


def test_an_offset_other_than_utc_is_understood() -> None:
    log = PodLog()
    log.feed(b"2026-11-23T23:51:36.123456789+02:00 text")
    assert log.resume() == datetime(2026, 11, 23, 21, 51, 34, tzinfo=UTC)


def test_what_carries_no_timestamp_is_no_line() -> None:
    log = PodLog()
    assert log.feed(stamped(START, "text")) == b"text"
    remark = b"unable to retrieve container logs for containerd://0"
    assert log.feed(remark) is None
    log.resume()
    assert log.feed(b"the rest of a long line") is None
    assert log.feed(stamped(START, "text")) is None
    assert (log.lines, log.gaps, log.remark) == (1, [], "the rest of a long line")


def test_bytes_are_counted_without_carriage_returns() -> None:
    log = PodLog()
    log.feed(stamped(START, "10%\r20%\r"))
    assert log.bytes == len("10%20%\n")
