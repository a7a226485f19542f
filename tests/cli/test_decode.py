"""``meterspan decode``: what people and machines get to see, and that no input ends in a traceback."""

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from meterspan.cli.decode import decode, show_telegram
from meterspan.model.telegram import DecodedReading, DecodedTelegram
from meterspan.quantities import parse_obis
from meterspan.wire.p1 import crc_of
from meterspan.wire.sml import Integer, SmlEntry, SmlGetListResponse, SmlMessage, SmlTag, write_file, write_frame

APP = typer.Typer()
APP.command()(decode)
RUN = CliRunner()
WIRELESS = "2144344E7856341201077A05000000" + "0413C8E10000" + "4413A0860100" + "426C5F2C" + "2F2F2F"
BODY = "/TST5\\2X\r\n\r\n1-3:0.2.8(50)\r\n1-0:1.8.1(000001.500*kWh)\r\n!"
P1 = BODY + f"{crc_of(BODY.encode()):04X}\r\n"


def test_people_get_a_table_with_the_device_and_values_in_their_units() -> None:
    done = RUN.invoke(APP, [WIRELESS])
    assert done.exit_code == 0
    assert "12345678" in done.output
    assert "57.8" in done.output
    assert "m3" in done.output


@pytest.mark.parametrize("written", [f"0x{WIRELESS}", " ".join(WIRELESS), f"{WIRELESS[:2]},{WIRELESS[2:]}"])
def test_digits_are_read_as_people_write_them(written: str) -> None:
    assert RUN.invoke(APP, [written]).output == RUN.invoke(APP, [WIRELESS]).output


def test_explain_lists_every_field_with_its_octets() -> None:
    done = RUN.invoke(APP, [WIRELESS, "--explain"], env={"COLUMNS": "200"})
    assert "M and A field" in done.output
    assert "C8 E1 00 00" in done.output


def test_json_prints_one_object_for_each_frame(tmp_path: Path) -> None:
    path = tmp_path / "frames.txt"
    path.write_text(f"{WIRELESS}\n{WIRELESS}\n")
    done = RUN.invoke(APP, [str(path), "--json"])
    assert [json.loads(line)["protocol"] for line in done.output.splitlines()] == ["wmbus", "wmbus"]


def test_files_and_standard_input_are_read(tmp_path: Path) -> None:
    path = tmp_path / "telegram.txt"
    path.write_bytes(P1.encode())
    for arguments, stdin in (([str(path), "--json"], None), (["-", "--json"], P1)):
        done = RUN.invoke(APP, arguments, input=stdin)
        assert json.loads(done.output)["readings"][1]["value"] == 1500
    questions = tmp_path / "questions.jsonl"
    questions.write_text(json.dumps({"id": 7, "hex": WIRELESS}) + "\n")
    assert json.loads(RUN.invoke(APP, ["--jsonl", str(questions)]).output)["id"] == 7


@pytest.mark.parametrize(
    "arguments", [["--jsonl", "/no/such/file"], ["/no/such/file"], ["zz"], [WIRELESS, "--key", "xyz"]]
)
def test_wrong_arguments_say_what_is_wrong(arguments: list[str]) -> None:
    done = RUN.invoke(APP, arguments)
    assert done.exit_code == 2
    assert "Traceback" not in done.output


def test_what_cannot_be_decoded_ends_with_an_error_and_a_code() -> None:
    done = RUN.invoke(APP, ["FFFF"])
    assert done.exit_code == 1
    assert "not decoded" in done.output


def test_the_sml_work_round_has_to_be_asked_for() -> None:
    server = bytes.fromhex("0A01445A47000000002A")
    entries = (
        SmlEntry(bytes.fromhex("0100603201FF"), b"DZG"),
        SmlEntry(bytes.fromhex("0100100700FF"), Integer(-700, 2, signed=True), 27, -2),
    )
    octets = write_file([SmlMessage(b"2", SmlTag.GET_LIST_RESPONSE, SmlGetListResponse(server, entries))])
    question = write_frame(octets).hex()
    for options, power in (([], -7), (["--fix-unsigned-power"], 648.36)):
        done = RUN.invoke(APP, [question, "--json", *options])
        assert json.loads(done.output)["readings"][1]["value"] == power


@pytest.mark.parametrize("options", [(), ("--explain",)])
@pytest.mark.parametrize("said", ["[/bold]", "[red]", "\x1b[31m", "\x07"])
def test_text_in_a_frame_neither_styles_nor_breaks_the_terminal(tmp_path, said, options):
    head = f"/MSP5\r\n\r\n0-0:96.1.1({said.encode().hex().upper()})\r\n0-0:96.13.0({said.encode().hex()})\r\n!\r\n"
    frame = tmp_path / "frame.txt"
    frame.write_bytes(head.encode())
    done = RUN.invoke(APP, [str(frame), *options])
    assert done.exception is None or isinstance(done.exception, SystemExit)
    assert "\x1b[31m" not in done.stdout
    assert "\x07" not in done.stdout


@pytest.mark.finding("users B5")
def test_a_damaged_frame_is_told_by_the_exit_status_and_what_could_be_read_is_shown(tmp_path: Path) -> None:
    whole, damaged = tmp_path / "whole.txt", tmp_path / "damaged.txt"
    whole.write_text(P1, newline="")
    damaged.write_text(P1[:-6] + "0000\r\n", newline="")
    assert RUN.invoke(APP, [str(whole)]).exit_code == 0
    done = RUN.invoke(APP, [str(damaged)])
    assert done.exit_code == 1
    assert "1500" in done.output


@pytest.mark.finding("users B6")
def test_at_eighty_columns_no_value_is_cut_and_no_empty_column_stays(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    readings = [
        DecodedReading("identification", "E00440073921234567890123456789012345", "", parse_obis("0-0:96.1.1")),
        DecodedReading("clock", "2017-09-15T05:33:40", "", parse_obis("0-0:1.0.0")),
    ]
    show_telegram(DecodedTelegram("p1", readings=tuple(readings)))
    shown = capsys.readouterr().out
    assert "…" not in shown
    assert "2017-09-15T05:33:40" in shown
    assert "where" not in shown
    assert max(map(len, shown.splitlines())) <= 80
