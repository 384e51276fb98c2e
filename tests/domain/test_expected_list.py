"""Lists of expected drives as suppliers send them: what is found out by itself, and what is said about each bad line."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eraser.domain.expected_list import ExpectedList, Problem, read_expected
from eraser.errors import UsageError


def found(text: str, encoding: str = "utf-8", **told: int | bool) -> ExpectedList:
    return read_expected(text.encode(encoding), **told)


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "gb18030"])
@pytest.mark.parametrize("heading", ["序列号", "S/N", "Serial Number", "硬盘序列号"])
def test_encoding_delimiter_and_column_are_found_out(delimiter: str, encoding: str, heading: str) -> None:
    rows = [["品牌", heading, "容量"], ["希捷", "ZA1234XY", "4 TB"], ["西部数据", "WCC4E1234567", "4 TB"]]
    text = "\r\n".join(delimiter.join(row) for row in rows)
    read = found(text, encoding)
    assert read.serials == ("ZA1234XY", "WCC4E1234567")
    assert (read.delimiter, read.encoding, read.has_header, read.column) == (delimiter, encoding, True, 2)
    assert not read.errors
    assert not read.warnings


def test_without_a_header_the_column_that_differs_in_each_line_is_taken() -> None:
    lines = "ST4000NM0035,AB123456,ZA1234XY\nST4000NM0035,AB123456,ZA5678XY\nST4000NM0035,AB123456,ZA9999XY\n"
    read = found(lines)
    assert (read.has_header, read.column, read.serials) == (False, 3, ("ZA1234XY", "ZA5678XY", "ZA9999XY"))


def test_a_plain_list_needs_nothing_else() -> None:
    assert found("ZA1234XY\nZA5678XY").serials == ("ZA1234XY", "ZA5678XY")


def test_what_is_told_goes_before_what_is_guessed() -> None:
    text = "ZA1234XY,AA111111\nZA5678XY,AA222222\n"
    assert found(text, column=2, has_header=False).serials == ("AA111111", "AA222222")
    assert found(text, has_header=True).serials == ("ZA5678XY",)
    with pytest.raises(UsageError):
        found(text, column=3)


def test_what_spreadsheets_put_around_a_number_is_taken_off() -> None:
    assert found('SN\n="00123456"\n\'00123457\n\u3000ZA1234XY\u00a0\n').serials == ("00123456", "00123457", "ZA1234XY")


def test_each_bad_line_is_named_with_its_number_in_the_file() -> None:
    read = found(f"SN\nZA1234XY\n\n1.23E+11\nZA1234XY\n{'A' * 129}\nZA5678XY\n".replace("\n\n", "\n , \n"))
    assert read.serials == ("ZA1234XY", "ZA5678XY")
    assert read.errors == (
        Problem(4, "spoilt-by-spreadsheet", "1.23E+11"),
        Problem(5, "duplicate", "ZA1234XY", 2),
        Problem(6, "too-long", "A" * 60),
    )


def test_a_line_without_a_serial_number_among_others_is_an_error() -> None:
    assert found("SN,Model\nZA1234XY,X\n,Y\n").errors == (Problem(3, "empty"),)


def test_line_numbers_count_cells_that_span_lines() -> None:
    read = found('SN,Note\nZA1234XY,"two\nlines"\n,x\n')
    assert read.errors == (Problem(4, "empty"),)


def test_other_codes_in_the_column_are_warned_about() -> None:
    read = found("SN\nST4000NM0035-1V4107\n5000C500A1B2C3D4\nZA1234XY\n")
    assert [(problem.line, problem.code) for problem in read.warnings] == [
        (2, "looks-like-part-number"),
        (3, "looks-like-world-wide-name"),
    ]
    assert not read.errors


def test_a_secret_in_the_column_is_not_shown() -> None:
    secret = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
    assert secret not in repr(found(f"SN\n{secret}\nZA1234XY\n").warnings)


@pytest.mark.parametrize(
    "file", [b"", b"\n \n", b"PK\x03\x04\x14\x00\x06\x00", b"\x89PNG\r\n\x1a\n\x00\x00", b"\xff\xff\xff"]
)
def test_what_is_no_text_is_refused(file: bytes) -> None:
    with pytest.raises(UsageError):
        read_expected(file)


def test_a_header_alone_is_an_error_and_no_empty_list() -> None:
    assert [problem.code for problem in found("SN\n").errors] == ["no-serials"]


@given(
    st.lists(st.from_regex(r"[A-Z]{2}[0-9]{6}", fullmatch=True), min_size=1, max_size=40, unique=True),
    st.sampled_from(";,\t"),
)
def test_what_a_spreadsheet_writes_is_read_as_it_was(serials: list[str], delimiter: str) -> None:
    out = io.StringIO()
    write = csv.writer(out, delimiter=delimiter)
    write.writerows([["Serial No.", "Note, with a comma"], *([serial, 'a "note"'] for serial in serials)])
    assert found(out.getvalue()).serials == tuple(serials)


@given(st.binary(max_size=400))
def test_no_file_is_a_fault(file: bytes) -> None:
    try:
        read = read_expected(file)
    except UsageError:
        return
    assert len(set(read.serials)) == len(read.serials)
    assert all(serial.isprintable() and serial for serial in read.serials)
