"""The interoperability matrix says what the tests' reports say, and nothing else."""

import pytest

from tests.interop.matrix import Cell, Row, matrix_lines

pytest_plugins = ["pytester"]


def cell(passed=0, failed=0, *reasons):
    made = Cell()
    made.passed, made.failed, made.reasons = passed, failed, list(reasons)
    return made


def test_a_cell_passes_fails_or_names_its_reason():
    lines = matrix_lines(
        {
            (Row.PROFILE, "Gurux wrapper"): cell(2),
            (Row.PROFILE, "Gurux HDLC"): cell(1, 1),
            (Row.PDU_64, "Gurux wrapper"): cell(0, 0, "too small", "too small"),
            (Row.P1, "dsmr_parser"): cell(1, 0, "no such field"),
        }
    )
    assert [line.split("  ")[0] for line in lines if "profile" in line] == [Row.PROFILE]
    assert [line.removeprefix(Row.PROFILE).split() for line in lines if "profile" in line] == [["FAIL", "pass"]]
    assert [line.removeprefix(Row.PDU_64).split() for line in lines if "PDU 64" in line] == [["[1]"]]
    assert [line.removeprefix(Row.P1).split() for line in lines if line.startswith(Row.P1)] == [["pass", "[2]"]]
    assert lines[-2:] == ["[1] too small", "[2] no such field"]


@pytest.mark.parametrize("workers", ["0", "2"])
def test_the_matrix_of_a_run_is_made_of_its_marks_and_results_also_in_parallel(pytester, workers):
    hooks = "pytest_addoption, pytest_collection_modifyitems, pytest_configure"
    pytester.makeconftest(f"from tests.interop.conftest import {hooks}")
    pytester.makepyfile(
        """
        import pytest
        from tests.interop.matrix import Row
        pytestmark = pytest.mark.peer("Peer")

        @pytest.mark.matrix(Row.PROFILE, Row.LIST)
        @pytest.mark.parametrize("link", ["wrapper", "hdlc"])
        def test_one(link):
            assert link == "wrapper"

        @pytest.mark.matrix(Row.ACCESS)
        def test_two():
            pytest.skip("it has none")
        """
    )
    done = pytester.runpytest("--matrix", "-n", workers, "-p", "no:cacheprovider")
    text = done.stdout.str().split(" interoperability ")[1]
    assert [line.split()[-2:] for line in text.splitlines() if line.startswith(Row.PROFILE)] == [["FAIL", "pass"]]
    assert [line.split()[-2:] for line in text.splitlines() if line.startswith(Row.LIST)] == [["FAIL", "pass"]]
    assert "[1] it has none" in text
