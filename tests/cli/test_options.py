from datetime import date
from typing import Annotated

import pytest
import typer
from typer.testing import CliRunner

from meterspan.cli.options import day_option, local_zone, obis_option, port_option, require_taken, zone_option
from meterspan.quantities import Obis


def test_values_are_read_as_they_are_written() -> None:
    assert zone_option("Europe/Berlin").key == "Europe/Berlin"
    assert zone_option(None).key == local_zone()
    assert obis_option("1-0:1.8.0", "--obis") == Obis(1, 0, 1, 8, 0)
    assert day_option("2026-10-25", "--from") == date(2026, 10, 25)


@pytest.mark.parametrize(
    ("parse", "text", "said"),
    [
        (zone_option, "Mars/Olympus", "is no time zone like Europe/Berlin"),
        (zone_option, "../etc/passwd", "is no time zone"),
        (obis_option, "energy", "energy"),
        (day_option, "yesterday", "is no day like 2026-10-25"),
    ],
)
def test_a_wrong_value_is_refused_with_the_name_of_its_option(parse, text, said) -> None:
    with pytest.raises(typer.BadParameter, match=said) as caught:
        parse(text, "--it")
    assert caught.value.param_hint == "--it"


@pytest.mark.parametrize(("port", "code"), [("0", 0), ("65535", 0), ("65536", 2), ("-1", 2)])
def test_a_port_is_a_number_from_0_to_65535(port, code) -> None:
    command = typer.Typer()

    @command.command()
    def run(at: Annotated[int, port_option("A port.")] = 1) -> None:
        typer.echo(str(at))

    assert CliRunner().invoke(command, [f"--at={port}"]).exit_code == code
    assert "A port." in CliRunner().invoke(command, ["--help"]).output


def test_an_option_that_an_action_does_not_take_is_refused_with_those_that_do() -> None:
    command = typer.Typer()

    @command.command()
    def run(ctx: typer.Context, use: str, speed: int = 1, colour: str = "") -> None:
        require_taken(ctx, use, {"drive": frozenset({"speed"}), "paint": frozenset({"colour"})}, frozenset({"use"}))
        typer.echo(f"{speed}{colour}")

    taken = CliRunner().invoke(command, ["drive", "--speed", "3"])
    assert (taken.exit_code, taken.stdout) == (0, "3\n")
    refused = CliRunner().invoke(command, ["drive", "--colour", "red"])
    assert refused.exit_code == 2
    assert "is for paint; drive does not use it" in " ".join(refused.output.split())
