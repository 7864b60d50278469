from __future__ import annotations

from io import BytesIO

from hypothesis import given, strategies as st

from wfconsole.control.log_times import LARGEST, LogTimes, read_times


@given(st.lists(st.tuples(st.integers(1, 50), st.booleans()), max_size=20))
def test_a_byte_has_the_moment_at_which_the_stream_was_first_seen_longer(growth: list[tuple[int, bool]]) -> None:
    size, lines, wanted = 0, [], []
    for place, (more, gap) in enumerate(growth):
        size += more
        lines.append(f"{1000 + place} {size}{' gap' if gap else ''}")
        wanted += [None if gap else 1000 + place] * more
    times = LogTimes("\n".join(lines).encode())
    assert [times.at(offset) for offset in range(size)] == wanted
    assert times.at(size) is None
    assert bool(times) == bool(growth)


@given(st.binary(max_size=300))
def test_a_file_that_is_none_of_ours_breaks_nothing(data: bytes) -> None:
    times = LogTimes(data)
    assert all(times.at(offset) is None or isinstance(times.at(offset), int) for offset in (0, 1, 1 << 40))


def test_what_is_not_there_or_too_large_gives_no_times() -> None:
    assert not read_times(None)
    assert not read_times(BytesIO(b"1 2\n" * (LARGEST // 4 + 1)))
    assert read_times(BytesIO(b"1 2\n")).at(0) == 1
