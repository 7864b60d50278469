"""Reports of tests and coverage in their dialects, hostile ones, and that nothing having run is never a success."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, strategies as st

from wfconsole.domain.codec import canonical
from wfconsole.views.tests_summary import REPORT_BYTES, ReportError, TestSummary, document, summarise, totals

PYTEST = b"""<?xml version="1.0" encoding="utf-8"?>
<testsuites name="pytest tests"><testsuite name="pytest" errors="1" failures="1" skipped="1" tests="5" time="1.234" timestamp="t">
<testcase classname="tests.test_a.TestX" name="test_ok" time="0.1"/>
<testcase classname="tests.test_a" name="test_bad[1-\xc3\xa4]" time="0.1"><failure>assert &lt;!DOCTYPE&gt;</failure></testcase>
<testcase classname="tests.test_a" name="test_err" time="0.1"><failure/><error message="teardown"/></testcase>
<testcase classname="tests.test_a" name="test_skip" time="0.1"><skipped type="pytest.skip"/></testcase>
<testcase classname="tests.test_a" name="test_ok2"><system-out><![CDATA[<!DOCTYPE html><!ENTITY x>]]></system-out></testcase>
</testsuite></testsuites>"""


def xml(text: str, step: str = "unit") -> TestSummary:
    return summarise(step, [text.encode()])


def test_pytest() -> None:
    found = summarise("unit", [PYTEST])
    assert found == TestSummary(
        step="unit", total=5, passed=2, failed=1, errors=1, skipped=1, seconds=1.234,
        failing=("tests.test_a.test_bad[1-ä]", "tests.test_a.test_err"),
    )  # fmt: skip
    assert not found.ok
    assert document(found)["ok"] is False


def test_the_worst_result_of_a_case_counts_in_whatever_order() -> None:
    found = xml(
        "<testsuite><testcase><error/><failure/></testcase><testcase><failure/><skipped/></testcase></testsuite>"
    )
    assert (found.errors, found.failed, found.skipped) == (1, 1, 0)


def test_a_lone_suite_without_any_attribute() -> None:
    found = xml("<testsuite><testcase/><testcase name='b' time='0.5'/></testsuite>")
    assert (found.total, found.passed, found.seconds, found.note) == (2, 2, 0.5, None)
    assert found.ok


def test_suites_within_suites_are_counted_once() -> None:
    found = xml(
        "<testsuites tests='3' failures='1' time='3'><testsuite tests='3' time='3'><testsuite tests='2' time='2'>"
        "<testcase name='a'/><testcase name='b'><failure/></testcase></testsuite>"
        "<testsuite tests='1' time='1'><testcase name='c'/></testsuite></testsuite></testsuites>"
    )
    assert (found.total, found.failed, found.seconds, found.failing, found.note) == (3, 1, 3.0, ("b",), None)


def test_times_of_several_suites_are_added_when_the_root_has_none() -> None:
    found = xml("<testsuites><testsuite time='1,200.5'><testcase/></testsuite><testsuite time='2'/></testsuites>")
    assert found.seconds == 1202.5


def test_namespaces_and_status_attributes_and_failed_suites() -> None:
    found = xml(
        "<testsuite xmlns='urn:x'><testcase name='a' status='notrun'/><testcase name='b' result='suppressed'/>"
        "<testcase name='c' status='run' result='completed'/><testcase name='d' status='failed'/><error/></testsuite>"
    )
    assert (found.total, found.skipped, found.passed, found.failed, found.errors) == (5, 2, 1, 1, 1)
    assert found.failing == ("d", "a suite as a whole")


def test_a_report_that_lists_nothing_is_believed_and_told() -> None:
    found = xml("<testsuites><testsuite tests='4' failures='1' skipped='1'/><testsuite tests='2'/></testsuites>")
    assert (found.total, found.passed, found.failed, found.skipped) == (6, 4, 1, 1)
    assert found.note == "The report lists no test cases; the numbers are what it claims."


def test_a_report_that_is_cut_off_is_told() -> None:
    assert "claims 9 tests and lists 1" in (xml("<testsuite tests='9'><testcase/></testsuite>").note or "")
    assert "more failures" in (xml("<testsuite tests='1' failures='1'><testcase/></testsuite>").note or "")


@pytest.mark.parametrize("text", ["<testsuites/>", "<testsuite tests='0'/>", "<testsuites><testsuite/></testsuites>"])
def test_no_tests_ran_is_a_fact_and_no_success(text: str) -> None:
    found = xml(text)
    assert (found.total, found.ok, found.note) == (0, False, "No tests ran.")


def test_all_skipped_is_no_success_either() -> None:
    found = xml("<testsuite><testcase><skipped/></testcase></testsuite>")
    assert (found.ok, found.note) == (False, "No tests ran: all 1 were skipped.")


@pytest.mark.parametrize(
    ("text", "percent"),
    [
        ('{"meta": {}, "totals": {"percent_covered": 81.254999}}', 81.25),
        ('{"total": {"lines": {"pct": 70}}}', 70.0),
        ("<coverage line-rate='0.5' branch-rate='0'><packages/></coverage>", 50.0),
        ("<coverage generated='1'><project><metrics statements='8' coveredstatements='6'/></project></coverage>", 75.0),
    ],
)
def test_coverage(text: str, percent: float) -> None:
    found = xml(text)
    assert (found.coverage_percent, found.total) == (percent, 0)
    assert found.note == "There is no test report, only coverage."
    both = summarise("unit", [PYTEST, text.encode(), b'{"version": "2.1.0", "runs": []}'])
    assert (both.coverage_percent, both.total) == (percent, 5)


def test_totals_over_steps() -> None:
    unit, quick = (
        summarise("unit", [PYTEST, b'{"totals": {"percent_covered": 90}}']),
        xml("<testsuite time='1'><testcase/></testsuite>"),
    )
    none, low = xml("<testsuites/>", "e2e"), xml("<coverage line-rate='0.7'/>", "cov")
    found = totals([unit, quick])
    assert (found.step, found.total, found.passed, found.failed, found.seconds, found.note) == (
        "",
        6,
        3,
        1,
        2.234,
        None,
    )
    assert totals([unit, low]).coverage_percent == 70.0
    assert totals([unit, none]).note == "No tests ran in e2e."
    assert totals([none, none]).note == "No tests ran."
    assert totals([]).note is None


def test_names_are_capped_and_counts_are_not() -> None:
    cases = "".join(f"<testcase name='{'n' * 500}{n}'><failure/></testcase>" for n in range(60))
    found = xml(f"<testsuite>{cases}</testsuite>")
    assert (found.failed, len(found.failing), len(found.failing[0])) == (60, 20, 200)


@pytest.mark.parametrize(
    "data",
    [
        b"<!DOCTYPE x><testsuite/>",
        b"<?xml version='1.0'?>\n<!-- a --><!DOCTYPE x [<!ENTITY a 'b'>]><testsuite>&a;</testsuite>",
        b"\xef\xbb\xbf  <!-- --> <?x y?><!DOCTYPE x SYSTEM 'file:///etc/passwd'><testsuite/>",
        "<!DOCTYPE x [<!ENTITY a 'b'>]><testsuite/>".encode("utf-16"),
        b"<?xml version='1.0' encoding='iso-8859-1'?><!DOCTYPE x><testsuite/>",
    ],
)
def test_a_document_type_is_refused(data: bytes) -> None:
    with pytest.raises(ReportError, match="document type"):
        summarise("unit", [data])


@pytest.mark.parametrize(
    "data",
    [
        b"", b" \n", b"plain", b"<testsuite>", b"<testsuite>&x;</testsuite>", b"<?xml", b"<!-- ", b"{", b'{"a":' * 5000,
        b"\xff\xfe\x00",
        b"<testsuite>\xff</testsuite>", b"<a>" * 1000, b"<testsuite/>" * 2, b'{"totals": {"percent_covered": NaN}}',
        b'{"totals": {"percent_covered": 1e999}}', b"<coverage/>", b"<coverage line-rate='7'/>", b"[1]", b"<html/>",
        b'{"totals": {"percent_covered": %d}}' % 10**400, b"x" * (REPORT_BYTES + 1),
        b"<?xml version='1.0' encoding='utf-7'?><testsuite>+ADwAIQ-DOCTYPE</testsuit>",
    ],
    ids=lambda data: repr(data[:24]),
)  # fmt: skip
def test_what_is_no_report_is_refused_with_a_sentence(data: bytes) -> None:
    with pytest.raises(ReportError, match=r"^(The|There) .*\.$"):
        summarise("unit", [data])


def test_latin_1_is_read_as_it_says() -> None:
    found = summarise(
        "u",
        [
            "<?xml version='1.0' encoding='ISO-8859-1'?><testsuite><testcase name='ä'><failure/></testcase></testsuite>".encode(
                "latin-1"
            )
        ],
    )
    assert found.failing == ("ä",)


def test_many_remarks_cost_no_quadratic_time() -> None:
    assert xml("<!---->" * 200_000 + "<testsuite><testcase/></testsuite>").total == 1


PIECES = st.sampled_from(
    ["<testsuite", "<testsuites>", " tests='3'", " time='x'", ">", "/>", "<testcase", "<failure/>", "</testcase>", "</testsuite>",
     "<?x?>", "<!--", "-->", "<!DOCTYPE", "<![CDATA[", "]]>", "&amp;", "{", "}", '"totals":', "1", " name='&#x1;'", "<coverage/>"]
)  # fmt: skip


@given(st.lists(PIECES | st.text(max_size=5), max_size=25).map("".join))
def test_garbage_is_refused_or_summed(text: str) -> None:
    try:
        found = summarise("x", [text.encode("utf-8", "surrogatepass")])
    except ReportError:
        return
    assert canonical(document(found))
    assert found.total == found.passed + found.failed + found.errors + found.skipped


KEYS = st.sampled_from(["totals", "total", "lines", "pct", "percent_covered"])
SCALARS = st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=3)


@given(st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3)))
def test_any_json_is_refused_or_summed(value: object) -> None:
    try:
        found = summarise("x", [json.dumps(value).encode()])
    except ReportError:
        return
    assert found.coverage_percent is not None
    assert 0 <= found.coverage_percent <= 100
