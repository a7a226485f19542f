"""The decode contract: one answer for each question, in order, and never a traceback."""

import json

from meterspan.app.decoding import DecodeOptions, answer_lines, decoded, telegram_json
from meterspan.readings import Decoder
from meterspan.wire.p1 import crc_of

WIRELESS = "2144344E7856341201077A05000000" + "0413C8E10000" + "4413A0860100" + "426C5F2C" + "2F2F2F"
BODY = "/TST5\\2X\r\n\r\n1-3:0.2.8(50)\r\n1-0:1.8.1(000001.500*kWh)\r\n!"
P1 = BODY + f"{crc_of(BODY.encode()):04X}\r\n"


def ask(*questions: object) -> list[dict[str, object]]:
    lines = [question if isinstance(question, str) else json.dumps(question) for question in questions]
    return [json.loads(answer) for answer in answer_lines(lines)]


def test_each_question_gets_one_answer_in_order() -> None:
    answers = ask({"id": "a", "hex": WIRELESS}, {"id": 2, "text": P1}, {"id": "c", "hex": "FF"}, "no json", {"id": "e"})
    assert [answer["id"] for answer in answers] == ["a", 2, "c", "", "e"]
    assert [answer["protocol"] for answer in answers] == ["wmbus", "p1", "unknown", "unknown", "unknown"]
    assert answers[0]["error"] is None
    assert all(answer["error"] for answer in answers[2:])


def test_an_answer_has_the_fields_of_the_contract_and_exact_numbers() -> None:
    (answer,) = ask({"id": "a", "hex": WIRELESS})
    assert set(answer) == {"id", "protocol", "device", "time", "readings", "error"}
    assert answer["device"] == {"id": "12345678", "manufacturer": "SQT", "medium": "water", "version": "01"}
    readings = answer["readings"]
    assert isinstance(readings, list)
    assert readings[0] == {
        "quantity": "volume",
        "obis": "8-0:1.0.0",
        "value": 57.8,
        "unit": "m3",
        "time": None,
        "storage": 0,
        "tariff": 0,
        "subunit": 0,
        "function": "instantaneous",
    }
    assert readings[2]["value"] == "2018-12-31"
    assert readings[2]["unit"] == ""


def test_a_list_of_telegrams_gives_the_readings_of_the_last() -> None:
    other = WIRELESS.replace("C8E10000", "D0E10000")
    (answer,) = ask({"id": 1, "hex": [WIRELESS, other]})
    assert answer["readings"][0]["value"] == 57.808


def test_bad_keys_and_odd_questions_are_errors_not_tracebacks() -> None:
    answers = ask(
        {"id": 1, "hex": WIRELESS, "key": "xyz"},
        {"id": 2, "hex": 5},
        {"id": 3, "hex": ["zz"]},
        {"id": 4, "hex": WIRELESS, "as": "x"},
        [],
        "1",
        "null",
        {"id": {"deep": [1]}, "text": "?"},
    )
    assert all(answer["error"] for answer in answers)
    assert "key" in str(answers[0]["error"])
    assert len(answers) == 8


def test_numbers_keep_all_their_digits_in_json() -> None:
    text = "/T\r\n\r\n1-0:1.8.0(123456789012.345678*kWh)\r\n!\r\n"
    line = telegram_json(Decoder().decode(text))
    assert "123456789012345.678" in line


def test_every_line_gets_its_answer_even_a_blank_one():
    answers = ask("", {"id": "a", "text": P1}, "   ")
    assert len(answers) == 3
    assert [bool(answer["error"]) for answer in answers] == [True, False, True]


def test_frames_are_decoded_in_order_and_explained_where_it_is_asked_for():
    found = list(decoded([WIRELESS, P1, "FF"], DecodeOptions(), explain=True))
    assert [telegram.protocol for telegram, _ in found] == ["wmbus", "p1", "unknown"]
    assert [trace is not None and bool(trace.spans) for _, trace in found] == [True, True, False]
    assert [trace for _, trace in decoded([WIRELESS], DecodeOptions(), explain=False)] == [None]


def test_the_options_reach_the_decoder():
    (telegram, _), *_ = decoded([WIRELESS], DecodeOptions(meter_id="87654321"), explain=False)
    assert "87654321" in (telegram.error or "")
    (telegram, _), *_ = decoded([WIRELESS], DecodeOptions(as_="p1"), explain=False)
    assert telegram.protocol == "p1"
